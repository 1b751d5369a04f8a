"""What must survive a power cut: SQLite with full synchronous commits, on one worker thread.

Its room is taken ahead (RESERVE_BYTES of empty pages, and a journal that is written over in place), so that counters
and reports find room on a card that logs or media have filled.

Answers by events on the loop's thread, in the order of the requests. A damaged database is set aside with its
whole name and a new one is begun: the node comes back from the broker's retained documents, and the fault is on
record. Numbers of reports go on from the clock then, so that none is given twice. A disk that can be read but not
written (a worn card) gives what it holds: the node plays its last plan and obeys emergencies, from memory.

Rules kept: one transaction for a document with its counter, one for a report with the airing it opens or closes;
the queue of requests is bounded, and a request that finds it full fails like one that the disk refuses.
"""

from __future__ import annotations

import contextlib
import queue
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from edge.adapters.store_schema import load_all, mark_run, require_schema, take_reserve
from edge.effects import ForgetDocuments, ForgetReports, KeepNote, StoreDocument, StoreReport, StoreRequest
from edge.errors import StoreError
from edge.events import DocumentStored, DocumentStoreFailed, Event, ReportStored, ReportStoreFailed, Restored
from protocol.codec import cbor_encode

REQUESTS_MAX: Final = 1_024
"""Requests waiting for the disk; a node makes a few a minute."""
BUSY_MS: Final = 5_000
"""How long to wait for a technician's `show` that reads the same database."""
CLOSE_S_MAX: Final = 5.0
"""How long closing may wait for what was asked for."""
SET_ASIDE_MAX: Final = 3
"""Damaged databases that are kept for a person to look at; older ones go."""


class SqliteStore:
    """The store of one node, in `folder`. `post` takes an event in, from any thread."""

    def __init__(self, folder: Path, *, post: Callable[[Event], None]) -> None:
        self._path: Final = folder / "node.sqlite"
        self._post = post
        self._requests: queue.Queue[StoreRequest | None] = queue.Queue(REQUESTS_MAX)
        self._thread: threading.Thread | None = None
        self._has_failed = False
        """Whether something was asked for in vain since the last time when all went well."""

    def load(self) -> Restored:
        """See `Store.load`. Sets a damaged database aside; raises StoreError when its folder cannot be made."""
        damage = ""
        self._make_folder()
        try:
            restored = self._load_once()
        except (sqlite3.DatabaseError, StoreError) as error:
            damage = f"{self._path.name} was damaged and set aside: {error}"
            try:
                self._set_aside()
                restored = replace(self._load_once(), is_chain_lost=True)
            except (sqlite3.DatabaseError, OSError) as again:
                damage = f"{self._path} cannot be written ({again}): replace the card; nothing new will be kept"
                restored = _load_unwritable(self._path)
        else:
            try:
                self._begin_run()
            except sqlite3.Error as error:
                damage = f"{self._path} cannot be written ({error}): replace the card; nothing new will be kept"
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()
        return replace(restored, damage=damage)

    def ask(self, request: StoreRequest) -> None:
        """See `Store.ask`."""
        try:
            self._requests.put_nowait(request)
        except queue.Full:
            self._fail(request, f"{REQUESTS_MAX} requests are waiting for the disk")

    def close(self) -> None:
        """See `Store.close`."""
        if self._thread is None:
            return
        with contextlib.suppress(queue.Full):
            self._requests.put(None, timeout=CLOSE_S_MAX)
        self._thread.join(CLOSE_S_MAX)
        self._thread = None

    def _make_folder(self) -> None:
        folder = self._path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder} cannot be made: {error.strerror}; check state_dir and its rights") from error

    def _load_once(self) -> Restored:
        with contextlib.closing(_connect(self._path)) as database:
            return load_all(database)

    def _begin_run(self) -> None:
        with contextlib.closing(_connect(self._path)) as database:
            mark_run(database, is_open=True)

    def _work(self) -> None:
        database: sqlite3.Connection | None = None
        while (request := self._requests.get()) is not None:
            try:
                if database is None:
                    database = self._open()
                with database:
                    self._do(database, request)
            except sqlite3.Error as error:
                self._fail(request, f"{self._path.name}: {error}")
                if database is not None:
                    database.close()
                    database = None
            else:
                self._has_failed = False
                self._tell(answer_to(request))
        self._end_run(database)

    def _open(self) -> sqlite3.Connection:
        """Connect, and take the reserve if there is room for it; a run is under way from here on."""
        database = _connect(self._path)
        try:
            with contextlib.suppress(sqlite3.Error, OSError):
                take_reserve(database, _journal(self._path))
            with contextlib.suppress(sqlite3.Error):
                mark_run(database, is_open=True)
        except BaseException:
            database.close()
            raise
        return database

    def _end_run(self, database: sqlite3.Connection | None) -> None:
        """All that was asked for has been tried: the next start need not think of a power cut."""
        if database is None:
            return
        with contextlib.suppress(sqlite3.Error):
            mark_run(database, is_open=self._has_failed)
        database.close()

    def _do(self, database: sqlite3.Connection, request: StoreRequest) -> None:
        match request:
            case StoreDocument():
                row = (request.key_id, request.topic, request.counter, request.sha256)
                database.execute("INSERT OR REPLACE INTO counters VALUES (?, ?, ?, ?)", row)
                database.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?, ?)", _document_row(request))
            case ForgetDocuments():
                for topic in request.topics:
                    database.execute("DELETE FROM documents WHERE topic = ?", (topic,))
                    if request.with_counters:
                        database.execute("DELETE FROM counters WHERE topic = ?", (topic,))
            case StoreReport():
                airing = None if request.open_airing is None else cbor_encode(request.open_airing)
                database.execute("INSERT OR REPLACE INTO reports VALUES (?, ?)", (request.number, request.payload))
                database.execute(
                    "INSERT OR REPLACE INTO chain VALUES (0, ?, ?, ?)", (request.chain_number, request.sha256, airing)
                )
                if request.note is not None:
                    database.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", request.note)
            case ForgetReports():
                database.executemany("DELETE FROM reports WHERE number = ?", [(number,) for number in request.numbers])
            case KeepNote():
                database.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (request.name, request.payload))

    def _fail(self, request: StoreRequest, detail: str) -> None:
        self._has_failed = True
        self._tell(failure_of(request, detail))

    def _tell(self, answer: Event | None) -> None:
        if answer is not None:
            self._post(answer)

    def _set_aside(self) -> None:
        """Rename the database with its journals to the first free numbered name; keep a few."""
        folder = self._path.parent
        aside = sorted(folder.glob(f"{self._path.name}.damaged-*"), key=_aside_number)
        number = 1 + (_aside_number(aside[-1]) if aside else 0)
        for suffix in ("-wal", "-shm", "-journal"):
            folder.joinpath(self._path.name + suffix).unlink(missing_ok=True)
        if self._path.exists():
            self._path.rename(folder / f"{self._path.name}.damaged-{number}")
        for old in aside[: max(0, len(aside) + 1 - SET_ASIDE_MAX)]:
            old.unlink(missing_ok=True)


