"""Takes in what the site needs to sound: files, recordings of the library, texts that are spoken; one after another.

Each source is asked for once; a text again when voices or words have changed, a recording again while the library
has it not. What comes of each is told as an event. Nothing here waits: the work is done in a thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

from controller.errors import MediaError, SpeechError
from controller.events import MediaPrepared, MediaRefused
from controller.ports import ImportMedia
from controller.programmes.sources import TEXT_KEYS, FileSource, MediaSource, Source, TextSource
from protocol.messages import MediaReference

log = logging.getLogger("controller")

Say = Callable[[str, str], MediaReference]
"""A text in a language as media of the store. Blocks; raises MediaError, SpeechError."""
Recording = Callable[[str], MediaReference | None]
"""A recording of the library by its content."""


class Preparing:
    """One process's sources. `say` and `recording` are set by whoever has a voice and keeps the library."""

    def __init__(self, import_media: ImportMedia) -> None:
        self.take_in: Final = import_media
        """How a file becomes media of the store."""
        self._wanted = asyncio.Queue[Source]()
        self._done: set[str] = set()
        self.ready: dict[str, MediaReference] = {}
        """What the store holds, by the source's key."""
        self.say: Say = _mute
        self.recording: Recording = lambda _: None

    def want(self, sources: Iterable[Source]) -> None:
        """Take these in too, in this order."""
        for source in sources:
            if source.key not in self._done:
                self._wanted.put_nowait(source)

    def speak_again(self) -> None:
        """Texts sound otherwise from now on; those that are wanted after this are spoken anew."""
        self._done = {key for key in self._done if not key.startswith(TEXT_KEYS)}

    def forget(self, sha256s: AbstractSet[str]) -> None:
        """The files of these contents are gone: whoever wants their sources again has them made again."""
        keys = {key for key, media in self.ready.items() if media.sha256 in sha256s}
        self._done -= keys
        for key in keys:
            del self.ready[key]

    async def run(self, tell: Callable[[MediaPrepared | MediaRefused], None]) -> None:
        """Work until cancelled."""
        while True:
            source = await self._wanted.get()
            if source.key not in self._done:
                self._done.add(source.key)
                tell(await self._prepare(source))

    async def _prepare(self, source: Source) -> MediaPrepared | MediaRefused:
        key = source.key
        try:
            media = self.ready[key] = await self._media(source)
            return MediaPrepared(path=key, media=media)
        except (MediaError, SpeechError) as error:
            return MediaRefused(path=key, reason=str(error))
        except Exception as error:
            log.exception("the import of %s failed", key)
            return MediaRefused(path=key, reason=f"{key}: the import failed ({type(error).__name__}: {error})")

    async def _media(self, source: Source) -> MediaReference:
        match source:
            case FileSource(path=path):
                return await asyncio.to_thread(self.take_in, Path(path))
            case TextSource(text=text, language=language):
                return await asyncio.to_thread(self.say, text, language)
            case MediaSource(sha256=sha256):
                found = self.recording(sha256)
                if found is None:
                    self._done.discard(source.key)
                    raise SpeechError(f"the recording {sha256[:16]}… is not in the library; add it again")
                return found


def _mute(_text: str, language: str) -> MediaReference:
    raise SpeechError(f"this controller has no voice for texts in {language!r}")
