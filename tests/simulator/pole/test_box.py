"""Relay, mains and inputs: what the amplifier really felt."""

from __future__ import annotations

import pytest

from edge.errors import GpioError
from protocol.units import NS_PER_MS, NS_PER_S
from simulator.pole.box import CHANGES_KEPT, InputLine, Line, Mains, Relay, RelaySettings
from simulator.world import World


def box() -> tuple[World, Mains, Relay]:
    world = World(seed=1)
    mains = Mains(world)
    return world, mains, Relay(world, "N001", mains)


def test_the_contact_follows_late_and_bounces() -> None:
    world, _, relay = box()
    settings = RelaySettings()
    relay.drive(on=True)
    begin_ns = world.now_ns
    world.run_for(NS_PER_S)
    assert not relay.is_powered_at(begin_ns + settings.operate_ns - 1)
    assert relay.is_powered_at(begin_ns + settings.operate_ns)
    assert not relay.is_powered_at(begin_ns + settings.operate_ns + settings.bounce_ns)
    assert relay.is_powered_at(world.now_ns)
    assert len(relay.contact.changes()) == 2 + 2 * settings.bounces
    relay.drive(on=False)
    world.run_for(NS_PER_S)
    assert not relay.is_powered_at(world.now_ns)


def test_a_command_taken_back_in_time_never_closes_the_contact() -> None:
    world, _, relay = box()
    relay.drive(on=True)
    world.run_for(2 * NS_PER_MS)
    relay.drive(on=False)
    world.run_for(NS_PER_S)
    assert relay.contact.changes(world.start_ns + 1) == []
    assert not relay.commanded.at(world.now_ns)


@pytest.mark.parametrize("level", [True, False])
def test_a_stuck_contact_does_not_follow_until_it_is_free(level: bool) -> None:
    world, _, relay = box()
    relay.stick(level)
    for on in (True, False, True):
        relay.drive(on=on)
        world.run_for(NS_PER_S)
        assert relay.is_powered_at(world.now_ns) is level
    relay.stick(None)
    assert relay.is_powered_at(world.now_ns)


def test_without_mains_nothing_has_power_and_the_sense_line_says_so() -> None:
    world, mains, relay = box()
    relay.drive(on=True)
    world.run_for(NS_PER_S)
    mains.switch(on=False)
    assert not relay.is_powered_at(world.now_ns)
    assert mains.sense.at(world.now_ns)
    world.run_for(Mains.SENSE_NS)
    assert not mains.sense.at(world.now_ns)
    mains.switch(on=True)
    assert relay.is_powered_at(world.now_ns)


def test_a_broken_pin_raises_and_stays_as_it_is() -> None:
    world, _, relay = box()
    relay.drive(on=True)
    world.run_for(NS_PER_S)
    relay.break_pin()
    with pytest.raises(GpioError, match="cannot be driven"):
        relay.drive(on=False)
    assert relay.is_powered_at(world.now_ns)
    relay.release()
    world.run_for(NS_PER_S)
    assert not relay.is_powered_at(world.now_ns)


def test_a_button_bounces_and_ends_where_it_was_put() -> None:
    world = World(seed=1)
    button = InputLine(world, bounces=3)
    told: list[bool] = []
    button.on_change = told.append
    button.set(True)
    world.run_for(NS_PER_S)
    assert button.level
    assert told == [True, False, True, False, True, False, True]


def test_a_line_forgets_its_oldest_changes_and_keeps_the_newest() -> None:
    line = Line(at_ns=0, level=False)
    for step in range(1, 3 * CHANGES_KEPT):
        line.set(step, step % 2 == 1)
    assert len(line.changes()) <= CHANGES_KEPT
    last = 3 * CHANGES_KEPT - 1
    assert line.at(last) is (last % 2 == 1)
    assert line.at(last - 1) is not line.at(last)


def test_a_dead_horn_has_power_and_is_not_heard() -> None:
    world, _, relay = box()
    relay.drive(on=True)
    world.run_for(NS_PER_S)
    relay.horn.set(world.now_ns, False)
    assert relay.is_powered_at(world.now_ns)
    assert not relay.is_heard_at(world.now_ns)
    relay.horn.set(world.now_ns, True)
    assert relay.is_heard_at(world.now_ns)
