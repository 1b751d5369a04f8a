"""A plan: the dated occurrences of one area, and the media that they name.

Everybody takes these names from `messages`.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from protocol.attention import ChimeMs, Over
from protocol.document import BroadcastClass, Document, Milliseconds
from protocol.identity import AreaId, DocumentId, MediaHash
from protocol.telemetry import Title
from protocol.turns import Turns, require_room

Duration = Annotated[int, Meta(gt=0, le=24 * 3600 * 1000, description="milliseconds, at most one day")]


class MediaReference(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A media file by its content, with what must be known before it is fetched."""

    sha256: MediaHash
    size_bytes: Annotated[int, Meta(gt=0, le=64 * 1024 * 1024)]
    duration_ms: Duration


class Occurrence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One item at one instant: either a media file or the relay of a feed; a file perhaps in turns, in one round.

    The first `chime_ms` of it (of each turn) are an attention signal, behind which the content begins. `over` says what
    becomes of a programme of lower rank that it interrupts.
    """

    id: DocumentId
    programme: Annotated[str, Meta(max_length=64)]
    title: Title
    broadcast_class: BroadcastClass
    start_at_ms: Milliseconds
    duration_ms: Duration
    media: MediaReference | None = None
    feed: Annotated[str, Meta(max_length=64)] | None = None
    turns: Turns | None = None
    chime_ms: ChimeMs = 0
    over: Over = Over.REPLACE

    def __post_init__(self) -> None:
        """Refuse an item that is neither, or both, and a signal or turns that its time does not hold."""
        if (self.media is None) == (self.feed is None):
            raise ValueError(f"the occurrence {self.id} must name either a media file or a feed")
        if self.turns is not None and self.media is None:
            raise ValueError(f"the occurrence {self.id}: a feed is live and cannot be heard in turns")
        if self.chime_ms >= self.duration_ms:
            raise ValueError(f"the occurrence {self.id}: after a chime of {self.chime_ms} ms no time is left")
        sound_ms = 0 if self.media is None else self.chime_ms + self.media.duration_ms
        require_room(self.turns, sound_ms=sound_ms, round_ms=self.duration_ms, what=f"the occurrence {self.id}")


class Plan(Document, frozen=True, kw_only=True, tag="plan"):
    """The compiled occurrences of one area between two instants; a newer plan replaces it whole."""

    area: AreaId
    covers_from_ms: Milliseconds
    covers_until_ms: Milliseconds
    occurrences: Annotated[tuple[Occurrence, ...], Meta(max_length=512)]
