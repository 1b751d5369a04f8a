"""A broker that talks nonsense, and a program that does not keep up: the link survives both."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from protocol.adapters.mqtt_link import Inbox, MqttLink
from protocol.adapters.mqtt_settings import INBOX_MAX
from tests.support.pki import DevelopmentKeys
from tests.support.waiting import until

CONNACK = bytes.fromhex("2003000000")
NONSENSE = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"\xff" * 64,
    b"\x20\xff\xff\xff\xff\xff",
    b"\x20\x00",
    bytes.fromhex("20050000022100"),
    CONNACK + bytes.fromhex("3004ffff6161"),
    CONNACK + bytes.fromhex("300500029fff00"),
    CONNACK + bytes.fromhex("400200") + b"\x09",
    CONNACK + bytes.fromhex("90030009") + b"\xfe",
    CONNACK + b"\x00\x00\xf0\x00",
]


@contextmanager
def nonsense_broker(pki: DevelopmentKeys, answer: bytes) -> Iterator[int]:
    """A TLS server with the right certificate that answers every connection with the same bytes, then hangs up."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pki.folder / "ca.pem"))
    context.load_cert_chain(pki.folder / "server.pem", pki.folder / "server.key")
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                connection.settimeout(5)
                # A client that has gone already leaves the connection to us: it is closed here, whoever has it.
                with suppress(OSError), connection, context.wrap_socket(connection, server_side=True) as wrapped:
                    wrapped.recv(4096)
                    wrapped.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield int(server.getsockname()[1])
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)


@pytest.mark.parametrize("answer", NONSENSE, ids=bytes.hex)
async def test_nonsense_from_a_broker_is_a_loss_like_any_other(pki: DevelopmentKeys, answer: bytes) -> None:
    reasons: list[str] = []
    messages: list[tuple[str, bytes]] = []
    with nonsense_broker(pki, answer) as port:
        link = MqttLink(
            pki.mqtt_settings("N001", port, herd_window_s=0.05),
            on_connected=lambda _present, _incarnation: None,
            on_disconnected=reasons.append,
            on_message=lambda topic, payload: messages.append((topic, payload)),
        )
        link.start()
        try:
            await until(lambda: len(reasons) == 2, seconds=8, what="the link tried again after nonsense")
        finally:
            link.stop()
    assert all(reasons)


async def test_a_program_that_does_not_keep_up_is_heard_of_and_misses_nothing() -> None:
    seen: list[int] = []
    room = threading.Event()
    inbox = Inbox(asyncio.get_running_loop(), on_room=room.set)

    def fill() -> None:
        for number in range(INBOX_MAX):
            inbox.put(seen.append, number)

    thread = threading.Thread(target=fill)
    thread.start()
    thread.join()
    assert not inbox.has_room()
    assert not seen, "callbacks run on the loop, and it had no turn yet"
    await until(lambda: len(seen) == INBOX_MAX)
    assert seen == list(range(INBOX_MAX))
    assert room.is_set()
    assert inbox.has_room()


async def test_one_turn_of_the_loop_is_bounded() -> None:
    seen: list[int] = []
    inbox = Inbox(asyncio.get_running_loop(), on_room=lambda: None)
    for number in range(250):
        inbox.put(seen.append, number)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert 0 < len(seen) < 250
    await until(lambda: len(seen) == 250)


async def test_nothing_is_called_after_the_end() -> None:
    seen: list[int] = []
    inbox = Inbox(asyncio.get_running_loop(), on_room=lambda: None)
    inbox.put(seen.append, 1)
    inbox.close()
    inbox.put(seen.append, 2)
    await asyncio.sleep(0.02)
    assert seen == []


def test_a_loop_that_is_gone_does_not_hurt_the_network() -> None:
    loop = asyncio.new_event_loop()
    inbox = Inbox(loop, on_room=lambda: None)
    loop.close()
    inbox.put(print, 1)
    inbox.put(print, 2)
    assert inbox.has_room()
