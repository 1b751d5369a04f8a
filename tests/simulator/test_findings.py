"""What drawn faults have found in the product, as small histories: each was a pole that failed and nobody knew why."""

from __future__ import annotations

from protocol.messages import AiringRecord
from simulator.commune import Province, ProvinceSettings
from simulator.pole.parts import BootSettings, PoleSettings
from simulator.runs.usual import COMMUNE, FLOOD, MEDIA, usual_commune

MINUTE_S = 60
HOUR_NS = 3_600_000_000_000


def province(*, ntp_after_ns: int | None = None) -> Province:
    boot = BootSettings() if ntp_after_ns is None else BootSettings(ntp_after_ns=ntp_after_ns)
    settings = ProvinceSettings(
        controller=usual_commune(poles=2, villages=1), media=MEDIA, pole=PoleSettings(boot=boot)
    )
    made = Province(settings, seed=1)
    made.run_for(10 * MINUTE_S)
    return made


def test_an_emergency_refused_by_a_wrong_clock_sounds_when_the_clock_is_right() -> None:
    here = province()
    pole = here.poles["N0001"]
    pole.clock.step(-HOUR_NS)
    here.press(COMMUNE, FLOOD, minutes=60)
    here.run_for(2 * MINUTE_S)
    assert not any(sound.source == "media:flood" for sound in pole.ear.sounds)
    pole.clock.synchronise()
    here.run_for(MINUTE_S)
    assert any(sound.source == "media:flood" for sound in pole.ear.sounds)


def test_a_plan_that_a_clock_ahead_took_for_over_is_played_when_the_clock_is_right() -> None:
    here = province()
    pole = here.poles["N0001"]
    pole.clock.step(2 * HOUR_NS)
    here.run_for(MINUTE_S)
    pole.clock.synchronise()
    here.run_until(here.instant("05:35"))
    assert any(sound.source == "media:news" for sound in pole.ear.sounds)


def test_proof_outlives_a_controller_that_was_away_for_long() -> None:
    here = province()
    here.controller.kill()
    here.run_until(here.instant("06:00"))
    here.controller.start()
    here.run_for(2)
    here.press(COMMUNE, FLOOD, minutes=1)
    here.run_for(20 * MINUTE_S)
    database = here.controller.database
    assert not database.gaps
    for node in here.poles:
        records = [stored.record for stored in database.airings if stored.node == node]
        airings = {each.source_id.split(".")[0] for each in records if isinstance(each, AiringRecord)}
        assert "morning" in airings
