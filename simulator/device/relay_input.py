"""The relay's contact on a GPIO input of the bench's machine, written down as a node writes its own pin.

Wired between the pin and ground, with the pin's own pull-up: closed is 0 V. Bounces shorter than a few milliseconds
are the contact's, not the device's.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Final

BOUNCE_S: Final = 0.005


class RelayInput:
    """Writes each change into a trace until it is closed."""

    def __init__(self, pin: int, trace: Path) -> None:
        from gpiozero import DigitalInputDevice  # noqa: PLC0415 - only a bench with wires has it to do with pins

        self._pin = pin
        self._trace = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        self._device = DigitalInputDevice(pin, pull_up=True, bounce_time=BOUNCE_S)
        self._device.when_activated = lambda: self._write(1)
        self._device.when_deactivated = lambda: self._write(0)

    def close(self) -> None:
        """Let go of the pin."""
        self._device.close()
        os.close(self._trace)

    def _write(self, level: int) -> None:
        line = {"shared_ns": time.time_ns(), "pin": self._pin, "level": level}
        os.write(self._trace, json.dumps(line).encode() + b"\n")
