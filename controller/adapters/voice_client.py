"""Speaks to the controller that runs here: sound from a file or standard input, in real time, for the command `speak`.

Takes WAV or raw samples: int16, mono, 48 kHz. A file is paced as it would be spoken; what comes over standard input
sets its own pace (`arecord`), and is held back only where it comes much faster than time passes. Every failure is an
ApiError.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import select
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import aiohttp

from controller.adapters.api_client import ApiClient
from controller.errors import ApiError
from protocol.units import SAMPLE_RATE_HZ

BLOCK_FRAMES: Final = SAMPLE_RATE_HZ // 50
"""20 ms: one Opus frame."""
BLOCK_BYTES: Final = BLOCK_FRAMES * 2
AHEAD_S_MAX: Final = 0.2
"""A pipe gives what it holds at once; more than this is not sent before its time."""
LOOK_S: Final = 0.2
"""How long an idle pipe is waited for before it is looked whether anybody still listens."""
GOODBYE_S_MAX: Final = 10.0
"""How long the last words and the controller's last word may take."""
_RIFF: Final = b"RIFF"
_FORMAT: Final = "int16, mono, 48000 Hz; make it so: ffmpeg -i IN -ar 48000 -ac 1 -c:a pcm_s16le OUT.wav"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What came of it: why it ended, and whether anything was on the air."""

    reason: str
    was_on_air: bool


class Sound:
    """Blocks of 20 ms from a file, or from a pipe, which is not read before it is asked for."""

    def __init__(self, source: BinaryIO, name: str, *, is_live: bool) -> None:
        """Raises ApiError for a file that is not the sound that is taken; a pipe is looked at by its first `read`."""
        self.is_live: Final = is_live
        self._pipe = _Pipe(source)
        self._source: io.BufferedReader[Any] = io.BufferedReader(self._pipe, BLOCK_BYTES)
        self._name = name
        self._wave: wave.Wave_read | None = None
        self._raw: io.BufferedReader[Any] | None = None
        if not is_live:
            self._begin()

    def stop(self) -> None:
        """Nobody listens any more: whoever waits in `read` for a pipe that says nothing is told that it has ended."""
        self._pipe.is_stopped = True

    def read(self) -> bytes:
        """The next 20 ms, less at the end, nothing after it; raises ApiError for what is not sound that is taken."""
        raw = self._begin() if self._raw is None else self._raw
        data = raw.read(BLOCK_BYTES) if self._wave is None else self._wave.readframes(BLOCK_FRAMES)
        return data[: len(data) // 2 * 2]

    def _begin(self) -> io.BufferedReader[Any]:
        source, name = self._source, self._name
        head = source.read(len(_RIFF))
        joined: io.BufferedReader[Any] = io.BufferedReader(_Joined(head, source), BLOCK_BYTES)
        self._raw = joined
        if head == _RIFF:
            try:
                self._wave = wave.open(joined, "rb")  # noqa: SIM115 - lives as long as this
            except (wave.Error, EOFError) as error:
                raise ApiError(f"{name}: no WAV file that can be read ({error}); needed: {_FORMAT}") from error
            shape = (self._wave.getsampwidth(), self._wave.getnchannels(), self._wave.getframerate())
            if shape != (2, 1, SAMPLE_RATE_HZ):
                what = f"{name}: {shape[0] * 8} bits, {shape[1]} channels, {shape[2]} Hz"
                raise ApiError(f"{what}; needed: {_FORMAT}")
        return joined


class _Pipe(io.RawIOBase):
    """A file, or standard input, which may say nothing for hours: waiting for it can be ended."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.is_stopped = False
        try:
            self._descriptor: int | None = source.fileno()
        except (OSError, ValueError):
            self._descriptor = None  # no file of the system: it never waits

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - whatever holds bytes
        """What there is, or nothing at the end and once it is stopped."""
        if self._descriptor is None:
            found = self._source.read(len(buffer)) or b""
        else:
            while not self.is_stopped and not select.select([self._descriptor], [], [], LOOK_S)[0]:
                pass
            found = b"" if self.is_stopped else os.read(self._descriptor, len(buffer))
        buffer[: len(found)] = found
        return len(found)


