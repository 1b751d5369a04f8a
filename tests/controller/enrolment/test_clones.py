"""A copied card of which two are alive is noticed by its signs, named, silenced; an honest unit never is."""

from __future__ import annotations

from typing import Any

import pytest

from controller.configuration.site import with_report_keys
from controller.effects import Commit, Effect
from controller.enrolment.clones import BY, RETURNS_MIN, TAKEN_MIN, WINDOW_MS
from controller.events import MessageReceived, SiteChanged
from controller.people.audit import Act
from controller.requests import EndSilence, StartSilence
from protocol.codec import json_encode
from protocol.messages import AiringState, NodeState, Readiness, Silence, SilenceRelease, Telemetry
from protocol.silence import box_digest
from protocol.topics import TopicName, topic
from tests.support.controller_desk import DeskWorld, airing, document, notes, published
from tests.support.pki import DevelopmentKeys

NODE = "N001"
AT_NODE = topic(TopicName.NODE_SILENCE, node=NODE)
HERE, THERE = box_digest("box-1"), box_digest("box-2")


@pytest.fixture
def world(pki: DevelopmentKeys) -> DeskWorld:
    made = DeskWorld(pki)
    made.begin()
    made.effects.clear()
    return made


def born(world: DeskWorld, epoch: int, box: str = "", state: Readiness = Readiness.READY) -> list[Effect]:
    world.advance(20_000)
    told = NodeState(node=NODE, state=state, session_epoch=epoch, box=box, boot=f"boot-{epoch}")
    return world.post(MessageReceived(topic=topic(TopicName.NODE_STATE, node=NODE), payload=json_encode(told)))


def status(world: DeskWorld, epoch: int, **fields: Any) -> None:
    told = Telemetry(node=NODE, at_ms=world.now.shared_ms, session_epoch=epoch, **fields)
    world.post(MessageReceived(topic=topic(TopicName.TELEMETRY, node=NODE), payload=json_encode(told)))


def orders(world: DeskWorld) -> list[Silence]:
    return [document(each, Silence) for each in published(world.effects, AT_NODE)]


def shown(world: DeskWorld) -> list[str]:
    [node] = [each for each in world.desk.status(world.now).nodes if each.id == NODE]
    return [fault for fault in node.faults if fault.startswith("clone")]


def test_two_lives_that_take_turns_on_one_box_are_silenced_but_for_real_emergencies(world: DeskWorld) -> None:
    for epoch in (1, 2, 1):
        born(world, epoch, HERE)
    assert not orders(world)
    born(world, 2, HERE)
    [order] = orders(world)
    assert (order.spares_emergencies, order.spared_box, order.ordered_by) == (True, "", BY)
    assert "take turns" in shown(world)[0]
    assert "clone" in notes(world.effects)
    for epoch in (1, 2, 1, 2):
        born(world, epoch, HERE)
    assert len(orders(world)) == 1


def test_where_the_boxes_differ_the_first_one_goes_on(world: DeskWorld) -> None:
    for epoch, box in ((1, HERE), (2, THERE), (1, HERE), (2, THERE)):
        born(world, epoch, box)
    [order] = orders(world)
    assert (order.spares_emergencies, order.spared_box) == (False, HERE)


def test_a_box_that_is_not_the_enrolled_one_counts_at_once(pki: DevelopmentKeys) -> None:
    world = DeskWorld(pki)
    world.desk._clones._box_of = lambda _: HERE  # as the enrolments would say
    world.begin()
    born(world, 1, HERE)
    assert not orders(world)
    born(world, 2, THERE)
    assert orders(world)[0].spared_box == HERE


def test_restarts_reconnects_and_old_wills_are_no_clones(world: DeskWorld) -> None:
    for epoch in range(1, 40):
        born(world, epoch, HERE)
        status(world, epoch)
        born(world, epoch, HERE)
        born(world, max(1, epoch - 1), HERE, Readiness.LOST)
        status(world, epoch, taken_over=int(epoch == 5))
    assert not shown(world)
    assert not orders(world)


def test_a_connection_that_is_taken_again_and_again_is_named_and_silences_nobody(world: DeskWorld) -> None:
    status(world, 1, taken_over=TAKEN_MIN - 1)
    assert not shown(world)
    status(world, 1, taken_over=TAKEN_MIN)
    assert shown(world)
    assert not orders(world)


def test_signs_that_lie_far_apart_are_forgotten(world: DeskWorld) -> None:
    for epoch in (1, 2, 1):
        born(world, epoch)
    world.advance(WINDOW_MS)
    born(world, 2)
    assert RETURNS_MIN == 2
    assert not shown(world)


def test_two_signed_reports_of_one_number_are_a_proof_by_themselves(world: DeskWorld) -> None:
    at_ms = world.now.shared_ms
    world.report(NODE, 1, airing("e1", AiringState.STARTED, at_ms))
    world.report(NODE, 1, airing("e2", AiringState.STARTED, at_ms))
    assert "two signed reports" in shown(world)[0]
    assert not orders(world)


def test_it_is_on_record_once(world: DeskWorld) -> None:
    for epoch in (1, 2, 1, 2, 1, 2):
        born(world, epoch, HERE)
    commits = [each for each in world.effects if isinstance(each, Commit)]
    acts = [change for commit in commits for change in commit.changes if isinstance(change, Act)]
    assert [(act.who, act.detail[:5]) for act in acts] == [(BY, f"{NODE}:")]


def test_another_report_key_releases_it_and_is_believed_anew(world: DeskWorld) -> None:
    for epoch in (1, 2, 1, 2):
        born(world, epoch, HERE)
    [order] = orders(world)
    world.effects.clear()
    world.post(SiteChanged(site=with_report_keys(world.desk.site, {NODE: "f" * 64})))
    assert document(published(world.effects, AT_NODE)[0], SilenceRelease).order == order.order
    assert not shown(world)
    born(world, 9, THERE)
    assert not shown(world)


def test_an_order_of_a_person_stays_and_is_not_released_by_an_enrolment(world: DeskWorld) -> None:
    world.ask(StartSilence(node=NODE, reason="sửa chữa"))
    for epoch in (1, 2, 1, 2):
        born(world, epoch, HERE)
    assert [each.reason for each in orders(world)] == ["sửa chữa"]
    world.effects.clear()
    world.post(SiteChanged(site=with_report_keys(world.desk.site, {NODE: "f" * 64})))
    assert not published(world.effects, AT_NODE)


def test_it_is_still_named_after_a_restart_and_a_person_may_release_it(world: DeskWorld) -> None:
    for epoch in (1, 2, 1, 2):
        born(world, epoch, HERE)
    world.restart()
    assert shown(world)
    world.ask(EndSilence(node=NODE, reason="đã gỡ máy lạ"))
    assert not shown(world)


def test_what_is_remembered_of_a_node_is_bounded(world: DeskWorld) -> None:
    for epoch in range(1, 200):
        born(world, epoch, box_digest(str(epoch)))
        status(world, epoch, taken_over=epoch)
    seen = world.desk._clones._nodes[NODE]
    assert max(len(each) for each in (seen.lives, seen.returns_ms, seen.taken_ms, seen.taken, seen.boxes)) <= 32
