"""What became of one item on one cluster, made of all records of it that are stored: the unit that reports count.

An item is a programme's occurrence, a stream or an emergency, known by its source id. Its records come in any order:
late, twice, back-filled after a week, a miss before a late start. Counts are therefore never added to by a record: they
are changed by the difference between what the item's records said before and say now (`difference`), so that any order
gives the same counts. Pure; which records belong to an item is the store's question.

Rules kept:
- aired is what began to sound, however late and however short; missed is what never did, with the reason of its last
  record; an item is one of the two;
- delivered is what was on the cluster when it was due, whether it then sounded or not;
- whole is what was heard to a regular end without having left the air in between;
- an item counts on the local day on which it was due; where nobody says when that was, on that of its first record; a
  record of a time that the node did not know counts on the day on which it came in;
- heard and not heard are what a sensor judged; where none could, an item is neither;
- a step that is on record twice counts once.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from controller.reporting.periods import day_key
from protocol.messages import AiringRecord, AiringState, BroadcastClass, Reality, SourceKind

COUNTS: Final = (
    "items",
    "aired",
    "missed",
    "whole",
    "timed",
    "punctual",
    "delivered",
    "heard",
    "unheard",
    "audible_ms",
    "lost_ms",
)
"""What is counted of items; `timed` are those whose start can be judged, `punctual` those that began in time."""
PUNCTUAL_MS: Final = 1_000
"""An item that begins within this of its instant is punctual: the project's own target for a start."""
UNTRUSTED_MS: Final = 12 * 3600 * 1000
"""A record's time that may be wrong by more than half a day does not say on which day it was."""
STEPS_MAX: Final = 400
"""Records of one item that are looked at, the first that came: a relay that breaks off every minute of a night. What
comes beyond is kept as proof and no longer counted."""
ITEM_MS_MAX: Final = 31 * 24 * 3600 * 1000
"""More sound of one airing than this is nonsense and counts as this; a sum stays far below 2**63."""
OTHER: Final = "other"
_REASON: Final = re.compile(r"[a-z][a-z_]{0,39}\Z", re.ASCII)
_REGULAR_ENDS: Final = {"finished", "stopped", "all_clear", "correction", "expired"}


@dataclass(frozen=True, slots=True)
class Noted:
    """A stored record of an item, and when it came in."""

    record: AiringRecord
    received_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Where an item counts; `day` as 20261122."""

    day: int
    broadcast_class: str
    source: str
    reality: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an item adds to its slice: `counts` as COUNTS names them; `reason` of a miss, or "" where it aired."""

    slice: Slice
    counts: tuple[int, ...]
    reason: str


def outcome_of(noted: Iterable[Noted], zone: zoneinfo.ZoneInfo) -> Outcome | None:
    """What became of the item of these records; None of none."""
    steps = _steps(noted)
    if not steps:
        return None
    first = steps[0].record
    records = [each.record for each in steps]
    begun = [each for each in records if each.state in {AiringState.STARTED, AiringState.FINISHED}]
    ended = [each for each in records if each.state is AiringState.FINISHED]
    verdicts = [each.heard.is_heard for each in ended if each.heard is not None and each.heard.is_heard is not None]
    late_ms = _late_ms(records)
    counts = {
        "items": 1,
        "aired": bool(begun),
        "missed": not begun,
        "whole": _is_whole(begun, ended),
        "timed": late_ms is not None,
        "punctual": late_ms is not None and abs(late_ms) <= PUNCTUAL_MS,
        "delivered": bool(begun) or any(each.is_delivered for each in records),
        "heard": any(verdicts),
        "unheard": bool(verdicts) and not any(verdicts),
        "audible_ms": sum(min(each.audible_ms, ITEM_MS_MAX) for each in ended),
        "lost_ms": sum(min(each.concealed_ms + each.silent_ms, ITEM_MS_MAX) for each in ended),
    }
    return Outcome(
        slice=Slice(
            day=min(_day(each, zone) for each in steps),
            broadcast_class=BroadcastClass(first.broadcast_class).value,
            source=SourceKind(first.source).value,
            reality=Reality(first.reality).value,
        ),
        counts=tuple(int(counts[name]) for name in COUNTS),
        reason="" if begun else plain_reason(records[-1].reason),
    )


def difference(before: Outcome | None, after: Outcome | None) -> Iterator[tuple[Slice, str, tuple[int, ...]]]:
    """What is to be added where, so that an item counts as it stands now: slice, reason of a miss, counts."""
    if before == after:
        return
    if before is not None:
        yield before.slice, before.reason, tuple(-each for each in before.counts)
    if after is not None:
        yield after.slice, after.reason, after.counts


def plain_reason(reason: str) -> str:
    """A reason that can be counted by; whatever else a node writes is `other`."""
    return reason if _REASON.match(reason) else OTHER


def _steps(noted: Iterable[Noted]) -> list[Noted]:
    """Each step once, in an order that does not depend on how they came."""
    ordered = sorted(noted, key=_place)
    kept: dict[tuple[str, str], Noted] = {}
    for each in ordered:
        kept.setdefault((each.record.airing, each.record.state.value), each)
    return list(kept.values())


def _place(noted: Noted) -> tuple[int, str, int, bytes]:
    """Where a step stands among the others: no two that differ stand at the same place."""
    record = noted.record
    return record.at_ms, record.airing, noted.received_at_ms, msgspec.json.encode(record)


def _is_whole(begun: list[AiringRecord], ended: list[AiringRecord]) -> bool:
    airings = {each.airing for each in begun}
    return len(airings) == 1 and len(ended) == 1 and ended[0].reason in _REGULAR_ENDS and not ended[0].interruptions


def _late_ms(records: list[AiringRecord]) -> int | None:
    """How much later than due an item first began to sound; None where that is not known."""
    started = [each for each in records if each.state is AiringState.STARTED]
    if not started or started[0].due_at_ms is None or started[0].clock_error_ms > PUNCTUAL_MS:
        return None
    return started[0].at_ms - started[0].due_at_ms


def day_of(at_ms: int, *, clock_error_ms: float, received_at_ms: int, zone: zoneinfo.ZoneInfo) -> int:
    """The local day of what a node says of an instant; of its arrival where the node did not know the time."""
    try:
        return day_key(at_ms if clock_error_ms < UNTRUSTED_MS else received_at_ms, zone)
    except (OverflowError, ValueError, OSError):  # beyond the year 9999
        return day_key(received_at_ms, zone)


def _day(noted: Noted, zone: zoneinfo.ZoneInfo) -> int:
    record = noted.record
    if record.due_at_ms is not None:
        return day_of(record.due_at_ms, clock_error_ms=0.0, received_at_ms=noted.received_at_ms, zone=zone)
    error_ms = record.clock_error_ms
    return day_of(record.at_ms, clock_error_ms=error_ms, received_at_ms=noted.received_at_ms, zone=zone)
