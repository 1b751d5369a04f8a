"""Reports: numbered, chained, signed, sent after they are stored, kept until acknowledged, bounded."""

from __future__ import annotations

import hashlib

from edge.effects import Effect, ForgetReports, Publish, StoreReport
from edge.events import Event, MessageReceived, ReportStored, Restored, StoredReport, Wake
from edge.outbox import RESEND_MS, RESEND_MS_MAX, WINDOW, Outbox
from protocol.codec import cbor_decode
from protocol.envelope import open_sealed
from protocol.messages import (
    LOOSE_FROM,
    AiringRecord,
    AiringState,
    BroadcastClass,
    FaultRecord,
    Reality,
    Report,
    SourceKind,
)
from protocol.topics import TopicName, topic
from protocol.units import NS_PER_MS, MonotonicNs, Now, SharedNs
from tests.support.issuer import key_of, signer_of

TOPIC = topic(TopicName.REPORT, node="N1")
FAULT = FaultRecord(fault="store", active=True, detail="x", at_ms=1)


def at(ms: float) -> Now:
    return Now(monotonic_ns=MonotonicNs(int(ms * NS_PER_MS)), shared_ns=SharedNs(1_800_000_000_000 * NS_PER_MS))


def airing(state: AiringState, name: str = "a:1") -> AiringRecord:
    return AiringRecord(
        airing=name,
        source=SourceKind.MEDIA,
        source_id="a",
        title="a",
        broadcast_class=BroadcastClass.ROUTINE,
        reality=Reality.REAL,
        state=state,
        at_ms=1,
        reason="on time",
    )


def outbox(restored: Restored | None = None) -> Outbox:
    made = Outbox(node="N1", signer=signer_of("report"))
    made.restore(restored or Restored(), at(0))
    return made


def stored(box: Outbox, record: AiringRecord | FaultRecord = FAULT, *, ms: float = 0) -> list[Effect]:
    """Append and store; returns what follows from its being stored."""
    effects = box.append(record)
    assert isinstance(effects[0], StoreReport)
    return box.stored(effects[0].number, at(ms))


def open_report(payload: bytes) -> Report:
    sealed = open_sealed(payload, topic=TOPIC)
    public = key_of("report").public_key().public_bytes_raw()
    report: Report = cbor_decode(sealed.verify(public), Report)
    return report


def sent(effects: list[Effect]) -> list[int]:
    return [open_report(effect.payload).number for effect in effects if isinstance(effect, Publish)]


def test_numbers_rise_and_each_report_names_the_one_before() -> None:
    box = outbox()
    payloads = []
    for _ in range(3):
        effect = box.append(FAULT)[0]
        assert isinstance(effect, StoreReport)
        payloads.append(effect.payload)
    reports = [open_report(payload) for payload in payloads]
    assert [report.number for report in reports] == [1, 2, 3]
    assert reports[0].previous_sha256 == bytes(32)
    assert reports[2].previous_sha256 == hashlib.sha256(payloads[1]).digest()


def test_nothing_is_sent_before_it_is_stored_or_without_a_broker() -> None:
    box = outbox()
    assert stored(box) == []
    assert sent(box.connected(at(0))) == [1]
    effects = box.append(FAULT)
    assert not any(isinstance(effect, Publish) for effect in effects)
    assert sent(box.stored(2, at(0))) == [2]


def test_a_window_goes_out_and_an_acknowledgement_lets_the_next_follow() -> None:
    box = outbox()
    for _ in range(WINDOW + 5):
        stored(box)
    assert sent(box.connected(at(0))) == list(range(1, WINDOW + 1))
    effects = box.acknowledged(WINDOW, (), at(1))
    assert effects[0] == ForgetReports(numbers=tuple(range(1, WINDOW + 1)))
    assert sent(effects) == list(range(WINDOW + 1, WINDOW + 6))
    assert box.waiting == 5


def test_what_goes_unanswered_is_sent_again_ever_less_often() -> None:
    box = outbox()
    stored(box)
    box.connected(at(0))
    waits_ms = []
    sent_ms = 0
    for _ in range(5):
        assert sent(box.wake(at(sent_ms + RESEND_MS - 1))) == []
        due_at = box.next_deadline()
        assert due_at is not None
        due_ms = due_at // NS_PER_MS + 1
        assert sent(box.wake(at(due_ms))) == [1]
        waits_ms.append(due_ms - sent_ms)
        sent_ms = due_ms
    for number, wait_ms in enumerate(waits_ms):
        least_ms = min(RESEND_MS * 2**number, RESEND_MS_MAX)
        assert least_ms <= wait_ms <= 2 * least_ms + 1


def test_a_new_report_takes_along_what_has_gone_unanswered_for_long() -> None:
    """A controller that was away would else see a gap, and take what lies in it for lost."""
    box = outbox()
    box.connected(at(0))
    assert sent(stored(box)) == [1]
    assert sent(stored(box, ms=RESEND_MS - 1)) == [2]
    assert sent(stored(box, ms=RESEND_MS)) == [1, 2, 3]


