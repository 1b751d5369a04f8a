"""Waiting for a condition, with a bound. No test sleeps and hopes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

_STEP_S = 0.01
PATIENCE = 4
"""What a machine may be slower that runs other tests before these; it delays only a test that fails."""


async def until(condition: Callable[[], object], *, seconds: float = 5.0, what: str = "") -> None:
    """Return as soon as the condition holds; fails with `what` after PATIENCE x `seconds`. The loop runs meanwhile."""
    deadline_s = time.monotonic() + PATIENCE * seconds
    while not condition():
        if time.monotonic() > deadline_s:
            raise AssertionError(f"still not true after {PATIENCE * seconds} s: {what or condition}")
        await asyncio.sleep(_STEP_S)


def until_blocking(condition: Callable[[], object], *, seconds: float = 5.0, what: str = "") -> None:
    """As `until`, for tests without a loop."""
    deadline_s = time.monotonic() + PATIENCE * seconds
    while not condition():
        if time.monotonic() > deadline_s:
            raise AssertionError(f"still not true after {PATIENCE * seconds} s: {what or condition}")
        time.sleep(_STEP_S)
