"""Garbage collection as a simulation wants it: rarely.

A province of a thousand poles is half a gigabyte of objects that stay for the whole run and hardly any cycles; Python's
usual thresholds look through all of it again and again, for seven to thirteen parts of a hundred of a run's time.
"""

from __future__ import annotations

import gc
from typing import Final

YOUNG: Final = 50_000
"""New objects before the youngest are looked at; a few megabytes."""
MIDDLE: Final = 50
OLD: Final = 1_000


def collect_rarely() -> None:
    """For this process, from now on: one that ends after one run, for what a province leaves behind is cycles."""
    gc.set_threshold(YOUNG, MIDDLE, OLD)
