"""No planned item without a record, none with two: off, without time, with a late plan, cut at any time."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.proof.judged import BATCH, BATCH_WAIT_MS, JUDGED_MAX, KEPT_MS, SET_MS, Judged
from protocol.candidate import Candidate, planned_key
from protocol.messages import AiringRecord, AiringState, BroadcastClass, Reality, SourceKind
from protocol.units import NS_PER_MS, MonotonicNs, Now, SharedMs, SharedNs, TimeSource
from tests.support.issuer import COMMUNE, media, occurrence
from tests.support.pole import T0_MS, Pole

NEWS = media("news", seconds=2)
HOUR_MS = 3_600_000


def at(shared_ms: int, monotonic_ms: int = 0) -> Now:
    """A trusted instant."""
    return Now(
        monotonic_ns=MonotonicNs(monotonic_ms * NS_PER_MS),
        shared_ns=SharedNs(shared_ms * NS_PER_MS),
        error_ns=0,
        source=TimeSource.SYSTEM,
    )


def item(name: str, starts_ms: int, *, planned_ms: int = 0) -> Candidate:
    """A planned item of a minute."""
    return Candidate(
        key=planned_key(COMMUNE, name),
        source=SourceKind.MEDIA,
        source_id=name,
        title=name,
        broadcast_class=BroadcastClass.ROUTINE,
        reality=Reality.REAL,
        depth=1,
        starts_at_ms=SharedMs(starts_ms),
        ends_at_ms=SharedMs(starts_ms + 60_000),
        media=NEWS,
        area=COMMUNE,
        planned_at_ms=planned_ms,
    )


def judged(note: bytes | None, now: Now) -> Judged:
    """A start with a note."""
    found = Judged()
    found.restore(note, now)
    return found


def begun(now: Now) -> bytes:
    """The note of a node that began to know something now."""
    fresh = judged(None, now)
    fresh.settle((), now)
    return fresh.note


def names(found: tuple[tuple[Candidate, AiringRecord], ...]) -> list[tuple[str, str]]:
    """What was missed, and why."""
    return [(record.source_id, record.reason) for _, record in found]


def test_what_fell_into_a_time_without_power_is_missed_once() -> None:
    note = begun(at(T0_MS))
    plan = (item("a", T0_MS + HOUR_MS), item("b", T0_MS + 2 * HOUR_MS), item("c", T0_MS + 9 * HOUR_MS))
    later = at(T0_MS + 3 * HOUR_MS)
    found = judged(note, later)
    missed = found.settle(plan, later)
    assert names(missed) == [("a", "power_off"), ("b", "power_off")]
    assert {record.state for _, record in missed} == {AiringState.MISSED}
    assert [record.due_at_ms for _, record in missed] == [T0_MS + HOUR_MS, T0_MS + 2 * HOUR_MS]
    for candidate, _ in missed:
        found.recorded(candidate.key, candidate.ends_at_ms)
    assert not judged(found.note, later).settle(plan, later)


def test_what_has_a_record_is_not_missed() -> None:
    found = judged(begun(at(T0_MS)), at(T0_MS))
    found.recorded(planned_key(COMMUNE, "a"), T0_MS + HOUR_MS + 60_000)
    later = at(T0_MS + 3 * HOUR_MS)
    assert names(judged(found.note, later).settle((item("a", T0_MS + HOUR_MS),), later)) == []


def test_a_fresh_node_misses_nothing_from_before_it_came_to_be() -> None:
    now = at(T0_MS)
    assert not judged(None, now).settle((item("a", T0_MS - HOUR_MS),), now)
    assert not judged(b"\x01rubbish", now).settle((item("a", T0_MS - HOUR_MS),), now)


def test_nothing_is_judged_without_the_time_and_then_the_reason_is_that() -> None:
    note = begun(at(T0_MS))
    unknown = Now(monotonic_ns=MonotonicNs(0), shared_ns=SharedNs(0), error_ns=0, source=TimeSource.UNKNOWN)
    found = judged(note, unknown)
    plan = (item("off", T0_MS + HOUR_MS), item("on", T0_MS + 3 * HOUR_MS))
    assert not found.settle(plan, unknown)
    known = at(T0_MS + 4 * HOUR_MS, monotonic_ms=2 * HOUR_MS)
    assert names(found.settle(plan, known)) == [("off", "power_off"), ("on", "clock_unknown")]


def test_a_plan_that_came_too_late_is_missed_but_not_what_it_says_of_the_time_before_it_was_signed() -> None:
    found = judged(begun(at(T0_MS)), at(T0_MS))
    found.settle((), at(T0_MS))
    signed_ms = T0_MS + HOUR_MS
    plan = (item("before", signed_ms - 60_000, planned_ms=signed_ms), item("after", signed_ms, planned_ms=signed_ms))
    now = at(T0_MS + 4 * HOUR_MS, monotonic_ms=4 * HOUR_MS)
    assert names(found.settle(plan, now)) == [("after", "late_plan")]


def test_what_a_clock_skipped_is_missed_once_it_had_time_to_be_put_right() -> None:
    plan = (item("skipped", T0_MS + 120_000), item("due", T0_MS + 400_000), item("far", T0_MS + 1_800_000))
    found = judged(begun(at(T0_MS)), at(T0_MS))
    assert not found.settle(plan, at(T0_MS + 60_000, monotonic_ms=60_000))
    assert not found.settle(plan, at(T0_MS + HOUR_MS, monotonic_ms=61_000)), "it may be put right, and all be due yet"
    assert not found.settle(plan, at(T0_MS + 300_000, monotonic_ms=300_000))
    due_at = found.next_deadline()
    assert due_at == (300_000 + SET_MS) * NS_PER_MS
    found.recorded(planned_key(COMMUNE, "due"), T0_MS + 460_000)
    assert not found.settle(plan, at(T0_MS + 300_000 + SET_MS - 1, monotonic_ms=300_000 + SET_MS - 1))
    missed = found.settle(plan, at(T0_MS + 300_000 + SET_MS, monotonic_ms=300_000 + SET_MS))
    assert names(missed) == [("skipped", "clock_unknown")]
    found.recorded(missed[0][0].key, missed[0][0].ends_at_ms)
    assert found.next_deadline() is None
    assert not found.settle(plan, at(T0_MS + 1_200_000, monotonic_ms=1_200_000))


def test_a_week_without_power_comes_in_batches_and_none_is_lost_when_the_plan_is_replaced_meanwhile() -> None:
    plan = tuple(item(f"i{n}", T0_MS + n * HOUR_MS) for n in range(1, 160))
    now_ms = T0_MS + 200 * HOUR_MS
    found = judged(begun(at(T0_MS)), at(now_ms))
    told: Counter[str] = Counter()
    for turn in range(10):
        now = at(now_ms + turn * 2_000, monotonic_ms=turn * 2_000)
        batch = found.settle(plan if turn == 0 else (), now)
        assert len(batch) <= BATCH
        for candidate, record in batch:
            found.recorded(candidate.key, candidate.ends_at_ms)
            told[record.source_id] += 1
        if turn == 0:
            assert found.next_deadline() == BATCH_WAIT_MS * NS_PER_MS
            assert not found.settle(plan, at(now_ms + BATCH_WAIT_MS - 1, monotonic_ms=BATCH_WAIT_MS - 1)), "too soon"
    assert told == Counter({each.source_id: 1 for each in plan})
    assert found.next_deadline() is None


def test_what_is_known_one_by_one_is_bounded() -> None:
    found = judged(begun(at(T0_MS)), at(T0_MS))
    for number in range(2 * JUDGED_MAX):
        found.recorded(planned_key(COMMUNE, f"i{number}"), T0_MS + 61_000 + number * 1_000)
    assert len(found.note) <= 4 * 1024 + 16
    later = at(T0_MS + HOUR_MS)
    first, last = item("i0", T0_MS + 1_000), item(f"i{2 * JUDGED_MAX - 1}", T0_MS + 2 * JUDGED_MAX * 1_000)
    assert not found.settle((first, last), later), "what is forgotten is not missed once more"
    found.recorded(planned_key(COMMUNE, "much later"), T0_MS + 3 * KEPT_MS)
    assert len(found.note) == 9 + 16


def test_a_floor_of_a_clock_that_was_wrong_is_taken_back() -> None:
    found = judged(begun(at(T0_MS + 9_000 * HOUR_MS)), at(T0_MS))
    found.settle((), at(T0_MS))
    later = at(T0_MS + 2 * HOUR_MS)
    assert names(judged(found.note, later).settle((item("a", T0_MS + HOUR_MS),), later)) == [("a", "power_off")]


def planned_pole(*starts_ms: int) -> Pole:
    """A pole with items of two seconds."""
    pole = Pole()
    pole.provide(NEWS)
    pole.introduce()
    items = [occurrence(f"i{n}", starts_ms, NEWS, duration_ms=2_000) for n, starts_ms in enumerate(starts_ms)]
    pole.send(pole.issuer.plan(*items))
    pole.run_for(1_500)
    return pole


def test_a_pole_that_was_off_says_what_it_missed() -> None:
    pole = planned_pole(T0_MS + 20_000, T0_MS + 40_000)
    pole.run_until(T0_MS + 10_000)
    pole.cut_power()
    pole.run_until(T0_MS + 30_000)
    pole.boot()
    pole.connect()
    pole.run_until(T0_MS + 50_000)
    assert pole.airings() == [
        ("i0", "missed", "power_off"),
        ("i1", "started", "on time"),
        ("i1", "finished", "finished"),
    ]


@settings(max_examples=12)
@example(cuts=[(100, 4_600)])
@example(cuts=[(100, 1), (9_907, 1_692)])
@example(cuts=[(3_400, 700), (2_000, 9_000)])
@example(cuts=[(3_560, 20_000), (1, 20_000)])
@given(cuts=st.lists(st.tuples(st.integers(100, 30_000), st.integers(1, 25_000)), min_size=1, max_size=4))
@pytest.mark.slow
def test_whenever_the_power_is_cut_each_item_has_its_record_and_none_is_missed_twice(
    cuts: list[tuple[int, int]],
) -> None:
    starts_ms = [T0_MS + 5_000 + 7_000 * n for n in range(8)]
    pole = planned_pole(*starts_ms)
    for on_ms, off_ms in cuts:
        pole.run_for(on_ms)
        pole.cut_power()
        pole.run_for(off_ms)
        pole.boot()
        pole.connect()
    pole.run_until(max(pole.now_ms, T0_MS + 70_000) + 20_000)
    told = Counter((source_id, state) for source_id, state, _ in pole.airings())
    for number in range(len(starts_ms)):
        name = f"i{number}"
        assert told[name, "started"] or told[name, "missed"], f"{name} has no record"
        assert told[name, "missed"] <= 1, f"{name} was missed twice"
        assert not (told[name, "started"] and told[name, "missed"]), f"{name} sounded and was missed"
        assert told[name, "started"] == told[name, "finished"], f"{name} has an open end"
