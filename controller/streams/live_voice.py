"""One speaker's voice on its way to the poles of an area, sans IO: blocks of the microphone in, packets out.

    waiting --something is said--> speaking
    waiting, speaking --hung up | line lost | nothing said | not live | time is up--> ended

Duty: hear when somebody begins to speak, level, encode and place what is said (`voice_pacing`), and know when it is
over. Leaves connections, threads and signing to `adapters.relay.voice_worker`, the signed start and end to the desk.
Rules kept: before anything is said nothing is published, so no amplifier is powered for a microphone that is merely
open (but for a chime that was asked for); the first syllable is kept and sounds when the amplifiers are warm; from then
on frames go out without a break, pauses included, so that a pole can tell a pause from a lost line; level and ceiling
are those of all other sound.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from controller.configuration.config import VoiceConfig
from controller.records import RelayRecord
from controller.streams.levelling import GATE_DBFS, Leveller, Samples, level_dbfs
from controller.streams.relay import RelayEnded, RelayEvent, RelayStarted, RelayStep, RelayTimed
from controller.streams.voice_pacing import TooFastError, VoicePacer
from protocol.stream import AudioPacket
from protocol.units import (
    FRAME_SAMPLES,
    NS_PER_MS,
    NS_PER_S,
    SAMPLES_PER_MS,
    MonotonicNs,
    Now,
    SharedMs,
)

BEGIN_FRAMES: Final = 3
"""60 ms above the gate are a voice; a knock on the table is shorter."""
KEPT_FRAMES: Final = 15
"""300 ms before that are kept: soft consonants begin below the gate."""
STALL_MS_MAX: Final = 2_000
"""Nothing came for so long: the line is lost. A browser in a tunnel comes back sooner or not at all."""
LIVE_WINDOW_MS: Final = 3_000
LIVE_SHARE_MIN: Final = 0.6
"""Less sound than this of the time that passed was recorded at another rate; a line that only stalls catches up."""
FULL_SCALE: Final = np.float32(32_768.0)

Encode = Callable[[Samples], bytes]
"""One frame, float32[960], to one Opus frame."""


class VoiceState(StrEnum):
    """The life of one speaker's turn at the microphone."""

    WAITING = "waiting"
    SPEAKING = "speaking"
    ENDED = "ended"


class Happening(StrEnum):
    """What moves it."""

    SAID = "said"
    HUNG_UP = "hung_up"
    LINE_LOST = "line_lost"
    NOTHING_SAID = "nothing_said"
    NOT_LIVE = "not_live"
    TIME_UP = "time_up"


TRANSITIONS: Final[Mapping[tuple[VoiceState, Happening], VoiceState]] = {
    (VoiceState.WAITING, Happening.SAID): VoiceState.SPEAKING,
    **{
        (state, happening): VoiceState.ENDED
        for state in (VoiceState.WAITING, VoiceState.SPEAKING)
        for happening in Happening
        if happening is not Happening.SAID
    },
}
"""Pairs that do not stand here change nothing."""


