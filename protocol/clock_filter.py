"""What a node's clock is made of: a filter of two states, offset and drift, over bursts of time samples; pure.

Offsets are shared time minus the node's raw monotonic clock (CLOCK_MONOTONIC_RAW: NTP steers the other one, and would
change its rate under the filter). Each burst becomes one measurement: the quickest way there and the quickest way back
of all its samples, which need not be of the same sample. Its variance follows from how much longer that round trip is
than the shortest of late; a Kalman filter of offset and drift takes them in, all of the window anew after each burst,
for what a shortest round trip is shows late.

Rules kept: the truth lies within half the round trip of every burst, so the stated error is a bound, which only the
drift's uncertainty makes grow; a measurement that does not fit is left out whichever way it errs; several in a row that
fit each other are a clock that was set, and are taken; a longer way is given so much noise that it cannot look like a
clock that was set, and that a hundred say no more than a few; the drift is bounded.
Kept elsewhere: when to ask (`edge.clock.time_exchange`), how the node's clock follows (`edge.clock.shared_clock`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from protocol.clock_sync import TimeSample
from protocol.units import NS_PER_S, MonotonicNs

DRIFT_PPB_MAX: Final = 500_000.0
"""The kernel's bound (MAXFREQ, linux/timex.h), and chrony's; a crystal that is worse is broken."""
SURE_SIGMAS: Final = 3.0
"""How much of the drift's uncertainty goes into the stated error."""
FIRST_DRIFT_PPB: Final = DRIFT_PPB_MAX / SURE_SIGMAS
"""One standard deviation of a drift of which nothing is known."""
WANDER_PPB: Final = 30.0
"""How far the drift walks in a second, as a square root of time: 0.7 ppm in ten minutes, 1.8 ppm in an hour, as a
crystal does in a box on which the sun shines and whose processor begins to work."""
NOISE_NS_MIN: Final = 10_000.0
"""Stamps are taken in Python: 10 µs at best, however quiet the network."""
EXCESS_SHARE: Final = 0.2
"""How much of a measurement's excess over the shortest round trip counts as its noise."""
SPREAD_SHARE: Final = 0.025
"""And how much of the spread within bursts; both fitted to gamma jitter of shapes 1 to 4: `noise_ns` is right."""
CONFIRMED_BY: Final = 4
"""So many bursts of the window must have had a way nearly as short as the shortest."""
WINDOW_BURSTS: Final = 64
"""So many are kept and judged together: eleven minutes of sound, five hours of silence."""
FULL_BURST: Final = 4
"""Fewer samples do not show how ways spread; all of the round trip is taken for it then."""
OUTLIER_SIGMAS: Final = 5.0
STEP_BURSTS: Final = 3
"""So many bursts in a row must agree that the clock was set."""


class Verdict(StrEnum):
    """What became of a burst."""

    FIRST = "first"
    TAKEN = "taken"
    OUTLIER = "outlier"
    """It does not fit, and no longer way explains it: either the clock was set, and others will say so, or nothing."""
    STEPPED = "stepped"
    CONTRADICTORY = "contradictory"
    """Its samples cannot all be true, or it is older than the last."""
    EMPTY = "empty"


class ClockEstimate(Struct, frozen=True, kw_only=True, gc=False):
    """Shared time is a raw monotonic reading plus `offset_ns`, within `error_ns`.

    `noise_ns` is one standard deviation of what chance does; by so much and less like nodes on like ways differ. What
    ways do that are longer there than back is in `error_ns` alone.
    """

    offset_ns: int
    drift_ppb: int
    error_ns: int
    noise_ns: int


class Measurement(Struct, frozen=True, kw_only=True, gc=False):
    """What a burst says: at `at_ns` the offset was this, within half of `round_trip_ns`.

    `spread_ns` is how much longer its samples usually took.
    """

    at_ns: MonotonicNs
    offset_ns: int
    round_trip_ns: int
    spread_ns: int


