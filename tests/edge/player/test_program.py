"""What the plans bring: asked for again, or after the clock was set back, it is as when it was asked for first."""

from __future__ import annotations

from edge.assignment import Place
from edge.player.program import Program
from protocol.units import SharedMs
from tests.support.messages import MINUTE_MS, T0_MS, occurrence, plan

PLACE = Place(node="N001", areas=("thon", "xa"))
PLANS = (
    plan("xa", occurrence("early", T0_MS), occurrence("late", T0_MS + 10 * MINUTE_MS)),
    plan("thon", occurrence("own", T0_MS + 5 * MINUTE_MS)),
)


def coming(program: Program) -> list[str]:
    return [candidate.source_id for candidate in program.coming]


def test_what_is_over_is_dropped_and_comes_back_when_the_clock_is_set_back() -> None:
    program = Program()
    program.replace(PLANS, PLACE, SharedMs(T0_MS))
    assert coming(program) == ["early", "own", "late"]
    assert program.window(SharedMs(T0_MS + 6 * MINUTE_MS + 1), MINUTE_MS) == ()
    assert coming(program) == ["late"]
    program.replace(PLANS, PLACE, SharedMs(T0_MS))
    assert coming(program) == ["early", "own", "late"]


def test_two_nodes_of_one_place_have_programmes_of_their_own() -> None:
    one, other = Program(), Program()
    for program in (one, other):
        program.replace(PLANS, PLACE, SharedMs(T0_MS))
    one.window(SharedMs(T0_MS + 6 * MINUTE_MS + 1), MINUTE_MS)
    assert coming(other) == ["early", "own", "late"]
    assert one.until_ms == other.until_ms


def test_an_area_that_is_not_its_own_and_a_newer_plan_count() -> None:
    program = Program()
    program.replace(PLANS, Place(node="N002", areas=("xa",)), SharedMs(T0_MS))
    assert coming(program) == ["early", "late"]
    newer = plan("xa", occurrence("changed", T0_MS), counter=2)
    program.replace((newer, PLANS[1]), PLACE, SharedMs(T0_MS))
    assert coming(program) == ["changed", "own"]
