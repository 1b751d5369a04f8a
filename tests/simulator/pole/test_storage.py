"""The SD card and what stands on it, when the power fails, the card fills, wears out or rots.

That the store keeps its promises while all is well is in tests/contract/test_store_contract.py.
"""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.adapters.store_schema import RESERVE_BYTES
from edge.effects import ForgetReports, StoreDocument, StoreReport
from edge.events import DocumentStored, DocumentStoreFailed, Event, ReportStored, Restored
from simulator.pole.disk import Disk, DiskError
from simulator.pole.storage import COMMIT_NS, JOURNAL, SimulatedStore
from simulator.world import World

KIB = 1024


class Computer:
    """A machine whose power can be cut, with one card and one store at a time."""

    def __init__(self, seed: int = 1) -> None:
        self.world = World(seed=seed)
        self.disk = Disk(self.world, "N001", capacity_bytes=64 * KIB)
        self.events: list[Event] = []
        self.store = self.boot()[0]

    def boot(self) -> tuple[SimulatedStore, Restored]:
        self.store = SimulatedStore(self.world, self.disk, post=self.events.append)
        return self.store, self.store.load()

    def cut_power(self) -> None:
        self.store.abandon()
        self.disk.lose_power()

    def let_pass(self, ns: int = 10**10) -> None:
        self.world.run_for(ns)


def document(counter: int) -> StoreDocument:
    payload = f"plan {counter}".encode() * 50
    return StoreDocument(
        topic="loaxa/1/area/thon-1/plan",
        payload=payload,
        key_id="operations-1",
        counter=counter,
        sha256=hashlib.sha256(payload).digest(),
    )


def report(number: int) -> StoreReport:
    payload = f"report {number}".encode() * 40
    return StoreReport(
        number=number, chain_number=number, payload=payload, sha256=hashlib.sha256(payload).digest(), open_airing=None
    )


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(0, 12 * COMMIT_NS))
def test_what_was_answered_survives_a_power_cut_at_any_instant(seed: int, count: int, after_ns: int) -> None:
    computer = Computer(seed)
    for number in range(1, count + 1):
        computer.store.ask(report(number))
    computer.let_pass(after_ns)
    answered = [event.number for event in computer.events if isinstance(event, ReportStored)]
    computer.cut_power()
    _, restored = computer.boot()
    stored = [each.number for each in restored.reports]
    assert not restored.damage
    assert stored[: len(answered)] == answered
    assert stored in (answered, [*answered, len(answered) + 1])  # the one under way may have made it
    assert restored.last_number == (stored[-1] if stored else 0)


def test_a_power_cut_in_the_middle_of_a_write_loses_at_most_that_write() -> None:
    computer = Computer()
    computer.store.ask(report(1))
    computer.disk.call_at_write(1, computer.cut_power)
    computer.store.ask(report(2))
    computer.store.ask(report(3))
    computer.let_pass()
    assert computer.events == [ReportStored(number=1)]
    _, restored = computer.boot()
    assert [each.number for each in restored.reports] in ([1], [1, 2])
    computer.store.ask(report(9))
    computer.let_pass()
    assert computer.events[-1] == ReportStored(number=9)


def test_a_rotten_journal_is_set_aside_and_said_so() -> None:
    computer = Computer()
    for number in range(1, 9):
        computer.store.ask(report(number))
    computer.let_pass()
    computer.disk.rot(JOURNAL, 500)
    _, restored = computer.boot()
    assert restored.damage
    assert restored.reports == ()
    assert computer.disk.exists(JOURNAL + ".damaged-1")
    computer.store.ask(document(1))
    computer.let_pass()
    assert isinstance(computer.events[-1], DocumentStored)


def test_a_full_card_keeps_what_the_reserve_has_room_for_through_a_power_cut() -> None:
    computer = Computer()
    computer.disk.capacity_bytes = 2 * RESERVE_BYTES
    computer.boot()
    computer.disk.foreign_bytes = 2 * RESERVE_BYTES
    assert computer.disk.free_bytes == 0
    for number in (1, 2, 3):
        computer.store.ask(report(number))
    computer.let_pass()
    computer.cut_power()
    _, restored = computer.boot()
    assert [each.number for each in restored.reports] == [1, 2, 3]
    assert not restored.damage
    assert restored.was_cut_off
    with pytest.raises(DiskError, match="no space"):
        computer.disk.append("media/x.part", b"1")


