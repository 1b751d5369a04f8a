"""Speech over music: a pole that drops the bed, has one where it must not, or is not aimed, is found by a checker."""

from __future__ import annotations

from functools import cache

import pytest

from edge.agent import Agent
from simulator.runs.runner import Performance, perform
from simulator.runs.scenario import Scenario, parse_scenario
from tests.support import faulty_agents as faulty

TEXT = """
title: Speech over music, and news in place of it
title_vi: Lời nói trên nền nhạc
start: 2026-03-04 08:00
minutes: 2
sound: full
network: wired
controller:
  areas:
    - {id: tinh, title: Tỉnh}
    - {id: xa, title: Xã, parent: tinh}
    - {id: thon, title: Thôn, parent: xa}
  nodes:
    - {id: N0001, title: Cụm loa 1, area: thon}
    - {id: N0002, title: Cụm loa 2, area: thon, aiming_delay_ms: 150}
  programmes:
    - {id: music, title: Nhạc, area: thon, at: "08:00:20", items: [{file: music.mp3}]}
    - {id: notice, title: Thông báo, area: xa, at: "08:00:40", items: [{file: notice.mp3, over: duck}]}
    - {id: news, title: Tin, area: tinh, at: "08:01:10", items: [{file: news.mp3}]}
media:
  music.mp3: {seconds: 90}
  notice.mp3: {seconds: 20}
  news.mp3: {seconds: 20}
"""


@cache
def scenario() -> Scenario:
    return parse_scenario(TEXT, name="beds.yaml")


def played(agent: type[Agent]) -> Performance:
    return perform("beds", scenario(), seed=3, agents={"N0002": agent})


def test_nothing_is_found_where_the_music_goes_on_below_and_the_delay_is_wanted() -> None:
    performance = played(Agent)
    assert performance.verdict.violations == ()
    beds = [each for each in performance.evidence.poles["N0002"].heard if each.is_bed]
    assert [(each.source, round((each.ends_ns - each.begins_ns) / 1e9)) for each in beds] == [("media:music", 20)]


def test_where_samples_are_asked_for_now_and_then_speech_is_read_above_its_bed() -> None:
    silent = parse_scenario(TEXT.replace("sound: full", "sound: silent"), name="beds.yaml")
    performance = perform("beds", silent, seed=3)
    assert performance.verdict.violations == ()
    assert "media:notice" in {each.source for each in performance.evidence.poles["N0001"].heard}


@pytest.mark.parametrize(
    ("agent", "checker", "words"),
    [
        (faulty.Abrupt, "priority", "media:music fell silent below media:notice"),
        (faulty.Babel, "priority", "media:music goes on below media:news"),
        (faulty.Unaimed, "skew", "ms apart from N0001"),
    ],
)
def test_the_planted_fault_is_found(agent: type[Agent], checker: str, words: str) -> None:
    found = [each for each in played(agent).verdict.violations if each.checker == checker]
    assert any(words in each.evidence and each.pole == "N0002" for each in found), found


DRILL = """
title: A drill
title_vi: Diễn tập
start: 2026-03-04 08:00
minutes: 1
sound: full
network: wired
controller:
  areas: [{id: xa, title: Xã}]
  nodes: [{id: N0001, title: Cụm loa 1, area: xa}, {id: N0002, title: Cụm loa 2, area: xa}]
  emergency: {chime_ms: 3000}
  clips: [{id: drill, title: Diễn tập, file: drill.wav, reality: drill}]
media:
  drill.wav: {seconds: 5}
steps:
  - {do: raise, at: "08:00:20", area: xa, clip: drill, reality: drill, minutes: 1}
  - {do: clear, at: "08:00:40", reason: Xong}
"""


def test_a_pole_that_sounds_the_alarm_in_a_drill_is_found() -> None:
    scenario = parse_scenario(DRILL, name="drill.yaml")
    found = perform("drill", scenario, seed=3, agents={"N0002": faulty.Siren}).verdict.violations
    assert {each.pole for each in found} == {"N0002"}
    assert any("chime:emergency sounds and no document names it" in each.evidence for each in found), found
