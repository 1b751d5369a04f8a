"""What the controller needs of the world, as its rooms see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from controller.records import Change, Kept, StoredReport
from protocol.messages import MediaReference

AIRINGS_MAX = 500
"""Most airing records that one question returns; more are asked for page by page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AiringQuestion:
    """Which records are wanted: the newest first, below `before` (a row number) when paging, of some nodes."""

    limit: int = 50
    node: str | None = None
    before: int | None = None
    nodes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AiringRow:
    """One stored report with the row number that orders it."""

    row: int
    report: StoredReport


class Database(Protocol):
    """Keeps changes durably. Raises DatabaseError only."""

    async def load(self) -> Kept:
        """Everything that the desk begins with."""

    async def commit(self, changes: Sequence[Change]) -> None:
        """Keep all changes or none; returns when a power cut cannot take them back."""

    async def airings(self, question: AiringQuestion) -> list[AiringRow]:
        """Stored reports, newest first."""

    async def close(self) -> None:
        """Let go of the database."""


class MediaFiles(Protocol):
    """Where media lies by its content."""

    def path_of(self, sha256: str) -> Path | None:
        """The file of a hash, or None where it is not there."""


class Fresh(Protocol):
    """Names and keys that nobody can guess; the desk's only source of chance."""

    def emergency_id(self) -> str:
        """An id for a document, unique for this controller."""

    def stream_id(self) -> str:
        """A stream's id: 8 bytes in hexadecimal."""

    def stream_key(self, stream: str) -> bytes:
        """Make the signing key of a stream's packets; returns its public half."""


class ImportMedia(Protocol):
    """Takes a source file into the media store."""

    def __call__(self, path: Path) -> MediaReference:
        """The levelled file in the store; quick where it was taken in before. Raises MediaError with a reason."""
