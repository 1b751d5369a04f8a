"""Databases for the contract suites: SQLite, and a real PostgreSQL of their own; and a broker with its links."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from controller.adapters.database import SqlDatabase, open_database
from simulator.demo.broker import free_port
from tests.support.link_bench import Bench, link_bench
from tests.support.pki import DevelopmentKeys

POSTGRES_S_MAX = 30


def binaries() -> Path:
    """Debian's PostgreSQL, the newest version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    assert found, "PostgreSQL is not installed: apt-get install postgresql"
    return found[-1].parent


def unprivileged() -> list[str]:
    """PostgreSQL refuses to run as root."""
    return ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster of its own on a free port of loopback; its URL."""
    folder = Path("/tmp") / f"loaxa-postgresql-{os.getpid()}"  # noqa: S108 - another user must reach it
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    data, port = folder / "data", free_port()
    log = tmp_path_factory.mktemp("postgresql") / "log"

    def run(*command: str) -> None:
        with log.open("ab") as out:
            subprocess.run(
                [*unprivileged(), *command], check=True, stdout=out, stderr=out, timeout=POSTGRES_S_MAX, cwd="/"
            )

    control = str(binaries() / "pg_ctl")
    try:
        run(str(binaries() / "initdb"), "-D", str(data), "-U", "loaxa", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-p {port} -h 127.0.0.1 -k {folder}"
        run(control, "-D", str(data), "-o", options, "-l", str(folder / "server.log"), "-w", "start")
        yield f"postgresql://loaxa@127.0.0.1:{port}/postgres"
        run(control, "-D", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture
async def emptied(postgresql: str) -> str:
    """The cluster without tables."""
    psql = [str(binaries() / "psql"), postgresql, "-qc", "DROP SCHEMA public CASCADE; CREATE SCHEMA public"]
    await asyncio.to_thread(subprocess.run, psql, check=True, capture_output=True, timeout=POSTGRES_S_MAX)
    return postgresql


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state/controller.sqlite"
    return str(request.getfixturevalue("emptied"))


@pytest_asyncio.fixture
async def database(url: str) -> AsyncIterator[SqlDatabase]:
    opened = await open_database(url)
    yield opened
    await opened.close()


@pytest.fixture(params=["fake", "real"])
def kind(request: pytest.FixtureRequest) -> str:
    """Whether links and broker are the simulated ones."""
    return str(request.param)


@pytest_asyncio.fixture
async def bench(kind: str, tmp_path: Path, pki: DevelopmentKeys) -> AsyncIterator[Bench]:
    """A broker that keeps nothing over its restart."""
    async with link_bench(kind, tmp_path / "broker", pki, is_persistent=False) as running:
        yield running
