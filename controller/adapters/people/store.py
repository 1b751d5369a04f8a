"""Keeps people, their keys, sessions and tokens on the controller's database, and reads the audit log from it.

Rules kept: all changes of a commit or none, the audit entries among them; what may be used once (a code, a time step,
an invitation, a passkey's counter) is spent by a statement that must find it unspent, or the whole commit is a
ConflictError. Every library exception leaves here as a DatabaseError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from controller.adapters import audit_store
from controller.adapters.database import SqlDatabase
from controller.adapters.people import tables
from controller.adapters.people.statements import Step, steps_of
from controller.errors import ConflictError, DatabaseError
from controller.people.audit import Act, Checkpoint, Stored
from controller.people.model import (
    ApiToken,
    Passkey,
    PeopleChange,
    Person,
    PersonState,
    PersonView,
    Session,
)
from controller.people.rights import Grant, Role

_USED: Final = "it was used before, or has changed meanwhile; load the page again"


class PeopleStore:
    """People on the connection pool of the controller's database."""

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    async def commit(self, changes: Sequence[PeopleChange | Act]) -> None:
        """Keep all changes or none; raises ConflictError, DatabaseError."""
        async with self._connection() as connection, connection.begin():
            try:
                for change in changes:
                    if isinstance(change, Act):
                        await audit_store.append(connection, change)
                        continue
                    for step in steps_of(change):
                        await _run(connection, step)
            except IntegrityError as error:
                raise ConflictError("that name is taken already") from error

    async def person(self, name: str) -> PersonView | None:
        """A person by name."""
        async with self._connection() as connection:
            return await self._view(connection, tables.PEOPLE.c.name == name)

    async def person_row(self, name: str) -> Person | None:
        """A person alone, at one cost whether there is one or not."""
        async with self._connection() as connection:
            rows = await _rows(connection, sa.select(tables.PEOPLE).where(tables.PEOPLE.c.name == name))
        return _view_of(rows[0], (), (), 0).person if rows else None

    async def count(self) -> int:
        """How many accounts there are."""
        async with self._connection() as connection:
            return (await connection.execute(sa.select(sa.func.count()).select_from(tables.PEOPLE))).scalar_one()

    async def people(self) -> list[PersonView]:
        """Everybody, in the order of names."""
        async with self._connection() as connection:
            people = await _rows(connection, sa.select(tables.PEOPLE).order_by(tables.PEOPLE.c.name))
            grants = await _rows(connection, sa.select(tables.GRANTS))
            passkeys = await _rows(connection, sa.select(tables.PASSKEYS).order_by(tables.PASSKEYS.c.created_at_ms))
            codes = sa.select(tables.RECOVERY_CODES.c.person, sa.func.count().label("left"))
            left = {
                row["person"]: row["left"]
                for row in await _rows(connection, codes.group_by(tables.RECOVERY_CODES.c.person))
            }
        return [
            _view_of(
                row,
                [each for each in grants if each["person"] == row["name"]],
                [each for each in passkeys if each["person"] == row["name"]],
                left.get(row["name"], 0),
            )
            for row in people
        ]

    async def session(self, id_sha256: bytes) -> tuple[Session, PersonView] | None:
        """A session and whose it is, in one transaction."""
        async with self._connection() as connection:
            wanted = sa.select(tables.SESSIONS).where(tables.SESSIONS.c.id_sha256 == id_sha256)
            rows = await _rows(connection, wanted)
            if not rows:
                return None
            view = await self._view(connection, tables.PEOPLE.c.name == rows[0]["person"])
            return None if view is None else (Session(**rows[0]), view)

    async def sessions(self, person: str) -> list[Session]:
        """A person's sessions, the latest seen first."""
        columns = tables.SESSIONS.c
        wanted = sa.select(tables.SESSIONS).where(columns.person == person).order_by(columns.seen_at_ms.desc())
        async with self._connection() as connection:
            return [Session(**row) for row in await _rows(connection, wanted)]

    async def is_known_device(self, person: str, device_sha256: bytes) -> bool:
        """Whether the person has logged in there before."""
        columns = tables.DEVICES.c
        wanted = sa.select(columns.person).where(columns.person == person, columns.device_sha256 == device_sha256)
        async with self._connection() as connection:
            return bool(await _rows(connection, wanted))

    async def passkey(self, credential_id: bytes) -> Passkey | None:
        """A passkey by its id."""
        wanted = sa.select(tables.PASSKEYS).where(tables.PASSKEYS.c.credential_id == credential_id)
        async with self._connection() as connection:
            rows = await _rows(connection, wanted)
        return Passkey(**rows[0]) if rows else None

    async def token(self, token_id: str) -> ApiToken | None:
        """A token by its public half."""
        async with self._connection() as connection:
            rows = await _rows(connection, sa.select(tables.TOKENS).where(tables.TOKENS.c.id == token_id))
        return _token(rows[0]) if rows else None

    async def tokens(self) -> list[ApiToken]:
        """All tokens, the newest first."""
        async with self._connection() as connection:
            rows = await _rows(connection, sa.select(tables.TOKENS).order_by(tables.TOKENS.c.created_at_ms.desc()))
        return [_token(row) for row in rows]

    async def audit_latest(
        self, *, limit: int, before: int | None = None, who: str | None = None, places: Sequence[str] | None = None
    ) -> list[Stored]:
        """The newest audit entries."""
        async with self._connection() as connection:
            return await audit_store.latest(connection, limit=limit, before=before, who=who, places=places)

    async def audit_page(self, after: int) -> list[Stored]:
        """The next audit entries in the order of numbers."""
        async with self._connection() as connection:
            return await audit_store.page_after(connection, after)

    async def audit_checkpoints(self) -> list[Checkpoint]:
        """All checkpoints, the oldest first."""
        async with self._connection() as connection:
            return await audit_store.read_checkpoints(connection)

    async def audit_signed_up_to(self) -> int:
        """The number of the last entry that a checkpoint covers; 0 where there is none."""
        async with self._connection() as connection:
            last = sa.select(sa.func.max(tables.AUDIT_CHECKPOINTS.c.number))
            return (await connection.execute(last)).scalar() or 0

    async def audit_head(self) -> tuple[int, bytes]:
        """The last entry's number and hash."""
        async with self._connection() as connection:
            return await audit_store.read_head(connection)

    async def keep_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Store a signed checkpoint."""
        async with self._connection() as connection, connection.begin():
            await audit_store.keep_checkpoint(connection, checkpoint)

    def _connection(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._database.connection()

    @staticmethod
    async def _view(connection: AsyncConnection, which: sa.ColumnElement[bool]) -> PersonView | None:
        rows = await _rows(connection, sa.select(tables.PEOPLE).where(which))
        if not rows:
            return None
        name = rows[0]["name"]
        grants = await _rows(connection, sa.select(tables.GRANTS).where(tables.GRANTS.c.person == name))
        passkeys = await _rows(
            connection,
            sa.select(tables.PASSKEYS)
            .where(tables.PASSKEYS.c.person == name)
            .order_by(tables.PASSKEYS.c.created_at_ms),
        )
        counted = sa.select(sa.func.count()).where(tables.RECOVERY_CODES.c.person == name)
        return _view_of(rows[0], grants, passkeys, (await connection.execute(counted)).scalar_one())


async def _run(connection: AsyncConnection, step: Step) -> None:
    result = await connection.execute(step.statement)
    if step.must_find and result.rowcount == 0:
        raise ConflictError(_USED)


async def _rows(connection: AsyncConnection, wanted: sa.Select[Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in (await connection.execute(wanted)).mappings()]


def _view_of(
    row: Mapping[str, Any], grants: Sequence[Mapping[str, Any]], passkeys: Sequence[Mapping[str, Any]], left: int
) -> PersonView:
    try:
        person = Person(**{**row, "state": PersonState(row["state"])})
        held = frozenset(Grant(role=Role(each["role"]), area=each["area"]) for each in grants)
    except ValueError as error:
        raise DatabaseError(f"the account {row['name']!r} was changed by hand: {error}") from error
    return PersonView(
        person=person,
        grants=held,
        passkeys=tuple(Passkey(**each) for each in passkeys),
        recovery_codes_left=left,
    )


def _token(row: Mapping[str, Any]) -> ApiToken:
    return ApiToken(**{**row, "grants": frozenset(msgspec.json.decode(row["grants"], type=list[Grant]))})
