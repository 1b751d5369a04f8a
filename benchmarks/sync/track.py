"""What was heard of one pole: where on the shared timeline its sound was, at which true instant.

`errors_ms` is sound minus timeline: positive is ahead. Only blocks that can be read whole are points of the track;
`lost_ms` is the sound that was not there (silence and fades between the first block and the last), `breaks` how often.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocol.units import SAMPLE_RATE_HZ, SAMPLES_PER_MS

JOIN_NS: Final = 100_000_000
"""Points farther apart than this have a gap between them."""
WINDOW_FRAMES: Final = SAMPLE_RATE_HZ
"""A pitch is heard over about a second; dropped single frames have none over less."""


@dataclass(slots=True, kw_only=True)
class Track:
    """One pole's run. `clock_errors_ms` is its shared time minus the real one, each second (the timing model only)."""

    times_ns: list[float] = field(default_factory=list)
    errors_ms: list[float] = field(default_factory=list)
    corrections_ppm: list[float] = field(default_factory=list)
    """How much faster than its own card each second or so of unbroken sound went along the timeline: its pitch."""
    clock_times_ns: list[int] = field(default_factory=list)
    clock_errors_ms: list[float] = field(default_factory=list)
    lost_frames: int = 0
    breaks: int = 0
    underruns: int = 0
    restarts: int = 0
    _pending: int = 0
    _window: tuple[float, float] | None = None

    def heard(self, at_ns: float, error_samples: float, *, frame: float, place: float) -> None:
        """A block that can be read: true instant, frame of the card and grid place (it only grows) of its middle."""
        if self._pending and self.times_ns:
            self.lost_frames += self._pending
            self.breaks += 1
        if self._pending or self._window is None:
            self._window = (frame, place)
        elif (frames := frame - self._window[0]) >= WINDOW_FRAMES:
            self.corrections_ppm.append(((place - self._window[1]) / frames - 1.0) * 1e6)
            self._window = (frame, place)
        self._pending = 0
        self.times_ns.append(at_ns)
        self.errors_ms.append(error_samples / SAMPLES_PER_MS)

    def spliced(self) -> None:
        """What comes next does not follow what came last: no pitch can be told across that."""
        self._window = None

    def lost(self, frames: int) -> None:
        """A block with silence, a fade or a splice in it."""
        self._pending += frames

    @property
    def lost_ms(self) -> float:
        """Sound that was not there, also what had not come back at the end."""
        return (self.lost_frames + self._pending) / SAMPLES_PER_MS

    def at(self, instants_ns: NDArray[np.float64]) -> NDArray[np.float64]:
        """The error at some instants (float64[n], ms); NaN where nothing was heard close by."""
        times, errors = np.array(self.times_ns), np.array(self.errors_ms)
        if len(times) < 2:  # noqa: PLR2004 - a line has two ends
            return np.full(len(instants_ns), np.nan)
        following = np.clip(np.searchsorted(times, instants_ns), 1, len(times) - 1)
        value: NDArray[np.float64] = np.interp(instants_ns, times, errors)
        is_outside = (instants_ns < times[0]) | (instants_ns > times[-1])
        value[is_outside | (times[following] - times[following - 1] > JOIN_NS)] = np.nan
        return value

    def clock_at(self, instants_ns: NDArray[np.float64]) -> NDArray[np.float64]:
        """The clock's error at some instants (float64[n], ms)."""
        error: NDArray[np.float64] = np.interp(instants_ns, self.clock_times_ns, self.clock_errors_ms)
        return error
