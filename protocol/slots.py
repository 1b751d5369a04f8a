"""Who is on the air at each instant of a stretch of time; pure, the same on the node and in the desk's dry run.

Of the candidates that are due and not blocked the best-ranked owns the air (`candidate.order`). Where the owner speaks
over a bed, the programme that would own the air without such speech goes on below it; there is at most one bed, and
what blocks a candidate blocks it as a bed too. It leaves to its caller what blocks, to the node how a change sounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from protocol.candidate import Candidate, order
from protocol.messages import BroadcastClass, Over
from protocol.units import SharedMs


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """When a candidate is on the air without interruption: its owner, or in spans of `bed` below another's speech."""

    candidate: Candidate
    from_ms: SharedMs
    until_ms: SharedMs
    bed: tuple[tuple[SharedMs, SharedMs], ...] = ()


Obstacle = Callable[[Candidate, SharedMs], object | None]
"""What keeps a candidate from sounding at an instant; None when nothing does."""


def slots_of(
    candidates: Sequence[Candidate],
    *,
    blocked: Obstacle,
    now_ms: SharedMs,
    horizon_ms: int,
    changes_ms: Iterable[SharedMs] = (),
) -> tuple[Slot, ...]:
    """Who is on the air from now to the horizon, in order, of one instant the owner first; nobody has no slot.

    `changes_ms` are further instants at which `blocked` may answer differently (quiet hours begin or end).
    """
    if not candidates:
        return ()
    end_ms = now_ms + horizon_ms
    instants = {now_ms}
    for candidate in candidates:
        instants |= {candidate.starts_at_ms, candidate.ends_at_ms}
    instants |= set(changes_ms)
    edges = sorted(instant for instant in instants if now_ms <= instant < end_ms)
    found: list[Slot] = []
    latest: dict[str, int] = {}
    for index, from_ms in enumerate(edges):
        owner, bed = on_air(candidates, blocked, from_ms)
        if owner is None:
            continue
        is_last = index + 1 == len(edges)
        until_ms = owner.ends_at_ms if is_last else edges[index + 1]
        _extend(found, latest, Slot(candidate=owner, from_ms=from_ms, until_ms=until_ms))
        if bed is not None:
            over = ((from_ms, min(until_ms, bed.ends_at_ms)),)
            until_ms = bed.ends_at_ms if is_last else until_ms
            _extend(found, latest, Slot(candidate=bed, from_ms=from_ms, until_ms=until_ms, bed=over))
    return tuple(found)


def follower(slot: Slot, slots: Iterable[Slot]) -> Candidate | None:
    """Who comes on the air where a slot ends; of two their owner."""
    return next((each.candidate for each in slots if each.from_ms == slot.until_ms), None)


def predecessor(slot: Slot, slots: Iterable[Slot]) -> Candidate | None:
    """Who leaves the air where a slot begins."""
    return next((each.candidate for each in slots if each.until_ms == slot.from_ms), None)


def _extend(found: list[Slot], latest: dict[str, int], slot: Slot) -> None:
    """Add a slot, or make the candidate's last one longer if it reaches this one."""
    place = latest.get(slot.candidate.key)
    last = None if place is None else found[place]
    if place is None or last is None or last.until_ms != slot.from_ms:
        latest[slot.candidate.key] = len(found)
        found.append(slot)
        return
    bed = last.bed
    if slot.bed and bed and bed[-1][1] == slot.bed[0][0]:
        bed = (*bed[:-1], (bed[-1][0], slot.bed[0][1]))
    else:
        bed += slot.bed
    found[place] = Slot(candidate=slot.candidate, from_ms=last.from_ms, until_ms=slot.until_ms, bed=bed)


def on_air(
    candidates: Iterable[Candidate], blocked: Obstacle, at_ms: SharedMs
) -> tuple[Candidate | None, Candidate | None]:
    """Who owns the air at an instant, and what goes on below it."""
    due = [
        candidate
        for candidate in candidates
        if candidate.starts_at_ms <= at_ms < candidate.ends_at_ms and blocked(candidate, at_ms) is None
    ]
    owner = min(due, key=order, default=None)
    if owner is None or not is_over_a_bed(owner):
        return owner, None
    bed = min((each for each in due if not is_over_a_bed(each)), key=order, default=None)
    return owner, bed if bed is not None and can_be_bed(bed) else None


def is_over_a_bed(candidate: Candidate) -> bool:
    """Whether a programme may go on below it."""
    return candidate.over is Over.DUCK and candidate.broadcast_class is not BroadcastClass.EMERGENCY


def can_be_bed(candidate: Candidate) -> bool:
    """Whether it may go on below speech."""
    return candidate.over is not Over.DUCK and candidate.broadcast_class is not BroadcastClass.EMERGENCY
