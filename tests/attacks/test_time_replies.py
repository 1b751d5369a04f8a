"""Forged answers to "what time is it": hours away, a little each time, old ones, another's, delayed ones.

The node's questions are real; the broker answers in the service's place. Nothing that it can make up is believed, and
what it can do by holding genuine answers back is bounded by what the sample says of itself.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

import pytest

from protocol.clock_sync import (
    NONCE_MAX,
    ROUND_TRIP_NS_MAX,
    TimeQuestion,
    TimeSample,
    ask,
    open_reply,
    open_request,
    seal_reply,
)
from protocol.errors import Refusal, RefusalReason
from protocol.keyring import Keyring
from protocol.messages import Reality
from protocol.topics import TopicName, topic
from protocol.units import NS_PER_MS, NS_PER_S, MonotonicNs, SharedNs
from tests.support.issuer import TYPES, Issuer, signer_of
from tests.support.pole import T0_MS, Pole

NODE = "N001"
AT = topic(TopicName.TIME_REQUEST, node=NODE)
HOUR_NS = 3_600 * NS_PER_S
TRUE_NS = T0_MS * NS_PER_MS


@dataclass(slots=True)
class Exchange:
    """A node's clock at zero, a service that is right, and a broker between them."""

    keyring: Keyring = field(default_factory=lambda: keys())  # noqa: PLW0108 - it stands below
    now_ns: int = 0
    way_ns: int = 2 * NS_PER_MS

    def ask(self, node: str = NODE) -> TimeQuestion:
        return ask(node, nonce=secrets.randbelow(NONCE_MAX), now=MonotonicNs(self.now_ns))

    def answer(self, question: TimeQuestion, *, key: str = "time-1", shift_ns: int = 0) -> bytes:
        stamp = SharedNs(TRUE_NS + self.now_ns + self.way_ns + shift_ns)
        return seal_reply(question, received=stamp, transmitted=stamp, signer=signer_of(key))

    def open(self, data: bytes, question: TimeQuestion, *, after_ns: int = 0) -> TimeSample:
        received = MonotonicNs(self.now_ns + 2 * self.way_ns + after_ns)
        return open_reply(data, at=question.reply_topic, question=question, received=received, keyring=self.keyring)


def keys() -> Keyring:
    issuer = Issuer(T0_MS)
    made = (
        issuer.operational("time-1", document_types=("time-reply",)),
        issuer.operational("operations-1", document_types=TYPES),
        issuer.operational("village-1", document_types=("time-reply",), areas=("thon-dong",)),
        issuer.operational("drill-1", document_types=("time-reply",), reality=Reality.DRILL),
        issuer.operational("revoked-1", document_types=("time-reply",), revoked=True),
    )
    return Keyring(version=1, keys={key.key_id: key for key in made})


def reason_of(exchange: Exchange, data: bytes, question: TimeQuestion, *, after_ns: int = 0) -> RefusalReason:
    with pytest.raises(Refusal) as caught:
        exchange.open(data, question, after_ns=after_ns)
    return caught.value.reason


def test_a_genuine_answer_is_believed() -> None:
    exchange = Exchange()
    question = exchange.ask()
    assert exchange.open(exchange.answer(question), question).offset_ns == TRUE_NS


@pytest.mark.parametrize("hours", [-12, -1, 1, 12])
@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("stranger", RefusalReason.UNKNOWN_KEY),
        ("operations-1", RefusalReason.WRONG_SCOPE),
        ("village-1", RefusalReason.WRONG_SCOPE),
        ("drill-1", RefusalReason.WRONG_SCOPE),
        ("revoked-1", RefusalReason.REVOKED_KEY),
    ],
)
def test_nobody_else_says_what_time_it_is(hours: int, key: str, reason: RefusalReason) -> None:
    exchange = Exchange()
    question = exchange.ask()
    assert reason_of(exchange, exchange.answer(question, key=key, shift_ns=hours * HOUR_NS), question) is reason


def test_a_slow_drift_of_forged_answers_moves_nothing() -> None:
    """A millisecond more each minute for a day: every one is refused."""
    exchange = Exchange()
    for minute in range(60 * 24):
        exchange.now_ns = minute * 60 * NS_PER_S
        question = exchange.ask()
        forged = exchange.answer(question, key="stranger", shift_ns=minute * NS_PER_MS)
        assert reason_of(exchange, forged, question) is RefusalReason.UNKNOWN_KEY


def test_an_old_answer_says_nothing_later() -> None:
    """Kept by the broker and given again an hour later, the clock would be an hour late."""
    exchange = Exchange()
    first = exchange.ask()
    kept = exchange.answer(first)
    exchange.now_ns = HOUR_NS
    assert reason_of(exchange, kept, exchange.ask()) is RefusalReason.REPLAYED
    assert reason_of(exchange, kept, first) is RefusalReason.EXPIRED, "not even as the answer to its own question"


def test_the_answer_to_a_neighbour_says_nothing_here() -> None:
    exchange = Exchange()
    theirs, ours = exchange.ask("N002"), exchange.ask()
    assert reason_of(exchange, exchange.answer(theirs), ours) is RefusalReason.WRONG_AUDIENCE
    with pytest.raises(Refusal):
        open_request(theirs.data, at=AT)


@pytest.mark.parametrize("held_ms", [1, 50, 400, 2_000, 4_900])
def test_what_is_held_back_is_wrong_by_half_of_that_and_says_so(held_ms: int) -> None:
    """Slowly more each time or at once: never more than half the round trip, and what the sample calls its error."""
    exchange = Exchange()
    question = exchange.ask()
    sample = exchange.open(exchange.answer(question), question, after_ns=held_ms * NS_PER_MS)
    assert abs(sample.offset_ns - TRUE_NS) <= sample.error_ns
    assert sample.error_ns <= ROUND_TRIP_NS_MAX // 2


def test_what_is_held_back_for_longer_is_not_believed() -> None:
    exchange = Exchange()
    question = exchange.ask()
    data = exchange.answer(question)
    assert reason_of(exchange, data, question, after_ns=6 * NS_PER_S) is RefusalReason.EXPIRED


def test_an_agent_believes_no_answer_that_it_did_not_ask_for() -> None:
    pole = Pole()
    pole.introduce()
    pole.run_for(31_000)
    exchange = Exchange()
    before = pole.telemetry()["clock_error_ms"]
    for hours in (-6, 6):
        question = exchange.ask()
        name = topic(TopicName.TIME_REPLY, node=NODE)
        from_service = exchange.answer(question, key="operations-1", shift_ns=hours * HOUR_NS)
        pole.deliver(name, from_service, retain=True)
    pole.run_for(31_000)
    assert pole.telemetry()["clock_error_ms"] == before
    assert len(pole.pin.commanded.changes()) == 1
