"""Puts into effect what silences the node, and on record: orders in force, and the button on the pole.

Joins the button's table, the guard's silences and the node's faults. It decides nothing of its own: which order holds
is `silences`' affair, what a press means `gpio.inputs`'.

Rules kept: a press takes effect in the turn in which it counts, and is reported in the same turn; what the button does
ends with the process, what an order does never.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from edge.effects import Effect, LogDecision, LogLevel
from edge.events import ButtonFailed, ButtonFound, ButtonMoved
from edge.gpio.faults import Fault
from edge.gpio.inputs import ButtonNews, StopButton, StopButtonSettings
from edge.health import Health
from edge.silence.silences import Silences
from protocol.units import MonotonicNs, Now

_SAYS: Final = {
    ButtonNews.STOPPED: "the button on the pole was pressed",
    ButtonNews.RESUMED: "the button on the pole was held: sound may pass again",
    ButtonNews.TIME_UP: "the time of the button on the pole is up",
    ButtonNews.STUCK: "the button on the pole does not come up",
    ButtonNews.FREE: "the button on the pole came up",
}


class Hush:
    """The silence of one node; `standing` names the emergencies that stand now."""

    def __init__(
        self,
        *,
        settings: StopButtonSettings,
        silences: Silences,
        health: Health,
        standing: Callable[[Now], Iterable[str]],
    ) -> None:
        self._button = StopButton(settings)
        self._minutes = settings.silent_minutes
        self._silences = silences
        self._health = health
        self._standing = standing
        self._news: list[ButtonNews] = []

    def next_deadline(self) -> MonotonicNs | None:
        """When `settle` has something to do."""
        return self._button.next_deadline()

    def told(self, event: ButtonFound | ButtonMoved | ButtonFailed, now: Now) -> list[Effect]:
        """What the pin says."""
        match event:
            case ButtonFound(is_pressed=is_pressed):
                self._button.found(is_pressed=is_pressed)
                return self._health.fault(Fault.BUTTON, "it was down at the start", now) if is_pressed else []
            case ButtonMoved(is_pressed=is_pressed):
                self._button.moved(is_pressed=is_pressed, now=now)
                return []
            case ButtonFailed(detail=detail):
                return self._health.fault(Fault.BUTTON, detail, now)

    def settle(self, now: Now) -> None:
        """Put into effect what has come of the button; to be done before it is decided what sounds."""
        for news in self._button.update(now):
            self._news.append(news)
            if news is ButtonNews.STOPPED:
                self._silences.stop(self._standing(now))
            elif news in {ButtonNews.RESUMED, ButtonNews.TIME_UP}:
                self._silences.resume()

    def tell(self, now: Now) -> list[Effect]:
        """Put it on record; to be done after it, for reports are numbered in the order in which they are stored."""
        effects: list[Effect] = []
        news, self._news = self._news, []
        for each in news:
            effects.append(LogDecision(decision="button", fields=(("says", _SAYS[each]),), level=LogLevel.WARNING))
            effects += self._follow(each, now)
        if self._silences.why:
            return effects + self._health.fault(Fault.SILENCED, self._silences.why, now)
        return effects + self._health.cleared(Fault.SILENCED, now)

    def _follow(self, news: ButtonNews, now: Now) -> list[Effect]:
        match news:
            case ButtonNews.STOPPED:
                again = self._health.cleared(Fault.STOP_BUTTON, now)
                detail = f"{_SAYS[news]}; silent for {self._minutes} min, or until it is held"
                return again + self._health.fault(Fault.STOP_BUTTON, detail, now)
            case ButtonNews.RESUMED | ButtonNews.TIME_UP:
                return self._health.cleared(Fault.STOP_BUTTON, now)
            case ButtonNews.STUCK:
                return self._health.fault(Fault.BUTTON, _SAYS[news], now)
            case ButtonNews.FREE:
                return self._health.cleared(Fault.BUTTON, now)
