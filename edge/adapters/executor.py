"""Runs the agent's effects on the ports, each without blocking.

One table from effect to port. A pin that cannot be driven is the one failure that a port raises here; it becomes
the event that the agent knows. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from edge import effects as wanted
from edge.effects import AnswerSelfTest, Effect
from edge.errors import GpioError
from edge.events import AmplifierFailed, Event, Measured, SelfTestMeasured
from edge.player.ports import SoundCard
from edge.ports import AmplifierPin, DecisionLog, EarPort, Link, MediaStore, Store
from edge.proof.ears import Swept


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything that an agent's effects reach."""

    link: Link
    store: Store
    media: MediaStore
    card: SoundCard
    pin: AmplifierPin
    log: DecisionLog
    time_refused: Callable[[], dict[str, int]] = dict
    """Answers about the time that were not believed, by reason."""
    ears: EarPort | None = None
    answer: Callable[[AnswerSelfTest], None] = lambda _: None
    """Tell whoever asked what came of a self-test."""
    spread_time: Callable[[float], None] = lambda _: None
    """Spread the first reconnect of the second connection too."""


class Executor:
    """Runs effects; `post` takes in the events that an effect causes at once."""

    def __init__(self, ports: Ports, *, post: Callable[[Event], None]) -> None:
        self._ports = ports
        self._post = post
        self._table: Final[dict[type[Effect], Callable[[Any], None]]] = {
            wanted.Publish: self._publish,
            wanted.Subscribe: lambda effect: ports.link.subscribe(effect.topics),
            wanted.Unsubscribe: lambda effect: ports.link.unsubscribe(effect.topics),
            wanted.SpreadReconnects: self._spread,
            wanted.StoreDocument: ports.store.ask,
            wanted.ForgetDocuments: ports.store.ask,
            wanted.StoreReport: ports.store.ask,
            wanted.ForgetReports: ports.store.ask,
            wanted.KeepNote: ports.store.ask,
            wanted.FetchMedia: ports.media.fetch,
            wanted.DiscardMedia: lambda effect: ports.media.discard(effect.sha256),
            wanted.MeasureSelfTest: self._measure_self_test,
            wanted.AnswerSelfTest: ports.answer,
            wanted.StartCard: self._open_card,
            wanted.ReachAhead: lambda effect: ports.card.reach(is_near=effect.is_near),
            wanted.StopCard: lambda _: self._close_card(),
            wanted.PowerAmplifier: self._power,
            wanted.Measure: self._measure,
            wanted.LogDecision: ports.log.write,
        }

    def execute(self, effect: Effect) -> None:
        """Run one effect."""
        self._table[type(effect)](effect)

    def _open_card(self, effect: wanted.StartCard) -> None:
        self._ports.card.start(is_near=effect.is_near)
        if self._ports.ears is not None:
            self._ports.ears.start()

    def _close_card(self) -> None:
        self._ports.card.stop()
        if self._ports.ears is not None:
            self._ports.ears.stop()

    def _measure_self_test(self, effect: wanted.MeasureSelfTest) -> None:
        if self._ports.ears is not None:
            self._ports.ears.measure(effect.first_sample)
        else:
            self._post(SelfTestMeasured(swept=Swept(sent_share=0.0)))

    def _spread(self, effect: wanted.SpreadReconnects) -> None:
        self._ports.link.set_herd_window_s(effect.herd_window_s)
        self._ports.spread_time(effect.herd_window_s)

    def _publish(self, effect: wanted.Publish) -> None:
        self._ports.link.publish(effect.topic, effect.payload, effect.qos, effect.retain, effect.expiry_s)

    def _power(self, effect: wanted.PowerAmplifier) -> None:
        try:
            self._ports.pin.drive(on=effect.on)
        except GpioError as error:
            self._post(AmplifierFailed(detail=str(error)))

    def _measure(self, _: wanted.Measure) -> None:
        self._post(
            Measured(
                disk_free_bytes=self._ports.media.free_bytes(),
                underruns=self._ports.card.statistics.underruns,
                time_refused=self._ports.time_refused(),
            )
        )
