"""What the listener heard of one node: samples, and when each chunk of them arrived.

Pure: it holds arrays and answers questions about them. A node hands over a block when the first of its samples
is due, as a card takes one, and only scheduling makes its arrival later; so within a stretch of unbroken sound
the *earliest* arrivals, counted on from each chunk's first sample by sample rate, tell when each sample sounds,
to a fraction of a millisecond.

All instants are shared nanoseconds; samples are int16 at 48 kHz.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from protocol.units import NS_PER_S, SAMPLE_RATE_HZ, SharedNs

BREAK_NS: Final = 150_000_000
"""Nothing for this long is a break: the sound card was closed, or the node stood still."""
FIT_S: Final = 4.0
"""Arrivals this near tell a sample's time; clocks of one machine do not drift apart in it."""
_NS_PER_SAMPLE: Final = NS_PER_S / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of sound without a break: samples [first, last) and the chunks [chunk_first, chunk_last)."""

    first: int
    last: int
    chunk_first: int
    chunk_last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """One node's sound: chunk i, the samples [ends[i-1], ends[i]), arrived at `stamps_ns[i]`."""

    samples: NDArray[np.int16]
    ends: NDArray[np.int64]
    stamps_ns: NDArray[np.int64]

    @classmethod
    def from_chunks(cls, chunks: list[tuple[int, bytes]]) -> Self:
        """From (arrival, little-endian int16) pairs in order of arrival."""
        parts = [np.frombuffer(data, dtype="<i2") for _, data in chunks]
        return cls(
            samples=np.concatenate(parts).astype(np.int16) if parts else np.zeros(0, dtype=np.int16),
            ends=np.cumsum([len(part) for part in parts], dtype=np.int64),
            stamps_ns=np.array([stamp for stamp, _ in chunks], dtype=np.int64),
        )

    def segments(self) -> list[Segment]:
        """The stretches without a break."""
        if not len(self.ends):
            return []
        cuts = [0, *(np.flatnonzero(np.diff(self.stamps_ns) > BREAK_NS) + 1).tolist(), len(self.ends)]
        found = []
        for chunk_first, chunk_last in pairwise(cuts):
            first = int(self.ends[chunk_first - 1]) if chunk_first else 0
            found.append(
                Segment(
                    first=first, last=int(self.ends[chunk_last - 1]), chunk_first=chunk_first, chunk_last=chunk_last
                )
            )
        return found

    def time_of(self, sample: int, segment: Segment) -> SharedNs:
        """When a sample of a segment sounds, by the earliest arrivals around it."""
        chunks = slice(segment.chunk_first, segment.chunk_last)
        firsts, stamps = self._firsts[chunks], self.stamps_ns[chunks]
        near = np.abs(firsts - sample) <= FIT_S * SAMPLE_RATE_HZ
        if not near.any():
            near = np.ones(len(firsts), dtype=bool)
        lateness = stamps[near] - ((firsts[near] - sample) * _NS_PER_SAMPLE).astype(np.int64)
        return SharedNs(int(lateness.min()))

    @property
    def _firsts(self) -> NDArray[np.int64]:
        """The first sample of each chunk."""
        return np.concatenate((np.zeros(1, dtype=np.int64), self.ends[:-1]))

    def sample_at(self, at_ns: SharedNs, segment: Segment) -> int:
        """Which sample of a segment sounds at an instant; may lie outside of the segment."""
        guess = int(np.searchsorted(self.stamps_ns, at_ns))
        sample = int(self._firsts[min(max(guess, segment.chunk_first), segment.chunk_last - 1)])
        return sample + round((at_ns - self.time_of(sample, segment)) / _NS_PER_SAMPLE)

    def window(self, begin_ns: SharedNs, length: int) -> NDArray[np.int16] | None:
        """`length` samples from an instant on; None where the node was not heard all the while."""
        for segment in self.segments():
            if self.stamps_ns[segment.chunk_last - 1] < begin_ns:
                continue
            first = self.sample_at(begin_ns, segment)
            if first >= segment.first and first + length <= segment.last:
                return self.samples[first : first + length]
        return None
