"""What the product may rely on from its broker and its link: one suite, on the simulated and on the real ones.

Each test runs twice: in virtual time in a few milliseconds, and on Mosquitto over TLS. Where the fake would promise
more or less than the real thing, a test here fails.
"""

from __future__ import annotations

import pytest

from protocol.adapters.mqtt_link import LinkError, Will
from protocol.adapters.mqtt_settings import PAYLOAD_BYTES_MAX
from protocol.topics import TopicName, topic
from tests.support.link_bench import Bench
from tests.support.pki import CONTROLLER

STATE = topic(TopicName.NODE_STATE, node="N001")
ALL_STATES = topic(TopicName.NODE_STATE, node="+")
TELEMETRY = topic(TopicName.TELEMETRY, node="N001")
ASSIGNMENT = topic(TopicName.ASSIGNMENT, node="N001")
OTHERS_ASSIGNMENT = topic(TopicName.ASSIGNMENT, node="N002")
ACKNOWLEDGEMENT = topic(TopicName.ACKNOWLEDGEMENT, node="N001")
PLAN = topic(TopicName.PLAN, area="thon-dong")
OTHER_PLAN = topic(TopicName.PLAN, area="thon-tay")
AUDIO = topic(TopicName.AUDIO, stream="00" * 8)

QUIET_S = 0.4
"""How long nothing must come for "nothing came" to be believed."""
LOST = Will(topic=STATE, payload=b"lost", delay_s=1)


async def test_both_qualities_travel_both_ways(bench: Bench) -> None:
    controller, heard = await bench.link(CONTROLLER)
    node, node_heard = await bench.link("N001")
    controller.subscribe([(ALL_STATES, 1), (TELEMETRY, 0)])
    node.subscribe([(ASSIGNMENT, 1), (AUDIO, 0)])
    await bench.elapse(QUIET_S)
    node.publish(STATE, b"ready", 1)
    node.publish(TELEMETRY, b"health", 0)
    controller.publish(ASSIGNMENT, b"yours", 1)
    controller.publish(AUDIO, b"sound", 0, expiry_s=2)
    await bench.until(lambda: len(heard.messages) == 2 and len(node_heard.messages) == 2)
    assert set(heard.messages) == {(STATE, b"ready"), (TELEMETRY, b"health")}
    assert set(node_heard.messages) == {(ASSIGNMENT, b"yours"), (AUDIO, b"sound")}
    assert heard.connected == node_heard.connected == [(False, 1)]


async def test_the_newest_retained_message_waits_for_whoever_comes_later(bench: Bench) -> None:
    controller, _ = await bench.link(CONTROLLER)
    controller.publish(PLAN, b"old", retain=True)
    controller.publish(PLAN, b"new", retain=True)
    controller.publish(OTHER_PLAN, b"passing")
    node, heard = await bench.link("N001")
    await bench.elapse(QUIET_S)
    node.subscribe([(topic(TopicName.PLAN, area="+"), 1)])
    await bench.until(lambda: heard.messages)
    await bench.elapse(QUIET_S)
    assert heard.messages == [(PLAN, b"new")]


async def test_an_empty_message_clears_what_is_retained(bench: Bench) -> None:
    controller, _ = await bench.link(CONTROLLER)
    controller.publish(PLAN, b"plan", retain=True)
    witness, witnessed = await bench.link("N002")
    witness.subscribe([(PLAN, 1)])
    await bench.until(lambda: witnessed.payloads == [b"plan"])
    controller.publish(PLAN, b"", retain=True)
    await bench.until(lambda: witnessed.payloads == [b"plan", b""])
    node, heard = await bench.link("N001")
    node.subscribe([(PLAN, 1)])
    await bench.elapse(QUIET_S)
    assert heard.messages == []


