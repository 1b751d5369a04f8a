"""Brings the tables up to date when a controller starts; two that start at once do it once.

PostgreSQL is held by an advisory lock, SQLite by a lock file beside the database. A database that a newer
version has made is refused, not guessed at.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import URL, Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from controller.errors import DatabaseError

MIGRATIONS: Final = Path(__file__).parent / "migrations"
ADVISORY_LOCK: Final = 0x4C6F615861
"""The bytes of "LoaXa": one number that nothing else on the server should use."""
LOCK_S_MAX: Final = 60
"""An upgrade that another process is running is waited for so long."""
_LOCK_LOOK_S: Final = 0.1


async def upgrade(engine: AsyncEngine, url: URL) -> None:
    """Run the migrations that are missing; raises DatabaseError."""
    async with _alone(engine, url), engine.connect() as connection:
        await connection.run_sync(_upgrade)
        await connection.commit()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    stands_at = MigrationContext.configure(connection).get_current_revision()
    if stands_at is not None and stands_at not in known:
        raise DatabaseError(
            f"the database was made by a newer version (revision {stands_at}); install that, or restore a backup"
        )
    command.upgrade(config, "head")


@asynccontextmanager
async def _alone(engine: AsyncEngine, url: URL) -> AsyncIterator[None]:
    if url.get_backend_name() == "sqlite":
        async with _lock_file(Path(f"{url.database}.lock")):
            yield
        return
    async with engine.connect() as holder:
        await holder.execute(sa.text(f"SET lock_timeout = '{LOCK_S_MAX}s'"))
        await holder.execute(sa.select(sa.func.pg_advisory_lock(ADVISORY_LOCK)))
        try:
            yield
        finally:
            await holder.execute(sa.select(sa.func.pg_advisory_unlock(ADVISORY_LOCK)))


@asynccontextmanager
async def _lock_file(path: Path) -> AsyncIterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        for _ in range(round(LOCK_S_MAX / _LOCK_LOOK_S)):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(_LOCK_LOOK_S)
        else:
            raise DatabaseError(f"another process holds {path} for {LOCK_S_MAX} s; is a controller being upgraded?")
        yield
    finally:
        os.close(descriptor)
