"""Sound that says what it is: samples from which anybody can read the source and the place in it.

A cell of one millisecond is a sync sample of double size and 47 samples whose signs are 16 bits of the source's tag
and 31 bits of the millisecond in the source. Signs survive gain, fades and the limiter, so what came out of a horn
can be read without knowing how loud it was made. Two sources at once, or silence, give no reading.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.player.ports import Samples
from protocol.units import SAMPLES_PER_MS

LEVEL: Final = 0.1
"""-20 dBFS, the level to which feeds and files are brought."""
TAGS_MAX: Final = 1 << 16
_TAG_BITS: Final = 16
_PLACE_BITS: Final = 31
_PAGE_MS: Final = 1_024
_PAGES_MAX: Final = 128
"""25 MB; a commune hears a handful of sources at one time, all poles at the same place in them."""
_SYNC_MIN: Final = 2
"""Smaller than this in int16 there is nothing to be read."""
_CELL_SPREAD: Final = 0.25
"""How far the samples of a cell may be from half the sync sample: more is a mixture."""

_pages: OrderedDict[tuple[int, int], Samples] = OrderedDict()


class Tags:
    """Names of sources by the number that their samples carry."""

    def __init__(self) -> None:
        self._names: list[str] = ["?"]
        self._tags: dict[str, int] = {}

    def tag(self, name: str) -> int:
        """The number of a source, given in the order of asking; it wraps around after 65,535."""
        known = self._tags.get(name)
        if known is None:
            known = self._tags[name] = len(self._names) % TAGS_MAX
            self._names.append(name)
        return known

    def name(self, tag: int) -> str:
        """The source of a number."""
        return self._names[tag] if tag < len(self._names) else "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a piece of sound says: the source's tag, and which sample of the source its first sample is."""

    tag: int
    first: int


def fill(tag: int, first: int, into: Samples) -> None:
    """Write the samples of a source from its sample `first` on into `into` (float32[n])."""
    done, count = 0, len(into)
    page_samples = _PAGE_MS * SAMPLES_PER_MS
    while done < count:
        number, offset = divmod(first + done, page_samples)
        n = min(count - done, page_samples - offset)
        into[done : done + n] = _page(tag, number)[offset : offset + n]
        done += n


def read(frames: NDArray[np.int16], start: int = 0) -> Reading | None:
    """The first cell that begins at `start` or later in int16[n]; None for silence, mixtures and other sound."""
    piece = frames[start : start + 2 * SAMPLES_PER_MS - 1].astype(np.int32)
    if len(piece) < 2 * SAMPLES_PER_MS - 1:
        return None
    sizes = np.abs(piece)
    sync = int(sizes[:SAMPLES_PER_MS].argmax())
    cell, others = piece[sync : sync + SAMPLES_PER_MS], sizes[sync + 1 : sync + SAMPLES_PER_MS]
    usual, spread = int(sizes[sync]) / 2, int(sizes[sync]) / 2 * _CELL_SPREAD + 1
    if cell[0] < _SYNC_MIN or others.max() > usual + spread or others.min() < usual - spread:
        return None
    bits = int.from_bytes(np.packbits(cell[1:] > 0).tobytes()) >> 1
    place_ms = bits & ((1 << _PLACE_BITS) - 1)
    return Reading(tag=bits >> _PLACE_BITS, first=place_ms * SAMPLES_PER_MS - sync - start)


def _page(tag: int, number: int) -> Samples:
    key = (tag, number)
    page = _pages.get(key)
    if page is None:
        page = _pages[key] = _make_page(tag, number)
        if len(_pages) > _PAGES_MAX:
            _pages.popitem(last=False)
    return page


def _make_page(tag: int, number: int) -> Samples:
    places = number * _PAGE_MS + np.arange(_PAGE_MS, dtype=np.int64)
    words = (tag << _PLACE_BITS) | (places & ((1 << _PLACE_BITS) - 1))
    shifts = np.arange(_TAG_BITS + _PLACE_BITS - 1, -1, -1, dtype=np.int64)
    cells = np.empty((_PAGE_MS, SAMPLES_PER_MS), np.float32)
    cells[:, 0] = 2.0 * LEVEL
    cells[:, 1:] = np.where((words[:, None] >> shifts) & 1, LEVEL, -LEVEL)
    return cells.reshape(-1)
