"""The database port on SQLAlchemy: SQLite by default, PostgreSQL by its URL.

Rules kept: a commit returns only when a power cut cannot take it back (SQLite: WAL with synchronous=FULL;
PostgreSQL: its default, synchronous_commit=on); all changes of a commit or none; storing a report twice stores it
once. Every library exception leaves here as a DatabaseError that names the database without its password.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from controller.adapters import database_tables as tables
from controller.adapters.audit_store import append
from controller.adapters.database_upgrade import upgrade
from controller.adapters.reporting.counting import StoredRow, count_presence, count_stored
from controller.errors import DatabaseError
from controller.people.audit import Act
from controller.ports import AIRINGS_MAX, AiringQuestion, AiringRow
from controller.records import (
    Change,
    CounterUsed,
    EmergencyRecord,
    EmergencyState,
    Kept,
    NodeSeen,
    PresenceSpan,
    RelayRecord,
    RelayState,
    ReportGap,
    ReportHead,
    Row,
    StandingDocument,
    StoredReport,
    WithdrawnDocument,
)
from protocol.messages import LOOSE_FROM, AiringRecord, Readiness, Record
from protocol.topics import TopicName, parse_topic

DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
BUSY_S_MAX: Final = 10
"""How long a writer waits for another process (a backup, `sqlite3` by hand)."""
POOL: Final = 4
"""Connections to PostgreSQL: one writer, the rest for questions."""
ENDED_KEPT: Final = 50
"""Ended emergencies and relays that are loaded to be shown."""
LOOSE_KNOWN_MAX: Final = 10_000
"""Loose reports that are known again after a restart, the latest ones: a few nodes with dead cards send some a day."""
FOREIGN: Final = (SQLAlchemyError, OSError, sqlite3.Error, OverflowError, ValueError)
"""What the libraries below were seen to raise; values that a driver cannot carry are the last two."""


class SqlDatabase:
    """`ports.Database`; made by `open_database`."""

    def __init__(self, engine: AsyncEngine, name: str) -> None:
        self._engine = engine
        self._name = name
        self._insert: Any = sqlite.insert if engine.dialect.name == "sqlite" else postgresql.insert

    async def load(self) -> Kept:
        """Everything that the desk begins with."""
        async with self.connection() as connection:
            heads = [ReportHead(**row) for row in await _rows(connection, sa.select(tables.HEADS))]
            emergencies = await self._latest(connection, tables.EMERGENCIES, EmergencyRecord, "raised_at_ms")
            return Kept(
                documents=tuple(
                    [StandingDocument(**row) for row in await _rows(connection, sa.select(tables.DOCUMENTS))]
                ),
                counters=tuple([CounterUsed(**row) for row in await _rows(connection, sa.select(tables.COUNTERS))]),
                emergencies=tuple(emergencies),
                relays=tuple(await self._latest(connection, tables.RELAYS, RelayRecord, "starts_at_ms")),
                heads=tuple(heads),
                reports_beyond_heads=tuple(await self._beyond(connection)),
                emergency_reports=tuple(await self._about(connection, [record.id for record in emergencies])),
                nodes=tuple(
                    [
                        NodeSeen(**{**row, "state": Readiness(row["state"])})
                        for row in await _rows(connection, sa.select(tables.NODES))
                    ]
                ),
            )

    async def commit(self, changes: Sequence[Change]) -> None:
        """Keep all changes or none; what reports count for is kept with them."""
        reports = [change for change in changes if isinstance(change, StoredReport)]
        spans = [change for change in changes if isinstance(change, PresenceSpan)]
        async with self.connection() as connection, connection.begin():
            for change in changes:
                match change:
                    case Act():
                        await append(connection, change)
                    case StoredReport() | PresenceSpan():
                        continue
                    case _:
                        for statement in self._statements(change):
                            await connection.execute(statement)
            await count_stored(connection, self._insert, await self._store(connection, reports))
            await count_presence(connection, self._insert, spans)

    async def airings(self, question: AiringQuestion) -> list[AiringRow]:
        """Stored airing reports, newest first."""
        columns = tables.REPORTS.c
        wanted = sa.select(tables.REPORTS).where(columns.is_airing.is_(True)).order_by(columns.row.desc())
        if question.node is not None:
            wanted = wanted.where(columns.node == question.node)
        if question.nodes is not None:
            wanted = wanted.where(columns.node.in_(question.nodes))
        if question.before is not None:
            wanted = wanted.where(columns.row < question.before)
        async with self.connection() as connection:
            rows = await _rows(connection, wanted.limit(max(1, min(question.limit, AIRINGS_MAX))))
            return [AiringRow(row=row["row"], report=_report(row)) for row in rows]

    async def gaps(self) -> list[ReportGap]:
        """What is known of reports that never came or contradict one another, the latest first."""
        wanted = sa.select(tables.GAPS).order_by(tables.GAPS.c.noticed_at_ms.desc()).limit(AIRINGS_MAX)
        async with self.connection() as connection:
            return [ReportGap(**row) for row in await _rows(connection, wanted)]

    async def close(self) -> None:
        """Let go of the database."""
        await self._engine.dispose()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """A connection for one question or one transaction, also for another store on this database."""
        try:
            async with self._engine.connect() as connection:
                yield connection
        except FOREIGN as error:
            raise DatabaseError(f"the database {self._name}: {_plain(error)}") from error

    async def _store(self, connection: AsyncConnection, reports: Sequence[StoredReport]) -> list[StoredRow]:
        """Keep reports; gives those that were not there already, for the first stays and nothing counts twice."""
        by_number = {(each.node, each.report_key, each.number): each for each in reversed(reports)}
        if not by_number:
            return []
        columns = tables.REPORTS.c
        insert = self._insert(tables.REPORTS).on_conflict_do_nothing()
        wanted = insert.returning(columns.row, columns.node, columns.report_key, columns.number)
        values = [_report_values(each) for each in reversed(by_number.values())]
        found: list[StoredRow] = []
        for row, *number in await connection.execute(wanted, values):
            report = by_number[number[0], number[1], number[2]]
            at_ms = report.received_at_ms
            found.append(StoredRow(row=row, node=report.node, received_at_ms=at_ms, record=report.record))
        return sorted(found, key=lambda each: each.row)

    def _statements(self, change: Row) -> list[sa.Executable]:
        match change:
            case StandingDocument():
                return [
                    self._upsert(tables.DOCUMENTS, _values(change)),
                    self._counter(change.key_id, change.topic, change.counter),
                ]
            case CounterUsed():
                return [self._counter(change.key_id, change.topic, change.counter)]
            case WithdrawnDocument(topic=topic):
                gone = [sa.delete(tables.DOCUMENTS).where(tables.DOCUMENTS.c.topic == topic)]
                if parse_topic(topic).name is TopicName.STREAM:  # a stream's id is never used again
                    gone.append(sa.delete(tables.COUNTERS).where(tables.COUNTERS.c.topic == topic))
                return [*gone]
            case EmergencyRecord():
                return [self._upsert(tables.EMERGENCIES, _body(change, "id", "state", "raised_at_ms"))]
            case RelayRecord():
                return [self._upsert(tables.RELAYS, _body(change, "stream", "state", "starts_at_ms"))]
            case ReportGap() | ReportHead():
                table = tables.GAPS if isinstance(change, ReportGap) else tables.HEADS
                return [self._upsert(table, _values(change))]
            case NodeSeen():
                return [self._upsert(tables.NODES, {**_values(change), "state": change.state.value})]
            case StoredReport() | PresenceSpan():
                raise AssertionError("reports and presence are counted, not replaced")

    def _upsert(self, table: sa.Table, values: Mapping[str, Any]) -> sa.Executable:
        keys = [column.name for column in table.primary_key]
        rest = {name: value for name, value in values.items() if name not in keys}
        statement: sa.Executable = (
            self._insert(table).values(**values).on_conflict_do_update(index_elements=keys, set_=rest)
        )
        return statement

    def _counter(self, key_id: str, topic: str, counter: int) -> sa.Executable:
        """A counter only rises, whatever order commits come in."""
        insert = self._insert(tables.COUNTERS).values(key_id=key_id, topic=topic, counter=counter)
        statement: sa.Executable = insert.on_conflict_do_update(
            index_elements=["key_id", "topic"],
            set_={"counter": insert.excluded.counter},
            where=tables.COUNTERS.c.counter < insert.excluded.counter,
        )
        return statement

    @staticmethod
    async def _latest(connection: AsyncConnection, table: sa.Table, kind: type[Any], at: str) -> list[Any]:
        """Those that have not ended, and the latest of the others."""
        live = [EmergencyState.RAISED, EmergencyState.SOUNDING]
        live_states = [each.value for each in live] + [
            each.value for each in RelayState if each is not RelayState.ENDED
        ]
        latest = sa.select(table.c.body).order_by(table.c[at].desc()).limit(ENDED_KEPT)
        unended = sa.select(table.c.body).where(table.c.state.in_(live_states))
        bodies = {row["body"]: None for wanted in (latest, unended) for row in await _rows(connection, wanted)}
        return [msgspec.json.decode(body, type=kind) for body in bodies]

    @staticmethod
    async def _beyond(connection: AsyncConnection) -> list[StoredReport]:
        """Reports that are stored but not yet covered by their node's head."""
        reports, heads = tables.REPORTS, tables.HEADS
        joined = reports.outerjoin(
            heads, (reports.c.node == heads.c.node) & (reports.c.report_key == heads.c.report_key)
        )
        wanted = (
            sa.select(reports)
            .select_from(joined)
            .where(reports.c.number > sa.func.coalesce(heads.c.number, 0), reports.c.number < LOOSE_FROM)
            .order_by(reports.c.row)
        )
        loose = sa.select(reports).where(reports.c.number >= LOOSE_FROM).order_by(reports.c.row.desc())
        latest = await _rows(connection, loose.limit(LOOSE_KNOWN_MAX))
        return [_report(row) for row in [*await _rows(connection, wanted), *reversed(list(latest))]]

    @staticmethod
    async def _about(connection: AsyncConnection, source_ids: Sequence[str]) -> list[StoredReport]:
        wanted = sa.select(tables.REPORTS).where(tables.REPORTS.c.source_id.in_(source_ids))
        return [_report(row) for row in await _rows(connection, wanted.order_by(tables.REPORTS.c.row))]


