"""Keeps the audit log in the database: appended in the transaction of the act, read in pages.

Rules kept: the head row is written first, so that two processes append one after the other (PostgreSQL locks the row,
SQLite the file); nothing here changes or deletes an entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from controller.adapters.people import tables
from controller.people.audit import START, Act, Checkpoint, Entry, Outcome, Stored

PAGE: Final = 1_000
"""Entries that are read at once."""
_HEAD_ID: Final = 1
_ACT_FIELDS: Final = ("at_ms", "who", "what", "place", "address", "detail")


async def append(connection: AsyncConnection, act: Act) -> None:
    """Put an act at the end of the log, inside the transaction that is open."""
    head = tables.AUDIT_HEAD
    moved = sa.update(head).where(head.c.id == _HEAD_ID).values(number=head.c.number + 1)
    row = (await connection.execute(moved.returning(head.c.number, head.c.sha256))).one()
    entry = Entry(number=row.number, previous_sha256=bytes(row.sha256), act=act)
    values = {name: getattr(act, name) for name in _ACT_FIELDS}
    await connection.execute(
        sa.insert(tables.AUDIT).values(
            number=entry.number,
            previous_sha256=entry.previous_sha256,
            sha256=entry.sha256,
            outcome=act.outcome.value,
            **values,
        )
    )
    await connection.execute(sa.update(head).where(head.c.id == _HEAD_ID).values(sha256=entry.sha256))


async def read_head(connection: AsyncConnection) -> tuple[int, bytes]:
    """What the log says of its own end: the last number and its hash."""
    row = (await connection.execute(sa.select(tables.AUDIT_HEAD))).one_or_none()
    return (row.number, bytes(row.sha256)) if row else (0, START)


async def read_checkpoints(connection: AsyncConnection) -> list[Checkpoint]:
    """All checkpoints, the oldest first."""
    wanted = sa.select(tables.AUDIT_CHECKPOINTS).order_by(tables.AUDIT_CHECKPOINTS.c.number)
    rows = (await connection.execute(wanted)).mappings()
    return [
        Checkpoint(
            number=row["number"], sha256=bytes(row["sha256"]), at_ms=row["at_ms"], signature=bytes(row["signature"])
        )
        for row in rows
    ]


async def keep_checkpoint(connection: AsyncConnection, checkpoint: Checkpoint) -> None:
    """Store a checkpoint; one for a number is enough."""
    number = tables.AUDIT_CHECKPOINTS.c.number
    there = (await connection.execute(sa.select(number).where(number == checkpoint.number))).first()
    if there is None:
        values = {name: getattr(checkpoint, name) for name in ("number", "sha256", "at_ms", "signature")}
        await connection.execute(sa.insert(tables.AUDIT_CHECKPOINTS).values(**values))


async def page_after(connection: AsyncConnection, number: int) -> list[Stored]:
    """The next entries in the order of numbers, at most PAGE."""
    columns = tables.AUDIT.c
    wanted = sa.select(tables.AUDIT).where(columns.number > number).order_by(columns.number).limit(PAGE)
    return [stored_of(dict(row)) for row in (await connection.execute(wanted)).mappings()]


async def latest(
    connection: AsyncConnection,
    *,
    limit: int,
    before: int | None = None,
    who: str | None = None,
    places: Sequence[str] | None = None,
) -> list[Stored]:
    """The newest entries below `before`, of one name, of some places; None is all."""
    columns = tables.AUDIT.c
    wanted = sa.select(tables.AUDIT).order_by(columns.number.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(columns.number < before)
    if who is not None:
        wanted = wanted.where(columns.who == who)
    if places is not None:
        wanted = wanted.where(columns.place.in_(places))
    return [stored_of(dict(row)) for row in (await connection.execute(wanted)).mappings()]


def stored_of(row: dict[str, Any]) -> Stored:
    """A row as it stands, altered or not."""
    act = Act(**{name: row[name] for name in _ACT_FIELDS}, outcome=_outcome(row["outcome"]))
    entry = Entry(number=row["number"], previous_sha256=bytes(row["previous_sha256"]), act=act)
    return Stored(entry=entry, sha256=bytes(row["sha256"]))


def _outcome(text: str) -> Outcome:
    """An outcome that is none was altered; the other one makes the hash say so."""
    try:
        return Outcome(text)
    except ValueError:
        return Outcome.REFUSED
