"""What every stop button tells: gpiozero's on its mock lines, and the simulated one, both polarities."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from edge.adapters.gpio_lines import GpioStopButton, PinFactory
from edge.config import InputsConfig
from edge.events import ButtonFailed, ButtonFound, ButtonMoved, Event
from simulator.pole.box import InputLine
from simulator.world import World

PIN = 27


class ButtonBench:
    """A button, whoever presses it, and what was told."""

    def __init__(self, told: list[Event], press: Callable[[bool], None], close: Callable[[], None]) -> None:
        self.told = told
        self.press = press
        self.close = close

    @property
    def levels(self) -> list[bool]:
        """What was told, bounces left out."""
        moved = [each.is_pressed for each in self.told if isinstance(each, ButtonMoved)]
        return [level for index, level in enumerate(moved) if index == 0 or moved[index - 1] is not level]


def real(told: list[Event], *, active_high: bool) -> ButtonBench:
    config = InputsConfig(stop_pin=PIN, stop_active_high=active_high)
    button = GpioStopButton(config, pin_factory=PinFactory.MOCK, post=told.append)
    button.start()
    line = button.factory.pin(PIN)

    def press(is_pressed: bool) -> None:
        if is_pressed is active_high:
            line.drive_high()
        else:
            line.drive_low()

    return ButtonBench(told, press, button.close)


def simulated(told: list[Event]) -> ButtonBench:
    world = World(seed=1)
    line = InputLine(world)
    line.on_change = lambda level: told.append(ButtonMoved(is_pressed=level))
    told.append(ButtonFound(is_pressed=line.level))

    def press(is_pressed: bool) -> None:
        line.set(is_pressed)
        world.run_for(100_000_000)

    def close() -> None:
        line.on_change = None

    return ButtonBench(told, press, close)


@pytest.fixture(params=["low", "high", "simulated"])
def bench(request: pytest.FixtureRequest) -> Iterator[ButtonBench]:
    told: list[Event] = []
    made = simulated(told) if request.param == "simulated" else real(told, active_high=request.param == "high")
    yield made
    made.close()


def test_says_first_that_it_is_up(bench: ButtonBench) -> None:
    assert bench.told == [ButtonFound(is_pressed=False)]


def test_tells_each_press_and_each_letting_go(bench: ButtonBench) -> None:
    for is_pressed in (True, False, True):
        bench.press(is_pressed)
    assert bench.levels[-3:] == [True, False, True]


def test_a_pin_that_cannot_be_claimed_is_told_and_no_more() -> None:
    told: list[Event] = []
    button = GpioStopButton(InputsConfig(stop_pin=PIN), pin_factory=PinFactory.LGPIO, post=told.append)
    button.start()
    button.close()
    assert len(told) == 1
    assert isinstance(told[0], ButtonFailed)
    assert f"pin {PIN} of the stop button" in told[0].detail


def test_without_a_pin_there_is_no_button() -> None:
    told: list[Event] = []
    button = GpioStopButton(InputsConfig(), pin_factory=PinFactory.MOCK, post=told.append)
    button.start()
    button.close()
    assert not told