def test_an_answer_ends_the_patience_that_silence_has_taught() -> None:
    box = outbox()
    box.connected(at(0))
    stored(box)
    last_ms = 0.0
    for _ in range(6):
        last_ms = (box.next_deadline() or 0) / NS_PER_MS
        box.wake(at(last_ms))
    assert (box.next_deadline() or 0) / NS_PER_MS >= last_ms + RESEND_MS_MAX
    stored(box, ms=last_ms + 1)
    box.acknowledged(1, (), at(last_ms + 2))
    assert last_ms < (box.next_deadline() or 0) / NS_PER_MS <= last_ms + 2 + 2 * RESEND_MS


def test_without_the_broker_nothing_goes_out_and_nothing_is_waited_for() -> None:
    box = outbox()
    box.connected(at(0))
    stored(box)
    box.disconnected()
    assert box.next_deadline() is None
    assert sent(stored(box, ms=1)) == []
    assert sent(box.connected(at(2))) == [1, 2]


def test_a_disk_that_refuses_what_was_acknowledged_meanwhile_is_no_trouble() -> None:
    box = outbox()
    box.append(FAULT)
    box.append(FAULT)
    box.stored(2, at(0))
    box.acknowledged(2, (), at(1))
    assert box.store_failed(1, at(2)) == []
    assert box.waiting == 0


def test_neighbours_send_again_at_different_times() -> None:
    due = []
    for number in range(50):
        box = Outbox(node=f"N{number:03d}", signer=signer_of("report"))
        stored(box)
        box.connected(at(0))
        due.append(box.next_deadline())
    assert len(set(due)) > 40


def test_goes_on_where_it_was_after_a_restart() -> None:
    box = outbox()
    effect = box.append(FAULT)[0]
    assert isinstance(effect, StoreReport)
    again = outbox(
        Restored(reports=(StoredReport(number=1, payload=effect.payload),), last_number=1, last_sha256=effect.sha256)
    )
    assert sent(again.connected(at(0))) == [1]
    following = again.append(FAULT)[0]
    assert isinstance(following, StoreReport)
    assert open_report(following.payload).previous_sha256 == effect.sha256
    assert following.number == 2


def test_after_a_damaged_store_no_number_is_given_twice() -> None:
    effect = outbox(Restored(damage="set aside", is_chain_lost=True)).append(FAULT)[0]
    assert isinstance(effect, StoreReport)
    assert effect.number == 1_800_000_000_001


def test_a_card_that_could_be_read_but_not_written_begins_no_new_numbers() -> None:
    effect = outbox(Restored(damage="cannot be written")).append(FAULT)[0]
    assert isinstance(effect, StoreReport)
    assert effect.number == 1


def test_which_airing_is_open_is_stored_with_each_report() -> None:
    box = outbox()

    def open_after(record: AiringRecord | FaultRecord) -> AiringRecord | None:
        effect = box.append(record)[0]
        assert isinstance(effect, StoreReport)
        return effect.open_airing

    started = airing(AiringState.STARTED)
    assert open_after(started) == started
    assert open_after(FAULT) == started
    assert open_after(airing(AiringState.MISSED, "b:1")) == started
    assert open_after(airing(AiringState.FINISHED)) is None


def test_after_a_restart_a_disk_that_refuses_doubles_nothing_that_waits() -> None:
    effect = outbox().append(FAULT)[0]
    assert isinstance(effect, StoreReport)
    kept = StoredReport(number=1, payload=effect.payload)
    box = outbox(Restored(reports=(kept,), last_number=1, last_sha256=effect.sha256))
    assert sent(box.connected(at(0))) == [1]
    box.append(airing(AiringState.MISSED))
    (loose,) = sent(box.store_failed(2, at(1)))
    assert loose >= LOOSE_FROM
    assert box.waiting == 2


def test_an_airing_that_the_run_before_left_open_ends_before_the_next_begins() -> None:
    """An emergency sounds before the time is known: by then the next power cut may have come."""
    left_open = airing(AiringState.STARTED, "left:1")
    box = outbox(Restored(open_airing=left_open))
    following = [each for each in box.append(airing(AiringState.STARTED, "next:1")) if isinstance(each, StoreReport)]
    records = [open_report(each.payload).record for each in following]
    assert [(each.airing, each.state) for each in records if isinstance(each, AiringRecord)] == [
        ("left:1", AiringState.FINISHED),
        ("next:1", AiringState.STARTED),
    ]
    assert [each.open_airing and each.open_airing.airing for each in following] == [None, "next:1"]


def test_what_a_killed_process_left_open_ended_when_the_next_one_began_not_when_the_box_was_switched_on() -> None:
    box = Outbox(node="N1", signer=signer_of("report"))
    began_ms = at(0).shared_ns // NS_PER_MS
    box.restore(Restored(open_airing=airing(AiringState.STARTED)), at(3_600_000))
    later = Now(monotonic_ns=at(3_605_000).monotonic_ns, shared_ns=SharedNs((began_ms + 5_000) * NS_PER_MS))
    (store,) = [each for each in box.wake(later) if isinstance(each, StoreReport)]
    assert open_report(store.payload).record.at_ms == began_ms


