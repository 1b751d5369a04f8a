"""The ports of the player: what decodes, what reads clips, what pulls the sound.

Samples are float32 at 48 kHz, mono, full scale 1.0, or int16 where a card takes them. Decoders and readers
write into the caller's buffer, so that a block of sound costs no allocation. What is passed to `on_event` of a
card are `edge.events.CardStarted` and `CardFailed`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from protocol.units import SharedNs

Samples = NDArray[np.float32]
"""float32[sample], full scale 1.0."""
Frames = NDArray[np.int16]
"""int16[frame, channel], what a sound card takes."""
Render = Callable[[int, SharedNs], Frames]
"""`render(frames, at_shared_ns) -> int16[frames, 1]`: the next frames, of which the first sounds at that instant."""

CHANNELS: Final = 1
"""A horn is mono."""


class OpusDecoder(Protocol):
    """The state of one Opus stream, mono at 48 kHz."""

    def decode(self, frame: bytes, into: Samples) -> None:
        """Decode one 20 ms frame into `into` (float32[960]).

        Raises DecoderError for what libopus refuses and for a frame of another duration.
        """

    def conceal(self, into: Samples) -> None:
        """Guess one 20 ms frame that did not come (packet loss concealment) into `into` (float32[960])."""

    def reset(self) -> None:
        """Forget what was decoded; what comes next is unrelated to it."""


class ClipReader(Protocol):
    """One media file, decoded as it is read."""

    @property
    def samples(self) -> int:
        """How long the file is, in samples."""

    def read(self, first: int, into: Samples) -> None:
        """Fill `into` from sample `first` of the file; the caller stays within its length. Raises ClipError."""

    def close(self) -> None:
        """Let go of the file; reading afterwards raises ClipError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardStatistics:
    """What a card has counted since the process began.

    `frames` were taken by the device; `underruns` are blocks for which too little had been rendered, `failures`
    the times that the device could not be opened or stopped working; `latency_ms` is what lies between a block's
    being taken and its being heard, as known now.
    """

    frames: int = 0
    underruns: int = 0
    failures: int = 0
    latency_ms: float = 0.0


class SoundCard(Protocol):
    """A device that pulls what is to sound while it is started, and says when it cannot."""

    def start(self, *, is_near: bool = False) -> None:
        """Begin to pull; never blocks. Answered by CardStarted or CardFailed; it goes on trying until stopped.

        Opened `is_near`, the device itself holds less too; it does so until it is stopped.
        """

    def reach(self, *, is_near: bool) -> None:
        """Have little rendered ahead from now on, or as much as usual; what was rendered is heard, without a break."""

    def stop(self) -> None:
        """Pull no more and close the device; never blocks."""

    @property
    def path(self) -> str:
        """What sounds where, for a technician: device, how it was found, who paces it. Empty until it was opened."""

    @property
    def statistics(self) -> CardStatistics:
        """The card's counters."""
