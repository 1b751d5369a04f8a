"""Keeps enrolments and revoked certificates on the controller's database.

A record is kept whole as JSON beside the columns that are searched by hand; what is revoked stays until nobody would
take it anyway. All changes of a commit or none: a takeover ends one unit and begins another in one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy import BigInteger, Column, String, Table, Text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from controller.adapters import audit_store
from controller.adapters.database import SqlDatabase
from controller.adapters.database_tables import METADATA
from controller.enrolment.lifecycle import EnrolmentRecord, RevokedCertificate
from controller.enrolment.registry import Unkept
from controller.people.audit import Act

ENROLMENTS: Final = Table(
    "enrolments",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("node", String(23), nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("changed_at_ms", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
)
REVOKED: Final = Table(
    "revoked_certificates",
    METADATA,
    Column("serial", String(40), primary_key=True),
    Column("node", String(23), nullable=False),
    Column("revoked_at_ms", BigInteger, nullable=False),
    Column("not_after_ms", BigInteger, nullable=False),
)


class EnrolmentStore:
    """Enrolments on the connection pool of the controller's database."""

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    async def load(self) -> Unkept:
        """Every enrolment, and every revoked certificate; raises DatabaseError."""
        async with self._database.connection() as connection:
            bodies = (await connection.execute(sa.select(ENROLMENTS.c.body))).scalars().all()
            rows = (await connection.execute(sa.select(REVOKED))).mappings().all()
            return (
                tuple(msgspec.json.decode(body, type=EnrolmentRecord) for body in bodies),
                tuple(RevokedCertificate(**row) for row in rows),
            )

    async def commit(self, changes: Unkept, acts: Sequence[Act] = ()) -> None:
        """Keep all changes or none, and with them what is put on record of people; raises DatabaseError."""
        records, revoked = changes
        async with self._database.connection() as connection, connection.begin():
            for record in records:
                await connection.execute(_upsert(connection, ENROLMENTS, _row(record)))
            for each in revoked:
                await connection.execute(_upsert(connection, REVOKED, msgspec.structs.asdict(each)))
            for act in acts:
                await audit_store.append(connection, act)

    async def forget_revoked(self, *, ended_before_ms: int) -> None:
        """Drop revoked certificates that ended long ago; raises DatabaseError."""
        async with self._database.connection() as connection, connection.begin():
            await connection.execute(sa.delete(REVOKED).where(REVOKED.c.not_after_ms < ended_before_ms))


def _row(record: EnrolmentRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "node": record.node,
        "state": record.state.value,
        "changed_at_ms": record.changed_at_ms,
        "body": msgspec.json.encode(record).decode(),
    }


def _upsert(connection: AsyncConnection, table: Table, values: dict[str, Any]) -> sa.Executable:
    insert: Any = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    keys = [column.name for column in table.primary_key]
    rest = {name: value for name, value in values.items() if name not in keys}
    statement: sa.Executable = insert(table).values(**values).on_conflict_do_update(index_elements=keys, set_=rest)
    return statement
