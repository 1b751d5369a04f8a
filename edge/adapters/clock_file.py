"""Where a running node writes how its clock stands, and `show` reads it.

The file lies in the service's folder below /run, which is memory: written after each burst of answers it would wear a
card. A node that systemd did not start (a desk, a demo) writes it into its state folder. It is a convenience: what
cannot be written is logged once, what cannot be read is not there.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Final

import msgspec

from edge.clock.record import RECORD_BYTES_MAX, ClockRecord

log = logging.getLogger("edge.time")

SERVICE_FOLDER: Final = Path("/run/loaxa-edge")
"""`RuntimeDirectory` of systemd/loaxa-edge.service."""
FILE: Final = "clock.json"


class ClockFile:
    """Writes records of one node."""

    def __init__(self, state_dir: str) -> None:
        self._path = Path(os.environ.get("RUNTIME_DIRECTORY") or state_dir) / FILE
        self._is_well = True

    def write(self, record: ClockRecord) -> None:
        """Put a record in the place of the one before."""
        temporary = self._path.with_name(f".{FILE}.new")
        try:
            temporary.write_bytes(msgspec.json.encode(record))
            temporary.replace(self._path)
        except OSError as error:
            if self._is_well:
                log.warning("how the clock stands cannot be written for `loaxa-edge show`: %s", error)
            self._is_well = False


def read_record(node: str, state_dir: str) -> tuple[ClockRecord | None, float | None]:
    """The newest record of a node and its age in seconds; None and None without one."""
    found: list[tuple[float, ClockRecord]] = []
    for folder in (SERVICE_FOLDER, Path(state_dir)):
        try:
            with (folder / FILE).open("rb") as file:
                record = msgspec.json.decode(file.read(RECORD_BYTES_MAX), type=ClockRecord)
                age_s = max(time.time() - os.fstat(file.fileno()).st_mtime, 0.0)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            continue
        if record.node == node:
            found.append((age_s, record))
    if not found:
        return None, None
    age_s, record = min(found, key=lambda each: each[0])
    return record, age_s
