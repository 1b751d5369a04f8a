"""What somebody sees of the controller's state: their own places, what sounds there from above, and nothing beside."""

from __future__ import annotations

import msgspec
import pytest

from controller.events import MessageReceived
from controller.people.rights import ONLOOKER, Grant, Principal, Role
from controller.people.sight import seen_areas, sounding_areas, status_for
from controller.requests import RaiseEmergency, StartRelay, StartSilence
from controller.streams.group_delay import StreamDelay
from controller.views import StatusView
from protocol.codec import json_encode
from protocol.messages import Telemetry
from protocol.topics import TopicName, topic
from tests.support.controller_desk import DeskWorld
from tests.support.pki import DevelopmentKeys

DELAY = StreamDelay(
    delay_ms=1_000, wanted_ms=1_000, worst_node="N003", late=("N001", "N003"), left_out=("N002", "N003")
)


def viewer(*areas: str) -> Principal:
    return Principal(name="lan", grants=frozenset(Grant(role=Role.VIEWER, area=each) for each in areas), is_person=True)


@pytest.fixture
def world(pki: DevelopmentKeys) -> DeskWorld:
    """Something in every place, a stranger, and a message that was refused."""
    made = DeskWorld(pki)
    made.begin()
    for area in ("xa", "dong", "doai"):
        made.ask(RaiseEmergency(area=area, clip="flood"))
        made.ask(StartRelay(area=area, feed="vov1"))
        made.ask(StartSilence(area=area, reason="sửa"))
    for node in ("N001", "N003"):
        made.ask(StartSilence(node=node, reason="sửa"))
    for payload in (json_encode(Telemetry(node="X1", at_ms=made.now.shared_ms)), b"{"):
        made.post(MessageReceived(topic=topic(TopicName.TELEMETRY, node="X1"), payload=payload))
    return made


def status_of(world: DeskWorld) -> StatusView:
    whole = world.desk.status(world.now)
    assert whole.strangers
    assert whole.refused
    relays = tuple(msgspec.structs.replace(each, delay=DELAY) for each in whole.relays)
    return msgspec.structs.replace(whole, relays=relays, warnings=("thon Đoài: một tệp bị thiếu",))


def test_a_village_sees_itself_and_what_sounds_there_from_above(world: DeskWorld) -> None:
    seen = status_for(viewer("dong"), status_of(world), world.desk.site.tree)
    assert [node.id for node in seen.nodes] == ["N001", "N002"]
    assert {each.area for each in seen.emergencies} == {each.area for each in seen.relays} == {"xa", "dong"}
    assert {(each.area, each.node) for each in seen.silences} == {("xa", ""), ("dong", ""), ("dong", "N001")}
    for emergency in seen.emergencies:
        named = (emergency.sounding, emergency.late, emergency.finished, emergency.waiting, emergency.missed)
        assert {node for nodes in named for node in nodes} == {"N001", "N002"}
    for relay in seen.relays:
        assert relay.delay == msgspec.structs.replace(DELAY, worst_node="", late=("N001",), left_out=("N002",))
    assert (seen.warnings, seen.strangers, seen.refused) == ((), (), {})
    assert b"N003" not in json_encode(seen)


def test_the_commune_sees_its_villages_and_who_sees_everywhere_sees_all(world: DeskWorld) -> None:
    status, tree = status_of(world), world.desk.site.tree
    commune = status_for(viewer("xa"), status, tree)
    for subject in ("nodes", "emergencies", "relays", "silences"):
        assert getattr(commune, subject) == getattr(status, subject)
    assert commune.strangers == ()
    assert status_for(viewer("*"), status, tree) == status_for(ONLOOKER, status, tree) == status


def test_who_sees_nothing_or_a_place_that_is_gone_sees_nothing(world: DeskWorld) -> None:
    status, tree = status_of(world), world.desk.site.tree
    for somebody in (viewer(), viewer("gone")):
        seen = status_for(somebody, status, tree)
        assert (seen.nodes, seen.emergencies, seen.relays, seen.silences) == ((), (), (), ())
        assert seen_areas(somebody, tree) == sounding_areas(somebody, tree) == frozenset()
