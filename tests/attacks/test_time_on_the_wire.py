"""Lies about the time to a node's clock as it is delivered, over a real broker: its time does not move, and it counts.

A liar stands where the time service stood, with all that a stolen broker and foreign keys give: it hears each question
and answers at once. Answers by others' keys, old ones, a neighbour's, bytes that are none; and a path that holds the
genuine ones back on one way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import msgspec
import pytest

from edge.adapters.node_clock import NodeClock
from protocol.adapters.mqtt_link import MqttLink
from protocol.adapters.system_clock import read_now
from protocol.clock_sync import TIME_REPLY, TimeQuestion, ask, open_request, seal_reply
from protocol.envelope import Signer, signer_from_private_key
from protocol.keyring import Keyring
from protocol.messages import OperationalKey
from protocol.topics import TopicName, parse_topic, topic
from protocol.units import NS_PER_MS, MonotonicNs, SharedNs, TimeSource
from tests.support.broker import RealBroker
from tests.support.clock_bench import NODE, ahead_ns, clock_of, config_of, going
from tests.support.issuer import key_of, signer_of
from tests.support.pki import CONTROLLER, DevelopmentKeys
from tests.support.timekeeper import HOUR_NS, telling_time
from tests.support.waiting import until

OURS: Final = topic(TopicName.TIME_REPLY, node=NODE)
ASTRAY_NS_MAX: Final = 2 * NS_PER_MS
"""Between two looks a crystal of 500 ppm goes astray by as much in four seconds."""
CREEPS_TO_MS: Final = 40
REFUSALS_MIN: Final = 1


def reply(question: TimeQuestion, *, signer: Signer, shift_ns: int) -> bytes:
    stamp = SharedNs(read_now().shared_ns + shift_ns)
    return seal_reply(question, received=stamp, transmitted=stamp, signer=signer)


@dataclass(slots=True)
class Liar:
    """Answers each question of the node with what `lie` makes of it; keeps what the genuine service said."""

    pki: DevelopmentKeys
    port: int
    lie: Callable[[Liar, TimeQuestion], list[bytes]] = lambda *_: []
    genuine: list[bytes] = field(default_factory=list)
    asked: int = 0
    is_connected: bool = False

    def link(self) -> MqttLink:
        link = MqttLink(
            self.pki.mqtt_settings(CONTROLLER, self.port, client_id="liar"),
            on_connected=self._connected,
            on_disconnected=lambda _: None,
            on_message=lambda at, payload: self._heard(link, at, payload),
        )
        link.subscribe([(topic(TopicName.TIME_REQUEST, node="+"), 0), (OURS, 0)])
        return link

    def _connected(self, *_: object) -> None:
        self.is_connected = True

    def _heard(self, link: MqttLink, at: str, payload: bytes) -> None:
        if at == OURS:
            self.genuine.append(payload)
        elif parse_topic(at).fields["node"] == NODE:
            self.asked += 1
            for data in self.lie(self, open_request(payload, at=at)):
                link.publish(OURS, data, 0)


@asynccontextmanager
async def lying(pki: DevelopmentKeys, broker: RealBroker) -> AsyncIterator[Liar]:
    liar = Liar(pki=pki, port=broker.services_port)
    link = liar.link()
    link.start()
    try:
        await until(lambda: liar.is_connected, what="the liar is at the broker")
        yield liar
    finally:
        await asyncio.to_thread(link.stop)


def keyring_of(pki: DevelopmentKeys) -> Keyring:
    """The keyset's, and beside them keys that may sign something, but not the time to everybody."""
    genuine = next(key for key in pki.keyset.keys if TIME_REPLY in key.scope.document_types)

    def beside(key_id: str, **scope: tuple[str, ...]) -> OperationalKey:
        public = key_of(key_id).public_key().public_bytes_raw()
        changed = msgspec.structs.replace(genuine.scope, **scope)
        return msgspec.structs.replace(genuine, key_id=key_id, public_key=public, scope=changed)

    others = (beside("planner-1", document_types=("plan",)), beside("village-1", areas=("thon-dong",)))
    return Keyring(version=2, keys={key.key_id: key for key in (*pki.keyset.keys, *others)})


def by(key_id: str, *, hours: int) -> Callable[[Liar, TimeQuestion], list[bytes]]:
    return lambda _, question: [reply(question, signer=signer_of(key_id), shift_ns=hours * HOUR_NS)]


def a_little_each_time(liar: Liar, question: TimeQuestion) -> list[bytes]:
    return [reply(question, signer=signer_of("stranger"), shift_ns=liar.asked * NS_PER_MS)]


def in_the_services_name(_liar: Liar, question: TimeQuestion) -> list[bytes]:
    """A stranger who calls himself the key that the keyset names."""
    impostor = signer_from_private_key("operations-1", key_of("stranger"))
    return [reply(question, signer=impostor, shift_ns=HOUR_NS)]


def old_ones(liar: Liar, _question: TimeQuestion) -> list[bytes]:
    return liar.genuine[:2]


def a_neighbours(liar: Liar, question: TimeQuestion) -> list[bytes]:
    """Genuine, by the service's own key, to a neighbour's question with the same number."""
    theirs = ask("N002", nonce=question.request.nonce, now=MonotonicNs(question.request.sent_ns))
    return [reply(theirs, signer=liar.pki.signer("operations-1"), shift_ns=HOUR_NS)]


def from_the_future(liar: Liar, question: TimeQuestion) -> list[bytes]:
    """A service whose clock is years ahead, or whose key was kept for years: the key is over by then."""
    return [reply(question, signer=liar.pki.signer("operations-1"), shift_ns=20 * 365 * 24 * HOUR_NS)]


