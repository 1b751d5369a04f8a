"""Assignments and plans: what is published, what is not published again, what is withdrawn."""

from __future__ import annotations

from typing import Any

from controller.configuration.site import site_of
from controller.documents.provision import ASSIGNMENT_VALID_MS, SLICE_EVERY_MS, SLICE_SIGNED
from controller.events import BrokerConnected, BrokerLost, MediaRefused, SiteChanged, Woken
from controller.planning.compile import DAY_MS
from controller.records import EmergencyRecord
from controller.requests import RaiseEmergency
from protocol.messages import Assignment, Over, Plan, QuietHours
from protocol.plan_body import decode_body
from protocol.topics import TopicName, topic
from tests.support.controller_desk import CLIP, DRILL_CLIP, DeskWorld, config_of, document, plain_config, published
from tests.support.pki import DevelopmentKeys

AT_N001 = topic(TopicName.ASSIGNMENT, node="N001")
AT_XA = topic(TopicName.PLAN, area="xa")
KEYSET = topic(TopicName.KEYSET)


def begun(pki: DevelopmentKeys, **changes: Any) -> DeskWorld:
    world = DeskWorld(pki, **changes)
    world.begin()
    return world


def test_an_assignment_says_where_a_node_stands(pki: DevelopmentKeys) -> None:
    world = begun(pki)
    said = document(published(world.effects, AT_N001)[-1], Assignment)
    assert said.areas == ("dong", "xa")
    assert said.quiet_hours == QuietHours(begin_minute=21 * 60, end_minute=5 * 60 + 30)
    assert set(said.prepared_clips) == {CLIP, DRILL_CLIP}


def test_an_assignment_says_how_a_node_is_aimed_in_microseconds(pki: DevelopmentKeys) -> None:
    plain = plain_config(pki)
    plain["nodes"][0] |= {"aiming_delay_ms": 87.5, "emergency_aiming_delay_ms": 0.021}
    world = begun(pki, nodes=plain["nodes"])
    said = document(published(world.effects, AT_N001)[-1], Assignment)
    assert (said.aiming_delay_us, said.emergency_aiming_delay_us) == (87_500, 21)
    other = document(published(world.effects, topic(TopicName.ASSIGNMENT, node="N002"))[-1], Assignment)
    assert (other.aiming_delay_us, other.emergency_aiming_delay_us) == (0, 0)


def test_an_assignment_says_when_a_node_listens_to_its_own_horn(pki: DevelopmentKeys) -> None:
    plain = plain_config(pki)
    plain["nodes"][0] |= {"self_test": "09:30"}
    world = begun(pki, nodes=plain["nodes"])
    assert document(published(world.effects, AT_N001)[-1], Assignment).self_test_minute == 9 * 60 + 30
    other = published(world.effects, topic(TopicName.ASSIGNMENT, node="N002"))[-1]
    assert document(other, Assignment).self_test_minute is None


def test_an_item_with_a_chime_lasts_as_much_longer_and_says_what_becomes_of_what_it_interrupts(
    pki: DevelopmentKeys,
) -> None:
    plain = plain_config(pki, announcement={"chime_ms": 2_000})
    plain["programmes"][0]["items"][0] |= {"chime": True, "over": "duck"}
    plain["programmes"][0]["items"][1] |= {"chime": True}
    plan = begun(pki, **plain).desk.plan("xa")
    assert plan is not None
    song, relay = plan.occurrences[:2]
    assert song.media is not None
    assert (song.chime_ms, song.over, song.duration_ms) == (2_000, Over.DUCK, 2_000 + song.media.duration_ms)
    assert relay.start_at_ms == song.start_at_ms + song.duration_ms
    assert (relay.chime_ms, relay.over, relay.duration_ms) == (2_000, Over.REPLACE, 900_000)


def test_a_plan_covers_seven_days_and_stays_ahead(pki: DevelopmentKeys) -> None:
    world = begun(pki)
    for _ in range(10):
        plan = world.desk.plan("xa")
        assert plan is not None
        assert plan.covers_until_ms - world.now.shared_ms >= 7 * DAY_MS
        starts = [each.start_at_ms for each in plan.occurrences if each.id.endswith(".0")]
        assert len([at for at in starts if at > world.now.shared_ms]) >= 7
        world.advance(DAY_MS)


