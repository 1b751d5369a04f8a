"""Where each 20 ms of a live voice sound: as soon as every pole can have them, and none of what was said is lost.

Duty: give each frame of a speaker its place on the timeline, and let a delay that grew shrink again. A voice that
begins finds cold amplifiers, so its first frames get a long lead; a speaker's line that stalls delivers late. What was
said meanwhile waits, and the delay comes back to the usual one in the speaker's own pauses, of which one frame in two
is left out. Leaves the sound, its level and its coding to others.
Rules kept: time comes from the sample index, never from sums of rounded times; the index only rises; a frame that
comes too late for its place moves on to the next that every pole can still have, which is a gap of whole frames;
nobody is far ahead of the clock, for a voice that comes faster than it is spoken is no live voice; where the shared
clock is set, a new epoch begins at once, with amplifiers that are warm.
"""

from __future__ import annotations

from typing import Final

from controller.streams.packing import Packing, Slot
from controller.streams.stamping import CODEC_DELAY_SAMPLES
from protocol.stream import AudioPacket
from protocol.units import (
    FRAME_SAMPLES,
    NS_PER_MS,
    SAMPLES_PER_MS,
    Now,
    SharedMs,
    SharedSample,
    sample_of_shared_ms,
    sample_of_shared_ns,
    shared_ns_of_sample,
)

ROOM_SAMPLES: Final = 20 * SAMPLES_PER_MS
"""What a frame may be late without a gap: a browser's audio thread and a busy loop move frames by so much."""
AHEAD_MS_MAX: Final = 2_000
"""What may wait behind a stalled line beyond the lead; more was not spoken just now."""
STEP_NS: Final = 50 * NS_PER_MS
"""A shared clock that leaves the machine's own by more than this between two frames was set."""
SETTLED_SAMPLES: Final = ROOM_SAMPLES + 2 * FRAME_SAMPLES
"""No more than this above the delay that is wanted: the next pause takes nothing worth mentioning away."""
BACK_FRAMES_MAX: Final = 100
"""A voice that must go back waits so long (two seconds) for a pause, and then leaves a gap in a word."""
PAUSE_FRAMES: Final = 5
"""A silence is a pause from here on; shorter ones belong to the words."""


class TooFastError(Exception):
    """Sound comes faster than it can have been spoken."""


class VoicePacer:
    """The timeline of one speaker; `delay_samples` is what comes before the codec (the limiter's look-ahead).

    The first frame sounds `lead_ms` after it was spoken, and not before `not_before_ms`, when a chime is over.
    """

    def __init__(
        self,
        *,
        stream: str,
        epoch: int,
        delay_ms: int,
        lead_ms: int,
        not_before_ms: int,
        delay_samples: int,
        frames_per_packet: int,
    ) -> None:
        self._packing = Packing(stream=stream, epoch=epoch, frames_per_packet=frames_per_packet)
        self._play_after = delay_ms * SAMPLES_PER_MS - delay_samples - CODEC_DELAY_SAMPLES - FRAME_SAMPLES
        self._wanted_ms = delay_ms
        self._waited_frames = 0
        self.usual_ms = delay_ms
        """What it comes down to in pauses."""
        self.is_settled = False
        """Whether it has come to that."""
        self._lead = max(0, lead_ms - delay_ms) * SAMPLES_PER_MS
        self._not_before = sample_of_shared_ms(SharedMs(not_before_ms))
        self._ahead_max = 0
        self._origin: int | None = None
        self._shared_ahead_ns: int | None = None
        self._next = 0
        self._silent_frames = 0
        self.gaps = 0
        """Frames' places that were left empty because the speaker's line was late."""
        self.left_out = 0
        """Silent frames that were left out, each 20 ms less of delay."""
        self.delay_ms = float(delay_ms)
        """From a frame's first sample at the microphone to the ear, as of the last frame."""

    def slot(self, now: Now, *, is_silent: bool) -> Slot | None:
        """The place of a frame whose last sample was spoken just now, or None: left out. Raises TooFastError."""
        self._follow_clock(now.shared_ns - now.monotonic_ns)
        if self._wanted_ms != self.usual_ms:
            self._take_delay(is_silent=is_silent)
        earliest = sample_of_shared_ns(now.shared_ns) + self._play_after
        if self._origin is None:
            self._origin = max(earliest + self._lead + ROOM_SAMPLES, self._not_before)
            self._ahead_max = self._origin - earliest + AHEAD_MS_MAX * SAMPLES_PER_MS
        self._silent_frames = self._silent_frames + 1 if is_silent else 0
        ahead = self._origin + self._next * FRAME_SAMPLES - earliest
        is_pause = self._silent_frames > PAUSE_FRAMES and self._silent_frames % 2 == 0
        if is_pause and ahead >= ROOM_SAMPLES + FRAME_SAMPLES:
            self.left_out += 1
            return None
        if ahead > self._ahead_max:
            raise TooFastError
        if ahead < 0:
            missed = -(ahead // FRAME_SAMPLES)
            self.gaps += missed
            self._next += missed
            ahead += missed * FRAME_SAMPLES
        index, self._next = self._next, self._next + 1
        play_at = SharedSample(self._origin + index * FRAME_SAMPLES)
        self.delay_ms = self.usual_ms + ahead / SAMPLES_PER_MS
        self.is_settled = ahead <= SETTLED_SAMPLES
        return Slot(first_sample=index * FRAME_SAMPLES, play_at_ns=shared_ns_of_sample(play_at))

    def want_delay(self, delay_ms: int) -> None:
        """Have another usual delay: a shorter one at once, which pauses then come down to, a longer one in a pause.

        The longer one begins an epoch, for what poles have said of the shorter one says nothing of it.
        """
        self._wanted_ms, self._waited_frames = delay_ms, 0

    @property
    def heard_until_ms(self) -> SharedMs:
        """When the last frame that has a place is over on the poles, rounded up; 0 before the first."""
        if self._origin is None:
            return SharedMs(0)
        return SharedMs(-(-(self._origin + self._next * FRAME_SAMPLES) // SAMPLES_PER_MS))

    def place(self, slot: Slot, frame: bytes) -> list[AudioPacket]:
        """Put a frame on its place; the packets that are complete by it."""
        return self._packing.place(slot, frame)

    def flush(self) -> list[AudioPacket]:
        """What waits for its packet to be full."""
        return self._packing.flush()

    @property
    def epoch(self) -> int:
        """The epoch in force."""
        return self._packing.epoch

    def _take_delay(self, *, is_silent: bool) -> None:
        """The delay that is wanted, unless it is longer and a word is being said."""
        self._waited_frames += 1
        is_word = not is_silent and self._waited_frames <= BACK_FRAMES_MAX
        if self._wanted_ms > self.usual_ms and (is_word or len(self._packing)):
            return
        longer = (self._wanted_ms - self.usual_ms) * SAMPLES_PER_MS
        self.usual_ms = self._wanted_ms
        self._play_after += longer
        self._ahead_max -= longer
        if longer > 0:
            self._begin_anew()

    def _begin_anew(self) -> None:
        """A new epoch, with amplifiers that are warm."""
        self._packing.begin_anew()
        self._origin, self._next, self._lead, self._not_before = None, 0, 0, SharedSample(0)

    def _follow_clock(self, shared_ahead_ns: int) -> None:
        """Begin a new epoch where the shared clock was set."""
        before_ns, self._shared_ahead_ns = self._shared_ahead_ns, shared_ahead_ns
        if before_ns is not None and abs(shared_ahead_ns - before_ns) > STEP_NS:
            self._begin_anew()
