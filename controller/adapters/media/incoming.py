"""The files of recordings that are on their way: `<state_dir>/media/incoming/<id>.part` and its note `<id>.json`.

Bytes are appended and made durable before the note says that they are there; after a power cut the file is cut back to
what the note says, so a sender goes on from a place that holds. The original of what was kept moves to
`<state_dir>/media/originals/<sha256>`. Blocks: call it in a thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from controller.media.intake import Intake
from protocol.adapters.durable_file import sync, write_durably

INTAKE_PATTERN: Final = r"^[0-9a-f]{16}\Z"
_NOTE: Final = re.compile(r"^([0-9a-f]{16})\.json\Z")


class IncomingFiles:
    """The folder of one library."""

    def __init__(self, media_dir: Path) -> None:
        self._media_dir = media_dir
        self._folder = media_dir / "incoming"
        self._originals = media_dir / "originals"

    def open(self) -> list[Intake]:
        """What was on its way when the process ended, each file cut back to what is sure; raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._originals.mkdir(parents=True, exist_ok=True)
        for left in self._media_dir.glob("import-*.part"):
            left.unlink(missing_ok=True)
        found = list(self._noted())
        known = {f"{intake.id}.part" for intake in found if not intake.is_finished}
        for path in self._folder.iterdir():
            if path.suffix != ".json" and path.name not in known:
                path.unlink(missing_ok=True)
        return [intake if intake.is_finished else self._cut(intake) for intake in found]

    def write_note(self, intake: Intake) -> None:
        """Raises OSError."""
        write_durably(self._note(intake.id), msgspec.json.encode(intake), mode=0o640)

    def part(self, intake: str) -> Path:
        """Where its bytes are gathered."""
        return self._folder / f"{intake}.part"

    def original(self, sha256: str) -> Path:
        """Where the original of a kept recording stands."""
        return self._originals / sha256

    def append(self, intake: str, data: bytes, *, at: int) -> None:
        """Write bytes behind those that are there; raises OSError. Not durable before `make_sure`."""
        descriptor = os.open(self.part(intake), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            left = memoryview(data)
            while left:
                written = os.pwrite(descriptor, left, at)
                left, at = left[written:], at + written
        finally:
            os.close(descriptor)

    def make_sure(self, intake: Intake) -> None:
        """Make the bytes that the note tells of durable, then the note; raises OSError."""
        part = self.part(intake.id)
        if part.exists():
            sync(part)
        self.write_note(intake)

    def digest(self, path: Path) -> str:
        """The SHA-256 of a file; raises OSError."""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def keep_original(self, intake: Intake) -> None:
        """Move what was whole to its content's name; doing it twice changes nothing. Raises OSError."""
        part, original = self.part(intake.id), self.original(intake.source_sha256)
        if part.exists():
            part.replace(original)
            sync(original)
            sync(self._originals)

    def forget(self, intake: str, *, with_note: bool) -> None:
        """Remove its bytes, and what is known of it."""
        with contextlib.suppress(OSError):
            self.part(intake).unlink(missing_ok=True)
            if with_note:
                self._note(intake).unlink(missing_ok=True)

    def drop_originals(self, needed: Collection[str]) -> None:
        """Remove originals that no entry names: of a recording whose entry was never kept, or was purged."""
        for path in self._originals.iterdir():
            if path.name not in needed:
                with contextlib.suppress(OSError):
                    path.unlink()

    def free_bytes(self) -> int:
        """Room on the disk."""
        found = os.statvfs(self._media_dir)
        return found.f_bavail * found.f_frsize

    def _note(self, intake: str) -> Path:
        return self._folder / f"{intake}.json"

    def _noted(self) -> Iterator[Intake]:
        for path in sorted(self._folder.iterdir()):
            match = _NOTE.match(path.name)
            if match is None:
                continue
            try:
                intake = msgspec.json.decode(path.read_bytes(), type=Intake)
            except (msgspec.DecodeError, UnicodeDecodeError):
                path.unlink(missing_ok=True)  # a note is written whole or not at all: this is of another version
                continue
            if intake.id == match[1]:
                yield intake

    def _cut(self, intake: Intake) -> Intake:
        """The intake with as many bytes as both the note and the disk know of."""
        part = self.part(intake.id)
        there = part.stat().st_size if part.exists() else 0
        if there > intake.received_bytes:
            os.truncate(part, intake.received_bytes)
        is_moved = not there and intake.source_sha256 and self.original(intake.source_sha256).exists()
        return intake if is_moved or there >= intake.received_bytes else replace(intake, received_bytes=there)
