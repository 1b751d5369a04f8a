"""The voices of granted sessions: opens their sources, starts and stops them in the mixer, closes them.

One voice for each session. It decides nothing; when a voice begins and ends is told by the studio.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from edge.player.arbiter import Slot
from edge.player.clip_source import ClipSource
from edge.player.mixer import Mixer
from edge.player.playout import Playout
from edge.player.program import Candidate
from edge.player.source import Source
from edge.player.voice import VoiceStatistics
from edge.ports import Workshop
from protocol.units import NS_PER_MS, SAMPLES_PER_MS, Now, SharedMs, SharedNs, sample_of_shared_ms

FADE_OUT_MS: Final = 20
"""Short enough for an emergency's takeover, long enough not to click."""


@dataclass(slots=True, kw_only=True)
class _Voice:
    name: str
    candidate: Candidate
    source: Source
    begins_ms: SharedMs
    stops_ms: SharedMs


class Voices:
    """The voices of one node."""

    def __init__(self, *, workshop: Workshop, stream_source: Callable[[str], Source]) -> None:
        self.mixer: Final = Mixer()
        self.playout: Final = Playout(self.mixer)
        self._workshop = workshop
        self._stream_source = stream_source
        self._voices: dict[str, _Voice] = {}
        self._ended: list[_Voice] = []
        self._past = VoiceStatistics()
        self._count = 0

    def __len__(self) -> int:
        """Voices that hold a source, those included that fade."""
        return len(self._voices) + len(self._ended)

    def begins_ms(self) -> tuple[SharedMs, ...]:
        """When each voice begins or began."""
        return tuple(voice.begins_ms for voice in self._voices.values())

    @property
    def heard(self) -> VoiceStatistics:
        """What has come of all voices since the process began."""
        if not self._voices:
            return self._past
        return _sum((self._past, *(self.mixer.statistics(voice.name) for voice in self._voices.values())))

    def begun_ms(self, key: str) -> SharedMs | None:
        """When the sound of a session begins, if some of it was rendered for the card; None before."""
        voice = self._voices.get(key)
        if voice is None or not self.mixer.statistics(voice.name).audible_ms:
            return None
        return voice.begins_ms

    def failure(self, key: str) -> str | None:
        """Why a session's file can no longer be read."""
        source = self._voices[key].source
        return source.failure if isinstance(source, ClipSource) else None

    def ensure(self, slot: Slot, *, sound_from: SharedNs | None, gain_db: float, now: Now) -> SharedMs:
        """Have a voice for a slot; returns when its sound begins. Raises ClipError.

        A voice whose end was told already, or whose candidate has changed, is replaced: it goes on in step.
        """
        known = self._voices.get(slot.candidate.key)
        if known is not None:
            if _is_same_sound(known.candidate, slot.candidate) and slot.until_ms <= known.stops_ms:
                return known.begins_ms
            self.stop(slot.candidate.key)
        voice = self._open(slot, sound_from, now)
        self._voices[slot.candidate.key] = voice
        self.mixer.start(
            voice.name,
            voice.source,
            from_sample=sample_of_shared_ms(voice.begins_ms),
            until_sample=sample_of_shared_ms(voice.stops_ms),
            gain_db=gain_db,
        )
        return voice.begins_ms

    def stop_at(self, key: str, until_ms: SharedMs) -> None:
        """Tell the mixer a known end that is earlier than the candidate's own."""
        voice = self._voices[key]
        if until_ms < voice.stops_ms:
            voice.stops_ms = until_ms
            self.mixer.stop(voice.name, at_sample=sample_of_shared_ms(until_ms), fade_ms=FADE_OUT_MS)

    def stop(self, key: str) -> VoiceStatistics:
        """Fade a session's voice out now; returns what came of it. A session without a voice is no fault."""
        voice = self._voices.pop(key, None)
        if voice is None:
            return VoiceStatistics()
        self.mixer.stop(voice.name, fade_ms=FADE_OUT_MS)
        self._ended.append(voice)
        statistics = self.mixer.statistics(voice.name)
        self._past = _sum((self._past, statistics))
        return statistics

    def close_ended(self, *, is_rendering: bool) -> None:
        """Close the files of voices that have faded out, or that nothing will ask for any more."""
        still: list[_Voice] = []
        for voice in self._ended:
            if is_rendering and self.mixer.is_playing(voice.name):
                still.append(voice)
            elif isinstance(voice.source, ClipSource):
                voice.source.close()
        self._ended = still

    def _open(self, slot: Slot, sound_from: SharedNs | None, now: Now) -> _Voice:
        candidate = slot.candidate
        warm_ms = 0 if sound_from is None else -(-sound_from // NS_PER_MS)
        begins_ms = max(slot.from_ms, now.shared_ms, warm_ms, candidate.sounds_from_ms)
        self._count += 1
        return _Voice(
            name=f"{candidate.key}#{self._count}",
            candidate=candidate,
            source=self._source(candidate),
            begins_ms=SharedMs(begins_ms),
            stops_ms=candidate.ends_at_ms,
        )

    def _source(self, candidate: Candidate) -> Source:
        if candidate.stream is not None:
            return self._stream_source(candidate.stream)
        if candidate.media is None:
            message = f"{candidate.key} has nothing that could sound"
            raise ValueError(message)
        repeat_ms = candidate.repeat_every_ms
        return ClipSource(
            reader=self._workshop.open_clip(candidate.media.sha256),
            starts_at=sample_of_shared_ms(candidate.sounds_from_ms),
            repeat_every_samples=None if repeat_ms is None else repeat_ms * SAMPLES_PER_MS,
        )


def _is_same_sound(one: Candidate, other: Candidate) -> bool:
    """Whether two candidates of one key differ at most in when they end."""
    return one is other or replace(one, ends_at_ms=other.ends_at_ms) == other


def _sum(parts: tuple[VoiceStatistics, ...]) -> VoiceStatistics:
    return VoiceStatistics(
        audible_ms=sum([part.audible_ms for part in parts]),
        concealed_ms=sum([part.concealed_ms for part in parts]),
        silent_ms=sum([part.silent_ms for part in parts]),
    )
