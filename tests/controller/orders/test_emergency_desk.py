"""Emergencies and drills through the whole desk: press, count, repeat, end, restart, full disk."""

from __future__ import annotations

import pytest

from controller.errors import RequestCode, RequestError
from controller.events import BrokerConnected, BrokerLost
from controller.orders.emergency_desk import STANDING_MAX
from controller.records import EmergencyRecord, EmergencyState
from controller.requests import EndEmergency, RaiseEmergency
from protocol.messages import AiringState, AllClear, Emergency, Reality
from protocol.topics import TopicName, topic
from tests.support.controller_desk import DeskWorld, airing, document, notes, plain_config, published
from tests.support.pki import DevelopmentKeys

AT_XA = topic(TopicName.EMERGENCY, area="xa")
FLOOD = RaiseEmergency(area="xa", clip="flood", minutes=10)
DRILL = RaiseEmergency(area="xa", clip="drill", reality=Reality.DRILL, minutes=10)


@pytest.fixture
def world(pki: DevelopmentKeys) -> DeskWorld:
    made = DeskWorld(pki)
    made.begin()
    for node in ("N001", "N002", "N003"):
        made.birth(node)
    made.effects.clear()
    return made


def raised(world: DeskWorld, request: RaiseEmergency = FLOOD) -> EmergencyRecord:
    record = world.ask(request).result
    assert isinstance(record, EmergencyRecord)
    return record


def standing(world: DeskWorld) -> list[EmergencyState]:
    return [each.state for each in world.desk.status(world.now).emergencies if each.is_standing]


def test_one_press_is_one_publish_with_lead_and_warm_up(world: DeskWorld) -> None:
    record = raised(world)
    [publication] = published(world.effects, AT_XA)
    order = document(publication, Emergency)
    assert publication.retain
    assert order.play_at_ms == world.now.shared_ms + 150 + 300
    assert order.chime_ms == 3_000
    assert order.repeat_every_ms == 3_000 + 4_000 + 1_000
    assert order.sounds_until_ms == order.play_at_ms + 600_000 == order.expires_at_ms
    assert (order.emergency, order.reality) == (record.id, Reality.REAL)


@pytest.mark.parametrize(
    ("clip_ms", "chime", "expected_ms"), [(None, True, 1_200), (None, False, 0), (0, True, 0), (800, True, 800)]
)
def test_the_chime_is_the_clips_own_or_the_usual_one_or_none(
    pki: DevelopmentKeys, clip_ms: int | None, chime: bool, expected_ms: int
) -> None:
    plain = plain_config(pki, emergency={"chime_ms": 1_200})
    plain["clips"][0]["chime_ms"] = clip_ms
    world = DeskWorld(pki, **plain)
    world.begin()
    world.ask(RaiseEmergency(area="xa", clip="flood", minutes=10, chime=chime))
    order = document(published(world.effects, AT_XA)[-1], Emergency)
    assert (order.chime_ms, order.repeat_every_ms) == (expected_ms, expected_ms + 5_000)
    world.restart()
    [view] = world.desk.status(world.now).emergencies
    assert view.id == order.emergency


def test_nothing_is_published_before_it_is_durable(world: DeskWorld) -> None:
    world.is_holding = True
    with pytest.raises(AssertionError):
        world.ask(FLOOD)
    assert published(world.effects, AT_XA) == []
    assert len(published(world.release(), AT_XA)) == 1


def test_a_second_press_returns_the_one_that_stands(world: DeskWorld) -> None:
    first = world.ask(FLOOD)
    second = world.ask(FLOOD)
    assert (first.is_new, second.is_new) == (True, False)
    assert isinstance(second.result, EmergencyRecord)
    assert second.result == first.result
    assert len(published(world.effects, AT_XA)) == 1


def test_identical_bytes_are_repeated_each_second_until_all_have_answered(world: DeskWorld) -> None:
    record = raised(world)
    effects = world.advance(3_500)
    repeats = published(effects, AT_XA)
    assert len(repeats) == 3
    assert {each.payload for each in repeats} == {published(world.effects, AT_XA)[0].payload}
    for node in ("N001", "N002", "N003"):
        world.report(node, 1, airing(record.id, AiringState.STARTED, record.play_at_ms + 5))
    assert published(world.advance(5_000), AT_XA) == []
    assert standing(world) == [EmergencyState.SOUNDING]


