"""Keeps the player's cursor on the grid of shared samples in step with the card.

The card says when the next frame will be heard; the cursor says which place of the grid that frame shows. While
nothing sounds the cursor is simply put where the card is, to a fraction of a sample, and the card's rate is learned.
In play a proportional-integral loop without dead band works the difference off by reading a little faster or slower;
a large or sudden one (underrun, clock step, reopened card) asks for a re-anchoring under cover of a fade.

Rules kept: in play the rate is never more than CORRECTION_PPM_MAX off one and changes by SLEW_PPM_PER_S at most; what
was learned of the rate outlives silence, re-anchorings and reopened cards: it is the crystal's.
"""

from __future__ import annotations

from typing import Final

from edge.player.resampler import Cursor
from protocol.units import NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ, SharedNs, SharedSample

CORRECTION_PPM_MAX: Final = 500.0
"""Nobody hears a change of pitch of 0.9 cents."""
SLEW_PPM_PER_S: Final = 500.0
"""A rate that moves a tenth of a cent in a tenth of a second is heard neither as a step nor as a wobble."""
LOOP_PER_S: Final = 1.0
"""Natural frequency of the critically damped loop: a difference is gone in four seconds. What the card says is smooth
by then (`card_clock`): twice as fast follows its noise, half as fast leaves 0.1 ms more after a cold start."""
LEARNING_S: Final = 8.0
"""How long the rate is averaged in silence; less while less was heard of the card."""
BELIEF_S: Final = 6.0
"""A rate that was observed for this long is half believed: first observations err by more than crystals do."""
REANCHOR_NS: Final = 30 * NS_PER_MS
"""Beyond 30 ms working off takes a minute in which neighbours echo."""
STEP_NS: Final = 5 * NS_PER_MS
"""No crystal drifts this far between two blocks: something was cut, and what is left is to be put right at once."""
_PLACES_PER_SAMPLE: Final = 1024
"""Fractions at which the cursor is put down, 20 ns apart: rounding of nanoseconds does not keep it from a whole one."""
_RATES_PER_ONE: Final = 100_000_000
"""Rates are whole multiples of 0.01 ppm, so that a card without any difference is read without any."""
_PPM: Final = 1_000_000
_RATE_MAX: Final = CORRECTION_PPM_MAX / _PPM
NOISE_NS_MAX: Final = NS_PER_MS
"""What the card's clock moves between two blocks beyond this is no rate, but a gap or a clock put right."""


class Timeline:
    """The cursor; unknown until the first block."""

    def __init__(self) -> None:
        self._cursor: Cursor | None = None
        self._learned = 0.0
        self._heard_s = 0.0
        self._rate = 0.0
        self._last: tuple[SharedNs, int] | None = None
        self.error_ns = 0.0
        self.reanchors = 0

    @property
    def cursor(self) -> Cursor | None:
        """The place of the grid that the next frame will show."""
        return self._cursor

    @property
    def rate(self) -> float:
        """By how much more than one sample the grid is read for each frame."""
        return self._rate

    @property
    def correction_ppm(self) -> float:
        """The rate, as it is reported."""
        return self._rate * _PPM

    def follow(self, at_ns: SharedNs, frames: int) -> Cursor:
        """Nothing sounds: put the cursor where the card is, which asks for `frames` frames."""
        self._learn(at_ns, frames)
        self._rate = _bounded(self._learned)
        return self._put(at_ns)

    def must_reanchor(self, at_ns: SharedNs, frames: int) -> bool:
        """In play: take note of the difference; whether it is too large or too sudden to be worked off.

        Otherwise the rate for the next `frames` frames follows from it.
        """
        if self._cursor is None:
            return False
        error_ns = _error_ns(self._cursor, at_ns)
        is_sudden = abs(error_ns - self.error_ns) > STEP_NS
        self.error_ns = error_ns
        if is_sudden or abs(error_ns) > REANCHOR_NS:
            return True
        self._steer(error_ns / NS_PER_S, frames / SAMPLE_RATE_HZ)
        self._last = (at_ns, frames)
        return False

    def reanchor(self, at_ns: SharedNs) -> Cursor:
        """In play, while faded out: put the cursor where the card is."""
        self.reanchors += 1
        self._last = None
        return self._put(at_ns)

    def advance(self, frames: int) -> None:
        """So many frames have been rendered at the rate."""
        if self._cursor is not None:
            self._cursor = self._cursor.moved(frames, self._rate)

    def _put(self, at_ns: SharedNs) -> Cursor:
        places = (at_ns * SAMPLE_RATE_HZ * _PLACES_PER_SAMPLE + NS_PER_S // 2) // NS_PER_S
        sample, place = divmod(places + _PLACES_PER_SAMPLE // 2, _PLACES_PER_SAMPLE)
        self._cursor = Cursor(sample=SharedSample(sample), fraction=place / _PLACES_PER_SAMPLE - 0.5)
        self.error_ns = 0.0
        return self._cursor

    def _learn(self, at_ns: SharedNs, frames: int) -> None:
        """In silence: how much longer than their count the frames of the last block took, averaged."""
        last, self._last = self._last, (at_ns, frames)
        if last is None or not last[1]:
            return
        counted_ns = last[1] * NS_PER_S / SAMPLE_RATE_HZ
        excess_ns = at_ns - last[0] - counted_ns
        if abs(excess_ns) <= NOISE_NS_MAX:
            block_s = counted_ns / NS_PER_S
            self._learned += (excess_ns / NS_PER_S - self._learned * block_s) / min(
                LEARNING_S, self._heard_s + BELIEF_S
            )
            self._heard_s = min(LEARNING_S, self._heard_s + block_s)

    def _steer(self, error_s: float, block_s: float) -> None:
        """The loop: what is learned is its integral part, which rests while the rate is at its bound."""
        learned = self._learned + LOOP_PER_S * LOOP_PER_S * error_s * block_s
        wanted = learned + 2.0 * LOOP_PER_S * error_s
        if abs(wanted) <= _RATE_MAX:
            self._learned = learned
        slew = SLEW_PPM_PER_S / _PPM * block_s
        wanted = max(self._rate - slew, min(self._rate + slew, wanted))
        self._rate = _bounded(wanted)


def _bounded(rate: float) -> float:
    return round(max(-_RATE_MAX, min(_RATE_MAX, rate)) * _RATES_PER_ONE) / _RATES_PER_ONE


def _error_ns(cursor: Cursor, at_ns: SharedNs) -> float:
    """How long before `at_ns` the cursor's place belongs (negative: after it)."""
    return (at_ns * SAMPLE_RATE_HZ - cursor.sample * NS_PER_S - cursor.fraction * NS_PER_S) / SAMPLE_RATE_HZ
