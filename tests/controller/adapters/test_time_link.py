"""The time service on a real broker, asked as a node asks; and without a key that may."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from controller.adapters.time_link import TimeLink, start_time_service
from controller.configuration.config import BrokerConfig, Config, TimeServiceConfig
from controller.dispatch import Authority
from controller.nodes.time_service import AT_ONCE_MAX, TimeService
from protocol.adapters.mqtt_link import MqttLink
from protocol.adapters.system_clock import read_now
from protocol.clock_sync import TimeQuestion, ask, open_reply
from protocol.keyring import Keyring
from protocol.topics import TopicName, topic
from protocol.units import MonotonicNs, Now
from tests.controller.adapters.test_broker_links import trust
from tests.support.broker import RealBroker
from tests.support.controller_desk import plain_config
from tests.support.pki import DevelopmentKeys
from tests.support.waiting import until

REPLY = topic(TopicName.TIME_REPLY, node="N001")
REQUEST = topic(TopicName.TIME_REQUEST, node="N001")


def config_for(pki: DevelopmentKeys, broker: RealBroker | None, *, enabled: bool = True) -> Config:
    config = msgspec.convert(plain_config(pki), Config)
    return msgspec.structs.replace(
        config,
        broker=BrokerConfig(port=broker.services_port if broker else 1),
        trust=trust(pki),
        time_service=TimeServiceConfig(enabled=enabled, requests_a_minute_max=1),
    )


def authority(pki: DevelopmentKeys, scopes: Keyring | None = None) -> Authority:
    signers = [pki.signer("operations-1")]
    return Authority(keyset=pki.keyset_bytes, scopes=scopes or pki.keyring, signers=signers)


class Asking:
    """A node that asks for the time; answers as they came, with the stamp of their arrival."""

    def __init__(self, pki: DevelopmentKeys, port: int) -> None:
        self.answers: list[tuple[str, bytes, MonotonicNs]] = []
        self.connections = 0
        self.link = MqttLink(
            pki.mqtt_settings("N001", port),
            on_connected=self._connected,
            on_disconnected=lambda _: None,
            on_message=lambda at, data: self.answers.append((at, data, MonotonicNs(time.monotonic_ns()))),
        )
        self.link.subscribe([(REPLY, 0)])

    def _connected(self, *_: object) -> None:
        self.connections += 1

    def ask(self, nonce: int) -> TimeQuestion:
        question = ask("N001", nonce=nonce, now=MonotonicNs(time.monotonic_ns()))
        self.link.publish(REQUEST, question.data, 0)
        return question

    async def ask_until_answered(self) -> TimeQuestion:
        """The service may still be connecting; QoS 0 is lost then."""
        for nonce in range(100):
            question = self.ask(nonce)
            with contextlib.suppress(AssertionError):
                await until(lambda: self.answers, seconds=0.3)
                return question
        raise AssertionError("no answer")


@asynccontextmanager
async def asking(pki: DevelopmentKeys, broker: RealBroker) -> AsyncIterator[Asking]:
    node = Asking(pki, broker.time_port)
    async with contextlib.AsyncExitStack() as stack:
        start_time_service(stack, config_for(pki, broker), authority(pki))
        node.link.start()
        stack.callback(node.link.stop)
        await until(lambda: node.connections == 1, what="the node is let in")
        yield node


async def test_a_node_learns_its_offset(broker: RealBroker, pki: DevelopmentKeys) -> None:
    async with asking(pki, broker) as node:
        question = await node.ask_until_answered()
        at, data, received = node.answers[0]
        sample = open_reply(data, at=at, question=question, received=received, keyring=pki.keyring)
    true_ns = time.time_ns() - time.monotonic_ns()
    assert abs(sample.offset_ns - true_ns) <= sample.error_ns + 1_000_000, "but for 1 ms of reading two clocks"
    assert 0 < sample.round_trip_ns < 1_000_000_000


async def test_nonsense_and_too_many_requests_stop_nothing(
    broker: RealBroker, pki: DevelopmentKeys, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "controller.time"):
        async with asking(pki, broker) as node:
            await node.ask_until_answered()
            node.link.publish(REQUEST, b"what time is it?", 0)
            for nonce in range(1_000, 1_000 + 3 * AT_ONCE_MAX):
                node.ask(nonce)
            await until(lambda: "too_often" in caplog.text)
            assert len(node.answers) <= AT_ONCE_MAX
    assert "was not answered (malformed), the first of its kind" in caplog.text
    assert "Traceback" not in caplog.text
    assert f": {AT_ONCE_MAX} answered" in caplog.records[-1].getMessage()


async def test_a_bug_in_an_answer_costs_that_answer_only(
    broker: RealBroker, pki: DevelopmentKeys, caplog: pytest.LogCaptureFixture
) -> None:
    readings: list[Now] = []

    def read_clock() -> Now:
        readings.append(read_now())
        if len(readings) == 2:
            raise RuntimeError("the clock is broken")
        return readings[-1]

    config = config_for(pki, broker)
    link = TimeLink(
        controller=config.controller,
        broker=config.broker,
        trust=config.trust,
        service=TimeService(signer=pki.signer("operations-1"), requests_a_minute_max=60),
        read_clock=read_clock,
    )
    node = Asking(pki, broker.time_port)
    link.start()
    node.link.start()
    try:
        await until(lambda: node.connections == 1, what="the node is let in")
        await node.ask_until_answered()
    finally:
        node.link.stop()
        await asyncio.to_thread(link.stop)
    assert "was not answered; the service goes on" in caplog.text
    assert "nodes are not told the time" not in caplog.text, "the connection stood all the while"


async def test_a_keyset_of_before_is_a_warning_and_no_end(
    pki: DevelopmentKeys, caplog: pytest.LogCaptureFixture
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        start_time_service(stack, config_for(pki, None), authority(pki, Keyring.empty()))
        assert "nodes are not told the time: no key of trust.signing_keys may sign" in caplog.text
        caplog.clear()
        start_time_service(stack, config_for(pki, None, enabled=False), authority(pki))
        assert not caplog.records
