"""Which box this is: the serial number that a Raspberry Pi burns into its chip, else the machine's id.

A card that is put into another box must notice. A machine's id lies on its disk and moves with it; where there is no
serial number, a copy of the disk is therefore not told from the original.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from protocol.enrolment import HARDWARE_CHARACTERS_MAX

SOURCES: Final = (Path("/sys/firmware/devicetree/base/serial-number"), Path("/etc/machine-id"))
_KEPT: Final = re.compile(r"[^0-9A-Za-z.:-]")
_BYTES_MAX: Final = 256


def read_hardware(file: str | None) -> str:
    """The box's serial number; empty where nothing gives one."""
    for path in (Path(file),) if file else SOURCES:
        try:
            with path.open("rb") as source:
                text = source.read(_BYTES_MAX).decode("ascii", "ignore")
        except OSError:
            continue
        serial = _KEPT.sub("", text)[:HARDWARE_CHARACTERS_MAX]
        if serial:
            return serial
    return ""