def test_past_the_bound_the_oldest_airing_records_go_and_faults_stay() -> None:
    box = Outbox(node="N1", signer=signer_of("report"), reports_max=50)
    box.restore(Restored(), at(0))
    stored(box)
    for _ in range(49):
        stored(box, airing(AiringState.MISSED))
    effects = box.append(airing(AiringState.MISSED))
    assert effects[1] == ForgetReports(numbers=(2,))
    assert box.dropped == 1
    assert box.waiting == 50


def numbers_asked(effects: list[Effect]) -> list[int]:
    return [effect.number for effect in effects if isinstance(effect, StoreReport)]


def test_what_the_disk_refuses_is_sent_all_the_same_outside_the_chain() -> None:
    box = outbox()
    box.connected(at(0))
    stored(box)
    box.append(FAULT)
    (sent_loose,) = box.store_failed(2, at(1))
    assert isinstance(sent_loose, Publish)
    loose = open_report(sent_loose.payload)
    assert loose.number >= LOOSE_FROM
    assert (loose.previous_sha256, loose.record) == (bytes(32), FAULT)
    (following,) = box.append(FAULT)
    assert isinstance(following, StoreReport)
    assert following.number == 2
    assert open_report(following.payload).previous_sha256 != bytes(32)


def test_a_loose_report_is_kept_until_it_is_acknowledged_by_its_own_number() -> None:
    box = outbox()
    box.append(FAULT)
    box.store_failed(1, at(0))
    (loose,) = sent(box.connected(at(1)))
    assert box.acknowledged(1, (), at(2)) == []
    assert box.waiting == 1
    assert box.acknowledged(0, (loose,), at(3))[0] == ForgetReports(numbers=(loose,))
    assert box.waiting == 0


def test_a_loose_report_is_offered_to_the_disk_again_and_leaves_the_chain_as_it_is() -> None:
    box = outbox()
    stored(box)
    box.append(FAULT)
    box.store_failed(2, at(0))
    effects = box.wake(at(2 * RESEND_MS + 1))
    (effect,) = [each for each in effects if isinstance(each, StoreReport)]
    assert effect.number >= LOOSE_FROM
    assert effect.chain_number == 1
    again = outbox(
        Restored(
            reports=(StoredReport(number=effect.number, payload=effect.payload),),
            last_number=effect.chain_number,
            last_sha256=effect.sha256,
        )
    )
    assert sent(again.connected(at(0))) == [effect.number]
    assert numbers_asked(again.append(FAULT)) == [2]


def test_loose_numbers_of_two_lives_on_a_card_that_keeps_nothing_differ() -> None:
    given = set()
    for life in range(20):
        box = outbox()
        for _ in range(10):
            box.append(FAULT)
            box.store_failed(1, at(life))
        given |= set(sent(box.connected(at(life + 1))))
    assert len(given) == 200


def test_nothing_is_loosened_while_the_disk_may_yet_keep_a_part_of_it() -> None:
    box = outbox()
    box.connected(at(0))
    first, second = (box.append(FAULT)[0] for _ in range(2))
    assert isinstance(first, StoreReport)
    assert isinstance(second, StoreReport)
    assert box.store_failed(1, at(1)) == []
    effects = box.stored(2, at(2))
    assert numbers_asked(effects) == [1]
    assert sent(effects) == [1, 2]  # 2 is durable, so 1 can never be given again
    (asked,) = [effect for effect in effects if isinstance(effect, StoreReport)]
    assert (asked.chain_number, asked.sha256) == (2, second.sha256)
    assert box.store_failed(1, at(3)) == []
    assert box.stored(1, at(4)) == []


def test_once_the_disk_takes_a_report_it_gets_what_it_refused() -> None:
    box = outbox()
    box.append(FAULT)
    box.append(FAULT)
    box.store_failed(1, at(0))
    box.store_failed(2, at(0))
    (effect,) = box.append(FAULT)
    assert numbers_asked([effect]) == [1]
    asked = numbers_asked(box.stored(1, at(1)))
    assert len(asked) == 2
    assert all(number >= LOOSE_FROM for number in asked)
    assert not numbers_asked(box.stored(asked[0], at(2)))


def test_a_loose_report_is_not_loosened_again() -> None:
    box = outbox()
    box.append(FAULT)
    box.store_failed(1, at(0))
    (loose,) = sent(box.connected(at(1)))
    box.wake(at(2 * RESEND_MS + 1))
    box.store_failed(loose, at(2 * RESEND_MS + 2))
    assert sent(box.connected(at(2 * RESEND_MS + 3))) == [loose]
    assert box.waiting == 1


def test_only_a_stored_report_and_an_acknowledgement_concern_nobody_else() -> None:
    box = outbox()
    answers = [topic(TopicName.ACKNOWLEDGEMENT, node=node) for node in ("N1", "N2")]
    others: list[Event] = [Wake(), *(MessageReceived(topic=name, payload=b"") for name in (TOPIC, answers[1]))]
    assert [box.alone_is_told(each) for each in others] == [False] * 3
    assert box.alone_is_told(MessageReceived(topic=answers[0], payload=b""))
    assert box.alone_is_told(ReportStored(number=1))
