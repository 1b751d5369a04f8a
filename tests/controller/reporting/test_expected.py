"""What was due: by the plan that stood when it began, once, on every cluster below; held against a list of instants."""

from __future__ import annotations

import zoneinfo
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from controller.records import EmergencyRecord, EmergencyState
from controller.reporting.expected import Due, Standing, due_of_emergencies, due_on
from controller.reporting.outcome import Slice
from protocol.messages import MediaReference, Plan, Reality
from tests.support.messages import occurrence, plan

ZONE = zoneinfo.ZoneInfo("Asia/Ho_Chi_Minh")
MORNING_MS = 1_795_300_200_000
"""2026-11-22 05:30 in Hà Nội."""
HOUR_MS = 3_600_000
FOREVER_MS = MORNING_MS + 400 * HOUR_MS
ROUTINE = Slice(day=20261122, broadcast_class="routine", source="media", reality="real")


def plan_of(*starts_ms: int, counter: int = 1, from_ms: int = MORNING_MS - HOUR_MS) -> Plan:
    items = [occurrence(f"o.{at}", at) for at in starts_ms]
    return plan("xa", *items, counter=counter, covers_from_ms=from_ms, covers_until_ms=FOREVER_MS)


def due(standing: Standing, stands: Plan | None, after_ms: int, until_ms: int) -> Due:
    return standing.due("xa", stands, after_ms=after_ms, until_ms=until_ms, zone=ZONE)


def test_what_begins_is_due_once_however_often_it_is_looked_at() -> None:
    standing, stands = Standing(), plan_of(MORNING_MS, MORNING_MS + HOUR_MS, MORNING_MS + 20 * HOUR_MS)
    assert due(standing, stands, MORNING_MS - 1, MORNING_MS) == {ROUTINE: 1}
    assert due(standing, stands, MORNING_MS, MORNING_MS) == {}
    tomorrow = Slice(day=20261123, broadcast_class="routine", source="media", reality="real")
    assert due(standing, stands, MORNING_MS, MORNING_MS + 30 * HOUR_MS) == {ROUTINE: 1, tomorrow: 1}


def test_what_was_taken_back_before_it_began_was_never_due() -> None:
    standing = Standing()
    due(standing, plan_of(MORNING_MS + 60_000, MORNING_MS + HOUR_MS), MORNING_MS - 1, MORNING_MS)
    changed = plan_of(counter=2, from_ms=MORNING_MS + 30_000)
    assert due(standing, changed, MORNING_MS, MORNING_MS + 2 * HOUR_MS) == {}


def test_what_had_begun_before_a_plan_was_renewed_was_due() -> None:
    """The new plan does not name it any more, for it is over."""
    standing = Standing()
    due(standing, plan_of(MORNING_MS + 60_000), MORNING_MS - 1, MORNING_MS)
    changed = plan_of(MORNING_MS + HOUR_MS, counter=2, from_ms=MORNING_MS + 300_000)
    assert due(standing, changed, MORNING_MS, MORNING_MS + 2 * HOUR_MS) == {ROUTINE: 2}
    under_way = plan_of(MORNING_MS + 3 * HOUR_MS, counter=3, from_ms=MORNING_MS + 3 * HOUR_MS + 1)
    assert due(standing, under_way, MORNING_MS + 2 * HOUR_MS, MORNING_MS + 4 * HOUR_MS) == {}


def test_after_a_restart_what_is_under_way_is_in_the_plan_that_stands() -> None:
    renewed = plan_of(MORNING_MS, counter=7, from_ms=MORNING_MS + 30_000)
    assert due(Standing(), renewed, MORNING_MS - HOUR_MS, MORNING_MS + HOUR_MS) == {ROUTINE: 1}


def test_a_plan_that_ran_out_counts_as_far_as_it_stood() -> None:
    standing = Standing()
    due(standing, plan_of(MORNING_MS + 60_000), MORNING_MS - 1, MORNING_MS)
    assert due(standing, None, MORNING_MS, MORNING_MS + HOUR_MS) == {ROUTINE: 1}
    assert due(standing, None, MORNING_MS + HOUR_MS, MORNING_MS + 2 * HOUR_MS) == {}
    assert due(Standing(), None, MORNING_MS, MORNING_MS + HOUR_MS) == {}


def test_a_relay_is_due_as_a_stream() -> None:
    relay = occurrence("o.1", MORNING_MS, media=None, feed="vov1")
    stands = plan("xa", relay, covers_from_ms=MORNING_MS - HOUR_MS, covers_until_ms=FOREVER_MS)
    [kind] = due(Standing(), stands, MORNING_MS - 1, MORNING_MS)
    assert kind.source == "stream"


@given(
    st.lists(st.integers(1, 500), max_size=30, unique=True),
    st.lists(st.integers(1, 500), max_size=20),
    st.lists(st.tuples(st.integers(1, 500), st.lists(st.integers(1, 500), max_size=20, unique=True)), max_size=4),
)
def test_however_it_is_cut_each_begin_is_due_by_the_plan_of_its_time(
    first: list[int], looks: list[int], renewals: list[tuple[int, list[int]]]
) -> None:
    """Looks at random instants, and one after each renewal: the model goes through time minute by minute."""
    changes = dict(sorted(renewals))
    standing, counter, starts, wanted, found = Standing(), 1, set(first), 0, Counter[Slice]()
    stands, looked = plan_of(*(MORNING_MS + each for each in first)), 0
    due(standing, stands, MORNING_MS - 1, MORNING_MS)
    for at in range(1, 501):
        if at in changes:
            counter, starts = counter + 1, {each for each in changes[at] if each >= at}
            stands = plan_of(*(MORNING_MS + each for each in starts), counter=counter, from_ms=MORNING_MS + at)
        wanted += at in starts
        if at in looks or at in changes or at == 500:
            found += due(standing, stands, MORNING_MS + looked, MORNING_MS + at)
            looked = at
    assert sum(found.values()) == wanted


def test_a_cluster_is_meant_by_all_of_its_areas_and_by_what_names_it() -> None:
    drill = EmergencyRecord(
        id="e1",
        area="xa",
        title="Diễn tập",
        clip_id="drill",
        clip=MediaReference(sha256="a" * 64, size_bytes=1, duration_ms=1),
        reality=Reality.DRILL,
        state=EmergencyState.ALL_CLEAR,
        raised_at_ms=MORNING_MS,
        play_at_ms=MORNING_MS,
        repeat_every_ms=1,
        sounds_until_ms=MORNING_MS + 1,
        expected=("N001",),
    )
    named = due_of_emergencies([drill], ZONE)
    by_area = {"xa": Due({ROUTINE: 2}), "tinh": Due({ROUTINE: 1}), "xa-khac": Due({ROUTINE: 9})}
    found = due_on(("thon", "xa", "tinh"), by_area, named.get("N001"))
    assert found == {
        ROUTINE: 3,
        Slice(day=20261122, broadcast_class="emergency", source="emergency", reality="drill"): 1,
    }
    assert due_on(("thon", "xa", "tinh"), by_area, named.get("N002")) == {ROUTINE: 3}
    assert named["N001"] == {next(kind for kind in found if kind.reality == "drill"): 1}
