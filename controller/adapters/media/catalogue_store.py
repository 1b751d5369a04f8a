"""Keeps the media catalogue on the controller's database.

An entry is kept whole as JSON beside the columns that are searched by hand; its waveform stands in a column of its
own, for it is asked for one at a time. All changes of a commit or none, with what is put on record of people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy import BigInteger, Column, LargeBinary, String, Table, Text
from sqlalchemy.dialects import postgresql, sqlite

from controller.adapters import audit_store
from controller.adapters.database import SqlDatabase
from controller.adapters.database_tables import METADATA
from controller.media.catalogue import ENTRIES_MAX, MediaEntry
from controller.people.audit import Act

MEDIA: Final = Table(
    "media",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("sha256", String(64), nullable=False, index=True),
    Column("area", String(40), nullable=False),
    Column("state", String(16), nullable=False),
    Column("added_at_ms", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("waveform", LargeBinary, nullable=False),
)


class CatalogueStore:
    """The catalogue on the connection pool of the controller's database."""

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    async def load(self) -> tuple[MediaEntry, ...]:
        """Every entry, the newest first; raises DatabaseError."""
        wanted = sa.select(MEDIA.c.body).order_by(MEDIA.c.added_at_ms.desc()).limit(ENTRIES_MAX)
        async with self._database.connection() as connection:
            bodies = (await connection.execute(wanted)).scalars().all()
        return tuple(msgspec.json.decode(body, type=MediaEntry) for body in bodies)

    async def waveform(self, entry: str) -> bytes:
        """An entry's outline; nothing where there is no such entry. Raises DatabaseError."""
        async with self._database.connection() as connection:
            found = (await connection.execute(sa.select(MEDIA.c.waveform).where(MEDIA.c.id == entry))).scalar()
        return bytes(found or b"")

    async def commit(
        self, entries: Sequence[MediaEntry], *, waveforms: Mapping[str, bytes] | None = None, acts: Sequence[Act] = ()
    ) -> None:
        """Keep all changes or none; an entry without a new waveform keeps its old one. Raises DatabaseError."""
        async with self._database.connection() as connection, connection.begin():
            insert: Any = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
            for entry in entries:
                waveform = (waveforms or {}).get(entry.id)
                values = _row(entry)
                fresh = insert(MEDIA).values(**values, waveform=waveform or b"")
                rest = {name: value for name, value in values.items() if name != "id"}
                if waveform is not None:
                    rest["waveform"] = waveform
                await connection.execute(fresh.on_conflict_do_update(index_elements=["id"], set_=rest))
            for act in acts:
                await audit_store.append(connection, act)


def _row(entry: MediaEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "sha256": entry.reference.sha256,
        "area": entry.area,
        "state": entry.state.value,
        "added_at_ms": entry.added_at_ms,
        "body": msgspec.json.encode(entry).decode(),
    }
