"""The microphone's door over real WebSockets: who may speak, what is taken, what ends it, hostile clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from socket import SHUT_RDWR
from typing import Any

import aiohttp
import numpy as np
import pytest
import pytest_asyncio

from controller.records import RelayState
from controller.web.voice import BLOCK_BYTES_MAX, BLOCK_BYTES_MIN
from protocol.adapters.system_clock import read_now
from protocol.stream import unpack_audio
from tests.support.controller_console import TOKEN, WorldConsole, served
from tests.support.controller_desk import DeskWorld
from tests.support.pki import DevelopmentKeys
from tests.support.waiting import until

BEARER = {"Authorization": f"Bearer {TOKEN}"}
BLOCK = (np.sin(np.arange(960) * 0.05) * 8_000).astype("<i2").tobytes()
QUIET = bytes(1_920)
TALK = {"area": "dong", "title": "Thông báo", "minutes": "5"}
Socket = aiohttp.ClientWebSocketResponse
SOON_S = 6.0


class Door:
    """The console of a small world, and sockets to its microphone."""

    def __init__(self, address: str, session: aiohttp.ClientSession, console: WorldConsole) -> None:
        self.console = console
        self._address, self._session = address, session

    @asynccontextmanager
    async def open(self, token: str = TOKEN, **question: str) -> AsyncIterator[Socket]:
        """A socket; `question` changes what is asked."""
        wanted = {**TALK, **question}
        at = f"{self._address}/api/v1/voice"
        sent = {"Authorization": f"Bearer {token}"}
        async with self._session.ws_connect(at, params=wanted, headers=sent) as socket:
            yield socket

    async def plain(self, **question: str) -> tuple[int, Any]:
        """The same question without an upgrade."""
        at = f"{self._address}/api/v1/voice"
        async with self._session.get(at, params={**TALK, **question}, headers=BEARER) as answer:
            return answer.status, await answer.json()

    @property
    def voices(self) -> list[tuple[RelayState, str]]:
        """State and reason of every voice, the latest first."""
        return [(each.state, each.reason) for each in self.console.status().relays]


@pytest_asyncio.fixture
async def door(pki: DevelopmentKeys) -> AsyncIterator[Door]:
    now = read_now()
    world = DeskWorld(pki, at_ms=now.shared_ms, voice={"lead_in_ms": 0})
    world.begin()
    console = WorldConsole(world)
    async with served(console) as address, aiohttp.ClientSession() as session:
        yield Door(address, session, console)


async def told(socket: Socket) -> dict[str, Any]:
    value: dict[str, Any] = await asyncio.wait_for(socket.receive_json(), SOON_S)
    return value


async def talk(socket: Socket, blocks: int, *, block: bytes = BLOCK) -> None:
    """So many blocks, about as fast as they are spoken."""
    for _ in range(blocks):
        await socket.send_bytes(block)
        await asyncio.sleep(0.02)


async def ended(socket: Socket) -> str:
    """The reason that is given, whatever else is told before."""
    while (news := await told(socket))["state"] != "ended":
        continue
    return str(news["reason"])


async def test_what_is_said_is_published_in_signed_packets_and_hanging_up_ends_it(door: Door) -> None:
    async with door.open() as socket:
        waiting = await told(socket)
        assert waiting["state"] == "waiting"
        await talk(socket, 10)
        assert (await told(socket))["state"] == "on_air"
        await socket.send_json({"do": "hang_up"})
        assert await ended(socket) == "hung up"
    worker = door.console.workers[waiting["stream"]]
    packets = [
        unpack_audio(payload, public_key=worker.public_key, topic=at, stream=worker.stream)
        for at, payload in door.console.published
    ]
    assert len(packets) == 10
    places = [packet.first_sample // 960 for packet in packets]
    assert places == sorted(set(places)), "on a busy machine a place may stay empty, but none comes twice or back"
    assert places[0] == 0
    assert door.voices == [(RelayState.ENDED, "hung up")]
    assert [act.what for act in door.console.world.memory.acts][-2:] == ["voice", "voice_end"]


async def test_a_microphone_that_is_only_open_publishes_nothing(door: Door) -> None:
    async with door.open() as socket:
        await told(socket)
        await talk(socket, 10, block=QUIET)
        await socket.close()
    await until(lambda: door.voices[0][0] is RelayState.ENDED)
    assert door.console.published == []


async def test_a_second_speaker_is_told_who_speaks(door: Door) -> None:
    async with door.open() as first, door.open() as second:
        await told(first)
        refusal = await told(second)
        assert (refusal["state"], refusal["code"]) == ("refused", "conflict")
        assert "speaks in Thôn Đông" in refusal["message"]
        assert (await second.receive()).type is aiohttp.WSMsgType.CLOSE


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ({"area": "tay"}, "unknown_area"),
        ({"rate_hz": "44100"}, "bad_request"),
        ({"minutes": "0"}, "bad_request"),
        ({"codec": "mp3"}, "bad_request"),
        ({"broadcast_class": "loud"}, "bad_request"),
    ],
)
async def test_what_cannot_be_is_refused_in_words(door: Door, question: dict[str, str], code: str) -> None:
    async with door.open(**question) as socket:
        refusal = await told(socket)
    assert (refusal["state"], refusal["code"]) == ("refused", code)
    assert refusal["message"]


async def test_without_a_token_or_an_upgrade_there_is_no_microphone(door: Door) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with door.open("nobody"):
            pass
    assert refused.value.status == 401
    status, answer = await door.plain()
    assert (status, answer["error"]["code"]) == (400, "bad_request")
    assert door.voices == []


@pytest.mark.parametrize("size", [2, BLOCK_BYTES_MIN - 2, BLOCK_BYTES_MIN + 1, BLOCK_BYTES_MAX + 2, 1_000_000])
async def test_messages_of_another_size_end_it(door: Door, size: int) -> None:
    async with door.open() as socket:
        await told(socket)
        await talk(socket, 5)
        await socket.send_bytes(bytes(size))
        await until(lambda: door.voices[0][0] is RelayState.ENDED)
    assert door.voices[0][1]


async def test_a_thousand_tiny_messages_are_one_too_many(door: Door) -> None:
    async with door.open() as socket:
        await told(socket)
        with_errors = await asyncio.gather(*(socket.send_bytes(b"\1\2") for _ in range(1_000)), return_exceptions=True)
        assert len(with_errors) == 1_000
        await until(lambda: door.voices[0][0] is RelayState.ENDED)
    assert door.console.published == []


async def test_sound_faster_than_speech_is_cut(door: Door) -> None:
    async with door.open() as socket:
        await told(socket)
        for _ in range(400):
            if socket.closed:
                break
            await socket.send_bytes(BLOCK)
        assert "faster than it is spoken" in await ended(socket)
    assert len(door.console.published) < 400


async def test_a_half_open_connection_is_over_within_seconds(door: Door) -> None:
    async with door.open() as socket:
        await told(socket)
        await talk(socket, 10)
        assert "the line was lost" in await ended(socket)
    assert door.voices[0][0] is RelayState.ENDED


async def test_a_speaker_who_vanishes_ends_it(door: Door) -> None:
    async with door.open() as socket:
        await told(socket)
        await talk(socket, 10)
        socket.get_extra_info("socket").shutdown(SHUT_RDWR)
        await until(lambda: door.voices[0][0] is RelayState.ENDED)
    assert "line was lost" in door.voices[0][1]


async def test_another_text_ends_it(door: Door) -> None:
    async with door.open() as socket:
        await told(socket)
        await socket.send_str('{"do": "dance"}')
        assert "means nothing here" in await ended(socket)


async def test_whose_microphone_is_taken_away_is_told(door: Door) -> None:
    async with door.open() as socket:
        stream = (await told(socket))["stream"]
        await talk(socket, 5)
        worker = door.console.workers[stream]
        worker.hang_up("stopped by request")
        assert await ended(socket) == "stopped by request"
