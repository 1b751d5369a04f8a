"""What sounds on one pole: who wins and by which step of the rule, who is refused and by which rule of the place."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Any

import pytest

from controller.planning.difference import Change, differences
from controller.planning.dry_run import DryRun, Pole, Span, Verdict, Why, dry_run
from protocol.house_rules import HouseRules
from protocol.messages import AirTime, BroadcastClass, Occurrence, Over, Plan, QuietHours, Reality
from protocol.turns import Turns
from tests.support.messages import MINUTE_MS, T0_MS, occurrence, plan

HANOI = zoneinfo.ZoneInfo("Asia/Ho_Chi_Minh")
DAY_MS = 24 * 60 * MINUTE_MS
AREAS = ("thon", "xa", "tinh")
NO_RULES = HouseRules(time_zone="Asia/Ho_Chi_Minh")
PRIORITY = BroadcastClass.PRIORITY


def item(name: str, minute: float, minutes: float = 1, **changes: Any) -> Occurrence:
    return occurrence(name, T0_MS + round(minute * MINUTE_MS), round(minutes * MINUTE_MS), **changes)


def run(*plans: Plan, rules: HouseRules = NO_RULES, days: float = 1, **pole: Any) -> DryRun:
    place = Pole(node="N001", areas=AREAS, rules=rules, **pole)
    return dry_run(place, plans, from_ms=T0_MS, until_ms=T0_MS + round(days * DAY_MS))


def verdicts(found: DryRun) -> dict[str, Verdict]:
    return {fate.candidate.source_id: fate.verdict for fate in found.fates}


def heard(found: DryRun, name: str) -> list[tuple[float, float]]:
    """When an item sounds, in minutes."""
    fate = next(each for each in found.fates if each.candidate.source_id == name)
    return [((span.from_ms - T0_MS) / MINUTE_MS, (span.until_ms - T0_MS) / MINUTE_MS) for span in fate.sounds]


def why(found: DryRun, loser: str) -> list[tuple[str, Why]]:
    fate = next(each for each in found.fates if each.candidate.source_id == loser)
    return [(loss.to.rsplit(":", 1)[1], loss.why) for loss in fate.losses]


def refusals(found: DryRun, name: str) -> list[str]:
    fate = next(each for each in found.fates if each.candidate.source_id == name)
    return [each.reason for each in fate.refusals]


def test_what_meets_nothing_sounds_whole() -> None:
    found = run(plan("xa", item("a", 10, 5), item("b", 15, 5)))
    assert verdicts(found) == {"a": Verdict.SOUNDS, "b": Verdict.SOUNDS}
    assert heard(found, "a") == [(10, 15)]
    assert found.known_until_ms == T0_MS + 7 * DAY_MS


@pytest.mark.parametrize(
    ("winner", "loser", "reason"),
    [
        (("thon", {"broadcast_class": PRIORITY}), ("tinh", {}), Why.CLASS),
        (("tinh", {}), ("thon", {}), Why.LEVEL),
        (("tinh", {"broadcast_class": PRIORITY}), ("xa", {"broadcast_class": PRIORITY}), Why.LEVEL),
        (
            ("xa", {"broadcast_class": PRIORITY, "before_upper": True}),
            ("tinh", {"broadcast_class": PRIORITY}),
            Why.ORDER,
        ),
        (("thon", {"broadcast_class": BroadcastClass.EMERGENCY}), ("tinh", {"broadcast_class": PRIORITY}), Why.CLASS),
    ],
)
def test_each_step_of_the_rule_is_named(
    winner: tuple[str, dict[str, Any]], loser: tuple[str, dict[str, Any]], reason: Why
) -> None:
    found = run(plan(winner[0], item("win", 10, 5, **winner[1])), plan(loser[0], item("lose", 10, 5, **loser[1])))
    assert verdicts(found) == {"win": Verdict.SOUNDS, "lose": Verdict.SILENT}
    assert why(found, "lose") == [("win", reason)]


def test_of_equals_the_first_comes_and_then_the_name_decides() -> None:
    found = run(plan("xa", item("late", 11, 5), item("early", 10, 5)))
    assert heard(found, "early") == [(10, 15)]
    assert heard(found, "late") == [(15, 16)]
    assert why(found, "late") == [("early", Why.FIRST)]
    same = run(plan("xa", item("b", 10, 5), item("a", 10, 5)))
    assert why(same, "b") == [("a", Why.NAME)]


def test_a_real_emergency_comes_before_a_drill() -> None:
    drill = plan("tinh", item("drill", 10, 5, broadcast_class=BroadcastClass.EMERGENCY), reality=Reality.DRILL)
    real = plan("thon", item("real", 10, 5, broadcast_class=BroadcastClass.EMERGENCY))
    assert why(run(drill, real), "drill") == [("real", Why.REALITY)]


def test_after_an_interruption_what_is_due_then_is_joined() -> None:
    found = run(plan("xa", item("music", 0, 30)), plan("tinh", item("news", 10, 5)))
    assert heard(found, "music") == [(0, 10), (15, 30)]
    assert verdicts(found)["music"] is Verdict.PARTLY


def test_speech_over_a_bed_leaves_it_sounding_below() -> None:
    found = run(plan("xa", item("music", 0, 30)), plan("tinh", item("news", 10, 5, over=Over.DUCK)))
    fate = next(each for each in found.fates if each.candidate.source_id == "music")
    assert [span.is_bed for span in fate.sounds] == [False, True, False]
    assert fate.verdict is Verdict.SOUNDS


def at(hour: int, minute: int, *, day: int = 15) -> float:
    """Minutes from T0 (15:00 on the 15th in Hà Nội) to a local time."""
    local = dt.datetime(2027, 1, day, hour, minute, tzinfo=HANOI)
    return (local.timestamp() * 1000 - T0_MS) / MINUTE_MS


def test_the_accident_of_trung_loc_is_foreseen() -> None:
    rules = HouseRules(time_zone="Asia/Ho_Chi_Minh", quiet_hours=QuietHours())
    relay = item("relay", at(3, 15, day=16), 20, media=None, feed="vov1")
    found = run(plan("xa", relay, item("evening", at(20, 50), 20)), rules=rules)
    assert verdicts(found) == {"relay": Verdict.SILENT, "evening": Verdict.PARTLY}
    assert refusals(found, "relay") == ["quiet_hours"]
    assert heard(found, "evening") == [(at(20, 50), at(21, 0))]
    emergency = run(plan("xa", item("e", at(3, 15, day=16), 20, broadcast_class=BroadcastClass.EMERGENCY)), rules=rules)
    assert verdicts(emergency) == {"e": Verdict.SOUNDS}


def test_air_time_is_counted_over_the_day_and_over_days() -> None:
    rules = HouseRules(
        time_zone="Asia/Ho_Chi_Minh",
        air_time=AirTime(session_minutes_max=15, sessions_a_day_max=2, minutes_a_day_max=25),
    )
    found = run(
        plan(
            "xa",
            item("one", at(16, 0), 20),
            item("two", at(17, 0), 15),
            item("three", at(18, 0), 5),
            item("next-day", at(7, 0, day=16), 5),
        ),
        rules=rules,
    )
    assert heard(found, "one") == [(at(16, 0), at(16, 15))]
    assert refusals(found, "one") == ["air_time_session"]
    assert heard(found, "two") == [(at(17, 0), at(17, 10))]
    assert refusals(found, "two") == ["air_time_day"]
    assert refusals(found, "three") == ["air_time_sessions"]
    assert verdicts(found)["next-day"] is Verdict.SOUNDS


def test_what_has_expired_is_not_heard_from_that_very_millisecond_on() -> None:
    found = run(plan("xa", item("a", 10, 5, valid_until_ms=T0_MS + 12 * MINUTE_MS)))
    assert heard(found, "a") == [(10, 12)]
    assert refusals(found, "a") == ["stale"]


def test_turn_and_aim_are_those_of_the_pole() -> None:
    turns = Turns(count=2, length_ms=MINUTE_MS)
    found = run(plan("xa", item("a", 10, 2, turns=turns)), turn=1, aim_us=250_000)
    fate = found.fates[0]
    assert fate.sounds == [Span(from_ms=T0_MS + 11 * MINUTE_MS + 250, until_ms=T0_MS + 11 * MINUTE_MS + 5_250)]


def test_only_what_touches_the_asked_time_and_the_poles_areas_is_told() -> None:
    found = run(plan("xa", item("past", -10, 5), item("now", -1, 5), item("far", 3000, 5)), plan("khac", item("x", 1)))
    assert list(verdicts(found)) == ["now"]


def test_a_difference_names_what_changes_and_what_sounds_otherwise_for_it() -> None:
    before = run(plan("xa", item("kept", 0, 5), item("moved", 10, 5), item("gone", 20, 5), item("beaten", 30, 5)))
    after = run(
        plan("xa", item("kept", 0, 5), item("moved", 11, 5), item("beaten", 30, 5)),
        plan("tinh", item("new", 32, 2)),
    )
    found = {each.key.rsplit(":", 1)[1]: each.change for each in differences(before, after)}
    assert found == {
        "moved": Change.MOVED,
        "gone": Change.GONE,
        "beaten": Change.OTHERWISE,
        "new": Change.NEW,
    }
    changed = run(plan("xa", item("kept", 0, 6), item("moved", 11, 5), item("beaten", 30, 5)))
    assert [each.change for each in differences(changed, after)] == [Change.CHANGED, Change.OTHERWISE, Change.NEW]
    assert differences(before, before) == ()


def test_of_a_file_and_a_relay_that_are_equal_the_file_sounds_as_on_the_pole() -> None:
    found = run(plan("xa", item("a-relay", 10, 5, media=None, feed="vov1"), item("z-file", 10, 5)))
    assert verdicts(found) == {"z-file": Verdict.SOUNDS, "a-relay": Verdict.SILENT}
    assert why(found, "a-relay") == [("z-file", Why.NAME)]
