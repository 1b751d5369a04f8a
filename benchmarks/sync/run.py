"""Runs one case in virtual time, for us and for the peer, and sums up what neighbours would hear.

Everything from the first sound on counts; nothing is left out as warming up. Both systems have known the controller for
a while before the stream begins, as a pole has on any day; the same seed gives the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.sync.cases import Case, Side
from benchmarks.sync.machine import Machine
from benchmarks.sync.peer import Peer
from benchmarks.sync.pole import Pole
from benchmarks.sync.ruler import PatternDecoder, pattern_frames
from benchmarks.sync.station import Station, start_of
from benchmarks.sync.track import Track
from edge.clock.shared_clock import SourceChoice
from protocol.units import NS_PER_MS, NS_PER_S
from simulator.world import World

STEP_NS: Final = 100 * NS_PER_MS
"""How often neighbours are compared."""
ALIGNED_MS: Final = 1.0
ALIGNED_FOR_S: Final = 10.0
"""Aligned is who is within ALIGNED_MS and stays so for this long."""
QUANTILES: Final = (0.5, 0.95, 0.999)

MakePole = Callable[[Machine, Station, int], Pole | Peer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One system in one case. Differences are between neighbours, without sign, in milliseconds, by QUANTILES.

    `clock_ms` are the same of the two shared clocks alone: the timing model without playout. `first_ms` is the
    difference at the first moment in which both sound. `aligned_s`: seconds from the first sample's instant until
    aligned, None when never. `lost_ms` of sound was not heard, in `breaks` pieces, beside what the line itself lost.
    """

    instants_s: NDArray[np.float64]
    difference_ms: NDArray[np.float64]
    quantiles_ms: tuple[float, ...]
    clock_ms: tuple[float, ...]
    first_ms: float
    aligned_s: float | None
    correction_ppm_max: float
    lost_ms: float
    breaks: int
    underruns: int
    restarts: int


def our_pole(machine: Machine, station: Station, lasts_ns: int) -> Pole:
    """The product, with sound that says where it is."""
    choice = SourceChoice.AUTO if machine.model.gnss_error_ns is None else SourceChoice.SYSTEM
    return Pole(machine, station, make_decoder=PatternDecoder, lasts_ns=lasts_ns, choice=choice)


def peer_pole(machine: Machine, station: Station, lasts_ns: int) -> Peer:
    """The peer."""
    return Peer(machine, station, lasts_ns=lasts_ns)


def run_case(
    case: Case,
    *,
    make: MakePole,
    lasts_s: float,
    seed: int = 1,
    frames: tuple[bytes, ...] = pattern_frames(),
) -> Figures:
    """Two poles for `lasts_s` seconds of sound."""
    world = World(seed=seed)
    lasts_ns = round(lasts_s * NS_PER_S)
    starts_ns = start_of(world, round(case.known_s * NS_PER_S))
    station = Station(world, starts_ns=starts_ns, frames=frames, disturbances=case.disturbances)
    tracks = {
        side: make(Machine(world, side, case.poles[side], case.disturbances, starts_ns), station, lasts_ns).track
        for side in Side
    }
    world.run_until(starts_ns + lasts_ns + 3 * NS_PER_S)
    return _figures(tracks, starts_ns, lasts_ns)


def _figures(tracks: Mapping[Side, Track], starts_ns: int, lasts_ns: int) -> Figures:
    instants_ns = np.arange(starts_ns, starts_ns + lasts_ns, STEP_NS, dtype=np.float64)
    left, right = tracks[Side.LEFT], tracks[Side.RIGHT]
    difference = left.at(instants_ns) - right.at(instants_ns)
    clock = np.abs(left.clock_at(instants_ns) - right.clock_at(instants_ns))
    sounding = np.abs(difference[~np.isnan(difference)])
    return Figures(
        instants_s=(instants_ns - starts_ns) / NS_PER_S,
        difference_ms=difference,
        quantiles_ms=_quantiles(sounding),
        clock_ms=_quantiles(clock),
        first_ms=float(sounding[0]) if len(sounding) else float("nan"),
        aligned_s=_aligned_s(np.abs(difference)),
        correction_ppm_max=max(np.max(np.abs(track.corrections_ppm), initial=0.0) for track in tracks.values()),
        lost_ms=sum(track.lost_ms for track in tracks.values()),
        breaks=sum(track.breaks for track in tracks.values()),
        underruns=sum(track.underruns for track in tracks.values()),
        restarts=sum(track.restarts for track in tracks.values()),
    )


def _quantiles(values: NDArray[np.float64]) -> tuple[float, ...]:
    if not len(values):
        return tuple(float("nan") for _ in QUANTILES)
    return tuple(float(each) for each in np.quantile(values, QUANTILES))


def _aligned_s(difference_ms: NDArray[np.float64]) -> float | None:
    """When the first ALIGNED_FOR_S begin in which all is within ALIGNED_MS."""
    needed = round(ALIGNED_FOR_S * NS_PER_S / STEP_NS)
    run = 0
    for index, value in enumerate(difference_ms):
        run = run + 1 if value <= ALIGNED_MS else 0
        if run == needed:
            return (index - needed + 1) * STEP_NS / NS_PER_S
    return None
