"""What a place lays down, judged: air time, loudness, nothing stale; each in a world where it matters."""

from __future__ import annotations

import pytest

from edge.agent import Agent
from protocol.messages import AiringState
from simulator.runs.runner import Performance, perform
from simulator.runs.scenario import parse_scenario
from simulator.services.media_server import FOLD_BYTES
from tests.support import faulty_agents as faulty

TEXT = """
title: A morning with limits
title_vi: Một buổi sáng có hạn mức
start: 2026-03-04 06:00
minutes: 17
probe_s: 1
settle_s: 60
controller:
  areas:
    - id: xa
      title: Xã
      air_time: {session_minutes_max: 2, minutes_a_day_max: 4, sessions_a_day_max: 3, pause_minutes: 1}
      volume_caps: [{gain_db_max: -12}]
  nodes:
    - {id: N0001, title: Cụm loa 1, area: xa}
    - {id: N0002, title: Cụm loa 2, area: xa}
  programmes:
    - {id: long, title: Dài quá, area: xa, at: "06:01", items: [{file: long.mp3}]}
    - {id: news, title: Tin, area: xa, at: "06:06", items: [{file: news.mp3}]}
    - {id: old, title: Tin cũ, area: xa, at: "06:09", items: [{file: old.mp3, valid_until: "2026-03-04T06:09:30"}]}
    - {id: late, title: Phiên thứ tư, area: xa, at: "06:12", items: [{file: late.mp3}]}
media:
  long.mp3: {seconds: 180}
  news.mp3: {seconds: 60}
  old.mp3: {seconds: 60}
  late.mp3: {seconds: 30}
"""
PLANTED = [
    ("air_time", "a session of", faulty.Tireless),
    ("air_time", "of 4 minutes that a day has", faulty.Tireless),
    ("air_time", "session 4 on 2026-03-04", faulty.Tireless),
    ("air_time", "as loud as", faulty.Loud),
    ("stale", "after it has become stale", faulty.Hoary),
]


PLAYED: dict[str, Performance] = {}
"""One run for each agent, however many tests ask of it."""


def played(agent: type[Agent]) -> Performance:
    if agent.__name__ not in PLAYED:
        scenario = parse_scenario(TEXT, name="limits.yaml")
        PLAYED[agent.__name__] = perform("limits", scenario, seed=2, agents={"N0002": agent})
    return PLAYED[agent.__name__]


def test_nothing_is_found_where_the_limits_are_kept_and_each_of_them_is_reached() -> None:
    performance = played(Agent)
    assert performance.verdict.violations == ()
    said = {stored.record.reason for stored in performance.evidence.records if stored.node == "N0001"}
    assert {"air_time_session", "air_time_sessions", "stale"} <= said
    late = [stored.record for stored in performance.evidence.records if stored.record.source_id.startswith("late")]
    assert {record.state for record in late} == {AiringState.REFUSED}


@pytest.mark.parametrize(("checker", "says", "agent"), PLANTED, ids=[says for _, says, _ in PLANTED])
def test_the_planted_fault_is_found_at_its_pole(checker: str, says: str, agent: type[Agent]) -> None:
    found = [each for each in played(agent).verdict.violations if each.checker == checker and says in each.evidence]
    assert {each.pole for each in found} == {"N0002"}


BUDGET = """
title: A SIM with little volume
title_vi: Một SIM ít dung lượng
start: 2026-03-04 06:00
minutes: 4
controller:
  areas: [{id: xa, title: Xã, fetch_bytes_a_day_max: 1000000}]
  nodes:
    - {id: N0001, title: Cụm loa 1, area: xa}
    - {id: N0002, title: Cụm loa 2, area: xa}
  programmes:
    - {id: news, title: Tin, area: xa, at: "07:00", items: [{file: short.mp3}, {file: long.mp3}]}
media:
  short.mp3: {seconds: 60}
  long.mp3: {seconds: 240}
"""


def test_a_pole_that_fetches_more_than_its_budget_is_found_and_one_that_keeps_it_is_not() -> None:
    scenario = parse_scenario(BUDGET, name="budget.yaml")
    performance = perform("budget", scenario, seed=2, agents={"N0002": faulty.Spendthrift})
    found = [each for each in performance.verdict.violations if each.checker == "fetch_budget"]
    assert {each.pole for each in found} == {"N0002"}
    kept = sum(count for _, _, count in performance.evidence.poles["N0001"].came)
    assert 900_000 < kept <= 1_000_000 + 2 * FOLD_BYTES
