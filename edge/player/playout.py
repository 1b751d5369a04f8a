"""The card's side of the player: what it is given, for which instant, in step with the grid of shared samples.

Duty: `render(frames, at_ns)` gives the frames of which the first is heard at that shared instant, read from the
`mixer` at the place that `timeline` says. It never blocks and reads no clock. Which voices sound is `mixer`'s
business, and that the amplifier is powered `gpio.amplifier`'s.

Rules kept: corrections stay below 500 ppm, larger ones happen under a fade (`timeline`); the limiter is last.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.player.level import LevelMeter, energy_of
from edge.player.limiter import as_frames, limit
from edge.player.mixer import Mixer
from edge.player.ports import Frames, Samples
from edge.player.timeline import Timeline
from protocol.units import NS_PER_S, SAMPLE_RATE_HZ, SAMPLES_PER_MS, SharedNs, SharedSample

COVER_SAMPLES: Final = 10 * SAMPLES_PER_MS
"""Fade before and after a re-anchoring."""
_DOWN: Final[NDArray[np.float32]] = np.cos(np.arange(1, COVER_SAMPLES + 1) * (np.pi / 2 / COVER_SAMPLES)).astype(
    np.float32
)


class Playout:
    """What the card pulls from; nothing but the mixer's voices is ever heard."""

    def __init__(self, mixer: Mixer) -> None:
        self._mixer = mixer
        self._timeline = Timeline()
        self._meter = LevelMeter()
        self._down_left = 0
        self._up_left = 0

    def render(self, frames: int, at_ns: SharedNs) -> Frames:
        """The next `frames` frames (int16[frames, 1]), of which the first is heard at `at_ns`."""
        if not self._is_sounding(frames) and not self._down_left:
            self._mixer.position = self._timeline.follow(at_ns)
            self._up_left = 0
        elif not self._down_left and self._timeline.must_reanchor(at_ns):
            self._begin_cover(at_ns)
        if not self._down_left:
            return self._finish(self._render_on(frames))
        n = min(frames, self._down_left)
        faded = self._mix(n) * _DOWN[COVER_SAMPLES - self._down_left :][:n]
        self._timeline.advance(n)
        self._down_left -= n
        if not self._down_left:
            self._mixer.position = self._timeline.reanchor(SharedNs(at_ns + n * NS_PER_S // SAMPLE_RATE_HZ))
            self._up_left = COVER_SAMPLES
        if n == frames:
            return self._finish(faded)
        return self._finish(np.concatenate((faded, self._render_on(frames - n))))

    @property
    def cursor(self) -> SharedSample | None:
        """The grid sample that will be rendered next; what is scheduled before it comes too late to be whole."""
        return self._timeline.cursor

    @property
    def level_dbfs(self) -> float:
        """Level of the last second that was rendered."""
        return self._meter.recent_dbfs

    @property
    def reanchors(self) -> int:
        """How often the sound had to be moved in play."""
        return self._timeline.reanchors

    @property
    def correction_ppm(self) -> float:
        """By how much the sound is stretched now, to stay in step with the card."""
        return self._timeline.correction_ppm

    @property
    def card_error_ms(self) -> float:
        """How far the last block lay behind (positive) or ahead of its instant."""
        return self._timeline.error_samples / SAMPLES_PER_MS

    def _begin_cover(self, at_ns: SharedNs) -> None:
        """Fade down from where the last cover's fade up has come to; from silence there is nothing to fade."""
        self._down_left = COVER_SAMPLES - self._up_left
        if self._down_left:
            self._up_left = 0
        else:
            self._mixer.position = self._timeline.reanchor(at_ns)

    def _is_sounding(self, frames: int) -> bool:
        cursor = self._timeline.cursor
        return cursor is not None and self._mixer.is_sounding(cursor, frames)

    def _render_on(self, frames: int) -> Samples:
        """Mix `frames` output samples, stretched by at most one, faded in while a re-anchoring is covered."""
        covered = self._timeline.stretch(frames)
        mixed = self._mix(covered)
        self._timeline.advance(covered)
        if covered != frames:
            mixed = _stretched(mixed, frames, covered)
        if self._up_left:
            n = min(frames, self._up_left)
            mixed[:n] *= _DOWN[::-1][COVER_SAMPLES - self._up_left :][:n]
            self._up_left -= n
        return mixed

    def _mix(self, count: int) -> Samples:
        cursor = self._timeline.cursor
        return np.zeros(count, np.float32) if cursor is None else self._mixer.mix(cursor, count)

    def _finish(self, mixed: Samples) -> Frames:
        self._meter.add(energy_of(mixed), len(mixed))
        return as_frames(limit(mixed))


def _stretched(samples: Samples, frames: int, covered: int) -> Samples:
    """`frames` samples drawn linearly over `covered` (one more or less); ends meet the neighbouring blocks."""
    places = np.linspace(0.0, covered - 1, frames)
    return np.interp(places, np.arange(covered), samples).astype(np.float32)
