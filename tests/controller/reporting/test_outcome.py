"""What became of an item: any order, twice, late, back-filled, of unknown time; each counts once and the same."""

from __future__ import annotations

import zoneinfo
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.reporting.outcome import COUNTS, OTHER, Noted, Outcome, difference, outcome_of
from protocol.messages import AiringRecord, AiringState, BroadcastClass, Heard, HeardBy, Reality, SourceKind

ZONE = zoneinfo.ZoneInfo("Asia/Ho_Chi_Minh")
DUE_MS = 1_795_300_200_000
"""2026-11-22 05:30 in Hà Nội."""
DAY_MS = 24 * 3600 * 1000


def record(state: AiringState, at_ms: int = DUE_MS, **more: Any) -> AiringRecord:
    plain: dict[str, Any] = {
        "airing": "morning.20261122.0:1",
        "source": SourceKind.MEDIA,
        "source_id": "morning.20261122.0",
        "title": "Bản tin sáng",
        "broadcast_class": BroadcastClass.ROUTINE,
        "reality": Reality.REAL,
        "state": state,
        "at_ms": at_ms,
        "reason": "on time" if state is AiringState.STARTED else "finished",
        "due_at_ms": DUE_MS,
    }
    return AiringRecord(**{**plain, **more})


def counts_of(*records: AiringRecord, received_at_ms: int = DUE_MS + DAY_MS) -> dict[str, int]:
    outcome = outcome_of([Noted(each, received_at_ms) for each in records], ZONE)
    assert outcome is not None
    return {name: each for name, each in zip(COUNTS, outcome.counts, strict=True) if each}


STARTED = record(AiringState.STARTED, DUE_MS + 20)
FINISHED = record(AiringState.FINISHED, DUE_MS + 60_000, audible_ms=59_000, concealed_ms=400, silent_ms=600)
MISSED = record(AiringState.MISSED, airing="morning.20261122.0:0", reason="media_missing")


def test_an_item_that_was_played_whole() -> None:
    ones = ("items", "aired", "delivered", "whole", "timed", "punctual")
    assert counts_of(STARTED, FINISHED) == dict.fromkeys(ones, 1) | {"audible_ms": 59_000, "lost_ms": 1_000}


def test_what_was_there_and_could_not_sound_was_delivered() -> None:
    quiet = record(AiringState.REFUSED, reason="quiet_hours", is_delivered=True)
    assert counts_of(quiet) == {"items": 1, "missed": 1, "delivered": 1}


def test_a_start_of_which_no_end_came_yet_is_on_the_air_and_not_whole() -> None:
    assert counts_of(STARTED) == {"items": 1, "aired": 1, "delivered": 1, "timed": 1, "punctual": 1}


def test_an_end_whose_start_was_lost_is_aired() -> None:
    assert counts_of(FINISHED)["aired"] == 1


def test_a_missed_item_says_why() -> None:
    outcome = outcome_of([Noted(MISSED, DUE_MS)], ZONE)
    assert outcome is not None
    assert (outcome.reason, counts_of(MISSED)) == ("media_missing", {"items": 1, "missed": 1})


def test_a_late_start_takes_the_miss_back() -> None:
    late = record(AiringState.STARTED, DUE_MS + 90_000, airing="morning.20261122.0:2")
    outcome = outcome_of([Noted(MISSED, DUE_MS), Noted(late, DUE_MS)], ZONE)
    assert outcome is not None
    assert outcome.reason == ""
    assert counts_of(MISSED, late) == {"items": 1, "aired": 1, "delivered": 1, "timed": 1}


@pytest.mark.parametrize(("late_ms", "is_punctual"), [(0, True), (1_000, True), (1_001, False), (-1_001, False)])
def test_a_second_is_in_time(late_ms: int, is_punctual: bool) -> None:
    assert ("punctual" in counts_of(record(AiringState.STARTED, DUE_MS + late_ms))) is is_punctual


def test_a_start_by_a_clock_that_nobody_kept_is_not_judged() -> None:
    assert "timed" not in counts_of(record(AiringState.STARTED, DUE_MS, clock_error_ms=5_000.0))


def test_a_step_that_is_on_record_twice_counts_once() -> None:
    """A card that lost its last number sends a step again, in another report."""
    assert counts_of(STARTED, FINISHED, FINISHED)["audible_ms"] == 59_000


def test_an_end_that_tells_of_an_interruption_is_not_whole() -> None:
    assert "whole" not in counts_of(STARTED, msgspec.structs.replace(FINISHED, interruptions=1))