def test_plans_and_assignments_are_signed_once_a_day_and_not_more(pki: DevelopmentKeys) -> None:
    world = begun(pki)
    world.effects.clear()
    world.advance(5 * DAY_MS)
    plans = {each.payload for each in published(world.effects, AT_XA)}
    assert 4 <= len(plans) <= 6
    assert published(world.effects, AT_N001) == []


def test_an_assignment_is_signed_again_long_before_it_runs_out(pki: DevelopmentKeys) -> None:
    world = begun(pki)
    [first] = {each.payload for each in published(world.effects, AT_N001)}
    for days, is_anew in ((199, False), (201, True)):
        later = DeskWorld(pki, at_ms=world.now.shared_ms + days * DAY_MS)
        later.memory = world.memory
        later.restart()
        later.advance(1_000)
        stands = published(later.effects, AT_N001)[-1]
        assert (stands.payload != first) is is_anew
    assert document(stands, Assignment).expires_at_ms - later.now.shared_ms == ASSIGNMENT_VALID_MS - 1_000


def test_a_restart_signs_nothing_anew(pki: DevelopmentKeys) -> None:
    world = begun(pki)
    before = {each.topic: each for each in world.memory.kept().documents}
    world.restart()
    assert {each.topic: each for each in world.memory.kept().documents} == before
    assert {each.payload for each in published(world.effects, AT_XA)} == {before[AT_XA].payload}


def test_everything_that_stands_is_published_again_after_each_connect_the_keys_first(pki: DevelopmentKeys) -> None:
    world = begun(pki)
    world.post(BrokerLost(reason="restart"))
    effects = [*world.post(BrokerConnected(is_session_present=True)), *world.advance(1_000)]
    sent = [each.topic for each in published(effects)]
    documents = {each.topic for each in world.memory.kept().documents}
    assert documents <= set(sent)
    own_state = topic(TopicName.CONTROLLER_STATE, controller="controller1")
    assert next(each for each in sent if each != own_state) == KEYSET
    assert published(effects, KEYSET)[0].payload == pki.keyset_bytes


def test_republication_goes_in_slices(pki: DevelopmentKeys) -> None:
    areas = [{"id": "xa", "title": "Xã"}, *({"id": f"t{n}", "title": "T", "parent": "xa"} for n in range(250))]
    nodes = [dict(plain_config(pki)["nodes"][0], area="xa")]
    world = begun(pki, areas=areas, nodes=nodes)
    world.post(BrokerLost(reason="restart"))
    at_once = published(world.post(BrokerConnected(is_session_present=True)))
    assert len(at_once) <= 101
    rest = published(world.advance(1_000))
    assert len({each.topic for each in at_once + rest}) >= 253


def test_a_change_of_programmes_makes_a_new_plan_with_a_higher_counter(pki: DevelopmentKeys) -> None:
    world = begun(pki)
    old = world.desk.plan("xa")
    programme = dict(plain_config(pki)["programmes"][0], at="06:15:00")
    effects = world.post(SiteChanged(site=site_of(config_of(pki, programmes=[programme]))))
    new = document(published(effects, AT_XA)[0], Plan)
    assert old is not None
    assert new.counter > old.counter
    assert {each.start_at_ms for each in new.occurrences} != {each.start_at_ms for each in old.occurrences}


def test_a_clock_set_back_does_not_lower_a_counter(pki: DevelopmentKeys) -> None:
    world = begun(pki)
    old = world.desk.plan("xa")
    earlier = DeskWorld(pki, at_ms=world.now.shared_ms - DAY_MS)
    earlier.memory = world.memory
    earlier.restart()
    programme = dict(plain_config(pki)["programmes"][0], at="06:15:00")
    earlier.post(SiteChanged(site=site_of(config_of(pki, programmes=[programme]))))
    new = earlier.desk.plan("xa")
    assert old is not None
    assert new is not None
    assert old.counter < new.counter < old.counter + 10


def test_what_the_site_no_longer_knows_is_withdrawn_when_the_broker_hears_it(pki: DevelopmentKeys) -> None:
    world = begun(pki)
    world.post(BrokerLost(reason="restart"))
    nodes = plain_config(pki)["nodes"][1:]
    site = site_of(config_of(pki, nodes=nodes))
    assert published(world.post(SiteChanged(site=site))) == []
    world.post(BrokerConnected(is_session_present=False))
    world.post(SiteChanged(site=site))
    assert published(world.effects, AT_N001)[-1].payload == b""
    assert AT_N001 not in {each.topic for each in world.memory.kept().documents}


