"""The gain of a bed: down while somebody speaks over it, up again afterwards, with ramps that nobody hears as steps.

Told the spans of the grid in which somebody speaks; may be told anew at any time, also of what has begun already. It
leaves to the arbiter who speaks over whom.

Rules kept: the gain is a function of the grid sample and of the spans, whatever the pieces in which it is asked for, so
poles that know the same change alike; a span that is told late begins where asking goes on; the gain never jumps, but
before the first sample, where a bed that begins below somebody's speech is low from the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.player.switching import ATTACK_MS, DUCK_DB, RELEASE_MS
from protocol.units import SAMPLES_PER_MS, SharedSample

DUCKED: Final = 10.0 ** (DUCK_DB / 20.0)
ATTACK_SAMPLES: Final = ATTACK_MS * SAMPLES_PER_MS
RELEASE_SAMPLES: Final = RELEASE_MS * SAMPLES_PER_MS

Span = tuple[SharedSample, SharedSample]
"""From a sample on, until another."""


class Ducking:
    """The ducking of one voice."""

    def __init__(self) -> None:
        self._spans: tuple[Span, ...] = ()
        self._is_down = False
        self._has_begun = False
        self._ramp_from = 0
        self._ramp_samples = 0
        self._before = 1.0
        self._target = 1.0

    def use(self, spans: Sequence[Span]) -> None:
        """Somebody speaks in these spans, which are in order and apart.

        Whoever tells them knows only what is to come: a span that began in one told before began there.
        """
        known = self._spans
        self._spans = tuple(
            (next((one for one, other in known if one <= begins <= other), begins), ends) for begins, ends in spans
        )

    def is_down(self, at: int) -> bool:
        """Whether somebody speaks over it at a sample."""
        return any(begins <= at < ends for begins, ends in self._spans)

    def gains(self, low: int, high: int) -> tuple[NDArray[np.float64] | None, int]:
        """Gain of samples `low` to `high`, None where all of it is 1; and over how many of them somebody speaks."""
        if not self._has_begun:
            self._has_begun, self._is_down = True, self.is_down(low)
            self._before = self._target = DUCKED if self._is_down else 1.0
        is_touched = any(begins < high and low < ends for begins, ends in self._spans)
        if not is_touched and not self._is_down and low >= self._ramp_from + self._ramp_samples:
            return None, 0
        out = np.empty(high - low, np.float64)
        place, spoken_over = low, 0
        while place < high:
            self._turn(place)
            end = min([edge for span in self._spans for edge in span if edge > place], default=high)
            end = min(int(end), high)
            out[place - low : end - low] = self._at(np.arange(place, end, dtype=np.int64))
            spoken_over += end - place if self._is_down else 0
            place = end
        return out, spoken_over

    def _turn(self, place: int) -> None:
        """Begin a ramp where it is due."""
        is_down = self.is_down(place)
        if is_down is self._is_down:
            return
        before = self._at(np.array([place - 1], np.int64))
        self._is_down, self._before = is_down, float(before[0])
        self._target = DUCKED if is_down else 1.0
        self._ramp_from, self._ramp_samples = place, ATTACK_SAMPLES if is_down else RELEASE_SAMPLES

    def _at(self, places: NDArray[np.int64]) -> NDArray[np.float64]:
        """Along the ramp, straight in decibels with rounded ends."""
        if not self._ramp_samples:
            return np.full(len(places), self._target)
        way = np.clip((places - self._ramp_from + 1) / self._ramp_samples, 0.0, 1.0)
        gain: NDArray[np.float64] = self._before * (self._target / self._before) ** (0.5 - 0.5 * np.cos(np.pi * way))
        return gain