def test_an_interrupted_item_is_one_item_and_not_whole() -> None:
    back = [
        record(AiringState.STARTED, DUE_MS + 30_000, airing="b"),
        record(AiringState.FINISHED, DUE_MS + 60_000, airing="b", audible_ms=30_000),
    ]
    cut = msgspec.structs.replace(FINISHED, reason="pre_empted", at_ms=DUE_MS + 10_000)
    counts = counts_of(STARTED, cut, *back)
    assert (counts["items"], counts["aired"], counts["audible_ms"]) == (1, 1, 89_000)
    assert "whole" not in counts


def test_what_a_power_cut_ended_is_aired_and_not_whole() -> None:
    counts = counts_of(STARTED, msgspec.structs.replace(STARTED, state=AiringState.FINISHED, reason="power_cut"))
    assert counts["aired"] == 1
    assert "whole" not in counts


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [([True], {"heard": 1}), ([False], {"unheard": 1}), ([None], {}), ([False, True], {"heard": 1}), ([], {})],
)
def test_heard_only_where_a_sensor_judged(verdicts: list[bool | None], expected: dict[str, int]) -> None:
    ends = [
        msgspec.structs.replace(FINISHED, airing=str(index), heard=Heard(by=HeardBy.MICROPHONE, is_heard=each))
        for index, each in enumerate(verdicts)
    ]
    counts = counts_of(STARTED, *ends)
    assert {name: counts[name] for name in ("heard", "unheard") if name in counts} == expected


@pytest.mark.parametrize(
    ("changes", "day"),
    [
        ({}, 20261122),
        ({"due_at_ms": DUE_MS - 6 * 3600 * 1000}, 20261121),
        ({"due_at_ms": None, "at_ms": DUE_MS}, 20261122),
        ({"due_at_ms": None, "at_ms": 5_000, "clock_error_ms": 1e12}, 20261123),
        ({"due_at_ms": 2**52}, 20261123),
    ],
)
def test_an_item_counts_on_the_day_it_was_due(changes: dict[str, Any], day: int) -> None:
    missed = record(AiringState.MISSED, **{"reason": "quiet_hours", **changes})
    outcome = outcome_of([Noted(missed, DUE_MS + DAY_MS)], ZONE)
    assert outcome is not None
    assert outcome.slice.day == day


@pytest.mark.parametrize("reason", ["", "=1+1", "<script>", "a" * 60, "Lũ", "air_time\n"])
def test_a_reason_that_is_none_of_ours_is_other(reason: str) -> None:
    outcome = outcome_of([Noted(record(AiringState.MISSED, reason=reason), DUE_MS)], ZONE)
    assert outcome is not None
    assert outcome.reason == OTHER


def test_nonsense_cannot_spoil_a_sum() -> None:
    assert counts_of(STARTED, msgspec.structs.replace(FINISHED, audible_ms=2**52))["audible_ms"] < 2**32


RECORDS = st.builds(
    record,
    st.sampled_from(AiringState),
    st.integers(min_value=DUE_MS - DAY_MS, max_value=DUE_MS + DAY_MS),
    airing=st.sampled_from(["a", "b", "c"]),
    reason=st.sampled_from(["finished", "power_cut", "media_missing", "quiet_hours"]),
    audible_ms=st.integers(min_value=0, max_value=10**6),
    due_at_ms=st.none() | st.integers(min_value=DUE_MS - DAY_MS, max_value=DUE_MS + DAY_MS),
    heard=st.none() | st.builds(Heard, by=st.sampled_from(HeardBy), is_heard=st.none() | st.booleans()),
)
NOTED = st.lists(st.builds(Noted, RECORDS, st.integers(min_value=DUE_MS, max_value=DUE_MS + 9 * DAY_MS)), max_size=7)


@given(NOTED, st.randoms(use_true_random=False))
def test_any_order_gives_the_same_counts(noted: list[Noted], chance: Any) -> None:
    assert not noted or outcome_of(noted, ZONE) is not None
    total: Counter[tuple[Any, ...]] = Counter()
    came: list[Noted] = []
    known: Outcome | None = None
    for each in chance.sample(noted, len(noted)):
        came.append(each)
        after = outcome_of(came, ZONE)
        for place, reason, counts in difference(known, after):
            for name, count in zip(COUNTS, counts, strict=True):
                total[place, reason if name == "missed" else "", name] += count
        known = after
    at_once = outcome_of(noted, ZONE)
    expected: Counter[tuple[Any, ...]] = Counter()
    if at_once is not None:
        for name, count in zip(COUNTS, at_once.counts, strict=True):
            expected[at_once.slice, at_once.reason if name == "missed" else "", name] += count
        assert sum(at_once.counts[COUNTS.index(each)] for each in ("aired", "missed")) == 1
    assert {key: each for key, each in total.items() if each} == {key: each for key, each in expected.items() if each}
