"""The voices of granted sessions: opens their sources, starts and stops them in the mixer, closes them.

One voice for each session. It decides nothing; when a voice begins and ends is told by the studio, how one follows the
other by `player.switching`. Instants are those of this horn; a cluster that is aimed reads its sources so much back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from edge.player.chime import ChimedClip, chime_of
from edge.player.clip_source import ClipSource
from edge.player.mixer import Mixer
from edge.player.playout import Playout
from edge.player.ports import ClipReader
from edge.player.source import Source
from edge.player.switching import EDGE_MS, TAKEOVER_MS, Part, Switch, part_of
from edge.player.voice import VoiceStatistics
from edge.ports import Workshop
from edge.proof.sweep import SweepSource
from protocol.candidate import Candidate
from protocol.slots import Slot
from protocol.units import (
    NS_PER_MS,
    SAMPLES_PER_MS,
    US_PER_MS,
    Now,
    SharedMs,
    SharedNs,
    SharedSample,
    sample_of_shared_ms,
)


@dataclass(slots=True, kw_only=True)
class _Voice:
    name: str
    candidate: Candidate
    source: Source
    begins_ms: SharedMs
    stops_ms: SharedMs
    leaves: tuple[SharedMs, int, int] | None = None
    """The end that was told to the mixer: when, how much later in samples, under which fade."""
    in_ms: int = EDGE_MS
    gain_db: float = 0.0


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

    def is_heard(self, key: str, now_ms: SharedMs) -> bool:
        """Whether a session's voice has begun."""
        voice = self._voices.get(key)
        return voice is not None and voice.begins_ms < now_ms

    def ensure(
        self, slot: Slot, *, sound_from: SharedNs | None, gain_db: float, in_ms: int = EDGE_MS, now: Now
    ) -> SharedMs:
        """Have a voice for a slot, which rises for `in_ms`; returns when its sound begins. Raises ClipError.

        A voice whose end was told already, or whose candidate has changed, is replaced: it goes on in step.
        """
        voice = self._voices.get(slot.candidate.key)
        if voice is not None and _is_same_sound(voice.candidate, slot.candidate) and slot.until_ms <= voice.stops_ms:
            if in_ms != voice.in_ms:
                voice.in_ms = in_ms
                self.mixer.enter(voice.name, in_ms)
        else:
            self.stop(slot.candidate.key, now_ms=now.shared_ms)
            voice = self._voices[slot.candidate.key] = self._open(slot, sound_from, now)
            voice.in_ms, voice.gain_db = in_ms, gain_db
            candidate = slot.candidate
            rest = _aim_rest(candidate)
            begins_at = SharedSample(sample_of_shared_ms(voice.begins_ms) + rest)
            if part_of(candidate) is Part.EMERGENCY:
                for other in self._ended:  # what still fades softly is gone as soon as the rest
                    self.mixer.stop(other.name, at_sample=begins_at, fade_ms=TAKEOVER_MS)
            self.mixer.start(
                voice.name,
                voice.source,
                from_sample=begins_at,
                until_sample=SharedSample(sample_of_shared_ms(voice.stops_ms) + rest),
                gain_db=gain_db,
                fade_in_ms=in_ms,
                delay=candidate.aim_ms * SAMPLES_PER_MS + rest,
                is_digested=candidate.stream is not None,
            )
        self._duck(voice, slot)
        return voice.begins_ms

    def change_gain(self, key: str, gain_db: float, *, from_ms: SharedMs) -> None:
        """Have a session's voice be so loud from an instant on; what it is told twice changes nothing."""
        voice = self._voices.get(key)
        if voice is not None and voice.gain_db != gain_db:
            voice.gain_db = gain_db
            self.mixer.change_gain(voice.name, gain_db, at_sample=sample_of_shared_ms(from_ms))

    def leave_at(self, key: str, until_ms: SharedMs, switch: Switch, coming: Candidate | None) -> None:
        """Tell the mixer a known end, and the fade in which another candidate or nothing follows."""
        voice = self._voices[key]
        is_own_end = until_ms >= voice.candidate.ends_at_ms
        rest = _aim_rest(voice.candidate if coming is None else coming)
        leaves = (until_ms, rest, switch.out_ms)
        if leaves == voice.leaves or (is_own_end and not switch.out_ms and voice.leaves is None):
            return  # it was told, or is the end that it began with
        voice.leaves, voice.stops_ms = leaves, min(voice.stops_ms, until_ms)
        self.mixer.stop(
            voice.name,
            at_sample=SharedSample(sample_of_shared_ms(until_ms) + rest),
            fade_ms=max(EDGE_MS, switch.out_ms),
            runs_on=is_own_end,
        )

    def stop(self, key: str, *, now_ms: SharedMs, out_ms: int = TAKEOVER_MS) -> VoiceStatistics:
        """Let a session's voice fade now, or in the end that it was told; returns what came of it.

        A session without a voice is no fault.
        """
        voice = self._voices.pop(key, None)
        if voice is None:
            return VoiceStatistics()
        if now_ms < voice.stops_ms:
            self.mixer.stop(voice.name, fade_ms=max(TAKEOVER_MS, out_ms))
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

    def _duck(self, voice: _Voice, slot: Slot) -> None:
        """Tell the mixer when somebody speaks over a voice."""
        rest = _aim_rest(voice.candidate)
        spans = tuple(
            (SharedSample(sample_of_shared_ms(one) + rest), SharedSample(sample_of_shared_ms(other) + rest))
            for one, other in slot.bed
        )
        self.mixer.duck(voice.name, spans)

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
        if candidate.is_self_test:
            return SweepSource(starts_at=sample_of_shared_ms(SharedMs(candidate.starts_at_ms - candidate.aim_ms)))
        if candidate.media is None:
            message = f"{candidate.key} has nothing that could sound"
            raise ValueError(message)
        repeat_ms = candidate.repeat_every_ms
        reader: ClipReader = self._workshop.open_clip(candidate.media.sha256)
        if candidate.chime_ms:
            chime = chime_of(candidate.broadcast_class, candidate.reality)
            reader = ChimedClip(reader, chime, candidate.chime_ms)
        return ClipSource(
            reader=reader,
            starts_at=sample_of_shared_ms(SharedMs(candidate.sounds_from_ms - candidate.aim_ms)),
            repeat_every_samples=None if repeat_ms is None else repeat_ms * SAMPLES_PER_MS,
        )


def _is_same_sound(one: Candidate, other: Candidate) -> bool:
    """Whether two candidates of one key differ at most in when they end."""
    return one is other or replace(one, ends_at_ms=other.ends_at_ms) == other


def _aim_rest(candidate: Candidate) -> int:
    """What a candidate's delay has beyond whole milliseconds, in samples."""
    return candidate.aim_us % US_PER_MS * SAMPLES_PER_MS // US_PER_MS


def _sum(parts: tuple[VoiceStatistics, ...]) -> VoiceStatistics:
    return VoiceStatistics(
        audible_ms=sum([part.audible_ms for part in parts]),
        concealed_ms=sum([part.concealed_ms for part in parts]),
        silent_ms=sum([part.silent_ms for part in parts]),
        ducked_ms=sum([part.ducked_ms for part in parts]),
    )
