"""What the desk says beforehand is what the real agent does: the same spans of sound, the same refusals."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from controller.planning.dry_run import DryRun, Pole, Verdict, dry_run
from protocol.house_rules import HouseRules
from protocol.messages import AiringRecord, AiringState, AirTime, BroadcastClass, Occurrence, Over, Plan, QuietHours
from protocol.turns import Turns
from tests.support.issuer import COMMUNE, VILLAGE, media, occurrence
from tests.support.pole import NODE, T0_MS
from tests.support.pole import Pole as RealPole

SECOND_MS = 1_000
ZONE = "Asia/Ho_Chi_Minh"
PLAYED_MS = 240 * SECOND_MS
FOUND_IS_ENOUGH = (Phase.explicit, Phase.reuse, Phase.generate)
"""Each example is minutes of a pole's life: making a failing one smaller takes longer than reading it."""
TOLERANCE_MS = 60
"""A record says when the first block with an item's sound was heard; blocks are 20 ms, and fades as long."""
T0_MINUTE = 15 * 60
"""T0 on the wall of a clock in Hà Nội."""


@st.composite
def items(draw: st.DrawFn, area: str) -> Occurrence:
    """An item of 2 to 50 s within the first three minutes."""
    number = draw(st.integers(0, 10_000))
    seconds = draw(st.integers(2, 50))
    broadcast_class = draw(st.sampled_from([BroadcastClass.ROUTINE, BroadcastClass.ROUTINE, BroadcastClass.PRIORITY]))
    changes: dict[str, Any] = {"broadcast_class": broadcast_class}
    if broadcast_class is BroadcastClass.PRIORITY:
        changes["before_upper"] = draw(st.booleans())
    if draw(st.booleans()):
        changes["over"] = Over.DUCK
    starts_at_ms = T0_MS + draw(st.integers(5, 180)) * SECOND_MS
    if draw(st.integers(0, 4)) == 0:
        changes["valid_until_ms"] = starts_at_ms + draw(st.integers(1, 60)) * SECOND_MS
    clip = media(f"{area}-{number}-{seconds}", seconds=seconds)
    if draw(st.integers(0, 4)) == 0:
        turns = Turns(count=2, length_ms=(seconds + 2) * SECOND_MS)
        changes |= {"turns": turns, "duration_ms": turns.round_ms}
    return occurrence(f"{area}-{number}", starts_at_ms, clip, **changes)


def plans_of(area: str) -> st.SearchStrategy[list[Occurrence]]:
    return st.lists(items(area), max_size=6, unique_by=lambda each: each.id)


minutes = st.integers(T0_MINUTE, T0_MINUTE + 3)
quiet_hours = st.none() | st.tuples(minutes, minutes).filter(lambda pair: pair[0] != pair[1]).map(
    lambda pair: QuietHours(begin_minute=pair[0], end_minute=pair[1])
)
limits = st.none() | st.integers(1, 2)
air_times = st.tuples(limits, limits, limits).map(
    lambda each: (
        None
        if each == (None, None, None)
        else AirTime(
            session_minutes_max=each[0], sessions_a_day_max=each[1], minutes_a_day_max=each[2], pause_minutes=1
        )
    )
)


def spans_on_record(pole: RealPole) -> dict[str, list[tuple[int, int]]]:
    """When each item sounded, by the pole's own records."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    begun: dict[str, AiringRecord] = {}
    for record in pole.records():
        if not isinstance(record, AiringRecord):
            continue
        if record.state is AiringState.STARTED:
            begun[record.airing] = record
        elif record.state is AiringState.FINISHED and record.airing in begun:
            found[record.source_id].append((begun[record.airing].at_ms, record.at_ms))
    return {name: sorted(spans) for name, spans in found.items()}


def spans_foreseen(run: DryRun) -> dict[str, list[tuple[int, int]]]:
    """The same as the desk says it; a bed is the same session as what is above it."""
    found: dict[str, list[tuple[int, int]]] = {}
    for fate in run.fates:
        merged: list[tuple[int, int]] = []
        for span in fate.sounds:
            if merged and merged[-1][1] == span.from_ms:
                merged[-1] = (merged[-1][0], span.until_ms)
            else:
                merged.append((span.from_ms, span.until_ms))
        if merged:
            found[fate.candidate.source_id] = merged
    return found


@settings(max_examples=15, phases=FOUND_IS_ENOUGH)
@given(own=plans_of(VILLAGE), upper=plans_of(COMMUNE), hours=quiet_hours, air_time=air_times, turn=st.integers(0, 1))
def test_what_is_foreseen_is_what_a_pole_sounds_and_refuses(
    own: list[Occurrence], upper: list[Occurrence], hours: QuietHours | None, air_time: AirTime | None, turn: int
) -> None:
    pole = RealPole()
    pole.provide(*(each.media for each in (*own, *upper) if each.media is not None))
    pole.introduce(quiet_hours=hours, air_time=air_time, turn=turn)
    plans: list[Plan] = [pole.issuer.plan(*own, area=VILLAGE), pole.issuer.plan(*upper, area=COMMUNE)]
    for plan in plans:
        pole.send(plan)
    pole.run_until(T0_MS + PLAYED_MS)
    rules = HouseRules(time_zone=ZONE, quiet_hours=hours, air_time=air_time)
    place = Pole(node=NODE, areas=(VILLAGE, COMMUNE), rules=rules, turn=turn)
    run = dry_run(place, plans, from_ms=T0_MS, until_ms=T0_MS + PLAYED_MS)
    sounded, foreseen = spans_on_record(pole), spans_foreseen(run)
    assert sounded.keys() == foreseen.keys()
    for name, spans in foreseen.items():
        assert len(sounded[name]) == len(spans), (name, spans, sounded[name])
        for (begins, ends), (from_ms, until_ms) in zip(sounded[name], spans, strict=True):
            assert abs(begins - from_ms) <= TOLERANCE_MS, (name, begins - from_ms)
            assert abs(ends - until_ms) <= TOLERANCE_MS, (name, ends - until_ms)
    reasons = {
        record.source_id: record.reason
        for record in pole.records()
        if isinstance(record, AiringRecord) and record.state in {AiringState.REFUSED, AiringState.MISSED}
    }
    for fate in run.fates:
        if fate.verdict is Verdict.SILENT:
            said = {each.reason for each in fate.refusals} | ({"pre_empted"} if fate.losses else set())
            assert reasons[fate.candidate.source_id] in said
