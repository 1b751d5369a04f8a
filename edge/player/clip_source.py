"""A prepared file as a source: placed on the grid once, or again and again in step.

Repetition n begins at `starts_at + n * repeat_every_samples` on every pole, so whoever reads late is in the
middle like everybody else. Between two repetitions, before the first and after the last it is silent. A file
that cannot be read any more is silence too, and `failure` says why; reading it never raises.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edge.errors import ClipError
from edge.player.ports import ClipReader, Samples
from edge.player.source import SourceCounters
from protocol.units import FRAME_SAMPLES, SharedSample


class ClipSource:
    """One file on the grid; a repetition longer than its period is cut where the next begins."""

    def __init__(
        self,
        *,
        reader: ClipReader,
        starts_at: SharedSample,
        repeat_every_samples: int | None = None,
    ) -> None:
        if repeat_every_samples is not None and repeat_every_samples <= 0:
            raise ClipError(f"a clip cannot repeat every {repeat_every_samples} samples; give a positive period")
        self.counters = SourceCounters()
        self.failure: str | None = None
        self._reader = reader
        self._starts_at: Final = int(starts_at)
        self._period: Final = repeat_every_samples
        self._length: Final = (
            reader.samples if repeat_every_samples is None else min(reader.samples, repeat_every_samples)
        )
        self._out = np.zeros(FRAME_SAMPLES, np.float32)

    def read(self, first: SharedSample, count: int) -> Samples:
        """See `Source.read`."""
        if len(self._out) < count:
            self._out = np.zeros(count, np.float32)
        filled = 0
        while filled < count:
            filled += self._fill(int(first) + filled, self._out[filled:count])
        return self._out[:count]

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()

    def _fill(self, position: int, into: Samples) -> int:
        """Fill the beginning of `into` with what is of one kind; says how many samples that were."""
        offset = position - self._starts_at
        if offset >= 0 and self._period is not None:
            offset %= self._period
        if 0 <= offset < self._length and self.failure is None:
            n = min(len(into), self._length - offset)
            try:
                self._reader.read(offset, into[:n])
            except ClipError as error:
                self.failure = str(error)
                into[:n] = 0.0
                self.counters.silent += n
            else:
                self.counters.real += n
            return n
        n = min(len(into), self._silence_left(offset))
        into[:n] = 0.0
        self.counters.silent += n
        return n

    def _silence_left(self, offset: int) -> int:
        if offset < 0:
            return -offset
        return FRAME_SAMPLES if self._period is None else self._period - offset