async def test_a_retained_message_expires(bench: Bench) -> None:
    controller, _ = await bench.link(CONTROLLER)
    controller.publish(PLAN, b"short", retain=True, expiry_s=1)
    controller.publish(OTHER_PLAN, b"long", retain=True, expiry_s=60)
    await bench.elapse(2.5)
    node, heard = await bench.link("N001")
    node.subscribe([(PLAN, 1), (OTHER_PLAN, 1)])
    await bench.until(lambda: heard.messages)
    await bench.elapse(QUIET_S)
    assert heard.messages == [(OTHER_PLAN, b"long")]


async def test_a_kept_session_delivers_what_came_meanwhile_unless_it_expired(bench: Bench) -> None:
    controller, _ = await bench.link(CONTROLLER)
    node, heard = await bench.link("N001")
    node.subscribe([(ASSIGNMENT, 1), (ACKNOWLEDGEMENT, 1), (AUDIO, 0)])
    await bench.elapse(QUIET_S)
    bench.cut("N001")
    await bench.until(lambda: heard.disconnected)
    controller.publish(ACKNOWLEDGEMENT, b"too late", expiry_s=1)
    controller.publish(ACKNOWLEDGEMENT, b"in time", expiry_s=60)
    controller.publish(ASSIGNMENT, b"yours")
    controller.publish(AUDIO, b"sound", 0)
    await bench.elapse(2.5)
    bench.restore("N001")
    await bench.until(lambda: len(heard.connected) == 2 and len(heard.messages) >= 2)
    await bench.elapse(QUIET_S)
    assert heard.connected == [(False, 1), (True, 2)]
    assert heard.messages == [(ACKNOWLEDGEMENT, b"in time"), (ASSIGNMENT, b"yours")]


async def test_an_expired_session_is_told_and_subscribed_anew(bench: Bench) -> None:
    controller, _ = await bench.link(CONTROLLER)
    controller.publish(PLAN, b"plan", retain=True)
    node, heard = await bench.link("N001", session_expiry_s=1)
    node.subscribe([(PLAN, 1), (ASSIGNMENT, 1)])
    await bench.until(lambda: heard.payloads == [b"plan"])
    bench.cut("N001")
    await bench.until(lambda: heard.disconnected)
    controller.publish(ASSIGNMENT, b"missed")
    await bench.elapse(3.0)
    bench.restore("N001")
    await bench.until(lambda: len(heard.connected) == 2 and len(heard.messages) == 2)
    controller.publish(ASSIGNMENT, b"after")
    await bench.until(lambda: len(heard.messages) == 3)
    assert heard.connected == [(False, 1), (False, 2)]
    assert heard.payloads == [b"plan", b"plan", b"after"]


async def test_the_newest_are_refused_when_a_sessions_queue_is_full(bench: Bench) -> None:
    controller, _ = await bench.link(CONTROLLER)
    node, heard = await bench.link("N001")
    node.subscribe([(ASSIGNMENT, 1)])
    await bench.elapse(QUIET_S)
    bench.cut("N001")
    await bench.until(lambda: heard.disconnected)
    for number in range(130):
        controller.publish(ASSIGNMENT, b"%d" % number)
    await bench.elapse(1.5)
    bench.restore("N001")
    await bench.until(lambda: len(heard.messages) >= 100)
    await bench.elapse(QUIET_S)
    assert [int(payload) for payload in heard.payloads] == list(range(100))


async def test_what_is_published_without_a_connection_waits_or_is_dropped_by_quality(bench: Bench) -> None:
    controller, heard = await bench.link(CONTROLLER)
    controller.subscribe([(ALL_STATES, 1), (TELEMETRY, 0)])
    node, node_heard = await bench.link("N001")
    bench.cut("N001")
    await bench.until(lambda: node_heard.disconnected)
    node.publish(TELEMETRY, b"now or never", 0)
    node.publish(STATE, b"ready", 1)
    bench.restore("N001")
    await bench.until(lambda: heard.messages)
    await bench.elapse(QUIET_S)
    assert heard.messages == [(STATE, b"ready")]


