"""How a unit comes by its certificate and keeps it: what to do next, and when.

A machine without network, keys or clock: whoever runs it does what `next_step` says, tells it with `told` what came of
it, and waits `wait_s`. Times are in milliseconds since 1970, never earlier than the clock floor.

Rules kept: what is worth a second try is tried for ever, ever more seldom; a unit that holds a certificate plays on
whatever enrolment says; renewal begins at two thirds of a certificate's life, each unit at its own moment.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

RENEW_AT: Final = 2 / 3
RENEW_SPREAD: Final = 0.1
"""Part of a certificate's life over which a fleet that was enrolled together renews."""
FIRST_RETRY_S: Final = 3.0
RETRY_S_MAX: Final = 120.0
"""A technician who has put the cable in waits no longer than this."""
WAIT_S_MIN: Final = 1.0
WAIT_S_MAX: Final = 3600.0
"""Whatever a server says, and however far the next renewal: the clock may have been set meanwhile."""


class UnitState(StrEnum):
    """Where a unit stands."""

    NO_KEYS = "no_keys"
    APPLYING = "applying"
    PENDING = "pending"
    DENIED = "denied"
    ENROLLED = "enrolled"
    RENEWING = "renewing"
    EXPIRED = "expired"


class Happening(StrEnum):
    """What came of a step, or of time passing."""

    KEYS_MADE = "keys_made"
    ISSUED = "issued"
    WAIT = "wait"
    DENIED = "denied"
    UNREACHABLE = "unreachable"
    RENEWAL_DUE = "renewal_due"
    ENDED = "ended"


class Todo(StrEnum):
    """What to do now."""

    MAKE_KEYS = "make_keys"
    APPLY = "apply"
    RENEW = "renew"


_S, _H = UnitState, Happening
TRANSITIONS: Final[dict[tuple[UnitState, Happening], UnitState]] = {
    (_S.NO_KEYS, _H.KEYS_MADE): _S.APPLYING,
    (_S.NO_KEYS, _H.UNREACHABLE): _S.NO_KEYS,
    **{
        (state, happening): after
        for state in (_S.APPLYING, _S.PENDING, _S.DENIED)
        for happening, after in (
            (_H.ISSUED, _S.ENROLLED),
            (_H.WAIT, _S.PENDING),
            (_H.DENIED, _S.DENIED),
            (_H.UNREACHABLE, state),
        )
    },
    (_S.ENROLLED, _H.RENEWAL_DUE): _S.RENEWING,
    (_S.ENROLLED, _H.ENDED): _S.EXPIRED,
    **{
        (state, happening): after
        for state in (_S.RENEWING, _S.EXPIRED)
        for happening, after in (
            (_H.ISSUED, _S.ENROLLED),
            (_H.WAIT, state),
            (_H.DENIED, state),
            (_H.UNREACHABLE, state),
        )
    },
    (_S.RENEWING, _H.ENDED): _S.EXPIRED,
}
_TODO: Final = {
    _S.NO_KEYS: Todo.MAKE_KEYS,
    _S.APPLYING: Todo.APPLY,
    _S.PENDING: Todo.APPLY,
    _S.DENIED: Todo.APPLY,
    _S.RENEWING: Todo.RENEW,
    _S.EXPIRED: Todo.APPLY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """From when to when a certificate may be used."""

    not_before_ms: int
    not_after_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What came of a step. `retry_after_s` is the other side's wish, `chance` from 0 to 1 spreads our own."""

    what: Happening
    validity: Validity | None = None
    retry_after_s: float | None = None
    chance: float = 1.0


class UnitEnrolment:
    """One unit. `validity` is that of the certificate it holds; `name` makes its renewal fall on its own moment."""

    def __init__(self, *, has_keys: bool, validity: Validity | None, name: str, now_ms: int) -> None:
        self._name = name
        self._validity = validity
        self._due_ms = now_ms
        self._failures = 0
        self.state = UnitState.ENROLLED if validity else UnitState.APPLYING if has_keys else UnitState.NO_KEYS

    def next_step(self, now_ms: int) -> Todo | None:
        """What to do now; None when it is not time yet."""
        validity = self._validity
        if validity is not None and self.state in {UnitState.ENROLLED, UnitState.RENEWING}:
            if now_ms >= validity.not_after_ms:
                self._go(Happening.ENDED)
            elif self.state is UnitState.ENROLLED and now_ms >= renewal_at_ms(validity, self._name):
                self._go(Happening.RENEWAL_DUE)
        if self.state is UnitState.ENROLLED or now_ms < self._due_ms:
            return None
        return _TODO[self.state]

    def wait_s(self, now_ms: int) -> float:
        """How long until `next_step` may say something else."""
        due_ms = self._due_ms
        if self.state is UnitState.ENROLLED and self._validity is not None:
            due_ms = renewal_at_ms(self._validity, self._name)
        return min(WAIT_S_MAX, max(0.0, (due_ms - now_ms) / 1000))

    def told(self, told: Told, now_ms: int) -> None:
        """What came of the last step."""
        self._go(told.what)
        match told.what:
            case Happening.ISSUED:
                self._validity = told.validity
                self._failures, wait_s = 0, 0.0
            case Happening.UNREACHABLE:
                wait_s = max(WAIT_S_MIN, told.chance * min(RETRY_S_MAX, FIRST_RETRY_S * 2 ** min(self._failures, 16)))
                self._failures += 1
            case Happening.WAIT | Happening.DENIED:
                self._failures = 0
                wait_s = min(WAIT_S_MAX, max(WAIT_S_MIN, told.retry_after_s or RETRY_S_MAX))
            case _:
                wait_s = 0.0
        self._due_ms = now_ms + int(wait_s * 1000)

    def _go(self, happening: Happening) -> None:
        self.state = TRANSITIONS[self.state, happening]


def renewal_at_ms(validity: Validity, name: str) -> int:
    """When to renew: at two thirds of the life, a little earlier or later by what the unit's name makes of it."""
    life_ms = validity.not_after_ms - validity.not_before_ms
    digest = hashlib.sha256(f"{name}/{validity.not_after_ms}".encode()).digest()
    place = int.from_bytes(digest[:4]) / 2**32 - 0.5
    return validity.not_before_ms + int(life_ms * (RENEW_AT + place * RENEW_SPREAD))


def may_be_used(validity: Validity, *, clock_ms: int, floor_ms: int, is_clock_kept: bool, hint_ms: int | None) -> bool:
    """Whether a server's certificate is in its time, for a unit whose own clock may be wrong.

    The clock counts, but for one that reads earlier than the floor. The server's own word is heard only where nothing
    keeps our clock, and never for a time before the floor; nothing else is ever concluded from it.
    """
    times = [max(clock_ms, floor_ms)]
    if not is_clock_kept and hint_ms is not None and hint_ms >= floor_ms:
        times.append(hint_ms)
    return any(validity.not_before_ms <= at_ms < validity.not_after_ms for at_ms in times)