def test_what_a_power_cut_tore_off_is_cut_away_also_on_a_full_card() -> None:
    for seed in range(20):
        computer = Computer(seed)
        computer.disk.capacity_bytes = 2 * RESERVE_BYTES
        computer.boot()
        computer.disk.foreign_bytes = 2 * RESERVE_BYTES
        computer.store.ask(report(1))
        computer.let_pass()
        computer.store.ask(report(2))
        computer.cut_power()
        computer.boot()
        computer.store.ask(report(3))
        computer.let_pass()
        computer.cut_power()
        _, restored = computer.boot()
        assert [each.number for each in restored.reports] in ([1, 3], [1, 2, 3])
        assert not restored.damage


def test_without_a_reserve_a_full_card_fails_the_request_and_works_again_when_there_is_room() -> None:
    computer = Computer()
    computer.disk.foreign_bytes = 64 * KIB
    computer.store.ask(document(1))
    computer.let_pass()
    (event,) = computer.events
    assert isinstance(event, DocumentStoreFailed)
    assert "no space" in event.detail
    computer.disk.foreign_bytes = 0
    computer.store.ask(document(2))
    computer.let_pass()
    assert isinstance(computer.events[-1], DocumentStored)


def test_a_worn_card_turns_read_only_and_a_new_store_gives_what_it_holds_and_says_so() -> None:
    computer = Computer()
    computer.disk.wear_out_after(2)
    for counter in (1, 2, 3):
        computer.store.ask(document(counter))
    computer.let_pass()
    kinds = [type(event) for event in computer.events]
    assert kinds.count(DocumentStored) == 2
    assert kinds.count(DocumentStoreFailed) == 1
    fresh = Disk(computer.world, "N002")
    fresh.is_read_only = True
    restored = SimulatedStore(computer.world, fresh, post=computer.events.append).load()
    assert restored.documents == ()
    assert "replace the card" in restored.damage


def test_a_long_journal_is_written_anew_at_the_next_start() -> None:
    computer = Computer()
    computer.disk.capacity_bytes = 16 * KIB * KIB
    for counter in range(1, 2_001):
        computer.store.ask(document(counter))
        computer.let_pass(COMMIT_NS)
    before = len(computer.disk.read(JOURNAL))
    _, restored = computer.boot()
    assert len(computer.disk.read(JOURNAL)) < before // 100
    assert [each.counter for each in restored.documents] == [2_000]
    computer.store.close()
    assert [each.counter for each in computer.boot()[1].documents] == [2_000]


def test_acknowledged_reports_go_and_numbers_go_on() -> None:
    computer = Computer()
    computer.store.ask(report(1))
    computer.store.ask(ForgetReports(numbers=(1,)))
    computer.let_pass()
    computer.cut_power()
    _, restored = computer.boot()
    assert restored.reports == ()
    assert restored.last_number == 1


def test_a_copied_card_is_what_was_durable() -> None:
    computer = Computer()
    computer.store.ask(document(1))
    computer.let_pass()
    computer.disk.append("media/x.part", b"not synced")
    copy = computer.disk.clone("N001b")
    assert copy.read(JOURNAL) == computer.disk.read(JOURNAL)
    assert copy.read("media/x.part") == b""


def test_names_survive_in_order_and_a_sync_keeps_them_all() -> None:
    for seed in range(40):
        world = World(seed=seed)
        disk = Disk(world, "N001")
        disk.append("a", b"1")
        disk.sync("a")
        disk.rename("a", "b")
        disk.append("c", b"2" * 5_000)
        disk.remove("b")
        disk.lose_power()
        assert disk.names() in (("a",), ("b",), ("b", "c"), ("c",)), seed
        assert disk.free_bytes == disk.capacity_bytes - sum(len(disk.read(name)) for name in disk.names())
    disk = Disk(World(seed=1), "N001", capacity_bytes=10)
    with pytest.raises(DiskError, match="no space"):
        disk.append("a", bytes(11))
    assert disk.names() == ()


def test_a_slow_card_answers_late_and_one_after_the_other() -> None:
    computer = Computer()
    computer.disk.delay_ns = 2 * 10**9
    computer.store.ask(report(1))
    computer.store.ask(report(2))
    answered = []
    for _ in range(5):
        computer.let_pass(10**9)
        answered.append(len(computer.events))
    assert answered == [0, 0, 1, 1, 2]


def test_a_stop_writes_what_a_slow_card_takes_in_its_five_seconds() -> None:
    computer = Computer()
    computer.disk.delay_ns = 2 * 10**9
    for number in (1, 2, 3):
        computer.store.ask(report(number))
    computer.store.close()
    assert [event.number for event in computer.events if isinstance(event, ReportStored)] == [1, 2]
