"""Everything that the controller's desk can do; the runtime carries each out without blocking."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from controller.configuration.config import FeedConfig
from controller.errors import RequestError
from controller.records import Change, EmergencyRecord, RelayRecord, SilenceRecord


class Level(StrEnum):
    """How much a note matters to whoever reads the log."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Hand bytes to the broker; an empty retained payload withdraws what stands there."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    expiry_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe:
    """Ask the broker for what nodes send."""

    topics: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Keep these changes, all or none; answered by Committed or CommitFailed, in the order of numbers."""

    number: int
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRelay:
    """Pull a feed and publish it as a stream."""

    relay: RelayRecord
    feed: FeedConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenVoice:
    """Take what somebody says and publish it as a stream."""

    voice: RelayRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseRelay:
    """End the worker of a stream, if it has one; a voice's too."""

    stream: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayRelay:
    """Have the worker of a stream take up another delay where the feed or the speaker pauses."""

    stream: str
    delay_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to a request."""

    ticket: int
    result: EmergencyRecord | RelayRecord | SilenceRecord | RequestError
    is_new: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A decision or a fault, with its reason, for the log."""

    level: Level
    what: str
    reason: str = ""
    facts: dict[str, str | int | float] = field(default_factory=dict)


Effect = Publish | Subscribe | Commit | OpenRelay | OpenVoice | CloseRelay | DelayRelay | Answer | Note