async def open_database(text: str) -> SqlDatabase:
    """Connect and bring the tables up to date; raises DatabaseError."""
    try:
        url = make_url(text)
        engine = _engine(url)
    except OSError as error:
        raise DatabaseError(f"database: {text}: its folder cannot be made: {error.strerror or error}") from error
    except (ArgumentError, KeyError, ValueError) as error:
        raise DatabaseError(
            f"database: {text.rsplit('@', maxsplit=1)[-1]!r} is no address of a database; see docs"
        ) from error
    name = url.render_as_string(hide_password=True)
    try:
        await upgrade(engine, url)
    except DatabaseError:
        await engine.dispose()
        raise
    except FOREIGN as error:
        await engine.dispose()
        raise DatabaseError(f"the database {name} cannot be opened: {_plain(error)}") from error
    return SqlDatabase(engine, name)


def _engine(url: URL) -> AsyncEngine:
    """Values are in no error: there are password hashes among them, and errors go to the log."""
    asynchronous = url.set(drivername=DRIVERS[url.get_backend_name()])
    if url.get_backend_name() != "sqlite":
        return create_async_engine(
            asynchronous, pool_size=POOL, max_overflow=0, pool_pre_ping=True, hide_parameters=True
        )
    if url.database:
        _make_private(Path(url.database))
    engine = create_async_engine(asynchronous, connect_args={"timeout": BUSY_S_MAX}, hide_parameters=True)
    sa.event.listen(engine.sync_engine, "connect", _set_durable)
    return engine


