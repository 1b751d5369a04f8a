"""Orders to be silent through the whole desk: signed, kept, published, released, on record, after a restart."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from controller.effects import Commit
from controller.errors import RequestCode, RequestError
from controller.people.audit import Act, Actor
from controller.records import SilenceRecord
from controller.requests import EndSilence, Request, StartSilence
from protocol.messages import BroadcastClass, Silence, SilenceRelease
from protocol.topics import TopicName, topic
from tests.support.controller_desk import DeskWorld, document, notes, published
from tests.support.pki import DevelopmentKeys

AT_XA = topic(TopicName.AREA_SILENCE, area="xa")
AT_NODE = topic(TopicName.NODE_SILENCE, node="N001")
ORDER = StartSilence(area="xa", reason="khoá ký bị mất")
LAN = Actor(who="lan", address="10.0.0.1")


@pytest.fixture
def world(pki: DevelopmentKeys) -> DeskWorld:
    made = DeskWorld(pki)
    made.begin()
    made.effects.clear()
    return made


def ordered(world: DeskWorld, request: Request = ORDER) -> SilenceRecord:
    record = world.ask(request, by=LAN).result
    assert isinstance(record, SilenceRecord)
    return record


def shown(world: DeskWorld) -> list[tuple[str, str, str]]:
    return [(each.area, each.node, each.reason) for each in world.desk.status(world.now).silences]


def acts(world: DeskWorld) -> Iterator[Act]:
    commits = [each for each in world.effects if isinstance(each, Commit)]
    return (change for commit in commits for change in commit.changes if isinstance(change, Act))


def test_an_order_is_one_signed_retained_document_that_says_who_and_why(world: DeskWorld) -> None:
    record = ordered(world)
    [publication] = published(world.effects, AT_XA)
    order = document(publication, Silence)
    assert publication.retain
    assert (order.order, order.area, order.node) == (record.order, "xa", None)
    assert (order.ordered_by, order.reason) == ("lan", "khoá ký bị mất")
    assert order.broadcast_class is BroadcastClass.EMERGENCY
    assert order.expires_at_ms > world.now.shared_ms + 9 * 365 * 86_400_000
    assert shown(world) == [("xa", "", "khoá ký bị mất")]


def test_a_second_press_returns_the_order_that_stands(world: DeskWorld) -> None:
    first = ordered(world)
    again = world.ask(StartSilence(area="xa", reason="lần nữa"), by=LAN)
    assert not again.is_new
    assert again.result == first
    assert len(published(world.effects, AT_XA)) == 1


def test_a_release_names_the_order_and_what_stood_stands_no_longer(world: DeskWorld) -> None:
    record = ordered(world)
    world.effects.clear()
    released = ordered(world, EndSilence(area="xa", reason="đã thay khoá"))
    [publication] = published(world.effects, AT_XA)
    assert document(publication, SilenceRelease).order == record.order
    assert released.released_at_ms == world.now.shared_ms
    assert shown(world) == []
    with pytest.raises(RequestError) as over:
        world.ask(EndSilence(area="xa"))
    assert over.value.code is RequestCode.ALREADY_OVER


def test_one_node_may_be_silenced_by_itself(world: DeskWorld) -> None:
    ordered(world, StartSilence(node="N001", reason="sửa chữa"))
    order = document(published(world.effects, AT_NODE)[0], Silence)
    assert (order.area, order.node, order.audience) == (None, "N001", "node:N001")
    assert shown(world)[0][1] == "N001"


def test_an_order_goes_out_where_nothing_can_be_kept_and_a_release_does_not(world: DeskWorld) -> None:
    world.memory.is_full = True
    ordered(world)
    assert len(published(world.effects, AT_XA)) == 1
    assert "silence_not_on_record" in notes(world.effects)
    with pytest.raises(RequestError) as refused:
        world.ask(EndSilence(area="xa"))
    assert refused.value.code is RequestCode.NOT_STORED
    assert len(published(world.effects, AT_XA)) == 1
    assert shown(world)


def test_what_stands_stands_after_a_restart_and_is_published_again(world: DeskWorld) -> None:
    record = ordered(world)
    world.restart()
    world.advance(1_000)
    order = document(published(world.effects, AT_XA)[0], Silence)
    assert order.order == record.order
    assert shown(world) == [("xa", "", "khoá ký bị mất")]


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (StartSilence(reason="x"), RequestCode.BAD_REQUEST),
        (StartSilence(area="xa", node="N001", reason="x"), RequestCode.BAD_REQUEST),
        (StartSilence(area="xa"), RequestCode.BAD_REQUEST),
        (StartSilence(area="nowhere", reason="x"), RequestCode.UNKNOWN_AREA),
        (StartSilence(node="N999", reason="x"), RequestCode.NOT_FOUND),
        (EndSilence(node="N001"), RequestCode.ALREADY_OVER),
    ],
)
def test_what_makes_no_sense_changes_nothing(world: DeskWorld, request_: Request, code: RequestCode) -> None:
    with pytest.raises(RequestError) as refused:
        world.ask(request_)
    assert refused.value.code is code
    assert published(world.effects, AT_XA) == []


def test_both_are_on_record_with_the_area_of_a_node(world: DeskWorld) -> None:
    ordered(world)
    ordered(world, EndSilence(area="xa", reason="xong"))
    ordered(world, StartSilence(node="N001", reason="sửa chữa"))
    area = world.desk.site.nodes["N001"].area
    assert [(each.what, each.place, each.who, each.detail) for each in acts(world)] == [
        ("silence", "xa", "lan", "khoá ký bị mất"),
        ("silence_release", "xa", "lan", "xong"),
        ("silence", area, "lan", "N001: sửa chữa"),
    ]
