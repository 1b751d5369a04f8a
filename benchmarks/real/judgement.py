"""From what was heard of a pair to its figures: seconds that count, quantiles, time to alignment.

A second counts when the reader was served throughout. `rejected` are the others, whatever they say; `unheard` are
seconds in which one of the pair was silent or sounded something else, which is its own fault and not the machine's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.commune import BenchmarkError
from benchmarks.measure import quantile
from benchmarks.real.difference import Heard, difference_ms
from protocol.units import NS_PER_S

WINDOW_NS: Final = NS_PER_S
SETTLE_S: Final = 10
"""Quantiles begin so long after both are heard; what is before them is in `first_ms` and `aligned_after_s`."""
SHORT_NS: Final = NS_PER_S // 2
"""The beginning is looked at in steps of this."""
ALIGNED_MS: Final = 1.0
ALIGNED_FOR: Final = 6
"""Aligned is what is followed by so many short windows (3 s) that are within ALIGNED_MS too."""
BEGINNING_S_MAX: Final = 60
"""A pair that is not aligned by then is reported as never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The figures of one pair; differences are without sign but for `first_ms` and `seconds_ms`."""

    p50_ms: float
    p95_ms: float
    p999_ms: float
    p95_of_medians_ms: float
    first_ms: float | None
    aligned_after_s: float | None
    measured: int
    rejected: int
    unheard: int
    seconds_ms: tuple[float, ...]

    @property
    def rejected_share(self) -> float:
        """Seconds that the machine spoiled, of all."""
        return self.rejected / max(1, self.rejected + self.measured + self.unheard)


def judge(folder: Path, names: tuple[str, str], *, since_ns: int = 0) -> Judgement:
    """Judge two players by the reader's files from an instant on; raises BenchmarkError when nothing can be said."""
    one, other = (Heard.load(folder, name) for name in names)
    disturbed = np.fromfile(folder / "disturbed", np.int64).reshape(-1, 2)
    begins = [heard.first_sound_ns() for heard in (one, other)]
    if None in begins:
        message = f"{names[begins.index(None)]} was never heard"
        raise BenchmarkError(message)
    begin_ns = max(since_ns, *(begin for begin in begins if begin is not None))
    end_ns = min(int(heard.stamps_ns[-1]) for heard in (one, other)) - NS_PER_S
    found, medians, rejected, unheard = [], [], 0, 0
    for at_ns in range(begin_ns + SETTLE_S * NS_PER_S, end_ns - WINDOW_NS, WINDOW_NS):
        if np.any((disturbed[:, 0] < at_ns + WINDOW_NS) & (disturbed[:, 1] > at_ns)):
            rejected += 1
            continue
        difference = difference_ms(one, other, at_ns, WINDOW_NS)
        if difference is None:
            unheard += 1
        else:
            found.append(difference)
            medians.append(difference_ms(one, other, at_ns, WINDOW_NS, by_median=True) or 0.0)
    if not found:
        message = f"no second of {names[0]} and {names[1]} could be compared ({rejected} rejected, {unheard} unheard)"
        raise BenchmarkError(message)
    sizes = [abs(each) for each in found]
    beginning = _beginning(one, other, begin_ns, min(end_ns, begin_ns + BEGINNING_S_MAX * NS_PER_S))
    return Judgement(
        p50_ms=quantile(sizes, 0.5),
        p95_ms=quantile(sizes, 0.95),
        p999_ms=quantile(sizes, 0.999),
        p95_of_medians_ms=quantile([abs(each) for each in medians], 0.95),
        first_ms=next((each for each in beginning if each is not None), None),
        aligned_after_s=_aligned_after_s(beginning),
        measured=len(found),
        rejected=rejected,
        unheard=unheard,
        seconds_ms=tuple(round(each, 4) for each in found),
    )


def _beginning(one: Heard, other: Heard, begin_ns: int, end_ns: int) -> list[float | None]:
    return [difference_ms(one, other, at_ns, SHORT_NS) for at_ns in range(begin_ns, end_ns - SHORT_NS, SHORT_NS)]


def _aligned_after_s(beginning: list[float | None]) -> float | None:
    for index in range(len(beginning) - ALIGNED_FOR):
        if all(each is not None and abs(each) <= ALIGNED_MS for each in beginning[index : index + ALIGNED_FOR]):
            return index * SHORT_NS / NS_PER_S
    return None