async def test_an_abrupt_loss_publishes_the_will_after_its_delay(bench: Bench) -> None:
    controller, heard = await bench.link(CONTROLLER)
    controller.subscribe([(ALL_STATES, 1)])
    node, _ = await bench.link("N001", will=LOST)
    node.publish(STATE, b"ready", retain=True)
    await bench.until(lambda: heard.payloads == [b"ready"])
    await bench.elapse(QUIET_S)
    bench.cut("N001")
    await bench.elapse(QUIET_S)
    assert heard.payloads == [b"ready"]
    await bench.until(lambda: heard.payloads == [b"ready", b"lost"])
    controller.unsubscribe([ALL_STATES])
    await bench.elapse(QUIET_S)
    controller.subscribe([(STATE, 1)])
    await bench.until(lambda: heard.payloads == [b"ready", b"lost", b"lost"])


async def test_a_clean_stop_publishes_no_will_and_ends_the_session(bench: Bench) -> None:
    controller, heard = await bench.link(CONTROLLER)
    controller.subscribe([(ALL_STATES, 1)])
    node, _ = await bench.link("N001", will=Will(topic=STATE, payload=b"lost", delay_s=0))
    node.subscribe([(ASSIGNMENT, 1)])
    node.publish(STATE, b"goodbye", retain=True)
    await bench.stop(node)
    await bench.until(lambda: heard.messages)
    controller.publish(ASSIGNMENT, b"for nobody")
    await bench.elapse(QUIET_S)
    back, back_heard = await bench.link("N001")
    await bench.elapse(QUIET_S)
    assert heard.payloads == [b"goodbye"]
    assert back_heard.connected == [(False, 1)]
    assert back_heard.messages == []
    await bench.stop(back)


async def test_a_reconnect_within_the_delay_cancels_the_will(bench: Bench) -> None:
    controller, heard = await bench.link(CONTROLLER)
    controller.subscribe([(ALL_STATES, 1)])
    node, node_heard = await bench.link("N001", will=Will(topic=STATE, payload=b"lost", delay_s=3))
    node.publish(STATE, b"ready", retain=True)
    await bench.until(lambda: heard.messages)
    await bench.elapse(QUIET_S)
    bench.cut("N001")
    bench.restore("N001")
    await bench.until(lambda: len(node_heard.connected) == 2)
    await bench.elapse(4.5)
    assert heard.payloads == [b"ready"]


async def test_nobody_writes_or_reads_what_the_rules_deny(bench: Bench) -> None:
    controller, heard = await bench.link(CONTROLLER)
    controller.subscribe([(ALL_STATES, 1)])
    node, node_heard = await bench.link("N001")
    other, other_heard = await bench.link("N002")
    controller.publish(OTHERS_ASSIGNMENT, b"retained, not for N001", retain=True)
    await bench.elapse(QUIET_S)
    node.subscribe([(OTHERS_ASSIGNMENT, 1), (ALL_STATES, 1), (ASSIGNMENT, 1), ("#", 1)])
    other.subscribe([(PLAN, 1)])
    await bench.elapse(QUIET_S)
    node.publish(topic(TopicName.NODE_STATE, node="N002"), b"forged", retain=True)
    node.publish(PLAN, b"forged", retain=True)
    node.publish(STATE, b"own", retain=True)
    controller.publish(OTHERS_ASSIGNMENT, b"not for N001", retain=True)
    await bench.until(lambda: heard.messages)
    await bench.elapse(QUIET_S)
    assert heard.messages == [(STATE, b"own")]
    assert other_heard.messages == []
    assert node_heard.messages == []
    assert node_heard.disconnected == []
    controller.publish(ASSIGNMENT, b"yours")
    await bench.until(lambda: (ASSIGNMENT, b"yours") in node_heard.messages)


