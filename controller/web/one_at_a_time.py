"""What takes the processor for seconds is done one after another, and nobody has all the turns.

A report, a dry run, a text that is spoken, a calendar: each is made beside the loop, yet shares the processor with
everything live. Rules kept: one at a time; of one caller and of all together only so many wait, the next is told to
come again. Leaves to the rooms what the work is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Final

from controller.errors import RequestCode, RequestError

OF_ONE_MAX: Final = 4
"""Of one caller, the one that is being made included: a page and its files."""
OF_ALL_MAX: Final = 32


class OneAtATime:
    """One queue of heavy work."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._held: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def turn(self, who: str) -> AsyncIterator[None]:
        """Wait for it; raises RequestError where too many wait."""
        if self._held[who] >= OF_ONE_MAX or self._held.total() >= OF_ALL_MAX:
            what = f"đang bận, hãy thử lại sau / {self._held.total()} such requests wait, {self._held[who]} of yours"
            raise RequestError(RequestCode.TOO_MANY, f"{what}; try again in a minute")
        self._held[who] += 1
        try:
            async with self._lock:
                yield
        finally:
            self._held[who] -= 1
            if not self._held[who]:
                del self._held[who]
