"""Places that are drawn from the seed: valid as the controller checks them, various, and the same for the same seed."""

from __future__ import annotations

import pytest

from controller.configuration.check import faults_of
from protocol.messages import BroadcastClass
from simulator.runs.drawing import FLOOD_FILE, Drawn, Place, draw
from simulator.runs.scenario import load_scenario, parse_scenario, province_of

DRAWN = Drawn(time_zones=("Asia/Ho_Chi_Minh", "Europe/Berlin"), starts=("2026-06-10 19:00", "2026-10-24 19:00"))
SEEDS = range(1, 120)


def place(seed: int) -> Place:
    return draw(DRAWN, seed=seed, start="2026-06-10 19:00", minutes=660)


@pytest.mark.parametrize("first", range(1, 120, 20))
def test_whatever_is_drawn_the_controller_takes(first: int) -> None:
    for seed in range(first, first + 20):
        drawn = place(seed)
        assert faults_of(drawn.config) == []
        named = {item.file for programme in drawn.config.programmes for item in programme.items if item.file}
        assert named | {FLOOD_FILE} == set(drawn.media)


def test_one_seed_is_one_place_and_another_is_another() -> None:
    assert place(7) == place(7)
    assert len({repr(place(seed)) for seed in SEEDS}) == len(SEEDS)


def test_everything_that_can_be_drawn_is_drawn_by_some_seed() -> None:
    configs = [place(seed).config for seed in SEEDS]
    programmes = [each for config in configs for each in config.programmes]
    items = [item for programme in programmes for item in programme.items]
    assert {config.time_zone for config in configs} == set(DRAWN.time_zones)
    assert {place(seed).start for seed in SEEDS} == set(DRAWN.starts)
    assert {programme.broadcast_class for programme in programmes} == {BroadcastClass.ROUTINE, BroadcastClass.PRIORITY}
    assert {(item.feed is None, item.chime) for item in items} == {
        (True, True),
        (True, False),
        (False, True),
        (False, False),
    }
    assert {len(config.nodes) for config in configs} == {1, 2, 3}
    assert any(node.aiming_delay_ms for config in configs for node in config.nodes)


def test_a_scenario_that_draws_its_place_has_another_one_for_each_seed() -> None:
    scenario = load_scenario("any_night")[1]
    one, other = province_of(scenario, seed=1), province_of(scenario, seed=2)
    assert one.controller != other.controller
    assert one.controller == scenario.config
    assert set(one.media) >= {item.file for each in one.controller.programmes for item in each.items if item.file}


def test_a_place_is_written_or_usual_or_drawn_and_not_two_of_them() -> None:
    head = "title: T\ntitle_vi: T\nstart: 2026-03-04 05:00\nminutes: 5\n"
    with pytest.raises(ValueError, match="drawn"):
        parse_scenario(head + "commune: {poles: 2}\ndrawn: {}\n", name="both.yaml")
