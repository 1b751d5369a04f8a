"""What the player may rely on from its sound card: one suite, on the simulated card and on PortAudio twice.

`fifo` is ALSA's file over null, which has no clock and is paced by ours; `pulse` is a PulseAudio null sink, which
has one. Where the fake would promise more or less than the real thing, a test here fails.
"""

from __future__ import annotations

import statistics
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio

from edge.events import CardFailed, CardStarted
from protocol.units import SAMPLE_RATE_HZ
from tests.support.card_bench import Bench, card_bench

pytestmark = pytest.mark.alone

KINDS = ("simulated", "fifo", pytest.param("pulse", marks=pytest.mark.slow))
STEP_SAMPLES_MAX = 24
"""Half a millisecond: what a device's word about its own delay jitters while its clock is being learned."""


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture
async def bench(kind: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with card_bench(kind, tmp_path) as running:
        yield running


async def _started(bench: Bench) -> None:
    count = len(bench.events)
    bench.card.start()
    await bench.until(lambda: len(bench.events) > count, "the card answers")
    assert isinstance(bench.events[-1], CardStarted)


async def _settled(bench: Bench) -> None:
    """PulseAudio stands still for up to two seconds after its start: count what the card took, not time."""
    before = bench.card.statistics.frames
    await bench.until(
        lambda: bench.card.statistics.frames > before + bench.settle_s * SAMPLE_RATE_HZ, "the card runs steadily"
    )


def _deviations_ms(bench: Bench, since: int) -> list[float]:
    found = [chunk.deviation_ms() for chunk in bench.heard()[since:]]
    return [each for each in found if each is not None]


async def test_sound_is_heard_at_the_instant_for_which_it_was_rendered(bench: Bench) -> None:
    await _started(bench)
    await _settled(bench)
    since = len(bench.heard())
    await bench.elapse(1.5)
    deviations = _deviations_ms(bench, since)
    assert len(deviations) > 10
    assert abs(statistics.median(deviations)) < bench.tolerance_ms


async def test_frames_are_asked_for_without_gap_or_repetition_and_at_the_cards_rate(bench: Bench) -> None:
    await _started(bench)
    await _settled(bench)
    since, before, begin_s = len(bench.marks.asked), bench.card.statistics.frames, bench.now_s()
    await bench.elapse(2.0)
    due = (bench.now_s() - begin_s) * SAMPLE_RATE_HZ
    asked = bench.marks.asked[since:]
    steps = [later[0] - earlier[0] - earlier[1] for earlier, later in pairwise(asked)]
    assert steps
    assert statistics.median(abs(step) for step in steps) <= STEP_SAMPLES_MAX
    assert bench.card.statistics.frames - before == pytest.approx(due, rel=0.1)


async def test_after_stop_nothing_is_rendered_and_nothing_sounds_until_the_next_start(bench: Bench) -> None:
    await _started(bench)
    await _settled(bench)
    bench.card.stop()
    await bench.elapse(0.3)
    asked, heard = len(bench.marks.asked), len(bench.heard())
    await bench.elapse(0.5)
    assert len(bench.marks.asked) == asked
    assert _deviations_ms(bench, heard) == []
    await _started(bench)
    await bench.until(lambda: len(_deviations_ms(bench, heard)) > 3, "it sounds again")


async def test_starting_twice_and_stopping_twice_changes_nothing(bench: Bench) -> None:
    bench.card.stop()
    await _started(bench)
    bench.card.start()
    await bench.elapse(0.5)
    assert len(bench.events) == 1
    bench.card.stop()
    bench.card.stop()
    await bench.elapse(0.2)
    assert len(bench.events) == 1


async def test_a_device_that_vanishes_is_reported_once_and_sounds_in_step_when_it_is_back(bench: Bench) -> None:
    await _started(bench)
    await _settled(bench)
    bench.unplug()
    await bench.until(lambda: isinstance(bench.events[-1], CardFailed), "the loss is noticed")
    await bench.elapse(1.5)
    assert len(bench.events) == 2
    bench.plug()
    await bench.until(lambda: isinstance(bench.events[-1], CardStarted), "the card is found again")
    await _settled(bench)
    since = len(bench.heard())
    await bench.elapse(1.0)
    assert abs(statistics.median(_deviations_ms(bench, since))) < bench.tolerance_ms
    assert bench.card.statistics.failures >= 1


async def test_a_block_that_is_rendered_too_late_is_counted_and_what_follows_is_in_step(bench: Bench) -> None:
    await _started(bench)
    await _settled(bench)
    before = bench.card.statistics.underruns
    bench.hold_up(0.8)
    await bench.until(lambda: bench.card.statistics.underruns > before, "the gap is counted")
    await _settled(bench)
    since, counted = len(bench.heard()), bench.card.statistics.underruns
    await bench.elapse(1.0)
    assert abs(statistics.median(_deviations_ms(bench, since))) < bench.tolerance_ms
    assert bench.card.statistics.underruns == counted
    assert len(bench.events) == 1


@pytest.mark.parametrize(
    "kind",
    [
        "simulated",
        pytest.param("fifo", marks=pytest.mark.slow),
        pytest.param("pulse", marks=[pytest.mark.slow, pytest.mark.lengthy]),
    ],
)
async def test_a_device_that_takes_nothing_is_given_up_once_and_sounds_in_step_when_it_takes_again(
    bench: Bench,
) -> None:
    await _started(bench)
    await _settled(bench)
    bench.stall()
    await bench.until(lambda: isinstance(bench.events[-1], CardFailed), "the watchdog gives the card up")
    await bench.elapse(2.5)
    assert len(bench.events) == 2, "it opens, perhaps, but as long as it takes nothing it has not started"
    bench.go_on()
    await bench.until(lambda: isinstance(bench.events[-1], CardStarted), "the card works again")
    await _settled(bench)
    since = len(bench.heard())
    await bench.elapse(1.0)
    assert abs(statistics.median(_deviations_ms(bench, since))) < bench.tolerance_ms


async def test_what_is_ordered_now_is_heard_soon(bench: Bench) -> None:
    await _started(bench)
    await _settled(bench)
    since, ordered_s = len(bench.heard()), bench.now_s()
    bench.marks.is_upside_down = True

    def heard_s() -> list[float]:
        found = [chunk.upside_down_from_s() for chunk in bench.heard()[since:]]
        return [each for each in found if each is not None]

    await bench.until(heard_s, "the order is heard")
    assert heard_s()[0] - ordered_s < bench.order_s_max


@pytest.mark.parametrize("kind", ["simulated", "fifo"])  # PulseAudio pulls several blocks at once when it is busy
async def test_how_far_ahead_it_reaches_may_change_in_play_without_a_gap_and_in_step(bench: Bench) -> None:
    bench.card.start(is_near=True)
    await bench.until(lambda: bench.events, "the card answers")
    await _settled(bench)
    since_asked, since_heard = len(bench.marks.asked), len(bench.heard())
    asks = {}
    for is_near in (True, False, True):
        bench.card.reach(is_near=is_near)
        begun = len(bench.marks.asked) + 2  # the first after a change bring it about
        await bench.elapse(0.8)
        asks[is_near] = statistics.median(frames for _, frames in bench.marks.asked[begun:])
    asked = bench.marks.asked[since_asked:]
    steps = [later[0] - earlier[0] - earlier[1] for earlier, later in pairwise(asked)]
    assert max(map(abs, steps)) <= STEP_SAMPLES_MAX
    assert asks[False] > asks[True]
    assert abs(statistics.median(_deviations_ms(bench, since_heard))) < bench.tolerance_ms


async def test_it_says_what_sounds_where(bench: Bench) -> None:
    await _started(bench)
    event = bench.events[-1]
    assert isinstance(event, CardStarted)
    assert event.path == bench.card.path
    assert "paced by the" in bench.card.path


@pytest.mark.parametrize("absent", ["simulated", pytest.param("pulse", marks=pytest.mark.slow)])
async def test_a_device_that_is_not_there_is_reported_and_found_later(absent: str, tmp_path: Path) -> None:
    async with card_bench(absent, tmp_path, is_plugged=False) as bench:
        bench.card.start()
        await bench.until(lambda: bench.events, "the card answers")
        assert isinstance(bench.events[0], CardFailed)
        bench.plug()
        await bench.until(lambda: isinstance(bench.events[-1], CardStarted), "the card is found")
        assert len(bench.events) == 2


async def test_a_name_that_no_device_has_is_answered_with_the_names_there_are(tmp_path: Path) -> None:
    async with card_bench("fifo", tmp_path, device="trumpet") as bench:
        bench.card.start()
        await bench.until(lambda: bench.events, "the card answers")
        event = bench.events[0]
        assert isinstance(event, CardFailed)
        assert "'trumpet'" in event.detail
        assert "'horn'" in event.detail
