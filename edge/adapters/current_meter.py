"""The amplifier's supply current, from a converter that Linux shows under /sys/bus/iio (ABI: sysfs-bus-iio).

A channel is a file `in_current0_raw` or `in_voltage0_raw` with `..._scale` and perhaps `..._offset` beside it:
(raw + offset) * scale are milliamperes, or millivolts of a shunt's or sensor's output.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

from edge.errors import HearingError

TEXT_BYTES_MAX: Final = 64
"""A number in decimal digits."""
MILLI: Final = 1_000.0


class CurrentMeter:
    """One channel; `amperes_per_volt` turns a voltage into a current, None reads a current."""

    def __init__(self, raw: Path, *, amperes_per_volt: float | None) -> None:
        self._raw: Final = raw
        self._amperes_per_volt: Final = amperes_per_volt

    def read(self) -> float:
        """The current in amperes; raises HearingError."""
        name = self._raw.name.removesuffix("_raw")
        scale = self._number(self._raw.with_name(f"{name}_scale"), default=1.0)
        offset = self._number(self._raw.with_name(f"{name}_offset"), default=0.0)
        units = (self._number(self._raw) + offset) * scale / MILLI
        return units if self._amperes_per_volt is None else units * self._amperes_per_volt

    @staticmethod
    def _number(path: Path, *, default: float | None = None) -> float:
        try:
            with path.open("rb") as file:
                text = file.read(TEXT_BYTES_MAX).decode("ascii").strip()
            value = float(text)
        except FileNotFoundError as error:
            if default is not None:
                return default
            raise HearingError(
                f"{path} does not exist: is the converter's driver loaded? See hearing.current"
            ) from error
        except (OSError, ValueError) as error:
            raise HearingError(f"{path} cannot be read as a number: {error}") from error
        if not math.isfinite(value):
            raise HearingError(f"{path} says {text!r}, which is no number")
        return value
