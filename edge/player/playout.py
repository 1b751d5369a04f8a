"""Renders what sounds: mixes voices on the grid of shared samples for the sound card that pulls.

Duty: `render(frames, at_ns)` gives the frames of which the first is heard at that shared instant. It never
raises for what sources hold, never blocks, reads no clock. Which voice sounds is `arbiter`'s business, and that
the amplifier is powered `gpio.amplifier`'s.

Rules kept: a voice begins at its very sample; equal voices give equal samples on every pole; corrections stay
below 500 ppm, larger ones happen under a fade (`timeline`); the limiter is last.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.player.level import LevelMeter, energy_of
from edge.player.limiter import as_frames, limit
from edge.player.ports import Frames, Samples
from edge.player.source import Source
from edge.player.timeline import Timeline
from edge.player.voice import Voice, VoiceStatistics
from protocol.units import FRAME_SAMPLES, NS_PER_S, SAMPLE_RATE_HZ, SAMPLES_PER_MS, SharedNs, SharedSample

COVER_SAMPLES: Final = 10 * SAMPLES_PER_MS
"""Fade before and after a re-anchoring."""
ENDED_KEPT: Final = 64
"""Voices whose statistics can still be asked for after their end."""
_DOWN: Final[NDArray[np.float32]] = np.cos(np.arange(1, COVER_SAMPLES + 1) * (np.pi / 2 / COVER_SAMPLES)).astype(
    np.float32
)


class Playout:
    """The mixer; all voices are known by a name that their owner gives."""

    def __init__(self) -> None:
        self._voices: dict[str, Voice] = {}
        self._ended: OrderedDict[str, VoiceStatistics] = OrderedDict()
        self._timeline = Timeline()
        self._meter = LevelMeter()
        self._mix = np.zeros(FRAME_SAMPLES, np.float32)
        self._down_left = 0
        self._up_left = 0

    def start(
        self,
        voice: str,
        source: Source,
        *,
        from_sample: SharedSample,
        until_sample: SharedSample | None = None,
        gain_db: float = 0.0,
        fade_in_ms: int = 10,
    ) -> None:
        """Let a source sound from a grid sample on; late, it joins at once in the middle. Replaces a namesake.

        A source can only be read by one voice: another voice that has it ends where this one begins, and this one
        goes on from its gain.
        """
        begins = max(int(from_sample), self._timeline.cursor or 0)
        before = sum(other.hand_over(begins) for other in self._voices.values() if other.source is source)
        self._retire(voice)
        self._ended.pop(voice, None)
        self._voices[voice] = Voice(
            name=voice,
            source=source,
            from_sample=from_sample,
            until_sample=until_sample,
            gain_db=gain_db,
            fade_in_ms=fade_in_ms,
            gain_before=before,
        )

    def stop(self, voice: str, *, at_sample: SharedSample | None = None, fade_ms: int = 20) -> None:
        """Fade a voice out, beginning at a grid sample (None, or past: at once). Unknown voices are no fault."""
        found = self._voices.get(voice)
        if found is None:
            return
        at = max(at_sample or 0, self._timeline.cursor or 0)
        if not found.has_begun and (at_sample is None or at <= found.from_sample):
            self._retire(voice)
        else:
            found.stop(at, fade_ms)

    def render(self, frames: int, at_ns: SharedNs) -> Frames:
        """The next `frames` frames (int16[frames, 1]), of which the first is heard at `at_ns`."""
        if not self._is_sounding(frames) and not self._down_left:
            self._timeline.follow(at_ns)
            self._up_left = 0
        elif not self._down_left and self._timeline.must_reanchor(at_ns):
            self._begin_cover(at_ns)
        if not self._down_left:
            return self._finish(self._render_on(frames))
        n = min(frames, self._down_left)
        faded = self._mix_voices(n) * _DOWN[COVER_SAMPLES - self._down_left :][:n]
        self._timeline.advance(n)
        self._down_left -= n
        if not self._down_left:
            self._timeline.reanchor(SharedNs(at_ns + n * NS_PER_S // SAMPLE_RATE_HZ))
            self._up_left = COVER_SAMPLES
        if n == frames:
            return self._finish(faded)
        return self._finish(np.concatenate((faded, self._render_on(frames - n))))

    def statistics(self, voice: str) -> VoiceStatistics:
        """What has come of a voice, also for a while after its end; zeros for one never heard of."""
        found = self._voices.get(voice)
        return found.statistics if found is not None else self._ended.get(voice, VoiceStatistics())

    def is_playing(self, voice: str) -> bool:
        """Whether a voice is known and not yet over."""
        return voice in self._voices

    @property
    def is_silent(self) -> bool:
        """Whether no voice is waiting or sounding: the card may be stopped."""
        return not self._voices

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

    def _begin_cover(self, at_ns: SharedNs) -> None:
        """Fade down from where the last cover's fade up has come to; from silence there is nothing to fade."""
        self._down_left = COVER_SAMPLES - self._up_left
        if self._down_left:
            self._up_left = 0
        else:
            self._timeline.reanchor(at_ns)

    def _is_sounding(self, frames: int) -> bool:
        cursor = self._timeline.cursor
        return cursor is not None and any(
            voice.has_begun and voice.sounds_within(cursor, frames) for voice in self._voices.values()
        )

    def _render_on(self, frames: int) -> Samples:
        """Mix `frames` output samples, stretched by at most one, faded in while a re-anchoring is covered."""
        covered = self._timeline.stretch(frames)
        mixed = self._mix_voices(covered)
        self._timeline.advance(covered)
        if covered != frames:
            mixed = _stretched(mixed, frames, covered)
        if self._up_left:
            n = min(frames, self._up_left)
            mixed[:n] *= _DOWN[::-1][COVER_SAMPLES - self._up_left :][:n]
            self._up_left -= n
        return mixed

    def _mix_voices(self, count: int) -> Samples:
        """The sum of all voices over `count` grid samples from the cursor on; the array is overwritten next time."""
        first = self._timeline.cursor
        if first is None or not self._voices:
            return np.zeros(count, np.float32)
        over = [name for name, voice in self._voices.items() if voice.is_over(first)]
        for name in over:
            self._retire(name)
        sounding = [voice for voice in self._voices.values() if voice.sounds_within(first, count)]
        if len(sounding) == 1:
            offset, samples = sounding[0].read(first, count)
            if len(samples) == count:
                return samples
            return self._add(self._cleared(count), offset, samples)
        mix = self._cleared(count)
        for voice in sounding:
            self._add(mix, *voice.read(first, count))
        return mix

    def _cleared(self, count: int) -> Samples:
        if len(self._mix) < count:
            self._mix = np.zeros(count, np.float32)
        self._mix[:count] = 0.0
        return self._mix[:count]

    @staticmethod
    def _add(mix: Samples, offset: int, samples: Samples) -> Samples:
        mix[offset : offset + len(samples)] += samples
        return mix

    def _finish(self, mixed: Samples) -> Frames:
        self._meter.add(energy_of(mixed), len(mixed))
        return as_frames(limit(mixed))

    def _retire(self, name: str) -> None:
        voice = self._voices.pop(name, None)
        if voice is None:
            return
        self._ended[name] = voice.statistics
        while len(self._ended) > ENDED_KEPT:
            self._ended.popitem(last=False)


def _stretched(samples: Samples, frames: int, covered: int) -> Samples:
    """`frames` samples drawn linearly over `covered` (one more or less); ends meet the neighbouring blocks."""
    places = np.linspace(0.0, covered - 1, frames)
    return np.interp(places, np.arange(covered), samples).astype(np.float32)
