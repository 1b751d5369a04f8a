"""A media library on a real database and a real folder; recordings are decoded here, not in a process of their own."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from controller.adapters.database import SqlDatabase, open_database
from controller.adapters.media.catalogue_store import CatalogueStore
from controller.adapters.media.library import MediaLibrary
from controller.adapters.media_import import Imported, ImportSettings, OnProgress, take_in
from controller.errors import MediaError
from controller.media.catalogue import OriginKind
from controller.media.intake import Intake
from controller.media.media_config import MediaConfig
from controller.media.refusal import RefusalCode, refusal
from tests.support.recordings import noise, write_wav
from tests.support.waiting import until

NOW_MS = 1_770_000_000_000


@dataclass(slots=True)
class ImportHere:
    """`intakes.Importing` in the calling thread; can be held until told."""

    media_dir: Path
    settings: ImportSettings = field(default_factory=ImportSettings)
    may_go_on: threading.Event = field(default_factory=threading.Event)
    taken: list[Path] = field(default_factory=list)
    is_closed: bool = False

    def __post_init__(self) -> None:
        self.may_go_on.set()

    def take_in(self, source: Path, on_progress: OnProgress | None = None) -> Imported:
        self.taken.append(source)
        assert self.may_go_on.wait(30)
        if self.is_closed:  # as a process is killed in the middle
            why = refusal(RefusalCode.TOO_HARD, found="closed")
            raise MediaError(str(why), why)
        return take_in(source, media_dir=self.media_dir, settings=self.settings, on_progress=on_progress)

    def use_settings(self, settings: ImportSettings) -> None:
        self.settings = settings

    def close(self) -> None:
        self.is_closed = True
        self.may_go_on.set()


@dataclass(slots=True)
class LibraryWorld:
    """What a library stands on, and what outlives it."""

    folder: Path
    config: MediaConfig = field(default_factory=lambda: MediaConfig(free_bytes_min=0))
    now_ms: int = NOW_MS
    uses: dict[str, tuple[str, ...]] = field(default_factory=dict)
    importing: ImportHere = field(init=False)

    def __post_init__(self) -> None:
        self.media_dir.mkdir(parents=True, exist_ok=True)
        self.importing = ImportHere(self.media_dir)

    @property
    def media_dir(self) -> Path:
        return self.folder / "media"

    def clock(self) -> int:
        return self.now_ms

    async def database(self) -> SqlDatabase:
        return await open_database(f"sqlite:///{self.folder / 'library.sqlite'}")

    def made(self, database: SqlDatabase) -> MediaLibrary:
        """One that is not opened yet."""
        if self.importing.is_closed:
            self.importing = ImportHere(self.media_dir)
        return MediaLibrary(
            media_dir=self.media_dir,
            store=CatalogueStore(database),
            importing=self.importing,
            config=self.config,
            uses=lambda sha256: self.uses.get(sha256, ()),
            clock=self.clock,
            retry_s=0.01,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[MediaLibrary]:
        """A library from its start to its end; a second one finds what the first has left."""
        database = await self.database()
        try:
            library = self.made(database)
            await library.open()
            async with library.running():
                yield library
        finally:
            await database.close()

    def intake(self, data: bytes, **more: object) -> Intake:
        """What a sender says before the bytes."""
        plain: dict[str, object] = {
            "id": "",
            "kind": OriginKind.UPLOAD,
            "area": "xa",
            "title": "Bản tin",
            "licence": "",
            "name": "tin.wav",
            "by": "lan",
            "address": "192.0.2.7",
            "begun_at_ms": self.now_ms,
            "changed_at_ms": self.now_ms,
            "size_bytes": len(data),
        }
        return Intake(**{**plain, **more})  # type: ignore[arg-type]  # each key stands in the struct


async def pieces_of(*pieces: bytes) -> AsyncIterator[bytes]:
    """A body in pieces."""
    for piece in pieces:
        yield piece


async def finished(library: MediaLibrary, name: str) -> Intake:
    """The intake once nothing more happens to it."""
    await until(lambda: library.intakes.intake(name).is_finished, seconds=30)
    return library.intakes.intake(name)


def recording(folder: Path, *, seed: int = 1, seconds: float = 1.0, dbfs: float = -30.0) -> bytes:
    """A sound file that is taken: each seed another one."""
    return write_wav(folder / "made.wav", np.tile(noise(0.5, dbfs, seed), round(seconds * 2))).read_bytes()
