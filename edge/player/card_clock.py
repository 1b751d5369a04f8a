"""When will the card sound its frame n? A line through what the card said, on the machine's monotonic clock.

The card's crystal and the machine's differ by tens of parts per million, and what the card says jitters by parts
of a millisecond. Offset and rate follow by a fixed-gain filter (alpha-beta; Kalata 1984) whose gains begin high and
settle, so that the first blocks are right at once and later ones are smooth. A sudden jump is no jitter: the card was
interrupted, and the line begins anew.
"""

from __future__ import annotations

from typing import Final

from protocol.units import NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ, MonotonicNs

_NS_PER_FRAME: Final = NS_PER_S / SAMPLE_RATE_HZ
JUMP_NS: Final = 5 * NS_PER_MS
"""No card's jitter is this large once it runs; PulseAudio's is 0.6 ms, ALSA's below 0.3 ms."""
SETTLE_OBSERVATIONS: Final = 64
"""Observations over which the gain falls to its last value: about two seconds of 30 ms blocks."""
GAIN: Final = 0.03
"""Share of a new difference that moves the offset, once settled."""
RATE_GAIN: Final = GAIN * GAIN / 2.0
"""Critically damped partner of GAIN."""
RATE_ERROR_MAX: Final = 500e-6
"""Crystals err by 100 ppm at worst; beyond 500 ppm it is no sound card."""


class CardClock:
    """Predicts the monotonic instant at which a numbered frame is heard."""

    def __init__(self) -> None:
        self._count = 0
        self._frame = 0
        self._at_ns = 0.0
        self._rate_error = 0.0
        self.jumps = 0

    def reset(self) -> None:
        """The card was opened anew."""
        self._count, self._rate_error = 0, 0.0

    @property
    def is_known(self) -> bool:
        """Whether the card has said anything yet."""
        return self._count > 0

    @property
    def drift_ppm(self) -> float:
        """How much longer the card's second is than the machine's, in parts per million."""
        return self._rate_error * 1e6

    def observe(self, frame: int, heard_at_ns: MonotonicNs) -> None:
        """The card says that frame number `frame` will be heard at an instant."""
        frames = frame - self._frame
        expected = self._at_ns + frames * _NS_PER_FRAME * (1.0 + self._rate_error)
        difference = heard_at_ns - expected
        if self._count and abs(difference) > JUMP_NS:
            self.jumps += 1
            self._count = 0
        self._count = min(self._count + 1, SETTLE_OBSERVATIONS)
        self._frame = frame
        if self._count == 1:
            self._at_ns = float(heard_at_ns)
            return
        gain = max(1.0 / self._count, GAIN)
        self._at_ns = expected + gain * difference
        if self._count == SETTLE_OBSERVATIONS and frames > 0:
            rate_error = self._rate_error + RATE_GAIN * difference / (frames * _NS_PER_FRAME)
            self._rate_error = max(-RATE_ERROR_MAX, min(RATE_ERROR_MAX, rate_error))

    def heard_at(self, frame: int) -> MonotonicNs:
        """When frame number `frame` is heard, as known now."""
        return MonotonicNs(round(self._at_ns + (frame - self._frame) * _NS_PER_FRAME * (1.0 + self._rate_error)))
