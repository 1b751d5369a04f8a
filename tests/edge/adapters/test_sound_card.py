"""The real card's own rim: pacing, a device without a clock, an open that hangs. The rest is its contract's."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from edge.adapters.card_feed import LATE_NS_MAX, OBSERVATIONS_WAITING_MAX, RUNAWAY_FRAMES, CardFeed
from edge.adapters.sound_card import ANSWER_S_MAX, NEAR_GAPS_MAX, CardSettings, Pacing
from edge.events import CardFailed, CardStarted
from edge.player.ring import Ring
from protocol.units import NS_PER_S, SAMPLE_RATE_HZ
from tests.support.card_bench import FifoBench, card_bench

pytestmark = pytest.mark.alone

BLOCK = 480
BLOCK_NS = BLOCK * NS_PER_S // 48_000
TIMES = {"output_buffer_dac_time": 7.05, "current_time": 7.0, "input_buffer_adc_time": 0.0}


def _feed(*, is_paced: bool) -> tuple[CardFeed, list[CardFeed]]:
    woken: list[CardFeed] = []
    return CardFeed(ring=Ring(4 * BLOCK), wake=woken.append, is_paced=is_paced, block_frames=BLOCK), woken


def _serve(feed: CardFeed, flags: int = 0) -> bytes:
    data, go_on = feed.serve(None, BLOCK, TIMES, flags)
    assert go_on == 0
    assert len(data) == 2 * BLOCK
    return data


def test_a_paced_feed_keeps_absolute_deadlines_so_that_no_error_adds_up() -> None:
    feed, _ = _feed(is_paced=True)
    _serve(feed)
    first = feed.observations[0][1]
    begun = time.monotonic_ns()
    for _ in range(30):
        _serve(feed)
    assert time.monotonic_ns() - begun >= 29 * BLOCK_NS
    assert feed.observations[-1] == (30 * BLOCK, first + 30 * BLOCK_NS)
    assert len(feed.observations) == OBSERVATIONS_WAITING_MAX, "those that nobody takes are forgotten"


def test_a_paced_feed_that_was_stopped_goes_on_from_now_and_does_not_rush() -> None:
    feed, _ = _feed(is_paced=True)
    _serve(feed)
    time.sleep((LATE_NS_MAX + 3 * BLOCK_NS) / NS_PER_S)  # the thread is not scheduled for a while
    _serve(feed)
    begun = time.monotonic_ns()
    for _ in range(5):
        _serve(feed)
    assert time.monotonic_ns() - begun >= 4.5 * BLOCK_NS


def test_a_device_without_a_clock_is_paced_once_it_has_run_away() -> None:
    feed, _ = _feed(is_paced=False)
    begun = time.monotonic_ns()
    while not feed.is_paced:
        _serve(feed)
        assert feed.frame < 3 * RUNAWAY_FRAMES
    assert time.monotonic_ns() - begun < NS_PER_S
    begun = time.monotonic_ns()
    for _ in range(5):
        _serve(feed)
    assert time.monotonic_ns() - begun >= 3.5 * BLOCK_NS


def test_what_the_device_says_of_its_delay_is_believed_unless_it_is_absurd() -> None:
    feed, _ = _feed(is_paced=False)
    _serve(feed)
    assert feed.latency_ns == pytest.approx(50_000_000, abs=10)
    feed.serve(None, BLOCK, {"output_buffer_dac_time": 0.0, "current_time": 7.0}, 0)
    assert feed.latency_ns == pytest.approx(50_000_000, abs=10)


def test_the_loop_is_woken_once_until_it_answers_and_gaps_count_only_once_it_has() -> None:
    feed, woken = _feed(is_paced=False)
    for _ in range(3):
        _serve(feed)
    assert len(woken) == 1
    assert feed.underruns == 0
    feed.is_wake_pending, feed.is_primed = False, True
    feed.ring.put(feed.ring.next_frame, np.ones((4 * BLOCK, 1), np.int16))
    assert any(_serve(feed))
    assert len(woken) == 1
    _serve(feed)
    assert len(woken) == 2
    for _ in range(4):
        _serve(feed)
    assert feed.underruns == 2


def test_a_feed_that_reaches_less_far_asks_later_and_drops_nothing_that_was_rendered() -> None:
    feed, woken = _feed(is_paced=False)
    ring = np.arange(1, 4 * BLOCK + 1, dtype=np.int16)
    feed.ring.put(0, ring.reshape(-1, 1))
    feed.reach(2 * BLOCK)
    assert feed.wanted == 0, "more is held already"
    heard = [_serve(feed), _serve(feed)]
    assert woken == [], "half of the ring is gone, not of what is to be held"
    heard += [_serve(feed)]
    assert len(woken) == 1
    assert feed.wanted == BLOCK
    assert b"".join(heard) == ring[: 3 * BLOCK].tobytes()
    feed.reach(None)
    assert feed.wanted == 3 * BLOCK


def test_blocks_are_half_of_the_devices_latency() -> None:
    assert CardSettings(latency_ms=80).block_frames == 40 * 48
    assert CardSettings(latency_ms=1).block_frames == 10 * 48
    assert CardSettings(latency_ms=80).voice_block_frames == 20 * 48
    assert CardSettings(latency_ms=30).voice_block_frames == 15 * 48, "never more than for all else"
    assert Pacing("clock") is Pacing.CLOCK


async def test_a_machine_that_renders_a_voice_too_late_again_and_again_renders_it_as_all_else(tmp_path: Path) -> None:
    async with card_bench("fifo", tmp_path) as bench:
        bench.card.start(is_near=True)
        await bench.until(lambda: bench.card.statistics.frames > SAMPLE_RATE_HZ // 2, "the card runs")
        near_frames = CardSettings().voice_frames(CardSettings().voice_block_frames)
        assert max(frames for _, frames in bench.marks.asked[-5:]) <= near_frames
        bench.hold_up(0.03 * NEAR_GAPS_MAX)
        await bench.elapse(0.5)
        since = len(bench.marks.asked)
        await bench.elapse(0.5)
        assert bench.card.statistics.underruns > NEAR_GAPS_MAX
        assert min(frames for _, frames in bench.marks.asked[since:]) > near_frames // 2, "half of a whole ring"


async def test_an_open_that_hangs_does_not_hold_up_the_loop_and_succeeds_when_it_may(tmp_path: Path) -> None:
    async with card_bench("fifo", tmp_path, is_plugged=False) as bench:
        assert isinstance(bench, FifoBench)
        bench.card.start()
        begun = time.monotonic()
        await bench.elapse(0.3)
        assert time.monotonic() - begun < ANSWER_S_MAX / 2, "an open on the loop would last until somebody reads"
        assert bench.events == []
        bench.plug()
        await bench.until(lambda: bench.events, "the card answers")
        assert isinstance(bench.events[0], CardStarted)


@pytest.mark.parametrize("delay_us", [-200_000, 0, 300_000])
async def test_what_the_driver_does_not_know_of_is_rendered_for_that_much_later(delay_us: int, tmp_path: Path) -> None:
    async with card_bench("fifo", tmp_path, delay_us=delay_us) as bench:
        bench.card.start()
        await bench.until(lambda: bench.card.statistics.frames > SAMPLE_RATE_HZ // 2, "the card runs")
        late_ms = [each.deviation_ms() for each in bench.heard()][-5:]
        assert [each for each in late_ms if each is not None] == pytest.approx([-delay_us / 1000] * 5, abs=20.0)


@pytest.mark.slow
async def test_a_device_that_port_audio_has_given_up_is_noticed_at_the_next_look(tmp_path: Path) -> None:
    async with card_bench("pulse", tmp_path) as bench:
        bench.card.start()
        await bench.until(lambda: bench.card.statistics.frames > SAMPLE_RATE_HZ, "the card runs")
        bench.unplug()
        await bench.until(lambda: len(bench.events) > 1, "the loss is noticed")
        failed = bench.events[1]
        assert isinstance(failed, CardFailed)
        assert "is gone" in failed.detail


async def test_a_stop_while_it_opens_leaves_it_closed(tmp_path: Path) -> None:
    async with card_bench("fifo", tmp_path) as bench:
        bench.card.start()
        bench.card.stop()
        await bench.elapse(0.5)
        assert bench.events == []
        assert bench.marks.asked == []
        bench.card.start()
        await bench.until(lambda: bench.events, "the card answers")
        assert not isinstance(bench.events[0], CardFailed)