class Track(Struct, frozen=True, kw_only=True, gc=False):
    """What the filter knew at `at_ns`; never changed, so that any thread may read it.

    In ns, seconds and ppb (ns a second), so that numbers stay readable; `variance` of the offset, `covariance` of both.
    """

    at_ns: MonotonicNs
    base_ns: int
    """The whole offset but `offset_ns`: 64 bits of float would round it to a quarter of a microsecond."""
    offset_ns: float
    drift_ppb: float
    variance: float
    covariance: float
    drift_variance: float
    bound_ns: float
    """How wrong the offset was at most."""

    def estimate(self, at: MonotonicNs) -> ClockEstimate:
        """The offset at an instant, and how wrong it can be."""
        then = self.moved_to(at)
        return ClockEstimate(
            offset_ns=then.base_ns + round(then.offset_ns),
            drift_ppb=round(then.drift_ppb),
            error_ns=math.ceil(then.bound_ns),
            noise_ns=math.ceil(math.sqrt(then.variance)),
        )

    def moved_to(self, at: MonotonicNs) -> Track:
        """The same knowledge at another instant, less sure the farther it lies from this one."""
        elapsed_s = (at - self.at_ns) / NS_PER_S
        away_s = abs(elapsed_s)
        walked = WANDER_PPB**2 * away_s
        drift_variance = self.drift_variance + walked
        astray_ppb = min(SURE_SIGMAS * math.sqrt(drift_variance), DRIFT_PPB_MAX)
        return Track(
            at_ns=at,
            base_ns=self.base_ns,
            offset_ns=self.offset_ns + self.drift_ppb * elapsed_s,
            drift_ppb=self.drift_ppb,
            variance=max(
                self.variance + elapsed_s * (2 * self.covariance + elapsed_s * (self.drift_variance + walked / 3)), 0.0
            ),
            covariance=self.covariance + elapsed_s * (self.drift_variance + walked / 2),
            drift_variance=drift_variance,
            bound_ns=self.bound_ns + astray_ppb * away_s,
        )

    def corrected(self, measured: Measurement, noise_ns: float) -> Track:
        """With a measurement of the same instant taken in (Kalman 1960; two states, one observed)."""
        innovation_ns = self.differs_by_ns(measured)
        total = self.variance + noise_ns**2
        gain, drift_gain = self.variance / total, self.covariance / total
        change_ns = gain * innovation_ns
        return Track(
            at_ns=self.at_ns,
            base_ns=self.base_ns,
            offset_ns=self.offset_ns + change_ns,
            drift_ppb=max(-DRIFT_PPB_MAX, min(DRIFT_PPB_MAX, self.drift_ppb + drift_gain * innovation_ns)),
            variance=(1 - gain) * self.variance,
            covariance=(1 - gain) * self.covariance,
            drift_variance=max(self.drift_variance - drift_gain * self.covariance, 0.0),
            bound_ns=min(self.bound_ns + abs(change_ns), abs(innovation_ns - change_ns) + measured.round_trip_ns / 2),
        )

    def differs_by_ns(self, measured: Measurement) -> float:
        """By how much a measurement of the same instant says more."""
        return measured.offset_ns - self.base_ns - self.offset_ns


class ClockFilter:
    """One node's. Fed in one thread; `track` may be read in any."""

    def __init__(self) -> None:
        self.track: Track | None = None
        """None before the first burst."""
        self._before: Track | None = None
        """What was known before the window's first measurement."""
        self._window: list[Measurement] = []
        self._suspects: list[Measurement] = []

    @property
    def has_suspicion(self) -> bool:
        """Whether the last burst spoke of a clock that was set: another soon decides."""
        return bool(self._suspects)

    def estimate(self, at: MonotonicNs) -> ClockEstimate | None:
        """The offset at an instant of the raw clock; None before the first burst."""
        return None if self.track is None else self.track.estimate(at)

    def add(self, burst: Sequence[TimeSample]) -> Verdict:
        """Take in one burst: samples of some seconds, oldest first."""
        if not burst:
            return Verdict.EMPTY
        track = self.track
        measured = measurement_of(burst, 0.0 if track is None else track.drift_ppb)
        if measured.round_trip_ns < 0 or (track is not None and measured.at_ns <= track.at_ns):
            return Verdict.CONTRADICTORY
        if track is None:
            self._take(measured)
            return Verdict.FIRST
        prior = track.moved_to(measured.at_ns)
        differs_ns = abs(prior.differs_by_ns(measured))
        noise_ns = _Noise([*self._window, measured], prior).of(measured)
        if differs_ns <= OUTLIER_SIGMAS * math.hypot(math.sqrt(prior.variance), noise_ns):
            self._suspects.clear()
            self._take(measured)
            return Verdict.TAKEN
        return self._suspect(measured, prior)

    def _suspect(self, measured: Measurement, prior: Track) -> Verdict:
        """Leave it out, until several in a row fit each other."""
        noise = _Noise([*self._window, *self._suspects, measured], prior)
        agreeing = [each for each in self._suspects if _agree(each, measured, prior, noise)]
        self._suspects = [*agreeing, measured]
        if len(self._suspects) < STEP_BURSTS:
            return Verdict.OUTLIER
        confirmed = self._suspects
        self._suspects = []
        self._begin(confirmed[0], prior)
        for each in confirmed[1:]:
            self._take(each)
        return Verdict.STEPPED

    def _begin(self, measured: Measurement, known: Track | None) -> None:
        """Begin with one measurement; of what was known, only the crystal's drift is kept."""
        self._window = [measured]
        self._before = Track(
            at_ns=measured.at_ns,
            base_ns=measured.offset_ns,
            offset_ns=0.0,
            drift_ppb=0.0 if known is None else known.drift_ppb,
            variance=(NOISE_NS_MIN + measured.round_trip_ns / 2) ** 2,
            covariance=0.0,
            drift_variance=FIRST_DRIFT_PPB**2 if known is None else known.drift_variance,
            bound_ns=measured.round_trip_ns / 2,
        )
        self.track = self._judged(self._before)

    def _take(self, measured: Measurement) -> None:
        before = self._before
        if before is None:
            self._begin(measured, None)
            return
        self._window.append(measured)
        if len(self._window) > WINDOW_BURSTS:
            noise = _Noise(self._window, before)
            oldest = self._window.pop(0)
            before = self._before = before.moved_to(oldest.at_ns).corrected(oldest, noise.of(oldest))
        self.track = self._judged(before)

    def _judged(self, before: Track) -> Track:
        """All of the window, by what is known now of the shortest round trip."""
        track, noise = before, _Noise(self._window, before)
        for measured in self._window:
            track = track.moved_to(measured.at_ns).corrected(measured, noise.of(measured))
        return track


