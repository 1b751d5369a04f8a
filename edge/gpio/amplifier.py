"""The amplifier: who powers it, and from which instant sound may pass.

Alone decides whether the amplifier's pin is on. It leaves to the arbiter who may sound, to the adapter how a
pin is driven.

Rules kept:
- powered only while a session is granted (`demanded`), or for the hold after one, so that two items in a row
  do not make the relay click;
- sound passes only once the amplifier is warm: `sound_from` is the shared instant from which samples may be
  anything but zero, None while it is off;
- where silence is ordered there is no hold (`cut`);
- a fault switches it off from any state, and it is tried again only after `retry_ms`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from protocol.units import NS_PER_MS, MonotonicNs, Now, SharedNs

WARM_UP_MS_DEFAULT: Final = 300
"""Class-D boards for horns unmute 150 to 250 ms after power."""
HOLD_MS_DEFAULT: Final = 2000
"""Longer than the gap between two items of a programme, shorter than what a neighbour would call a hum."""
HOLD_MS_MIN: Final = 1_000
"""What was rendered ahead of the card, and its fade, must still find the amplifier powered."""
RETRY_MS: Final = 5_000
"""A pin that could not be driven is tried again this much later."""


class AmplifierState(StrEnum):
    """The states; the names appear in telemetry."""

    OFF = "off"
    WARMING = "warming"
    ON = "on"
    HOLDING = "holding"


class AmplifierEvent(StrEnum):
    """What moves it."""

    DEMANDED = "demanded"
    WARMED = "warmed"
    RELEASED = "released"
    HELD = "held"
    FAILED = "failed"
    CUT = "cut"


_OFF, _WARMING, _ON, _HOLDING = AmplifierState
TRANSITIONS: Final[dict[tuple[AmplifierState, AmplifierEvent], AmplifierState]] = {
    (_OFF, AmplifierEvent.DEMANDED): _WARMING,
    (_WARMING, AmplifierEvent.WARMED): _ON,
    (_WARMING, AmplifierEvent.RELEASED): _HOLDING,
    (_ON, AmplifierEvent.RELEASED): _HOLDING,
    (_HOLDING, AmplifierEvent.DEMANDED): _ON,
    (_HOLDING, AmplifierEvent.HELD): _OFF,
    **{(state, AmplifierEvent.CUT): _OFF for state in AmplifierState},
    (_OFF, AmplifierEvent.FAILED): _OFF,
    (_WARMING, AmplifierEvent.FAILED): _OFF,
    (_ON, AmplifierEvent.FAILED): _OFF,
    (_HOLDING, AmplifierEvent.FAILED): _OFF,
}
"""Pairs that do not stand here change nothing. Released while warming it is held too: sound that was rendered ahead
is already on its way through the card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AmplifierSettings:
    """How long the board needs to become warm, and how long it stays powered after the last sound."""

    warm_up_ms: int = WARM_UP_MS_DEFAULT
    hold_ms: int = HOLD_MS_DEFAULT


class Amplifier:
    """The state machine; its owner runs `update` at each event and no later than `next_deadline`."""

    def __init__(self, settings: AmplifierSettings) -> None:
        self._settings = settings
        self._state = AmplifierState.OFF
        self._deadline: MonotonicNs | None = None
        self._sound_from: SharedNs | None = None
        self._blocked_until: MonotonicNs | None = None

    @property
    def state(self) -> AmplifierState:
        """Where it is now."""
        return self._state

    @property
    def is_powered(self) -> bool:
        """Whether the pin is on."""
        return self._state is not AmplifierState.OFF

    @property
    def is_blocked(self) -> bool:
        """Whether it waits after a fault."""
        return self._blocked_until is not None

    @property
    def sound_from(self) -> SharedNs | None:
        """The instant from which sound may pass; None while it is off."""
        return self._sound_from

    def next_deadline(self) -> MonotonicNs | None:
        """When warm-up, hold or the pause after a fault ends."""
        return self._deadline if self._state is not AmplifierState.OFF else self._blocked_until

    def update(self, *, is_demanded: bool, now: Now) -> bool:
        """Take in the demand and the time; returns whether the pin must change to `is_powered`."""
        was_powered = self.is_powered
        if self._blocked_until is not None and now.monotonic_ns >= self._blocked_until:
            self._blocked_until = None
        if self._deadline is not None and now.monotonic_ns >= self._deadline:
            is_warming = self._state is AmplifierState.WARMING
            self._move(AmplifierEvent.WARMED if is_warming else AmplifierEvent.HELD, now)
        if is_demanded and self._blocked_until is None:
            self._move(AmplifierEvent.DEMANDED, now)
        elif not is_demanded:
            self._move(AmplifierEvent.RELEASED, now)
        return was_powered != self.is_powered

    def fail(self, now: Now) -> None:
        """The pin could not be driven: off, and a pause before the next attempt."""
        self._move(AmplifierEvent.FAILED, now)
        self._blocked_until = MonotonicNs(now.monotonic_ns + RETRY_MS * NS_PER_MS)

    def cut(self, now: Now) -> bool:
        """Off at once, without the hold: somebody wants silence; returns whether the pin must change."""
        was_powered = self.is_powered
        self._move(AmplifierEvent.CUT, now)
        return was_powered

    def _move(self, event: AmplifierEvent, now: Now) -> None:
        after = TRANSITIONS.get((self._state, event))
        if after is None or after is self._state:
            return
        self._state = after
        wait_ms = {_WARMING: self._settings.warm_up_ms, _HOLDING: self._settings.hold_ms}.get(after)
        self._deadline = None if wait_ms is None else MonotonicNs(now.monotonic_ns + wait_ms * NS_PER_MS)
        if after is _WARMING:
            self._sound_from = SharedNs(now.shared_ns + self._settings.warm_up_ms * NS_PER_MS)
        elif after is _OFF:
            self._sound_from = None
