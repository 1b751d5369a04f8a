"""Carries commits to the database, in order, several in one transaction when they pile up.

A fsync costs the same for one report and for sixty; so what waits is written together, and each commit is
answered by itself. A batch that fails is tried commit by commit, so that one bad change spoils only its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from controller.effects import Commit
from controller.errors import DatabaseError
from controller.events import CommitFailed, Committed
from controller.ports import Database

BATCH_MAX: Final = 64
"""Commits in one transaction: few enough that an emergency behind them waits under 20 ms on an SD card."""


class CommitWriter:
    """One task, one queue; the ledger bounds how much may wait."""

    def __init__(self, database: Database, answer: Callable[[Committed | CommitFailed], None]) -> None:
        self._database = database
        self._answer = answer
        self._queue: asyncio.Queue[Commit] = asyncio.Queue()

    def put(self, commit: Commit) -> None:
        """Queue a commit."""
        self._queue.put_nowait(commit)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            batch = [await self._queue.get()]
            while len(batch) < BATCH_MAX and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            await self._write(batch)

    async def finish(self) -> None:
        """Write what still waits; for the end of the process, after `run` was cancelled."""
        while not self._queue.empty():
            await self._write([self._queue.get_nowait()])

    async def _write(self, batch: list[Commit]) -> None:
        try:
            await self._database.commit([change for commit in batch for change in commit.changes])
        except DatabaseError as error:
            if len(batch) == 1:
                self._answer(CommitFailed(number=batch[0].number, reason=str(error)))
                return
            for commit in batch:
                await self._write([commit])
            return
        for commit in batch:
            self._answer(Committed(number=commit.number))