@pytest.mark.parametrize(("delay_s", "expected"), [(1, [b"second"]), (0, [b"lost", b"second"])])
async def test_a_second_client_of_one_name_throws_out_the_first(
    bench: Bench, delay_s: int, expected: list[bytes]
) -> None:
    """A new process begins with a clean start: that ends the first one's session, and only a delay stops its will."""
    controller, heard = await bench.link(CONTROLLER)
    controller.subscribe([(ALL_STATES, 1)])
    first, first_heard = await bench.link("N001", will=Will(topic=STATE, payload=b"lost", delay_s=delay_s))
    first.set_herd_window_s(30.0)
    second, second_heard = await bench.link("N001")
    await bench.until(lambda: first_heard.disconnected)
    await bench.stop(first)
    second.publish(STATE, b"second")
    await bench.until(lambda: b"second" in heard.payloads)
    await bench.elapse(1.5)
    assert heard.payloads == expected
    assert second_heard.disconnected == []


@pytest.mark.parametrize("qos", [0, 1])
async def test_order_is_kept_per_publisher(bench: Bench, qos: int) -> None:
    controller, heard = await bench.link(CONTROLLER)
    controller.subscribe([(STATE, qos), (topic(TopicName.NODE_STATE, node="N002"), qos)])
    await bench.elapse(QUIET_S)
    one, _ = await bench.link("N001")
    other, _ = await bench.link("N002")
    for number in range(50):
        one.publish(STATE, b"%d" % number, qos)
        other.publish(topic(TopicName.NODE_STATE, node="N002"), b"%d" % number, qos)
    await bench.until(lambda: len(heard.messages) == 100)
    for publisher in ("N001", "N002"):
        name = topic(TopicName.NODE_STATE, node=publisher)
        assert [int(payload) for at, payload in heard.messages if at == name] == list(range(50))


async def test_a_message_beyond_the_bound_is_refused_and_the_largest_passes(bench: Bench) -> None:
    controller, heard = await bench.link(CONTROLLER)
    controller.subscribe([(STATE, 1)])
    node, node_heard = await bench.link("N001")
    await bench.elapse(QUIET_S)
    with pytest.raises(LinkError, match="at most"):
        node.publish(STATE, bytes(PAYLOAD_BYTES_MAX + 1))
    with pytest.raises(LinkError, match="not a topic"):
        node.publish(ALL_STATES, b"everywhere")
    with pytest.raises(LinkError, match="quality of service"):
        node.publish(STATE, b"exactly once", 2)
    node.publish(STATE, bytes(PAYLOAD_BYTES_MAX))
    await bench.until(lambda: heard.messages)
    assert [len(payload) for payload in heard.payloads] == [PAYLOAD_BYTES_MAX]
    assert node_heard.disconnected == []


async def test_unsubscribing_ends_delivery_and_subscribing_again_brings_what_is_retained(bench: Bench) -> None:
    controller, _ = await bench.link(CONTROLLER)
    node, heard = await bench.link("N001")
    node.subscribe([(PLAN, 1), (ASSIGNMENT, 1)])
    controller.publish(PLAN, b"one", retain=True)
    await bench.until(lambda: heard.payloads == [b"one"])
    node.unsubscribe([PLAN])
    await bench.elapse(QUIET_S)
    controller.publish(PLAN, b"two", retain=True)
    controller.publish(ASSIGNMENT, b"still here")
    await bench.until(lambda: len(heard.messages) == 2)
    await bench.elapse(QUIET_S)
    assert heard.payloads == [b"one", b"still here"]
    node.subscribe([(PLAN, 1)])
    await bench.until(lambda: heard.payloads == [b"one", b"still here", b"two"])


async def test_a_stopped_link_tells_nothing_more(bench: Bench) -> None:
    controller, _ = await bench.link(CONTROLLER)
    node, heard = await bench.link("N001")
    node.subscribe([(ASSIGNMENT, 1)])
    await bench.elapse(QUIET_S)
    await bench.stop(node)
    controller.publish(ASSIGNMENT, b"too late")
    await bench.elapse(QUIET_S)
    assert (heard.messages, heard.disconnected, heard.connected) == ([], [], [(False, 1)])
