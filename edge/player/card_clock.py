"""When will the card sound its frame n? A line through what the card said, on the machine's monotonic clock.

The card's crystal and the machine's differ by tens of parts per million, and what the card says jitters by parts of a
millisecond. A Kalman filter of offset and rate gives each word of the card the weight that it deserves: the first
ones much, later ones little, fewer the more the card jitters, which is measured as it runs. Words that lie far off the
line (a callback that waited for the interpreter) are not believed, unless several in a row say the same: then the card
was interrupted, and the line begins anew there.

Rules kept: the rate that was learned outlives jumps and reopened cards, it is the crystal's; one wrong word moves
nothing.
"""

from __future__ import annotations

import math
from typing import Final

from protocol.units import NS_PER_S, NS_PER_US, SAMPLE_RATE_HZ, MonotonicNs

_NS_PER_FRAME: Final = NS_PER_S / SAMPLE_RATE_HZ
_PPM: Final = 1e-6
RATE_SPREAD_FIRST: Final = 50 * _PPM
"""How far the two crystals may differ before anything is known: data sheets say 20 to 100 ppm."""
RATE_WANDER_PER_ROOT_S: Final = 0.02 * _PPM
"""How the difference wanders with the temperature in a box on a pole: 0.15 ppm a minute."""
OFFSET_WANDER_NS_PER_ROOT_S: Final = 500.0
"""What a line cannot tell of a real card: rounding of its delay to packets of the bus."""
JITTER_NS_FIRST: Final = 300.0 * NS_PER_US
"""ALSA's. PulseAudio's is 600 us, a card in a good mood has 30."""
JITTER_NS_MIN: Final = 20.0 * NS_PER_US
JITTER_NS_MAX: Final = 1_000.0 * NS_PER_US
JITTER_GAIN: Final = 0.02
"""The jitter is an average over the last 50 words, two seconds; strange ones count as if they were just believable."""
EARLY_SPREADS_MAX: Final = 5.0
"""A word this many standard deviations before the line is not believed at once."""
LATE_SPREADS_MAX: Final = 3.0
"""The same after the line: that is where words go that waited for a busy machine or the interpreter (measured on a
loaded one: 20 us of jitter, and one word in twenty up to 5 ms late)."""
STRANGE_NS_MIN: Final = 100 * NS_PER_US
JUMP_NS: Final = 5_000 * NS_PER_US
JUMP_WORDS: Final = 3
"""This many strange words in a row that agree are the card's new line, if they are JUMP_NS off the old one."""
SHIFT_WORDS: Final = 8
"""The same if they are not: three words in a row were late by the same 0.7 ms within a minute on a busy machine."""
AGREE_SPREADS: Final = 5.0
"""How far, in standard deviations, strange words may lie apart and still agree."""
LEAN_GAIN: Final = 1.0 / 16.0
LEAN_MAX: Final = 1.0
"""The average of the last 16 words, in standard deviations, is off by 0.2 by chance; off by this much, the rate has
changed (a device behind a server was replaced, an oven switched on), and it is learned again."""
RATE_ERROR_MAX: Final = 500 * _PPM
"""Beyond 500 ppm it is no sound card."""


