"""What serves the sound card's callback: copies rendered frames, and notes when they will be heard.

Runs on PortAudio's thread, once a block; renders nothing, allocates nothing but the bytes that PyAudio takes,
and never raises. A device that takes frames as fast as they come (an ALSA file, a null device) is paced here by
the monotonic clock, with absolute deadlines: frame n leaves at the start plus n / 48000 s.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from edge.player.ring import Ring
from protocol.units import NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ, MonotonicNs

_CONTINUE: Final = 0
"""paContinue."""
_OUTPUT_UNDERFLOW: Final = 4
"""paOutputUnderflow."""
LATE_NS_MAX: Final = 100 * NS_PER_MS
"""A pacing thread that is later than this was stopped, not delayed: go on from now instead of rushing."""
RUNAWAY_FRAMES: Final = SAMPLE_RATE_HZ
"""A device that is this far ahead of the clock has none of its own and is paced from then on."""
OBSERVATIONS_WAITING_MAX: Final = 16
"""What the card has said and the loop has not read; it reads after every second block or so."""
LEAD_S_MAX: Final = 2.0
"""Longest time between callback and sound that is believed of a device."""


class CardFeed:
    """One opening of the card. Attributes are written by the card's thread and read by the loop's.

    `observations` are (frame number, monotonic instant at which it is heard), until the loop has taken them. `wake` is
    called on the card's thread when half of `depth` is gone, which is what the ring is to hold at most (`reach`), and
    not again until `is_wake_pending` was cleared: few wake-ups are what keeps a node's load low, each costs 0.3 ms of
    cold caches.
    """

    def __init__(self, *, ring: Ring, wake: Callable[[CardFeed], None], is_paced: bool, block_frames: int) -> None:
        self.frame = 0
        self.observations: deque[tuple[int, MonotonicNs]] = deque(maxlen=OBSERVATIONS_WAITING_MAX)
        self.underruns = 0
        self.latency_ns = 0
        self.is_paced = is_paced
        self.is_wake_pending = False
        self.is_primed = False
        self.ring: Final = ring
        self.depth = ring.capacity
        self._wake = wake
        self.block_frames: Final = block_frames
        self._block_ns: Final = block_frames * NS_PER_S // SAMPLE_RATE_HZ
        self._opened_ns = time.monotonic_ns()
        self._pace_frame = 0
        self._pace_ns = 0

    @property
    def wanted(self) -> int:
        """How many frames are to be rendered now."""
        return max(0, self.depth - self.ring.held)

    def reach(self, frames: int | None) -> None:
        """Hold no more than `frames` from now on (None: a whole ring)."""
        self.depth = self.ring.capacity if frames is None else min(frames, self.ring.capacity)

    def serve(self, _nothing: None, frames: int, times: dict[str, float], flags: int) -> tuple[bytes, int]:
        """PyAudio's callback."""
        now_ns = time.monotonic_ns()
        first = self.frame
        if not self.is_paced and first > RUNAWAY_FRAMES + (now_ns - self._opened_ns) * SAMPLE_RATE_HZ // NS_PER_S:
            self.is_paced = True
            self._pace_ns = 0
        if self.is_paced:
            # PortAudio keeps two blocks before the device when nothing drains them: what is given now leaves then
            now_ns = self._pace(first, now_ns)
            self.latency_ns = 2 * self._block_ns
        else:
            lead_s = times["output_buffer_dac_time"] - times["current_time"]
            if 0.0 <= lead_s <= LEAD_S_MAX:
                self.latency_ns = round(lead_s * NS_PER_S)
        self.observations.append((first, MonotonicNs(now_ns + self.latency_ns)))
        taken, missing = self.ring.take(frames)
        self.frame = first + frames
        if self.is_primed and (missing or flags & _OUTPUT_UNDERFLOW):
            self.underruns += 1
        if not self.is_wake_pending and self.ring.held * 2 <= self.depth:
            self.is_wake_pending = True
            self._wake(self)
        return taken, _CONTINUE

    def _pace(self, first: int, now_ns: int) -> int:
        """Wait until frame `first` is due; the instant at which it was due."""
        due_ns = self._pace_ns + (first - self._pace_frame) * NS_PER_S // SAMPLE_RATE_HZ
        if self._pace_ns == 0 or now_ns > due_ns + LATE_NS_MAX:
            self._pace_frame, self._pace_ns = first, now_ns
            return now_ns
        if due_ns > now_ns:
            time.sleep((due_ns - now_ns) / NS_PER_S)
        return due_ns
