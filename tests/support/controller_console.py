"""The real console application over a desk in a small world, with a database for its people, on a free port."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from controller.adapters.database import SqlDatabase, open_database
from controller.adapters.people.passwords import PasswordCost, Passwords
from controller.adapters.relay.voice_worker import VoiceWorker
from controller.adapters.reporting.tally_store import TallyStore
from controller.configuration.config import ConsoleListenerConfig
from controller.dispatch import Desk
from controller.effects import Answer
from controller.events import RelayNews
from controller.people.audit import Act, Actor
from controller.people.model import SessionLimits
from controller.people.rights import Grant, Principal, Role
from controller.ports import AiringQuestion, AiringRow
from controller.records import StoredReport
from controller.reporting.questions import Tallies
from controller.requests import Request
from controller.streams.relay import RelayEvent
from controller.views import StatusView
from controller.web.console_start import full_console
from controller.web.listeners import open_listener
from controller.web.parts import ConsoleSettings
from controller.web.people_parts import PeopleParts, clock, people_parts
from controller.web.quiet_connections import QuietLimits
from controller.web.reports import add_reports
from protocol.adapters.system_clock import read_now
from protocol.messages import AiringRecord
from simulator.demo.broker import free_port
from tests.support.controller_desk import DeskWorld, closed, voiced

TOKEN = "a-token-for-tests-only"
CHEAP = PasswordCost(memory_kib=8, passes=1, lanes=1)
"""A hash costs nothing here; what it costs in earnest has its own test."""
LIMITS = SessionLimits(idle_ms=3_600_000, absolute_ms=12 * 3_600_000)
FILE_TOKEN = Principal(
    name="service/file",
    grants=frozenset({Grant(role=Role.OPERATOR), Grant(role=Role.TECHNICIAN)}),
    acts_alone=True,
)


class WorldConsole:
    """`web.parts.Console` over a `DeskWorld`; airing records come from its memory, or from a database."""

    def __init__(self, world: DeskWorld, database: SqlDatabase | None = None) -> None:
        self.world = world
        self.published: list[tuple[str, bytes]] = []
        self.workers: dict[str, VoiceWorker] = {}
        self._database = database

    @property
    def desk(self) -> Desk:
        return self.world.desk

    def status(self) -> StatusView:
        return self.world.desk.status(self.world.now)

    async def ask(self, request: Request, *, by: Actor) -> Answer:
        return self.world.ask(request, by=by)

    def inlet(self, stream: str) -> VoiceWorker:
        """A real worker for a voice that the desk has begun; what it publishes is kept."""
        [voice] = [each for each in voiced(self.world.effects) if each.stream == stream]
        worker = VoiceWorker(
            config=self.world.config.voice,
            voice=voice,
            publish=lambda at, payload: self.published.append((at, payload)),
            read_now=read_now,
            on_event=lambda news: self._told(stream, news),
        )
        worker.start()
        self.workers[stream] = worker
        return worker

    def _told(self, stream: str, news: RelayEvent) -> None:
        for ended in closed(self.world.post(RelayNews(stream=stream, news=news))):
            if ended in self.workers:
                self.workers[ended].hang_up("stopped")

    async def airings(self, question: AiringQuestion) -> list[AiringRow]:
        if self._database is not None:
            return await self._database.airings(question)
        stored = reversed(self.world.memory.of(StoredReport))
        reports = [each for each in stored if isinstance(each.record, AiringRecord)]
        rows = [AiringRow(row=len(reports) - index, report=each) for index, each in enumerate(reports)]
        wanted = [row for row in rows if question.node in {None, row.report.node}]
        wanted = [row for row in wanted if question.nodes is None or row.report.node in question.nodes]
        return [row for row in wanted if question.before is None or row.row < question.before][: question.limit]


class MovedClock:
    """The present, moved on by hand."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def __call__(self) -> int:
        return clock() + self.ahead_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A console that is served, and what lies behind it."""

    address: str
    people: PeopleParts
    world: DeskWorld
    clock: MovedClock

    @property
    def acts(self) -> list[Act]:
        """What the desk put on record."""
        return self.world.memory.acts


@asynccontextmanager
async def served_place(
    console: WorldConsole,
    *,
    host: str = "127.0.0.1",
    origin: str = "",
    cost: PasswordCost = CHEAP,
    limits: SessionLimits = LIMITS,
    quiet: QuietLimits | None = None,
    add_more: Callable[[web.Application], None] = lambda _: None,
    tallies: Tallies | None = None,
) -> AsyncIterator[Place]:
    """The console while the block runs; browsers reach it as http://localhost, for passkeys know no addresses."""
    port, now = free_port(), MovedClock()
    listener = ConsoleListenerConfig(token_file="unused", host=host, port=port, origin=origin)
    with tempfile.TemporaryDirectory() as folder:
        database = await open_database(f"sqlite:///{Path(folder) / 'people.sqlite'}")
        people = people_parts(
            database, listener=listener, key=bytes(32), limits=limits, passwords=Passwords(cost), now=now
        )
        settings = ConsoleSettings(listener=listener, token=TOKEN, file_token=FILE_TOKEN, step_up_ms=600_000)
        application = full_console(console, settings=settings, people=people)
        add_reports(application, tallies or TallyStore(database))
        add_more(application)
        runner = await open_listener(
            application, host=host, port=port, key="http.console", quiet=quiet or QuietLimits()
        )
        try:
            yield Place(address=f"http://localhost:{port}", people=people, world=console.world, clock=now)
        finally:
            await runner.cleanup()
            await database.close()


@asynccontextmanager
async def served(console: WorldConsole, *, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """The console's address while the block runs."""
    async with served_place(console, host=host) as place:
        yield place.address.replace("localhost", host)
