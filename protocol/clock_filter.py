"""What a node's clock is made of: a filter of two states, offset and drift, over bursts of time samples; pure.

Offsets are shared time minus the node's raw monotonic clock (CLOCK_MONOTONIC_RAW: a clock that NTP steers would change
its rate under the filter). Each burst becomes one measurement: the quickest way there and the quickest way back of all
its samples, which need not be of the same sample. Its variance follows from how much longer that round trip is than the
shortest of late; a Kalman filter of offset and drift takes it in.

Rules kept: the truth lies within half the round trip of every burst, so the stated error is a bound and no guess, which
only the drift's uncertainty makes grow; a measurement that does not fit is left out whichever way it errs; several in a
row that fit each other are a clock that was set, and are taken; the drift is bounded. One burst moves the offset by its
own round trip at most, or it waits for others. Kept elsewhere: when to ask (`edge.time_exchange`), what the player does
with a small change (`edge.shared_clock`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from protocol.clock_sync import TimeSample
from protocol.units import MonotonicNs

DRIFT_PPB_MAX: Final = 500_000
"""chrony's and the kernel's bound (MAXFREQ, linux/timex.h); a crystal that is worse is broken."""
FIRST_DRIFT_PPB: Final = 50_000.0
"""What a crystal's data sheet admits; one standard deviation before anything was measured."""
WANDER_PPB_PER_ROOT_S: Final = 10.0
"""How the drift walks: 0.6 ppm in an hour, 3 ppm in a day, as a crystal does in a box that the sun warms."""
NOISE_NS_MIN: Final = 10_000.0
"""Stamps are taken in Python: 10 µs at best, however quiet the network."""
RECENT_BURSTS: Final = 64
"""Over so many the shortest round trip is looked for: nine minutes of sound, some hours of silence."""
OUTLIER_SIGMAS: Final = 5.0
STEP_BURSTS: Final = 3
"""So many bursts in a row must agree that the clock was set."""
SURE_SIGMAS: Final = 3.0
"""How much of the drift's uncertainty goes into the stated error."""
_PARTS: Final = 1e9


class Verdict(StrEnum):
    """What became of a burst."""

    FIRST = "first"
    TAKEN = "taken"
    OUTLIER = "outlier"
    STEPPED = "stepped"
    CONTRADICTORY = "contradictory"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockEstimate:
    """Shared time is a raw monotonic reading plus `offset_ns`, within `error_ns`.

    `noise_ns` is one standard deviation of what chance adds; what like ways add on like nodes is in `error_ns` only.
    """

    offset_ns: int
    drift_ppb: int
    error_ns: int
    noise_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What a burst says: at `at_ns` the offset was this, within half of `round_trip_ns`."""

    at_ns: MonotonicNs
    offset_ns: int
    round_trip_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """What the filter knows since its last burst; never changed, so that any thread may read it.

    `drift` is without unit, the variances in ns², ns² a second and (ns/s)²: per second, so that numbers stay readable.
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
    """How wrong the offset was at most at `at_ns`."""

    def estimate(self, at: MonotonicNs) -> ClockEstimate:
        """The offset at an instant, and how wrong it can be."""
        later = self.moved_to(at)
        return ClockEstimate(
            offset_ns=later.base_ns + round(later.offset_ns),
            drift_ppb=round(later.drift_ppb),
            error_ns=math.ceil(later.bound_ns),
            noise_ns=math.ceil(math.sqrt(later.variance)),
        )

    def moved_to(self, at: MonotonicNs) -> Track:
        """The same knowledge at another instant, less sure the farther it lies from the last burst."""
        elapsed_s = (at - self.at_ns) / _PARTS
        away_s = abs(elapsed_s)
        wander = WANDER_PPB_PER_ROOT_S**2
        drift_variance = min(self.drift_variance + wander * away_s, float(DRIFT_PPB_MAX) ** 2)
        grown_ns = min(SURE_SIGMAS * math.sqrt(drift_variance), float(DRIFT_PPB_MAX)) * away_s
        return Track(
            at_ns=at,
            base_ns=self.base_ns,
            offset_ns=self.offset_ns + self.drift_ppb * elapsed_s,
            drift_ppb=self.drift_ppb,
            variance=self.variance
            + 2 * elapsed_s * self.covariance
            + elapsed_s**2 * self.drift_variance
            + wander * away_s**3 / 3,
            covariance=self.covariance + elapsed_s * self.drift_variance + wander * elapsed_s * away_s / 2,
            drift_variance=drift_variance,
            bound_ns=self.bound_ns + grown_ns,
        )


