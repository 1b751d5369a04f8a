"""The world: order, cancelling, bounds, and the same bytes under every hash seed."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import world as world_module
from simulator.world import SimulationStuckError, World


def test_events_run_in_order_of_time_then_of_scheduling() -> None:
    world = World(seed=1, start_ns=0)
    ran: list[tuple[int, str]] = []
    for name, at_ns in (("late", 20), ("first", 10), ("second", 10), ("third", 10)):
        world.at(at_ns, lambda name=name: ran.append((world.now_ns, name)))
    world.run_until(30)
    assert ran == [(10, "first"), (10, "second"), (10, "third"), (20, "late")]
    assert world.now_ns == 30
    assert world.events_run == 4


def test_run_until_includes_its_end_and_leaves_the_rest() -> None:
    world = World(seed=1, start_ns=0)
    ran: list[int] = []
    world.at(10, ran.append, 10)
    world.at(11, ran.append, 11)
    world.run_until(10)
    assert ran == [10]
    assert world.next_event_ns == 11
    world.run_for(1)
    assert ran == [10, 11]
    assert world.next_event_ns is None


def test_the_past_is_refused() -> None:
    world = World(seed=1, start_ns=100)
    with pytest.raises(ValueError, match="1 ns ago"):
        world.at(99, print)


def test_cancelled_events_do_not_run_and_cancelling_twice_is_nothing() -> None:
    world = World(seed=1, start_ns=0)
    ran: list[int] = []
    timer = world.at(5, ran.append, 5)
    done = world.at(1, ran.append, 1)
    world.cancel(timer)
    world.cancel(timer)
    world.cancel(None)
    world.run_until(10)
    world.cancel(done)
    assert ran == [1]
    assert world.waiting == 0


def test_a_heap_of_cancelled_events_is_cleaned_up() -> None:
    world = World(seed=1, start_ns=0)
    ran: list[int] = []
    for index in range(50_000):
        timer = world.at(1_000_000 + index, ran.append, index)
        if index % 1_000:
            world.cancel(timer)
    assert world.waiting == 50
    assert len(world._heap) < 10_000
    world.run_until(2_000_000)
    assert ran == list(range(0, 50_000, 1_000))


def test_two_parts_that_wake_each_other_for_ever_are_found() -> None:
    world = World(seed=1, start_ns=0)

    def wake() -> None:
        world.after(0, wake)

    world.after(0, wake)
    with pytest.raises(SimulationStuckError, match="wake"):
        world.run_until(1)
    assert world.events_run == world_module.EVENTS_PER_INSTANT_MAX


def test_what_an_event_raises_leaves_the_world_at_that_event() -> None:
    world = World(seed=1, start_ns=0)
    world.at(7, int, "not a number")
    world.at(8, print)
    with pytest.raises(ValueError, match="invalid literal"):
        world.run_until(10)
    assert world.now_ns == 7
    assert world.next_event_ns == 8


def test_a_new_consumer_shifts_nobody() -> None:
    alone, crowded = World(seed=9), World(seed=9)
    crowded.chance("newcomer").random()
    assert alone.chance("network").random() == crowded.chance("network").random()
    continued = alone.chance("network").random()
    assert continued == crowded.chance("network").random()


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=60))
def test_any_schedule_runs_sorted_and_complete(schedule: list[tuple[int, bool]]) -> None:
    world = World(seed=1, start_ns=0)
    ran: list[tuple[int, int]] = []
    for index, (at_ns, is_cancelled) in enumerate(schedule):
        timer = world.at(at_ns, lambda key=(at_ns, index): ran.append(key))
        if is_cancelled:
            world.cancel(timer)
    world.run_until(50)
    assert ran == sorted((at_ns, index) for index, (at_ns, gone) in enumerate(schedule) if not gone)


_PROVINCE = """
from simulator.world import World
world = World(seed=11)
names = {f"N{index:03d}" for index in range(50)}
def wake(name):
    chance = world.chance(name)
    world.record(name, "wake", draw=chance.within(0, 10**9), waited=chance.gamma_ns(10**6, 2))
    world.after(chance.exponential_ns(10**6), wake, name)
for name in sorted(names):
    world.after(0, wake, name)
world.run_for(20_000_000)
print(world.log.count, world.log.digest)
"""


def test_the_log_is_the_same_under_every_hash_seed() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", _PROVINCE],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
            timeout=60,
        ).stdout
        for hash_seed in ("0", "1", "4711")
    }
    assert len(outputs) == 1
    assert int(outputs.pop().split()[0]) > 900
