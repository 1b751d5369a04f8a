"""The voices on the grid of shared samples: started, stopped, mixed, counted.

Duty: `mix(first, count)` gives the sum of all voices over any piece of the grid; `start` and `stop` say which voice
sounds from which grid sample on. It never raises for what sources hold and knows nothing of cards or of time: at
which instant a piece is heard is `playout`'s business, which voice sounds is `arbiter`'s.

Rules kept: a voice begins at its very sample; equal voices give equal samples on every pole, whatever the pieces.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import numpy as np

from edge.player.ducking import Span
from edge.player.ports import Samples
from edge.player.source import Source
from edge.player.voice import Voice, VoiceStatistics
from protocol.units import FRAME_SAMPLES, SharedSample

ENDED_KEPT: Final = 64
"""Voices whose statistics can still be asked for after their end."""


class Mixer:
    """All voices, each known by a name that its owner gives.

    `position` is the grid sample that will be mixed next (a little ahead of what the card gets, for the limiter and the
    resampler look ahead); what is scheduled before it comes too late to be whole. It is unknown until the first piece
    was asked for. Before `silent_before` no voice sounds, even if its time had come: nobody heard it begin.
    """

    def __init__(self) -> None:
        self.position: SharedSample | None = None
        self.silent_before = SharedSample(0)
        self._voices: dict[str, Voice] = {}
        self._ended: OrderedDict[str, VoiceStatistics] = OrderedDict()
        self._mix = np.zeros(FRAME_SAMPLES, np.float32)

    def start(
        self,
        voice: str,
        source: Source,
        *,
        from_sample: SharedSample,
        until_sample: SharedSample | None = None,
        gain_db: float = 0.0,
        fade_in_ms: int = 10,
        delay: int = 0,
        is_digested: bool = False,
    ) -> None:
        """Let a source sound from a grid sample on; late, it joins at once in the middle. Replaces a namesake.

        What it gives at a grid sample is heard `delay` samples later; begin and end are when it is heard. If it
        `is_digested`, its statistics carry the digest of what was read.

        A source can only be read by one voice: another voice that has it ends where this one begins, and this one
        goes on from its gain.
        """
        begins = max(int(from_sample), self.position or 0)
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
            delay=delay,
            is_digested=is_digested,
        )

    def enter(self, voice: str, fade_in_ms: int) -> None:
        """Let a voice that has not begun yet rise in so long when it does."""
        found = self._voices.get(voice)
        if found is not None:
            found.enter(fade_in_ms)

    def change_gain(self, voice: str, gain_db: float, *, at_sample: SharedSample) -> None:
        """Let a voice be so loud from a grid sample on, or as soon as it can be."""
        found = self._voices.get(voice)
        if found is not None:
            found.change_gain(gain_db, int(at_sample), position=self.position or 0)

    def duck(self, voice: str, spans: Sequence[Span]) -> None:
        """Let a voice be a bed in these spans of the grid, and in no others."""
        found = self._voices.get(voice)
        if found is not None:
            found.duck(spans)

    def stop(
        self, voice: str, *, at_sample: SharedSample | None = None, fade_ms: int = 20, runs_on: bool = False
    ) -> None:
        """Fade a voice out, beginning at a grid sample (None, or past: at once). Unknown voices are no fault.

        A voice may `runs_on` from its known end under the fade, where another crosses it.
        """
        found = self._voices.get(voice)
        if found is None:
            return
        at = max(at_sample or 0, self.position or 0)
        if not found.has_begun and (at_sample is None or at <= found.from_sample):
            self._retire(voice)
        else:
            found.stop(at, fade_ms, runs_on=runs_on and not found.is_fading(self.position or 0))

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

    def is_sounding(self, first: SharedSample, count: int) -> bool:
        """Whether a voice that has begun goes on within `count` samples from `first`."""
        return any(voice.has_begun and voice.sounds_within(first, count) for voice in self._voices.values())

    def mix(self, first: SharedSample, count: int) -> Samples:
        """The sum of all voices over `count` samples from `first` on; the array is overwritten next time."""
        self.position = SharedSample(first + count)
        silent = min(count, self.silent_before - first)
        if silent <= 0:
            return self._sum(first, count)
        for voice in self._voices.values():
            voice.rise_again(self.silent_before)
        sounding = self._sum(self.silent_before, count - silent)
        return np.concatenate((np.zeros(silent, np.float32), sounding))

    def _sum(self, first: SharedSample, count: int) -> Samples:
        if not self._voices or not count:
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

    def _retire(self, name: str) -> None:
        voice = self._voices.pop(name, None)
        if voice is None:
            return
        self._ended[name] = voice.statistics
        while len(self._ended) > ENDED_KEPT:
            self._ended.popitem(last=False)
