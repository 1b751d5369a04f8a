"""The simulated link: bounds, herd window, patience, power loss."""

from __future__ import annotations

import pytest

from tests.support.simulated_province import PLAN, S_NS, Province, state_of

TELEMETRY = state_of("N001")


def test_the_first_reconnect_is_spread_over_the_herd_window() -> None:
    province = Province(nodes=200)
    for node in province.nodes:
        node.link.set_herd_window_s(40.0)
    province.broker.kill()
    province.broker.start()
    back = []
    for _ in range(5):
        province.run(10)
        back.append(len(province.broker.connected))
    assert 30 < back[0] < 75
    assert 75 < back[1] < 125
    assert back[4] == 201


def test_attempts_without_an_answer_end_and_back_off() -> None:
    province = Province()
    province.network.cut("N001")
    province.run(1_200)
    attempts = [event for event in province.nodes[0].events if "does not answer" in event]
    assert 1_200 / (10 + 60) < len(attempts) < 60
    assert len(province.nodes[0].host.connections) <= 2


def test_a_refused_connection_says_so() -> None:
    province = Province()
    province.broker.kill()
    province.run(30)
    assert "reset by the peer" in province.nodes[0].events
    assert "refused" in province.nodes[0].events


def test_a_full_socket_holds_messages_back_and_drops_the_oldest_of_quality_zero() -> None:
    province = Province()
    node = province.nodes[0]
    province.network.cut("N001")
    for number in range(120):
        node.link.publish(TELEMETRY, b"%03d" % number + bytes(4_000), 0)
    assert node.link.dropped == 120 - 17 - 64
    province.run(5)
    province.network.heal("N001")
    province.run(30)
    heard = [int(payload[:3]) for payload in province.controller.payloads if len(payload) > 10]
    assert heard == [*range(17), *range(56, 120)]


def test_quality_one_is_refused_when_the_queue_is_full_and_only_the_newest_retained_waits() -> None:
    province = Province()
    node = province.nodes[0]
    province.broker.kill()
    province.run(2)
    for number in range(1_003):
        node.link.publish(TELEMETRY, b"%d" % number, 1)
    assert node.link.dropped == 3
    for number in range(5):
        province.controller.link.publish(PLAN, b"%d" % number, 1, True)
    province.broker.start()
    province.run(120)
    assert province.nodes[1].payloads == [b"4"]


def test_a_machine_without_power_says_nothing_and_a_new_link_takes_its_session_over() -> None:
    province = Province()
    node = province.nodes[0]
    province.network.power_off("N001")
    node.link.lose_power()
    province.run(400)
    assert node.events == ["connected 1"]
    assert province.world.now_ns > S_NS
    assert node.host.connections == {}


def test_a_stopped_link_leaves_no_session_and_no_will() -> None:
    province = Province()
    province.nodes[0].link.publish(state_of("N001"), b"goodbye", 1, True)
    province.nodes[0].link.stop()
    province.run(400)
    assert province.broker.retained(state_of("N001")) == b"goodbye"
    assert province.broker.sessions == 3
    assert province.nodes[0].events == ["connected 1"]


def test_what_was_sent_but_not_acknowledged_is_sent_again() -> None:
    province = Province()
    node = province.nodes[0]
    node.link.publish(TELEMETRY, b"on its way", 1)
    province.network.reset("N001")
    province.run(30)
    assert b"on its way" in province.controller.payloads


@pytest.mark.parametrize("after_ms", range(0, 400, 20))
def test_whenever_a_machine_dies_while_connecting_the_broker_notices(after_ms: int) -> None:
    province = Province(nodes=1)
    province.nodes[0].link.set_herd_window_s(0.0)
    province.network.reset("N001")
    province.run(after_ms / 1_000)
    province.network.power_off("N001")
    province.nodes[0].link.lose_power()
    province.run(120)
    assert "N001" not in province.broker.connected


@pytest.mark.parametrize("after_ms", range(0, 400, 20))
def test_whenever_the_broker_dies_while_a_link_connects_the_link_comes_back(after_ms: int) -> None:
    province = Province(nodes=1)
    province.nodes[0].link.set_herd_window_s(0.0)
    province.network.reset("N001")
    province.run(after_ms / 1_000)
    province.broker.lose_power()
    province.run(30)
    province.broker.start()
    province.run(180)
    assert "N001" in province.broker.connected
