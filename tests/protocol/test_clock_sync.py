"""The time exchange: what four stamps say, and that nothing but the one true answer says anything."""

from __future__ import annotations

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from protocol.clock_sync import (
    NONCE_MAX,
    REPLY_BYTES_MAX,
    REQUEST_BYTES_MAX,
    ROUND_TRIP_NS_MAX,
    TIME_REPLY,
    TimeQuestion,
    TimeSample,
    ask,
    open_reply,
    open_request,
    sample_of,
    seal_reply,
)
from protocol.envelope import signer_from_private_key
from protocol.errors import Refusal
from protocol.keyring import Keyring
from protocol.messages import BroadcastClass, KeyScope, OperationalKey, Reality
from protocol.topics import TopicName, topic
from protocol.units import NS_PER_MS, MonotonicNs, SharedNs
from tests.support.messages import T0_MS, nodes

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER = signer_from_private_key("k", KEY)
T0 = SharedNs(T0_MS * NS_PER_MS)
SENT = MonotonicNs(5_000_000_000)
BACK = MonotonicNs(SENT + 40_000_000)
QUESTION = ask("N001", nonce=77, now=SENT)

delays = st.integers(0, ROUND_TRIP_NS_MAX // 2)
nonces = st.integers(0, NONCE_MAX)


def keyring(
    *,
    types: tuple[str, ...] = (TIME_REPLY,),
    areas: tuple[str, ...] = ("*",),
    reality: Reality = Reality.REAL,
    revoked: bool = False,
    expires_at_ms: int = T0_MS * 2,
) -> Keyring:
    scope = KeyScope(document_types=types, areas=areas, classes=tuple(BroadcastClass), realities=(reality,))
    key = OperationalKey(
        key_id="k",
        public_key=KEY.public_key().public_bytes_raw(),
        scope=scope,
        not_before_ms=0,
        expires_at_ms=expires_at_ms,
        revoked=revoked,
    )
    return Keyring(version=1, keys={"k": key})


RING = keyring()


def answer(question: TimeQuestion, *, arrived: SharedNs = T0, held_ns: int = 1_000) -> bytes:
    return seal_reply(question, received=arrived, transmitted=SharedNs(arrived + held_ns), signer=SIGNER)


def judged(
    data: bytes,
    *,
    question: TimeQuestion = QUESTION,
    at: str | None = None,
    received: MonotonicNs = BACK,
    ring: Keyring = RING,
) -> TimeSample | str:
    """The sample, or why there is none."""
    try:
        return open_reply(data, at=at or question.reply_topic, question=question, received=received, keyring=ring)
    except Refusal as refusal:
        return refusal.reason.value


@given(st.integers(-(2**40), 2**60), delays, st.integers(0, 10**9), delays)
def test_the_offset_is_as_wrong_as_it_says_at_most(offset_ns: int, there_ns: int, held_ns: int, back_ns: int) -> None:
    arrived = SharedNs(SENT + there_ns + offset_ns)
    left = SharedNs(arrived + held_ns)
    received = MonotonicNs(SENT + there_ns + held_ns + back_ns)
    found = sample_of(sent=SENT, arrived=arrived, left=left, received=received)
    assert found.round_trip_ns == there_ns + back_ns
    assert abs(found.offset_ns - offset_ns) <= found.error_ns <= (there_ns + back_ns + 1) // 2
    if there_ns == back_ns:
        assert found.offset_ns == offset_ns


@given(nodes, nonces, st.integers(0, 2**62), st.integers(0, 2**62), st.integers(0, 10**9))
def test_a_question_is_answered(node: str, nonce: int, sent_ns: int, arrived_ns: int, held_ns: int) -> None:
    arrived_ns = T0 + arrived_ns % T0  # while the key is valid
    asked = ask(node, nonce=nonce, now=MonotonicNs(sent_ns))
    assert len(asked.data) <= REQUEST_BYTES_MAX
    taken = open_request(asked.data, at=topic(TopicName.TIME_REQUEST, node=node))
    assert taken == asked
    data = answer(taken, arrived=SharedNs(arrived_ns), held_ns=held_ns)
    assert len(data) <= REPLY_BYTES_MAX
    received = MonotonicNs(sent_ns + held_ns + 10)
    sample = judged(data, question=asked, received=received)
    assert sample == TimeSample(at_ns=received, offset_ns=arrived_ns - sent_ns - 5, round_trip_ns=10)


@given(st.data())
def test_a_changed_reply_says_nothing(data: st.DataObject) -> None:
    reply = bytearray(answer(QUESTION))
    reply[data.draw(st.integers(0, len(reply) - 1))] ^= data.draw(st.integers(1, 255))
    assert isinstance(judged(bytes(reply)), str)


@given(st.binary(max_size=REPLY_BYTES_MAX + 50))
def test_any_bytes_are_refused_as_a_reply_and_as_a_request(data: bytes) -> None:
    assert judged(data) in {"malformed", "too_large"}
    with pytest.raises(Refusal):
        open_request(data, at=topic(TopicName.TIME_REQUEST, node="N001"))


@given(nodes, nonces, st.integers(0, 2**62))
def test_the_reply_to_another_request_says_nothing(node: str, nonce: int, sent_ns: int) -> None:
    other = ask(node, nonce=nonce, now=MonotonicNs(sent_ns))
    if other == QUESTION:
        return
    expected = "replayed" if node == "N001" else "wrong_audience"
    assert judged(answer(other)) == expected
    assert judged(answer(other), at=other.reply_topic) == expected


def test_a_reply_on_another_nodes_topic_says_nothing() -> None:
    assert judged(answer(QUESTION), at=topic(TopicName.TIME_REPLY, node="N002")) == "wrong_audience"


def test_a_reply_is_bound_to_the_bytes_of_its_request() -> None:
    """A broker that asks in the node's name beforehand, with a nonce that it knows, but in other bytes."""
    prefetched = TimeQuestion(request=QUESTION.request, data=QUESTION.data + b" ")
    assert judged(answer(prefetched)) == "bad_signature"


def test_what_another_key_signed_says_nothing() -> None:
    stranger = signer_from_private_key("k", Ed25519PrivateKey.generate())
    forged = seal_reply(QUESTION, received=T0, transmitted=T0, signer=stranger)
    assert judged(forged) == "bad_signature"
    unknown = signer_from_private_key("other", Ed25519PrivateKey.generate())
    assert judged(seal_reply(QUESTION, received=T0, transmitted=T0, signer=unknown)) == "unknown_key"


@pytest.mark.parametrize(
    ("ring", "reason"),
    [
        (keyring(types=("plan", "emergency")), "wrong_scope"),
        (keyring(areas=("xa-a",)), "wrong_scope"),
        (keyring(reality=Reality.DRILL), "wrong_scope"),
        (keyring(revoked=True), "revoked_key"),
        (keyring(expires_at_ms=T0_MS), "expired"),
        (Keyring.empty(), "unknown_key"),
    ],
)
def test_a_key_that_may_not_tell_the_time_says_nothing(ring: Keyring, reason: str) -> None:
    assert isinstance(judged(answer(QUESTION)), TimeSample)
    assert judged(answer(QUESTION), ring=ring) == reason


def test_a_late_reply_and_impossible_stamps_say_nothing() -> None:
    late = MonotonicNs(SENT + ROUND_TRIP_NS_MAX + 1_001)
    assert judged(answer(QUESTION), received=late) == "expired"
    assert isinstance(judged(answer(QUESTION), received=MonotonicNs(late - 1)), TimeSample)
    assert judged(answer(QUESTION, held_ns=BACK - SENT + 1)) == "malformed"
    with pytest.raises(ValueError, match="left before"):
        answer(QUESTION, held_ns=-1)


@pytest.mark.parametrize(
    ("changes", "at", "reason"),
    [
        ({}, "N002", "wrong_audience"),
        ({"nonce": -1}, "N001", "malformed"),
        ({"nonce": 2**63}, "N001", "malformed"),
        ({"sent_ns": "now"}, "N001", "malformed"),
        ({"more": "x" * REQUEST_BYTES_MAX}, "N001", "too_large"),
    ],
)
def test_a_wrong_request_is_not_taken(changes: dict[str, object], at: str, reason: str) -> None:
    data = msgspec.json.encode({"node": "N001", "nonce": 1, "sent_ns": 2, **changes})
    with pytest.raises(Refusal, match=reason):
        open_request(data, at=topic(TopicName.TIME_REQUEST, node=at))
    with pytest.raises(Refusal, match="unknown_topic"):
        open_request(QUESTION.data, at=topic(TopicName.TELEMETRY, node="N001"))
