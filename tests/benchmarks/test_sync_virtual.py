"""Neighbours are in step, in virtual time: two beginnings of two cases, and proof that the gate can fail.

The long run is `python -m benchmarks.sync_virtual`; its figures stand in docs/player.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from benchmarks.sync.cases import CASES, Case, Disturbance, Kind, Side
from benchmarks.sync.document import markdown_of, put_table
from benchmarks.sync.machine import Machine
from benchmarks.sync.pole import Pole
from benchmarks.sync.report import Compared, rows_of
from benchmarks.sync.ruler import PatternDecoder, pattern
from benchmarks.sync.run import Figures, our_pole, peer_pole, run_case
from benchmarks.sync.station import Station
from edge.adapters.decoder import LibopusDecoder
from edge.player.mixer import Mixer
from edge.player.playout import Playout
from edge.player.timeline import CORRECTION_PPM_MAX, Timeline
from protocol.clock_filter import ClockFilter, Verdict
from protocol.clock_sync import TimeSample
from protocol.units import FRAME_SAMPLES, SAMPLE_RATE_HZ, SharedNs
from tests.support.opus import opuslib

BY_NAME = {case.name: case for case in CASES}
WIRED = "wired, ±50 ppm"
MOBILE = "4G, ±50 ppm"
LASTS_S = 80.0
SEEDS = (1, 2)


class DriftlessFilter(ClockFilter):
    """As other players do it: it knows the offset and nothing of the crystal."""

    def add(self, burst: Sequence[TimeSample]) -> Verdict:
        verdict = super().add(burst)
        if self.track is not None:
            self.track = replace(self.track, drift_ppb=0.0)
        return verdict


class FixedRate(Timeline):
    """The loop is switched off: the grid is read at one rate, whatever the card says."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self._fixed = rate

    def must_reanchor(self, at_ns: SharedNs, frames: int) -> bool:
        is_far = super().must_reanchor(at_ns, frames)
        self._rate = self._fixed
        return is_far


class FixedPlayout(Playout):
    """A playout whose timeline never corrects."""

    def __init__(self, mixer: Mixer, rate: float = 0.0) -> None:
        super().__init__(mixer)
        self._timeline = FixedRate(rate)


@cache
def figures(name: str, seed: int) -> Figures:
    return run_case(BY_NAME[name], make=our_pole, lasts_s=LASTS_S, seed=seed)


@pytest.mark.parametrize(("name", "p95_ms", "first_ms"), [(WIRED, 0.1, 0.5), (MOBILE, 1.0, 2.0)])
def test_neighbours_are_in_step_from_the_first_sound_on(name: str, p95_ms: float, first_ms: float) -> None:
    runs = [figures(name, seed) for seed in SEEDS]
    differences = np.abs(np.concatenate([run.difference_ms for run in runs]))
    assert len(differences) == 10 * LASTS_S * len(SEEDS)
    assert np.nanquantile(differences, 0.95) <= p95_ms
    assert np.nanmax(differences) <= 15.0
    for run in runs:
        assert run.first_ms <= first_ms
        assert run.correction_ppm_max <= CORRECTION_PPM_MAX
        assert (run.lost_ms, run.underruns, run.restarts) == (0.0, 0, 0)


def test_they_differ_by_a_tenth_of_what_the_peers_method_gives() -> None:
    compared = Compared(
        case=BY_NAME[WIRED], ours=figures(WIRED, 1), peers=run_case(BY_NAME[WIRED], make=peer_pole, lasts_s=LASTS_S)
    )
    assert compared.p95_ratio <= 0.1
    assert 9.0 <= compared.peers.quantiles_ms[1] <= 11.0  # 0.1 ms for each of 100 ppm, as was measured of it
    ours, peers = rows_of([compared])
    assert (ours["case"], ours["system"], peers["system"]) == (WIRED, "LoaXa", "Snapcast")


