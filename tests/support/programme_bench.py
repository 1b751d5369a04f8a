"""The desks of programmes and bulletins on a real database, over a controller's desk whose sounds are made at once."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from controller.adapters.database import SqlDatabase, open_database
from controller.adapters.media_import import import_media
from controller.adapters.people.store import PeopleStore
from controller.adapters.programme_office import BulletinDesk, ProgrammeDesk
from controller.adapters.speech import EspeakVoice, SpokenMedia
from controller.events import MediaPrepared, MediaRefused, ProgrammesChanged
from controller.people.audit import Act
from controller.programmes.bulletin import Bulletin
from controller.programmes.programme import Programme
from controller.programmes.sources import FileSource, MediaSource, Source, TextSource
from controller.programmes.speech import SpeechConfig
from controller.web.bulletins_api import add_bulletins_api
from controller.web.exchange_api import add_exchange_api
from controller.web.programmes_api import add_programmes_api
from protocol.messages import MediaReference, Occurrence
from tests.support.controller_desk import DeskWorld
from tests.support.pki import DevelopmentKeys

CHARACTERS_PER_S = 12
"""How fast a text is read, about."""
RECORDING = MediaReference(sha256="d" * 64, size_bytes=50_000, duration_ms=30_000)


def sound_of(source: TextSource) -> MediaReference:
    """What would be made of a text: its own content, and as long as it is to be read."""
    seconds = 1 + len(source.text) // CHARACTERS_PER_S
    return MediaReference(
        sha256=hashlib.sha256(source.key.encode()).hexdigest(), size_bytes=8_000 * seconds, duration_ms=1_000 * seconds
    )


@dataclass(kw_only=True)
class ProgrammeBench:
    """Both desks, and what the controller's desk made of what they told it."""

    world: DeskWorld
    database: SqlDatabase
    folder: Path
    library: dict[str, MediaReference] = field(default_factory=lambda: {RECORDING.sha256: RECORDING})
    library_areas: dict[str, str] = field(default_factory=dict)
    """Where a recording is kept; one that is not here is kept everywhere."""
    is_silent: bool = False
    """While set nothing is prepared."""

    def __post_init__(self) -> None:
        self.programmes = ProgrammeDesk(
            self.database,
            site=lambda: self.world.desk.site,
            tell=self.tell,
            is_recorded=self.is_recorded,
            clock=lambda: self.world.now.shared_ms,
        )
        self.bulletins = BulletinDesk(
            self.database,
            site=lambda: self.world.desk.site,
            tell=self.tell,
            is_recorded=self.is_recorded,
            clock=lambda: self.world.now.shared_ms,
        )
        self.spoken = SpokenMedia(
            voice=EspeakVoice("espeak-ng"),
            config=SpeechConfig,
            import_media=functools.partial(import_media, media_dir=self.folder),
            media_dir=self.folder,
        )

    def is_recorded(self, sha256: str, areas: Sequence[str]) -> bool:
        """Whether it is in the library, for everybody or for one of these areas."""
        return sha256 in self.library and self.library_areas.get(sha256, areas[0]) in areas

    async def restart(self) -> None:
        """The process is killed and started again: everything comes from the database."""
        self.world.restart()
        standing = await self.programmes.store.standing()
        self.tell({each.paper.id: each.paper for each in standing}, await self.bulletins.airing())

    def tell(self, programmes: Mapping[str, Programme | None], bulletins: Mapping[str, Bulletin | None]) -> None:
        """As the runtime does: the desk hears of it, and what is to sound is prepared."""
        self.world.post(ProgrammesChanged(programmes=programmes, bulletins=bulletins))
        if not self.is_silent:
            self.prepare()

    def prepare(self) -> None:
        """Make every sound that the site needs."""
        shelf = self.world.desk.shelf
        for source in list(self.world.desk.site.sources):
            if source.key not in shelf.ready and not isinstance(source, FileSource):
                self.world.post(self._made(source))

    def occurrences(self, area: str) -> tuple[Occurrence, ...]:
        """What the plan that stands says."""
        self.world.advance(1_000)
        plan = self.world.desk.plan(area)
        assert plan is not None
        return plan.occurrences

    def titles(self, area: str) -> set[str]:
        """What the plan that stands names."""
        return {each.title for each in self.occurrences(area)}

    async def acts(self) -> list[Act]:
        """What was put on record, the oldest first."""
        log = await PeopleStore(self.database).audit_latest(limit=100)
        return [each.entry.act for each in reversed(log)]

    def add_routes(self, application: web.Application) -> None:
        """Hang both APIs on a console."""
        add_programmes_api(application, self.programmes)
        add_bulletins_api(application, self.bulletins, self.spoken)
        add_exchange_api(application)

    def _made(self, source: Source) -> MediaPrepared | MediaRefused:
        if isinstance(source, TextSource):
            return MediaPrepared(path=source.key, media=sound_of(source))
        assert isinstance(source, MediaSource)
        found = self.library.get(source.sha256)
        if found is None:
            return MediaRefused(path=source.key, reason="the recording is gone")
        return MediaPrepared(path=source.key, media=found)


@asynccontextmanager
async def programme_bench(pki: DevelopmentKeys, folder: Path) -> AsyncIterator[ProgrammeBench]:
    """A commune with its own morning programme; its database is empty."""
    world = DeskWorld(pki)
    world.begin()
    database = await open_database(f"sqlite:///{folder}/programmes.sqlite")
    try:
        yield ProgrammeBench(world=world, database=database, folder=folder)
    finally:
        await database.close()
