"""Counts of several crowds add up; lateness is told from margins; a table of states leads to ready and back."""

from __future__ import annotations

from collections import Counter

import pytest

from simulator.load.identities import Identity
from simulator.load.light_node import TRANSITIONS, LightEvent, LightNode, LightSettings, LightState
from simulator.load.tally import Order, Tally, late_ms, margin_key, margins_between, total

STREAM = bytes.fromhex("0123456789abcdef") + (1).to_bytes(4)


def key(sequence: int) -> bytes:
    return STREAM + sequence.to_bytes(4)


def test_two_processes_add_up_and_a_window_is_counted_by_sequence() -> None:
    one = Tally(nodes=2, ready=2, audio=Counter({key(1): 2, key(2): 2, key(3): 1}))
    other = Tally(nodes=1, ready=0, lost=1, audio=Counter({key(2): 1}))
    whole = total([one, other])
    assert (whole.nodes, whole.ready, whole.lost) == (3, 2, 1)
    assert whole.newest_sequence == (STREAM, 3)
    assert whole.received(STREAM, 0, 3) == 6
    assert whole.received(STREAM, 1, 2) == 3


def test_an_order_received_in_two_processes_is_one_order() -> None:
    one = Tally(orders={1: Order(topic="t", payload=b"order", arrivals_ns=[5, 6])})
    other = Tally(orders={2: Order(topic="t", payload=b"order", arrivals_ns=[7])})
    (order,) = total([one, other]).orders.values()
    assert sorted(order.arrivals_ns) == [5, 6, 7]


@pytest.mark.parametrize("margin_ms", [-40_000, -1, 0, 900, 40_000])
def test_margins_keep_their_sign_and_have_a_bound(margin_ms: int) -> None:
    margins = Counter({margin_key(1_763_764_200, margin_ms): 1})
    (found,) = margins_between(margins, 1_763_764_200, 1_763_764_201)
    assert found == max(-32_000, min(32_000, margin_ms))
    assert margins_between(margins, 1_763_764_201, 1_763_764_202) == Counter()


def test_lateness_is_compared_with_the_fastest() -> None:
    margins = Counter({900: 98, 850: 1, 400: 1})
    assert late_ms(margins, 0.5, fastest_ms=900) == 0
    assert late_ms(margins, 0.99, fastest_ms=900) == 50
    assert late_ms(margins, 1.0, fastest_ms=900) == 500
    assert late_ms(Counter(), 0.5, fastest_ms=900) is None


def test_a_light_node_may_be_lost_from_anywhere_and_nothing_is_skipped() -> None:
    assert all(TRANSITIONS[state, LightEvent.LOST] is LightState.WAITING for state in LightState)
    node = LightNode(settings=LightSettings(identity=Identity("L00001", "x.pem"), areas=("thon", "xa")))
    with pytest.raises(KeyError):
        node.move(LightEvent.SUBSCRIBED)
    for event in list(LightEvent)[:-1]:
        node.move(event)
    assert node.state is LightState.READY


def test_the_first_wait_after_a_loss_lies_in_the_herd_window() -> None:
    node = LightNode(settings=LightSettings(identity=Identity("L00001", "x.pem")), state=LightState.READY)
    node.ready_at_s = 0.0
    waits = [node.wait_s(now_s=100.0, herd_window_s=30.0) for _ in range(200)]
    assert max(waits) <= 30.0
    assert max(waits) - min(waits) > 15.0