def test_real_opus_gives_the_same_figures() -> None:
    periods = 130  # longer than the run: where the frames begin again a codec would be heard
    sound = np.tile(np.rint(pattern() * 32_767).astype(np.int16), periods).reshape(-1, FRAME_SAMPLES)
    encoder = opuslib.Encoder(SAMPLE_RATE_HZ, 1, "audio")
    encoder.bitrate = 64_000
    frames = tuple(encoder.encode(part.tobytes(), FRAME_SAMPLES) for part in sound)

    def pole(machine: Machine, station: Station, lasts_ns: int) -> Pole:
        return Pole(machine, station, make_decoder=LibopusDecoder, lasts_ns=lasts_ns)

    coded = run_case(BY_NAME[WIRED], make=pole, lasts_s=20.0, frames=frames)
    plain = run_case(BY_NAME[WIRED], make=our_pole, lasts_s=20.0)
    assert coded.lost_ms == 0.0
    both = np.isfinite(coded.difference_ms) & np.isfinite(plain.difference_ms)
    assert np.count_nonzero(both) > 190
    assert np.max(np.abs(coded.difference_ms - plain.difference_ms)[both]) < 0.01


def test_a_filter_without_a_drift_term_is_seen() -> None:
    def pole(machine: Machine, station: Station, lasts_ns: int) -> Pole:
        return Pole(machine, station, make_decoder=PatternDecoder, lasts_ns=lasts_ns, clock_filter=DriftlessFilter())

    assert run_case(BY_NAME[WIRED], make=pole, lasts_s=20.0).quantiles_ms[1] > 0.5


def test_a_loop_that_is_switched_off_is_seen() -> None:
    def pole(machine: Machine, station: Station, lasts_ns: int) -> Pole:
        return Pole(machine, station, make_decoder=PatternDecoder, lasts_ns=lasts_ns, make_playout=FixedPlayout)

    assert run_case(BY_NAME[WIRED], make=pole, lasts_s=20.0).quantiles_ms[1] > 1.0


def test_a_rate_that_can_be_heard_is_seen() -> None:
    def pole(machine: Machine, station: Station, lasts_ns: int) -> Pole:
        return Pole(
            machine,
            station,
            make_decoder=PatternDecoder,
            lasts_ns=lasts_ns,
            make_playout=lambda mixer: FixedPlayout(mixer, 0.001),
        )

    assert run_case(BY_NAME[WIRED], make=pole, lasts_s=10.0).correction_ppm_max == pytest.approx(1_000, abs=5)


def test_a_machine_that_stops_for_a_second_has_a_gap_and_is_in_step_after_it() -> None:
    stops = Disturbance(kind=Kind.BUSY, at_s=20.0, lasts_s=1.0, side=Side.LEFT)
    case = Case(name="stops", poles=BY_NAME[WIRED].poles, disturbances=(stops,), known_s=300.0)
    ours = run_case(case, make=our_pole, lasts_s=40.0)
    assert 800.0 <= ours.lost_ms <= 1_300.0
    assert (ours.breaks, ours.restarts) == (1, 1)
    assert ours.underruns >= 1
    after = ours.difference_ms[ours.instants_s > 22.0]
    assert np.nanmax(np.abs(after)) <= 0.3
    assert np.count_nonzero(np.isnan(after)) <= 1  # the last instant has no block behind it


def test_the_same_seed_gives_the_same_run_and_another_one_another() -> None:
    case = Case(name="short", poles=BY_NAME[MOBILE].poles, known_s=30.0)
    runs = [run_case(case, make=our_pole, lasts_s=5.0, seed=seed).quantiles_ms for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_a_table_stands_where_its_marks_are(tmp_path: Path) -> None:
    document = tmp_path / "player.md"
    document.write_text("a\n<!-- table: sync_virtual -->\nold\n<!-- end -->\nz\n")
    rows = [{"case": "wired", "system": "LoaXa", "p50": "0.1"}]
    put_table(document, "sync_virtual", rows)
    put_table(document, "sync_virtual", rows)
    assert document.read_text() == f"a\n<!-- table: sync_virtual -->\n{markdown_of(rows)}<!-- end -->\nz\n"
    with pytest.raises(ValueError, match="no place for the table"):
        put_table(document, "other", rows)
