"""A pole keeps the volume caps of its place, also where one begins or ends in the middle of an item."""

from __future__ import annotations

import numpy as np
import pytest

from edge.player.gain import GLIDE_MS
from protocol.messages import Reality, VolumeCap
from tests.support.issuer import media, occurrence
from tests.support.pole import T0_MS, Pole
from tests.support.waves import clip_wave

NEWS = media("news", seconds=40)
START_MS = T0_MS + 40_000
CAP_MS = T0_MS + 60_000
"""06:01 in Vietnam: twenty seconds into the news."""
EVENING = VolumeCap(gain_db_max=-12.0, begin_minute=6 * 60 + 1, end_minute=6 * 60 + 2)


def loudness_db(pole: Pole, from_ms: int, until_ms: int) -> float:
    """How much louder than its file the news are heard."""
    heard = pole.heard(from_ms, until_ms).astype(float)
    wave = np.asarray(clip_wave(NEWS, START_MS, from_ms, until_ms), float)
    return float(20 * np.log10(np.linalg.norm(heard) / np.linalg.norm(wave)))


def new_pole(**assignment: object) -> Pole:
    pole = Pole()
    pole.provide(NEWS)
    pole.introduce(**assignment)
    return pole


def test_a_cap_that_begins_in_an_item_holds_from_its_very_instant() -> None:
    pole = new_pole(volume_caps=(EVENING,))
    pole.send(pole.issuer.plan(occurrence("a", START_MS, NEWS)))
    pole.run_until(CAP_MS + 10_000)
    assert loudness_db(pole, START_MS + 1_000, CAP_MS - GLIDE_MS) == pytest.approx(0.0, abs=0.1)
    assert loudness_db(pole, CAP_MS, CAP_MS + 10_000) == pytest.approx(-12.0, abs=0.1)
    jumps = np.abs(np.diff(pole.heard(CAP_MS - 500, CAP_MS + 500).astype(float)))
    usual = np.abs(np.diff(pole.heard(CAP_MS - 2_000, CAP_MS - 1_000).astype(float)))
    assert jumps.max() <= 1.05 * usual.max(), "it glides"


def test_where_a_cap_ends_it_is_as_loud_as_before() -> None:
    cap = VolumeCap(gain_db_max=-6.0, begin_minute=0, end_minute=6 * 60 + 1)
    pole = new_pole(volume_caps=(cap,))
    pole.send(pole.issuer.plan(occurrence("a", START_MS, NEWS)))
    pole.run_until(CAP_MS + 10_000)
    assert loudness_db(pole, START_MS + 1_000, CAP_MS) == pytest.approx(-6.0, abs=0.1)
    assert loudness_db(pole, CAP_MS + GLIDE_MS, CAP_MS + 10_000) == pytest.approx(0.0, abs=0.1)


def test_an_assignment_that_comes_in_an_item_holds_at_once() -> None:
    pole = new_pole()
    pole.send(pole.issuer.plan(occurrence("a", START_MS, NEWS)))
    pole.run_until(START_MS + 5_000)
    pole.send(pole.issuer.assignment(volume_caps=(VolumeCap(gain_db_max=-12.0),)))
    pole.run_until(START_MS + 10_000)
    assert loudness_db(pole, START_MS + 6_000, START_MS + 10_000) == pytest.approx(-12.0, abs=0.1)
    assert pole.airings() == [("a", "started", "on time")], "it goes on, only quieter"


@pytest.mark.parametrize(
    ("reality", "key", "expected_db"), [(Reality.REAL, "operations-1", 0.0), (Reality.DRILL, "drill-1", -12.0)]
)
def test_a_real_emergency_is_as_loud_as_it_is_and_a_drill_is_bound(
    reality: Reality, key: str, expected_db: float
) -> None:
    pole = new_pole(volume_caps=(VolumeCap(gain_db_max=-12.0),))
    pole.send(pole.issuer.emergency(NEWS, play_at_ms=START_MS, reality=reality), key=key)
    pole.run_until(START_MS + 10_000)
    assert loudness_db(pole, START_MS + 1_000, START_MS + 10_000) == pytest.approx(expected_db, abs=0.1)