def test_a_refused_file_is_left_out_and_told(pki: DevelopmentKeys) -> None:
    world = DeskWorld(pki)
    world.post(Woken())
    world.post(BrokerConnected(is_session_present=False))
    assert world.desk.plan("xa") is None
    world.post(MediaRefused(path="/site/song.mp3", reason="/site/song.mp3 is silent"))
    plan = world.desk.plan("xa")
    assert plan is not None
    assert {each.feed for each in plan.occurrences} == {"vov1"}
    assert world.desk.status(world.now).warnings == ("/site/song.mp3 is silent",)


def test_a_large_plan_is_published_by_the_hash_of_a_body_that_nodes_can_ask_for(pki: DevelopmentKeys) -> None:
    programme = plain_config(pki)["programmes"][0]
    world = begun(pki, programmes=[dict(programme, items=programme["items"] * 16)])
    sent = published(world.effects, AT_XA)[-1]
    said = document(sent, Plan)
    assert len(sent.payload) < 1_000
    assert said.occurrences == ()
    assert said.body is not None
    stands = world.desk.plan("xa")
    assert stands is not None
    assert len(stands.occurrences) == 32 * 8
    content = world.desk.body(said.body.sha256)
    assert content is not None
    assert decode_body(content) == stands.occurrences
    assert stands.covers_until_ms - world.now.shared_ms >= 7 * DAY_MS
    world.restart()
    assert world.desk.body(said.body.sha256) == content
    assert {each.payload for each in published(world.effects, AT_XA)} == {sent.payload}
    shorter = site_of(config_of(pki, programmes=[programme]))
    world.post(SiteChanged(site=shorter))
    assert world.desk.body(said.body.sha256) is None, "the plan that stands now needs it no longer"


def test_a_full_disk_publishes_no_plan_that_is_not_durable(pki: DevelopmentKeys) -> None:
    world = DeskWorld(pki)
    world.memory.is_full = True
    world.begin()
    assert published(world.effects, AT_XA) == []
    world.memory.is_full = False
    world.advance(120_000)
    assert len(published(world.effects, AT_XA)) >= 1


def test_a_large_site_is_signed_in_slices_between_which_an_emergency_goes_out(pki: DevelopmentKeys) -> None:
    nodes = [
        {"id": f"P{number:03d}", "title": "Cụm loa", "area": "dong", "report_key": f"{number:064x}"}
        for number in range(100)
    ]
    world = DeskWorld(pki, nodes=nodes)
    world.begin()
    assignments = {topic(TopicName.ASSIGNMENT, node=node["id"]) for node in nodes}

    def signed(effects: list[Any]) -> int:
        return len({each.topic for each in published(effects)} & assignments)

    begun_with = signed(world.effects)
    assert 0 < begun_with < len(nodes)
    assert isinstance(world.ask(RaiseEmergency(area="xa", clip="flood")).result, EmergencyRecord)
    assert published(world.effects, topic(TopicName.EMERGENCY, area="xa"))
    assert signed(world.effects) <= begun_with + SLICE_SIGNED
    world.advance(8 * SLICE_EVERY_MS)
    assert assignments <= {each.topic for each in world.memory.kept().documents}


def test_plans_that_suffice_are_not_compiled_each_hour_and_a_changed_one_is(pki: DevelopmentKeys) -> None:
    areas = [{"id": "xa", "title": "Xã"}, *({"id": f"t{n}", "title": "T", "parent": "xa"} for n in range(40))]
    nodes = [dict(plain_config(pki)["nodes"][0], area="xa")]
    world = begun(pki, areas=areas, nodes=nodes)
    world.advance(2 * 3600 * 1000)
    compiled = world.desk._provision.compiled
    world.advance(6 * 3600 * 1000)
    assert world.desk._provision.compiled == compiled
    programme = dict(plain_config(pki)["programmes"][0], at="06:15:00")
    world.post(SiteChanged(site=site_of(config_of(pki, areas=areas, nodes=nodes, programmes=[programme]))))
    world.advance(2 * 3600 * 1000)
    assert world.desk._provision.compiled >= compiled + 41
    plan = world.desk.plan("xa")
    assert plan is not None
    assert {each.start_at_ms % DAY_MS for each in plan.occurrences if each.id.endswith(".0")} == {
        (23 * 3600 + 15 * 60) * 1000
    }
