"""Frames into packets: contiguous frames of one epoch, numbered, as many to a packet as were agreed.

Where a frame belongs was decided before (`stamping` for a feed, `voice_pacing` for a speaker). Rules kept: a packet
holds contiguous frames only; a new epoch begins at sequence 0 and takes nothing over from the one before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.stream import AudioPacket
from protocol.units import FRAME_SAMPLES, SharedMs, SharedNs


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """20 ms of shared time: their index in the epoch and the instant at which their first sample sounds."""

    first_sample: int
    play_at_ns: SharedNs

    @property
    def play_at_ms(self) -> SharedMs:
        """The play time in whole milliseconds."""
        return SharedMs(self.play_at_ns // 1_000_000)


class Packing:
    """The packets of one stream; `epoch` must exceed that of any earlier sender of it."""

    def __init__(self, *, stream: str, epoch: int, frames_per_packet: int) -> None:
        self.frames_per_packet: Final = frames_per_packet
        self._stream = stream
        self._epoch = epoch
        self._sequence = 0
        self._frames: list[bytes] = []
        self._first: Slot | None = None

    def __len__(self) -> int:
        """Frames that wait for their packet to be full."""
        return len(self._frames)

    @property
    def epoch(self) -> int:
        """The epoch in force."""
        return self._epoch

    def begin_anew(self) -> None:
        """The next epoch; what waits is of a timeline that is no more."""
        self._epoch += 1
        self._sequence = 0
        self._frames, self._first = [], None

    def place(self, slot: Slot, frame: bytes) -> list[AudioPacket]:
        """Take a frame; the packets that are complete by it."""
        packets = []
        if self._first is not None and slot.first_sample != self._first.first_sample + len(self) * FRAME_SAMPLES:
            packets += self.flush()
        self._first = self._first or slot
        self._frames.append(frame)
        if len(self) == self.frames_per_packet:
            packets += self.flush()
        return packets

    def flush(self) -> list[AudioPacket]:
        """What waits, as a packet of its own."""
        if self._first is None:
            return []
        packet = AudioPacket(
            stream=self._stream,
            epoch=self._epoch,
            sequence=self._sequence,
            first_sample=self._first.first_sample,
            play_at_ns=self._first.play_at_ns,
            frames=tuple(self._frames),
        )
        self._sequence += 1
        self._frames, self._first = [], None
        return [packet]
