"""The checker of the daily self-test finds a pole that makes none, one that makes it at night, and one that lies."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from edge.agent import Agent
from edge.effects import Effect, MeasureSelfTest
from edge.events import Event, SelfTestAsked, SelfTestMeasured
from edge.proof.ears import Swept
from edge.proof.sweep import SweepMeasure
from protocol.units import NS_PER_S, Now
from simulator.runs.runner import Performance, perform
from simulator.runs.scenario import Scenario, parse_scenario

TEXT = """
title: Self-tests
title_vi: Tự kiểm tra
about: Two poles, one of which is at fault.
start: 2026-05-04 06:25
minutes: 75
sound: full
sensors: [microphone]
spacing_m: 800
controller:
  areas: [{id: xa, title: Xã}]
  nodes:
    - {id: N0004, title: Cụm loa 4, area: xa, self_test: "06:30"}
    - {id: N0009, title: Cụm loa 9, area: xa, self_test: "06:30"}
"""


@cache
def scenario() -> Scenario:
    return parse_scenario(TEXT, name="self_tests.yaml")


class Careless(Agent):
    """Keeps no record of a self-test: the ears' answer is lost."""

    def handle(self, event: Event, now: Now) -> list[Effect]:
        return [each for each in super().handle(event, now) if not isinstance(each, MeasureSelfTest)]


class Restless(Agent):
    """Tests itself as soon as it is up."""

    has_asked = False

    def handle(self, event: Event, now: Now) -> list[Effect]:
        effects = super().handle(event, now)
        if not self.has_asked and now.monotonic_ns > 120 * NS_PER_S:
            self.has_asked = True
            effects += super().handle(SelfTestAsked(ticket=1, takes_reference=False), now)
        return effects


class Pessimist(Agent):
    """Hears nothing of its own sweep."""

    def handle(self, event: Event, now: Now) -> list[Effect]:
        if isinstance(event, SelfTestMeasured):
            deaf = Swept(sent_share=event.swept.sent_share, measures=tuple(map(_unheard, event.swept.measures)))
            event = SelfTestMeasured(swept=deaf)
        return super().handle(event, now)


def _unheard(measure: SweepMeasure) -> SweepMeasure:
    return replace(measure, height=0.0)


def played(agent: type[Agent]) -> Performance:
    return perform("self_tests", scenario(), seed=3, agents={"N0009": agent})


def test_a_pole_that_tests_itself_in_its_turn_is_in_order() -> None:
    performance = played(Agent)
    assert performance.verdict.violations == ()


@pytest.mark.parametrize(
    ("agent", "evidence"),
    [
        (Careless, "it says not_run"),
        (Restless, "at a time that is not its own"),
        (Pessimist, "says silent of a horn that is whole"),
    ],
)
def test_a_fault_is_found_at_its_pole(agent: type[Agent], evidence: str) -> None:
    found = [each for each in played(agent).verdict.violations if each.checker == "self_test"]
    assert [each.pole for each in found] == ["N0009"]
    assert evidence in found[0].evidence
