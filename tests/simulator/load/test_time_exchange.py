"""What the crowd counts of its questions, and that it believes no answer that a node would not."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from protocol.clock_sync import TimeQuestion, open_request, seal_reply
from protocol.topics import TopicName, topic
from protocol.units import SharedNs
from simulator.load.time_exchange import TimeExchange, TimeTally, quantile_ms
from tests.support.pki import DevelopmentKeys


@pytest.fixture
def exchange(pki: DevelopmentKeys) -> TimeExchange:
    made = TimeExchange(str(pki.folder / "root_keys.json"))
    made.trust(pki.keyset_bytes)
    return made


def asked(exchange: TimeExchange, node: str = "N001") -> TimeQuestion:
    return open_request(exchange.ask(node), at=topic(TopicName.TIME_REQUEST, node=node))


def answer(
    exchange: TimeExchange,
    pki: DevelopmentKeys,
    question: TimeQuestion,
    *,
    key: str = "operations-1",
    wrong_ns: int = 0,
) -> None:
    now = SharedNs(time.time_ns() + wrong_ns)
    data = seal_reply(question, received=now, transmitted=now, signer=pki.signer(key))
    exchange.answered(question.request.node, question.reply_topic, data)


def test_each_question_ends_one_way(exchange: TimeExchange, pki: DevelopmentKeys) -> None:
    answer(exchange, pki, asked(exchange, "N001"))
    lost = asked(exchange, "N002")
    asked(exchange, "N002")
    answer(exchange, pki, lost)
    answer(exchange, pki, asked(exchange, "N003"), key="drill-1")
    asked(exchange, "N004")
    answer(exchange, pki, lost)
    tally = exchange.tally
    assert (tally.asked, tally.answered, tally.lost, tally.under_way) == (5, 1, 1, 1)
    assert tally.refused == {"replayed": 1, "wrong_scope": 1}
    assert tally.errors.total() == tally.round_trips.total() == 1


def test_a_service_that_is_wrong_beyond_the_bound_is_seen(exchange: TimeExchange, pki: DevelopmentKeys) -> None:
    answer(exchange, pki, asked(exchange), wrong_ns=3_000_000_000)
    assert exchange.tally.beyond_bound == 1
    found_ms = quantile_ms(exchange.tally.errors, 0.5)
    assert found_ms is not None
    assert 2_900 < found_ms < 3_100


def test_without_the_roots_keyset_nothing_is_believed(exchange: TimeExchange, pki: DevelopmentKeys) -> None:
    ignorant = TimeExchange("")
    ignorant.trust(pki.keyset_bytes)
    answer(ignorant, pki, asked(ignorant))
    assert ignorant.tally.refused == {"unknown_key": 1}
    exchange.trust(pki.keyset_bytes[:-1] + bytes([pki.keyset_bytes[-1] ^ 1]))
    answer(exchange, pki, asked(exchange))
    assert exchange.tally.answered == 1, "a forged keyset changes nothing"
    assert exchange.tally.refused.total() == 1


def test_two_crowds_add_up() -> None:
    one = TimeTally(answered=2, lost=1, under_way=1, errors=Counter({5: 2}), refused=Counter({"replayed": 1}))
    one.add(TimeTally(answered=1, errors=Counter({5: 1}), round_trips=Counter({7: 1}), beyond_bound=1))
    assert (one.answered, one.asked, one.errors, one.beyond_bound) == (3, 6, Counter({5: 3}), 1)


def test_quantiles_are_values_that_were_counted() -> None:
    counted = Counter({10: 98, 50: 1, 900: 1})
    assert [quantile_ms(counted, share) for share in (0.5, 0.98, 0.99, 1.0)] == [0.1, 0.1, 0.5, 9.0]
    assert quantile_ms(Counter(), 0.5) is None
