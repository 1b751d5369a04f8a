"""A plan: the dated occurrences of one area, and the media that they name.

A plan that is too large for one message travels in two parts: the signed document names its body by hash and size, and
says what the body may hold at most (`BodyReference`); the body itself is fetched like media (`plan_body`).
Everybody takes these names from `messages`.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from protocol.attention import ChimeMs, Over
from protocol.document import BroadcastClass, Document, Milliseconds
from protocol.identity import AreaId, DocumentId, MediaHash
from protocol.telemetry import Title
from protocol.turns import Turns, require_room

PLAN_BODY_BYTES_MAX: Final = 128 * 1024
"""Of a node's reserved 4 MiB the bodies of a place and seven above it take a quarter; a commune needs 32 kB."""
BODY_OCCURRENCES_MAX: Final = 4096
"""Items of 20 programmes of 25 items on each of 8 days; some 2 MB in a node's memory."""
Duration = Annotated[int, Meta(gt=0, le=24 * 3600 * 1000, description="milliseconds, at most one day")]


class MediaReference(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A media file by its content, with what must be known before it is fetched."""

    sha256: MediaHash
    size_bytes: Annotated[int, Meta(gt=0, le=64 * 1024 * 1024)]
    duration_ms: Duration


class Occurrence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One item at one instant: either a media file or the relay of a feed; a file perhaps in turns, in one round.

    The first `chime_ms` of it (of each turn) are an attention signal, behind which the content begins. `over` says what
    becomes of a programme of lower rank that it interrupts. A priority item with `before_upper` goes before priority
    items of the areas above its own, as its own area has ordered (Circular 39/2020/TT-BTTTT).
    From `valid_until_ms` on it is stale: it does not begin, and what of it sounds ends there.
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
    before_upper: bool = False
    valid_until_ms: Milliseconds | None = None

    def __post_init__(self) -> None:
        """Refuse an item that is neither, or both, and a signal or turns that its time does not hold."""
        if (self.media is None) == (self.feed is None):
            raise ValueError(f"the occurrence {self.id} must name either a media file or a feed")
        if self.turns is not None and self.media is None:
            raise ValueError(f"the occurrence {self.id}: a feed is live and cannot be heard in turns")
        if self.chime_ms >= self.duration_ms:
            raise ValueError(f"the occurrence {self.id}: after a chime of {self.chime_ms} ms no time is left")
        sound_ms = 0 if self.media is None else self.chime_ms + self.media.duration_ms
        if self.turns is not None:
            require_room(self.turns, sound_ms=sound_ms, round_ms=self.duration_ms, what=f"the occurrence {self.id}")
        if self.before_upper and self.broadcast_class is not BroadcastClass.PRIORITY:
            raise ValueError(f"the occurrence {self.id}: only a priority item may go before those of areas above")


class BodyReference(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan's body by its content, and bounds of what it holds, which stand in what is signed.

    Whoever judges the signature alone (a key's scope, the signer) judges by these; a body that goes beyond them is
    refused. `ends_at_ms`: its last occurrence is over by then.
    """

    sha256: MediaHash
    size_bytes: Annotated[int, Meta(gt=0, le=PLAN_BODY_BYTES_MAX)]
    occurrences: Annotated[int, Meta(gt=0, le=BODY_OCCURRENCES_MAX)]
    classes: Annotated[tuple[BroadcastClass, ...], Meta(min_length=1, max_length=3)]
    ends_at_ms: Milliseconds


Fetchable = MediaReference | BodyReference
"""What is fetched by its hash."""


class Plan(Document, frozen=True, kw_only=True, tag="plan", omit_defaults=True):
    """The compiled occurrences of one area between two instants; a newer plan replaces it whole.

    With a `body` the occurrences stand there, and none in the signed document.
    """

    area: AreaId
    covers_from_ms: Milliseconds
    covers_until_ms: Milliseconds
    occurrences: Annotated[tuple[Occurrence, ...], Meta(max_length=BODY_OCCURRENCES_MAX)]
    body: BodyReference | None = None

    @property
    def latest_ms(self) -> int:
        """When the last of all that it lets sound is over."""
        named_ms = 0 if self.body is None else self.body.ends_at_ms
        return max((named_ms, *(each.start_at_ms + each.duration_ms for each in self.occurrences)))

    @property
    def classes(self) -> frozenset[BroadcastClass]:
        """Every class that it lets sound, whatever it says of itself."""
        named = () if self.body is None else self.body.classes
        return frozenset((self.broadcast_class, *named, *(each.broadcast_class for each in self.occurrences)))
