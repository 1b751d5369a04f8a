"""What sound card and amplifier say of themselves, carried to the studio and to the faults of the node."""

from __future__ import annotations

from typing import Final

from edge import events as happened
from edge.effects import Effect, LogDecision
from edge.gpio.faults import Fault
from edge.health import Health
from edge.studio import Studio
from protocol.units import Now


class Hardware:
    """The hardware of one node."""

    def __init__(self, *, studio: Studio, health: Health) -> None:
        self._studio: Final = studio
        self._health: Final = health

    def told(
        self, event: happened.CardStarted | happened.CardFailed | happened.AmplifierFailed, now: Now
    ) -> list[Effect]:
        """The card runs, or does not; the amplifier's pin is lost."""
        match event:
            case happened.CardStarted():
                self._studio.card_started(event.path)
                log = LogDecision(decision="card started", fields=(("path", event.path),))
                return [log, *self._health.cleared(Fault.SOUND_CARD, now)]
            case happened.CardFailed():
                self._studio.card_failed(now)
                return self._health.fault(Fault.SOUND_CARD, event.detail, now)
            case happened.AmplifierFailed():
                self._studio.amplifier.fail(now)
                return self._health.fault(Fault.AMPLIFIER, event.detail, now)
