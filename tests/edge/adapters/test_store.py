"""SQLite on a real disk: a damaged database, a killed process, a full queue, a schema of the future."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.adapters.store import SET_ASIDE_MAX, SqliteStore, read_only
from edge.adapters.store_schema import JOURNAL_BYTES, RESERVE_BYTES, SCHEMA
from edge.effects import ForgetReports, StoreDocument, StoreReport
from edge.errors import StoreError
from edge.events import Event, ReportStoreFailed

WRITER = """
import sys
from pathlib import Path
from edge.adapters.store_schema import JOURNAL_BYTES, RESERVE_BYTES, SCHEMA
from edge.adapters.store import SqliteStore
from edge.effects import StoreReport

def say(event):
    print(event.number, flush=True)

store = SqliteStore(Path(sys.argv[1]), post=say)
number = store.load().last_number
while True:
    number += 1
    report = StoreReport(number=number, chain_number=number, payload=b"x" * 300, sha256=bytes(32), open_airing=None)
    store.ask(report)
    while store._requests.qsize() > 50:
        pass
"""


def test_what_was_answered_is_there_after_kill_9(tmp_path: Path) -> None:
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            answered = [int(process.stdout.readline()) for _ in range(20)]
            process.send_signal(signal.SIGKILL)
            answered += [int(line) for line in process.stdout.read().split("\n")[:-1]]
        restored = read_only(tmp_path)
        numbers = [report.number for report in restored.reports]
        assert numbers == list(range(1, len(numbers) + 1))
        assert max(answered) <= restored.last_number == numbers[-1]
        assert restored.was_cut_off


@pytest.mark.parametrize("rubbish", [b"no database at all", b"SQLite format 3\0" + bytes(5_000), b"\xff" * 8_192])
def test_a_damaged_database_is_set_aside_and_a_new_one_begun(tmp_path: Path, rubbish: bytes) -> None:
    (tmp_path / "node.sqlite").write_bytes(rubbish)
    store = SqliteStore(tmp_path, post=lambda _: None)
    restored = store.load()
    assert "set aside" in restored.damage
    assert restored.is_chain_lost
    assert restored.documents == ()
    store.close()
    assert (tmp_path / "node.sqlite.damaged-1").read_bytes() == rubbish


def test_only_a_few_damaged_databases_are_kept(tmp_path: Path) -> None:
    for number in range(SET_ASIDE_MAX + 3):
        (tmp_path / "node.sqlite").write_bytes(b"damage %d" % number)
        store = SqliteStore(tmp_path, post=lambda _: None)
        store.load()
        store.close()
    kept = sorted(tmp_path.glob("*.damaged-*"))
    assert len(kept) == SET_ASIDE_MAX
    assert kept[-1].read_bytes() == b"damage %d" % (SET_ASIDE_MAX + 2)


def test_a_database_of_a_later_program_is_not_misread(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, post=lambda _: None)
    store.load()
    store.close()
    database = sqlite3.connect(tmp_path / "node.sqlite")
    database.execute("PRAGMA user_version = 99")
    database.close()
    store = SqliteStore(tmp_path, post=lambda _: None)
    assert "schema is version 99" in store.load().damage
    store.close()


def test_a_queue_that_is_full_fails_like_a_disk_that_refuses(tmp_path: Path) -> None:
    events: list[Event] = []
    store = SqliteStore(tmp_path, post=events.append)
    for number in range(2_000):
        store.ask(StoreReport(number=number, chain_number=number, payload=b"x", sha256=bytes(32), open_airing=None))
    assert events
    assert isinstance(events[0], ReportStoreFailed)


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="file/state cannot be made"):
        SqliteStore(tmp_path / "file" / "state", post=lambda _: None).load()


def test_a_disk_that_goes_away_is_answered_and_comes_back(tmp_path: Path) -> None:
    events: list[Event] = []
    store = SqliteStore(tmp_path, post=events.append)
    store.load()
    locker = sqlite3.connect(tmp_path / "node.sqlite")
    locker.execute("DROP TABLE reports")
    locker.commit()
    store.ask(StoreReport(number=1, chain_number=1, payload=b"x", sha256=bytes(32), open_airing=None))
    store.ask(StoreDocument(topic="t", payload=b"d", key_id="k", counter=1, sha256=bytes(32)))
    store.close()
    locker.close()
    assert [type(event).__name__ for event in events] == ["ReportStoreFailed", "DocumentStored"]


FULL_CARD = """
import resource, signal, sys, time
from pathlib import Path
from edge.adapters.store_schema import JOURNAL_BYTES, RESERVE_BYTES, SCHEMA
from edge.adapters.store import SqliteStore
from edge.effects import StoreReport, ForgetReports