def no_answers(_liar: Liar, question: TimeQuestion) -> list[bytes]:
    return [b"", b"noon", b"\xff" * 100, question.data]


LIES = {
    "a stranger, hours ahead": (by("stranger", hours=6), "unknown_key"),
    "a stranger, hours behind": (by("stranger", hours=-6), "unknown_key"),
    "a stranger, a little each time": (a_little_each_time, "unknown_key"),
    "in the service's name": (in_the_services_name, "bad_signature"),
    "a key for plans": (by("planner-1", hours=1), "wrong_scope"),
    "a village's key": (by("village-1", hours=1), "wrong_scope"),
    "old ones": (old_ones, "replayed"),
    "a neighbour's": (a_neighbours, "wrong_audience"),
    "from the future": (from_the_future, "expired"),
    "bytes that are none": (no_answers, "malformed"),
}


async def steady(clock: NodeClock) -> int:
    """How far the node's time is ahead once a few bursts agree."""
    await until(lambda: clock().is_time_known and clock.record.answered >= 8, seconds=15, what="the time is known")
    return ahead_ns(clock)


@pytest.mark.parametrize("name", LIES)
async def test_a_lie_moves_nothing_and_is_counted(broker: RealBroker, pki: DevelopmentKeys, name: str) -> None:
    lie, reason = LIES[name]
    clock = clock_of(config_of(pki, broker.time_port))
    async with lying(pki, broker) as liar, going(clock, keyring_of(pki)):
        with telling_time(pki, broker.services_port, shift_ns=3 * HOUR_NS):
            before_ns = await steady(clock)
        error_ns = clock().error_ns
        liar.lie = lie
        await until(lambda: clock.refused.get(reason, 0) >= REFUSALS_MIN, seconds=20, what=f"it counts {reason}")
        now = clock()
        assert abs(ahead_ns(clock) - before_ns) < ASTRAY_NS_MAX + error_ns
        assert now.source is TimeSource.EXCHANGE
        assert set(clock.refused) - {"unasked", "replayed"} <= {reason}, "a lie that comes late answers an old question"


async def test_lies_beside_the_truth_do_not_keep_it_out(broker: RealBroker, pki: DevelopmentKeys) -> None:
    clock = clock_of(config_of(pki, broker.time_port))
    async with lying(pki, broker) as liar, going(clock, keyring_of(pki)):
        liar.lie = by("stranger", hours=6)
        with telling_time(pki, broker.services_port, shift_ns=3 * HOUR_NS):
            before_ns = await steady(clock)
        assert abs(before_ns - 3 * HOUR_NS) < clock().error_ns


class SlowWay:
    """A TCP path to a port whose way back takes `held_s` longer when a test wants it."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.held_s = 0.0
        self.port = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        far_reader, far = await asyncio.open_connection("127.0.0.1", self._target_port)
        with suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(self._pour(reader, far, is_back=False), self._pour(far_reader, writer, is_back=True))
        for end in (writer, far):
            end.transport.abort()

    async def _pour(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_back: bool) -> None:
        while chunk := await reader.read(64 * 1024):
            if is_back and self.held_s:
                await asyncio.sleep(self.held_s)
            writer.write(chunk)
            await writer.drain()
        writer.close()


@pytest.mark.parametrize("held_ms", [40, 400])
async def test_genuine_answers_held_back_on_one_way_move_nothing_beyond_what_was_stated(
    broker: RealBroker, pki: DevelopmentKeys, held_ms: int
) -> None:
    """Half of what is held back would be the error of a clock that believed it."""
    way = SlowWay(broker.time_port)
    await way.open()
    clock = clock_of(config_of(pki, way.port))
    try:
        async with going(clock, pki.keyring):
            with telling_time(pki, broker.services_port, shift_ns=3 * HOUR_NS):
                before_ns, error_ns = await steady(clock), clock().error_ns
                way.held_s = held_ms / 1_000
                await until(
                    lambda: (clock.record.round_trip_ms or 0) >= held_ms, seconds=20, what="a burst is held back"
                )
                assert abs(ahead_ns(clock) - before_ns) <= error_ns + ASTRAY_NS_MAX
                assert abs(ahead_ns(clock) - 3 * HOUR_NS) <= clock().error_ns
    finally:
        await way.close()


def has_asked_since(clock: NodeClock, asked: int) -> bool:
    return clock.record.asked > asked


async def test_a_delay_that_grows_slowly_leads_no_farther_astray_than_is_stated(
    broker: RealBroker, pki: DevelopmentKeys
) -> None:
    """A millisecond more each time, so that no answer stands out: half of the delay at most, and the node says so."""
    way = SlowWay(broker.time_port)
    await way.open()
    clock = clock_of(config_of(pki, way.port))
    try:
        async with going(clock, pki.keyring):
            with telling_time(pki, broker.services_port, shift_ns=3 * HOUR_NS):
                await steady(clock)
                for held_ms in range(1, CREEPS_TO_MS + 1):
                    way.held_s = held_ms / 1_000
                    asked = clock.record.asked
                    await until(partial(has_asked_since, clock, asked), seconds=20, what="it asks again")
                    astray_ns, now = abs(ahead_ns(clock) - 3 * HOUR_NS), clock()
                    assert astray_ns <= now.error_ns + NS_PER_MS
                    assert astray_ns <= held_ms * NS_PER_MS // 2 + ASTRAY_NS_MAX
    finally:
        await way.close()
