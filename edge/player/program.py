"""All that could sound on this node: planned items, planned relays, standing emergencies.

Turns accepted documents into `Candidate`s, values that say what, how important and when, and answers which of
them touch the next moments. Live streams add their own candidates (`edge.streams`). It decides nothing:
which one sounds is the arbiter's business, whether it may sound is the guard's.

Rules kept:
- the plans of the node's area and of every ancestor count together;
- an occurrence that would begin after its plan has expired is no candidate;
- a cluster that is aimed takes the air later, by its delay: all instants of a candidate are those of this very horn;
- asking costs only what is near in time: passed occurrences are dropped, later ones are not looked at;
- of an item that is heard in turns, this node's turn is the candidate; an emergency takes the air everywhere at once,
  and is silent until its turn: what it pre-empts would be heard over a neighbour's warning.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import msgspec

from edge.assignment import Place
from protocol.messages import BroadcastClass, Emergency, MediaReference, Over, Plan, Reality, SourceKind
from protocol.schedule import Scheduled, merge
from protocol.turns import shift_ms
from protocol.units import US_PER_MS, SharedMs

MERGED_KEPT: Final = 64
"""Merged plans that are kept: a node asks again for the same few whenever a file or a document has come, and a process
of many nodes (a fleet, a simulated province) has some for each village; 50 KB each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Something that could sound between two instants.

    `key` is unique on the node. `media` without `stream` plays a clip (again each `repeat_every_ms`);
    `stream` plays live packets; neither is a planned relay, which sounds only through a stream that names it
    as its `occurrence`. `turn_ms` is how much later than it takes the air its sound begins. What is planned in turns
    has the air in its own only; the whole round lies between `round_begins_ms` and `round_ends_ms`. The content begins
    `chime_ms` behind that, after an attention signal; a stream's source has its own. All of it is as many microseconds
    later than its document says as this cluster is aimed (`aim_us`), in whole milliseconds.
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
        return self.media is None and self.stream is None


def emergency_candidate(document: Emergency, place: Place) -> Candidate:
    """A standing emergency: its clip, again and again, until it is over."""
    aim_us = place.aim_us(BroadcastClass.EMERGENCY)
    aim_ms = aim_us // US_PER_MS
    return Candidate(
        key=f"emergency:{document.emergency}",
        source=SourceKind.EMERGENCY,
        source_id=document.emergency,
        title=document.title,
        broadcast_class=BroadcastClass.EMERGENCY,
        reality=document.reality,
        depth=place.depth(document.area),
        starts_at_ms=SharedMs(document.play_at_ms + aim_ms),
        ends_at_ms=SharedMs(document.sounds_until_ms + aim_ms),
        aim_us=aim_us,
        media=document.clip,
        repeat_every_ms=document.repeat_every_ms,
        turn_ms=shift_ms(document.turns, place.turn),
        chime_ms=document.chime_ms,
    )


def planned_key(area: str, occurrence: str) -> str:
    """The key of a planned item, by which a stream that serves a planned relay is matched."""
    return f"plan:{area}:{occurrence}"


class Program:
    """The merged plans of one node."""

    def __init__(self) -> None:
        self._coming: list[Candidate] = []
        self._until_ms: SharedMs | None = None

    @property
    def until_ms(self) -> SharedMs | None:
        """Until when the node knows what to play; None without a plan."""
        return self._until_ms

    @property
    def coming(self) -> tuple[Candidate, ...]:
        """What is not over yet, by its start."""
        return tuple(self._coming)

    def replace(self, plans: Iterable[Plan], place: Place, now_ms: SharedMs) -> None:
        """Take in the plans that hold now; they replace all that was known."""
        planned, self._until_ms = _merged(tuple(plans), place.areas, place.turn, place.aiming_delay_us)
        self._coming = [candidate for candidate in planned if candidate.ends_at_ms > now_ms]

    def window(self, now_ms: SharedMs, horizon_ms: int) -> tuple[Candidate, ...]:
        """What touches the time from now to `horizon_ms` ahead; drops what is over."""
        found: list[Candidate] = []
        is_some_over = False
        for candidate in self._coming:
            if candidate.starts_at_ms > now_ms + horizon_ms:
                break
            if candidate.ends_at_ms > now_ms:
                found.append(candidate)
            else:
                is_some_over = True
        if is_some_over:
            self._coming = [candidate for candidate in self._coming if candidate.ends_at_ms > now_ms]
        return tuple(found)

    def next_start_ms(self, after_ms: int) -> SharedMs | None:
        """When the first occurrence begins that begins after an instant."""
        for candidate in self._coming:
            if candidate.starts_at_ms > after_ms:
                return candidate.starts_at_ms
        return None


@lru_cache(maxsize=MERGED_KEPT)
def _merged(
    plans: tuple[Plan, ...], areas: tuple[str, ...], turn: int, aim_us: int
) -> tuple[tuple[Candidate, ...], SharedMs | None]:
    """All that plans bring to a place of `areas` with a turn and an aim, by its start, and until when they reach."""
    bounded = [
        msgspec.structs.replace(plan, covers_until_ms=min(plan.covers_until_ms, plan.expires_at_ms)) for plan in plans
    ]
    schedule = merge(bounded, areas=areas)
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
        title=occurrence.title,
        broadcast_class=occurrence.broadcast_class,
        reality=item.reality,
        depth=item.rank.area_depth,
        starts_at_ms=SharedMs(begins_ms + aim_us // US_PER_MS),
        ends_at_ms=SharedMs(ends_ms + aim_us // US_PER_MS),
        aim_us=aim_us,
        media=occurrence.media,
        round_begins_ms=None if turns is None else item.starts_at_ms,
        round_ends_ms=None if turns is None else item.ends_at_ms,
        chime_ms=occurrence.chime_ms,
        over=occurrence.over,
    )
