"""A horn before a microphone, with what may break: amplifier, cable and membrane; and the ears of a pole that hear it.

Physics enough to be told apart by it: what was rendered goes through the amplifier (dead, or driving), takes current
by its level and by what the cable ends in (a horn, nothing, a short), and comes back to the microphone late, with
echoes from houses, beside the street's noise. The ears are the product's own (`edge.proof.ears`); simulated is the
world between the card and the converters, and that nothing takes time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.events import Event, SelfTestMeasured
from edge.player.ports import Frames
from edge.proof.ears import Ears
from protocol.messages import Heard, HeardBy
from protocol.units import SAMPLES_PER_MS, SharedNs, sample_of_shared_ns

ECHOES: Final = ((7, 0.35), (23, 0.25), (61, 0.15))
"""Walls around: milliseconds behind the direct sound, and how strong."""
READING_MS: Final = 100


class Cable(StrEnum):
    """What the amplifier feeds."""

    HORN = "horn"
    OPEN = "open"
    SHORT = "short"


@dataclass(slots=True, kw_only=True)
class HornState:
    """What is whole and what is not; changed by whoever breaks it.

    `gain` is that from the card's full scale to the microphone's, `noise` the street's RMS there; of a dull horn what
    is above 1 kHz is gone (a torn membrane).
    """

    is_amplifier_whole: bool = True
    cable: Cable = Cable.HORN
    is_membrane_whole: bool = True
    is_dull: bool = False
    gain: float = 0.3
    noise: float = 0.003
    delay_ms: int = 180
    rest_amperes: float = 0.15
    load_amperes: float = 8.0
    """At full scale, before the square root of the level."""


class SimulatedEars:
    """The port `EarPort` on one simulated horn; `post` takes an event in."""

    def __init__(
        self,
        state: HornState,
        *,
        sensors: tuple[HeardBy, ...],
        post: Callable[[Event], None],
        is_powered: Callable[[], bool],
        seed: int = 1,
    ) -> None:
        self.state: Final = state
        self.is_listening = False
        self.sensors: Final = sensors
        self._ears = Ears(sensors=sensors)
        self._post = post
        self._is_powered = is_powered
        self._chance = np.random.default_rng(seed)
        self._tail: NDArray[np.float64] = np.zeros(0)
        self._at: int | None = None
        self._read_at = 0

    def start(self) -> None:
        """See `EarPort.start`."""
        self.is_listening = True

    def stop(self) -> None:
        """See `EarPort.stop`."""
        self.is_listening = False
        self._at = None

    def sent(self, frames: Frames, at_ns: SharedNs) -> None:
        """See `EarPort.sent`: what is rendered is heard through this horn."""
        if not self.is_listening or not self.sensors:
            return
        first = sample_of_shared_ns(at_ns)
        self._ears.sent(first, frames)
        driven = frames.reshape(-1) / 32_768.0 * (self.state.is_amplifier_whole and self._is_powered())
        for by in self.sensors:
            if by is HeardBy.CURRENT:
                self._draw(first, driven)
            elif by is HeardBy.TAP:
                self._ears.came(by, first, self._converted(driven * 0.5, 1e-4))
            else:
                self._ears.came(by, first, self._converted(self._through_air(first, driven), self.state.noise))

    def heard(self, first_sample: int, samples: int, near_ms: Mapping[HeardBy, float]) -> Heard | None:
        """See `EarPort.heard`."""
        return self._ears.heard(first_sample, samples, near_ms)

    def measure(self, first_sample: int) -> None:
        """See `EarPort.measure`."""
        self._post(SelfTestMeasured(swept=self._ears.swept(first_sample)))

    def close(self) -> None:
        """See `EarPort.close`."""
        self.is_listening = False

    def _through_air(self, first: int, driven: NDArray[np.float64]) -> NDArray[np.float64]:
        """What of it reaches the microphone in the time of these frames; the rest waits in the tail."""
        state = self.state
        is_sounding = state.is_membrane_whole and state.cable is Cable.HORN
        sound = driven * state.gain * is_sounding
        if state.is_dull:
            sound = np.convolve(sound, np.full(64, 1 / 64), mode="same")
        reach = (state.delay_ms + ECHOES[-1][0]) * SAMPLES_PER_MS
        whole = np.zeros(len(sound) + reach)
        if self._at is not None:
            # the card's clock moves these frames by a sample or two; what is in the air stays where it is
            tail, ahead = self._tail[max(0, first - self._at) :], max(0, self._at - first)
            part = whole[ahead : ahead + len(tail)]
            part += tail[: len(part)]
        for late_ms, share in ((0, 1.0), *ECHOES):
            at = (state.delay_ms + late_ms) * SAMPLES_PER_MS
            whole[at : at + len(sound)] += share * sound
        self._at, self._tail = first + len(sound), whole[len(sound) :]
        return whole[: len(sound)]

    def _draw(self, first: int, driven: NDArray[np.float64]) -> None:
        """The current, ten times a second, while the amplifier is powered."""
        if not self._is_powered() or first < self._read_at:
            return
        self._read_at = first + READING_MS * SAMPLES_PER_MS
        state = self.state
        load = {Cable.HORN: 1.0, Cable.OPEN: 0.03, Cable.SHORT: 3.0}[state.cable]
        rms = float(np.sqrt(np.mean(driven * driven)))
        amperes = state.rest_amperes * state.is_amplifier_whole + state.load_amperes * rms * load
        self._ears.took(first, amperes + 0.004 * float(self._chance.standard_normal()))

    def _converted(self, sound: NDArray[np.float64], noise: float) -> NDArray[np.int16]:
        mixed = sound + noise * self._chance.standard_normal(len(sound))
        return np.clip(np.rint(mixed * 32_767), -32_768, 32_767).astype(np.int16)
