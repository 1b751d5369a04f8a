"""Keeps programmes and bulletins, each version of them and each decision on bulletins, in the controller's database.

A version is kept whole as JSON and never changed; a row beside says which one is the latest. Rules kept: all changes of
a commit or none, the audit entries among them; a version follows the one that its author has read, and a decision is
about the latest one, or the whole commit is a ConflictError. Every library exception leaves here as a DatabaseError.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic

import msgspec
import sqlalchemy as sa
from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, String, Table, Text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from controller.adapters import audit_store
from controller.adapters.database import SqlDatabase
from controller.adapters.database_tables import METADATA
from controller.errors import ConflictError, DatabaseError
from controller.people.audit import Act
from controller.programmes.bulletin import Bulletin, Decision, Verdict
from controller.programmes.programme import Programme
from controller.programmes.versions import VERSIONS_SHOWN_MAX, Change, PaperT, Version

HEADS_MAX: Final = 1_000
"""Latest versions that one question returns; more are asked for page by page."""
_CHANGED: Final = "somebody else has changed it meanwhile; read it again"


def _tables(kind: str) -> tuple[Table, Table]:
    heads = Table(
        f"{kind}s",
        METADATA,
        Column("id", String(40), primary_key=True),
        Column("area", String(40), nullable=False),
        Column("number", BigInteger, nullable=False),
        Column("is_archived", Boolean, nullable=False),
        Column("ends_at_ms", BigInteger, nullable=True),
        Index(f"{kind}s_by_area", "area"),
    )
    versions = Table(
        f"{kind}_versions",
        METADATA,
        Column("id", String(40), ForeignKey(f"{kind}s.id"), primary_key=True),
        Column("number", BigInteger, primary_key=True),
        Column("at_ms", BigInteger, nullable=False),
        Column("who", String(64), nullable=False),
        Column("change", String(16), nullable=False),
        Column("restores", BigInteger, nullable=False),
        Column("is_archived", Boolean, nullable=False),
        Column("body", Text, nullable=False),
    )
    return heads, versions


PROGRAMMES, PROGRAMME_VERSIONS = _tables("programme")
BULLETINS, BULLETIN_VERSIONS = _tables("bulletin")
DECISIONS: Final = Table(
    "bulletin_decisions",
    METADATA,
    Column("id", String(40), ForeignKey("bulletins.id"), primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("who", String(64), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("reason", String(200), nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadQuestion:
    """Which latest versions are wanted: of some areas (None: all), archived ones too, after an id, so many."""

    areas: Sequence[str] | None = None
    is_archived_too: bool = False
    after: str = ""
    limit: int = HEADS_MAX


class VersionStore(Generic[PaperT]):
    """One kind of paper on the connection pool of the controller's database."""

    def __init__(self, database: SqlDatabase, kind: type[PaperT], heads: Table, versions: Table) -> None:
        self._database = database
        self._kind: type[PaperT] = kind
        self._heads = heads
        self._versions = versions

    async def standing(self, *, not_ended_by_ms: int | None = None) -> list[Version[PaperT]]:
        """Every latest version that is not archived, and has not ended by then, in the order of ids."""
        heads = self._heads.c
        wanted = self._joined().where(heads.is_archived.is_(False)).order_by(heads.id)
        if not_ended_by_ms is not None:
            wanted = wanted.where(sa.or_(heads.ends_at_ms.is_(None), heads.ends_at_ms > not_ended_by_ms))
        return await self._read(wanted)

    async def heads(self, question: HeadQuestion) -> list[Version[PaperT]]:
        """Latest versions in the order of ids."""
        heads = self._heads.c
        wanted = self._joined().where(heads.id > question.after).order_by(heads.id)
        if question.areas is not None:
            wanted = wanted.where(heads.area.in_(question.areas))
        if not question.is_archived_too:
            wanted = wanted.where(heads.is_archived.is_(False))
        return await self._read(wanted.limit(max(1, min(question.limit, HEADS_MAX))))

    async def head(self, name: str) -> Version[PaperT] | None:
        """The latest version of one."""
        found = await self._read(self._joined().where(self._heads.c.id == name))
        return found[0] if found else None

    async def version(self, name: str, number: int) -> Version[PaperT] | None:
        """One version."""
        columns = self._versions.c
        found = await self._read(sa.select(self._versions).where(columns.id == name, columns.number == number))
        return found[0] if found else None

    async def versions(self, name: str) -> list[Version[PaperT]]:
        """The newest VERSIONS_SHOWN_MAX, the oldest of them first."""
        columns = self._versions.c
        wanted = sa.select(self._versions).where(columns.id == name).order_by(columns.number.desc())
        return list(reversed(await self._read(wanted.limit(VERSIONS_SHOWN_MAX))))

    async def histories(self, names: Sequence[str]) -> dict[str, list[Version[PaperT]]]:
        """All versions of some, the oldest first, by id."""
        found: dict[str, list[Version[PaperT]]] = {}
        for part in _parts(names):
            columns = self._versions.c
            wanted = sa.select(self._versions).where(columns.id.in_(part)).order_by(columns.id, columns.number)
            for version in await self._read(wanted):
                found.setdefault(version.paper.id, []).append(version)
        return found

    async def count(self) -> int:
        """How many there are, archived ones too."""
        async with self._database.connection() as connection:
            return (await connection.execute(sa.select(sa.func.count()).select_from(self._heads))).scalar_one()

    async def keep(self, made: Sequence[tuple[Version[PaperT], int | None]], acts: Sequence[Act]) -> None:
        """Keep new versions, each with the instant at which it ends, and the acts; raises ConflictError."""
        async with self._database.connection() as connection, connection.begin():
            try:
                for version, ends_at_ms in made:
                    await self._keep(connection, version, ends_at_ms)
            except IntegrityError as error:
                raise ConflictError(_CHANGED) from error
            for act in acts:
                await audit_store.append(connection, act)

    async def _keep(self, connection: AsyncConnection, version: Version[PaperT], ends_at_ms: int | None) -> None:
        heads, paper = self._heads, version.paper
        values = {
            "area": paper.area,
            "number": version.number,
            "is_archived": version.is_archived,
            "ends_at_ms": ends_at_ms,
        }
        if version.number == 1:
            await connection.execute(sa.insert(heads).values(id=paper.id, **values))
        else:
            moved = sa.update(heads).where(heads.c.id == paper.id, heads.c.number == version.number - 1)
            if not (await connection.execute(moved.values(**values))).rowcount:
                raise ConflictError(_CHANGED)
        await connection.execute(
            sa.insert(self._versions).values(
                id=paper.id,
                number=version.number,
                at_ms=version.at_ms,
                who=version.who,
                change=version.change.value,
                restores=version.restores,
                is_archived=version.is_archived,
                body=msgspec.json.encode(paper).decode(),
            )
        )

    def _joined(self) -> sa.Select[Any]:
        heads, versions = self._heads, self._versions
        return sa.select(versions).join(
            heads, sa.and_(heads.c.id == versions.c.id, heads.c.number == versions.c.number)
        )

    async def _read(self, wanted: sa.Select[Any]) -> list[Version[PaperT]]:
        async with self._database.connection() as connection:
            rows = (await connection.execute(wanted)).mappings().all()
        found = []
        for row in rows:
            try:
                paper = msgspec.json.decode(row["body"], type=self._kind)
                change = Change(row["change"])
            except (msgspec.DecodeError, ValueError) as error:
                what = f"{self._heads.name}: {row['id']!r}, version {row['number']}, was changed by hand: {error}"
                raise DatabaseError(what) from error
            found.append(
                Version(
                    number=row["number"],
                    at_ms=row["at_ms"],
                    who=row["who"],
                    change=change,
                    paper=paper,
                    is_archived=row["is_archived"],
                    restores=row["restores"],
                )
            )
        return found