class _Noise:
    """How noisy each measurement of a window is."""

    def __init__(self, window: Sequence[Measurement], known: Track) -> None:
        """`known` was known before: whoever delays all answers shall not make it forgotten how short the way was."""
        ways_ns = sorted(each.round_trip_ns for each in window)
        middle = len(window) // 2
        self._spread_ns = sorted(each.spread_ns for each in window)[middle]
        usual_ns = min(ways_ns[middle] - ways_ns[0], self._spread_ns)
        # The shortest way is not quite in the window yet: the more bursts, the nearer they come to it.
        nearest_ns = ways_ns[0] - usual_ns / (2 * math.sqrt(len(window)))
        self._floor_ns = min(nearest_ns, 2 * known.bound_ns)
        # A shortest way that no other burst confirms may be far from short, and a queue is not seen within bursts.
        self._doubt_ns = ways_ns[min(CONFIRMED_BY, len(ways_ns) - 1)] - ways_ns[0]

    def of(self, measured: Measurement) -> float:
        """One standard deviation: chance shares a burst's excess out between its two ways.

        What is more than chance does to bursts here is of one kind in all of them, and many are no better than one.
        """
        excess_ns = measured.round_trip_ns - self._floor_ns
        by_chance_ns = NOISE_NS_MIN + EXCESS_SHARE * (excess_ns + self._doubt_ns) + SPREAD_SHARE * self._spread_ns
        not_by_chance_ns = EXCESS_SHARE * max(excess_ns - self._spread_ns, 0.0)
        return math.hypot(by_chance_ns, math.sqrt(WINDOW_BURSTS) * not_by_chance_ns)


def measurement_of(burst: Sequence[TimeSample], drift_ppb: float) -> Measurement:
    """The quickest way there and the quickest way back of a burst, as if both were of one sample, its last.

    The truth lies between the two, so half of their sum bounds the error as a single sample's round trip would. Below
    zero it says that the samples contradict each other: the service's clock was set between them.
    """
    at_ns = burst[-1].at_ns
    there_ns, back_ns = [], []
    for each in burst:
        twice_ns = 2 * (each.offset_ns + round(drift_ppb * (at_ns - each.at_ns) / NS_PER_S))
        there_ns.append(each.round_trip_ns + twice_ns)
        back_ns.append(each.round_trip_ns - twice_ns)
    quickest_there_ns, quickest_back_ns = min(there_ns), min(back_ns)
    round_trip_ns = (quickest_there_ns + quickest_back_ns) // 2
    usual_ns = sorted(each.round_trip_ns for each in burst)[len(burst) // 2]
    spread_ns = usual_ns - round_trip_ns if len(burst) >= FULL_BURST else usual_ns
    return Measurement(
        at_ns=at_ns,
        offset_ns=(quickest_there_ns - quickest_back_ns) // 4,
        round_trip_ns=round_trip_ns,
        spread_ns=spread_ns,
    )


def _agree(one: Measurement, other: Measurement, prior: Track, noise: _Noise) -> bool:
    """Whether two measurements can be of one clock, the crystal's drift known as it is."""
    apart_s = (other.at_ns - one.at_ns) / NS_PER_S
    differs_ns = other.offset_ns - one.offset_ns - prior.drift_ppb * apart_s
    astray_ns = math.sqrt(prior.drift_variance) * apart_s
    return abs(differs_ns) <= OUTLIER_SIGMAS * math.hypot(noise.of(one), noise.of(other), astray_ns)
