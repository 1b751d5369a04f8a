"""The ring between renderer and card: frames keep their numbers, late ones are dropped, gaps are silence."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.player.ports import Frames
from edge.player.ring import Ring, risen


def _numbered(first: int, count: int) -> Frames:
    return (np.arange(first, first + count) % 30_000 + 1).astype(np.int16).reshape(-1, 1)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 150)), max_size=200))
def test_a_frame_is_given_at_its_number_or_not_at_all(calls: list[tuple[bool, int]]) -> None:
    ring, read = Ring(100), 0
    for is_take, count in calls:
        if is_take:
            data, missing = ring.take(count)
            samples = np.frombuffer(data, np.int16)
            assert len(samples) == count
            ready = count - missing
            assert np.array_equal(samples[:ready], _numbered(read, ready).reshape(-1))
            assert not samples[ready:].any()
            read += count
        else:
            ring.put(ring.next_frame, _numbered(ring.next_frame, count))
        assert 0 <= ring.held <= ring.capacity
        assert ring.held + ring.free == ring.capacity


def test_what_was_rendered_too_late_is_dropped_and_the_rest_keeps_its_place() -> None:
    ring = Ring(100)
    first = ring.next_frame
    ring.take(30)
    ring.put(first, _numbered(first, 50))
    data, missing = ring.take(20)
    assert missing == 0
    assert np.array_equal(np.frombuffer(data, np.int16), _numbered(30, 20).reshape(-1))


def test_what_follows_a_gap_rises_from_silence_and_is_itself_after_10_ms() -> None:
    frames = np.full((1_000, 1), 12_000, np.int16)
    softened = risen(frames)
    assert softened[0, 0] == 0
    assert int(np.abs(np.diff(softened[:, 0].astype(np.int32))).max()) <= 26
    assert np.array_equal(softened[480:], frames[480:])
    assert (frames == 12_000).all()
    assert len(risen(frames[:7])) == 7


def test_a_reset_ring_begins_at_frame_0() -> None:
    ring = Ring(100)
    ring.take(70)
    ring.reset()
    assert (ring.next_frame, ring.held, ring.free) == (0, 0, 100)
