"""The elastic buffer in virtual time: clocks that differ, bursts, starvation, bounds; hours in seconds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from controller.streams.elastic_buffer import CAPACITY_MS, SURPLUS_MS, TARGET_MS, ElasticBuffer
from tests.support.recordings import tone

FRAME = 960
BLOCK = np.ones(FRAME * 5, np.int16)
HOUR_FRAMES = 3600 * 50


class DriftingFeed:
    """A station whose clock is `ppm` fast and which sends in bursts of `burst_samples`."""

    def __init__(self, buffer: ElasticBuffer, *, ppm: float, burst_samples: int = len(BLOCK)) -> None:
        self._buffer = buffer
        self._rate = FRAME * (1 + ppm * 1e-6)
        self._owed = 0.0
        self._burst = np.ones(burst_samples, np.int16)
        self.gaps = 0
        self.fills_ms: list[float] = []

    def run(self, frames: int) -> None:
        for index in range(frames):
            self._owed += self._rate
            while self._owed >= len(self._burst):
                self._owed -= len(self._burst)
                self._buffer.push(self._burst)
            self.gaps += self._buffer.pull() is None
            if index % 50 == 0:
                self.fills_ms.append(self._buffer.fill_ms)


@pytest.mark.parametrize("ppm", [-120.0, -20.0, 0.0, 20.0, 120.0])
def test_a_station_with_another_crystal_plays_for_two_hours_without_a_gap(ppm: float) -> None:
    buffer = ElasticBuffer()
    feed = DriftingFeed(buffer, ppm=ppm)
    feed.run(FRAME // 10)
    feed.gaps = 0
    feed.run(2 * HOUR_FRAMES)
    assert (feed.gaps, buffer.skipped_samples) == (0, 0)
    assert max(feed.fills_ms) < SURPLUS_MS + 1_000
    assert min(feed.fills_ms[3600:]) > TARGET_MS / 2
    if ppm < 0:
        assert buffer.stretched_samples >= -ppm * 1e-6 * 1.9 * HOUR_FRAMES * FRAME, "a slow station is stretched"


def test_a_fast_station_does_not_pile_up() -> None:
    buffer = ElasticBuffer()
    buffer.push(np.ones((SURPLUS_MS + 1_000) * 48, np.int16))
    feed = DriftingFeed(buffer, ppm=200.0)
    feed.run(2 * HOUR_FRAMES)
    assert (feed.gaps, buffer.skipped_samples) == (0, 0)
    assert feed.fills_ms[-1] < SURPLUS_MS + 600
    assert buffer.stretched_samples < -200e-6 * 1.9 * HOUR_FRAMES * FRAME


def test_the_correction_stays_below_500_ppm() -> None:
    buffer = ElasticBuffer()
    DriftingFeed(buffer, ppm=5_000).run(30 * 60 * 50)
    frames = 30 * 60 * 50
    assert 0 < -buffer.stretched_samples / (frames * FRAME) < 500e-6


def test_segments_of_ten_seconds_disturb_nothing() -> None:
    buffer = ElasticBuffer()
    buffer.push(np.ones(48_000 * 10, np.int16))
    feed = DriftingFeed(buffer, ppm=0, burst_samples=48_000 * 10)
    feed.run(HOUR_FRAMES)
    assert (feed.gaps, buffer.skipped_samples) == (0, 0)


def test_a_feed_in_pieces_that_has_just_begun_sounds_once_it_lasts_until_the_next_piece() -> None:
    buffer = ElasticBuffer()
    buffer.pieces_ms = 3_000
    heard: list[bool] = []
    # A station's playlist that holds one segment of 2 s; the next ones are found up to a second after they are there.
    for wait_ms in (2_900, 1_100, 2_900, 2_000, 1_100, 2_900, 1_200):
        buffer.push(np.ones(2_000 * 48, np.int16))
        heard += [buffer.pull() is not None for _ in range(wait_ms // 20)]
    first = heard.index(True)
    assert first * 20 == 2_900, "at the second piece: 4 s outlast 3 s by the target"
    assert all(heard[first:])
    assert buffer.stretched_samples == 0


def test_pieces_longer_than_the_store_may_hold_do_not_keep_it_from_beginning() -> None:
    buffer = ElasticBuffer()
    buffer.pieces_ms = 22_500
    while buffer.wants_more:
        assert buffer.pull() is None
        buffer.push(np.ones(48_000, np.int16))
    assert buffer.pull() is not None


def test_a_starved_feed_leaves_a_gap_and_begins_again_from_a_filled_store() -> None:
    buffer = ElasticBuffer()
    buffer.push(np.ones(TARGET_MS * 48, np.int16))
    pulled = [buffer.pull() is not None for _ in range(40)]
    assert pulled == [True] * 25 + [False] * 15
    buffer.push(np.ones((TARGET_MS - 40) * 48, np.int16))
    assert buffer.pull() is None, "not before the store is filled"
    buffer.push(np.ones(60 * 48, np.int16))
    assert buffer.pull() is not None


def test_the_store_is_bounded_and_skips_the_oldest() -> None:
    buffer = ElasticBuffer()
    for number in range(70):
        buffer.push(np.full(48_000, number, np.int16))
    assert (buffer.fill_ms, buffer.skipped_samples) == (CAPACITY_MS, 10 * 48_000)
    first = buffer.pull()
    assert first is not None
    assert first[0] == pytest.approx(10 / 32768)


def test_stretching_keeps_a_tone_a_tone() -> None:
    buffer = ElasticBuffer()
    made = (tone(440, 30.0, -12.0) * 32767).astype(np.int16)
    buffer.push(made[: 48 * TARGET_MS])
    position, out = 48 * TARGET_MS, []
    while position + FRAME < len(made):
        buffer.push(made[position : position + FRAME - 1])  # a slow station: always short of its target
        position += FRAME - 1
        frame = buffer.pull()
        assert frame is not None
        out.append(frame)
    sound = np.concatenate(out)
    assert buffer.stretched_samples > 100
    steps = np.abs(np.diff(sound))
    assert steps.max() < 1.02 * np.abs(np.diff(made / 32768)).max(), "no click where a sample was added"


def test_what_goes_in_comes_out_in_order_for_any_sizes() -> None:
    buffer = ElasticBuffer()
    made = (np.arange(48_000 * 3) % 30_000).astype(np.int16)
    cuts = [0, 1, 700, 2_000, 2_001, 50_000, 51_111, 100_000, len(made)]
    for begin, end in itertools.pairwise(cuts):
        buffer.push(made[begin:end])
    frames = [frame for _ in range(100) if (frame := buffer.pull()) is not None]
    out = np.round(np.concatenate(frames) * 32768).astype(np.int16)
    assert np.array_equal(out, made[: len(out)])