def test_repetition_is_bounded(world: DeskWorld) -> None:
    raised(world)
    assert 28 <= len(published(world.advance(120_000), AT_XA)) <= 30


def test_nodes_are_counted_by_name(world: DeskWorld) -> None:
    record = raised(world)
    world.report("N001", 1, airing(record.id, AiringState.STARTED, record.play_at_ms + 5))
    world.report("N002", 1, airing(record.id, AiringState.STARTED, record.play_at_ms + 9_000))
    [view] = world.desk.status(world.now).emergencies
    assert (view.sounding, view.late, view.waiting, view.missed) == (("N001",), ("N002",), ("N003",), ())
    world.advance(31_000)
    [view] = world.desk.status(world.now).emergencies
    assert (view.waiting, view.missed) == ((), ("N003",))


def test_a_node_that_refuses_has_missed_it(world: DeskWorld) -> None:
    record = raised(world)
    world.report("N001", 1, airing(record.id, AiringState.REFUSED, record.play_at_ms))
    [view] = world.desk.status(world.now).emergencies
    assert view.missed == ("N001",)


def test_all_clear_and_correction_are_told_apart(world: DeskWorld) -> None:
    for correction, state in ((False, EmergencyState.ALL_CLEAR), (True, EmergencyState.CORRECTED)):
        record = raised(world)
        world.effects.clear()
        world.ask(EndEmergency(emergency=record.id, reason="nước rút", correction=correction))
        order = document(published(world.effects, AT_XA)[0], AllClear)
        assert (order.emergency, order.reason, order.correction) == (record.id, "nước rút", correction)
        states = {each.id: each.state for each in world.desk.status(world.now).emergencies}
        assert states[record.id] is state
        with pytest.raises(RequestError) as refused:
            world.ask(EndEmergency(emergency=record.id))
        assert refused.value.code is RequestCode.ALREADY_OVER


def test_an_all_clear_is_repeated_until_those_that_sound_have_finished(world: DeskWorld) -> None:
    record = raised(world)
    world.report("N001", 1, airing(record.id, AiringState.STARTED, record.play_at_ms))
    world.ask(EndEmergency(emergency=""))
    assert len(published(world.advance(2_500), AT_XA)) == 2
    world.report("N001", 2, airing(record.id, AiringState.FINISHED, world.now.shared_ms))
    assert published(world.advance(5_000), AT_XA) == []


def test_it_ends_by_itself_and_its_topic_is_cleared(world: DeskWorld) -> None:
    raised(world)
    effects = world.advance(11 * 60_000)
    assert "emergency_expired" in notes(effects)
    assert published(effects, AT_XA)[-1].payload == b""
    assert standing(world) == []


def test_counters_rise_on_the_topic_of_one_key(world: DeskWorld) -> None:
    first = raised(world)
    world.ask(EndEmergency(emergency=first.id))
    raised(world)
    orders = published(world.effects, AT_XA)
    press, clear, again = orders
    counters = [document(press, Emergency).counter, document(clear, AllClear).counter]
    counters.append(document(again, Emergency).counter)
    assert counters == sorted(set(counters))


def test_it_goes_on_after_kill_9(world: DeskWorld) -> None:
    record = raised(world)
    before = published(world.effects, AT_XA)[0].payload
    world.report("N001", 1, airing(record.id, AiringState.STARTED, record.play_at_ms))
    world.restart()
    assert published(world.effects, AT_XA)[0].payload == before
    [view] = world.desk.status(world.now).emergencies
    assert (view.id, view.state, view.sounding) == (record.id, EmergencyState.SOUNDING, ("N001",))
    assert world.ask(FLOOD).is_new is False
    world.ask(EndEmergency(emergency=record.id))
    assert standing(world) == []


def test_after_kill_9_it_is_repeated_again_for_those_that_have_not_answered(world: DeskWorld) -> None:
    world.advance(2_000)
    raised(world)
    world.restart()
    world.advance(3_000)
    world.effects.clear()
    world.advance(5_000)
    assert len(published(world.effects, AT_XA)) >= 4
    world.advance(60_000)
    world.effects.clear()
    world.advance(60_000)
    assert published(world.effects, AT_XA) == []


