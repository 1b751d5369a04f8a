"""Zones in turn, on the controller's side: who has which turn, how long a round is, who is called late."""

from __future__ import annotations

from typing import Any

import pytest

from controller.configuration.site import site_of
from controller.errors import ConfigError, RequestCode, RequestError
from controller.records import EmergencyRecord
from controller.requests import RaiseEmergency
from controller.streams.rounds import Rounds
from protocol.messages import AiringState, Assignment, Emergency
from protocol.topics import TopicName, topic
from protocol.turns import Turns
from tests.support.controller_desk import (
    CLIP,
    SONG,
    DeskWorld,
    airing,
    config_of,
    document,
    plain_config,
    published,
)
from tests.support.pki import DevelopmentKeys

AT_XA = topic(TopicName.EMERGENCY, area="xa")
FLOOD = RaiseEmergency(area="xa", clip="flood", minutes=10, in_turns=True)
NODES = ("N001", "N002", "N003")


def zoned(pki: DevelopmentKeys, **more: Any) -> dict[str, Any]:
    """Đông has the second turn, its N002 the third; Đoài has none, and so the first. Nothing has a chime."""
    emergency = {"chime_ms": 0, **more.pop("emergency", {})}
    plain = plain_config(pki, turns={"gap_ms": 1_000}, emergency=emergency, **more)
    plain["areas"][1]["turn"] = 1
    plain["nodes"][1]["turn"] = 2
    plain["programmes"][0]["items"][0]["in_turns"] = True
    return plain


@pytest.fixture
def world(pki: DevelopmentKeys) -> DeskWorld:
    made = DeskWorld(pki, **zoned(pki))
    made.begin()
    for node in NODES:
        made.birth(node)
    return made


def test_a_turn_is_the_nodes_own_or_that_of_the_nearest_area(pki: DevelopmentKeys) -> None:
    site = site_of(config_of(pki, **zoned(pki)))
    assert [site.rounds.turn_of(node) for node in NODES] == [1, 2, 0]
    assert site.rounds.of(site.nodes_below("xa"), sound_ms=4_000) == Turns(count=3, length_ms=5_000)
    assert site.rounds.of(site.nodes_below("doai"), sound_ms=4_000) is None


def test_a_node_may_stand_back_into_the_first_turn(pki: DevelopmentKeys) -> None:
    plain = zoned(pki)
    plain["nodes"][0]["turn"] = 0
    site = site_of(config_of(pki, **plain))
    assert site.rounds.turn_of("N001") == 0


