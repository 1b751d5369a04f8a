"""The real console application over a desk in a small world, on a free port of loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from controller.adapters.database import SqlDatabase
from controller.config import ConsoleListenerConfig
from controller.dispatch import Desk
from controller.effects import Answer
from controller.ports import AiringQuestion, AiringRow
from controller.records import StoredReport
from controller.requests import Request
from controller.views import StatusView
from controller.web.api import add_api
from controller.web.console import console_application
from controller.web.listeners import open_listener
from controller.web.page import add_page
from protocol.messages import AiringRecord
from simulator.demo.broker import free_port
from tests.support.controller_desk import DeskWorld

TOKEN = "a-token-for-tests-only"


class WorldConsole:
    """`web.console.Console` over a `DeskWorld`; airing records come from its memory, or from a database."""

    def __init__(self, world: DeskWorld, database: SqlDatabase | None = None) -> None:
        self.world = world
        self._database = database

    @property
    def desk(self) -> Desk:
        return self.world.desk

    def status(self) -> StatusView:
        return self.world.desk.status(self.world.now)

    async def ask(self, request: Request) -> Answer:
        return self.world.ask(request)

    async def airings(self, question: AiringQuestion) -> list[AiringRow]:
        if self._database is not None:
            return await self._database.airings(question)
        stored = reversed(self.world.memory.of(StoredReport))
        reports = [each for each in stored if isinstance(each.record, AiringRecord)]
        rows = [AiringRow(row=len(reports) - index, report=each) for index, each in enumerate(reports)]
        wanted = [row for row in rows if question.node in {None, row.report.node}]
        return [row for row in wanted if question.before is None or row.row < question.before][: question.limit]


@asynccontextmanager
async def served(console: WorldConsole, *, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """The console's address while the block runs."""
    port = free_port()
    listener = ConsoleListenerConfig(token_file="unused", host=host, port=port)
    application = console_application(console, token=TOKEN, listener=listener)
    add_api(application)
    add_page(application)
    runner = await open_listener(application, host=host, port=port, key="http.console")
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
