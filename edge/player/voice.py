"""One voice of the player: a source, when it may sound, how loud, and what came of it.

The envelope is a function of the grid sample, so that equal voices are equal on every pole whatever the sizes
of the blocks in which they are read. Fades are equal-power (a quarter of a sine). A cluster that is aimed sounds later
than the others: its voice begins and ends where it is told, and reads its source as many samples back (`delay`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.player.ducking import Ducking, Span
from edge.player.gain import Gain
from edge.player.level import LevelMeter, energy_of, is_heard
from edge.player.ports import Samples
from edge.player.source import Source
from protocol.units import SAMPLES_PER_MS, SharedSample

FADE_MS_MAX: Final = 10_000
"""Longer fades are a programme's content, not switching."""
END_FADE_SAMPLES: Final = 10 * SAMPLES_PER_MS
"""Fade before `until_sample`, so that what is cut there does not click."""


Fade = tuple[int, int]
"""The first sample that is silent, and how many before it fade."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceStatistics:
    """What came of a voice, in milliseconds of its time on air; the three add up to it.

    `audible_ms` carried sound above AUDIBLE_DBFS, `concealed_ms` was guessed for lost packets, `silent_ms` is the
    rest: lost, pauses, silence sent. `level_dbfs` is the RMS of what was audible, None when nothing was. For
    `ducked_ms` of all of it somebody spoke over it. `samples` were read of its source from grid sample `first_sample`
    on, as the source counts them; `pcm_sha256` is their digest (float32, before any gain) where one was asked for:
    poles that took in the same packets from the same sample on have the same.
    """

    audible_ms: int = 0
    concealed_ms: int = 0
    silent_ms: int = 0
    ducked_ms: int = 0
    level_dbfs: float | None = None
    first_sample: int | None = None
    samples: int = 0
    pcm_sha256: str = ""


class Voice:
    """A source between `from_sample` and `until_sample` (None: open), with gain and fades.

    The fade in rises from `gain_before`: 0 for a new voice, or what a voice had that this one goes on for.
    """

    def __init__(
        self,
        *,
        name: str,
        source: Source,
        from_sample: SharedSample,
        until_sample: SharedSample | None,
        gain_db: float,
        fade_in_ms: int,
        gain_before: float = 0.0,
        delay: int = 0,
        is_digested: bool = False,
    ) -> None:
        self.name: Final = name
        self.source: Final = source
        self._delay: Final = delay
        self._gain: Final = Gain(gain_db)
        self._gain_before = gain_before
        self._from = self._rises_from = int(from_sample)
        self._until = None if until_sample is None else int(until_sample)
        self._fade_in = _fade_samples(fade_in_ms)
        self._own_end: Fade | None = None if self._until is None else (self._until, END_FADE_SAMPLES)
        self._fades: tuple[Fade, ...] = () if self._own_end is None else (self._own_end,)
        self._began = False
        self._ducking = Ducking()
        self._meter = LevelMeter()
        self._audible = 0
        self._concealed = 0
        self._silent = 0
        self._ducked = 0
        self._samples = 0
        self._digest = hashlib.sha256() if is_digested else None

    def enter(self, fade_in_ms: int) -> None:
        """Rise for so long; what has begun goes on rising as it did."""
        if not self._began:
            self._fade_in = _fade_samples(fade_in_ms)

    def rise_again(self, at: int) -> None:
        """Nothing was heard before `at`, for the card has leapt: what had begun comes in as it did then."""
        if self._began and at > self._from:
            self._rises_from, self._gain_before = at, 0.0

    def change_gain(self, gain_db: float, at: int, *, position: int) -> None:
        """Be so loud from a sample on; samples before `position` have been rendered."""
        self._gain.change(gain_db, at, position=position)

    def duck(self, spans: Sequence[Span]) -> None:
        """Be a bed while somebody speaks in these spans of the grid."""
        self._ducking.use(spans)

    def stop(self, at: int, fade_ms: int, *, runs_on: bool = False) -> None:
        """Fade out from `at` on, in place of what was said of later instants; what fades already goes on fading too.

        Its own end stays, unless it `runs_on` from there under this fade, as far as its source has anything.
        """
        if self._until is not None and at > self._until:
            return
        fade = _fade_samples(fade_ms)
        if runs_on and self._own_end is not None and self._own_end[1]:
            self._own_end = None
        kept = [each for each in self._fades if each[0] - each[1] < at and each[1] and each is not self._own_end]
        kept = [each for each in kept if not (runs_on and each[0] <= at)]
        if self._own_end is not None:
            kept.append(self._own_end)
        self._fades = (*kept, (at + fade, fade))
        self._until = min(until for until, _ in self._fades)

    def is_fading(self, at: int) -> bool:
        """Whether its end has begun at a sample."""
        return any(until - samples < at for until, samples in self._fades)

    def hand_over(self, at: int) -> float:
        """End at `at` without a fade, for another voice goes on with the same source; the gain that it had there."""
        if not self._began or self.is_over(at):
            self._until = self._from
            return 0.0
        envelope = self._envelope(at - 1, at)
        self._own_end = (at, 0)  # a later stop may end it sooner, never later: the source is another voice's from here
        self._fades, self._until = (self._own_end,), at
        return self._gain.at(at - 1) if envelope is None else float(envelope[0])

    def is_over(self, position: int) -> bool:
        """Whether nothing of it comes at `position` or later."""
        return self._until is not None and self._until <= max(position, self._from)

    def sounds_within(self, first: int, count: int) -> bool:
        """Whether any of `count` samples from `first` on are its."""
        return self._from < first + count and not self.is_over(first)

    @property
    def from_sample(self) -> int:
        """Where it began, or will begin."""
        return self._from

    @property
    def has_begun(self) -> bool:
        """Whether any of it was rendered."""
        return self._began

    def read(self, first: SharedSample, count: int) -> tuple[int, Samples]:
        """What it gives within a block of `count` samples from `first`: offset in the block, samples with gain."""
        low = max(int(first), self._from)
        high = first + count if self._until is None else min(first + count, self._until)
        if not self._began:
            self._began, self._from, self._rises_from = True, low, low
        counters = self.source.counters
        concealed, silent = counters.concealed, counters.silent
        samples = self.source.read(SharedSample(low - self._delay), high - low)
        self._samples += high - low
        if self._digest is not None:
            self._digest.update(samples.data)
        envelope = self._envelope(low, high)
        if envelope is not None:
            samples *= envelope
        else:
            factors = self._gain.over(low, high)
            if not isinstance(factors, float):
                samples *= factors
            elif factors != 1.0:
                samples *= np.float32(factors)
        bed, spoken_over = self._ducking.gains(low, high)
        if bed is not None:
            samples *= bed.astype(np.float32)
            self._ducked += spoken_over
        self._account(samples, counters.concealed - concealed, counters.silent - silent)
        return low - first, samples

    @property
    def statistics(self) -> VoiceStatistics:
        """What has come of it so far."""
        return VoiceStatistics(
            audible_ms=self._audible // SAMPLES_PER_MS,
            concealed_ms=self._concealed // SAMPLES_PER_MS,
            silent_ms=self._silent // SAMPLES_PER_MS,
            ducked_ms=self._ducked // SAMPLES_PER_MS,
            level_dbfs=self._meter.audible_dbfs,
            first_sample=self._from - self._delay if self._began else None,
            samples=self._samples,
            pcm_sha256=self._digest.hexdigest() if self._digest is not None and self._samples else "",
        )

    def _envelope(self, low: int, high: int) -> NDArray[np.float32] | None:
        """Gain of samples `low` to `high` where a fade touches them, else None."""
        fades_in = low < self._rises_from + self._fade_in
        fading = [(until, samples) for until, samples in self._fades if samples and high > until - samples]
        if not fades_in and not fading:
            return None
        places = np.arange(low, high, dtype=np.int64)
        gain = np.empty(high - low, np.float32)
        gain[:] = self._gain.over(low, high)
        if fades_in:
            rise = _quarter_sine((places - self._rises_from + 1) / (self._fade_in + 1))
            gain = (self._gain_before + (gain - self._gain_before) * rise).astype(np.float32)
        for until, samples in fading:
            gain *= _quarter_sine((until - places) / (samples + 1))
        return gain

    def _account(self, samples: Samples, concealed: int, silent: int) -> None:
        real = len(samples) - concealed - silent
        energy = energy_of(samples)
        # the level is that of what was sent: blocks with guesses or gaps count as audible but do not enter it
        is_audible = self._meter.add(energy, len(samples)) if real == len(samples) else is_heard(energy, len(samples))
        self._concealed += concealed
        self._silent += silent if is_audible else silent + real
        self._audible += real if is_audible else 0


def _fade_samples(fade_ms: int) -> int:
    return max(0, min(fade_ms, FADE_MS_MAX)) * SAMPLES_PER_MS


def _quarter_sine(place: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.sin(np.clip(place, 0.0, 1.0) * (np.pi / 2.0)).astype(np.float32)
