"""The link against a real Mosquitto: TLS, client certificates, access rules, restarts, and hostile moments."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self

import pytest

from protocol.adapters.mqtt_link import LinkError, Will
from protocol.topics import TopicName, topic
from tests.support.broker import RealBroker
from tests.support.linked import linked
from tests.support.pki import CONTROLLER, DevelopmentKeys
from tests.support.waiting import until

STATE = topic(TopicName.NODE_STATE, node="N001")
TELEMETRY = topic(TopicName.TELEMETRY, node="N001")
ASSIGNMENT = topic(TopicName.ASSIGNMENT, node="N001")
PLAN = topic(TopicName.PLAN, area="thon-dong")
ALL_STATES = topic(TopicName.NODE_STATE, node="+")


async def test_messages_travel_both_ways_and_arrive_on_the_loop(broker: RealBroker, pki: DevelopmentKeys) -> None:
    with (
        linked(pki.mqtt_settings("N001", broker.port)) as (node, node_heard),
        linked(pki.mqtt_settings(CONTROLLER, broker.services_port)) as (controller, heard),
    ):
        controller.subscribe([(ALL_STATES, 1)])
        node.subscribe([(ASSIGNMENT, 1), (PLAN, 1)])
        node.publish(STATE, b"ready", retain=True)
        controller.publish(ASSIGNMENT, b"assignment", retain=True)
        controller.publish(PLAN, b"plan", retain=True)
        await until(lambda: len(heard.messages) == 1 and len(node_heard.messages) == 2)
    assert heard.messages == [(STATE, b"ready")]
    assert sorted(node_heard.messages) == sorted([(ASSIGNMENT, b"assignment"), (PLAN, b"plan")])
    assert heard.connected == [(False, 1)]
    assert heard.threads == {"MainThread"}


async def test_order_is_kept_over_many_messages(broker: RealBroker, pki: DevelopmentKeys) -> None:
    count = 80  # fewer than the broker queues for a slow subscriber
    with (
        linked(pki.mqtt_settings("N001", broker.port)) as (node, _),
        linked(pki.mqtt_settings(CONTROLLER, broker.services_port)) as (controller, heard),
    ):
        controller.subscribe([(STATE, 1)])
        node.publish(STATE, b"0", retain=True)
        await until(lambda: heard.messages)
        for number in range(1, count):
            node.publish(STATE, b"%d" % number)
        await until(lambda: len(heard.messages) == count, seconds=15)
    assert [int(payload) for _, payload in heard.messages] == list(range(count))


async def test_a_broker_that_is_down_at_the_start_is_found_when_it_comes(
    broker: RealBroker, pki: DevelopmentKeys
) -> None:
    broker.stop()
    with linked(pki.mqtt_settings("N001", broker.port)) as (node, heard):
        node.publish(STATE, b"ready", retain=True)
        await until(lambda: heard.disconnected)
        assert "nothing listens" in heard.disconnected[0]
        broker.start()
        await until(lambda: heard.connected, seconds=20)
        with linked(pki.mqtt_settings(CONTROLLER, broker.services_port)) as (controller, controller_heard):
            controller.subscribe([(ALL_STATES, 1)])
            await until(lambda: controller_heard.messages, what="what was queued while the broker was down")


async def test_the_same_trouble_is_logged_once_however_often_it_is_tried(
    broker: RealBroker, pki: DevelopmentKeys, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="protocol.adapters.mqtt_thread")
    broker.stop()
    with linked(pki.mqtt_settings("N001", broker.port, retry_s_max=0.05)) as (_, heard):
        await until(lambda: len(heard.disconnected) >= 4)
    broker.start()
    [told] = [record.getMessage() for record in caplog.records if "nothing listens" in record.getMessage()]
    assert "next attempt in" in told


async def test_an_unknown_host_is_named(pki: DevelopmentKeys) -> None:
    with linked(pki.mqtt_settings("N001", 8883, host="no-such-host.invalid")) as (_, heard):
        await until(lambda: heard.disconnected, seconds=20)
    assert "no-such-host.invalid is unknown" in heard.disconnected[0]


async def test_a_server_that_never_answers_does_not_hold_up_the_end(pki: DevelopmentKeys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        with linked(pki.mqtt_settings("N001", mute.getsockname()[1])) as (_, heard):
            connection, _address = mute.accept()
        connection.close()
    assert not heard.connected


async def test_after_a_restart_of_the_broker_everything_goes_on(broker: RealBroker, pki: DevelopmentKeys) -> None:
    with (
        linked(pki.mqtt_settings("N001", broker.port)) as (node, node_heard),
        linked(pki.mqtt_settings(CONTROLLER, broker.services_port)) as (controller, heard),
    ):
        node.subscribe([(ASSIGNMENT, 1)])
        controller.subscribe([(ALL_STATES, 1)])
        await until(lambda: node_heard.connected and heard.connected)
        broker.kill()
        await until(lambda: node_heard.disconnected and heard.disconnected)
        node.publish(TELEMETRY, b"too late by the time it could be sent", qos=0)
        node.publish(STATE, b"while away", retain=True)
        assert node.dropped == 1
        broker.start()
        await until(lambda: len(node_heard.connected) == 2 and len(heard.connected) == 2, seconds=20)
        assert node_heard.connected[1] == (False, 2), "a killed broker has forgotten the session"
        controller.publish(ASSIGNMENT, b"again", retain=True)
        await until(lambda: node_heard.messages and heard.messages, what="subscriptions renewed on both sides")
    assert node_heard.messages == [(ASSIGNMENT, b"again")]
    assert heard.messages == [(STATE, b"while away")]


async def test_what_came_during_a_short_loss_of_the_line_is_delivered(broker: RealBroker, pki: DevelopmentKeys) -> None:
    with (
        linked(pki.mqtt_settings(CONTROLLER, broker.services_port)) as (controller, _),
        Line(broker.port) as line,
        linked(pki.mqtt_settings("N001", line.port, herd_window_s=0.5)) as (node, heard),
    ):
        node.subscribe([(ASSIGNMENT, 1)])
        controller.publish(ASSIGNMENT, b"1", retain=True)
        await until(lambda: heard.messages)
        line.cut()
        await until(lambda: heard.disconnected)
        controller.publish(ASSIGNMENT, b"2")
        # the first one may come once more: its acknowledgement may have been lost with the line
        await until(lambda: heard.messages[-1] == (ASSIGNMENT, b"2"), seconds=20)
    assert heard.connected == [(False, 1), (True, 2)]


async def test_the_tls_session_is_resumed(broker: RealBroker, pki: DevelopmentKeys) -> None:
    with Line(broker.port) as line, linked(pki.mqtt_settings("N001", line.port)) as (_, heard):
        await until(lambda: heard.connected)
        line.cut()
        await until(lambda: len(heard.connected) == 2, seconds=20)
        first, second = line.bytes_from_broker
    assert second < first / 2, "a resumed handshake carries no certificates"


async def test_the_will_is_said_for_a_link_that_vanishes_but_not_for_one_that_leaves(
    broker: RealBroker, pki: DevelopmentKeys
) -> None:
    will = Will(topic=STATE, payload=b"lost", delay_s=0)
    with linked(pki.mqtt_settings(CONTROLLER, broker.services_port)) as (controller, heard):
        controller.subscribe([(ALL_STATES, 1)])
        with linked(pki.mqtt_settings("N001", broker.port), will) as (node, node_heard):
            await until(lambda: node_heard.connected)
            node.publish(STATE, b"disconnected", retain=True)
        await until(lambda: heard.messages)
        with (
            Line(broker.port) as line,
            linked(pki.mqtt_settings("N001", line.port, herd_window_s=30), will) as (_, lost),
        ):
            await until(lambda: lost.connected)
            line.cut()
            await until(lambda: len(heard.messages) == 2)
    assert heard.messages == [(STATE, b"disconnected"), (STATE, b"lost")]


async def test_the_broker_keeps_a_node_to_its_own_topics(broker: RealBroker, pki: DevelopmentKeys) -> None:
    with (
        linked(pki.mqtt_settings("N001", broker.port)) as (node, node_heard),
        linked(pki.mqtt_settings(CONTROLLER, broker.services_port)) as (controller, heard),
    ):
        controller.subscribe([(ALL_STATES, 1), (topic(TopicName.ASSIGNMENT, node="+"), 1)])
        node.subscribe([(topic(TopicName.ASSIGNMENT, node="+"), 1), (ALL_STATES, 1)])
        await until(lambda: heard.connected)
        node.publish(topic(TopicName.NODE_STATE, node="N002"), b"forged")
        node.publish(ASSIGNMENT, b"forged")
        controller.publish(topic(TopicName.ASSIGNMENT, node="N002"), b"for another")
        node.publish(STATE, b"own")
        await until(lambda: (STATE, b"own") in heard.messages)
        controller.publish(ASSIGNMENT, b"mine")
        await until(lambda: node_heard.messages)
    assert (ASSIGNMENT, b"forged") not in heard.messages
    assert all(payload != b"forged" for _, payload in heard.messages)
    assert node_heard.messages == [(ASSIGNMENT, b"mine")]
    assert not node_heard.disconnected, "a forbidden message must not cost the connection"


async def test_what_may_never_be_sent_is_refused_at_once(broker: RealBroker, pki: DevelopmentKeys) -> None:
    with linked(pki.mqtt_settings("N001", broker.port)) as (node, heard):
        with pytest.raises(LinkError, match="at most 16384"):
            node.publish(STATE, bytes(16 * 1024 + 1))
        with pytest.raises(LinkError, match="not a topic"):
            node.publish("loaxa/1/node/+/state", b"")
        with pytest.raises(LinkError, match="only 0 and 1"):
            node.publish(STATE, b"", qos=2)
        await until(lambda: heard.connected)
    assert not heard.disconnected


async def test_the_largest_message_passes(broker: RealBroker, pki: DevelopmentKeys) -> None:
    largest = bytes(16 * 1024)
    with linked(pki.mqtt_settings(CONTROLLER, broker.services_port)) as (controller, heard):
        controller.subscribe([(PLAN, 1)])
        controller.publish(PLAN, largest, retain=True)
        await until(lambda: heard.messages)
    assert heard.messages == [(PLAN, largest)]


async def test_a_callback_that_raises_does_not_end_the_link(
    broker: RealBroker, pki: DevelopmentKeys, caplog: pytest.LogCaptureFixture
) -> None:
    with linked(pki.mqtt_settings(CONTROLLER, broker.services_port)) as (controller, heard):
        heard.raise_at = b"poison"
        controller.subscribe([(PLAN, 1)])
        controller.publish(PLAN, b"poison", retain=False)
        controller.publish(PLAN, b"bread", retain=False)
        await until(lambda: heard.messages)
    assert heard.messages == [(PLAN, b"bread")]
    assert "a callback of the MQTT link failed" in caplog.text


async def test_of_two_clients_with_one_name_the_later_one_is_let_in(broker: RealBroker, pki: DevelopmentKeys) -> None:
    with linked(pki.mqtt_settings("N001", broker.port, herd_window_s=60)) as (_, first):
        await until(lambda: first.connected)
        with linked(pki.mqtt_settings("N001", broker.port)) as (_, second):
            await until(lambda: first.disconnected and second.connected)
    assert "closed the connection" in first.disconnected[0] or "ended the connection" in first.disconnected[0]


async def test_unsubscribing_stops_the_messages(broker: RealBroker, pki: DevelopmentKeys) -> None:
    other = topic(TopicName.PLAN, area="thon-tay")
    with linked(pki.mqtt_settings(CONTROLLER, broker.services_port)) as (controller, heard):
        controller.subscribe([(PLAN, 1), (other, 1)])
        controller.publish(PLAN, b"1")
        await until(lambda: heard.messages)
        controller.unsubscribe([PLAN])
        controller.publish(PLAN, b"2")
        controller.publish(other, b"3")
        await until(lambda: len(heard.messages) >= 2)
    assert heard.messages[-1] == (other, b"3")


class Line:
    """A telephone line between a client and the broker: carries bytes both ways, and can be cut."""

    def __init__(self, broker_port: int) -> None:
        self._broker_port = broker_port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.bytes_from_broker: list[int] = []
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.cut()
        for thread in self._threads:
            thread.join(2)

    def cut(self) -> None:
        """Every connection over the line is gone; new ones may be made."""
        while self._open:
            end = self._open.pop()
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _start(self, run: object, *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments)  # type: ignore[arg-type] # any callable of the above
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                try:
                    broker = socket.create_connection(("127.0.0.1", self._broker_port))
                except OSError:  # the broker is away, and so is the line
                    client.close()
                    continue
                self._open += [client, broker]
                self.bytes_from_broker.append(0)
                self._start(self._carry, client, broker, None)
                self._start(self._carry, broker, client, len(self.bytes_from_broker) - 1)

    def _carry(self, source: socket.socket, sink: socket.socket, counted_as: int | None) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if counted_as is not None:
                    self.bytes_from_broker[counted_as] += len(data)
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        source.close()
