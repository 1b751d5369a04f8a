"""Turns of a round: who begins when, and what fits in one."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import cbor_decode, cbor_encode
from protocol.messages import MediaReference, Occurrence
from protocol.turns import TURNS_MAX, Turns, shift_ms
from tests.support.messages import CLIP, MINUTE_MS, T0_MS, emergency, occurrence


def test_a_node_begins_so_many_turns_later_and_without_turns_at_once() -> None:
    turns = Turns(count=3, length_ms=20_000)
    assert [shift_ms(turns, turn) for turn in range(3)] == [0, 20_000, 40_000]
    assert shift_ms(None, 2) == 0


@given(st.integers(2, TURNS_MAX), st.integers(1, MINUTE_MS), st.integers(0, TURNS_MAX - 1))
def test_whatever_the_turn_its_sound_ends_within_the_round(count: int, length_ms: int, turn: int) -> None:
    turns = Turns(count=count, length_ms=length_ms)
    begins_ms = shift_ms(turns, turn)
    assert begins_ms % length_ms == 0
    assert 0 <= begins_ms <= turns.round_ms - length_ms


@pytest.mark.parametrize(
    ("count", "length_ms", "says"),
    [(2, MINUTE_MS - 1, "shorter than its sound"), (3, MINUTE_MS, "do not fit"), (2, 43_200_001, "longer than a day")],
)
def test_turns_that_hold_no_sound_or_fit_no_time_are_refused(count: int, length_ms: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        occurrence(
            "a", T0_MS, duration_ms=2 * MINUTE_MS, media=_minute(), turns=Turns(count=count, length_ms=length_ms)
        )
    with pytest.raises(ValueError, match=says):
        emergency("xa", clip=_minute(), repeat_every_ms=2 * MINUTE_MS, turns=Turns(count=count, length_ms=length_ms))


def test_a_feed_has_no_turns() -> None:
    with pytest.raises(ValueError, match="live"):
        occurrence("a", T0_MS, duration_ms=2 * MINUTE_MS, media=None, feed="vov1", turns=Turns(count=2, length_ms=9))


def test_what_has_no_turns_reads_as_before() -> None:
    plain = occurrence("a", T0_MS)
    assert b"turns" not in cbor_encode(plain)
    kept = msgspec.structs.replace(plain, duration_ms=2 * MINUTE_MS, turns=Turns(count=2, length_ms=MINUTE_MS))
    assert cbor_decode(cbor_encode(kept), Occurrence) == kept


def _minute() -> MediaReference:
    return msgspec.structs.replace(CLIP, duration_ms=MINUTE_MS)
