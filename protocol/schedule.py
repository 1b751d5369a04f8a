"""The plans of an area and of its ancestors as one schedule: central and delegated management at once.

`merge` puts them together, `due` says what should sound at an instant, best first, and `next_change_ms` when
that answer changes. Nothing is resumed and nothing is remembered: what is due follows from the instant alone,
so after an interruption or a restart the right thing sounds. Quiet hours, media and power are not looked at.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from protocol.messages import Occurrence, Plan, Reality
from protocol.priority import Rank, rank
from protocol.units import SharedMs


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """One occurrence with the place that it comes from and how deep that lies; due in [starts_at_ms, ends_at_ms).

    `planned_at_ms` is since when its plan holds: what it begins before that, nobody was told of in time. From
    `valid_until_ms` on it is stale: what its plan would begin only after its own expiry is so from the first.
    """

    occurrence: Occurrence
    area: str
    reality: Reality
    depth: int
    rank: Rank
    planned_at_ms: int = 0
    valid_until_ms: int | None = None

    @property
    def starts_at_ms(self) -> SharedMs:
        """When it begins."""
        return SharedMs(self.occurrence.start_at_ms)

    @property
    def ends_at_ms(self) -> SharedMs:
        """When it is over."""
        return SharedMs(self.occurrence.start_at_ms + self.occurrence.duration_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Merged plans: `items` by their start, `changes_ms` every start and end in order.

    `until_ms` is how far all the plans reach; None when there are none.
    """

    items: tuple[Scheduled, ...] = ()
    starts_ms: tuple[SharedMs, ...] = ()
    changes_ms: tuple[SharedMs, ...] = ()
    longest_ms: int = 0
    until_ms: SharedMs | None = None


def merge(plans: Iterable[Plan], *, areas: Sequence[str]) -> Schedule:
    """One schedule of the plans of `areas`, which runs from a node's own area up to the root.

    Plans of other areas are left out, and so are occurrences outside what their plan covers; one that is under way
    when the cover begins is inside, for a plan is renewed while its items are on air. Of two plans of one area the one
    with the higher counter counts.
    """
    newest: dict[str, Plan] = {}
    for plan in plans:
        if plan.area in areas and (plan.area not in newest or plan.counter > newest[plan.area].counter):
            newest[plan.area] = plan
    items = [
        _scheduled(plan, occurrence, depth=len(areas) - 1 - areas.index(plan.area))
        for plan in newest.values()
        for occurrence in {item.id: item for item in reversed(plan.occurrences)}.values()
        if plan.covers_from_ms < occurrence.start_at_ms + occurrence.duration_ms
        and occurrence.start_at_ms < plan.covers_until_ms
    ]
    items.sort(key=lambda item: (item.starts_at_ms, item.rank))
    return Schedule(
        items=tuple(items),
        starts_ms=tuple(item.starts_at_ms for item in items),
        changes_ms=tuple(sorted({edge for item in items for edge in (item.starts_at_ms, item.ends_at_ms)})),
        longest_ms=max((item.occurrence.duration_ms for item in items), default=0),
        until_ms=min(
            (SharedMs(min(plan.covers_until_ms, plan.expires_at_ms)) for plan in newest.values()), default=None
        ),
    )


def due(schedule: Schedule, now_ms: SharedMs) -> tuple[Scheduled, ...]:
    """What should be sounding at `now_ms`, by rank: the first is the one that sounds if it may and can."""
    first = bisect_right(schedule.starts_ms, now_ms - schedule.longest_ms)
    last = bisect_right(schedule.starts_ms, now_ms)
    return tuple(sorted((s for s in schedule.items[first:last] if s.ends_at_ms > now_ms), key=lambda s: s.rank))


def next_change_ms(schedule: Schedule, now_ms: SharedMs) -> SharedMs | None:
    """The first instant after `now_ms` at which an occurrence begins or ends; None when none does."""
    index = bisect_right(schedule.changes_ms, now_ms)
    return schedule.changes_ms[index] if index < len(schedule.changes_ms) else None


def _scheduled(plan: Plan, occurrence: Occurrence, *, depth: int) -> Scheduled:
    return Scheduled(
        occurrence=occurrence,
        area=plan.area,
        reality=plan.reality,
        depth=depth,
        planned_at_ms=plan.not_before_ms,
        valid_until_ms=_valid_until_ms(plan, occurrence),
        rank=rank(
            occurrence.broadcast_class,
            depth,
            occurrence.start_at_ms,
            occurrence.id,
            reality=plan.reality,
            before_upper=occurrence.before_upper,
        ),
    )


def _valid_until_ms(plan: Plan, occurrence: Occurrence) -> int | None:
    if occurrence.start_at_ms < plan.expires_at_ms:
        return occurrence.valid_until_ms
    return min(plan.expires_at_ms, occurrence.valid_until_ms or plan.expires_at_ms)
