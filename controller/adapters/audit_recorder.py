"""Puts on record what has no commit of its own, and signs checkpoints.

Rules kept: a flood of refusals does not fill the disk: so many a minute are written, and the next one says how many
were not; a log that cannot be written is an error in the process's log and stops nobody from ending an emergency.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller.adapters.people.store import PeopleStore
from controller.errors import DatabaseError
from controller.people.audit import Actor, Checkpoint, Deed, Outcome, act_of, sign
from protocol.adapters.system_clock import read_now

log = logging.getLogger("controller.audit")

REFUSALS_A_MINUTE_MAX: Final = 30
"""About 15 MB a day at the worst."""
_MINUTE_MS: Final = 60_000


class AuditRecorder:
    """One process's pen for refusals; what is done is put on record with its own commit."""

    def __init__(self, store: PeopleStore) -> None:
        self._store = store
        self._minute = 0
        self._written = 0
        self._unwritten = 0

    async def refused(self, by: Actor, what: str, *, at_ms: int, place: str = "", detail: str = "") -> None:
        """A refusal, unless there are too many of them."""
        minute = at_ms // _MINUTE_MS
        if minute != self._minute:
            self._minute, self._written = minute, 0
        if self._written >= REFUSALS_A_MINUTE_MAX:
            self._unwritten += 1
            return
        self._written += 1
        more, self._unwritten = self._unwritten, 0
        said = f"{detail} (and {more} more refusals that were not written)" if more else detail
        await self._put(by, what, at_ms=at_ms, place=place, detail=said)

    async def configuration_refused(self, reason: str) -> None:
        """The configuration was read again and is wrong."""
        await self._put(Actor(who="system"), Deed.CONFIGURATION, at_ms=read_now().shared_ms, place="", detail=reason)

    async def _put(self, by: Actor, what: str, *, at_ms: int, place: str, detail: str) -> None:
        act = act_of(what, by=by, at_ms=at_ms, place=place, detail=detail, outcome=Outcome.REFUSED)
        try:
            await self._store.commit([act])
        except DatabaseError as error:
            log.error("not on record: refused %s by %s: %s", what, by.who, error)  # noqa: TRY400 - a sentence


class Checkpoints:
    """Signs how far the log went: at the start, every so often, and at the end."""

    def __init__(self, store: PeopleStore, key: Ed25519PrivateKey, file: Path, every_s: float) -> None:
        self._store = store
        self._key = key
        self._file = file
        self._every_s = every_s

    async def run(self) -> None:
        """Sign until cancelled."""
        while True:
            await self.sign_now()
            await asyncio.sleep(self._every_s)

    async def sign_now(self) -> Checkpoint | None:
        """Sign the latest entry, unless that is signed already; None where there is nothing new or no database."""
        try:
            number, sha256 = await self._store.audit_head()
            if not number or await self._store.audit_signed_up_to() >= number:
                return None
            checkpoint = sign(Checkpoint(number=number, sha256=sha256, at_ms=read_now().shared_ms), self._key)
            await self._store.keep_checkpoint(checkpoint)
            await asyncio.to_thread(self._append, checkpoint)
        except (DatabaseError, OSError) as error:
            log.error("no audit checkpoint: %s", error)  # noqa: TRY400 - the sentence is whole
            return None
        log.info("audit checkpoint number=%d sha256=%s", number, sha256.hex())
        return checkpoint

    def _append(self, checkpoint: Checkpoint) -> None:
        """A copy outside the database: who cuts the tables must find this file too, and the journal's line."""
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(b"\n" + line_of(checkpoint) + b"\n")  # a line that a power cut tore stays a line of its own
            file.flush()
            os.fsync(file.fileno())


def line_of(checkpoint: Checkpoint) -> bytes:
    """A checkpoint as a line of JSON."""
    return msgspec.json.encode(
        {
            "number": checkpoint.number,
            "sha256": checkpoint.sha256.hex(),
            "at_ms": checkpoint.at_ms,
            "signature": checkpoint.signature.hex(),
        }
    )


def checkpoints_in(data: bytes) -> tuple[list[Checkpoint], int]:
    """Checkpoints of a file, and how many lines of it are none (a power cut may tear one)."""
    found = []
    unread = 0
    for line in data.split(b"\n"):
        if not line:
            continue
        try:
            plain = msgspec.json.decode(line, type=dict[str, int | str])
            sha256, signature = bytes.fromhex(str(plain["sha256"])), bytes.fromhex(str(plain["signature"]))
            number, at_ms = int(plain["number"]), int(plain["at_ms"])
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, KeyError):
            unread += 1
        else:
            found.append(Checkpoint(number=number, sha256=sha256, at_ms=at_ms, signature=signature))
    return found, unread
