"""Expectations about what only an outsider knows fail when it is otherwise."""

from __future__ import annotations

from functools import cache

import pytest

from simulator.runs.runner import Performance, perform
from simulator.runs.scenario import parse_scenario
from tests.support.faulty_agents import Echo

HEAD = """
title: T
title_vi: T
start: 2026-03-04 09:00
minutes: 3
settle_s: 30
sound: full
spacing_m: 100
commune: {poles: 2, villages: 1}
steps:
  - {do: raise, at: "09:00:30", area: xa-binh-minh, clip: flood, minutes: 1}
expect:
"""
RIGHT = """
  - {that: echoes, at: "09:00:32", until: "09:01:25", neighbours: 1}
  - {that: named, at: "09:01"}
"""
WRONG = """
  - {that: claims, at: "09:01", source: "media:flood", poles: [N0001], reason: there is none}
  - {that: claims, at: "09:01", source: "media:drill", poles: [N0002], reason: there is none}
  - {that: echoes, at: "09:00:32", until: "09:01:25", neighbours: 2}
  - {that: named, at: "09:01", poles: [N0002]}
"""


@cache
def played(expected: str, **agents: type[Echo]) -> Performance:
    return perform("expectations", parse_scenario(HEAD + expected, name="expectations.yaml"), seed=2, agents=agents)


def found(performance: Performance) -> list[tuple[str, str]]:
    return [(each.pole, each.evidence) for each in performance.verdict.violations if each.checker == "expect"]


def test_what_is_so_is_met() -> None:
    assert played(RIGHT).verdict.violations == ()


@pytest.mark.parametrize(
    ("pole", "says"),
    [
        ("N0001", "media:flood is heard at 09:01, where it should be claimed only: there is none"),
        ("N0002", "no record claims media:drill at 09:01"),
        ("N0001", "its microphone hears ['N0002'] beside its own horn, expected 2"),
        ("", "lost at 09:01 by the controller's page: [], expected ['N0002']"),
    ],
)
def test_what_is_not_so_is_told(pole: str, says: str) -> None:
    assert (pole, says) in found(played(WRONG))


def test_a_pole_out_of_step_is_an_echo_in_its_neighbours_microphone() -> None:
    echoes = found(played(RIGHT, N0002=Echo))
    assert any(pole == "N0001" and "from N0002 comes -12" in what for pole, what in echoes)


STREAMS = """
title: T
title_vi: T
start: 2026-03-04 09:00
minutes: 3
settle_s: 30
sound: full
network: wired
commune: {poles: 1, villages: 1}
steps:
  - {do: relay, at: "09:00:10", area: xa-binh-minh, feed: vov1, minutes: 1}
expect:
"""


def test_what_is_missing_of_a_stream_is_counted_and_an_airing_that_never_ended_is_not_met() -> None:
    expected = """
  - {that: broken, at: "09:00", until: "09:02"}
  - {that: broken, at: "09:00", until: "09:02", least_ms: 5000, most_ms: 9000}
  - {that: broken, at: "09:00", until: "09:00:30"}
"""
    told = [what for _, what in found(perform("e", parse_scenario(STREAMS + expected, name="e.yaml"), seed=2))]
    assert told == [
        "0 ms guessed or missing in 1 airings ended 09:00 to 09:02; expected 5000 to 9000 ms",
        "0 ms guessed or missing in 0 airings ended 09:00 to 09:00:30; expected 0 to 0 ms",
    ]


def test_what_a_pole_hears_of_itself_is_asked_of_its_records() -> None:
    heard = HEAD.replace("spacing_m: 100", "spacing_m: 800\nsensors: [microphone]").replace("minutes: 3", "minutes: 2")
    expected = """
  - {that: judged, at: "09:00", until: "09:03", is_heard: true}
  - {that: judged, at: "09:00", until: "09:03", is_heard: false, poles: [N0001]}
  - {that: judged, at: "09:00", until: "09:00:20", is_heard: true, poles: [N0001]}
"""
    told = [what for _, what in found(perform("h", parse_scenario(heard + expected, name="h.yaml"), seed=2))]
    assert told == [
        "its sensor says of 1 airings ended 09:00 to 09:03: [True]; expected 1 of False",
        "its sensor says of 0 airings ended 09:00 to 09:00:20: []; expected 1 of True",
    ]


def test_a_fault_that_goes_on_is_not_over_and_a_test_that_was_not_made_has_no_verdict() -> None:
    pressed = HEAD.replace("expect:", '  - {do: press, at: "09:01:40", poles: [N0001]}\nexpect:')
    expected = """
  - {that: reported, fault: stop_button, poles: [N0001]}
  - {that: reported, fault: stop_button, is_over: true, poles: [N0001]}
  - {that: reported, fault: stop_button, poles: [N0002]}
  - {that: tested, verdict: passed, poles: [N0001]}
"""
    text = pressed + expected
    assert found(perform("reported", parse_scenario(text, name="reported.yaml"), seed=2)) == [
        ("N0001", "the fault stop_button was reported, and never that it was over"),
        ("N0002", "the fault stop_button was never reported"),
        ("N0001", "its self-tests say [], expected passed"),
    ]
