"""Keeps the player's cursor on the grid of shared samples in step with the card.

The card says when the next frame will be heard; the cursor says which grid sample comes next. While nothing
sounds the cursor simply follows. In play, a small difference is worked off by reading one sample more or less
in a block, at most once in STRETCH_EVERY_SAMPLES; a large or sudden one (underrun, clock step, reopened card)
asks for a re-anchoring under cover of a fade.
"""

from __future__ import annotations

import math
from typing import Final

from protocol.units import SAMPLES_PER_MS, SharedNs, SharedSample, sample_of_shared_ns

STRETCH_EVERY_SAMPLES: Final = 42 * SAMPLES_PER_MS
"""One sample in 42 ms is 496 ppm, within the 500 ppm at which nobody hears a change of pitch."""
DEAD_SAMPLES: Final = 2
"""Differences below 42 microseconds are rounding and the card's own jitter."""
STRETCHED_FRAMES_MIN: Final = 2 * SAMPLES_PER_MS
"""A block shorter than this would change its pitch by more than 1 % and waits for a longer one."""
PARTS_PER_MILLION: Final = 1_000_000
REANCHOR_SAMPLES: Final = 30 * SAMPLES_PER_MS
"""Beyond 30 ms working off takes a minute in which neighbours echo."""
STEP_SAMPLES: Final = 5 * SAMPLES_PER_MS
"""No crystal drifts this far between two blocks: something was cut, and what is left is to be put right at once."""


class Timeline:
    """The cursor; unknown until the first block."""

    def __init__(self) -> None:
        self._cursor: SharedSample | None = None
        self._last_error = 0
        self._since_stretch = 0
        self.reanchors = 0
        self.stretches = 0

    @property
    def cursor(self) -> SharedSample | None:
        """The grid sample that the next frame will carry."""
        return self._cursor

    @property
    def error_samples(self) -> int:
        """How far the cursor lay behind (positive) or ahead at the last block."""
        return self._last_error

    @property
    def correction_ppm(self) -> float:
        """The rate of correction that is being worked off, with its sign."""
        if abs(self._last_error) < DEAD_SAMPLES:
            return 0.0
        return math.copysign(PARTS_PER_MILLION / STRETCH_EVERY_SAMPLES, self._last_error)

    def follow(self, at_ns: SharedNs) -> SharedSample:
        """Nothing sounds: put the cursor where the card is."""
        self._cursor = sample_of_shared_ns(at_ns)
        self._last_error, self._since_stretch = 0, 0
        return self._cursor

    def must_reanchor(self, at_ns: SharedNs) -> bool:
        """In play: take note of the difference; whether it is too large or too sudden to be worked off."""
        if self._cursor is None:
            return False
        error = sample_of_shared_ns(at_ns) - self._cursor
        sudden = abs(error - self._last_error) > STEP_SAMPLES
        self._last_error = error
        return sudden or abs(error) > REANCHOR_SAMPLES

    def reanchor(self, at_ns: SharedNs) -> SharedSample:
        """In play, while faded out: put the cursor where the card is."""
        self.reanchors += 1
        return self.follow(at_ns)

    def stretch(self, frames: int) -> int:
        """How many grid samples the next block of `frames` is to cover: as many, or one more or less."""
        self._since_stretch += frames
        is_due = abs(self._last_error) >= DEAD_SAMPLES and self._since_stretch >= STRETCH_EVERY_SAMPLES
        if not is_due or frames < STRETCHED_FRAMES_MIN:
            return frames
        self._since_stretch = 0
        self.stretches += 1
        return frames + (1 if self._last_error > 0 else -1)

    def advance(self, samples: int) -> None:
        """The block that covers `samples` of the grid has been rendered."""
        if self._cursor is not None:
            self._cursor = SharedSample(self._cursor + samples)
