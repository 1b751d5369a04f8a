"""A pole whose SIM has a budget: what an emergency needs is there all the same, what waits is on record as that."""

from __future__ import annotations

from tests.support.issuer import HOUR_MS, media, occurrence
from tests.support.pole import T0_MS, Pole

NEWS, CLIP = media("news"), media("clip")
START_MS = T0_MS + 10_000


def test_a_used_up_budget_holds_programmes_and_no_emergency() -> None:
    pole = Pole(block_ms=100)
    pole.provide(NEWS, CLIP)
    pole.introduce(fetch_bytes_a_day_max=NEWS.size_bytes - 1, prepared_clips=(CLIP,))
    pole.send(pole.issuer.plan(occurrence("a", START_MS, NEWS), occurrence("b", START_MS + 24 * HOUR_MS, NEWS)))
    pole.run_until(START_MS + 5_000)
    assert pole.airings() == [("a", "missed", "fetch_budget")]
    told = pole.telemetry()
    assert (told["fetched_bytes"], told["fetch_bytes_max"]) == (NEWS.size_bytes - 1, NEWS.size_bytes - 1)
    assert told["faults"] == ["media"]
    assert CLIP.sha256 in pole.sd_card.media
    pole.run_until(START_MS + 24 * HOUR_MS + 10_000)
    assert pole.airings()[1:] == [("b", "started", "on time"), ("b", "finished", "finished")]
    assert pole.telemetry().get("faults", []) == []


def test_an_emergency_that_nobody_had_prepared_is_fetched_beyond_the_budget() -> None:
    pole = Pole(block_ms=100)
    pole.provide(NEWS, CLIP)
    pole.introduce(fetch_bytes_a_day_max=0)
    pole.send(pole.issuer.emergency(CLIP, play_at_ms=START_MS))
    pole.run_until(START_MS + 5_000)
    assert pole.airings()[0][:2] == ("flood-1", "started")
    assert pole.telemetry().get("fetched_bytes", 0) == 0
