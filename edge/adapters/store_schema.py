"""The tables of the node's database, reading all of them, and the room that is kept for them.

`documents` holds the raw signed bytes in force by topic, and of a large plan its body; `counters` what was accepted of
each key on each topic, which outlives the document; `reports` what waits for its acknowledgement; `chain`, one row, the
last number and digest and the airing that is open; `run`, one row, whether a run of the program has begun and not ended
in good order; `notes` what rooms of the node remember, by name.
A database whose check or contents are wrong is damaged, not partly right.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from edge.errors import StoreError
from edge.events import LastCounter, Restored, StoredDocument, StoredNote, StoredReport
from protocol.codec import cbor_decode
from protocol.errors import Refusal
from protocol.messages import AiringRecord

RESERVE_BYTES: Final = 4 * 1024 * 1024
"""Empty pages in the database: 2,000 reports of half a kilobyte, 128 documents of 16 KiB, eight bodies of plans."""
JOURNAL_BYTES: Final = 1024 * 1024
"""The rollback journal: forgetting 2,000 reports at once touches 1 MB of pages; usual commits touch 20 KB."""
VERSION: Final = 4
_RUN: Final = """
CREATE TABLE run (one INTEGER PRIMARY KEY CHECK (one = 0), is_open INTEGER NOT NULL);
INSERT INTO run VALUES (0, 0);
"""
_NOTES: Final = "CREATE TABLE notes (name TEXT PRIMARY KEY, payload BLOB NOT NULL) WITHOUT ROWID;"
_BODY: Final = "ALTER TABLE documents ADD COLUMN body BLOB NOT NULL DEFAULT x'';"
_UPGRADES: Final = {
    1: f"BEGIN; {_RUN} {_NOTES} {_BODY} PRAGMA user_version = {VERSION}; COMMIT;",
    2: f"BEGIN; {_NOTES} {_BODY} PRAGMA user_version = {VERSION}; COMMIT;",
    3: f"BEGIN; {_BODY} PRAGMA user_version = {VERSION}; COMMIT;",
}
"""From an earlier version, in one step."""
SCHEMA: Final = f"""
BEGIN;
{_RUN}
{_NOTES}
CREATE TABLE documents (
    topic TEXT PRIMARY KEY, payload BLOB NOT NULL, key_id TEXT NOT NULL, counter INTEGER NOT NULL, sha256 BLOB NOT NULL,
    body BLOB NOT NULL DEFAULT x''
) WITHOUT ROWID;
CREATE TABLE counters (
    key_id TEXT NOT NULL, topic TEXT NOT NULL, counter INTEGER NOT NULL, sha256 BLOB NOT NULL,
    PRIMARY KEY (key_id, topic)
) WITHOUT ROWID;
CREATE TABLE reports (number INTEGER PRIMARY KEY, payload BLOB NOT NULL);
CREATE TABLE chain (
    one INTEGER PRIMARY KEY CHECK (one = 0), number INTEGER NOT NULL, sha256 BLOB NOT NULL, open_airing BLOB
);
PRAGMA user_version = {VERSION};
COMMIT;
"""


def require_schema(database: sqlite3.Connection) -> None:
    """Make the tables, or bring those of an earlier program up to date; raises StoreError for a later one's."""
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        database.executescript(SCHEMA)
    elif version in _UPGRADES:
        database.executescript(_UPGRADES[version])
    elif version != VERSION:
        raise StoreError(f"its schema is version {version}; this program knows {VERSION}")


def take_reserve(database: sqlite3.Connection, journal: Path) -> None:
    """Have room for what is bounded, whatever else fills the card; raises sqlite3.Error or OSError without room.

    Pages that were written and freed again stay the database's own. The journal keeps its length (PERSIST) and is
    written over in place; behind its end are zeros, which SQLite never reads.
    """
    database.execute("DROP TABLE IF EXISTS reserve")
    page_bytes = database.execute("PRAGMA page_size").fetchone()[0]
    free_bytes = database.execute("PRAGMA freelist_count").fetchone()[0] * page_bytes
    if free_bytes < RESERVE_BYTES // 2:
        database.execute("CREATE TABLE reserve AS SELECT zeroblob(?) AS bytes", (RESERVE_BYTES - free_bytes,))
        database.execute("DROP TABLE reserve")
    has_bytes = journal.stat().st_size if journal.exists() else 0
    if has_bytes < JOURNAL_BYTES:
        with journal.open("ab") as file:
            file.write(bytes(JOURNAL_BYTES - has_bytes))
            file.flush()
            os.fsync(file.fileno())


def mark_run(database: sqlite3.Connection, *, is_open: bool) -> None:
    """Say that a run has begun, or has ended in good order; raises sqlite3.Error."""
    with database:
        database.execute("UPDATE run SET is_open = ?", (int(is_open),))


def load_all(database: sqlite3.Connection) -> Restored:
    """Everything that is stored; raises StoreError or sqlite3.DatabaseError when it is damaged."""
    check = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if check != "ok":
        raise StoreError(str(check))
    documents = database.execute("SELECT topic, payload, key_id, counter, sha256, body FROM documents").fetchall()
    counters = database.execute("SELECT key_id, topic, counter, sha256 FROM counters").fetchall()
    reports = database.execute("SELECT number, payload FROM reports ORDER BY number").fetchall()
    chain = database.execute("SELECT number, sha256, open_airing FROM chain").fetchone()
    number, sha256, airing = chain or (0, bytes(32), None)
    run = database.execute("SELECT is_open FROM run").fetchone()
    notes = database.execute("SELECT name, payload FROM notes").fetchall()
    return Restored(
        documents=tuple(
            StoredDocument(topic=row[0], payload=row[1], key_id=row[2], counter=row[3], sha256=row[4], body=row[5])
            for row in documents
        ),
        counters=tuple(LastCounter(key_id=row[0], topic=row[1], counter=row[2], sha256=row[3]) for row in counters),
        reports=tuple(StoredReport(number=row[0], payload=row[1]) for row in reports),
        last_number=number,
        last_sha256=sha256,
        open_airing=None if airing is None else _open_airing(airing),
        was_cut_off=bool(run and run[0]),
        notes=tuple(StoredNote(name=row[0], payload=row[1]) for row in notes),
    )


def _open_airing(data: bytes) -> AiringRecord:
    try:
        record: AiringRecord = cbor_decode(data, AiringRecord)
    except Refusal as refusal:
        raise StoreError(f"the open airing cannot be read: {refusal}") from refusal
    return record
