"""What was audible at one pole, when, and whether the amplifier had power: the truth for checkers.

Either the simulated card is listened to block by block (`gather`), or, where nothing is rendered, the agent is asked
now and then what it would sound (`probe`). Both read the source and the place in it from the samples themselves, so
what is known here never comes from what the agent says of itself. What was heard lately and goes on far below another
is heard too, as a sound of its own (`is_bed`); an attention signal is told by its tones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.player.playout import COVER_SAMPLES
from edge.player.ports import Render
from protocol.units import NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ, SharedNs, sample_of_shared_ns, shared_ns_of_sample
from simulator.evidence import pattern
from simulator.evidence.pattern import Tags
from simulator.evidence.signals import signal_in
from simulator.pole.box import Relay
from simulator.pole.sound_card import Heard
from simulator.world import World

SOUNDS_KEPT: Final = 4_096
"""Sounds remembered of one pole: a week of a busy one; a checker that needs more listens by `watch`."""
JOIN_NS: Final = 5 * NS_PER_MS
"""A source that goes on within this of where it should be is still the same sound."""
_COVERED: Final = 2 * COVER_SAMPLES
"""A player that was not asked for a while moves its cursor under a fade of 10 ms, and then sound rises for 10 ms."""
_CROSSING: Final = 3
"""So many samples of sound may be zero in a row: between two samples it may cross at either."""
PROBE_FRAMES: Final = _COVERED + pattern.READ_SAMPLES
"""What is asked for at one time; the last four milliseconds are read."""
UNKNOWN: Final = "?"
_BED_SHARES: Final = (0.13, 0.5)
"""Of the speech above it: 15 dB less is 0.18; fades take it farther, and what is smaller may be the fit's own error."""
_BED_NS_MIN: Final = 300 * NS_PER_MS
"""Shorter than this it is the end of what was replaced, under its fade."""
_BED_MISSES_MAX: Final = 3
"""Blocks without it, and there is none: what was heard lately has ended."""
_BED_REACH: Final = 8
"""Samples by which a bed may be from where it was: two clocks have gone on meanwhile."""
_LATELY: Final = 3
"""Sources heard lately that may go on as a bed: what spoke over it, and what took over both, lie between."""


@dataclass(slots=True, kw_only=True)
class Sound:
    """One source without interruption. All times are true. `is_powered`: it reached the air.

    `origin_ns` is when the source's first sample was heard, or would have been: equal origins are poles in step;
    `origin_last_ns` is the same at its end. `amplitude` is the largest sample (int16). None for an origin: unreadable.
    """

    source: str
    begins_ns: int
    ends_ns: int
    amplitude: int
    is_powered: bool
    origin_ns: int | None
    origin_last_ns: int | None
    is_bed: bool = False