class _Joined(io.RawIOBase):
    """A stream whose first bytes were read already."""

    def __init__(self, head: bytes, rest: io.BufferedReader[Any]) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - whatever holds bytes
        """As much as there is room for, or until the end."""
        found = self._head[: len(buffer)] or self._rest.read1(len(buffer)) or b""
        self._head = self._head[len(found) :]
        buffer[: len(found)] = found
        return len(found)


@contextlib.contextmanager
def open_sound(path: str, standard_input: BinaryIO) -> Iterator[Sound]:
    """The sound of a path; "-" is standard input. Raises ApiError."""
    if path == "-":
        yield Sound(standard_input, "standard input", is_live=True)
        return
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - closed below; only opening it may fail here
    except OSError as error:
        raise ApiError(f"{path} cannot be read: {error.strerror or error}") from error
    with file:
        yield Sound(file, path, is_live=False)


async def speak(client: ApiClient, question: dict[str, str], sound: Sound, *, say: Callable[[str], None]) -> Spoken:
    """Send a sound until it ends or the controller ends it; raises ApiError where it was refused or broke off."""
    address, headers, tls = client.socket_address("/api/v1/voice", question)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        try:
            socket = await session.ws_connect(address, headers=headers, ssl=tls or True, max_msg_size=64 * 1024)
        except aiohttp.WSServerHandshakeError:
            await asyncio.to_thread(client.call, "GET", client.path_of("/api/v1/voice", question))  # tells the reason
            raise ApiError("the controller refused to listen, and said not why; try again") from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ApiError(f"no controller answers at {address.split('?', 1)[0]}: {error}") from error
        may_send = asyncio.Event()
        listening = asyncio.create_task(_listen(socket, say, may_send))
        sending = asyncio.create_task(_send(socket, sound, may_send))
        done, _ = await asyncio.wait({listening, sending}, return_when=asyncio.FIRST_COMPLETED)
        if sending in done and not socket.closed:
            with contextlib.suppress(ConnectionError):
                await socket.send_json({"do": "hang_up"})
        sending.cancel()
        sound.stop()
        [broken] = await asyncio.gather(sending, return_exceptions=True)
        try:
            spoken = await asyncio.wait_for(listening, GOODBYE_S_MAX)
        except TimeoutError as error:
            raise ApiError("the controller did not say how it ended; look at: show CONFIG relays") from error
        finally:
            await socket.close()
        if isinstance(broken, ApiError):
            raise broken
        if isinstance(broken, Exception) and not isinstance(broken, ConnectionError):
            raise ApiError(f"the sound broke off, what came before it was spoken: {broken}") from broken
        return spoken


async def _send(socket: aiohttp.ClientWebSocketResponse, sound: Sound, may_send: asyncio.Event) -> None:
    await may_send.wait()
    loop = asyncio.get_running_loop()
    begun_s: float | None = None
    sent_s = 0.0
    while block := await asyncio.to_thread(sound.read):
        begun_s = loop.time() if begun_s is None else begun_s
        ahead_s = sent_s - (loop.time() - begun_s) - (AHEAD_S_MAX if sound.is_live else 0.0)
        if ahead_s > 0:
            await asyncio.sleep(ahead_s)
        await socket.send_bytes(block.ljust(BLOCK_BYTES, b"\0"))
        sent_s += BLOCK_FRAMES / SAMPLE_RATE_HZ


async def _listen(
    socket: aiohttp.ClientWebSocketResponse, say: Callable[[str], None], may_send: asyncio.Event
) -> Spoken:
    was_on_air, reason = False, "the connection was lost"
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.TEXT:
            continue
        told: dict[str, Any] = message.json()
        match told.get("state"):
            case "refused":
                raise ApiError(str(told.get("message")))
            case "waiting":
                may_send.set()
                say(f"đang chờ tiếng nói / the loudspeakers listen; stream {told.get('stream')}")
            case "on_air":
                was_on_air = True
                say("ĐANG PHÁT / ON AIR")
            case "ended":
                reason = str(told.get("reason"))
    return Spoken(reason=reason, was_on_air=was_on_air)