folder = Path(sys.argv[1])
answers = []
store = SqliteStore(folder, post=answers.append)
restored = store.load()
store.ask(ForgetReports(numbers=()))
store.close()
longest = max(path.stat().st_size for path in folder.iterdir())
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (longest, longest))
sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
store = SqliteStore(folder, post=answers.append)
number = store.load().last_number
for more in range(1, int(sys.argv[2]) + 1):
    store.ask(StoreReport(
        number=number + more, chain_number=number + more, payload=b"x" * 10_000, sha256=bytes(32), open_airing=None))
    while store._requests.qsize() > 500:
        time.sleep(0.01)
while len(answers) < int(sys.argv[2]):
    time.sleep(0.01)
store.close()
kinds = {type(answer).__name__ for answer in answers}
print(len(answers), *kinds, sizes == {path.name: path.stat().st_size for path in folder.iterdir()})
"""


def test_a_full_card_still_takes_megabytes_of_what_must_be_kept(tmp_path: Path) -> None:
    """No file may grow any more, as on a card without a free block; what is written over stays possible."""
    count = 200  # of 10 kB: 2,000 usual reports and more
    command = [sys.executable, "-c", FULL_CARD, str(tmp_path), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == [str(count), "ReportStored", "True"]
    assert len(read_only(tmp_path).reports) == count


def test_the_reserve_is_taken_once_and_written_over(tmp_path: Path) -> None:
    sizes = []
    for _ in range(3):
        store = SqliteStore(tmp_path, post=lambda _: None)
        store.load()
        store.ask(ForgetReports(numbers=(1,)))
        store.close()
        sizes.append((tmp_path / "node.sqlite").stat().st_size)
    assert RESERVE_BYTES <= sizes[0] == sizes[1] == sizes[2] < 2 * RESERVE_BYTES
    assert (tmp_path / "node.sqlite-journal").stat().st_size >= JOURNAL_BYTES


@pytest.mark.parametrize(("version", "unknown"), [(1, ("run", "notes")), (2, ("notes",)), (3, ())])
def test_a_database_of_a_program_before_is_taken_over(tmp_path: Path, version: int, unknown: tuple[str, ...]) -> None:
    database = sqlite3.connect(tmp_path / "node.sqlite")
    database.execute("PRAGMA journal_mode = WAL")
    database.executescript(SCHEMA)
    for table in unknown:
        database.execute(f"DROP TABLE {table}")
    database.execute("ALTER TABLE documents DROP COLUMN body")
    database.execute(f"PRAGMA user_version = {version}")
    database.execute("INSERT INTO reports VALUES (1, x'00')")
    database.commit()
    database.close()
    store = SqliteStore(tmp_path, post=lambda _: None)
    restored = store.load()
    store.close()
    assert (restored.damage, len(restored.reports), restored.was_cut_off) == ("", 1, False)


def test_looking_at_a_node_that_never_ran_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="has not run yet"):
        read_only(tmp_path)


def test_a_disk_that_cannot_be_written_gives_what_it_holds_and_refuses_the_rest(tmp_path: Path) -> None:
    with written_once(tmp_path) as folder:
        told: list[Event] = []
        store = SqliteStore(folder, post=told.append)
        restored = store.load()
        store.ask(StoreReport(number=2, chain_number=2, payload=b"y", sha256=bytes(32), open_airing=None))
        store.close()
    assert [report.payload for report in restored.reports] == [b"x"]
    assert "cannot be written" in restored.damage
    assert not restored.is_chain_lost
    assert [type(event) for event in told] == [ReportStoreFailed]


@contextmanager
def written_once(tmp_path: Path) -> Iterator[Path]:
    """A node's folder with one report in it, on a file system that has become read-only."""
    told: list[Event] = []
    folder = tmp_path / "card"
    store = SqliteStore(folder, post=told.append)
    store.load()
    store.ask(StoreReport(number=1, chain_number=1, payload=b"x", sha256=bytes(32), open_airing=None))
    store.close()
    if os.geteuid() != 0:
        for path in [folder, *folder.iterdir()]:
            path.chmod(path.stat().st_mode & ~0o222)
        yield folder
        folder.chmod(0o700)
        return
    mount(str(folder), str(folder), "--bind")
    try:
        mount(str(folder), "-o", "remount,bind,ro")
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)