class BulletinStore(VersionStore[Bulletin]):
    """Bulletins, and what was decided on them."""

    def __init__(self, database: SqlDatabase) -> None:
        super().__init__(database, Bulletin, BULLETINS, BULLETIN_VERSIONS)

    async def decisions(self, names: Sequence[str] | None = None) -> dict[str, list[Decision]]:
        """What was decided, by bulletin, in the order of versions; None: on all that are not archived."""
        ordered = sa.select(DECISIONS).order_by(DECISIONS.c.id, DECISIONS.c.number)
        if names is None:
            joined = ordered.join(BULLETINS, BULLETINS.c.id == DECISIONS.c.id)
            questions = [joined.where(BULLETINS.c.is_archived.is_(False))]
        else:
            questions = [ordered.where(DECISIONS.c.id.in_(part)) for part in _parts(names)]
        found: dict[str, list[Decision]] = {}
        async with self._database.connection() as connection:
            for wanted in questions:
                for row in (await connection.execute(wanted)).mappings():
                    found.setdefault(row["id"], []).append(_decision(row))
        return found

    async def decide(self, name: str, decision: Decision, acts: Sequence[Act]) -> None:
        """Keep a decision on the latest version; raises ConflictError where it is not the latest any more."""
        values = {
            "who": decision.who,
            "at_ms": decision.at_ms,
            "verdict": decision.verdict.value,
            "reason": decision.reason,
        }
        heads, columns = BULLETINS.c, DECISIONS.c
        async with self._database.connection() as connection, connection.begin():
            held = sa.update(BULLETINS).where(heads.id == name, heads.number == decision.number)
            if not (await connection.execute(held.values(number=decision.number))).rowcount:
                raise ConflictError(_CHANGED)
            again = sa.update(DECISIONS).where(columns.id == name, columns.number == decision.number)
            if not (await connection.execute(again.values(**values))).rowcount:
                await connection.execute(sa.insert(DECISIONS).values(id=name, number=decision.number, **values))
            for act in acts:
                await audit_store.append(connection, act)


def programme_store(database: SqlDatabase) -> VersionStore[Programme]:
    """Programmes on a database."""
    return VersionStore(database, Programme, PROGRAMMES, PROGRAMME_VERSIONS)


def _parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """So many at once as a statement may name."""
    return (names[at : at + HEADS_MAX] for at in range(0, len(names), HEADS_MAX))


def _decision(row: sa.RowMapping) -> Decision:
    return Decision(
        number=row["number"],
        who=row["who"],
        at_ms=row["at_ms"],
        verdict=Verdict(row["verdict"]),
        reason=row["reason"],
    )
