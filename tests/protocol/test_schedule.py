"""Merged plans: what is due follows from the instant alone, and changes exactly when it is said to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from protocol.messages import BroadcastClass, Occurrence
from protocol.schedule import Schedule, due, merge, next_change_ms
from protocol.units import SharedMs
from tests.support.messages import MINUTE_MS, T0_MS, occurrence, plan

AREAS = ("thon-dong", "xa-a", "tinh")


def at(offset_ms: int) -> SharedMs:
    return SharedMs(T0_MS + offset_ms)


def names_due(schedule: Schedule, offset_ms: int) -> list[str]:
    return [item.occurrence.id for item in due(schedule, at(offset_ms))]


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    items: list[Occurrence] = [
        occurrence(
            f"item-{number}",
            T0_MS + draw(st.integers(0, 50)),
            draw(st.integers(1, 30)),
            broadcast_class=draw(st.sampled_from(BroadcastClass)),
        )
        for number in range(draw(st.integers(0, 6)))
    ]
    middle = draw(st.integers(0, len(items)))
    return merge([plan("thon-dong", *items[:middle]), plan("tinh", *items[middle:])], areas=AREAS)


def test_an_item_sounds_from_its_start_until_its_end() -> None:
    schedule = merge([plan("xa-a", occurrence("a", T0_MS, MINUTE_MS))], areas=AREAS)
    assert names_due(schedule, -1) == []
    assert names_due(schedule, 0) == ["a"]
    assert names_due(schedule, MINUTE_MS - 1) == ["a"]
    assert names_due(schedule, MINUTE_MS) == []


def test_the_upper_area_comes_first_and_a_priority_item_before_it() -> None:
    village = plan(
        "thon-dong",
        occurrence("village", T0_MS),
        occurrence("urgent", T0_MS + 10, broadcast_class=BroadcastClass.PRIORITY),
    )
    schedule = merge([village, plan("tinh", occurrence("province", T0_MS + 5))], areas=AREAS)
    assert names_due(schedule, 0) == ["village"]
    assert names_due(schedule, 5) == ["province", "village"]
    assert names_due(schedule, 10) == ["urgent", "province", "village"]


def test_plans_of_other_places_and_older_plans_do_not_count() -> None:
    plans = [
        plan("xa-b", occurrence("elsewhere", T0_MS)),
        plan("xa-a", occurrence("old", T0_MS), counter=1),
        plan("xa-a", occurrence("new", T0_MS), counter=2),
    ]
    for order in (plans, plans[::-1]):
        assert names_due(merge(order, areas=AREAS), 0) == ["new"]


def test_what_a_plan_does_not_cover_is_left_out() -> None:
    covering = plan(
        "xa-a",
        occurrence("before", T0_MS - 10, duration_ms=10),
        occurrence("under way", T0_MS - 9, duration_ms=10),
        occurrence("within", T0_MS),
        occurrence("after", T0_MS + 100),
        covers_from_ms=T0_MS,
        covers_until_ms=T0_MS + 100,
    )
    schedule = merge([covering], areas=AREAS)
    assert [item.occurrence.id for item in schedule.items] == ["under way", "within"]
    assert schedule.until_ms == T0_MS + 100


def test_an_item_given_twice_counts_once() -> None:
    doubled = plan("xa-a", occurrence("a", T0_MS), occurrence("a", T0_MS + 10))
    assert names_due(merge([doubled], areas=AREAS), 20) == ["a"]


def test_nothing_is_due_of_nothing() -> None:
    empty = merge([], areas=AREAS)
    assert empty == Schedule()
    assert due(empty, at(0)) == ()
    assert next_change_ms(empty, at(0)) is None


@given(schedules(), st.integers(-5, 90))
def test_due_is_every_item_that_covers_the_instant_best_first(schedule: Schedule, offset_ms: int) -> None:
    found = due(schedule, at(offset_ms))
    expected = {item for item in schedule.items if item.starts_at_ms <= at(offset_ms) < item.ends_at_ms}
    assert set(found) == expected
    assert [item.rank for item in found] == sorted(item.rank for item in found)


@given(schedules(), st.integers(-5, 90))
def test_due_changes_at_the_next_change_and_not_before(schedule: Schedule, offset_ms: int) -> None:
    now = due(schedule, at(offset_ms))
    change_ms = next_change_ms(schedule, at(offset_ms))
    until_ms = T0_MS + 200 if change_ms is None else change_ms
    assert all(due(schedule, SharedMs(ms)) == now for ms in range(at(offset_ms), until_ms))
    assert change_ms is None or change_ms > at(offset_ms)
