"""Reads the audit log for a person at a terminal: verified, as a table, or exported line by line.

Checkpoints are taken from the database and from their file outside it, and from a copy that was kept elsewhere; each
must be signed by the key. The whole log is never in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from controller.adapters.audit_recorder import checkpoints_in
from controller.adapters.people.keys import audit_key, audit_key_path, checkpoints_path
from controller.adapters.people.store import PeopleStore
from controller.configuration.config import Config
from controller.errors import ConfigError
from controller.people.audit import ChainCheck, Checkpoint, Stored
from controller.tables import TABLES, table_of

_SHOWN: Final = ("who", "what", "outcome", "place", "address", "detail")
_ROUNDS: Final = 3
"""A log that grows while it is read is read on so often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a verification found; no faults is a good log."""

    faults: tuple[str, ...]
    summary: str


async def verify_log(store: PeopleStore, config: Config, *, copy: Path | None, public_key: str) -> Findings:
    """Look at every entry; raises ConfigError, DatabaseError."""
    key = _public_key(config, public_key)
    checkpoints, notes = await _checkpoints(store, config, copy)
    check = ChainCheck(checkpoints, key)
    for _ in range(_ROUNDS):
        async for stored in _entries(store, after=check.number):
            check.take(stored)
        number, sha256 = await store.audit_head()
        if number <= check.number:
            break
    faults = tuple(check.end(number, sha256))
    said = f"{check.seen} entries, {check.checkpoints_met} of {len(checkpoints)} checkpoints met"
    if check.unsigned:
        said += f"; the last {check.unsigned} are not signed yet"
    verdict = "FAULTS FOUND" if faults else "good"
    return Findings(
        faults=faults, summary="\n".join([*notes, f"{verdict}: {said}. Key {key.public_bytes_raw().hex()}"])
    )


async def show_log(store: PeopleStore, *, time_zone: str, limit: int, who: str | None) -> str:
    """The newest entries as a table."""
    entries = [each.entry for each in await store.audit_latest(limit=limit, who=who)]
    rows = [
        {"number": entry.number, "at_ms": entry.act.at_ms, **{name: getattr(entry.act, name) for name in _SHOWN}}
        for entry in entries
    ]
    return table_of(rows, TABLES["audit"], time_zone=time_zone)


async def export_log(store: PeopleStore, out: BinaryIO) -> None:
    """Every entry's canonical bytes, a line each."""
    async for stored in _entries(store, after=0):
        out.write(stored.entry.canonical + b"\n")
    out.flush()


async def _entries(store: PeopleStore, *, after: int) -> AsyncIterator[Stored]:
    at = after or -(2**62)  # an entry below 1 that was put in by hand is looked at too
    while page := await store.audit_page(at):
        for stored in page:
            yield stored
        at = page[-1].entry.number


async def _checkpoints(store: PeopleStore, config: Config, copy: Path | None) -> tuple[list[Checkpoint], list[str]]:
    found = {(each.number, each.sha256): each for each in await store.audit_checkpoints()}
    notes = []
    beside = checkpoints_path(config)
    for path in [*([beside] if beside.exists() else []), *([copy] if copy else [])]:
        try:
            data = await asyncio.to_thread(path.read_bytes)
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
        read, unread = checkpoints_in(data)
        found.update({(each.number, each.sha256): each for each in read})
        if unread:
            notes.append(f"{path}: {unread} lines are no checkpoints (a power cut may tear one)")
    return list(found.values()), notes


def _public_key(config: Config, text: str) -> Ed25519PublicKey:
    if not text:
        if not audit_key_path(config).exists():
            raise ConfigError(f"audit.key_file: {audit_key_path(config)} is not there; give --public-key")
        return audit_key(config).public_key()
    try:
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))
    except ValueError as error:
        raise ConfigError("--public-key: write 64 hexadecimal digits, as a verification printed them") from error