def test_a_full_disk_does_not_silence_a_warning(world: DeskWorld) -> None:
    world.memory.is_full = True
    raised(world)
    assert len(published(world.effects, AT_XA)) == 1
    assert "emergency_not_on_record" in notes(world.effects)


def test_a_broker_that_is_away_gets_it_when_it_is_back(world: DeskWorld) -> None:
    world.post(BrokerLost(reason="nothing listens"))
    raised(world)
    assert published(world.effects) == []
    effects = world.post(BrokerConnected(is_session_present=False))
    assert document(published(effects, AT_XA)[0], Emergency).area == "xa"


def test_a_drill_is_signed_by_the_drill_key_and_never_touches_a_real_one(world: DeskWorld) -> None:
    raised(world, RaiseEmergency(area="dong", clip="flood"))
    for area in ("dong", "xa"):
        with pytest.raises(RequestError) as refused:
            world.ask(RaiseEmergency(area=area, clip="drill", reality=Reality.DRILL))
        assert refused.value.code is RequestCode.REAL_STANDS
    drill = raised(world, RaiseEmergency(area="doai", clip="drill", reality=Reality.DRILL))
    assert drill.reality is Reality.DRILL
    [kept] = [each for each in world.memory.kept().documents if each.topic == topic(TopicName.EMERGENCY, area="doai")]
    assert kept.key_id == "drill-1"


def test_a_real_one_replaces_a_drill_in_its_area(world: DeskWorld) -> None:
    drill = raised(world, DRILL)
    world.effects.clear()
    real = raised(world)
    orders = published(world.effects, AT_XA)
    assert document(orders[0], AllClear).emergency == drill.id
    assert document(orders[1], Emergency).emergency == real.id
    states = {each.id: each.state for each in world.desk.status(world.now).emergencies}
    assert states == {drill.id: EmergencyState.REPLACED, real.id: EmergencyState.RAISED}


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (RaiseEmergency(area="nowhere", clip="flood"), RequestCode.UNKNOWN_AREA),
        (RaiseEmergency(area="xa", clip="nothing"), RequestCode.UNKNOWN_CLIP),
        (RaiseEmergency(area="xa", clip="flood", reality=Reality.DRILL), RequestCode.WRONG_REALITY),
        (RaiseEmergency(area="xa", clip="drill"), RequestCode.WRONG_REALITY),
        (RaiseEmergency(area="xa", clip="flood", minutes=121), RequestCode.BAD_REQUEST),
        (EndEmergency(emergency="e9999"), RequestCode.UNKNOWN_EMERGENCY),
        (EndEmergency(emergency=""), RequestCode.UNKNOWN_EMERGENCY),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    world: DeskWorld, request_: RaiseEmergency | EndEmergency, code: RequestCode
) -> None:
    with pytest.raises(RequestError) as refused:
        world.ask(request_)
    assert refused.value.code is code
    assert published(world.effects) == []


def test_a_clip_that_is_not_ready_is_refused(pki: DevelopmentKeys) -> None:
    world = DeskWorld(pki)
    world.post(BrokerConnected(is_session_present=False))
    with pytest.raises(RequestError) as refused:
        world.ask(FLOOD)
    assert refused.value.code is RequestCode.CLIP_NOT_READY


def test_more_at_once_than_any_disaster_has_are_refused_and_what_stands_can_still_be_changed(
    pki: DevelopmentKeys,
) -> None:
    plain = plain_config(pki)
    places = [f"xom-{number}" for number in range(STANDING_MAX + 1)]
    world = DeskWorld(pki, areas=[*plain["areas"], *({"id": each, "title": each, "parent": "xa"} for each in places)])
    world.begin()
    *_, ended = [raised(world, RaiseEmergency(area=place, clip="flood")) for place in places[:-1]]
    with pytest.raises(RequestError) as refused:
        raised(world, RaiseEmergency(area=places[-1], clip="flood"))
    assert refused.value.code is RequestCode.TOO_MANY
    assert raised(world, RaiseEmergency(area=places[0], clip="fire")).title == "Cháy rừng"
    world.ask(EndEmergency(emergency=ended.id))
    assert raised(world, RaiseEmergency(area=places[-1], clip="flood")).area == places[-1]
