"""The amplifier's pin and the stop button's through gpiozero, on a Raspberry Pi's lines or on a mock without them.

The pin is driven off the moment it is claimed and again when it is let go, so that no start, end or restart
leaves the amplifier powered. Each change of the pin's level is appended to a trace file when one is configured:
it is written at the pin, below everything that decides, and so is evidence of what the relay saw.

gpiozero is imported only here, and its lgpio factory is found at run time: a machine without pins uses `mock`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from edge.config import AmplifierConfig, InputsConfig
from edge.errors import GpioError
from edge.events import ButtonFailed, ButtonFound, ButtonMoved, Event
from protocol.units import Now


class PinFactory(StrEnum):
    """Where pins come from: `auto` takes the Pi's lines if there are any, and the mock if there are none."""

    AUTO = "auto"
    LGPIO = "lgpio"
    MOCK = "mock"


@dataclass(frozen=True, slots=True, kw_only=True)
class PinSettings:
    """Which pin, and which of its levels powers the amplifier."""

    pin_factory: PinFactory
    relay_pin: int
    active_high: bool
    trace: Path | None


def pin_settings(config: AmplifierConfig) -> PinSettings:
    """The amplifier's pin as the configuration names it."""
    return PinSettings(
        pin_factory=PinFactory(config.pin_factory),
        relay_pin=config.relay_pin,
        active_high=config.active_high,
        trace=None if config.trace is None else Path(config.trace),
    )


class GpioAmplifier:
    """The amplifier's pin behind the port `AmplifierPin`."""

    def __init__(self, settings: PinSettings, *, read_now: Callable[[], Now]) -> None:
        """Claim the pin and drive it off; raises GpioError."""
        self._settings = settings
        self._read_now = read_now
        self._trace = _open_trace(settings.trace)
        try:
            self._factory, self.is_mock = _factory(settings.pin_factory)
            self._device = _output(settings, self._factory)
        except Exception as error:
            self._close_trace()
            if isinstance(error, GpioError):
                raise
            raise GpioError(
                f"pin {settings.relay_pin} cannot be claimed: {error}; is another program using it, and is this "
                "user in the group gpio?"
            ) from error
        self._write(level=not settings.active_high)

    def drive(self, *, on: bool) -> None:
        """See `AmplifierPin.drive`."""
        try:
            was_on = bool(self._device.value)
            self._device.value = on
        except Exception as error:
            raise GpioError(f"pin {self._settings.relay_pin} cannot be driven: {error}") from error
        if was_on is not on:
            self._write(level=on == self._settings.active_high)

    def close(self) -> None:
        """See `AmplifierPin.close`."""
        try:
            self.drive(on=False)
        finally:
            self._device.close()
            self._factory.close()
            self._close_trace()

    def _write(self, *, level: bool) -> None:
        """Append one change to the trace, in one write, so that readers never see half a line."""
        if self._trace is None:
            return
        line = {"shared_ns": self._read_now().shared_ns, "pin": self._settings.relay_pin, "level": int(level)}
        try:
            os.write(self._trace, json.dumps(line).encode() + b"\n")
        except OSError as error:
            raise GpioError(f"the trace {self._settings.trace} cannot be written: {error}") from error

    def _close_trace(self) -> None:
        if self._trace is not None:
            os.close(self._trace)
            self._trace = None


class GpioStopButton:
    """The stop button behind the port `StopButtonPin`; `post` takes events in on any thread."""

    def __init__(self, config: InputsConfig, *, pin_factory: PinFactory, post: Callable[[Event], None]) -> None:
        self._config = config
        self._wanted = pin_factory
        self._post = post
        self.factory: Any = None
        self._device: Any = None

    def start(self) -> None:
        """See `StopButtonPin.start`."""
        pin = self._config.stop_pin
        if pin is None:
            return
        try:
            self.factory, _ = _factory(self._wanted)
            self._device = device = _input(pin, self._config, self.factory)
            device.when_activated = lambda: self._post(ButtonMoved(is_pressed=True))
            device.when_deactivated = lambda: self._post(ButtonMoved(is_pressed=False))
            self._post(ButtonFound(is_pressed=bool(device.is_active)))
        except Exception as error:  # noqa: BLE001 - whatever a driver raises, the pole goes on without its button
            self.close()
            self._post(ButtonFailed(detail=f"pin {pin} of the stop button cannot be read: {error}"))

    def close(self) -> None:
        """See `StopButtonPin.close`."""
        for held in (self._device, self.factory):
            if held is not None:
                held.close()
        self._device = self.factory = None


def silence(settings: PinSettings, *, read_now: Callable[[], Now]) -> bool:
    """Switch the amplifier off for a process that could not; returns whether a real pin was driven."""
    pin = GpioAmplifier(settings, read_now=read_now)
    is_mock = pin.is_mock
    pin.close()
    return not is_mock


def _factory(wanted: PinFactory) -> tuple[Any, bool]:
    if wanted is PinFactory.MOCK:
        return _mock(), True
    try:
        from gpiozero.pins.lgpio import LGPIOFactory  # noqa: PLC0415 - lgpio exists only on boards with pins

        return LGPIOFactory(), False
    except Exception as error:
        if wanted is PinFactory.LGPIO:
            raise GpioError(
                f"there are no pins here ({error}); install lgpio on a Raspberry Pi, or set pin_factory: mock"
            ) from error
        return _mock(), True


def _mock() -> Any:  # noqa: ANN401 - gpiozero publishes no types
    from gpiozero.pins.mock import MockFactory  # noqa: PLC0415 - not needed on a board with pins

    return MockFactory()


def _input(pin: int, config: InputsConfig, factory: Any) -> Any:  # noqa: ANN401 - gpiozero publishes no types
    """The board's own resistor holds the pin at the level of a button that is up."""
    from gpiozero import DigitalInputDevice  # noqa: PLC0415 - as in `_output`

    return DigitalInputDevice(
        pin, pull_up=not config.stop_active_high, bounce_time=config.bounce_ms / 1000, pin_factory=factory
    )


def _output(settings: PinSettings, factory: Any) -> Any:  # noqa: ANN401 - gpiozero publishes no types
    from gpiozero import DigitalOutputDevice  # noqa: PLC0415 - 60 ms of start that `show` and `--help` do not need

    return DigitalOutputDevice(
        settings.relay_pin, active_high=settings.active_high, initial_value=False, pin_factory=factory
    )


def _open_trace(path: Path | None) -> int | None:
    if path is None:
        return None
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise GpioError(f"the trace {path} cannot be opened: {error}") from error
