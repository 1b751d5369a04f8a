"""Sound that says what it is: samples from which anybody can read the source and the place in it.

A cell of two milliseconds is a sync of double size and 47 bits, signs that are 16 bits of the source's tag and 31 bits
of the cell's number in the source; each takes two samples, so that little of it lies where a resampler lets nothing
through. Signs survive gain, fades and the limiter, so what came out of a horn can be read without knowing how loud it
was made; sound between the samples is moved back onto them first. Two sources of like size at once, or silence, give no
reading; of a source and a bed far below it the source is read, and `below` says whether a bed that one thinks of is
there.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.player.ports import Samples

LEVEL: Final = 0.1
"""-20 dBFS, the level to which feeds and files are brought."""
TAGS_MAX: Final = 1 << 16
_BIT: Final = 2
"""Samples of one bit."""
_TAG_BITS: Final = 16
_PLACE_BITS: Final = 31
CELL_SAMPLES: Final = _BIT * (1 + _TAG_BITS + _PLACE_BITS)
READ_SAMPLES: Final = 2 * CELL_SAMPLES - 1
"""So many samples hold a whole cell wherever they begin."""
_PAGE_CELLS: Final = 512
_PAGES_MAX: Final = 128
"""25 MB; a commune hears a handful of sources at one time, all poles at the same place in them."""
_SYNC_MIN: Final = 2
"""Smaller than this in int16 there is nothing to be read."""
_CELL_SPREAD: Final = 0.25
"""How far the samples of a cell may be from half the sync where a source is alone."""
_MIXED_SPREAD: Final = 0.65
"""The same above a bed 15 dB below, whose own sync may fall on a bit; of two sources of like size it is 1 and more."""
_REACH: Final = 16
"""Samples on either side from which one between two of them is computed."""
_FRACTIONS: Final = 32
"""Places between two samples that are tried, 0.65 us apart."""
_SHIFTED_SPREAD: Final = 0.55
"""The same as `_CELL_SPREAD` for sound that was moved: its highest tones were lost on the way."""

_LIKE_MAX: Final = 0.6
"""Squared likeness of two sources from which on a fit of both says nothing."""

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
    """What a piece of sound says: the source's tag, and which place of the source its first sample shows.

    The place is the sample `first` and a `fraction` from -0.5 to 0.5 of the way to the next.
    """

    tag: int
    first: int
    fraction: float = 0.0


def fill(tag: int, first: int, into: Samples) -> None:
    """Write the samples of a source from its sample `first` on into `into` (float32[n])."""
    done, count = 0, len(into)
    page_samples = _PAGE_CELLS * CELL_SAMPLES
    while done < count:
        number, offset = divmod(first + done, page_samples)
        n = min(count - done, page_samples - offset)
        into[done : done + n] = _page(tag, number)[offset : offset + n]
        done += n


def read(frames: NDArray[np.int16], start: int = 0, *, near: float = 0.0) -> Reading | None:
    """The first cell that begins at `start` or later in int16[n]; None for silence, mixtures and other sound.

    `near` is the fraction at which the sound before it was read, which is tried first.
    """
    piece = frames[start : start + READ_SAMPLES].astype(np.float32)
    if len(piece) < READ_SAMPLES or int(np.abs(piece).max()) < _SYNC_MIN:
        return None
    reading = None if near else _cell(piece, _CELL_SPREAD)
    if reading is not None:
        return _moved(reading, start, 0.0)
    begin, start = start, max(start, _REACH)
    around = frames[start - _REACH : start + READ_SAMPLES + _REACH].astype(np.float64)
    if len(around) < READ_SAMPLES + 2 * _REACH:
        reading = _cell(piece, _MIXED_SPREAD)
        return None if reading is None else _moved(reading, begin, 0.0)
    return _read_between(around, start, near)


def aligned(frames: NDArray[np.int16], reading: Reading) -> tuple[NDArray[np.float32], int]:
    """Sound moved back onto the samples, float32[n or a little less], and which sample of the source is its first."""
    if not reading.fraction or len(frames) <= 2 * _REACH:
        return frames.astype(np.float32), reading.first
    moved = np.correlate(frames.astype(np.float64), _SHIFTS[round((reading.fraction + 0.5) * _FRACTIONS)])
    return moved.astype(np.float32), reading.first + _REACH


def below(sound: NDArray[np.float32], upper: tuple[int, int], lower: tuple[int, int], reach: int) -> tuple[float, int]:
    """How large a bed is in aligned sound, as a part of the source above it, and how far from where it was looked for.

    Source and bed are each a tag and its first sample. Both are fitted at once (least squares), so that it is known to
    some hundredths, for each place up to `reach` samples away; the largest counts.
    """
    above = np.empty(len(sound), np.float32)
    fill(*upper, above)
    around = np.empty(len(sound) + 2 * reach, np.float32)
    fill(lower[0], lower[1] - reach, around)
    power, whole = float(above @ above), float(above @ sound)
    best = (0.0, 0)
    for shift in range(2 * reach + 1):
        bed = around[shift : shift + len(sound)]
        own, shared, found = float(bed @ bed), float(bed @ above), float(bed @ sound)
        if shared * shared > _LIKE_MAX * own * power:
            return 0.0, 0  # two streams at one place differ in a few bits of their tags: a fit would find anything
        size = whole * own - found * shared
        part = (found * power - whole * shared) / size if size > 0 else 0.0
        best = max(best, (part, shift - reach))
    return best


def _read_between(around: NDArray[np.float64], start: int, near: float) -> Reading | None:
    """The same for sound that was resampled: at the fraction that it had before, else at the clearest one."""
    if near:
        row = round((near + 0.5) * _FRACTIONS)
        reading = _cell(np.correlate(around, _SHIFTS[row]), _SHIFTED_SPREAD)
        if reading is not None:
            return _moved(reading, start, near)
    pieces = np.lib.stride_tricks.sliding_window_view(around, _SHIFTS.shape[1]) @ _SHIFTS.T
    spreads = [_spread(piece) for piece in pieces.T]
    row = min(range(len(spreads)), key=spreads.__getitem__)
    reading = _cell(pieces[:, row], _SHIFTED_SPREAD)
    return None if reading is None else _moved(reading, start, row / _FRACTIONS - 0.5)


def _moved(reading: Reading, start: int, fraction: float) -> Reading:
    return Reading(tag=reading.tag, first=reading.first - start, fraction=fraction)


def _sync(piece: NDArray[np.float32] | NDArray[np.float64]) -> int:
    """Where the largest pair of samples begins."""
    return int((piece[:CELL_SAMPLES] + piece[1 : CELL_SAMPLES + 1]).argmax())


def _spread(piece: NDArray[np.float32] | NDArray[np.float64]) -> float:
    """How far the bits of a cell are from half its sync, as a part of that; infinite without a sync."""
    sync = _sync(piece)
    cell = np.abs(piece[sync : sync + CELL_SAMPLES])
    usual = float(cell[0] + cell[1]) / 4
    if usual < _SYNC_MIN / 2:
        return float("inf")
    rounding = 1.0 / usual  # int16 errs by half a step, and so does half of the sync
    return max(0.0, float(np.abs(cell[_BIT:] / usual - 1.0).max()) - rounding)


def _cell(piece: NDArray[np.float32] | NDArray[np.float64], spread_max: float) -> Reading | None:
    """Read READ_SAMPLES samples of sound that stand where they were made."""
    if _spread(piece) > spread_max:
        return None
    sync = _sync(piece)
    cell = piece[sync : sync + CELL_SAMPLES]
    signs = cell[0::_BIT] + cell[1::_BIT] > 0
    bits = int.from_bytes(np.packbits(signs[1:]).tobytes()) >> 1
    place = bits & ((1 << _PLACE_BITS) - 1)
    return Reading(tag=bits >> _PLACE_BITS, first=place * CELL_SAMPLES - sync)


def _shifts() -> NDArray[np.float64]:
    """float64[place, tap]: filters that move sound, which was read at a fraction of a sample, back onto the samples.

    Whole parts of 65,536, so that their sums over int16 are exact and the same on every machine.
    """
    places = np.arange(-_REACH, _REACH + 1)[None, :] + (np.arange(_FRACTIONS + 1) / _FRACTIONS - 0.5)[:, None]
    window = np.i0(8.0 * np.sqrt(np.maximum(0.0, 1.0 - np.square(places / (_REACH + 0.5))))) / np.i0(8.0)
    shifts: NDArray[np.float64] = np.rint(np.sinc(places) * window * 65_536) / 65_536
    return shifts


_SHIFTS: Final = _shifts()


def _page(tag: int, number: int) -> Samples:
    key = (tag, number)
    page = _pages.get(key)
    if page is None:
        page = _pages[key] = _make_page(tag, number)
        if len(_pages) > _PAGES_MAX:
            _pages.popitem(last=False)
    return page


def _make_page(tag: int, number: int) -> Samples:
    places = number * _PAGE_CELLS + np.arange(_PAGE_CELLS, dtype=np.int64)
    words = (tag << _PLACE_BITS) | (places & ((1 << _PLACE_BITS) - 1))
    shifts = np.arange(_TAG_BITS + _PLACE_BITS - 1, -1, -1, dtype=np.int64)
    cells = np.empty((_PAGE_CELLS, 1 + _TAG_BITS + _PLACE_BITS), np.float32)
    cells[:, 0] = 2.0 * LEVEL
    cells[:, 1:] = np.where((words[:, None] >> shifts) & 1, LEVEL, -LEVEL)
    return cells.repeat(_BIT, axis=1).reshape(-1)
