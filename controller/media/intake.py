"""One recording on its way into the library: received piece by piece or pulled, judged, kept or refused; pure.

    receiving --whole--> waiting --begin--> working --keep--> kept
    receiving, waiting, working --refuse--> refused
    receiving --cancel--> cancelled
    working --interrupt--> waiting: the process was stopped in the middle

What is written down (`Intake`) is enough to go on after a restart: a pull is resumed, an upload waits for its sender,
what was whole is judged. Rules kept: bytes are appended only where the sender and this side agree how many there are;
never more than was said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from controller.errors import RequestCode, RequestError
from controller.media.catalogue import OriginKind
from controller.media.refusal import Refusal

INTAKES_MAX: Final = 64
"""Unfinished at one time; more is a program that does not finish what it begins."""
INTAKES_OF_ONE_MAX: Final = 32
"""Of one sender: whoever begins many leaves room for the others."""
UNFINISHED_MS_MAX: Final = 3 * 24 * 3600 * 1000
"""An upload of which nothing more has come for so long is forgotten: a weekend without network passes."""
FINISHED_KEPT_MS: Final = 24 * 3600 * 1000
"""How long the outcome can be asked for."""
FINISHED_KEPT_MAX: Final = 500


class IntakeState(StrEnum):
    """How far it is."""

    RECEIVING = "receiving"
    WAITING = "waiting"
    WORKING = "working"
    KEPT = "kept"
    REFUSED = "refused"
    CANCELLED = "cancelled"


FINISHED: Final = frozenset({IntakeState.KEPT, IntakeState.REFUSED, IntakeState.CANCELLED})
TRANSITIONS: Final[Mapping[tuple[IntakeState, str], IntakeState]] = {
    (IntakeState.RECEIVING, "whole"): IntakeState.WAITING,
    (IntakeState.RECEIVING, "cancel"): IntakeState.CANCELLED,
    (IntakeState.RECEIVING, "refuse"): IntakeState.REFUSED,
    (IntakeState.WAITING, "begin"): IntakeState.WORKING,
    (IntakeState.WAITING, "refuse"): IntakeState.REFUSED,
    (IntakeState.WORKING, "keep"): IntakeState.KEPT,
    (IntakeState.WORKING, "refuse"): IntakeState.REFUSED,
    (IntakeState.WORKING, "interrupt"): IntakeState.WAITING,
}


class Intake(msgspec.Struct, frozen=True, kw_only=True):
    """What is written down of it; `received_bytes` is what a power cut cannot take back."""

    id: str
    kind: OriginKind
    area: str
    title: str
    licence: str
    name: str
    by: str
    address: str
    begun_at_ms: int
    changed_at_ms: int
    size_bytes: int = 0
    """As the sender said; 0 where a pull has not heard it yet."""
    expected_sha256: str = ""
    received_bytes: int = 0
    etag: str = ""
    """What the source of a pull calls the version of which these bytes are."""
    source_sha256: str = ""
    measured_ms: int = 0
    state: IntakeState = IntakeState.RECEIVING
    entry: str = ""
    is_new: bool = True
    refusal: Refusal | None = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in FINISHED


def moved(intake: Intake, verb: str, *, at_ms: int, **more: object) -> Intake:
    """The intake after a step; raises RequestError for one that its state does not allow."""
    state = TRANSITIONS.get((intake.state, verb))
    if state is None:
        what = f"bản thu này đang ở trạng thái {intake.state.value} · this recording is {intake.state.value}"
        raise RequestError(RequestCode.CONFLICT, what)
    return msgspec.structs.replace(intake, state=state, changed_at_ms=at_ms, **more)


def require_offset(intake: Intake, offset: int) -> None:
    """Raise RequestError where a sender would leave a hole or send twice."""
    if intake.state is not IntakeState.RECEIVING or intake.kind is not OriginKind.UPLOAD:
        what = f"bản thu này không nhận thêm · this recording takes nothing more, it is {intake.state.value}"
        raise RequestError(RequestCode.CONFLICT, what)
    if offset != intake.received_bytes:
        what = (
            f"đã nhận {intake.received_bytes} byte, hãy gửi tiếp từ đó · {intake.received_bytes} bytes have arrived: "
            f"go on from there, not from {offset}"
        )
        raise RequestError(RequestCode.CONFLICT, what)


def remaining_of(intakes: Iterable[Intake]) -> int:
    """Bytes that may still come: of each sender the largest, for words alone take no disk from the others."""
    largest: dict[str, int] = {}
    for each in intakes:
        if not each.is_finished:
            largest[each.by] = max(largest.get(each.by, 0), each.size_bytes - each.received_bytes)
    return sum(largest.values())


def next_of(intakes: Iterable[Intake], served: Mapping[str, int]) -> Intake | None:
    """What is judged next: of those that wait, the first of the sender whose turn (`served`) was longest ago."""
    waiting = (each for each in intakes if each.state is IntakeState.WAITING)
    return min(waiting, key=lambda each: (served.get(each.by, 0), each.changed_at_ms), default=None)


def is_stale(intake: Intake, now_ms: int) -> bool:
    """Whether it is to be forgotten: finished long ago, or begun and left."""
    kept_ms = FINISHED_KEPT_MS if intake.is_finished else UNFINISHED_MS_MAX
    is_left = intake.is_finished or (intake.state is IntakeState.RECEIVING and intake.kind is OriginKind.UPLOAD)
    return is_left and now_ms - intake.changed_at_ms > kept_ms