class LiveVoice:
    """One speaker: tell it what the microphone gave (`receive`) and that time passes (`tick`)."""

    def __init__(self, *, config: VoiceConfig, voice: RelayRecord, encode: Encode, now: Now) -> None:
        self._config = config
        self._ends_at_ms = voice.ends_at_ms
        self._encode = encode
        self._leveller = Leveller(config.level_dbfs)
        self._pacer = VoicePacer(
            stream=voice.stream,
            epoch=now.shared_ns // NS_PER_S,  # rises with every start of any sender
            delay_ms=voice.delay_ms,
            lead_ms=voice.delay_ms if voice.chime_ms else max(voice.delay_ms, config.lead_in_ms),
            not_before_ms=voice.starts_at_ms + voice.chime_ms,
            delay_samples=Leveller.delay_samples,
            frames_per_packet=config.frames_per_packet,
        )
        self._rest: NDArray[np.int16] = np.zeros(0, np.int16)
        self._kept: deque[Samples] = deque(maxlen=KEPT_FRAMES + BEGIN_FRAMES)
        self._loud_frames = 0
        self._last_block_at = now.monotonic_ns
        self._last_sound_at = now.monotonic_ns
        self._window: tuple[MonotonicNs, int] | None = None
        self._epoch = -1
        self._is_settled = False
        self._events: list[RelayEvent] = []
        self.state = VoiceState.WAITING

    @property
    def pacer(self) -> VoicePacer:
        """The timeline, for figures."""
        return self._pacer

    def receive(self, samples: NDArray[np.int16], now: Now) -> RelayStep:
        """The microphone gave samples (int16, mono 48 kHz), the last of them just now."""
        if self.state is VoiceState.ENDED:
            return RelayStep()
        self._last_block_at = now.monotonic_ns
        joined = np.concatenate((self._rest, samples))
        whole = len(joined) // FRAME_SAMPLES * FRAME_SAMPLES
        self._rest = joined[whole:]
        packets: list[AudioPacket] = []
        for frame in joined[:whole].reshape(-1, FRAME_SAMPLES):
            packets += self._take(frame.astype(np.float32) / FULL_SCALE, now)
        return self._step([*packets, *self._judge_rate(whole, now), *self._judge(now)])

    def tick(self, now: Now) -> RelayStep:
        """Time has passed; ask at least ten times a second."""
        return self._step(self._judge(now))

    def want_delay(self, delay_ms: int) -> None:
        """Come nearer in the next pauses, or go back in the next one; it is told when that is done (RelayTimed)."""
        self._pacer.want_delay(delay_ms)
        self._is_settled = False

    def end(self, happening: Happening, reason: str, now: Now) -> RelayStep:
        """It is over, for a reason that people read; what waits still goes out."""
        return self._step(self._over(happening, reason, now))

    def _take(self, samples: Samples, now: Now) -> list[AudioPacket]:
        is_loud = level_dbfs(samples) > GATE_DBFS
        if is_loud:
            self._last_sound_at = now.monotonic_ns
        if self.state is VoiceState.SPEAKING:
            return self._say(samples, now, is_silent=not is_loud)
        self._kept.append(samples)
        self._loud_frames = self._loud_frames + 1 if is_loud else 0
        if self.state is not VoiceState.WAITING or self._loud_frames < BEGIN_FRAMES:
            return []
        self.state = TRANSITIONS[self.state, Happening.SAID]
        kept = list(self._kept)
        self._leveller.prime(np.concatenate(kept))
        self._window = (now.monotonic_ns, 0)
        packets = [packet for each in kept for packet in self._say(each, now, is_silent=False)]
        if packets:
            play_at_ms = SharedMs(packets[0].play_at_ns // NS_PER_MS)
            self._events.append(RelayStarted(url="", play_at_ms=play_at_ms))
        return packets

    def _say(self, samples: Samples, now: Now, *, is_silent: bool) -> list[AudioPacket]:
        if self.state is VoiceState.ENDED:
            return []
        levelled = self._leveller.process(samples)
        try:
            slot = self._pacer.slot(now, is_silent=is_silent)
        except TooFastError:
            reason = "sound comes faster than it is spoken; send 48 kHz mono, as the microphone gives it"
            return self._over(Happening.NOT_LIVE, reason, now)
        if slot is None:
            return []
        is_settled = self._pacer.is_settled
        if self._pacer.epoch != self._epoch or (is_settled and not self._is_settled):
            self._epoch, self._is_settled = self._pacer.epoch, is_settled
            delay_ms = self._pacer.usual_ms
            self._events.append(RelayTimed(epoch=self._epoch, delay_ms=delay_ms, is_settled=is_settled))
        return self._pacer.place(slot, self._encode(levelled))

    def _judge_rate(self, samples: int, now: Now) -> list[AudioPacket]:
        """Over each window: as much sound as time, or it is recorded at another rate than it claims."""
        if self._window is None or self.state is not VoiceState.SPEAKING:
            return []
        since, heard = self._window
        heard += samples
        passed_ms = (now.monotonic_ns - since) // NS_PER_MS
        if passed_ms < LIVE_WINDOW_MS:
            self._window = (since, heard)
            return []
        self._window = (now.monotonic_ns, 0)
        share = heard / (passed_ms * SAMPLES_PER_MS)
        if share >= LIVE_SHARE_MIN:
            return []
        reason = f"only {share:.0%} of the sound comes; send 48 kHz mono, or speak over a better line"
        return self._over(Happening.NOT_LIVE, reason, now)

    def _judge(self, now: Now) -> list[AudioPacket]:
        """Whether it is over by itself."""
        if self.state is VoiceState.ENDED:
            return []
        if now.shared_ms >= self._ends_at_ms:
            return self._over(Happening.TIME_UP, "its time was up", now)
        if now.monotonic_ns - self._last_block_at > STALL_MS_MAX * NS_PER_MS:
            seconds = STALL_MS_MAX / 1000
            return self._over(Happening.LINE_LOST, f"the line was lost: no sound came for {seconds:g} s", now)
        silent_s = (now.monotonic_ns - self._last_sound_at) / NS_PER_S
        if silent_s > self._config.silence_s_max:
            return self._over(Happening.NOTHING_SAID, f"nothing was said for {self._config.silence_s_max} s", now)
        return []

    def _over(self, happening: Happening, reason: str, now: Now) -> list[AudioPacket]:
        after = TRANSITIONS.get((self.state, happening))
        if after is None:
            return []
        self.state = after
        heard_until_ms = self._pacer.heard_until_ms
        self._events.append(RelayEnded(reason=reason, at_ms=now.shared_ms, heard_until_ms=heard_until_ms))
        return self._pacer.flush()

    def _step(self, packets: list[AudioPacket]) -> RelayStep:
        step = RelayStep(packets=tuple(packets), events=tuple(self._events))
        self._events.clear()
        return step
