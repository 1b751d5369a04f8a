"""What was due on each cluster, whether anything came back of it or not: pure.

Counts of records know nothing of a cluster that died: its items are in none of them. What was due is therefore counted
by the controller itself, from the plans that stood, as their occurrences begin; aired, missed and "no word yet" add up
to it.

Rules kept: an occurrence is due by the plan that stood when it began, so that one which was taken back before is not,
and one that began before a plan was renewed is; it is due on every cluster below the plan's area that was configured
then, whatever a rule of the place makes of it (a refusal is a record); it counts on the local day on which it begins.
"""

from __future__ import annotations

import zoneinfo
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.records import EmergencyRecord
from controller.reporting.outcome import Slice
from controller.reporting.periods import day_key
from protocol.messages import BroadcastClass, Plan, Reality, SourceKind

Due = Counter[Slice]
"""How many items of each kind were due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A plan as far as it is needed: what begins when, by its begin."""

    counter: int
    from_ms: int
    starts_ms: tuple[int, ...]
    kinds: tuple[tuple[str, str, str], ...]

    def begun(self, after_ms: int, until_ms: int, zone: zoneinfo.ZoneInfo) -> Due:
        """What begins later than one instant and not later than another."""
        first, last = bisect_right(self.starts_ms, after_ms), bisect_right(self.starts_ms, until_ms)
        found = Due()
        for at_ms, (broadcast_class, source, reality) in zip(
            self.starts_ms[first:last], self.kinds[first:last], strict=True
        ):
            day = day_key(at_ms, zone)
            found[Slice(day=day, broadcast_class=broadcast_class, source=source, reality=reality)] += 1
        return found


class Standing:
    """The plans that stood when they were looked at last, one for each area."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def due(self, area: str, plan: Plan | None, *, after_ms: int, until_ms: int, zone: zoneinfo.ZoneInfo) -> Due:
        """What began between two instants by an area's plan; `plan` is the one that stands now."""
        before = self._known.get(area)
        if plan is None:
            self._known.pop(area, None)
            return Due() if before is None else before.begun(after_ms, until_ms, zone)
        if before is not None and before.counter == plan.counter:
            return before.begun(after_ms, until_ms, zone)
        stands = self._known[area] = _known(plan, after_ms)
        if before is None:  # a plan that was renewed while nobody looked still has what was under way
            return stands.begun(after_ms, until_ms, zone)
        change_ms = min(max(stands.from_ms - 1, after_ms), until_ms)
        return before.begun(after_ms, change_ms, zone) + stands.begun(change_ms, until_ms, zone)

    def keep_only(self, areas: Iterable[str]) -> None:
        """Areas that are gone from the configuration are forgotten."""
        kept = set(areas)
        self._known = {area: each for area, each in self._known.items() if area in kept}


def due_of_emergencies(records: Iterable[EmergencyRecord], zone: zoneinfo.ZoneInfo) -> dict[str, Due]:
    """What emergencies and drills meant, by cluster: an emergency names those that it is for."""
    found: dict[str, Due] = {}
    for record in records:
        kind = Slice(
            day=day_key(record.play_at_ms, zone),
            broadcast_class=BroadcastClass.EMERGENCY.value,
            source=SourceKind.EMERGENCY.value,
            reality=Reality(record.reality).value,
        )
        for node in record.expected:
            found.setdefault(node, Due())[kind] += 1
    return found


def due_on(chain: Iterable[str], by_area: Mapping[str, Due], own: Due | None) -> Due:
    """What was due on one cluster: by the plans of its areas, and what it was named for."""
    found = Due() if own is None else Due(own)
    for area in chain:
        if area in by_area:
            found.update(by_area[area])
    return found


def _known(plan: Plan, after_ms: int) -> _Known:
    """What a plan says of the time after an instant, each occurrence once."""
    occurrences = {each.id: each for each in reversed(plan.occurrences)}.values()
    coming = sorted(
        (each for each in occurrences if after_ms < each.start_at_ms < plan.covers_until_ms),
        key=lambda each: each.start_at_ms,
    )
    reality = Reality(plan.reality).value
    return _Known(
        counter=plan.counter,
        from_ms=plan.covers_from_ms,
        starts_ms=tuple(each.start_at_ms for each in coming),
        kinds=tuple(
            (
                BroadcastClass(each.broadcast_class).value,
                (SourceKind.STREAM if each.media is None else SourceKind.MEDIA).value,
                reality,
            )
            for each in coming
        ),
    )
