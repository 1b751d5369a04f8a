"""What every amplifier pin promises: gpiozero's on its mock lines, and the simulated one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.adapters.gpio_lines import GpioAmplifier, PinFactory, PinSettings
from edge.ports import AmplifierPin
from protocol.adapters.system_clock import read_now
from simulator.pole.box import Mains, Relay
from simulator.world import World


class PassingRelay(Relay):
    """A millisecond passes after each command: levels of one instant are one level."""

    def drive(self, *, on: bool) -> None:
        super().drive(on=on)
        self._world.run_for(1_000_000)


class PinBench:
    """A pin, and what its relay felt so far."""

    def __init__(self, pin: AmplifierPin, trace: Path | None) -> None:
        self.pin = pin
        self._trace = trace

    def levels(self) -> list[bool]:
        """Each level that the relay had, in order."""
        if isinstance(self.pin, Relay):
            return [level for _, level in self.pin.commanded.changes()]
        assert self._trace is not None
        return [bool(json.loads(line)["level"]) for line in self._trace.read_text().splitlines()]


@pytest.fixture(params=["gpiozero", "simulated"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PinBench]:
    if request.param == "simulated":
        world = World(seed=1)
        yield PinBench(PassingRelay(world, "N001", Mains(world)), None)
        return
    trace = tmp_path / "pins.jsonl"
    settings = PinSettings(pin_factory=PinFactory.MOCK, relay_pin=17, active_high=True, trace=trace)
    pin = GpioAmplifier(settings, read_now=read_now)
    yield PinBench(pin, trace)


def test_is_off_from_the_moment_it_is_claimed(bench: PinBench) -> None:
    assert bench.levels() == [False]
    bench.pin.close()


def test_follows_what_it_is_told_and_notes_each_change_once(bench: PinBench) -> None:
    for on in (True, True, False, False, True):
        bench.pin.drive(on=on)
    assert bench.levels() == [False, True, False, True]
    bench.pin.close()


def test_is_off_after_it_was_closed(bench: PinBench) -> None:
    bench.pin.drive(on=True)
    bench.pin.close()
    assert bench.levels() == [False, True, False]
