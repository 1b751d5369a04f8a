"""The player on simulated cards: neighbours with different crystals sound together, gaps and plugs heal in step."""

from __future__ import annotations

import numpy as np
import pytest

from edge.events import CardFailed, CardStarted
from edge.player.mixer import Mixer
from edge.player.playout import Playout
from edge.player.source import Source
from protocol.units import NS_PER_MS, NS_PER_S, SharedNs, SharedSample, sample_of_shared_ns
from simulator.clock import ClockSettings, NodeClock
from simulator.pole.sound_card import Heard, SimulatedCard, SimulatedCardSettings
from simulator.world import World
from tests.support.sound import PERIOD_SAMPLES, ConstantSource, WaveSource, steps


class Pole:
    """A player and a card, playing the wave from two seconds after the start on."""

    def __init__(self, world: World, *, card_ppb: int = 0, clock_ppb: int = 0, source: Source | None = None) -> None:
        self.world = world
        self.mixer = Mixer()
        self.playout = Playout(self.mixer)
        self.events: list[CardStarted | CardFailed] = []
        clock = NodeClock(world, f"N{card_ppb}", ClockSettings(drift_ppb=clock_ppb, error_ns=0))
        self.card = SimulatedCard(
            world,
            clock,
            SimulatedCardSettings(drift_ppb=card_ppb),
            render=self.playout.render,
            on_event=self.events.append,
            name=f"card {card_ppb}",
        )
        self.card.start()
        self.starts_at = SharedSample(sample_of_shared_ns(clock.read_now().shared_ns) + 2 * 48_000)
        self.mixer.start("wave", source or WaveSource(), from_sample=self.starts_at)

    def errors_ms(self, since_ns: int) -> list[float]:
        """How much later than the shared grid says each sounding block was heard, by the phase of the wave."""
        blocks = [each for each in self.card.heard if each.at_true_ns >= since_ns and each.samples.any()]
        return [_error_ms(each) for each in blocks if len(each.samples) % PERIOD_SAMPLES == 0]


def _error_ms(heard: Heard) -> float:
    turn = 2 * np.pi / PERIOD_SAMPLES
    phase = np.angle(np.sum(heard.samples * np.exp(-1j * turn * np.arange(len(heard.samples)))))
    grid = heard.at_true_ns * 48 / NS_PER_MS
    late = (turn * (grid % PERIOD_SAMPLES) - (phase + np.pi / 2) + np.pi) % (2 * np.pi) - np.pi
    return float(late / turn / 48)


@pytest.mark.parametrize("card_ppb", [-50_000, 50_000])
def test_neighbours_with_opposite_crystals_sound_within_a_tenth_of_a_millisecond(card_ppb: int) -> None:
    world = World(seed=11)
    pole = Pole(world, card_ppb=card_ppb, clock_ppb=-card_ppb)
    world.run_for(120 * NS_PER_S)
    errors = np.abs(pole.errors_ms(world.start_ns + 4 * NS_PER_S))
    assert len(errors) > 2_000
    assert float(np.quantile(errors, 0.95)) < 0.1
    assert float(errors.max()) < 0.5
    assert pole.playout.reanchors == 0
    assert pole.card.statistics.underruns == 0


def test_the_first_audible_sample_is_in_its_place_on_every_pole() -> None:
    world = World(seed=12)
    poles = [Pole(world, card_ppb=ppb) for ppb in (-80_000, 0, 80_000)]
    world.run_for(3 * NS_PER_S)
    for pole in poles:
        begun = next(each for each in pole.card.heard if each.samples.any())
        first = begun.at_true_ns + int(np.flatnonzero(begun.samples)[0]) * NS_PER_S // 48_000
        assert abs(sample_of_shared_ns(SharedNs(first)) - pole.starts_at) <= 24


def test_a_loop_that_is_held_up_leaves_a_gap_and_comes_back_in_step() -> None:
    world = World(seed=13)
    pole = Pole(world)
    world.run_for(5 * NS_PER_S)
    pole.card.hold_up(400 * NS_PER_MS)
    world.run_for(5 * NS_PER_S)
    assert pole.card.statistics.underruns > 0
    assert any(each.is_gap for each in pole.card.heard)
    assert max(np.abs(pole.errors_ms(world.now_ns - 3 * NS_PER_S))) < 0.5


def test_an_unplugged_card_is_cut_off_and_a_plugged_one_sounds_in_step() -> None:
    world = World(seed=14)
    pole = Pole(world)
    world.run_for(5 * NS_PER_S)
    pole.card.unplug()
    cut_ns = world.now_ns
    world.run_for(5 * NS_PER_S)
    assert all(each.at_true_ns < cut_ns for each in pole.card.heard)
    assert [type(event).__name__ for event in pole.events] == ["CardStarted", "CardFailed"]
    pole.card.heard.clear()
    pole.card.plug()
    world.run_for(15 * NS_PER_S)
    assert type(pole.events[-1]).__name__ == "CardStarted"
    assert max(np.abs(pole.errors_ms(world.now_ns - 5 * NS_PER_S))) < 0.5


@pytest.mark.parametrize("trouble", ["unplugged", "held up"])
def test_what_follows_a_gap_does_not_click(trouble: str) -> None:
    world = World(seed=16)
    pole = Pole(world, source=ConstantSource(0.5))
    world.run_for(5 * NS_PER_S)
    if trouble == "unplugged":
        pole.card.unplug()
        world.run_for(3 * NS_PER_S)
        pole.card.plug()
    else:
        pole.card.hold_up(400 * NS_PER_MS)
        world.run_for(400 * NS_PER_MS)
    pole.card.heard.clear()
    world.run_for(15 * NS_PER_S)
    after = np.concatenate([each.samples for each in pole.card.heard]).astype(np.float32) / np.float32(32767)
    assert after[-1] == pytest.approx(0.5, abs=1e-3)
    assert steps(after) < 0.01


def test_the_same_seed_is_heard_the_same() -> None:
    heard = []
    for _ in range(2):
        world = World(seed=15)
        pole = Pole(world, card_ppb=30_000)
        world.run_for(10 * NS_PER_S)
        heard.append([(each.at_true_ns, each.samples.tobytes()) for each in pole.card.heard])
    assert heard[0] == heard[1]


@pytest.mark.parametrize("ppb", [-200_000, 200_000])
def test_a_card_whose_crystal_moves_pulls_at_the_new_rate_and_stays_in_step(ppb: int) -> None:
    world = World(seed=17)
    pole = Pole(world)
    world.run_for(20 * NS_PER_S)
    before = pole.card.statistics.frames
    pole.card.set_drift(ppb)
    world.run_for(100 * NS_PER_S)
    pulled = pole.card.statistics.frames - before
    assert abs(pulled - 4_800_000 * (1 + ppb / 1e9)) <= 2 * 1_920  # whole blocks; a card that ignored it: 960 off
    begins = [each.at_true_ns for each in pole.card.heard if each.at_true_ns > world.now_ns - 50 * NS_PER_S]
    block_ns = (begins[-1] - begins[0]) / (len(begins) - 1)
    assert block_ns == pytest.approx(40 * NS_PER_MS / (1 + ppb / 1e9), abs=2)
    assert pole.card.statistics.underruns == 0
    assert max(np.abs(pole.errors_ms(world.now_ns - 30 * NS_PER_S))) < 1.0
