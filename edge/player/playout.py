"""The card's side of the player: what it is given, for which instant, in step with the grid of shared samples.

Duty: `render(frames, at_ns)` gives the frames of which the first is heard at that shared instant: the voices of the
`mixer`, through the `limiter`, read by the `resampler` at the place and the rate that `timeline` says. It never blocks
and reads no clock. Which voices sound is `mixer`'s business, and that the amplifier is powered `gpio.amplifier`'s.

Rules kept: sound begins in step, to a fraction of a sample; corrections in play stay below 500 ppm, larger ones happen
under a fade (`timeline`); nothing leaves that exceeds the limiter's ceiling.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.player.level import LevelMeter, energy_of
from edge.player.limiter import Limiter
from edge.player.mixer import Mixer
from edge.player.ports import Frames, Samples
from edge.player.resampler import Resampler
from edge.player.timeline import Timeline
from protocol.units import NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ, SAMPLES_PER_MS, SharedNs, SharedSample

COVER_SAMPLES: Final = 10 * SAMPLES_PER_MS
"""Fade before and after a re-anchoring."""
_DOWN: Final[NDArray[np.float32]] = np.cos(np.arange(1, COVER_SAMPLES + 1) * (np.pi / 2 / COVER_SAMPLES)).astype(
    np.float32
)
_INT16_MAX: Final = 32767.0


class Playout:
    """What the card pulls from; nothing but the mixer's voices is ever heard."""

    def __init__(self, mixer: Mixer) -> None:
        self._mixer = mixer
        self._timeline = Timeline()
        self._limiter = Limiter(mixer.mix)
        self._resampler = Resampler(self._limiter.read)
        self._meter = LevelMeter()
        self._down_left = 0
        self._up_left = 0

    def render(self, frames: int, at_ns: SharedNs) -> Frames:
        """The next `frames` frames (int16[frames, 1]), of which the first is heard at `at_ns`."""
        if not self._down_left:
            self._aim(frames, at_ns)
        if not self._down_left:
            return self._finish(self._read(frames))
        n = min(frames, self._down_left)
        faded = self._read(n)
        faded *= _DOWN[COVER_SAMPLES - self._down_left :][:n]
        self._down_left -= n
        if not self._down_left:
            self._timeline.reanchor(SharedNs(at_ns + n * NS_PER_S // SAMPLE_RATE_HZ))
            self._up_left = COVER_SAMPLES
        return self._finish(faded if n == frames else np.concatenate((faded, self._read(frames - n))))

    @property
    def cursor(self) -> SharedSample | None:
        """The grid sample that will be rendered next."""
        cursor = self._timeline.cursor
        return None if cursor is None else cursor.sample

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
    def error_ns(self) -> float:
        """How far the last block lay behind (positive) or ahead of its instant."""
        return self._timeline.error_ns

    @property
    def card_error_ms(self) -> float:
        """The same in milliseconds."""
        return self._timeline.error_ns / NS_PER_MS

    def _aim(self, frames: int, at_ns: SharedNs) -> None:
        """Where the next block is read; in play, whether it has to be moved under a fade."""
        timeline = self._timeline
        if not self._is_sounding(frames):
            self._mixer.silent_before = timeline.follow(at_ns, frames).sample
            self._up_left = 0
        elif timeline.must_reanchor(at_ns, frames):
            # from where the last cover's fade up has come to; from silence there is nothing to fade
            self._down_left = COVER_SAMPLES - self._up_left
            if self._down_left:
                self._up_left = 0
            else:
                timeline.reanchor(at_ns)

    def _is_sounding(self, frames: int) -> bool:
        position, cursor = self._mixer.position, self._timeline.cursor
        if position is None or cursor is None:
            return False
        is_read = self._resampler.has_sound(cursor) or self._limiter.has_sound()
        return is_read or self._mixer.is_sounding(position, frames)

    def _read(self, frames: int) -> Samples:
        """The next frames, faded in while a re-anchoring is covered."""
        timeline = self._timeline
        cursor = timeline.cursor
        if cursor is None:
            return np.zeros(frames, np.float32)
        samples = self._resampler.read(cursor, timeline.rate, frames)
        timeline.advance(frames)
        if self._up_left:
            n = min(frames, self._up_left)
            samples[:n] *= _DOWN[::-1][COVER_SAMPLES - self._up_left :][:n]
            self._up_left -= n
        return samples

    def _finish(self, samples: Samples) -> Frames:
        self._meter.add(energy_of(samples), len(samples))
        return as_frames(samples)


def as_frames(samples: Samples) -> Frames:
    """float32[n] as int16[n, 1], rounded to nearest and kept within full scale; the samples are overwritten."""
    samples *= np.float32(_INT16_MAX)
    np.rint(samples, out=samples)
    np.clip(samples, -_INT16_MAX, _INT16_MAX, out=samples)
    return samples.astype(np.int16).reshape(-1, 1)