class Ear:
    """One pole's ear; `watch` hears of each sound when it has ended, `sounds` remembers them, the current one last."""

    def __init__(self, world: World, name: str, tags: Tags, relay: Relay) -> None:
        self.sounds: deque[Sound] = deque(maxlen=SOUNDS_KEPT)
        self.watch: list[Callable[[Sound], None]] = []
        self._world = world
        self._name = name
        self._tags = tags
        self._relay = relay
        self._current: Sound | None = None
        self._lately: deque[Sound] = deque(maxlen=_LATELY)
        self._beds: dict[str, str] = {}
        """Which source went on below which, lately."""
        self._bed: Sound | None = None
        self._bed_ahead: int | None = None
        """How many samples the bed's place lies ahead of the current source's, once it was found."""
        self._bed_misses = 0
        self._fraction = 0.0

    @property
    def current(self) -> Sound | None:
        """What sounds, as of the last time it was listened to."""
        return self._current

    def gather(self, heard: deque[Heard], *, is_all: bool = False) -> None:
        """Take what the card has given so far; what it will give later stays, unless `is_all`."""
        now_ns = self._world.now_ns
        while heard and (is_all or heard[0].at_true_ns + _duration_ns(len(heard[0].samples)) <= now_ns):
            block = heard.popleft()
            self._take(block.at_true_ns, block.samples.reshape(-1))

    def probe(self, render: Render, at_ns: SharedNs) -> Sound | None:
        """Ask the player what sounds now, for which its own clock reads `at_ns`."""
        whole_ns = shared_ns_of_sample(sample_of_shared_ns(at_ns))  # the samples come as they were made
        samples = render(PROBE_FRAMES, whole_ns)[_COVERED:, 0]
        now_ns = self._world.now_ns
        at_true_ns = now_ns + whole_ns - at_ns + _duration_ns(_COVERED)
        amplitude = _amplitude(samples)
        if not amplitude:
            self.cease()
            return None
        reading = pattern.read(samples)
        source, origin_ns = self._understood(reading, at_true_ns, samples)
        self._note(source, now_ns, now_ns, amplitude, self._relay.is_heard_at(now_ns), origin_ns, is_sparse=True)
        self._listen_below(reading, samples, at_true_ns, now_ns, is_sparse=True)
        return self._current

    def cease(self) -> None:
        """Nothing sounds any more."""
        self._end_bed()
        self._end()

    def _end(self) -> None:
        current, self._current = self._current, None
        self._bed_misses = 0
        if current is None:
            return
        self._tell(current)
        if current.origin_last_ns is not None:
            others = [each for each in self._lately if each.source != current.source]
            self._lately = deque((*others, current), maxlen=_LATELY)

    def _end_bed(self) -> None:
        bed, self._bed, self._bed_ahead = self._bed, None, None
        if bed is None:
            return
        if bed.ends_ns - bed.begins_ns >= _BED_NS_MIN or bed.begins_ns == bed.ends_ns:
            self._tell(bed)
        else:
            self.sounds.remove(bed)

    def _tell(self, current: Sound) -> None:
        self._world.record(
            self._name,
            "heard",
            source=current.source,
            begins_ns=current.begins_ns,
            ends_ns=current.ends_ns,
            origin_ns=current.origin_ns,
            amplitude=current.amplitude,
            is_powered=current.is_powered,
            **({"is_bed": True} if current.is_bed else {}),
        )
        for tell in self.watch:
            tell(current)

    def _take(self, at_ns: int, samples: NDArray[np.int16]) -> None:
        first, last = 0, len(samples) - 1
        if not len(samples) or not (samples[0] and samples[-1]):  # else it sounds from end to end
            sounding = np.flatnonzero(samples)
            if not sounding.size:
                self.cease()
                return
            first, last = int(sounding[0]), int(sounding[-1])
            if self._current is not None and first <= _CROSSING:
                first = 0
            if len(samples) - 1 - last <= _CROSSING:
                last = len(samples) - 1
        begins_ns, ends_ns = at_ns + _duration_ns(first), at_ns + _duration_ns(last + 1)
        if first:
            self.cease()
        reading = self._read(samples, first, last)
        source, origin_ns = self._understood(reading, at_ns, samples[first : last + 1])
        amplitude = _amplitude(samples)
        is_powered = self._relay.is_heard_at(begins_ns)
        for change_ns, level in self._relay.contact.changes(begins_ns + 1):
            if change_ns >= ends_ns:
                break
            self._note(source, begins_ns, change_ns, amplitude, is_powered, origin_ns)
            begins_ns, is_powered = change_ns, level and self._relay.is_heard_at(change_ns)
        self._note(source, begins_ns, ends_ns, amplitude, is_powered, origin_ns)
        self._listen_below(reading, samples, at_ns, ends_ns)
        if last + 1 < len(samples):
            self.cease()

    def _listen_below(
        self,
        reading: pattern.Reading | None,
        samples: NDArray[np.int16],
        at_ns: int,
        ends_ns: int,
        *,
        is_sparse: bool = False,
    ) -> None:
        """Whether something goes on below what was read; while one fades beside another nothing is known."""
        current = self._current
        if reading is None or current is None or self._bed_misses >= _BED_MISSES_MAX:
            return
        share, sound, ahead = self._find_below(reading, samples, at_ns)
        if share <= _BED_SHARES[0]:
            self._bed_misses += _BED_MISSES_MAX if is_sparse else 1
            if self._bed_misses >= _BED_MISSES_MAX:
                self._end_bed()
        elif share < _BED_SHARES[1] and sound is not None:  # else it is on its way down, or up again
            self._bed_misses = 0
            if self._bed is None:
                self._bed_ahead = ahead
                self._bed = replace(
                    sound,
                    begins_ns=max(current.begins_ns, sound.ends_ns),
                    amplitude=round(share * current.amplitude),
                    is_powered=current.is_powered,
                    origin_ns=sound.origin_last_ns,
                    is_bed=True,
                )
                self.sounds.append(self._bed)
                self._beds[current.source] = sound.source
                while len(self._beds) > _LATELY:
                    del self._beds[next(iter(self._beds))]
            self._bed.ends_ns = ends_ns

    def _possible_beds(self) -> list[Sound]:
        """What sounded until the current source began, and what went on below that source earlier."""
        current = self._current
        known = None if current is None else self._beds.get(current.source)
        return [each for each in self._lately if each is self._lately[-1] or each.source == known]

    def _find_below(
        self, reading: pattern.Reading, samples: NDArray[np.int16], at_ns: int
    ) -> tuple[float, Sound | None, int]:
        """The largest share that any source heard lately has, and how far ahead of what was read it is."""
        moved, first = pattern.aligned(samples, reading)
        upper = reading.tag, first
        if self._bed is not None and self._bed_ahead is not None:
            place = first + self._bed_ahead
            share, _ = pattern.below(moved, upper, (self._tags.tag(self._bed.source), place), 1)
            return share, self._bed, self._bed_ahead
        found: tuple[float, Sound | None, int] = (0.0, None, 0)
        for sound in self._possible_beds():
            if sound.origin_last_ns is None or sound.source == self._tags.name(reading.tag):
                continue
            tag = self._tags.tag(sound.source)
            place = (at_ns - sound.origin_last_ns) * SAMPLE_RATE_HZ // NS_PER_S + first - reading.first
            share, shift = pattern.below(moved, upper, (tag, place), _BED_REACH)
            if share > found[0]:
                found = (share, sound, place + shift - first)
        return found

    def _read(self, samples: NDArray[np.int16], first: int, last: int) -> pattern.Reading | None:
        """What the samples from `first` to `last` say, where they say it the clearest."""
        for start in (first, first + COVER_SAMPLES, (first + last) // 2, last - 3 * pattern.CELL_SAMPLES):
            reading = pattern.read(samples, max(0, start), near=self._fraction)
            if reading is not None:
                return reading
        return None

    def _understood(
        self, reading: pattern.Reading | None, at_ns: int, samples: NDArray[np.int16]
    ) -> tuple[str, int | None]:
        if reading is None:
            return signal_in(samples) or UNKNOWN, None
        self._fraction = reading.fraction
        between_ns = round(reading.fraction * NS_PER_S / SAMPLE_RATE_HZ)
        return self._tags.name(reading.tag), at_ns - _duration_ns(reading.first) - between_ns

    def _note(
        self,
        source: str,
        begins_ns: int,
        ends_ns: int,
        amplitude: int,
        is_powered: bool,
        origin_ns: int | None,
        *,
        is_sparse: bool = False,
    ) -> None:
        """Go on with the current sound, or begin another one."""
        current = self._current
        if current is not None and source == UNKNOWN and current.is_powered is is_powered and not is_sparse:
            current.ends_ns = ends_ns  # a fade or a crossing; what follows will say what it is
            return
        if current is not None and current.source == UNKNOWN and begins_ns - current.ends_ns <= JOIN_NS:
            current.source, current.origin_ns = source, origin_ns  # its first piece could not be read
        if current is not None and _goes_on(current, source, begins_ns, origin_ns, is_powered, is_sparse=is_sparse):
            current.ends_ns = ends_ns
            current.amplitude = max(current.amplitude, amplitude)
            current.origin_last_ns = origin_ns
            return
        self._end_bed()
        self._end()
        self._current = Sound(
            source=source,
            begins_ns=begins_ns,
            ends_ns=ends_ns,
            amplitude=amplitude,
            is_powered=is_powered,
            origin_ns=origin_ns,
            origin_last_ns=origin_ns,
        )
        self.sounds.append(self._current)


def _goes_on(
    current: Sound, source: str, begins_ns: int, origin_ns: int | None, is_powered: bool, *, is_sparse: bool
) -> bool:
    is_same = current.source == source and current.is_powered is is_powered
    if not is_same or not (is_sparse or begins_ns - current.ends_ns <= JOIN_NS):
        return False
    before_ns = current.origin_last_ns
    return origin_ns is None or before_ns is None or abs(origin_ns - before_ns) <= JOIN_NS


def _amplitude(samples: NDArray[np.int16]) -> int:
    """The largest size of a sample; that of -32768 is no int16."""
    return max(int(samples.max()), -int(samples.min()))


def _duration_ns(samples: int) -> int:
    return samples * NS_PER_S // SAMPLE_RATE_HZ
