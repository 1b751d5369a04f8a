"""How runs are dealt out: all of them, some for everybody, most where a run is cheap and draws faults."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simulator.runs.dealing import cost_ms, deal, in_turn
from simulator.runs.scenario import Scenario, parse_scenario

USUAL = "title: T\ntitle_vi: T\nstart: 2026-03-04 05:00\nminutes: 10\ncommune: {poles: 4}\n"
DRAWN = "faults: {count_max: 3, minutes: 5, kinds: [node_restart]}\n"


def scenario(text: str = "") -> Scenario:
    return parse_scenario(USUAL + text, name="s.yaml")


KINDS = {
    "plain": scenario("cost_s: 0.5\n"),
    "drawn": scenario("cost_s: 0.5\n" + DRAWN),
    "dear": scenario("cost_s: 30\n" + DRAWN),
    "tiny": scenario("cost_s: 0.01\n"),
}


@given(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=40), st.integers(1, 3_000))
def test_every_run_is_dealt_and_everybody_has_some(kinds: list[str], runs: int) -> None:
    scenarios = {f"{index}-{kind}": KINDS[kind] for index, kind in enumerate(kinds)}
    counts = deal(scenarios, runs)
    assert set(counts) == set(scenarios)
    assert sum(counts.values()) == max(runs, len(scenarios))
    assert min(counts.values()) >= max(1, runs * 3 // 1_000)
    assert counts == deal(scenarios, runs)


def test_cheap_ones_and_those_that_draw_faults_have_most() -> None:
    counts = deal(KINDS, 1_000)
    assert counts["drawn"] > counts["plain"] > counts["dear"] >= 3
    assert counts["drawn"] > 3 * counts["plain"]


def test_what_is_cheaper_than_cheap_has_no_more_for_it() -> None:
    assert deal({"a": scenario("cost_s: 0.1\n"), "b": scenario("cost_s: 0.001\n")}, 100) == {"a": 50, "b": 50}


def test_each_scenario_has_seeds_from_the_first_on_spread_over_the_whole() -> None:
    work = in_turn({"often": 8, "seldom": 2}, first_seed=5)
    assert [seed for name, seed in work if name == "often"] == list(range(5, 13))
    assert [seed for name, seed in work if name == "seldom"] == [5, 6]
    half = [name for name, _ in work[:5]]
    assert half.count("seldom") == 1


def test_a_cost_is_what_is_stated_or_follows_from_poles_and_minutes() -> None:
    assert cost_ms(scenario("cost_s: 1.5\n")) == 1_500
    assert cost_ms(scenario()) == 40
    assert cost_ms(scenario("sound: full\n")) == 1_600
