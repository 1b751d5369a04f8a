"""The tables of the node's database, and reading all of them.

`documents` holds the raw signed bytes in force by topic; `counters` what was accepted of each key on each topic,
which outlives the document; `reports` what waits for its acknowledgement; `chain`, one row, the last number and
digest and the airing that is open. A database whose check or contents are wrong is damaged, not partly right.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from edge.errors import StoreError
from edge.events import LastCounter, Restored, StoredDocument, StoredReport
from protocol.codec import cbor_decode
from protocol.errors import Refusal
from protocol.messages import AiringRecord

VERSION: Final = 1
SCHEMA: Final = f"""
BEGIN;
CREATE TABLE documents (
    topic TEXT PRIMARY KEY, payload BLOB NOT NULL, key_id TEXT NOT NULL, counter INTEGER NOT NULL, sha256 BLOB NOT NULL
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


def load_all(database: sqlite3.Connection) -> Restored:
    """Everything that is stored; raises StoreError or sqlite3.DatabaseError when it is damaged."""
    check = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if check != "ok":
        raise StoreError(str(check))
    documents = database.execute("SELECT topic, payload, key_id, counter, sha256 FROM documents").fetchall()
    counters = database.execute("SELECT key_id, topic, counter, sha256 FROM counters").fetchall()
    reports = database.execute("SELECT number, payload FROM reports ORDER BY number").fetchall()
    chain = database.execute("SELECT number, sha256, open_airing FROM chain").fetchone()
    number, sha256, airing = chain or (0, bytes(32), None)
    return Restored(
        documents=tuple(
            StoredDocument(topic=row[0], payload=row[1], key_id=row[2], counter=row[3], sha256=row[4])
            for row in documents
        ),
        counters=tuple(LastCounter(key_id=row[0], topic=row[1], counter=row[2], sha256=row[3]) for row in counters),
        reports=tuple(StoredReport(number=row[0], payload=row[1]) for row in reports),
        last_number=number,
        last_sha256=sha256,
        open_airing=None if airing is None else _open_airing(airing),
    )


def _open_airing(data: bytes) -> AiringRecord:
    try:
        record: AiringRecord = cbor_decode(data, AiringRecord)
    except Refusal as refusal:
        raise StoreError(f"the open airing cannot be read: {refusal}") from refusal
    return record