def answer_to(request: StoreRequest) -> Event | None:
    """What is told of a request that is durable; None of one that asked to forget, and of a note."""
    match request:
        case StoreDocument():
            return DocumentStored(topic=request.topic, sha256=request.sha256)
        case StoreReport():
            return ReportStored(number=request.number)
        case ForgetDocuments() | ForgetReports() | KeepNote():
            return None


def failure_of(request: StoreRequest, detail: str) -> Event | None:
    """What is told of a request that the disk refused; None of one that asked to forget, and of a note."""
    match request:
        case StoreDocument():
            return DocumentStoreFailed(topic=request.topic, sha256=request.sha256, detail=detail)
        case StoreReport():
            return ReportStoreFailed(number=request.number, detail=detail)
        case ForgetDocuments() | ForgetReports() | KeepNote():
            return None


def begin_new_chain(folder: Path) -> None:
    """A unit with a new report key numbers its reports from 1; those that the old key signed are nobody's now.

    Raises StoreError when the disk refuses; a database that is damaged is `load`'s to set aside.
    """
    path = folder / "node.sqlite"
    if not path.exists():
        return
    try:
        with contextlib.closing(_connect(path)) as database, database:
            database.execute("DELETE FROM reports")
            database.execute("DELETE FROM chain")
    except sqlite3.OperationalError as error:
        raise StoreError(f"{path} cannot be written: {error}; replace the card") from error
    except (sqlite3.DatabaseError, StoreError):
        return


def _load_unwritable(path: Path) -> Restored:
    """What a database on a disk that cannot be written holds; nothing if it cannot be read.

    SQLite needs to write beside a journal, so both are read from a copy in the system's temporary folder.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="loaxa-") as folder:
            for file in (path, path.with_name(path.name + "-wal"), _journal(path)):
                if file.exists():
                    shutil.copyfile(file, Path(folder) / file.name)
            with contextlib.closing(_connect(Path(folder) / path.name)) as database:
                return load_all(database)
    except (sqlite3.DatabaseError, StoreError, OSError):
        return Restored(is_chain_lost=True)


def read_only(folder: Path) -> Restored:
    """What a node has stored, for a person who looks at it while the node runs; raises StoreError."""
    path = folder / "node.sqlite"
    if not path.exists():
        raise StoreError(f"{path} does not exist: the node has not run yet with this state_dir")
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=BUSY_MS / 1000)) as database:
            return load_all(database)
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} cannot be read: {error}") from error


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=BUSY_MS / 1000)
    try:
        database.execute("PRAGMA journal_mode = PERSIST")
        database.execute("PRAGMA synchronous = FULL")
        require_schema(database)
    except BaseException:
        database.close()
        raise
    return database


def _journal(path: Path) -> Path:
    return path.with_name(path.name + "-journal")


def _document_row(request: StoreDocument) -> tuple[str, bytes, str, int, bytes, bytes]:
    return (request.topic, request.payload, request.key_id, request.counter, request.sha256, request.body)


def _aside_number(path: Path) -> int:
    text = path.name.rpartition("-")[2]
    return int(text) if text.isdigit() else 0
