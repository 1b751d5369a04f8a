"""What a source of sound is: something that can be read on the grid of shared samples.

A source never raises while it is read and never gives fewer samples than asked for: what it has not got is
silence, and it counts which samples were which. Whether and how loud it sounds is `mixer`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edge.player.ports import Samples
from protocol.units import SharedSample


@dataclass(slots=True, kw_only=True)
class SourceCounters:
    """How many samples a source has given, by kind; it only grows (kept by the source, read by `voice`).

    `real` samples came from the sender or the file, `concealed` were guessed in place of lost ones, and `silent`
    stand where nothing was to be had: lost for too long, before the beginning, between two repetitions.
    """

    real: int = 0
    concealed: int = 0
    silent: int = 0


class Source(Protocol):
    """Sound on the grid of shared samples."""

    counters: SourceCounters

    def read(self, first: SharedSample, count: int) -> Samples:
        """The `count` samples that sound from `first` on (float32[count]).

        The array is the source's own: the caller may scale it in place, and the next read overwrites it. Reads are
        normally consecutive; after a leap the source goes on from the new place as if it had just begun.
        """
