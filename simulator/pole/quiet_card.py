"""A sound card that nobody listens to, for a thousand poles at once: it answers like a card and pulls nothing.

What it would sound is asked for now and then by `ear`. The table of states is the real card's, and so are its
answers, its failures and its attempts to open the device again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from edge.events import CardFailed, CardStarted
from edge.player.card_states import CardAction, CardInput, CardLife, CardState
from edge.player.ports import CardStatistics
from protocol.units import NS_PER_MS
from simulator.pole.sound_card import OPENING_NS, STOPPED_NS
from simulator.world import Timer, World


class QuietCard:
    """The port `SoundCard`; `on_running` is told when sound would begin or cease."""

    def __init__(
        self,
        world: World,
        *,
        on_event: Callable[[CardStarted | CardFailed], None],
        on_running: Callable[[bool], None],
        is_plugged: bool = True,
    ) -> None:
        self._world = world
        self._on_event = on_event
        self._on_running = on_running
        self._is_plugged = is_plugged
        self._life = CardLife()
        self._timer: Timer | None = None
        self.path: Final = "quiet"

    @property
    def statistics(self) -> CardStatistics:
        """See `SoundCard.statistics`."""
        return CardStatistics(failures=self._life.failures)

    @property
    def is_running(self) -> bool:
        """Whether sound comes out."""
        return self._life.state is CardState.RUNNING and self._is_plugged

    def start(self, *, is_near: bool = False) -> None:  # noqa: ARG002 - the port's; nothing is rendered here
        """See `SoundCard.start`."""
        self._happened(CardInput.START)

    def reach(self, *, is_near: bool) -> None:
        """See `SoundCard.reach`."""

    def stop(self) -> None:
        """See `SoundCard.stop`."""
        self._happened(CardInput.STOP)

    def unplug(self) -> None:
        """The cable is pulled."""
        self._is_plugged = False
        self._on_running(False)
        if self._life.state is CardState.RUNNING:
            self._arm(STOPPED_NS, CardInput.FAILED)

    def plug(self) -> None:
        """The card is there again; it is found when it is next looked for."""
        self._is_plugged = True

    def _happened(self, happened: CardInput) -> None:
        for action in self._life.take(happened):
            match action:
                case CardAction.OPEN:
                    self._arm(OPENING_NS, None)
                case CardAction.CLOSE:
                    self._world.cancel(self._timer)
                    self._on_running(False)
                case CardAction.WAIT:
                    self._arm(self._life.retry_ms * NS_PER_MS, CardInput.RETRY)
                case CardAction.REPORT_STARTED:
                    self._on_running(True)
                    self._on_event(CardStarted(path=self.path))
                case CardAction.REPORT_FAILED:
                    self._on_event(CardFailed(detail="the sound card is not there or stopped pulling"))

    def _arm(self, delay_ns: int, happened: CardInput | None) -> None:
        self._world.cancel(self._timer)
        self._timer = self._world.after(delay_ns, self._ring, happened)

    def _ring(self, happened: CardInput | None) -> None:
        opened = CardInput.OPENED if self._is_plugged else CardInput.FAILED
        self._happened(opened if happened is None else happened)
        if happened is None and self._is_plugged:
            self._happened(CardInput.PULLED)
