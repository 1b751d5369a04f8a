"""Which box this is: the serial number that a Raspberry Pi burns into its chip, else the machine's id.

A card that is put into another box must notice. A machine's id lies on its disk and moves with it; where there is no
serial number, a copy of the disk is therefore not told from the original.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from edge.telemetry import Machine
from protocol.enrolment import HARDWARE_CHARACTERS_MAX
from protocol.silence import box_digest

SOURCES: Final = (Path("/sys/firmware/devicetree/base/serial-number"), Path("/etc/machine-id"))
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
"""What the kernel calls its present life."""
_KEPT: Final = re.compile(r"[^0-9A-Za-z.:-]")
_BYTES_MAX: Final = 256
BOOT_CHARACTERS_MAX: Final = 36
"""A UUID; the bound of the field on the wire."""


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


def read_machine(file: str | None) -> Machine:
    """This box and its present life, as the wire has them."""
    try:
        boot = _KEPT.sub("", BOOT_ID.read_text(encoding="ascii"))[:BOOT_CHARACTERS_MAX]
    except OSError:
        boot = ""
    return Machine(box=box_digest(read_hardware(file)), boot=boot)
