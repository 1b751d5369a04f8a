"""The stop button on the pole: what a press means, whatever its contact does.

Decides from raw levels when the button was pressed, held and let go, and until when the node stays silent for it. It
leaves to the guard what may sound meanwhile, to the adapter how a pin is read.

Rules kept:
- a level counts once it has stood for the bounce time; shorter ones are contact bounce and lightning;
- each press stops what sounds and begins the silence anew; holding a press that was made *during* a silence ends it,
  so that the first press, however long, never does;
- a button that was down when the node started, or that never comes up, stops nothing: its contact is welded or its
  wire is cut, which is a fault and no wish.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from protocol.units import NS_PER_MS, MonotonicNs, Now

BOUNCE_MS_DEFAULT: Final = 30
"""Push buttons bounce for 1 to 10 ms; a hand is slower than this by far."""
SILENT_MINUTES_DEFAULT: Final = 10
HOLD_MS: Final = 3_000
"""How long a press during a silence must last to end it."""
STUCK_MS: Final = 60_000
"""Nobody holds a button longer: its contact is welded, or its wire is cut."""
MS_PER_MINUTE: Final = 60_000


class ButtonState(StrEnum):
    """Where the button is."""

    UP = "up"
    DOWN = "down"
    HELD = "held"
    STUCK = "stuck"


class ButtonEvent(StrEnum):
    """What moves it: a level that has stood, or time."""

    PRESSED = "pressed"
    LET_GO = "let_go"
    HOLD_OVER = "hold_over"
    STUCK_OVER = "stuck_over"


_UP, _DOWN, _HELD, _STUCK = ButtonState
TRANSITIONS: Final[dict[tuple[ButtonState, ButtonEvent], ButtonState]] = {
    (_UP, ButtonEvent.PRESSED): _DOWN,
    (_DOWN, ButtonEvent.HOLD_OVER): _HELD,
    (_HELD, ButtonEvent.STUCK_OVER): _STUCK,
    (_DOWN, ButtonEvent.LET_GO): _UP,
    (_HELD, ButtonEvent.LET_GO): _UP,
    (_STUCK, ButtonEvent.LET_GO): _UP,
}
"""Pairs that do not stand here change nothing."""


class ButtonNews(StrEnum):
    """What the node must know."""

    STOPPED = "stopped"
    RESUMED = "resumed"
    TIME_UP = "time_up"
    STUCK = "stuck"
    FREE = "free"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopButtonSettings:
    """How long a level must stand, and how long a press silences."""

    bounce_ms: int = BOUNCE_MS_DEFAULT
    silent_minutes: int = SILENT_MINUTES_DEFAULT


class StopButton:
    """The state machine; its owner tells it raw levels and runs `update` at each event and at `next_deadline`."""

    def __init__(self, settings: StopButtonSettings) -> None:
        self.state = ButtonState.UP
        self._settings = settings
        self._level = False
        self._level_since: MonotonicNs | None = None
        self._pressed_at: MonotonicNs | None = None
        self._may_resume = False
        self._silent_until: MonotonicNs | None = None

    @property
    def is_silencing(self) -> bool:
        """Whether a press still holds."""
        return self._silent_until is not None

    def found(self, *, is_pressed: bool) -> None:
        """The level at the start: a button that is down already has not been pressed."""
        self._level = is_pressed
        self.state = ButtonState.STUCK if is_pressed else ButtonState.UP

    def moved(self, *, is_pressed: bool, now: Now) -> None:
        """The contact's raw level has changed."""
        if is_pressed != self._level:
            self._level, self._level_since = is_pressed, now.monotonic_ns

    def update(self, now: Now) -> tuple[ButtonNews, ...]:
        """What has come of it by now, in order."""
        news: list[ButtonNews] = []
        stands_at = self._stands_at()
        if stands_at is not None and now.monotonic_ns >= stands_at:
            self._level_since = None
            news += self._move(ButtonEvent.PRESSED if self._level else ButtonEvent.LET_GO, now)
        for event, wait_ms in ((ButtonEvent.HOLD_OVER, HOLD_MS), (ButtonEvent.STUCK_OVER, STUCK_MS)):
            if self._pressed_at is not None and now.monotonic_ns >= self._pressed_at + wait_ms * NS_PER_MS:
                news += self._move(event, now)
        if self._silent_until is not None and now.monotonic_ns >= self._silent_until:
            self._silent_until = None
            news.append(ButtonNews.TIME_UP)
        return tuple(news)

    def next_deadline(self) -> MonotonicNs | None:
        """When `update` has something to do."""
        wait_ms = {_DOWN: HOLD_MS, _HELD: STUCK_MS}.get(self.state)
        waits = [self._stands_at(), self._silent_until]
        if wait_ms is not None and self._pressed_at is not None:
            waits.append(MonotonicNs(self._pressed_at + wait_ms * NS_PER_MS))
        return min([each for each in waits if each is not None], default=None)

    def _stands_at(self) -> MonotonicNs | None:
        """When the latest raw level will have stood long enough."""
        since = self._level_since
        return None if since is None else MonotonicNs(since + self._settings.bounce_ms * NS_PER_MS)

    def _move(self, event: ButtonEvent, now: Now) -> tuple[ButtonNews, ...]:
        before, after = self.state, TRANSITIONS.get((self.state, event), self.state)
        self.state = after
        if after is before:
            return ()
        match after:
            case ButtonState.DOWN:
                self._pressed_at, self._may_resume = now.monotonic_ns, self.is_silencing
                silent_ms = self._settings.silent_minutes * MS_PER_MINUTE
                self._silent_until = MonotonicNs(now.monotonic_ns + silent_ms * NS_PER_MS)
                return (ButtonNews.STOPPED,)
            case ButtonState.HELD if self._may_resume:
                self._silent_until = None
                return (ButtonNews.RESUMED,)
            case ButtonState.STUCK:
                return (ButtonNews.STUCK,)
            case ButtonState.UP:
                self._pressed_at = None
                return (ButtonNews.FREE,) if before is ButtonState.STUCK else ()
        return ()
