"""The ears of a pole: what was rendered and what its sensors gave, put beside each other as they come.

`sent` and `came` take pieces of any size on the grid of shared samples; whenever a window of a sensor is whole it is
compared (`hearing.look`). `heard` says what the windows within an airing say together, `swept` what came of a test.
The current of the amplifier while it is on is compared with its rest, when nothing was rendered. Where samples come
from is the adapter's business (`adapters.ear`); nothing is recorded, the tapes hold TAPE_MS.

Rules kept: one thread tells, another may ask at any time (what is asked for is replaced whole, never changed); a
microphone comes before a tap and a tap before the current, for it is nearest to what people hear.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.player.level import SILENCE_DBFS, dbfs_of_power
from edge.proof.hearing import DELAY_MS_MAX, WINDOW_MS, Look, judge, look, window_of
from edge.proof.sweep import LEAD_MS, SWEEP_MS, TEST_MS, SweepMeasure, measure, sent_share
from edge.proof.tape import Tape
from protocol.messages import Heard, HeardBy
from protocol.units import SAMPLES_PER_MS

TAPE_MS: Final = 8_000
"""A self-test and what comes late; 768 KB for each signal."""
LOOKS_MAX: Final = 4_096
"""Two hours and a quarter; of a longer airing its end speaks."""
READINGS_MAX: Final = 20_000
"""Readings of the current, at ten a second half an hour."""
REST_MS: Final = 600_000
"""How far back from its airing the amplifier's rest is looked for."""
READINGS_MIN: Final = 5
SOUND_DBFS: Final = -40.0
"""From here on an amplifier takes more than at rest."""
SILENT_DBFS: Final = -70.0
SPREAD_OF_MEDIAN: Final = 1.4826
"""From the median distance to the standard deviation of a normal distribution."""
SPREADS_MIN: Final = 4.0
"""So many times the spread of the rest, the current must rise by, beside `amperes_min`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentMeasure:
    """The amplifier's current: usual at rest, and mean under sound beyond it."""

    rest_amperes: float
    rise_amperes: float
    is_driven: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What came of a self-test; `sent_share` of the sweep was rendered."""

    sent_share: float
    measures: tuple[SweepMeasure, ...] = ()
    current: CurrentMeasure | None = None


@dataclass(frozen=True, slots=True)
class _Reading:
    sample: int
    amperes: float
    sent_dbfs: float


class Ears:
    """The sensors of one pole; `amperes_min` is the least rise of the current that counts as driven."""

    def __init__(self, *, sensors: Iterable[HeardBy], amperes_min: float = 0.05) -> None:
        self.sensors: Final = tuple(sensors)
        self._amperes_min = amperes_min
        self._sent = Tape(TAPE_MS * SAMPLES_PER_MS)
        self._came: dict[HeardBy, Tape] = {
            by: Tape(TAPE_MS * SAMPLES_PER_MS) for by in self.sensors if by is not HeardBy.CURRENT
        }
        self._next: dict[HeardBy, int] = {}
        self._looks: dict[HeardBy, tuple[Look, ...]] = dict.fromkeys(self._came, ())
        self._readings: tuple[_Reading, ...] = ()

    def sent(self, first_sample: int, frames: NDArray[np.int16]) -> None:
        """What was rendered, of which the first is heard at a grid sample."""
        self._sent.write(first_sample, frames)

    def came(self, by: HeardBy, first_sample: int, frames: NDArray[np.int16]) -> None:
        """What a sensor gave."""
        tape = self._came[by]
        leap = first_sample - tape.end
        tape.write(first_sample, frames)
        if by not in self._next or abs(leap) > WINDOW_MS * SAMPLES_PER_MS:
            self._next[by] = first_sample
        self._look(by, tape)

    def took(self, sample: int, amperes: float) -> None:
        """The current of an amplifier that is on, at a grid sample."""
        part = self._sent.read(sample - 100 * SAMPLES_PER_MS, 100 * SAMPLES_PER_MS)
        power = 0.0 if part is None else float(np.mean((part / 32_768.0) ** 2))
        reading = _Reading(sample, amperes, dbfs_of_power(power) if power else SILENCE_DBFS)
        self._readings = (*self._readings[-READINGS_MAX:], reading)

    def heard(self, first_sample: int, samples: int, near_ms: Mapping[HeardBy, float]) -> Heard | None:
        """What the sensors say of an airing, the nearest to people's ears that can say; None without sensors.

        `near_ms` are the delays of the reference, where one was taken.
        """
        last = first_sample + samples - WINDOW_MS * SAMPLES_PER_MS
        found: list[Heard] = []
        for by in (HeardBy.MICROPHONE, HeardBy.TAP):
            if by in self._looks:
                looks = [each for each in self._looks[by] if first_sample <= each.first_sample <= last]
                found.append(judge(looks, by, near_ms=near_ms.get(by)))
        if HeardBy.CURRENT in self.sensors:
            current = self.current(first_sample, samples)
            is_heard = None if current is None else current.is_driven
            amperes = None if current is None else round(current.rise_amperes, 3)
            found.append(Heard(by=HeardBy.CURRENT, is_heard=is_heard, amperes=amperes))
        return next((each for each in found if each.is_heard is not None), found[0] if found else None)

    def current(self, first_sample: int, samples: int) -> CurrentMeasure | None:
        """What the amplifier took in a time; None with too few readings under sound or at rest."""
        until, since = first_sample + samples, first_sample - REST_MS * SAMPLES_PER_MS
        readings = [each for each in self._readings if since <= each.sample < until]
        load = [each.amperes for each in readings if each.sample >= first_sample and each.sent_dbfs >= SOUND_DBFS]
        rest = [each.amperes for each in readings if each.sent_dbfs <= SILENT_DBFS]
        if min(len(load), len(rest)) < READINGS_MIN:
            return None
        # at the edges of a sound some readings of its load are taken for its rest: the middle one is not among them
        usual = float(np.median(rest))
        spread = float(np.median(np.abs(np.array(rest) - usual))) * SPREAD_OF_MEDIAN
        rise = float(np.mean(load)) - usual
        return CurrentMeasure(
            rest_amperes=round(usual, 4),
            rise_amperes=round(rise, 4),
            is_driven=rise >= max(self._amperes_min, SPREADS_MIN * spread / len(load) ** 0.5),
        )

    def swept(self, first_sample: int) -> Swept:
        """What came of the self-test that began at a grid sample, and is over."""
        count = TEST_MS * SAMPLES_PER_MS
        sent = self._sent.read(first_sample, count)
        if sent is None:
            return Swept(sent_share=0.0)
        found = []
        for by, tape in self._came.items():
            came = tape.read(first_sample, count)
            if came is not None and came.any():
                found.append(measure(sent, came, by))
        current = None
        if HeardBy.CURRENT in self.sensors:
            current = self.current(first_sample, (LEAD_MS + SWEEP_MS) * SAMPLES_PER_MS)
        return Swept(sent_share=round(sent_share(sent), 3), measures=tuple(found), current=current)

    def _look(self, by: HeardBy, tape: Tape) -> None:
        """Compare every window that has become whole, and that the sound had time to reach."""
        count = WINDOW_MS * SAMPLES_PER_MS
        while True:
            first = self._next[by]
            begin, needed = window_of(first)
            if first + count > tape.end or begin + needed > self._sent.end:
                if tape.end - first > (TAPE_MS - DELAY_MS_MAX) * SAMPLES_PER_MS - count:
                    self._next[by] = first + count  # nothing was rendered beside it, and soon it will be gone
                    continue
                return
            self._next[by] = first + count
            came, sent = tape.read(first, count), self._sent.read(begin, needed)
            if came is not None and sent is not None:
                found = look(sent, came, first_sample=first)
                self._looks[by] = (*self._looks[by][-LOOKS_MAX:], found)
