"""The programmes of an area become one plan's occurrences, and these fit one message or travel as a body; pure.

When a programme begins and what its occurrences are called is `programmes.occurrences`' subject. Which of two
occurrences sounds is the node's decision; `dry_run` says it beforehand.

Rules kept: what fits one message stands in it, so that nodes of every version take it; what does not goes whole into a
body by its hash (`protocol.plan_body`); only what not even a body holds is cut, in time, and said so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from controller.programmes.holidays import VIET_NAM, Holidays
from controller.programmes.occurrences import occurrences_of
from controller.programmes.programme import ReadyProgramme
from protocol.errors import LocalProtocolError
from protocol.messages import DOCUMENT_BYTES_MAX, BroadcastClass, Occurrence
from protocol.plan import BODY_OCCURRENCES_MAX, BodyReference
from protocol.plan_body import encode_body
from protocol.units import SharedMs

DAY_MS: Final = 24 * 3600 * 1000
COVERED_MS_MIN: Final = 7 * DAY_MS
"""A node must have at least this much ahead (protocol: a plan covers 7 days)."""
COMPILED_MS: Final = 8 * DAY_MS
"""Compiled each time: one day more than needed, so that a plan is renewed once a day."""
INLINE_OCCURRENCES_MAX: Final = 512
"""What nodes from before there were bodies take in one message."""
PLAN_FRAME_BYTES: Final = 700
"""Upper bound of what a plan and its envelope need besides its occurrences."""
OCCURRENCE_BYTES: Final = 320
"""Upper bound of what an occurrence needs besides its texts: names of fields, numbers, a file's reference, turns."""
CUT_PARTS: Final = 8
"""What no body holds is made an eighth shorter, until one does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """The occurrences of one area until an instant, and how they travel.

    With a `body` they stand in `content`, else in the plan itself; `is_cut` where not all of the wanted time fits.
    """

    occurrences: tuple[Occurrence, ...]
    covers_until_ms: SharedMs
    is_cut: bool
    body: BodyReference | None = None
    content: bytes = b""

    @property
    def inline(self) -> tuple[Occurrence, ...]:
        """What stands in the plan itself."""
        return self.occurrences if self.body is None else ()

    @property
    def broadcast_class(self) -> BroadcastClass:
        """The plan's own: the highest of its occurrences'."""
        is_any = any(each.broadcast_class is BroadcastClass.PRIORITY for each in self.occurrences)
        return BroadcastClass.PRIORITY if is_any else BroadcastClass.ROUTINE


def compile_area(
    programmes: Iterable[ReadyProgramme],
    *,
    time_zone: str,
    now_ms: SharedMs,
    for_ms: int = COMPILED_MS,
    holidays: Holidays = VIET_NAM,
) -> Compiled:
    """Everything of an area that is running or begins within `for_ms`."""
    until_ms = SharedMs(now_ms + for_ms)
    found = [
        occurrence
        for programme in programmes
        for occurrence in occurrences_of(
            programme, time_zone=time_zone, from_ms=now_ms, until_ms=until_ms, holidays=holidays
        )
    ]
    found.sort(key=_by_begin)
    if _fits_message(found):
        return Compiled(occurrences=tuple(found), covers_until_ms=until_ms, is_cut=False)
    wanted = len(found)
    fitting = min(wanted, _whole_begins(found, BODY_OCCURRENCES_MAX))
    while True:
        try:
            body, content = encode_body(found[:fitting])
            break
        except LocalProtocolError:
            fitting = _whole_begins(found, fitting - max(1, fitting // CUT_PARTS))
    return Compiled(
        occurrences=tuple(found[:fitting]),
        covers_until_ms=until_ms if fitting == wanted else SharedMs(found[fitting].start_at_ms),
        is_cut=fitting < wanted,
        body=body,
        content=content,
    )


def same_until(one: Sequence[Occurrence], other: Sequence[Occurrence], *, from_ms: int, until_ms: int) -> bool:
    """Whether two plans agree on what begins between two instants or is running at the first."""
    return window(one, from_ms=from_ms, until_ms=until_ms) == window(other, from_ms=from_ms, until_ms=until_ms)


def window(occurrences: Iterable[Occurrence], *, from_ms: int, until_ms: int) -> list[Occurrence]:
    """What begins between two instants, or is running at the first."""
    return [
        each for each in occurrences if each.start_at_ms + each.duration_ms > from_ms and each.start_at_ms < until_ms
    ]


def _by_begin(occurrence: Occurrence) -> tuple[int, str]:
    return occurrence.start_at_ms, occurrence.id


def _fits_message(occurrences: Sequence[Occurrence]) -> bool:
    """Whether one message surely holds all of them; judged by bounds, for encoding a province would take a minute."""
    if len(occurrences) > INLINE_OCCURRENCES_MAX:
        return False
    room = DOCUMENT_BYTES_MAX - PLAN_FRAME_BYTES
    for each in occurrences:
        texts = len(each.id) + len(each.programme.encode()) + len(each.title.encode()) + len((each.feed or "").encode())
        room -= OCCURRENCE_BYTES + texts
        if room < 0:
            return False
    return True


def _whole_begins(occurrences: Sequence[Occurrence], count: int) -> int:
    """The most of the first `count` that does not split those that begin together; at least one."""
    while 1 < count < len(occurrences) and occurrences[count - 1].start_at_ms == occurrences[count].start_at_ms:
        count -= 1
    return max(1, count)
