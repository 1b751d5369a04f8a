"""Who is told the time, how often, and what is remembered of them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import SigningError
from controller.nodes.time_service import AT_ONCE_MAX, TimeService, time_signer
from protocol.clock_sync import TimeQuestion, TimeSample, ask, open_reply
from protocol.keyring import Keyring
from protocol.messages import BroadcastClass, KeyScope, OperationalKey, Reality
from protocol.topics import TopicName, topic
from protocol.units import NS_PER_MS, NS_PER_S, MonotonicNs, Now, SharedMs, SharedNs, TimeSource
from tests.support.pki import DevelopmentKeys

A_MINUTE_MAX = 6
EVERY_NS = 60 * NS_PER_S // A_MINUTE_MAX
SET_OUT_NS = time.time_ns()
"""Within the validity of the keys, which are made for today."""
QUESTION = ask("N001", nonce=1, now=MonotonicNs(0))
REQUEST = topic(TopicName.TIME_REQUEST, node="N001")


def at(ns: int, *, source: TimeSource = TimeSource.SYSTEM) -> Now:
    return Now(monotonic_ns=MonotonicNs(ns), shared_ns=SharedNs(SET_OUT_NS + ns), source=source)


def made(pki: DevelopmentKeys, *, nodes_max: int = 100) -> TimeService:
    signer = pki.signer("operations-1")
    return TimeService(signer=signer, requests_a_minute_max=A_MINUTE_MAX, nodes_max=nodes_max)


def asked(service: TimeService, node: str, now: Now) -> TimeQuestion | None:
    question = ask(node, nonce=1, now=MonotonicNs(0))
    return service.take(topic(TopicName.TIME_REQUEST, node=node), question.data, now)


def test_the_reply_is_one_that_the_node_takes(pki: DevelopmentKeys) -> None:
    service = made(pki)
    question = service.take(REQUEST, QUESTION.data, at(100))
    assert question is not None
    reply = service.reply(question, received=at(100), transmitted=at(160))
    assert reply is not None
    sample = open_reply(
        reply, at=QUESTION.reply_topic, question=QUESTION, received=MonotonicNs(200), keyring=pki.keyring
    )
    assert sample == TimeSample(at_ns=MonotonicNs(200), offset_ns=SET_OUT_NS + 30, round_trip_ns=140)
    assert (service.answered, dict(service.unanswered)) == (1, {})


@given(waits_ns=st.lists(st.integers(0, 3 * EVERY_NS), max_size=80))
def test_a_node_is_answered_in_its_pace_and_no_faster(pki: DevelopmentKeys, waits_ns: list[int]) -> None:
    service, now_ns = made(pki), 0
    answered_ns: list[int] = []
    for wait_ns in waits_ns:
        now_ns += wait_ns
        if asked(service, "N001", at(now_ns)) is not None:
            answered_ns.append(now_ns)
        else:
            assert len(answered_ns) >= AT_ONCE_MAX
    for index, begin_ns in enumerate(answered_ns):
        for count, end_ns in enumerate(answered_ns[index:], start=1):
            assert count <= AT_ONCE_MAX + (end_ns - begin_ns) // EVERY_NS
    assert asked(service, "N002", at(now_ns)) is not None, "another node has its own pace"


def test_a_node_that_keeps_to_its_pace_is_always_answered(pki: DevelopmentKeys) -> None:
    service = made(pki)
    assert all(asked(service, "N001", at(n * EVERY_NS)) for n in range(50))


@given(names=st.lists(st.integers(0, 40), max_size=120))
def test_what_is_remembered_is_bounded_and_the_longest_silent_is_forgotten(
    pki: DevelopmentKeys, names: list[int]
) -> None:
    service = made(pki, nodes_max=8)
    for number in names:
        asked(service, f"N{number:03d}", at(0))
    assert service.remembered <= 8
    for _ in range(AT_ONCE_MAX):
        asked(service, "Nlast", at(0))
    for number in range(7):
        asked(service, f"M{number}", at(0))
    assert asked(service, "Nlast", at(0)) is None, "seven others do not make it forgotten"
    for number in range(8):
        asked(service, f"M{number}", at(0))
    assert asked(service, "Nlast", at(0)) is not None


def test_what_does_not_fit_is_counted_and_not_answered(pki: DevelopmentKeys) -> None:
    service = made(pki)
    assert service.take(topic(TopicName.TIME_REQUEST, node="N002"), QUESTION.data, at(0)) is None
    assert service.take(REQUEST, b"\xff", at(0)) is None
    assert service.take("loaxa/1/time/99/N001", QUESTION.data, at(0)) is None
    assert service.take(REQUEST, QUESTION.data, at(0, source=TimeSource.UNKNOWN)) is None
    assert service.reply(QUESTION, received=at(100), transmitted=at(99)) is None
    assert service.unanswered == {
        "wrong_audience": 1,
        "malformed": 1,
        "unknown_topic": 1,
        "time_unknown": 1,
        "clock_set": 1,
    }
    assert (service.answered, service.remembered) == (0, 0)


def test_the_first_key_that_may_tell_the_time_signs(pki: DevelopmentKeys) -> None:
    signers = [pki.signer("drill-1"), pki.signer("operations-1")]
    assert time_signer(signers, pki.keyring, SharedMs(SET_OUT_NS // NS_PER_MS)).key_id == "operations-1"


def test_a_keyset_of_before_says_what_to_do(pki: DevelopmentKeys) -> None:
    signer = pki.signer("operations-1")
    scope = KeyScope(document_types=("plan",), areas=("*",), classes=tuple(BroadcastClass), realities=(Reality.REAL,))
    old = OperationalKey(
        key_id=signer.key_id,
        public_key=bytes(32),
        scope=scope,
        not_before_ms=0,
        expires_at_ms=2**47,
    )
    with pytest.raises(SigningError, match=r"may sign the type time-reply \(operations-1: wrong_scope\).*keyset"):
        time_signer([signer], Keyring(version=1, keys={signer.key_id: old}), SharedMs(SET_OUT_NS // NS_PER_MS))
