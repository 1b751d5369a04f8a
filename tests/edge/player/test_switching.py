"""The table of fades: every pair has its way, an emergency is alone in 20 ms, nothing fades before its planned end."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.player.switching import (
    CROSSFADE_BEGIN_MS,
    CROSSFADE_JOIN_MS,
    EDGE_MS,
    TABLE,
    TAKEOVER_MS,
    Part,
    Switch,
    between,
    part_of,
)
from protocol.candidate import Candidate
from protocol.messages import BroadcastClass, MediaReference, Over, Reality, SourceKind
from protocol.slots import can_be_bed, is_over_a_bed
from protocol.units import SharedMs

T0 = 1_800_000_000_000
PARTS = {
    Part.PROGRAMME: (BroadcastClass.ROUTINE, Over.REPLACE),
    Part.SPEECH: (BroadcastClass.PRIORITY, Over.DUCK),
    Part.EMERGENCY: (BroadcastClass.EMERGENCY, Over.REPLACE),
}


def candidate(
    part: Part, *, start: int = 0, end: int = 10_000, file_ms: int | None = 10_000, chime_ms: int = 0
) -> Candidate:
    broadcast_class, over = PARTS[part]
    media = None if file_ms is None else MediaReference(sha256="a" * 64, size_bytes=1, duration_ms=file_ms)
    return Candidate(
        key=f"{part}:{start}",
        source=SourceKind.MEDIA,
        source_id="x",
        title="x",
        broadcast_class=broadcast_class,
        reality=Reality.REAL,
        depth=1,
        starts_at_ms=SharedMs(T0 + start),
        ends_at_ms=SharedMs(T0 + end),
        media=media,
        stream=None if media else "s",
        over=over,
        chime_ms=chime_ms,
    )


def test_every_pair_has_its_way() -> None:
    assert set(TABLE) == set(itertools.product(Part, repeat=2))


@pytest.mark.parametrize("part", list(PARTS))
def test_an_emergency_is_alone_in_20_ms_whatever_sounds(part: Part) -> None:
    switch = between(candidate(part), candidate(Part.EMERGENCY, start=5_000), SharedMs(T0 + 5_000))
    assert switch == Switch(out_ms=TAKEOVER_MS, in_ms=EDGE_MS)


@pytest.mark.parametrize(("start", "fade_ms"), [(5_000, CROSSFADE_BEGIN_MS), (-5_000, CROSSFADE_JOIN_MS)])
def test_equals_cross_with_one_length_of_50_to_200_ms(start: int, fade_ms: int) -> None:
    coming = candidate(Part.PROGRAMME, start=start)
    switch = between(candidate(Part.PROGRAMME), coming, SharedMs(T0 + 5_000))
    assert switch == Switch(out_ms=fade_ms, in_ms=fade_ms)
    assert 50 <= fade_ms <= 200


def test_what_has_no_sound_left_is_not_crossed_with_and_what_comes_begins_whole() -> None:
    at_ms = SharedMs(T0 + 10_000)
    coming = candidate(Part.PROGRAMME, start=10_000, end=20_000)
    assert between(candidate(Part.PROGRAMME), coming, at_ms) == Switch(out_ms=0, in_ms=EDGE_MS)
    assert between(candidate(Part.PROGRAMME, file_ms=None), coming, at_ms) == Switch(out_ms=0, in_ms=EDGE_MS)
    assert between(candidate(Part.PROGRAMME, file_ms=10_049), coming, at_ms).out_ms == 0
    assert between(candidate(Part.PROGRAMME, file_ms=10_500), coming, at_ms).out_ms == CROSSFADE_BEGIN_MS
    assert between(candidate(Part.PROGRAMME, file_ms=9_900, chime_ms=500), coming, at_ms).out_ms == CROSSFADE_BEGIN_MS


def test_an_emergency_hands_back_softly_and_is_gone_itself_at_once() -> None:
    emergency = candidate(Part.EMERGENCY, file_ms=None)
    switch = between(emergency, candidate(Part.PROGRAMME, start=-1), SharedMs(T0 + 5_000))
    assert switch == Switch(out_ms=TAKEOVER_MS, in_ms=CROSSFADE_JOIN_MS)


def test_only_what_ducks_speaks_over_a_bed_and_only_a_programme_is_one() -> None:
    assert [is_over_a_bed(candidate(part)) for part in PARTS] == [False, True, False]
    assert [can_be_bed(candidate(part)) for part in PARTS] == [True, False, False]
    assert part_of(None) is Part.NOTHING


@given(
    leaving=st.none() | st.sampled_from(list(PARTS)),
    coming=st.none() | st.sampled_from(list(PARTS)),
    at=st.integers(-100, 10_100),
    start=st.integers(-10_000, 10_000),
)
def test_no_switch_is_slower_than_a_fifth_of_a_second_and_a_beginning_loses_no_syllable(
    leaving: Part | None, coming: Part | None, at: int, start: int
) -> None:
    one = None if leaving is None else candidate(leaving)
    other = None if coming is None else candidate(coming, start=start, end=start + 20_000)
    switch = between(one, other, SharedMs(T0 + at))
    assert 0 <= switch.in_ms <= 200
    assert 0 <= switch.out_ms <= 200
    if other is not None:
        assert switch.in_ms >= EDGE_MS
        assert switch.in_ms <= CROSSFADE_BEGIN_MS or start < at