def _make_private(path: Path) -> None:
    """Accounts and tokens stand in it: nobody else reads a new one (SQLite gives its side files the same mode)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.touch(mode=0o600)


def _set_durable(connection: Any, _record: object) -> None:  # noqa: ANN401 - SQLAlchemy's adapted connection
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


async def _rows(connection: AsyncConnection, wanted: sa.Select[Any]) -> list[dict[str, Any]]:
    result = await connection.execute(wanted)
    return [dict(row) for row in result.mappings()]


def _values(change: Any) -> dict[str, Any]:  # noqa: ANN401 - any of the plain records
    return {name: getattr(change, name) for name in change.__dataclass_fields__}


def _body(record: EmergencyRecord | RelayRecord, *columns: str) -> dict[str, Any]:
    return {**{name: getattr(record, name) for name in columns}, "body": msgspec.json.encode(record).decode()}


def _report_values(report: StoredReport) -> dict[str, Any]:
    record = report.record
    return {
        **_values(report),
        "record": msgspec.json.encode(record).decode(),
        "is_airing": isinstance(record, AiringRecord),
        "source_id": record.source_id if isinstance(record, AiringRecord) else "",
        "at_ms": record.at_ms,
    }


def _report(row: Mapping[str, Any]) -> StoredReport:
    names = ("node", "report_key", "number", "sha256", "sealed", "received_at_ms", "is_chained")
    record: Record = msgspec.json.decode(row["record"], type=Record)
    return StoredReport(**{name: row[name] for name in names}, record=record)


def _plain(error: BaseException) -> str:
    """The cause in one line, without SQL and parameters."""
    cause = getattr(error, "orig", None) or error
    return str(cause).splitlines()[0][:300] if str(cause) else type(cause).__name__
