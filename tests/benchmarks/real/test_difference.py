"""Neighbours are measured to a fraction of a sample, whatever wakes late; what cannot be compared is not judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.commune import BenchmarkError
from benchmarks.real.difference import Heard, difference_ms
from benchmarks.real.judgement import SETTLE_S, judge
from protocol.units import NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ

LENGTH_S = 20
BEGIN_NS = 1_000 * NS_PER_S
NOISE = np.random.default_rng(3).normal(0, 3000, (LENGTH_S + 1) * SAMPLE_RATE_HZ).clip(-32000, 32000).astype(np.int16)


def _heard(
    *,
    later_ms: float = 0.0,
    piece: int = 2880,
    samples: NDArray[np.int16] = NOISE,
    late: bool = False,
    ppm: float = 0.0,
) -> Heard:
    """A player that begins `later_ms` late, and of whose pieces two in three come 6 ms late if it is woken late."""
    firsts = np.arange(0, len(samples) - piece, piece, dtype=np.int64)
    stamps = BEGIN_NS + later_ms * NS_PER_MS + firsts * (NS_PER_S / SAMPLE_RATE_HZ) * (1 + ppm / 1e6)
    stamps += (late and np.arange(len(firsts)) % 3 != 0) * 6.0 * NS_PER_MS
    return Heard(samples=samples, stamps_ns=stamps.astype(np.int64), firsts=firsts)


@pytest.mark.parametrize("later_ms", [-41.3, -0.008, 0.0, 0.33, 3.37, 180.0])
def test_a_difference_is_found_to_a_fraction_of_a_sample(later_ms: float) -> None:
    found = difference_ms(_heard(), _heard(later_ms=later_ms, piece=2400), BEGIN_NS + 5 * NS_PER_S, NS_PER_S)
    assert found == pytest.approx(later_ms, abs=0.003)


def test_pieces_that_come_late_move_the_median_and_not_the_earliest() -> None:
    arguments = _heard(), _heard(later_ms=2.0, late=True), BEGIN_NS + 5 * NS_PER_S, NS_PER_S
    assert difference_ms(*arguments) == pytest.approx(2.0, abs=0.003)
    assert (difference_ms(*arguments, by_median=True) or 0.0) > 5.0


def test_silence_other_sound_and_absence_are_not_compared() -> None:
    other = np.random.default_rng(9).normal(0, 3000, len(NOISE)).astype(np.int16)
    at_ns = BEGIN_NS + 5 * NS_PER_S
    assert difference_ms(_heard(), _heard(samples=other), at_ns, NS_PER_S) is None
    assert difference_ms(_heard(), _heard(samples=np.zeros_like(NOISE)), at_ns, NS_PER_S) is None
    assert difference_ms(_heard(), _heard(), BEGIN_NS + 100 * NS_PER_S, NS_PER_S) is None


def test_sound_that_runs_faster_is_still_the_same_sound() -> None:
    places = np.arange(len(NOISE) - 100) * (1 - 500e-6)
    smooth = np.convolve(NOISE, np.hanning(48) / 24, "same")  # so that it can be read between samples
    faster = np.interp(places, np.arange(len(NOISE)), smooth).astype(np.int16)
    found = difference_ms(
        _heard(samples=smooth.astype(np.int16)), _heard(samples=faster), BEGIN_NS + 5 * NS_PER_S, NS_PER_S
    )
    assert found == pytest.approx(5.5 * 0.5, abs=0.06)


def _keep(folder: Path, name: str, heard: Heard) -> None:
    np.stack([heard.stamps_ns, heard.firsts], axis=1).tofile(folder / f"{name}.arrivals")
    heard.samples.tofile(folder / f"{name}.pcm")


def test_a_pair_is_judged_without_the_seconds_in_which_the_reader_was_held_up(tmp_path: Path) -> None:
    _keep(tmp_path, "one", _heard())
    _keep(tmp_path, "other", _heard(later_ms=0.4))
    held_up_ns = BEGIN_NS + (SETTLE_S + 3) * NS_PER_S + 50 * NS_PER_MS
    np.array([held_up_ns, held_up_ns + 8 * NS_PER_MS], np.int64).tofile(tmp_path / "disturbed")
    judged = judge(tmp_path, ("one", "other"))
    assert judged.rejected == 1
    assert judged.unheard == 0
    assert judged.measured >= 6
    assert (judged.p50_ms, judged.p95_ms, judged.first_ms) == pytest.approx((0.4, 0.4, 0.4), abs=0.01)
    assert judged.aligned_after_s == 0.0


def test_a_card_that_drifts_is_measured_where_it_is_however_late_it_is_woken(tmp_path: Path) -> None:
    long = np.tile(NOISE, 3)
    _keep(tmp_path, "one", _heard(samples=long))
    _keep(tmp_path, "other", _heard(samples=long, ppm=100.0, late=True))
    one, other = Heard.load(tmp_path, "one"), Heard.load(tmp_path, "other")
    assert other.drift * 1e6 == pytest.approx(100.0, abs=1.0)
    at_ns = BEGIN_NS + 40 * NS_PER_S
    assert difference_ms(one, other, at_ns, NS_PER_S) == pytest.approx(40.5 * 0.1, abs=0.06)


def test_the_rest_of_a_piece_that_was_read_in_parts_is_not_taken_for_an_early_one(tmp_path: Path) -> None:
    whole = _heard()
    after = len(whole.firsts) // 2
    parts = Heard(
        samples=whole.samples,
        stamps_ns=np.insert(whole.stamps_ns, after, whole.stamps_ns[after - 1] + 5 * NS_PER_MS),
        firsts=np.insert(whole.firsts, after, whole.firsts[after - 1] + 2048),
    )
    _keep(tmp_path, "parts", parts)
    found = difference_ms(whole, Heard.load(tmp_path, "parts"), BEGIN_NS + 9 * NS_PER_S, 2 * NS_PER_S)
    assert found == pytest.approx(0.0, abs=0.003)


def test_a_player_that_was_never_heard_is_an_error_and_no_figure(tmp_path: Path) -> None:
    _keep(tmp_path, "one", _heard())
    _keep(tmp_path, "other", _heard(samples=np.zeros_like(NOISE)))
    np.zeros(0, np.int64).tofile(tmp_path / "disturbed")
    with pytest.raises(BenchmarkError, match="other was never heard"):
        judge(tmp_path, ("one", "other"))
