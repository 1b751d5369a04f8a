"""What a signer signs by its own configuration: scope, place, class, reality, rate; and that nonsense is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import SigningError
from controller.keys.signer_frames import (
    HEAD,
    KEY_ID_BYTES_MAX,
    REQUEST_BYTES_MAX,
    SigningAnswer,
    SigningRequest,
    answer_frame,
    parse_answer,
    parse_request,
    request_frame,
)
from controller.keys.signing_policy import HOUR_MS, SigningPolicy
from protocol.clock_sync import TimeReply, ask, open_request, seal_reply
from protocol.codec import cbor_encode
from protocol.envelope import Signer, seal
from protocol.errors import Refusal, RefusalReason
from protocol.messages import AnyDocument, BroadcastClass, OperationalKey, Reality
from protocol.topics import TopicName, topic
from protocol.units import MonotonicNs, SharedNs
from tests.support.ceremony import NOW_MS
from tests.support.issuer import COMMUNE, VILLAGE, Issuer, media, occurrence

CLIP = media("siren")
EMERGENCY_AT = topic(TopicName.EMERGENCY, area=COMMUNE)
PLAN_AT = topic(TopicName.PLAN, area=COMMUNE)
ISSUER = Issuer(NOW_MS)
RELAY, OTHER_RELAY = "0000000000000001", "0000000000000002"


def policy(*keys: OperationalKey, per_hour: int = 3) -> SigningPolicy:
    known = {key.key_id: key for key in keys or (ISSUER.operational("op-1"),)}
    return SigningPolicy(known, areas={VILLAGE: COMMUNE}, emergencies_per_hour=per_hour)


class Catcher:
    """Signs nothing, and keeps what it was asked to sign."""

    def __init__(self, key_id: str = "op-1") -> None:
        self.data = b""
        self.signer = Signer(key_id=key_id, sign=self._catch)

    def _catch(self, data: bytes) -> bytes:
        self.data = data
        return bytes(64)


def asked(document: Any, at: str, *, key_id: str = "op-1") -> bytes:
    """The very bytes that a controller would have signed."""
    catcher = Catcher(key_id)
    seal(document, signer=catcher.signer, topic=at)
    return catcher.data


def reason_of(judge: Callable[[], object]) -> RefusalReason:
    with pytest.raises(Refusal) as caught:
        judge()
    return caught.value.reason


def emergency(name: str = "flood-1", **changes: Any) -> AnyDocument:
    fields = {"clip": CLIP, "play_at_ms": NOW_MS + 1_000, "emergency": name, "expires_at_ms": NOW_MS + 2 * HOUR_MS}
    return ISSUER.emergency(**{**fields, **changes})


def relay(**changes: Any) -> AnyDocument:
    fields = {"stream": RELAY, "starts_at_ms": NOW_MS, "expires_at_ms": NOW_MS + 2 * HOUR_MS}
    return ISSUER.stream_start(**{**fields, **changes})


def test_what_is_in_scope_is_signed_and_named_for_the_record() -> None:
    judged = policy().judge("op-1", asked(emergency(), EMERGENCY_AT), NOW_MS)
    assert (judged.kind, judged.topic, judged.reality, judged.is_urgent) == ("emergency", EMERGENCY_AT, "real", True)
    judged = policy().judge("op-1", asked(ISSUER.plan(), PLAN_AT), NOW_MS)
    assert (judged.kind, judged.is_urgent, judged.can_sound) == ("plan", False, True)


@pytest.mark.parametrize(
    ("scope", "reason"),
    [
        ({"document_types": ("plan",)}, RefusalReason.WRONG_SCOPE),
        ({"classes": (BroadcastClass.ROUTINE,)}, RefusalReason.WRONG_SCOPE),
        ({"reality": Reality.DRILL}, RefusalReason.WRONG_SCOPE),
        ({"areas": ("xa-khac",)}, RefusalReason.WRONG_SCOPE),
        ({"areas": (VILLAGE,)}, RefusalReason.WRONG_SCOPE),
    ],
)
def test_what_is_out_of_scope_is_refused(scope: dict[str, Any], reason: RefusalReason) -> None:
    narrow = policy(ISSUER.operational("op-1", **scope))
    assert reason_of(lambda: narrow.judge("op-1", asked(emergency(), EMERGENCY_AT), NOW_MS)) is reason


def test_an_area_stands_for_all_below_it() -> None:
    commune = policy(ISSUER.operational("op-1", areas=(COMMUNE,)))
    below = topic(TopicName.PLAN, area=VILLAGE)
    assert commune.judge("op-1", asked(ISSUER.plan(area=VILLAGE, audience=f"area:{VILLAGE}"), below), NOW_MS)


@pytest.mark.parametrize(
    ("document", "at", "reason"),
    [
        (emergency(), PLAN_AT, RefusalReason.UNEXPECTED_TYPE),
        (emergency(), topic(TopicName.EMERGENCY, area=VILLAGE), RefusalReason.WRONG_AUDIENCE),
        (emergency(), "loaxa/1/keyset", RefusalReason.UNEXPECTED_TYPE),
        (emergency(), "loaxa/1/anything", RefusalReason.UNKNOWN_TOPIC),
        (emergency(expires_at_ms=NOW_MS - 1), EMERGENCY_AT, RefusalReason.EXPIRED),
        (emergency(audience="everyone"), EMERGENCY_AT, RefusalReason.WRONG_AUDIENCE),
    ],
)
def test_what_says_one_thing_and_addresses_another_is_refused(
    document: AnyDocument, at: str, reason: RefusalReason
) -> None:
    assert reason_of(lambda: policy().judge("op-1", asked(document, at), NOW_MS)) is reason


def test_another_key_than_the_bytes_name_is_refused() -> None:
    two = policy(ISSUER.operational("op-1"), ISSUER.operational("op-2"))
    assert reason_of(lambda: two.judge("op-2", asked(emergency(), EMERGENCY_AT), NOW_MS)) is RefusalReason.UNKNOWN_KEY
    unknown = asked(emergency(), EMERGENCY_AT, key_id="nobody")
    assert reason_of(lambda: two.judge("nobody", unknown, NOW_MS)) is RefusalReason.UNKNOWN_KEY


def test_emergencies_have_a_rate_the_same_one_again_and_all_clears_have_none() -> None:
    judge, data = policy(), [asked(emergency(f"e-{number}"), EMERGENCY_AT) for number in range(4)]
    for each in (*data[:3], *data[:3]):
        judge.judge("op-1", each, NOW_MS)
    assert reason_of(lambda: judge.judge("op-1", data[3], NOW_MS)) is RefusalReason.WRONG_SCOPE
    for _ in range(9):
        judge.judge("op-1", asked(ISSUER.all_clear("e-0"), EMERGENCY_AT), NOW_MS)
    judge.judge("op-1", data[3], NOW_MS + HOUR_MS)


@pytest.mark.parametrize("another", [{"clip": media("voice")}, {"area": VILLAGE, "audience": f"area:{VILLAGE}"}])
def test_one_name_is_no_pass_for_another_clip_or_another_area(another: dict[str, Any]) -> None:
    judge = policy(per_hour=1)
    judge.judge("op-1", asked(emergency(), EMERGENCY_AT), NOW_MS)
    judge.judge("op-1", asked(emergency(play_at_ms=NOW_MS + 5_000), EMERGENCY_AT), NOW_MS)
    other = asked(emergency(**another), topic(TopicName.EMERGENCY, area=another.get("area", COMMUNE)))
    assert reason_of(lambda: judge.judge("op-1", other, NOW_MS)) is RefusalReason.WRONG_SCOPE


def test_no_stream_and_no_plan_goes_round_the_rate_of_emergencies() -> None:
    judge = policy(per_hour=1)
    judge.judge("op-1", asked(emergency(), EMERGENCY_AT), NOW_MS)
    at = topic(TopicName.STREAM, area=COMMUNE, stream=RELAY)
    judge.judge("op-1", asked(relay(), at), NOW_MS)
    judge.judge(
        "op-1", asked(relay(broadcast_class=BroadcastClass.EMERGENCY, reality=Reality.REAL), at), NOW_MS + HOUR_MS
    )
    loud = asked(
        relay(stream=OTHER_RELAY, broadcast_class=BroadcastClass.EMERGENCY),
        topic(TopicName.STREAM, area=COMMUNE, stream=OTHER_RELAY),
    )
    assert reason_of(lambda: judge.judge("op-1", loud, NOW_MS + HOUR_MS)) is RefusalReason.WRONG_SCOPE
    item = occurrence("a", NOW_MS, CLIP, broadcast_class=BroadcastClass.EMERGENCY)
    plan = asked(ISSUER.plan(item), PLAN_AT)
    assert reason_of(lambda: policy().judge("op-1", plan, NOW_MS)) is RefusalReason.WRONG_SCOPE


YEAR_MS = 365 * 24 * HOUR_MS


@pytest.mark.parametrize(
    ("document", "at"),
    [
        (emergency(expires_at_ms=NOW_MS + YEAR_MS), EMERGENCY_AT),
        (emergency(play_at_ms=NOW_MS + YEAR_MS, sounds_until_ms=NOW_MS + YEAR_MS + HOUR_MS), EMERGENCY_AT),
        (relay(expires_at_ms=NOW_MS + YEAR_MS), topic(TopicName.STREAM, area=COMMUNE, stream=RELAY)),
        (relay(starts_at_ms=NOW_MS + YEAR_MS), topic(TopicName.STREAM, area=COMMUNE, stream=RELAY)),
        (ISSUER.plan(expires_at_ms=NOW_MS + YEAR_MS), PLAN_AT),
        (ISSUER.plan(covers_until_ms=NOW_MS + YEAR_MS), PLAN_AT),
        (ISSUER.plan(occurrence("a", NOW_MS + YEAR_MS, CLIP)), PLAN_AT),
    ],
)
def test_nothing_that_could_sound_next_year_is_signed_today(document: AnyDocument, at: str) -> None:
    assert reason_of(lambda: policy().judge("op-1", asked(document, at), NOW_MS)) is RefusalReason.WRONG_SCOPE


def test_what_keeps_silent_or_says_who_a_pole_is_may_be_for_years() -> None:
    silence = ISSUER.silence(expires_at_ms=NOW_MS + 10 * YEAR_MS)
    assert policy().judge("op-1", asked(silence, topic(TopicName.AREA_SILENCE, area=COMMUNE)), NOW_MS).is_urgent
    assignment = ISSUER.assignment(expires_at_ms=NOW_MS + YEAR_MS)
    assert policy().judge("op-1", asked(assignment, topic(TopicName.ASSIGNMENT, node="N001")), NOW_MS)


@pytest.mark.parametrize("off_ms", [-3_000, 3_000])
def test_no_other_time_is_told_than_this_machines(off_ms: int) -> None:
    question = open_request(
        ask("N001", nonce=7, now=MonotonicNs(5)).data, at=topic(TopicName.TIME_REQUEST, node="N001")
    )
    catcher = Catcher()
    told_ns = SharedNs((NOW_MS + off_ms) * 10**6)
    seal_reply(question, received=told_ns, transmitted=told_ns, signer=catcher.signer)
    allowed = policy(ISSUER.operational("op-1", document_types=("time-reply",)))
    assert reason_of(lambda: allowed.judge("op-1", catcher.data, NOW_MS)) is RefusalReason.WRONG_SCOPE


def test_drills_use_up_nothing_of_the_rate() -> None:
    judge = policy(ISSUER.operational("op-1", reality=Reality.DRILL))
    for number in range(9):
        judge.judge("op-1", asked(emergency(f"e-{number}", reality=Reality.DRILL), EMERGENCY_AT), NOW_MS)


def test_an_answer_to_a_node_that_asks_for_the_time_needs_its_own_type() -> None:
    question = open_request(
        ask("N001", nonce=7, now=MonotonicNs(5)).data, at=topic(TopicName.TIME_REQUEST, node="N001")
    )
    catcher = Catcher()
    now_ns = SharedNs(NOW_MS * 10**6)
    seal_reply(question, received=now_ns, transmitted=now_ns, signer=catcher.signer)
    allowed = policy(ISSUER.operational("op-1", document_types=("time-reply",)))
    assert not allowed.judge("op-1", catcher.data, NOW_MS).can_sound
    assert reason_of(lambda: policy().judge("op-1", catcher.data, NOW_MS)) is RefusalReason.WRONG_SCOPE
    reply = TimeReply(node="N001", nonce=7, sent_ns=5, received_ns=1, transmitted_ns=1)
    elsewhere = asked(reply, topic(TopicName.TIME_REPLY, node="N002") + "\0x")
    assert reason_of(lambda: allowed.judge("op-1", elsewhere, NOW_MS)) is RefusalReason.WRONG_AUDIENCE


@pytest.mark.parametrize(
    "structure",
    [
        ["Signature", b"", b"", b"", b""],
        ["Signature1", b"", b"x", b"y"],
        ["Signature1", cbor2.dumps({1: -8, 4: b"op-1"}, canonical=True), b"\xff", b"y"],
        [
            "Signature1",
            cbor2.dumps({1: -8, 4: b"op-1"}, canonical=True),
            EMERGENCY_AT.encode(),
            cbor_encode({"type": "x"}),
        ],
        {},
    ],
)
def test_what_is_no_document_is_refused(structure: Any) -> None:
    data = cbor2.dumps(structure, canonical=True)
    assert reason_of(lambda: policy().judge("op-1", data, NOW_MS)) is RefusalReason.MALFORMED


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(Refusal):
        policy().judge("op-1", data, NOW_MS)


@given(st.text(alphabet="abc-1", min_size=1, max_size=64), st.binary(min_size=1, max_size=300))
def test_a_request_comes_as_it_was_sent(key_id: str, data: bytes) -> None:
    request = SigningRequest(key_id=key_id, data=data)
    frame = request_frame(request)
    assert HEAD.unpack(frame[: HEAD.size])[0] == len(frame) - HEAD.size
    assert parse_request(frame[HEAD.size :]) == request


@given(st.binary(max_size=200))
def test_any_frame_is_a_request_or_an_error(data: bytes) -> None:
    try:
        request = parse_request(data)
    except SigningError:
        return
    assert request_frame(request)[HEAD.size :] == data


@given(st.binary(max_size=100))
def test_any_frame_is_an_answer_or_an_error(data: bytes) -> None:
    try:
        answer = parse_answer(data)
    except SigningError:
        return
    assert bool(answer.signature) != bool(answer.reason)


def test_answers_come_as_they_were_given() -> None:
    for answer in (
        SigningAnswer(signature=b"s" * 64),
        SigningAnswer(reason="vì sao"),
        SigningAnswer(reason="x" * 5_000),
    ):
        found = parse_answer(answer_frame(answer)[HEAD.size :])
        assert (found.signature, found.reason) == (answer.signature, answer.reason[:1_000])


@pytest.mark.parametrize(("key_id", "size"), [("k" * (KEY_ID_BYTES_MAX + 1), 1), ("k", REQUEST_BYTES_MAX)])
def test_what_is_too_large_is_not_asked(key_id: str, size: int) -> None:
    with pytest.raises(SigningError):
        request_frame(SigningRequest(key_id=key_id, data=bytes(size)))