def test_a_round_of_more_than_a_day_is_none() -> None:
    rounds = Rounds(turns={"b": 15}, gap_ms=0)
    assert rounds.of(("a", "b"), sound_ms=24 * 3600 * 1000 // 16) is not None
    assert rounds.of(("a", "b"), sound_ms=24 * 3600 * 1000 // 16 + 1) is None


def test_assignments_name_the_turn(world: DeskWorld) -> None:
    for node, turn in zip(NODES, (1, 2, 0), strict=True):
        at = topic(TopicName.ASSIGNMENT, node=node)
        assert document(published(world.effects, at)[-1], Assignment).turn == turn


def test_a_planned_item_lasts_its_whole_round_and_the_next_begins_after_it(world: DeskWorld) -> None:
    plan = world.desk.plan("xa")
    assert plan is not None
    song, relay = plan.occurrences[0], plan.occurrences[1]
    assert song.turns == Turns(count=3, length_ms=SONG.duration_ms + 1_000)
    assert song.duration_ms == 3 * (SONG.duration_ms + 1_000)
    assert relay.start_at_ms == song.start_at_ms + song.duration_ms
    assert relay.turns is None


def test_an_emergency_in_turns_repeats_each_round_and_judges_each_node_by_its_own_turn(world: DeskWorld) -> None:
    record = world.ask(FLOOD).result
    assert isinstance(record, EmergencyRecord)
    order = document(published(world.effects, AT_XA)[-1], Emergency)
    assert order.turns == Turns(count=3, length_ms=CLIP.duration_ms + 1_000)
    assert order.repeat_every_ms == 15_000
    for number, (node, turn) in enumerate((("N001", 1), ("N003", 0)), 1):
        at_ms = record.play_at_ms + turn * 5_000 + 100
        world.report(node, number if node == "N001" else 1, airing(record.id, AiringState.STARTED, at_ms))
    [view] = world.desk.status(world.now).emergencies
    assert (view.sounding, view.late, view.turns) == (("N001", "N003"), (), order.turns)
    world.advance(31_000)
    assert world.desk.status(world.now).emergencies[0].waiting == ("N002",)
    world.advance(10_000)
    assert world.desk.status(world.now).emergencies[0].missed == ("N002",)


def test_each_turn_has_room_for_its_chime(pki: DevelopmentKeys) -> None:
    plain = zoned(pki, emergency={"chime_ms": 2_000})
    plain["programmes"][0]["items"][0]["chime"] = True
    world = DeskWorld(pki, **plain)
    world.begin()
    record = world.ask(FLOOD).result
    assert isinstance(record, EmergencyRecord)
    assert record.turns == Turns(count=3, length_ms=2_000 + CLIP.duration_ms + 1_000)
    plan = world.desk.plan("xa")
    assert plan is not None
    assert plan.occurrences[0].turns == Turns(count=3, length_ms=2_500 + SONG.duration_ms + 1_000)


def test_who_sounds_in_anothers_turn_is_late(world: DeskWorld) -> None:
    record = world.ask(FLOOD).result
    assert isinstance(record, EmergencyRecord)
    world.report("N003", 1, airing(record.id, AiringState.STARTED, record.play_at_ms + 5_000))
    assert world.desk.status(world.now).emergencies[0].late == ("N003",)


def test_without_asking_an_emergency_sounds_everywhere_at_once(world: DeskWorld) -> None:
    record = world.ask(RaiseEmergency(area="xa", clip="flood", minutes=10)).result
    assert isinstance(record, EmergencyRecord)
    assert (record.turns, record.shifts_ms, record.repeat_every_ms) == (None, {}, 5_000)


def test_the_same_press_stands_already_and_another_way_of_sounding_replaces_it(world: DeskWorld) -> None:
    first = world.ask(FLOOD)
    assert not world.ask(FLOOD).is_new
    other = world.ask(RaiseEmergency(area="xa", clip="flood", minutes=10))
    assert other.is_new
    states = {each.id: each.state.value for each in world.desk.status(world.now).emergencies}
    assert isinstance(first.result, EmergencyRecord)
    assert states[first.result.id] == "replaced"


def test_a_round_that_outlasts_the_emergency_is_refused(pki: DevelopmentKeys) -> None:
    world = DeskWorld(pki, **zoned(pki, emergency={"minutes_max": 120}) | {"turns": {"gap_ms": 60_000}})
    world.begin()
    with pytest.raises(RequestError, match=r"3 turns takes 3\.2 minutes") as refused:
        world.ask(RaiseEmergency(area="xa", clip="flood", minutes=3, in_turns=True))
    assert refused.value.code is RequestCode.BAD_REQUEST


def test_a_turn_is_kept_over_a_restart(world: DeskWorld) -> None:
    record = world.ask(FLOOD).result
    world.restart()
    assert isinstance(record, EmergencyRecord)
    [view] = world.desk.status(world.now).emergencies
    assert view.turns == record.turns


def test_a_feed_that_is_over_with_its_chime_is_refused_by_the_configuration(pki: DevelopmentKeys) -> None:
    plain = plain_config(pki)
    plain["programmes"][0]["items"][1] |= {"chime": True, "duration_s": 2}
    with pytest.raises(ConfigError, match=r"items\[1\]: duration_s: no longer than announcement"):
        config_of(pki, programmes=plain["programmes"])


def test_a_feed_in_turns_is_refused_by_the_configuration(pki: DevelopmentKeys) -> None:
    plain = plain_config(pki)
    plain["programmes"][0]["items"][1]["in_turns"] = True
    with pytest.raises(ConfigError, match=r"items\[1\]: a feed is live"):
        config_of(pki, programmes=plain["programmes"])
