"""What is known of nodes: births, wills, telemetry, silence, and what is not known without a broker."""

from __future__ import annotations

import pytest

from controller.effects import Commit, Subscribe
from controller.events import ListeningBegan, ListeningEnded, MessageReceived
from controller.records import NodeSeen
from controller.views import NodeView
from protocol.codec import json_encode
from protocol.messages import BroadcastClass, FaultRecord, NowSounding, Readiness, SourceKind, Telemetry
from protocol.topics import TopicName, topic
from tests.support.controller_desk import DeskWorld, notes
from tests.support.pki import DevelopmentKeys


@pytest.fixture
def world(pki: DevelopmentKeys) -> DeskWorld:
    made = DeskWorld(pki)
    made.begin()
    made.effects.clear()
    return made


def node(world: DeskWorld, name: str = "N001") -> NodeView:
    return next(each for each in world.desk.status(world.now).nodes if each.id == name)


def tell(world: DeskWorld, name: str = "N001", *, at: str = "N001", faults: tuple[str, ...] = ()) -> None:
    sounding = NowSounding(
        source=SourceKind.STREAM,
        source_id="0" * 16,
        title="VOV1",
        broadcast_class=BroadcastClass.ROUTINE,
        since_ms=world.now.shared_ms,
    )
    said = Telemetry(node=name, at_ms=world.now.shared_ms, sounding=sounding, level_dbfs=-19.5, faults=faults)
    world.post(MessageReceived(topic=topic(TopicName.TELEMETRY, node=at), payload=json_encode(said)))


def test_telemetry_is_shown(world: DeskWorld) -> None:
    world.birth("N001")
    tell(world, faults=("media_missing",))
    shown = node(world)
    assert shown.sounding is not None
    assert (shown.state, shown.sounding.title, shown.level_dbfs, shown.faults) == (
        "ready",
        "VOV1",
        -19.5,
        ("media_missing",),
    )


@pytest.mark.parametrize(("error_ms", "is_believed"), [(None, True), (1.0, False)])
def test_an_old_status_is_dropped_unless_the_one_before_did_not_know_the_time(
    world: DeskWorld, error_ms: float | None, is_believed: bool
) -> None:
    """A pole whose clock was hours ahead speaks of an earlier hour once the controller has told it the time."""
    world.birth("N001")
    now_ms = world.now.shared_ms
    for at_ms, clock_error_ms, faults in ((now_ms + 5 * 3_600_000, error_ms, ()), (now_ms, 1.0, ("sound_card",))):
        said = Telemetry(node="N001", at_ms=at_ms, clock_error_ms=clock_error_ms, faults=faults)
        world.post(MessageReceived(topic=topic(TopicName.TELEMETRY, node="N001"), payload=json_encode(said)))
    assert (node(world).faults == ("sound_card",)) is is_believed


def test_silence_for_100_seconds_is_loss_and_a_word_ends_it(world: DeskWorld) -> None:
    world.birth("N001")
    world.advance(99_000)
    assert node(world).state == "ready"
    effects = world.advance(1_500)
    assert (node(world).state, notes(effects).count("node_lost")) == ("lost", 1)
    tell(world)
    assert node(world).state == "ready"


def test_each_node_is_lost_in_its_own_time(world: DeskWorld) -> None:
    world.birth("N001")
    world.advance(50_000)
    world.birth("N002")
    tell(world)
    world.advance(60_000)
    tell(world)
    world.advance(45_000)
    assert (node(world, "N001").state, node(world, "N002").state) == ("ready", "lost")


def test_an_old_will_does_not_end_a_new_session(world: DeskWorld) -> None:
    world.birth("N001", epoch=7)
    world.birth("N001", epoch=6, state=Readiness.LOST)
    assert node(world).state == "ready"
    world.birth("N001", epoch=7, state=Readiness.LOST)
    assert node(world).state == "lost"


def test_while_nothing_can_be_heard_nobody_is_judged(world: DeskWorld) -> None:
    world.birth("N001")
    assert notes(world.post(ListeningEnded(reason="nothing listens"))) == ["nodes_not_heard"]
    assert notes(world.post(ListeningEnded(reason="nothing listens"))) == []
    assert node(world).state == "unknown"
    assert "node_lost" not in notes(world.advance(500_000))
    effects = world.post(ListeningBegan())
    assert [each for each in effects if isinstance(each, Subscribe)]
    assert node(world).state == "ready"
    world.advance(101_000)
    assert node(world).state == "lost"


def test_a_birth_that_was_lost_is_made_good_by_the_next_status(world: DeskWorld) -> None:
    assert node(world).state == "unknown"
    tell(world)
    assert node(world).state == "ready"


def test_faults_come_and_go_by_signed_reports(world: DeskWorld) -> None:
    for number, active in ((1, True), (2, False)):
        world.report("N001", number, FaultRecord(fault="sound_card", active=active, detail="no device", at_ms=1))
        assert node(world).faults == (("sound_card: no device",) if active else ())


def test_a_node_that_speaks_for_another_or_in_nonsense_is_not_believed(world: DeskWorld) -> None:
    tell(world, "N002", at="N001")
    world.post(MessageReceived(topic=topic(TopicName.TELEMETRY, node="N001"), payload=b"{"))
    world.post(MessageReceived(topic="loaxa/2/else", payload=b""))
    assert node(world, "N002").last_seen_ms is None
    assert world.desk.status(world.now).refused == {"wrong_audience": 1, "malformed": 1, "unknown_topic": 1}


def test_strangers_are_named_and_bounded(world: DeskWorld) -> None:
    for number in range(100):
        tell(world, f"X{number}", at=f"X{number}")
    assert len(world.desk.status(world.now).strangers) == 32


def test_last_seen_survives_a_restart(world: DeskWorld) -> None:
    world.birth("N001")
    world.advance(2_000)
    seen = node(world).last_seen_ms
    world.restart()
    assert node(world).last_seen_ms == seen


def test_only_what_was_heard_since_is_kept_again(world: DeskWorld) -> None:
    """A province's quiet minute costs its database nothing."""
    for name in ("N001", "N002"):
        world.birth(name)
    world.advance(2_000)
    world.effects.clear()
    tell(world)
    world.advance(61_000)
    commits = [each for each in world.effects if isinstance(each, Commit)]
    kept = [each.node for commit in commits for each in commit.changes if isinstance(each, NodeSeen)]
    assert kept == ["N001"]
