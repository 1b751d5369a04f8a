"""The life of a sound card, as a table: wanted or not, opening, running, broken, tried again and proving itself.

Duty: says what to do (`CardAction`) when the card is wanted or not, and when the device answers or fails; the
adapter does it. Rules kept: one open at a time; whatever fails is closed before it is opened again; failures are
reported once for a break, success always; the pause between two attempts doubles up to a bound and starts again
short after a success; a card that is not wanted is closed and stays so. A card that failed and opens again plays at
once, but is reported only when it has pulled for a while: a device that opens and takes nothing (a suspended
server, a hanging USB card) would else be reported as well and ill in turns.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

RETRY_MS_FIRST: Final = 250
"""A USB card that was pulled and plugged is back within a second."""
RETRY_MS_MAX: Final = 8_000
"""A card that is missing for good is looked for this often; enumerating costs 100 ms."""


class CardState(StrEnum):
    """Where the card is."""

    CLOSED = "closed"
    OPENING = "opening"
    RUNNING = "running"
    REOPENING = "reopening"
    PROVING = "proving"
    BROKEN = "broken"


class CardInput(StrEnum):
    """What happens to it."""

    START = "start"
    STOP = "stop"
    OPENED = "opened"
    PULLED = "pulled"
    FAILED = "failed"
    RETRY = "retry"


class CardAction(StrEnum):
    """What the adapter has to do."""

    OPEN = "open"
    CLOSE = "close"
    WAIT = "wait"
    REPORT_STARTED = "report_started"
    REPORT_FAILED = "report_failed"


_TRANSITIONS: Final[dict[tuple[CardState, CardInput], tuple[CardState, tuple[CardAction, ...]]]] = {
    (CardState.CLOSED, CardInput.START): (CardState.OPENING, (CardAction.OPEN,)),
    (CardState.OPENING, CardInput.OPENED): (CardState.RUNNING, (CardAction.REPORT_STARTED,)),
    (CardState.OPENING, CardInput.FAILED): (
        CardState.BROKEN,
        (CardAction.CLOSE, CardAction.REPORT_FAILED, CardAction.WAIT),
    ),
    (CardState.OPENING, CardInput.STOP): (CardState.CLOSED, (CardAction.CLOSE,)),
    (CardState.RUNNING, CardInput.FAILED): (
        CardState.BROKEN,
        (CardAction.CLOSE, CardAction.REPORT_FAILED, CardAction.WAIT),
    ),
    (CardState.RUNNING, CardInput.STOP): (CardState.CLOSED, (CardAction.CLOSE,)),
    (CardState.BROKEN, CardInput.RETRY): (CardState.REOPENING, (CardAction.OPEN,)),
    (CardState.BROKEN, CardInput.STOP): (CardState.CLOSED, (CardAction.CLOSE,)),
    (CardState.REOPENING, CardInput.OPENED): (CardState.PROVING, ()),
    (CardState.REOPENING, CardInput.FAILED): (
        CardState.BROKEN,
        (CardAction.CLOSE, CardAction.REPORT_FAILED, CardAction.WAIT),
    ),
    (CardState.REOPENING, CardInput.STOP): (CardState.CLOSED, (CardAction.CLOSE,)),
    (CardState.PROVING, CardInput.PULLED): (CardState.RUNNING, (CardAction.REPORT_STARTED,)),
    (CardState.PROVING, CardInput.FAILED): (
        CardState.BROKEN,
        (CardAction.CLOSE, CardAction.REPORT_FAILED, CardAction.WAIT),
    ),
    (CardState.PROVING, CardInput.STOP): (CardState.CLOSED, (CardAction.CLOSE,)),
}
"""Whatever is not here changes nothing: answers that come late, a second start."""


class CardLife:
    """The state of one card and the pause before its next attempt."""

    def __init__(self) -> None:
        self.state = CardState.CLOSED
        self.failures = 0
        self._retry_ms = RETRY_MS_FIRST
        self._is_reported = False

    @property
    def is_opening(self) -> bool:
        """Whether the device has been asked and has not answered."""
        return self.state in {CardState.OPENING, CardState.REOPENING}

    @property
    def is_open(self) -> bool:
        """Whether the device may pull."""
        return self.state in {CardState.RUNNING, CardState.PROVING}

    @property
    def retry_ms(self) -> int:
        """How long to wait (CardAction.WAIT) before RETRY."""
        return self._retry_ms

    def take(self, happened: CardInput) -> tuple[CardAction, ...]:
        """What to do about it, in order."""
        self.state, actions = _TRANSITIONS.get((self.state, happened), (self.state, ()))
        if happened in {CardInput.START, CardInput.STOP}:
            self._retry_ms = RETRY_MS_FIRST // 2
            self._is_reported = self._is_reported and happened is CardInput.START
        if CardAction.REPORT_STARTED in actions:
            self._retry_ms, self._is_reported = RETRY_MS_FIRST // 2, False
        if CardAction.WAIT in actions:
            self.failures += 1
            self._retry_ms = min(RETRY_MS_MAX, self._retry_ms * 2)
        if CardAction.REPORT_FAILED in actions:
            if self._is_reported:
                return tuple(action for action in actions if action is not CardAction.REPORT_FAILED)
            self._is_reported = True
        return actions
