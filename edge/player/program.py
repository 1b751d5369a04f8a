"""All that could sound on this node: planned items, planned relays, standing emergencies.

Turns accepted documents into `Candidate`s (`protocol.candidate`), values that say what, how important and when, and
answers which of them touch the next moments. Live streams add their own candidates (`edge.streams`). It decides
nothing: which one sounds is the arbiter's business, whether it may sound is the guard's.

Rules kept:
- the plans of the node's area and of every ancestor count together;
- an occurrence that would begin after its plan has expired is a candidate that is stale, so that it is on record;
- a cluster that is aimed takes the air later, by its delay: all instants of a candidate are those of this very horn;
- asking costs only what is near in time: passed occurrences are dropped, later ones are not looked at;
- of an item that is heard in turns, this node's turn is the candidate; an emergency takes the air everywhere at once,
  and is silent until its turn: what it pre-empts would be heard over a neighbour's warning.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge.assignment import Place
from protocol.candidate import Candidate, planned_candidates
from protocol.messages import BroadcastClass, Emergency, Plan, SourceKind
from protocol.turns import shift_ms
from protocol.units import US_PER_MS, SharedMs


def emergency_candidate(document: Emergency, place: Place) -> Candidate:
    """A standing emergency: its clip, again and again, until it is over."""
    aim_us = place.aim_us(BroadcastClass.EMERGENCY)
    aim_ms = aim_us // US_PER_MS
    return Candidate(
        key=f"emergency:{document.emergency}",
        source=SourceKind.EMERGENCY,
        source_id=document.emergency,
        area=document.area,
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


class Program:
    """The merged plans of one node."""

    def __init__(self) -> None:
        self.planned: tuple[Candidate, ...] = ()
        """All that the plans in force say, by its start, what is over included; the same value until they change."""
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
        self.planned, self._until_ms = planned_candidates(tuple(plans), place.areas, place.turn, place.aiming_delay_us)
        self._coming = [candidate for candidate in self.planned if candidate.ends_at_ms > now_ms]

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
