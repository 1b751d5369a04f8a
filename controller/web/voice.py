"""The microphone's door: one WebSocket is one person who speaks to an area.

`GET /api/v1/voice?area=…&title=…` with a program's token, upgraded. Binary messages are sound as it is spoken (int16
little-endian, mono, 48 kHz, 10 to 100 ms each); the text `{"do": "hang_up"}` or a close ends it. The controller says
`{"state": "waiting", "stream": …}` when poles listen, `on_air` with the first word, `ended` with the reason; or
`refused` with code and message, for a browser cannot read the body of an upgrade that was refused.
Rules kept: who may speak where was settled by `access` before the upgrade; messages are bounded in size, and so in
number by the pace of speech; a connection on which nothing comes is over within seconds; whatever ends it, the voice
ends with it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from controller.errors import RequestCode, RequestError
from controller.records import RelayRecord
from controller.requests import StartVoice
from controller.streams.relay import RelayEnded, RelayStarted
from controller.web.parts import CONSOLE, VISITOR, VoiceInlet
from controller.web.rules import API, fields_of
from protocol.units import SAMPLE_RATE_HZ, SAMPLES_PER_MS

BLOCK_MS_MIN: Final = 10
"""Shorter messages cost more than what is in them; a browser's blocks of 2.7 ms are gathered by its page."""
BLOCK_MS_MAX: Final = 100
"""Longer ones would be heard that much later."""
SAMPLE_BYTES: Final = 2
BLOCK_BYTES_MIN: Final = BLOCK_MS_MIN * SAMPLES_PER_MS * SAMPLE_BYTES
BLOCK_BYTES_MAX: Final = BLOCK_MS_MAX * SAMPLES_PER_MS * SAMPLE_BYTES
QUIET_S_MAX: Final = 3.0
"""A microphone gives sound all the time; longer than this without any, the connection is half open."""
GOODBYE_S_MAX: Final = 3.0
"""How long a speaker's connection waits to hear that it is over."""
HUNG_UP: Final = "hung up"
LINE_LOST: Final = "the line was lost"


def add_voice(application: web.Application) -> None:
    """Add the route."""
    application.router.add_get(f"{API}/voice", _speak)


async def _speak(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse(max_msg_size=BLOCK_BYTES_MAX, compress=False, timeout=GOODBYE_S_MAX)
    if not socket.can_prepare(request).ok:
        what = "this address takes a WebSocket: binary messages of int16 mono 48 kHz, 10 to 100 ms each"
        raise RequestError(RequestCode.BAD_REQUEST, what)
    await socket.prepare(request)
    try:
        voice, inlet = await _begun(request)
    except RequestError as error:
        with contextlib.suppress(ConnectionError):
            await socket.send_json({"state": "refused", "code": error.code.value, "message": error.message})
            await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=error.code.value.encode())
        return socket
    telling = asyncio.create_task(_tell(socket, inlet, voice), name="voice news")
    try:
        inlet.hang_up(await _listen(socket, inlet))
        await asyncio.wait([telling], timeout=GOODBYE_S_MAX)
    finally:
        inlet.hang_up(LINE_LOST)
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
    return socket


async def _begun(request: web.Request) -> tuple[RelayRecord, VoiceInlet]:
    """The voice that the desk has let begin; raises RequestError."""
    console = request.app[CONSOLE]
    answer = await console.ask(_wanted(await fields_of(request)), by=request[VISITOR].actor)
    if not isinstance(answer.result, RelayRecord):
        raise RequestError(RequestCode.NOT_READY, "the voice was not begun; try again")
    return answer.result, console.inlet(answer.result.stream)


async def _listen(socket: web.WebSocketResponse, inlet: VoiceInlet) -> str:
    """Take sound until it is over; returns why."""
    while True:
        try:
            message = await socket.receive(timeout=QUIET_S_MAX)
        except TimeoutError:
            return f"{LINE_LOST}: no sound came for {QUIET_S_MAX:g} s"
        match message.type:
            case WSMsgType.BINARY:
                if not BLOCK_BYTES_MIN <= len(message.data) <= BLOCK_BYTES_MAX or len(message.data) % SAMPLE_BYTES:
                    return f"a message of {len(message.data)} bytes; int16 mono 48 kHz, 10 to 100 ms each, are taken"
                inlet.take(message.data)
            case WSMsgType.TEXT:
                return HUNG_UP if _is_hang_up(message.data) else "a text that means nothing here"
            case WSMsgType.CLOSE | WSMsgType.CLOSING | WSMsgType.CLOSED:
                return HUNG_UP if socket.close_code in {WSCloseCode.OK, WSCloseCode.GOING_AWAY} else LINE_LOST
            case WSMsgType.ERROR:
                return f"{LINE_LOST}: {socket.exception()}"[:200]
            case _:
                continue


async def _tell(socket: web.WebSocketResponse, inlet: VoiceInlet, voice: RelayRecord) -> None:
    """Say what becomes of the voice; when it is over, say why and close."""
    with contextlib.suppress(ConnectionError, RuntimeError):  # whoever is gone hears nothing
        await socket.send_json(_waiting(voice))
        while True:
            match await inlet.news.get():
                case RelayStarted(play_at_ms=play_at_ms):
                    await socket.send_json({"state": "on_air", "play_at_ms": play_at_ms})
                case RelayEnded(reason=reason):
                    await socket.send_json({"state": "ended", "reason": reason})
                    await socket.close(code=WSCloseCode.OK, message=reason.encode()[:120])
                    return
                case _:
                    continue


def _waiting(voice: RelayRecord) -> dict[str, Any]:
    """What the speaker is told first; before `heard_from_ms` the chime sounds."""
    heard_from_ms = voice.starts_at_ms + voice.chime_ms
    return {
        "state": "waiting",
        "stream": voice.stream,
        "heard_from_ms": heard_from_ms,
        "until_ms": voice.ends_at_ms,
        "delay_ms": voice.delay_ms,
    }


def _wanted(asked: Mapping[str, str]) -> StartVoice:
    """What the address asks for: exactly the fields by which rights were decided."""
    fields: dict[str, Any] = dict(asked)
    rate = str(fields.pop("rate_hz", SAMPLE_RATE_HZ))
    try:
        if rate != str(SAMPLE_RATE_HZ):
            raise RequestError(RequestCode.BAD_REQUEST, f"rate_hz: only {SAMPLE_RATE_HZ} is taken; resample before")
        return msgspec.convert(fields, StartVoice, strict=False)
    except msgspec.ValidationError as error:
        known = ", ".join(field.encode_name for field in msgspec.structs.fields(StartVoice))
        raise RequestError(RequestCode.BAD_REQUEST, f"{error}; the address has {known}, rate_hz") from error


def _is_hang_up(text: str) -> bool:
    try:
        return bool(msgspec.json.decode(text) == {"do": "hang_up"})
    except (msgspec.DecodeError, RecursionError):
        return False
