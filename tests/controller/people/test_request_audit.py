"""What is asked of the desk is on record in the commit that carries it out, or not at all."""

from __future__ import annotations

import pytest

from controller.effects import Commit
from controller.errors import RequestError
from controller.events import SiteChanged
from controller.people.audit import Actor, Deed, Outcome
from controller.records import EmergencyRecord, RelayRecord
from controller.requests import EndEmergency, RaiseEmergency, StartRelay, StopRelay
from protocol.messages import Reality
from tests.support.controller_desk import DeskWorld, notes
from tests.support.pki import DevelopmentKeys

LAN = Actor(who="lan", address="192.0.2.1")


@pytest.fixture
def world(pki: DevelopmentKeys) -> DeskWorld:
    made = DeskWorld(pki)
    made.begin()
    made.effects.clear()
    return made


def said(world: DeskWorld) -> list[tuple[str, str, str, str]]:
    return [(act.who, act.what, act.place, act.outcome.value) for act in world.memory.acts]


def test_an_emergency_and_its_entry_are_one_commit(world: DeskWorld) -> None:
    raised = world.ask(RaiseEmergency(area="xa", clip="flood"), by=LAN).result
    assert isinstance(raised, EmergencyRecord)
    commits = [each for each in world.effects if isinstance(each, Commit)]
    assert [len(commit.changes) for commit in commits] == [3]
    assert commits[0].changes[-1] == world.memory.acts[0]
    assert raised.id in world.memory.acts[0].detail
    world.ask(EndEmergency(emergency=raised.id, reason="nước rút", correction=True), by=LAN)
    world.ask(RaiseEmergency(area="dong", clip="drill", reality=Reality.DRILL), by=LAN)
    assert said(world) == [
        ("lan", Deed.EMERGENCY, "xa", "done"),
        ("lan", Deed.CORRECTION, "xa", "done"),
        ("lan", Deed.DRILL, "dong", "done"),
    ]
    assert world.memory.acts[1].detail.endswith(": nước rút")


def test_a_second_press_and_a_refusal_are_on_record_too(world: DeskWorld) -> None:
    for _ in range(2):
        world.ask(RaiseEmergency(area="xa", clip="flood"), by=LAN)
    with pytest.raises(RequestError):
        world.ask(RaiseEmergency(area="xa", clip="none"), by=LAN)
    assert [(act.outcome, act.detail.partition(" ")[0]) for act in world.memory.acts][1:] == [
        (Outcome.DONE, "it"),
        (Outcome.REFUSED, "unknown_clip"),
    ]


def test_a_replaced_emergency_is_told_by_what_replaced_it(world: DeskWorld) -> None:
    world.ask(RaiseEmergency(area="xa", clip="flood"), by=LAN)
    world.ask(RaiseEmergency(area="xa", clip="fire"), by=LAN)
    assert "Cháy rừng" in world.memory.acts[1].detail


def test_relays_by_hand_are_on_record(world: DeskWorld) -> None:
    begun = world.ask(StartRelay(area="dong", feed="vov1"), by=LAN).result
    assert isinstance(begun, RelayRecord)
    world.ask(StopRelay(stream=begun.stream), by=LAN)
    assert said(world) == [
        ("lan", Deed.RELAY_START, "dong", "done"),
        ("lan", Deed.RELAY_STOP, "dong", "done"),
    ]


def test_where_nothing_can_be_kept_the_warning_goes_out_and_the_log_says_so(world: DeskWorld) -> None:
    world.memory.is_full = True
    world.ask(RaiseEmergency(area="xa", clip="flood"), by=LAN)
    assert world.memory.acts == []
    assert "emergency_not_on_record" in notes(world.effects)


def test_a_configuration_read_again_is_on_record(world: DeskWorld) -> None:
    world.post(SiteChanged(site=world.desk.site, by=Actor(who="system")))
    assert said(world) == [("system", Deed.CONFIGURATION, "", "done")]
