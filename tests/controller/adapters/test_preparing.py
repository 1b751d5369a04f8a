"""Sources become media one after another, once each; what may change is asked for again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from controller.adapters.preparing import Preparing
from controller.errors import SpeechError
from controller.events import MediaPrepared, MediaRefused
from controller.programmes.sources import FileSource, MediaSource, TextSource
from protocol.messages import MediaReference
from tests.support.waiting import until

SONG = MediaReference(sha256="a" * 64, size_bytes=10, duration_ms=1_000)
TEXT = TextSource(text="Xin chào", language="vi")
RECORDED = MediaSource(sha256="b" * 64)


class Studio:
    """Makes sounds, counts how often, and never two at a time."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.told: list[MediaPrepared | MediaRefused] = []
        self.library: dict[str, MediaReference] = {}
        self._busy = threading.Lock()
        self.preparing = Preparing(self.take_in)
        self.preparing.say = self.say
        self.preparing.recording = self.library.get

    def take_in(self, path: Path) -> MediaReference:
        assert self._busy.acquire(blocking=False), "two at a time"
        self.made.append(str(path))
        self._busy.release()
        if "broken" in str(path):
            raise ValueError("something nobody foresaw")
        return SONG

    def say(self, text: str, language: str) -> MediaReference:
        self.made.append(f"{language}: {text}")
        if language != "vi":
            raise SpeechError("no voice")
        return SONG

    async def heard(self, count: int) -> list[MediaPrepared | MediaRefused]:
        await until(lambda: len(self.told) >= count, seconds=10, what=f"{count} answers, so far {self.told}")
        return self.told


@pytest_asyncio.fixture
async def studio() -> AsyncIterator[Studio]:
    made = Studio()
    task = asyncio.create_task(made.preparing.run(made.told.append))
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_each_source_is_made_once_in_order(studio: Studio) -> None:
    file = FileSource(path="/a.mp3")
    studio.preparing.want([file, TEXT, file])
    studio.preparing.want([TEXT])
    told = await studio.heard(2)
    assert told == [MediaPrepared(path="/a.mp3", media=SONG), MediaPrepared(path=TEXT.key, media=SONG)]
    studio.preparing.want([file, FileSource(path="/b.mp3")])
    await studio.heard(3)
    assert studio.made == ["/a.mp3", "vi: Xin chào", "/b.mp3"]
    assert set(studio.preparing.ready) == {"/a.mp3", TEXT.key, "/b.mp3"}


async def test_texts_are_spoken_anew_when_the_voice_has_changed(studio: Studio) -> None:
    studio.preparing.want([TEXT])
    await studio.heard(1)
    studio.preparing.speak_again()
    studio.preparing.want([TEXT])
    await studio.heard(2)
    assert studio.made == ["vi: Xin chào"] * 2


async def test_a_sound_that_was_let_go_is_made_again(studio: Studio) -> None:
    studio.preparing.want([TEXT])
    await studio.heard(1)
    studio.preparing.forget({"f" * 64})
    assert TEXT.key in studio.preparing.ready
    studio.preparing.forget({SONG.sha256})
    assert studio.preparing.ready == {}
    studio.preparing.want([TEXT])
    await studio.heard(2)


async def test_a_recording_is_asked_for_until_the_library_has_it(studio: Studio) -> None:
    studio.preparing.want([RECORDED])
    [refused] = await studio.heard(1)
    assert isinstance(refused, MediaRefused)
    assert "not in the library" in refused.reason
    studio.library[RECORDED.sha256] = SONG
    studio.preparing.want([RECORDED])
    assert (await studio.heard(2))[-1] == MediaPrepared(path=RECORDED.key, media=SONG)


async def test_what_fails_is_told_and_the_next_is_made(studio: Studio) -> None:
    foreign = TextSource(text="hello", language="xx")
    studio.preparing.want([FileSource(path="/broken.mp3"), foreign, TEXT])
    broken, unspoken, spoken = await studio.heard(3)
    assert isinstance(broken, MediaRefused)
    assert "ValueError: something nobody foresaw" in broken.reason
    assert unspoken == MediaRefused(path=foreign.key, reason="no voice")
    assert isinstance(spoken, MediaPrepared)