class ClockFilter:
    """One node's. Fed and asked in one thread; `track` may be read in any."""

    def __init__(self) -> None:
        self.track: Track | None = None
        """None before the first burst."""
        self._round_trips_ns: deque[int] = deque(maxlen=RECENT_BURSTS)
        self._suspects: list[Measurement] = []

    @property
    def has_suspicion(self) -> bool:
        """Whether the last burst did not fit: another soon decides whether the clock was set."""
        return bool(self._suspects)

    def estimate(self, at: MonotonicNs) -> ClockEstimate | None:
        """The offset at an instant, None before the first burst."""
        return None if self.track is None else self.track.estimate(at)

    def add(self, burst: Sequence[TimeSample]) -> Verdict:
        """Take in one burst: samples of at most some seconds, oldest first."""
        if not burst:
            return Verdict.EMPTY
        measured = measurement_of(burst, 0.0 if self.track is None else self.track.drift_ppb)
        if measured.round_trip_ns < 0:
            return Verdict.CONTRADICTORY
        self._round_trips_ns.append(measured.round_trip_ns)
        if self.track is None:
            self.track = self._begun(measured, drift_ppb=0.0, drift_variance=FIRST_DRIFT_PPB**2)
            return Verdict.FIRST
        prior = self.track.moved_to(measured.at_ns)
        noise_ns = self._noise_ns(measured)
        innovation_ns = measured.offset_ns - prior.base_ns - prior.offset_ns
        if abs(innovation_ns) > OUTLIER_SIGMAS * math.sqrt(prior.variance + noise_ns**2):
            return self._suspected(measured, prior)
        self._suspects.clear()
        self.track = _corrected(prior, innovation_ns, noise_ns**2, measured.round_trip_ns)
        return Verdict.TAKEN

    def _noise_ns(self, measured: Measurement) -> float:
        """One standard deviation of a measurement: its excess over the shortest round trip may be all on one way."""
        shortest_ns = min(self._round_trips_ns)
        typical_ns = sum(self._round_trips_ns) / len(self._round_trips_ns) - shortest_ns
        excess_ns = measured.round_trip_ns - shortest_ns
        if len(self._round_trips_ns) < STEP_BURSTS:
            typical_ns = max(typical_ns, shortest_ns / 4)
        return NOISE_NS_MIN + excess_ns / 2 + typical_ns / 4

    def _suspected(self, measured: Measurement, prior: Track) -> Verdict:
        """A burst that does not fit: left out, until several in a row fit each other."""
        agreed = [
            each
            for each in self._suspects
            if abs(each.offset_ns + prior.drift_ppb * (measured.at_ns - each.at_ns) / _PARTS - measured.offset_ns)
            <= (each.round_trip_ns + measured.round_trip_ns) / 2
        ]
        self._suspects = [*agreed, measured]
        if len(self._suspects) < STEP_BURSTS:
            return Verdict.OUTLIER
        self._suspects.clear()
        self.track = self._begun(measured, drift_ppb=prior.drift_ppb, drift_variance=prior.drift_variance)
        return Verdict.STEPPED

    def _begun(self, measured: Measurement, *, drift_ppb: float, drift_variance: float) -> Track:
        return Track(
            at_ns=measured.at_ns,
            base_ns=measured.offset_ns,
            offset_ns=0.0,
            drift_ppb=drift_ppb,
            variance=(NOISE_NS_MIN + measured.round_trip_ns / 4) ** 2,
            covariance=0.0,
            drift_variance=drift_variance,
            bound_ns=measured.round_trip_ns / 2,
        )


def measurement_of(burst: Sequence[TimeSample], drift_ppb: float) -> Measurement:
    """The quickest way there and the quickest way back of a burst, as if both were of one sample, at its last.

    The truth lies between the two, so half of their sum bounds the error as a single sample's round trip would.
    """
    at_ns = burst[-1].at_ns
    drifted = [(each, each.offset_ns + round(drift_ppb * (at_ns - each.at_ns) / _PARTS)) for each in burst]
    there_ns = min(2 * offset_ns + each.round_trip_ns for each, offset_ns in drifted)
    back_ns = min(each.round_trip_ns - 2 * offset_ns for each, offset_ns in drifted)
    return Measurement(at_ns=at_ns, offset_ns=(there_ns - back_ns) // 4, round_trip_ns=(there_ns + back_ns) // 2)


def _corrected(prior: Track, innovation_ns: float, noise_variance: float, round_trip_ns: int) -> Track:
    """Kalman's correction by one measurement of the offset (Kalman 1960; two states, one observed)."""
    total = prior.variance + noise_variance
    gain, drift_gain = prior.variance / total, prior.covariance / total
    change_ns = gain * innovation_ns
    return Track(
        at_ns=prior.at_ns,
        base_ns=prior.base_ns,
        offset_ns=prior.offset_ns + change_ns,
        drift_ppb=max(-DRIFT_PPB_MAX, min(DRIFT_PPB_MAX, prior.drift_ppb + drift_gain * innovation_ns)),
        variance=(1 - gain) * prior.variance,
        covariance=(1 - gain) * prior.covariance,
        drift_variance=prior.drift_variance - drift_gain * prior.covariance,
        bound_ns=min(prior.bound_ns + abs(change_ns), abs(innovation_ns - change_ns) + round_trip_ns / 2),
    )
