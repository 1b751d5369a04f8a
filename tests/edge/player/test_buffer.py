"""The jitter buffer: any order, bounded, nothing out of place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.player.buffer import AHEAD_SAMPLES_MAX, FRAMES_MAX, JitterBuffer, Verdict
from protocol.units import FRAME_SAMPLES

NOW = 10_000_000


def test_frames_come_out_at_their_places_whatever_order_they_came_in() -> None:
    buffer = JitterBuffer()
    for place in (3, 1, 2, 0):
        assert buffer.put(NOW + place * FRAME_SAMPLES, 1, b"%d" % place, arrived_at=NOW) is Verdict.ACCEPTED
    taken = [buffer.take(NOW + place * FRAME_SAMPLES) for place in range(4)]
    assert [each.frame for each in taken if each] == [b"0", b"1", b"2", b"3"]
    assert len(buffer) == 0


def test_a_second_copy_is_a_duplicate_and_a_frame_that_was_taken_is_late() -> None:
    buffer = JitterBuffer()
    buffer.put(NOW, 1, b"first", arrived_at=NOW)
    assert buffer.put(NOW, 1, b"second", arrived_at=NOW) is Verdict.DUPLICATE
    taken = buffer.take(NOW)
    assert taken is not None
    assert taken.frame == b"first"
    assert buffer.put(NOW - FRAME_SAMPLES, 1, b"old", arrived_at=NOW - FRAME_SAMPLES) is Verdict.LATE


def test_what_has_passed_or_claims_to_be_far_ahead_is_not_kept() -> None:
    buffer = JitterBuffer()
    assert buffer.put(NOW - FRAME_SAMPLES, 1, b"x", arrived_at=NOW) is Verdict.LATE
    assert buffer.put(NOW + AHEAD_SAMPLES_MAX + 1, 1, b"x", arrived_at=NOW) is Verdict.TOO_EARLY
    assert buffer.put(NOW + 2**40, 1, b"x", arrived_at=NOW) is Verdict.TOO_EARLY
    assert len(buffer) == 0


def test_a_frame_in_the_middle_of_which_reading_begins_is_given_with_its_start() -> None:
    buffer = JitterBuffer()
    buffer.put(NOW, 4, b"x", arrived_at=NOW - 1)
    taken = buffer.take(NOW + 100)
    assert taken is not None
    assert (taken.start, taken.epoch) == (NOW, 4)
    assert buffer.take(NOW + 2 * FRAME_SAMPLES) is None


def test_a_frame_ends_where_one_of_another_grid_begins() -> None:
    buffer = JitterBuffer()
    buffer.put(NOW + 300, 2, b"x", arrived_at=NOW)
    assert buffer.end_of(NOW) == NOW + 300
    buffer.drop_from(NOW)
    assert buffer.end_of(NOW) == NOW + FRAME_SAMPLES


def test_an_unread_buffer_forgets_what_has_passed_and_keeps_what_is_due() -> None:
    buffer = JitterBuffer()
    for place in range(5_000):
        at = NOW + place * FRAME_SAMPLES
        assert buffer.put(at + 48_000, 1, b"x", arrived_at=at) is Verdict.ACCEPTED
    assert len(buffer) <= 52
    assert buffer.take(NOW + 5_000 * FRAME_SAMPLES) is not None


@given(
    st.lists(
        st.tuples(st.integers(-(2**41), 2**41), st.integers(-50, 700), st.booleans()),
        max_size=200,
    )
)
def test_it_never_holds_more_than_its_bound(calls: list[tuple[int, int, bool]]) -> None:
    buffer = JitterBuffer()
    for leap, place, takes in calls:
        start = NOW + place * FRAME_SAMPLES + (leap if leap % 7 == 0 else leap % FRAME_SAMPLES)
        buffer.put(start, 1, b"x", arrived_at=NOW)
        if takes:
            taken = buffer.take(start)
            assert taken is None or taken.start <= start < taken.start + FRAME_SAMPLES
        assert len(buffer) <= FRAMES_MAX
