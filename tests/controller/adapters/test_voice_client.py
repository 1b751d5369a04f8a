"""The command's side of a live voice: which sound is taken, how it is paced, what a person is told."""

from __future__ import annotations

import io
import os
import time
import wave
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import pytest_asyncio

from controller.adapters.api_client import ApiClient
from controller.adapters.voice_client import BLOCK_BYTES, Sound, Spoken, open_sound, speak
from controller.configuration.config import ConsoleListenerConfig
from controller.errors import ApiError
from protocol.adapters.system_clock import read_now
from tests.support.controller_console import TOKEN, WorldConsole, served
from tests.support.controller_desk import DeskWorld
from tests.support.pki import DevelopmentKeys

TONE = (np.sin(np.arange(48_000) * 0.05) * 8_000).astype("<i2").tobytes()
TALK = {"area": "dong", "title": "Thông báo"}


def wav(data: bytes, *, rate: int = 48_000, channels: int = 1, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(channels)
        written.setsampwidth(width)
        written.setframerate(rate)
        written.writeframes(data)
    return file.getvalue()


def whole(sound: Sound) -> bytes:
    return b"".join(iter(sound.read, b""))


def piped(data: bytes) -> Sound:
    return Sound(io.BytesIO(data), "standard input", is_live=True)


class Unseekable(io.RawIOBase):
    """A pipe, which gives as little as it likes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # a test's own pipe
        found = self._data[: min(7, len(buffer))]
        self._data = self._data[len(found) :]
        buffer[: len(found)] = found
        return len(found)


@pytest.mark.parametrize("is_wav", [True, False])
def test_a_file_and_a_pipe_give_the_same_sound(tmp_path: Path, *, is_wav: bool) -> None:
    data = wav(TONE) if is_wav else TONE
    (tmp_path / "talk").write_bytes(data)
    with open_sound(str(tmp_path / "talk"), io.BytesIO()) as sound:
        assert whole(sound) == TONE
    with open_sound("-", io.BufferedReader(Unseekable(data))) as sound:
        assert whole(sound) == TONE


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (wav(TONE, rate=44_100), "44100 Hz"),
        (wav(TONE, channels=2), "2 channels"),
        (wav(TONE, width=1), "8 bits"),
        (b"RIFFrubbish", "no WAV file"),
    ],
)
def test_other_sound_is_refused_with_what_to_do(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "talk.wav").write_bytes(data)
    with pytest.raises(ApiError, match=says) as refused, open_sound(str(tmp_path / "talk.wav"), io.BytesIO()):
        pass
    assert "ffmpeg" in str(refused.value)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ApiError, match=r"/none\.wav cannot be read"), open_sound("/none.wav", io.BytesIO()):
        pass


def test_waiting_for_a_pipe_that_says_nothing_can_be_ended() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as pipe, os.fdopen(write_end, "wb") as said, open_sound("-", pipe) as sound:
        said.write(TONE[:BLOCK_BYTES])
        said.flush()
        assert sound.read() == TONE[:BLOCK_BYTES]
        with ThreadPoolExecutor() as pool:
            waits = pool.submit(sound.read)
            with pytest.raises(TimeoutError):
                waits.result(timeout=0.3)
            sound.stop()
            assert waits.result(timeout=5) == b""


@pytest_asyncio.fixture
async def console(pki: DevelopmentKeys) -> AsyncIterator[tuple[WorldConsole, ApiClient]]:
    world = DeskWorld(pki, at_ms=read_now().shared_ms, voice={"lead_in_ms": 0})
    world.begin()
    made = WorldConsole(world)
    async with served(made) as address:
        port = urlsplit(address).port
        listener = ConsoleListenerConfig(token_file="unused", port=port or 0)
        yield made, ApiClient(listener, TOKEN)


async def test_a_file_is_spoken_in_its_own_time(console: tuple[WorldConsole, ApiClient], tmp_path: Path) -> None:
    made, client = console
    (tmp_path / "talk.wav").write_bytes(wav(TONE))
    said: list[str] = []
    begun_s = time.monotonic()
    with open_sound(str(tmp_path / "talk.wav"), io.BytesIO()) as sound:
        spoken = await speak(client, TALK, sound, say=said.append)
    assert spoken == Spoken(reason="hung up", was_on_air=True)
    assert time.monotonic() - begun_s >= 0.9
    assert len(made.published) == len(TONE) // BLOCK_BYTES
    assert [line.split(" / ")[1].split(";")[0] for line in said] == ["the loudspeakers listen", "ON AIR"]


async def test_silence_is_heard_by_nobody(console: tuple[WorldConsole, ApiClient]) -> None:
    made, client = console
    spoken = await speak(client, TALK, piped(bytes(19_200)), say=lambda _: None)
    assert spoken == Spoken(reason="hung up", was_on_air=False)
    assert made.published == []


async def test_refusals_are_told_in_their_own_words(console: tuple[WorldConsole, ApiClient]) -> None:
    _, client = console
    with pytest.raises(ApiError, match="known areas: xa, dong, doai"):
        await speak(client, {**TALK, "area": "tay"}, piped(TONE), say=lambda _: None)
    stranger = ApiClient(ConsoleListenerConfig(token_file="unused", port=client._port), "wrong")
    with pytest.raises(ApiError, match="Authorization: Bearer"):
        await speak(stranger, TALK, piped(TONE), say=lambda _: None)


async def test_a_pipe_that_gives_other_sound_is_told_of_and_ends_the_voice(
    console: tuple[WorldConsole, ApiClient],
) -> None:
    made, client = console
    with pytest.raises(ApiError, match="22050 Hz"):
        await speak(client, TALK, piped(wav(TONE, rate=22_050)), say=lambda _: None)
    assert [each.state.value for each in made.status().relays] == ["ended"]


async def test_a_controller_that_does_not_run_is_named() -> None:
    client = ApiClient(ConsoleListenerConfig(token_file="unused", port=1), TOKEN)
    with pytest.raises(ApiError, match="no controller answers"):
        await speak(client, TALK, piped(TONE), say=lambda _: None)
