"""A microphone on a pole: its own horn and its neighbours', late by their distance, quieter by it, above a noise floor.

It hears what the ears wrote down as audible with power, and nothing that an agent says of itself, so it is evidence
apart from both. Sound travels 343 m/s (20 degrees) and loses 6 dB with each doubling of the distance, as a point
source outdoors does; neither wind, nor hills, nor walls. Reads the past only: a sound that still lasts ends at its
`ends_ns` so far.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from protocol.units import NS_PER_S, SAMPLE_RATE_HZ
from simulator.evidence import pattern
from simulator.evidence.ear import UNKNOWN
from simulator.evidence.pattern import Tags

SOUND_MM_PER_S: Final = 343_000
"""In air of 20 degrees."""
NEAREST_MM: Final = 1_000
"""A pole's own horn hangs a metre from its microphone; levels are stated at this distance."""
FULL_SCALE: Final = 32_768


class Audible(Protocol):
    """What the microphone reads of a sound, as an ear or a witness wrote it down (`simulator.evidence.ear.Sound`)."""

    @property
    def source(self) -> str: ...  # noqa: D102 - see `simulator.evidence.ear.Sound`, as those below
    @property
    def begins_ns(self) -> int: ...  # noqa: D102
    @property
    def ends_ns(self) -> int: ...  # noqa: D102
    @property
    def amplitude(self) -> int: ...  # noqa: D102
    @property
    def is_powered(self) -> bool: ...  # noqa: D102
    @property
    def origin_ns(self) -> int | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a pole stands, in whole millimetres east and north of the commune's corner."""

    east_mm: int = 0
    north_mm: int = 0

    def distance_mm(self, other: Place) -> int:
        """To a horn; the pole's own is a metre away."""
        east_mm, north_mm = self.east_mm - other.east_mm, self.north_mm - other.north_mm
        return max(NEAREST_MM, math.isqrt(east_mm * east_mm + north_mm * north_mm))


def travel_ns(distance_mm: int) -> int:
    """How long sound takes."""
    return distance_mm * NS_PER_S // SOUND_MM_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class MicrophoneSettings:
    """`horn_db`: sound pressure a metre before a horn at full scale (30 W, 105 dB/W); `noise_db`: a village's street.

    `clips_db` is what the capsule takes: full scale of its samples.
    """

    horn_db: float = 120.0
    noise_db: float = 50.0
    clips_db: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A pole's sound as it reached the microphone; `origin_ns` is when the source's first sample would have."""

    pole: str
    source: str
    begins_ns: int
    ends_ns: int
    level_db: float
    origin_ns: int | None


class Microphone:
    """One microphone among the horns of a commune; `sounds` are the ears' records, which it reads anew each time."""

    def __init__(
        self,
        name: str,
        places: Mapping[str, Place],
        sounds: Mapping[str, Iterable[Audible]],
        settings: MicrophoneSettings | None = None,
    ) -> None:
        self.name: Final = name
        self.settings: Final = settings or MicrophoneSettings()
        self._places = places
        self._sounds = sounds

    def arrivals(self, since_ns: int, until_ns: int) -> list[Arrival]:
        """What rises above the noise between two instants, in the order of arrival."""
        found = []
        for pole, sounds in self._sounds.items():
            distance_mm = self._places[self.name].distance_mm(self._places[pole])
            late_ns = travel_ns(distance_mm)
            for sound in sounds:
                level_db = self._level_db(sound, distance_mm)
                is_within = sound.ends_ns + late_ns > since_ns and sound.begins_ns + late_ns < until_ns
                if sound.is_powered and is_within and level_db > self.settings.noise_db:
                    found.append(
                        Arrival(
                            pole=pole,
                            source=sound.source,
                            begins_ns=sound.begins_ns + late_ns,
                            ends_ns=sound.ends_ns + late_ns,
                            level_db=level_db,
                            origin_ns=None if sound.origin_ns is None else sound.origin_ns + late_ns,
                        )
                    )
        return sorted(found, key=lambda each: (each.begins_ns, each.pole))

    def record(self, since_ns: int, frames: int, tags: Tags, *, seed: int = 0) -> NDArray[np.int16]:
        """int16[frames] as its capsule gives them: every horn that is heard, over the noise, clipped."""
        settings = self.settings
        rms = 10 ** ((settings.noise_db - settings.clips_db) / 20)
        mixed = np.random.default_rng([seed, since_ns % 2**63]).standard_normal(frames) * rms
        until_ns = since_ns + frames * NS_PER_S // SAMPLE_RATE_HZ
        for each in self.arrivals(since_ns, until_ns):
            first, last = (_frame(at_ns - since_ns, frames) for at_ns in (each.begins_ns, each.ends_ns))
            if each.origin_ns is None or each.source == UNKNOWN or last <= first:
                continue
            samples = np.empty(last - first, np.float32)
            ahead_ns = since_ns - each.origin_ns
            pattern.fill(tags.tag(each.source), max(0, first + ahead_ns * SAMPLE_RATE_HZ // NS_PER_S), samples)
            peak = 10 ** ((each.level_db - settings.clips_db) / 20)
            mixed[first:last] += samples * (peak / (2 * pattern.LEVEL))
        whole: NDArray[np.int16] = np.clip(np.rint(mixed * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
        return whole

    def echoes_ns(self, since_ns: int, until_ns: int) -> list[tuple[str, str, int]]:
        """Of each neighbour's sound that came while the own horn sounded the same: how late, beyond the way between.

        Zero is poles in step; (neighbour, source, lateness). From afar the end of a clip comes when its repetition has
        begun here: of each neighbour the nearest counts. What could not be read says nothing.
        """
        arrived = self.arrivals(since_ns, until_ns)
        here = self._places[self.name]
        own_ns = travel_ns(here.distance_mm(here))
        found = []
        for own in (each for each in arrived if each.pole == self.name and each.origin_ns is not None):
            late: dict[str, int] = {}
            for other in arrived:
                is_same = other.source == own.source and other.begins_ns < own.ends_ns and own.begins_ns < other.ends_ns
                if other.pole == self.name or not is_same or other.origin_ns is None or own.origin_ns is None:
                    continue
                way_ns = travel_ns(here.distance_mm(self._places[other.pole])) - own_ns
                late_ns = other.origin_ns - own.origin_ns - way_ns
                late[other.pole] = min(late.get(other.pole, late_ns), late_ns, key=abs)
            found += [(pole, own.source, late_ns) for pole, late_ns in late.items()]
        return found

    def _level_db(self, sound: Audible, distance_mm: int) -> float:
        if not sound.amplitude:
            return -math.inf
        return (
            self.settings.horn_db
            + 20 * math.log10(sound.amplitude / FULL_SCALE)
            - 20 * math.log10(distance_mm / NEAREST_MM)
        )


def _frame(ahead_ns: int, frames: int) -> int:
    return min(max(0, ahead_ns * SAMPLE_RATE_HZ // NS_PER_S), frames)
