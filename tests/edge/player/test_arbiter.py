"""Who owns the air: by rank, at each instant, with nothing resumed and every end explained."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edge.player.arbiter import TRANSITIONS, Arbiter, Reason, Session, SessionEvent, SessionState
from protocol.candidate import Candidate, order
from protocol.messages import BroadcastClass, Over, Reality, SourceKind
from protocol.slots import Slot, can_be_bed, is_over_a_bed, slots_of
from protocol.units import SharedMs

T0 = 1_800_000_000_000
CLASSES = list(BroadcastClass)


def candidate(
    key: str, start: int, end: int, *, kind: str = "routine", depth: int = 1, drill: bool = False, ducks: bool = False
) -> Candidate:
    return Candidate(
        key=key,
        source=SourceKind.MEDIA,
        source_id=key,
        title=key,
        broadcast_class=BroadcastClass(kind),
        reality=Reality.DRILL if drill else Reality.REAL,
        depth=depth,
        starts_at_ms=SharedMs(T0 + start),
        ends_at_ms=SharedMs(T0 + end),
        over=Over.DUCK if ducks else Over.REPLACE,
    )


def never(_: Candidate, __: SharedMs) -> Reason | None:
    return None


def owners(candidates: list[Candidate], *, now: int = 0, horizon: int = 1_000) -> list[tuple[str, int, int]]:
    slots = slots_of(candidates, blocked=never, now_ms=SharedMs(T0 + now), horizon_ms=horizon)
    return [(slot.candidate.key, slot.from_ms - T0, slot.until_ms - T0) for slot in slots]


def test_the_higher_class_takes_over_in_the_middle_and_gives_back() -> None:
    assert owners([candidate("a", 0, 900), candidate("e", 300, 500, kind="emergency")]) == [
        ("a", 0, 300),
        ("e", 300, 500),
        ("a", 500, 900),
    ]


def test_of_one_class_the_upper_area_then_the_earlier_start_then_the_name() -> None:
    assert owners([candidate("a", 0, 100, depth=2), candidate("b", 50, 100, depth=1)])[1][0] == "b"
    assert owners([candidate("b", 0, 100), candidate("a", 50, 100)]) == [("b", 0, 100)]
    assert owners([candidate("b", 0, 100), candidate("a", 0, 100)]) == [("a", 0, 100)]


def test_a_drill_stands_behind_the_real_one_and_before_everything_else() -> None:
    drill = candidate("drill", 0, 100, kind="emergency", drill=True, depth=0)
    assert owners([drill, candidate("real", 50, 80, kind="emergency", depth=2)]) == [
        ("drill", 0, 50),
        ("real", 50, 80),
        ("drill", 80, 100),
    ]
    assert owners([drill, candidate("news", 0, 100, kind="priority")])[0][0] == "drill"


def on_air(candidates: list[Candidate], *, horizon: int = 1_000) -> list[tuple[str, int, int, list[tuple[int, int]]]]:
    slots = slots_of(candidates, blocked=never, now_ms=SharedMs(T0), horizon_ms=horizon)
    return [
        (each.candidate.key, each.from_ms - T0, each.until_ms - T0, [(one - T0, two - T0) for one, two in each.bed])
        for each in slots
    ]


def test_a_programme_goes_on_below_speech_in_one_piece_of_air() -> None:
    music, speech = candidate("m", 0, 900), candidate("s", 300, 500, kind="priority", ducks=True)
    assert on_air([music, speech]) == [("m", 0, 900, [(300, 500)]), ("s", 300, 500, [])]


def test_two_that_speak_one_after_the_other_are_one_span_of_the_bed() -> None:
    speech = [candidate("s", 300, 500, kind="priority", ducks=True), candidate("t", 500, 600, depth=0, ducks=True)]
    assert on_air([candidate("m", 0, 900), *speech])[0] == ("m", 0, 900, [(300, 600)])


def test_of_two_announcements_one_speaks_and_the_bed_is_what_would_sound_without_both() -> None:
    found = on_air(
        [
            candidate("music", 0, 900, depth=2),
            candidate("news", 200, 900),
            candidate("s", 300, 500, kind="priority", ducks=True),
            candidate("t", 300, 500, kind="priority", depth=0, ducks=True),
        ]
    )
    assert found == [("music", 0, 200, []), ("news", 200, 900, [(300, 500)]), ("t", 300, 500, [])]


def test_an_emergency_neither_ducks_nor_is_a_bed_whatever_it_says_of_itself() -> None:
    music = candidate("m", 0, 900)
    flood = candidate("e", 300, 500, kind="emergency", ducks=True)
    assert on_air([music, flood]) == [("m", 0, 300, []), ("e", 300, 500, []), ("m", 500, 900, [])]
    drill = candidate("d", 0, 900, kind="emergency", drill=True)
    assert on_air([drill, flood]) == [("d", 0, 300, []), ("e", 300, 500, []), ("d", 500, 900, [])]


@given(
    st.lists(
        st.tuples(
            *(st.integers(-50, 200), st.integers(1, 200), st.integers(0, 2)),
            *(st.integers(0, 2), st.booleans(), st.booleans(), st.booleans()),
        ),
        max_size=8,
    )
)
def test_at_each_instant_there_is_one_owner_and_at_most_one_bed_below_what_ducks(
    drawn: list[tuple[int, int, int, int, bool, bool, bool]],
) -> None:
    candidates, silent = [], set()
    for index, (start, length, kind, depth, drill, ducks, is_blocked) in enumerate(drawn):
        key = f"c{index}"
        candidates.append(
            candidate(key, start, start + length, kind=CLASSES[kind].value, depth=depth, drill=drill, ducks=ducks)
        )
        silent |= {key} if is_blocked else set()
    slots = slots_of(
        candidates,
        blocked=lambda each, _: Reason.SILENCED if each.key in silent else None,
        now_ms=SharedMs(T0),
        horizon_ms=150,
    )
    for offset in range(0, 150, 3):
        at_ms = T0 + offset
        here = [slot for slot in slots if slot.from_ms <= at_ms < slot.until_ms]
        beds = [slot for slot in here if any(one <= at_ms < other for one, other in slot.bed)]
        owners = [slot.candidate for slot in here if slot not in beds]
        due = [each for each in candidates if each.starts_at_ms <= at_ms < each.ends_at_ms and each.key not in silent]
        assert owners == ([min(due, key=order)] if due else [])
        others = [each for each in due if not is_over_a_bed(each)]
        wanted = [min(others, key=order)] if owners and is_over_a_bed(owners[0]) and others else []
        assert [slot.candidate for slot in beds] == [each for each in wanted if can_be_bed(each)]
        assert all(each.broadcast_class is not BroadcastClass.EMERGENCY for each in wanted)


def test_what_becomes_blocked_ends_there() -> None:
    change = SharedMs(T0 + 400)
    slots = slots_of(
        [candidate("a", 0, 900)],
        blocked=lambda _, at_ms: Reason.QUIET_HOURS if at_ms >= change else None,
        now_ms=SharedMs(T0),
        horizon_ms=1_000,
        changes_ms=(change,),
    )
    assert [(slot.from_ms - T0, slot.until_ms - T0) for slot in slots] == [(0, 400)]


@given(
    st.lists(
        st.tuples(st.integers(-50, 200), st.integers(1, 200), st.integers(0, 2), st.integers(0, 2), st.booleans()),
        max_size=8,
    )
)
def test_at_each_instant_the_owner_is_the_best_that_is_due(drawn: list[tuple[int, int, int, int, bool]]) -> None:
    candidates = [
        candidate(f"c{index}", start, start + length, kind=CLASSES[kind].value, depth=depth, drill=drill)
        for index, (start, length, kind, depth, drill) in enumerate(drawn)
    ]
    slots = slots_of(candidates, blocked=never, now_ms=SharedMs(T0), horizon_ms=150)
    for one, other in pairwise(slots):
        assert one.until_ms <= other.from_ms
        assert one.candidate is not other.candidate or one.until_ms < other.from_ms
    for offset in range(0, 150, 7):
        at_ms = T0 + offset
        owner = [slot.candidate for slot in slots if slot.from_ms <= at_ms < slot.until_ms]
        due = [each for each in candidates if each.starts_at_ms <= at_ms < each.ends_at_ms]
        assert bool(owner) == bool(due)
        if owner:
            order = [BroadcastClass.EMERGENCY, BroadcastClass.PRIORITY, BroadcastClass.ROUTINE]
            assert order.index(owner[0].broadcast_class) == min(order.index(each.broadcast_class) for each in due)


def decide(arbiter: Arbiter, candidates: list[Candidate], now: int, gone: Reason = Reason.STOPPED) -> list[Reason]:
    slots: tuple[Slot, ...] = slots_of(candidates, blocked=never, now_ms=SharedMs(T0 + now), horizon_ms=100)
    decision = arbiter.decide(slots, candidates, blocked=never, gone=lambda _: gone, now_ms=SharedMs(T0 + now))
    return [reason for _, reason in decision.ended]


def test_every_end_has_its_reason() -> None:
    item, flood = candidate("a", 0, 500), candidate("e", 100, 300, kind="emergency")
    arbiter = Arbiter()
    assert decide(arbiter, [item], 0) == []
    assert decide(arbiter, [item, flood], 100) == [Reason.PRE_EMPTED]
    assert decide(arbiter, [item], 200, gone=Reason.ALL_CLEAR) == [Reason.ALL_CLEAR]
    assert [session.key for session in arbiter.sessions] == ["a"]
    assert decide(arbiter, [item], 500) == [Reason.FINISHED]
    assert arbiter.sessions == ()


def test_who_owns_the_air_again_soon_after_another_does_so_in_a_new_session() -> None:
    item, flood = candidate("a", 0, 500), candidate("e", 100, 150, kind="emergency")
    arbiter = Arbiter()
    decide(arbiter, [item], 0)
    first = arbiter.sessions[0]
    assert decide(arbiter, [item, flood], 100) == [Reason.PRE_EMPTED]
    assert [session.key for session in arbiter.sessions] == ["e", "a"]
    assert arbiter.sessions[1] is not first
    assert first.state is SessionState.ENDED
    assert decide(arbiter, [item, flood], 120) == []


def test_a_candidate_that_moves_to_later_leaves_the_air_until_then() -> None:
    arbiter = Arbiter()
    decide(arbiter, [candidate("e", 0, 500)], 0)
    assert decide(arbiter, [candidate("e", 90, 500)], 50) == [Reason.STOPPED]
    assert [session.slot.from_ms - T0 for session in arbiter.sessions] == [90]


def test_what_is_due_but_does_not_own_the_air_is_told_with_its_reason() -> None:
    item, flood = candidate("a", 0, 500), candidate("e", 0, 300, kind="emergency")
    slots = slots_of([item, flood], blocked=never, now_ms=SharedMs(T0), horizon_ms=100)
    decision = Arbiter().decide(slots, [item, flood], blocked=never, gone=lambda _: Reason.STOPPED, now_ms=SharedMs(T0))
    assert decision.denied == ((item, Reason.PRE_EMPTED),)


def test_the_table_of_a_session() -> None:
    session = Session(slot=Slot(candidate=candidate("a", 0, 1), from_ms=SharedMs(T0), until_ms=SharedMs(T0 + 1)))
    assert not session.move(SessionEvent.AIRED)
    assert session.move(SessionEvent.DEMANDED)
    assert session.move(SessionEvent.AIRED)
    assert session.move(SessionEvent.OVER)
    for event in SessionEvent:
        assert not session.move(event)
    assert {after for (state, _), after in TRANSITIONS.items() if state is SessionState.ENDED} == set()
