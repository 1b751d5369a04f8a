"""gpiozero's pins: the trace, the level that powers, machines without pins, switching off for a dead process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.adapters.gpio_lines import GpioAmplifier, PinFactory, PinSettings, silence
from edge.errors import GpioError
from protocol.adapters.system_clock import read_now


def settings(
    trace: Path | None, *, factory: PinFactory = PinFactory.MOCK, active_high: bool = True, pin: int = 17
) -> PinSettings:
    return PinSettings(pin_factory=factory, relay_pin=pin, active_high=active_high, trace=trace)


def lines(trace: Path) -> list[dict[str, int]]:
    return [json.loads(line) for line in trace.read_text().splitlines()]


def test_the_trace_tells_pin_level_and_shared_time(tmp_path: Path) -> None:
    trace = tmp_path / "pins.jsonl"
    before_ns = read_now().shared_ns
    pin = GpioAmplifier(settings(trace), read_now=read_now)
    pin.drive(on=True)
    pin.close()
    assert [(line["pin"], line["level"]) for line in lines(trace)] == [(17, 0), (17, 1), (17, 0)]
    times = [line["shared_ns"] for line in lines(trace)]
    assert before_ns <= times[0] <= times[1] <= times[2] <= read_now().shared_ns


def test_a_board_that_is_powered_by_a_low_level_is_driven_high_to_be_off(tmp_path: Path) -> None:
    trace = tmp_path / "pins.jsonl"
    pin = GpioAmplifier(settings(trace, active_high=False), read_now=read_now)
    pin.drive(on=True)
    pin.close()
    assert [line["level"] for line in lines(trace)] == [1, 0, 1]


def test_silence_leaves_a_line_of_its_own(tmp_path: Path) -> None:
    trace = tmp_path / "pins.jsonl"
    pin = GpioAmplifier(settings(trace), read_now=read_now)
    pin.drive(on=True)
    assert silence(settings(trace), read_now=read_now) is False
    assert [line["level"] for line in lines(trace)] == [0, 1, 0]
    pin.close()


def test_a_machine_without_pins_takes_the_mock_when_it_may_choose() -> None:
    pin = GpioAmplifier(settings(None, factory=PinFactory.AUTO), read_now=read_now)
    assert pin.is_mock == (not list(Path("/dev").glob("gpiochip*")))
    pin.close()


@pytest.mark.skipif(bool(list(Path("/dev").glob("gpiochip*"))), reason="this machine has pins")
def test_a_machine_without_pins_says_what_to_do_when_it_may_not() -> None:
    with pytest.raises(GpioError, match="pin_factory: mock"):
        GpioAmplifier(settings(None, factory=PinFactory.LGPIO), read_now=read_now)


def test_a_pin_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(GpioError, match="pin 99"):
        GpioAmplifier(settings(None, pin=99), read_now=read_now)


def test_a_trace_that_cannot_be_written_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(GpioError, match="cannot be opened"):
        GpioAmplifier(settings(tmp_path / "nowhere" / "pins.jsonl"), read_now=read_now)
