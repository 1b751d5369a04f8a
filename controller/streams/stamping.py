"""Frames onto shared time: which 20 ms are due, and at which instant each sounds on the poles.

Duty: cut shared time into slots of 20 ms from an anchor; a slot is due when it is over, so that no feed can run ahead;
a due slot becomes a frame or a gap; frames become packets. Leaves the sound itself to others.
Rules kept: time comes from the sample index, never from sums of rounded times; the index runs on through a gap; a
packet holds contiguous frames only; play time = capture + delay - what levelling and codec add; slots whose packets
could not arrive in time are left out; a shared clock that was set back begins a new epoch, and so does another delay,
which is taken up only in a pause: no sound is cut, and all poles take it up at the same sample.
"""

from __future__ import annotations

from typing import Final

from controller.streams.packing import Packing, Slot
from protocol.stream import AudioPacket
from protocol.units import (
    FRAME_MS,
    FRAME_SAMPLES,
    SAMPLES_PER_MS,
    Now,
    SharedNs,
    SharedSample,
    sample_of_shared_ns,
    shared_ns_of_sample,
)

CODEC_DELAY_SAMPLES: Final = 312
"""Look-ahead of the Opus encoder at 48 kHz, application audio (OPUS_GET_LOOKAHEAD)."""
SET_BACK_MS: Final = 1_000
"""A shared clock that falls back by more than this was set; less is waited out."""
PAUSE_MS: Final = 500
"""A gap this long is a pause, in which another delay is not heard; a shorter delay needs so much more of it."""


class Stamper:
    """The timeline of one stream.

    `delay_samples` is what comes before the codec (the limiter's look-ahead). `epoch` must exceed that of any
    earlier sender of the stream.
    """

    def __init__(
        self, *, stream: str, epoch: int, delay_ms: int, delay_samples: int, frames_per_packet: int, now: Now
    ) -> None:
        self._packing = Packing(stream=stream, epoch=epoch, frames_per_packet=frames_per_packet)
        self._before_codec = delay_samples
        self._use_delay(delay_ms)
        self._wanted_delay_ms = delay_ms
        self._silent_slots: int | None = None
        self._anchor = sample_of_shared_ns(now.shared_ns)
        self._next = 0

    @property
    def next_due_ns(self) -> SharedNs:
        """The shared instant at which the next packet's worth of slots is over."""
        slots = self._next + self._packing.frames_per_packet - len(self._packing)
        return shared_ns_of_sample(SharedSample(self._anchor + slots * FRAME_SAMPLES))

    @property
    def epoch(self) -> int:
        """The epoch in force."""
        return self._packing.epoch

    @property
    def delay_ms(self) -> int:
        """How long after its capture a sound of this epoch is heard."""
        return self._delay_ms

    def want_delay(self, delay_ms: int) -> None:
        """Take up another delay, in a new epoch, at the next pause that is long enough."""
        self._wanted_delay_ms = delay_ms

    def due(self, now: Now) -> list[Slot]:
        """The slots that are over and not too late, each given once; empty packets' worth is not forced."""
        here = sample_of_shared_ns(now.shared_ns)
        over = (here - self._anchor) // FRAME_SAMPLES
        if over < self._next - SET_BACK_MS // FRAME_MS:
            self._packing.begin_anew()
            self._anchor, self._next, over = here, 0, 0
        elif self._wanted_delay_ms != self._delay_ms and self._is_pause:
            self._use_delay(self._wanted_delay_ms)
            self._packing.begin_anew()
            self._anchor = SharedSample(self._anchor + self._next * FRAME_SAMPLES)
            over, self._next = over - self._next, 0
        first = max(self._next, over - self._late_slots_max)
        self._next = max(self._next, over)
        return [self._slot(index) for index in range(first, over)]

    def place(self, slot: Slot, frame: bytes | None) -> list[AudioPacket]:
        """Put a slot's frame, or None for a gap, on the timeline; the packets that are complete by it."""
        if frame is not None:
            self._silent_slots = 0
        elif self._silent_slots is not None:
            self._silent_slots += 1
        return self._packing.flush() if frame is None else self._packing.place(slot, frame)

    def flush(self) -> list[AudioPacket]:
        """What is left at the end of the stream."""
        return self._packing.flush()

    @property
    def _is_pause(self) -> bool:
        """Whether nothing is heard where the timeline would be cut or torn: nothing yet, or nothing for long enough."""
        if self._silent_slots is None:
            return True
        shorter_ms = max(0, self._delay_ms - self._wanted_delay_ms)
        return not len(self._packing) and self._silent_slots * FRAME_MS >= PAUSE_MS + shorter_ms

    def _use_delay(self, delay_ms: int) -> None:
        self._delay_ms = delay_ms
        self._play_after = delay_ms * SAMPLES_PER_MS - self._before_codec - CODEC_DELAY_SAMPLES
        self._late_slots_max = max(1, delay_ms // 2 // FRAME_MS)

    def _slot(self, index: int) -> Slot:
        first_sample = index * FRAME_SAMPLES
        play_at = SharedSample(self._anchor + first_sample + self._play_after)
        return Slot(first_sample=first_sample, play_at_ns=shared_ns_of_sample(play_at))
