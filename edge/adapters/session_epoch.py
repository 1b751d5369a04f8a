"""Which life of the node this is: a number that rises with each start, whatever the machine's clock says.

Births and wills carry it, and whoever reads them passes over those of an earlier life. By the clock alone a pole whose
clock chip is dead would be born before its own past (1970, the image's date) and not be believed until it spoke again.
So it is the clock's milliseconds, and more than any before it on this card; written before it is used.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Final

from protocol.adapters.durable_file import write_durably
from protocol.units import NS_PER_MS

FILE: Final = "session_epoch"
EPOCH_MAX: Final = 2**53 - 1
"""What JSON's readers can count to; a file that says more is damaged."""
_DIGITS_MAX: Final = 32


def next_session_epoch(folder: Path) -> int:
    """The epoch of a life that begins now; a card that cannot be read or written leaves it to the clock."""
    path = folder / FILE
    epoch = min(max(time.time_ns() // NS_PER_MS, _last(path) + 1), EPOCH_MAX)
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        write_durably(path, f"{epoch}\n".encode(), mode=0o644)
    return epoch


def _last(path: Path) -> int:
    """The last one that was written; 0 for none, or for what is no such number."""
    with contextlib.suppress(OSError, ValueError):
        with path.open("rb") as file:
            text = file.read(_DIGITS_MAX).decode("ascii")
        last = int(text)
        return last if 0 < last < EPOCH_MAX else 0
    return 0
