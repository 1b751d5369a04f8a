"""Reports: only with the node's signature, only after they are durable, gaps and contradictions as facts."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.effects import Commit
from controller.events import MessageReceived, ReportKeysChanged, SiteChanged
from controller.nodes.airing import GAP_WAIT_MS
from controller.records import ReportGap, ReportHead, StoredReport
from protocol.envelope import seal
from protocol.messages import LOOSE_FROM, Acknowledgement, AiringRecord, AiringState, Report, SourceKind
from protocol.topics import TopicName, topic
from tests.support.controller_desk import DeskWorld, airing, document, notes, published
from tests.support.pki import DevelopmentKeys

ACK = topic(TopicName.ACKNOWLEDGEMENT, node="N001")
REPORT = topic(TopicName.REPORT, node="N001")


@pytest.fixture
def world(pki: DevelopmentKeys) -> DeskWorld:
    made = DeskWorld(pki)
    made.begin()
    made.effects.clear()
    return made


def step(number: int) -> AiringRecord:
    return airing(f"song.{number}", AiringState.STARTED, 1_000 + number, source=SourceKind.MEDIA)


def stored(world: DeskWorld) -> set[int]:
    return {each.number for each in world.memory.of(StoredReport)}


def acknowledged(world: DeskWorld) -> list[int]:
    return [document(each, Acknowledgement).stored_number for each in published(world.effects, ACK)]


def test_a_report_is_acknowledged_only_after_it_is_durable(world: DeskWorld) -> None:
    world.is_holding = True
    world.report("N001", 1, step(1))
    world.advance(5_000)
    assert acknowledged(world) == []
    world.release()
    world.advance(1_100)
    assert stored(world) == {1}
    assert acknowledged(world) == [1]


def test_acknowledgements_are_at_most_one_a_second(world: DeskWorld) -> None:
    for number in range(1, 41):
        world.report("N001", number, step(number))
        world.advance(100)
    world.advance(1_100)
    assert len(acknowledged(world)) <= 6
    assert acknowledged(world)[-1] == 40


def test_a_duplicate_is_acknowledged_again_and_stored_once(world: DeskWorld) -> None:
    payload = world.report("N001", 1, step(1))
    world.advance(1_100)
    world.post(MessageReceived(topic=REPORT, payload=payload))
    world.advance(1_100)
    assert acknowledged(world) == [1, 1]
    assert len(world.memory.of(StoredReport)) == 1


def test_a_gap_holds_the_acknowledgement_and_is_filled(world: DeskWorld) -> None:
    world.report("N001", 1, step(1))
    world.report("N001", 3, step(3))
    world.advance(2_000)
    assert (stored(world), acknowledged(world)) == ({1, 3}, [1])
    world.report("N001", 2, step(2))
    world.advance(2_000)
    assert acknowledged(world)[-1] == 3
    assert world.memory.of(ReportGap) == []


def test_a_loose_report_is_kept_beside_the_chain_and_acknowledged_by_itself(world: DeskWorld) -> None:
    payload = world.report("N001", LOOSE_FROM + 7, step(1))
    world.advance(2_000)
    assert stored(world) == {LOOSE_FROM + 7}
    ack = [document(each, Acknowledgement) for each in published(world.effects, ACK)][-1]
    assert (ack.stored_number, ack.loose) == (0, (LOOSE_FROM + 7,))
    world.report("N001", 1, step(2))
    world.advance(GAP_WAIT_MS + 2_000)
    ack = [document(each, Acknowledgement) for each in published(world.effects, ACK)][-1]
    assert (ack.stored_number, ack.loose) == (1, ())
    assert b"loose" not in published(world.effects, ACK)[-1].payload, "nodes of before know no such field"
    assert world.memory.of(ReportGap) == []
    world.post(MessageReceived(topic=REPORT, payload=payload))
    world.advance(2_000)
    ack = [document(each, Acknowledgement) for each in published(world.effects, ACK)][-1]
    assert (ack.stored_number, ack.loose) == (1, (LOOSE_FROM + 7,))
    assert len(world.memory.of(StoredReport)) == 2


def test_loose_reports_are_known_again_after_a_restart(world: DeskWorld) -> None:
    world.report("N001", 1, step(1))
    payload = world.report("N001", LOOSE_FROM + 7, step(2))
    world.advance(2_000)
    world.restart()
    world.effects.clear()
    world.post(MessageReceived(topic=REPORT, payload=payload))
    world.advance(GAP_WAIT_MS + 2_000)
    ack = [document(each, Acknowledgement) for each in published(world.effects, ACK)][-1]
    assert (ack.stored_number, ack.loose) == (1, (LOOSE_FROM + 7,))
    assert len(world.memory.of(StoredReport)) == 2
    assert world.memory.of(ReportGap) == []


def test_a_gap_that_stays_is_a_fact_and_what_follows_is_not_lost(world: DeskWorld) -> None:
    world.report("N001", 4, step(4))
    world.advance(GAP_WAIT_MS + 2_000)
    [gap] = world.memory.of(ReportGap)
    assert (gap.first, gap.last, gap.kind) == (1, 3, "gap")
    assert acknowledged(world)[-1] == 4


def test_two_reports_that_claim_one_number_are_a_fact_and_the_first_stays(world: DeskWorld) -> None:
    first = world.report("N001", 1, step(1))
    world.report("N001", 1, step(99))
    [kept] = world.memory.of(StoredReport)
    assert kept.sha256 == hashlib.sha256(first).digest()
    assert [each.kind for each in world.memory.of(ReportGap)] == ["contradiction"]


def test_the_chain_is_judged(world: DeskWorld) -> None:
    first = world.report("N001", 1, step(1))
    second = world.report("N001", 2, step(2), previous=hashlib.sha256(first).digest())
    assert second
    world.report("N001", 3, step(3), previous=b"\x01" * 32)
    chained = {each.number: each.is_chained for each in world.memory.of(StoredReport)}
    assert chained == {1: True, 2: True, 3: False}


def test_the_chain_is_judged_by_what_has_come_stored_or_on_its_way_and_not_where_nothing_has(world: DeskWorld) -> None:
    world.is_holding = True
    first = world.report("N001", 1, step(1))
    second = world.report("N001", 2, step(2), previous=hashlib.sha256(first).digest())
    world.report("N001", 3, step(3), previous=b"\x01" * 32)
    world.report("N001", 5, step(5), previous=b"\x01" * 32)
    world.release()
    world.report("N001", 6, step(6), previous=b"\x01" * 32)
    world.report("N001", LOOSE_FROM + 1, step(7), previous=hashlib.sha256(second).digest())
    chained = {each.number: each.is_chained for each in world.memory.of(StoredReport)}
    assert chained == {1: True, 2: True, 3: False, 5: None, 6: False, LOOSE_FROM + 1: None}


def test_what_comes_twice_while_it_is_being_stored_is_stored_once_and_a_contradiction_is_seen(
    world: DeskWorld,
) -> None:
    world.is_holding = True
    for number in (1, LOOSE_FROM + 7):
        payload = world.report("N001", number, step(1))
        world.post(MessageReceived(topic=REPORT, payload=payload))
    world.report("N001", 1, step(99))
    world.release()
    world.post(MessageReceived(topic=REPORT, payload=payload))
    kept = [each for effect in world.effects if isinstance(effect, Commit) for each in effect.changes]
    assert [each.number for each in kept if isinstance(each, StoredReport)] == [1, LOOSE_FROM + 7]
    assert [each.kind for each in kept if isinstance(each, ReportGap)] == ["contradiction"]


def test_a_node_that_signs_in_anothers_name_is_refused(world: DeskWorld, pki: DevelopmentKeys) -> None:
    report = Report(node="N002", number=1, previous_sha256=bytes(32), record=step(1))
    payload = seal(report, signer=pki.report_signer("N001"), topic=REPORT)
    world.post(MessageReceived(topic=REPORT, payload=payload))
    assert world.memory.of(StoredReport) == []
    assert world.desk.status(world.now).refused == {"wrong_audience": 1}


def test_a_number_below_one_and_a_node_that_nobody_knows_are_refused(world: DeskWorld, pki: DevelopmentKeys) -> None:
    for node, number in (("N001", 0), ("N009", 1)):
        at = topic(TopicName.REPORT, node=node)
        report = Report(node=node, number=number, previous_sha256=bytes(32), record=step(1))
        world.post(MessageReceived(topic=at, payload=seal(report, signer=pki.report_signer("N001"), topic=at)))
    assert world.memory.of(StoredReport) == []
    assert world.desk.status(world.now).refused == {"malformed": 1, "unknown_key": 1}


@pytest.mark.parametrize("is_by_enrolment", [True, False])
def test_another_unit_at_a_place_begins_its_own_row_of_numbers(
    world: DeskWorld, pki: DevelopmentKeys, *, is_by_enrolment: bool
) -> None:
    world.report("N001", 1, step(1))
    site = world.desk.site
    key = pki.report_public_key("N003").hex()
    other = msgspec.structs.replace(site.nodes["N001"], report_key=key)
    changed = SiteChanged(site=replace(site, nodes={**site.nodes, "N001": other}))
    world.post(ReportKeysChanged(keys={"N001": key}) if is_by_enrolment else changed)
    world.report("N001", 1, step(2), signer=pki.report_signer("N003"))
    assert len(world.memory.of(StoredReport)) == 2
    assert world.memory.of(ReportGap) == []
    world.report("N001", 2, step(3))
    assert world.desk.status(world.now).refused == {"bad_signature": 1}


def test_another_key_or_topic_or_name_changes_nothing(world: DeskWorld, pki: DevelopmentKeys) -> None:
    world.report("N001", 1, step(1), signer=pki.report_signer("N002"))
    foreign = world.report("N002", 1, step(1))
    world.post(MessageReceived(topic=REPORT, payload=foreign))
    world.post(MessageReceived(topic=REPORT, payload=b"\xff" * 40))
    world.post(MessageReceived(topic=REPORT, payload=b"\x00" * 20_000))
    assert {each.node for each in world.memory.of(StoredReport)} == {"N002"}
    assert notes(world.effects).count("report_refused") == 4
    assert world.desk.status(world.now).refused == {"bad_signature": 2, "malformed": 1, "too_large": 1}


def test_a_full_disk_acknowledges_nothing_and_the_next_attempt_is_taken(world: DeskWorld) -> None:
    world.memory.is_full = True
    payload = world.report("N001", 1, step(1))
    world.advance(2_000)
    assert acknowledged(world) == []
    world.memory.is_full = False
    world.post(MessageReceived(topic=REPORT, payload=payload))
    world.advance(2_000)
    assert acknowledged(world) == [1]


def test_a_restart_knows_what_is_stored(world: DeskWorld) -> None:
    payloads = [world.report("N001", number, step(number)) for number in (1, 2)]
    world.restart()
    world.post(MessageReceived(topic=REPORT, payload=payloads[0]))
    world.advance(1_100)
    assert acknowledged(world) == [2]
    [head] = world.memory.of(ReportHead)
    assert (head.number, head.sha256) == (2, hashlib.sha256(payloads[1]).digest())


@given(order=st.permutations(range(1, 9)), restart_at=st.integers(0, 7))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_in_any_order_all_are_stored_and_at_last_acknowledged(
    pki: DevelopmentKeys, order: list[int], restart_at: int
) -> None:
    world = DeskWorld(pki)
    world.begin()
    seen: set[int] = set()
    for index, number in enumerate(order):
        if index == restart_at:
            world.restart()
        world.report("N001", number, step(number))
        seen.add(number)
        world.advance(1_100)
        complete = next(each for each in range(9) if each + 1 not in seen)
        assert all(each <= complete for each in acknowledged(world))
    assert stored(world) == set(range(1, 9))
    assert acknowledged(world)[-1] == 8
