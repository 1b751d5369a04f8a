"""What every store of a node promises: SQLite on a disk, the simulated SD card, and the card of the tests.

Each is looked at through `load` of a fresh process on the same disk, for only that is what survives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from edge.adapters.store import SqliteStore
from edge.effects import ForgetDocuments, ForgetReports, KeepNote, StoreDocument, StoreReport
from edge.events import DocumentStored, Event, ReportStored, Restored
from edge.ports import Store
from protocol.messages import AiringRecord, AiringState, BroadcastClass, Reality, SourceKind
from simulator.pole import storage
from simulator.pole.disk import Disk
from simulator.world import World
from tests.support.sd_card import SdCard, SimulatedStore
from tests.support.waiting import until_blocking

TOPIC = "loaxa/1/area/thon-dong/plan"


class StoreBench(Protocol):
    """A disk on which stores are opened one after another."""

    events: list[Event]

    def open(self) -> tuple[Store, Restored]: ...

    def await_events(self, count: int) -> None: ...


class SqliteBench:
    def __init__(self, folder: Path) -> None:
        self.events: list[Event] = []
        self._folder = folder

    def open(self) -> tuple[Store, Restored]:
        store = SqliteStore(self._folder, post=self.events.append)
        return store, store.load()

    def await_events(self, count: int) -> None:
        until_blocking(lambda: len(self.events) >= count, what=f"{count} answers")


class CardBench:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self._world = World(seed=1)
        self._card = SdCard()

    def open(self) -> tuple[Store, Restored]:
        store = SimulatedStore(self._world, self._card, post=self.events.append)
        return store, store.load()

    def await_events(self, count: int) -> None:
        self._world.run_for(10**10)
        assert len(self.events) >= count


class JournalBench:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self._world = World(seed=1)
        self._disk = Disk(self._world, "N001")

    def open(self) -> tuple[Store, Restored]:
        store = storage.SimulatedStore(self._world, self._disk, post=self.events.append)
        return store, store.load()

    def await_events(self, count: int) -> None:
        self._world.run_for(10**10)
        assert len(self.events) >= count


@pytest.fixture(params=["sqlite", "journal", "card"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> StoreBench:
    makers: dict[str, Callable[[], StoreBench]] = {
        "sqlite": lambda: SqliteBench(tmp_path),
        "journal": JournalBench,
        "card": CardBench,
    }
    return makers[request.param]()


def document(counter: int, *, topic: str = TOPIC, key_id: str = "operations-1") -> StoreDocument:
    payload = f"plan {counter}".encode()
    return StoreDocument(
        topic=topic, payload=payload, key_id=key_id, counter=counter, sha256=hashlib.sha256(payload).digest()
    )


def report(number: int, open_airing: AiringRecord | None = None) -> StoreReport:
    payload = f"report {number}".encode()
    return StoreReport(
        number=number,
        chain_number=number,
        payload=payload,
        sha256=hashlib.sha256(payload).digest(),
        open_airing=open_airing,
    )


AIRING = AiringRecord(
    airing="a:1",
    source=SourceKind.MEDIA,
    source_id="a",
    title="Bản tin sáng",
    broadcast_class=BroadcastClass.ROUTINE,
    reality=Reality.REAL,
    state=AiringState.STARTED,
    at_ms=1_800_000_000_000,
    reason="on time",
    level_dbfs=-20.5,
)


def test_a_fresh_disk_is_empty(bench: StoreBench) -> None:
    store, restored = bench.open()
    assert restored == Restored()
    store.close()


def test_a_document_replaces_the_former_one_of_its_topic_and_counters_stay_for_each_key(bench: StoreBench) -> None:
    store, _ = bench.open()
    for effect in (document(1), document(2), document(9, key_id="operations-2")):
        store.ask(effect)
    bench.await_events(3)
    assert all(isinstance(event, DocumentStored) for event in bench.events)
    store.close()
    store, restored = bench.open()
    assert [(each.payload, each.counter, each.key_id) for each in restored.documents] == [
        (b"plan 9", 9, "operations-2")
    ]
    assert {(each.key_id, each.counter) for each in restored.counters} == {("operations-1", 2), ("operations-2", 9)}
    store.close()


def test_answers_come_in_the_order_of_the_requests(bench: StoreBench) -> None:
    store, _ = bench.open()
    for number in range(1, 9):
        store.ask(report(number))
    bench.await_events(8)
    assert bench.events == [ReportStored(number=number) for number in range(1, 9)]
    store.close()


def test_what_was_asked_for_before_closing_is_on_the_disk(bench: StoreBench) -> None:
    store, _ = bench.open()
    store.ask(document(1))
    store.ask(report(1))
    store.close()
    store, restored = bench.open()
    assert len(restored.documents) == len(restored.reports) == 1
    store.close()


def test_reports_go_and_the_chain_stays(bench: StoreBench) -> None:
    store, _ = bench.open()
    for number in (1, 2, 3):
        store.ask(report(number))
    store.ask(ForgetReports(numbers=(1, 2, 77)))
    store.close()
    store, restored = bench.open()
    assert [each.number for each in restored.reports] == [3]
    assert restored.last_number == 3
    assert restored.last_sha256 == hashlib.sha256(b"report 3").digest()
    store.close()


def test_an_open_airing_is_kept_with_its_report_and_closed_with_the_next(bench: StoreBench) -> None:
    store, _ = bench.open()
    store.ask(report(1, AIRING))
    store.close()
    store, restored = bench.open()
    assert restored.open_airing == AIRING
    store.ask(report(2))
    store.close()
    store, restored = bench.open()
    assert restored.open_airing is None
    store.close()


def test_documents_go_with_their_counters_or_without(bench: StoreBench) -> None:
    store, _ = bench.open()
    other = "loaxa/1/area/thon-dong/emergency"
    store.ask(document(1))
    store.ask(document(1, topic=other))
    store.ask(ForgetDocuments(topics=(TOPIC,), with_counters=False))
    store.ask(ForgetDocuments(topics=(other,), with_counters=True))
    store.close()
    store, restored = bench.open()
    assert restored.documents == ()
    assert [each.topic for each in restored.counters] == [TOPIC]
    store.close()


def test_a_plans_body_is_kept_and_replaced_with_its_document(bench: StoreBench) -> None:
    store, _ = bench.open()
    store.ask(replace(document(1), body=b"the first body"))
    store.close()
    store, restored = bench.open()
    assert [each.body for each in restored.documents] == [b"the first body"]
    store.ask(document(2))
    store.close()
    store, restored = bench.open()
    assert [each.body for each in restored.documents] == [b""]
    store.close()


def test_a_run_that_ended_in_good_order_was_not_cut_off(bench: StoreBench) -> None:
    for number in (1, 2, 3):
        store, restored = bench.open()
        assert not restored.was_cut_off
        store.ask(report(number))
        store.close()


def test_a_note_replaces_the_former_one_of_its_name(bench: StoreBench) -> None:
    store, restored = bench.open()
    assert restored.note("air_time") == b""
    for name, payload in (("air_time", b"1"), ("fetched", b"9"), ("air_time", b"2")):
        store.ask(KeepNote(name=name, payload=payload))
    store.ask(report(1))
    bench.await_events(1)
    assert bench.events == [ReportStored(number=1)], "a note is not answered"
    store.close()
    store, restored = bench.open()
    assert (restored.note("air_time"), restored.note("fetched")) == (b"2", b"9")
    store.close()
