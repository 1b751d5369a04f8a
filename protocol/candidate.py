"""What could sound on one pole, and between which instants; of plans, the same on the node and in the desk's dry run.

`Candidate` is anything that could sound there: a planned item, a live stream, an emergency. `planned_candidates` makes
them of the plans of the pole's area and of every ancestor, merged (`schedule`), with the pole's own turn and aim. Which
one sounds follows from `order` (`slots`); whether it may, from the place's rules and the node's guard.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from protocol.messages import BroadcastClass, MediaReference, Over, Plan, Reality, SourceKind
from protocol.priority import Rank, rank
from protocol.schedule import Scheduled, merge
from protocol.turns import shift_ms
from protocol.units import US_PER_MS, SharedMs

MERGED_KEPT: Final = 64
"""Merged plans that are kept: a node asks again for the same few whenever a file or a document has come, and a process
of many nodes (a fleet, a simulated province) has some for each village; 50 KB each."""

PLANNED: Final = "plan:"
"""How the keys of planned items begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Something that could sound between two instants.

    `key` is unique on the node. `media` without `stream` plays a clip (again each `repeat_every_ms`);
    `stream` plays live packets; neither is a planned relay, which sounds only through a stream that names it
    as its `occurrence`. `turn_ms` is how much later than it takes the air its sound begins. What is planned in turns
    has the air in its own only; the whole round lies between `round_begins_ms` and `round_ends_ms`. The content begins
    `chime_ms` behind that, after an attention signal; a stream's source has its own. All of it is as many microseconds
    later than its document says as this cluster is aimed (`aim_us`), in whole milliseconds. `before_upper` and
    `valid_until_ms` as in an occurrence. `area`, `programme` and `feed` say whence it comes, for the record,
    and `planned_at_ms` since when that plan holds. A self-test (`is_self_test`) sounds its own sweep, behind all else.
    What `is_voice` is spoken live: it is rendered as late as can be.
    """

    key: str
    source: SourceKind
    source_id: str
    title: str
    broadcast_class: BroadcastClass
    reality: Reality
    depth: int
    starts_at_ms: SharedMs
    ends_at_ms: SharedMs
    media: MediaReference | None = None
    repeat_every_ms: int | None = None
    stream: str | None = None
    occurrence: str | None = None
    turn_ms: int = 0
    round_begins_ms: SharedMs | None = None
    round_ends_ms: SharedMs | None = None
    chime_ms: int = 0
    over: Over = Over.REPLACE
    aim_us: int = 0
    before_upper: bool = False
    valid_until_ms: int | None = None
    area: str = ""
    programme: str = ""
    feed: str | None = None
    planned_at_ms: int = 0
    is_self_test: bool = False
    is_voice: bool = False

    @property
    def aim_ms(self) -> int:
        """By how much the instants here are later than those of the document."""
        return self.aim_us // US_PER_MS

    @property
    def sounds_from_ms(self) -> SharedMs:
        """When its first sample is due on this node."""
        return SharedMs(self.starts_at_ms + self.turn_ms)

    @property
    def is_planned_relay(self) -> bool:
        """Whether this is only the place in the plan that a live stream should fill."""
        return self.media is None and self.stream is None and not self.is_self_test


def planned_key(area: str, occurrence: str) -> str:
    """The key of a planned item, by which a stream that serves a planned relay is matched."""
    return f"{PLANNED}{area}:{occurrence}"


def is_planned(key: str) -> bool:
    """Whether a key is that of a planned item."""
    return key.startswith(PLANNED)


def order(candidate: Candidate) -> Rank:
    """The place of a candidate in the one collision rule; the smallest owns the air."""
    return rank(
        candidate.broadcast_class,
        candidate.depth,
        candidate.starts_at_ms,
        candidate.key,
        reality=candidate.reality,
        before_upper=candidate.before_upper,
    )


@lru_cache(maxsize=MERGED_KEPT)
def planned_candidates(
    plans: tuple[Plan, ...], areas: tuple[str, ...], turn: int, aim_us: int
) -> tuple[tuple[Candidate, ...], SharedMs | None]:
    """All that plans bring to a place of `areas` with a turn and an aim, by its start, and until when they reach."""
    schedule = merge(plans, areas=areas)
    planned = sorted((_planned(item, turn, aim_us) for item in schedule.items), key=lambda each: each.starts_at_ms)
    return tuple(planned), schedule.until_ms


def _planned(item: Scheduled, turn: int, aim_us: int) -> Candidate:
    occurrence = item.occurrence
    turns = occurrence.turns
    begins_ms = SharedMs(item.starts_at_ms + shift_ms(turns, turn))
    ends_ms = item.ends_at_ms
    if turns is not None and occurrence.media is not None:
        ends_ms = SharedMs(begins_ms + occurrence.chime_ms + occurrence.media.duration_ms)
    return Candidate(
        key=planned_key(item.area, occurrence.id),
        source=SourceKind.STREAM if occurrence.media is None else SourceKind.MEDIA,
        source_id=occurrence.id,
        area=item.area,
        programme=occurrence.programme,
        feed=occurrence.feed,
        planned_at_ms=item.planned_at_ms,
        title=occurrence.title,
        broadcast_class=occurrence.broadcast_class,
        reality=item.reality,
        depth=item.depth,
        starts_at_ms=SharedMs(begins_ms + aim_us // US_PER_MS),
        ends_at_ms=SharedMs(ends_ms + aim_us // US_PER_MS),
        aim_us=aim_us,
        media=occurrence.media,
        round_begins_ms=None if turns is None else item.starts_at_ms,
        round_ends_ms=None if turns is None else item.ends_at_ms,
        chime_ms=occurrence.chime_ms,
        over=occurrence.over,
        before_upper=occurrence.before_upper,
        valid_until_ms=item.valid_until_ms,
    )