class CardClock:
    """Predicts the monotonic instant at which a numbered frame is heard."""

    def __init__(self) -> None:
        self._is_known = False
        self._frame = 0
        self._at_ns = 0.0
        self._rate_error = 0.0
        self._offset_variance = 0.0
        self._covariance = 0.0
        self._rate_variance = RATE_SPREAD_FIRST**2
        self._jitter_variance = JITTER_NS_FIRST**2
        self._lean = 0.0
        self._strange: list[float] = []
        self.jumps = 0

    def reset(self) -> None:
        """The card was opened anew."""
        self._is_known = False
        self._strange.clear()

    @property
    def is_known(self) -> bool:
        """Whether the card has said anything yet."""
        return self._is_known

    @property
    def drift_ppm(self) -> float:
        """How much longer the card's second is than the machine's, in parts per million."""
        return self._rate_error / _PPM

    @property
    def error_ns(self) -> float:
        """How far off the line may be (one standard deviation), as far as the card's jitter has no bias."""
        return math.sqrt(self._offset_variance) if self._is_known else math.inf

    def observe(self, frame: int, heard_at_ns: MonotonicNs) -> None:
        """The card says that frame number `frame` will be heard at an instant."""
        if not self._is_known:
            self._begin(frame, heard_at_ns)
            return
        self._advance(frame)
        difference = heard_at_ns - self._at_ns
        spread = math.sqrt(self._offset_variance + self._jitter_variance)
        furthest = max(STRANGE_NS_MIN, (LATE_SPREADS_MAX if difference > 0 else EARLY_SPREADS_MAX) * spread)
        self._judge_jitter(min(abs(difference), furthest), spread)
        if abs(difference) > furthest:
            self._doubt(difference, max(STRANGE_NS_MIN, AGREE_SPREADS * spread))
            return
        self._strange.clear()
        self._lean += LEAN_GAIN * (difference / spread - self._lean)
        if abs(self._lean) > LEAN_MAX:
            self._lean, self._covariance, self._rate_variance = 0.0, 0.0, RATE_SPREAD_FIRST**2
            self._offset_variance = self._jitter_variance
        self._take(difference)

    def heard_at(self, frame: int) -> MonotonicNs:
        """When frame number `frame` is heard, as known now."""
        return MonotonicNs(round(self._at_ns + (frame - self._frame) * _NS_PER_FRAME * (1.0 + self._rate_error)))

    def _begin(self, frame: int, heard_at_ns: MonotonicNs) -> None:
        self._is_known = True
        self._frame, self._at_ns = frame, float(heard_at_ns)
        self._offset_variance, self._covariance = self._jitter_variance, 0.0
        self._strange.clear()

    def _doubt(self, difference: float, agreeing: float) -> None:
        """A word far off the line; the line stays unless enough of them agree, and then goes by the least late."""
        if self._strange and abs(difference - self._strange[-1]) > agreeing:
            self._strange.clear()
        self._strange.append(difference)
        if len(self._strange) >= (JUMP_WORDS if min(map(abs, self._strange)) >= JUMP_NS else SHIFT_WORDS):
            self.jumps += 1
            self._begin(self._frame, MonotonicNs(round(self._at_ns + min(self._strange))))

    def _judge_jitter(self, difference: float, spread: float) -> None:
        self._jitter_variance += JITTER_GAIN * (difference * difference - spread * spread)
        self._jitter_variance = max(JITTER_NS_MIN**2, min(JITTER_NS_MAX**2, self._jitter_variance))

    def _advance(self, frame: int) -> None:
        """Prediction: the line as far as `frame`, and how much less is known of it there."""
        span_ns = (frame - self._frame) * _NS_PER_FRAME
        self._frame = frame
        self._at_ns += span_ns * (1.0 + self._rate_error)
        span_s = abs(span_ns) / NS_PER_S
        self._offset_variance += span_ns * (2.0 * self._covariance + span_ns * self._rate_variance)
        self._offset_variance += OFFSET_WANDER_NS_PER_ROOT_S**2 * span_s
        self._covariance += span_ns * self._rate_variance
        self._rate_variance = min(RATE_SPREAD_FIRST**2, self._rate_variance + RATE_WANDER_PER_ROOT_S**2 * span_s)

    def _take(self, difference: float) -> None:
        """Correction: a word of the card that is `difference` off the line."""
        variance = self._offset_variance + self._jitter_variance
        offset_gain, rate_gain = self._offset_variance / variance, self._covariance / variance
        self._at_ns += offset_gain * difference
        rate_error = self._rate_error + rate_gain * difference
        self._rate_error = max(-RATE_ERROR_MAX, min(RATE_ERROR_MAX, rate_error))
        self._rate_variance -= rate_gain * self._covariance
        self._covariance *= 1.0 - offset_gain
        self._offset_variance *= 1.0 - offset_gain
