"""One line that tells a person at a terminal how far many runs are; nothing at all where nobody looks.

Runs differ a hundredfold in what they cost, so the time that is left is told from their stated cost and not from their
number. Findings and summaries are the caller's.
"""

from __future__ import annotations

import time
from typing import Final, TextIO

AGAIN_S: Final = 0.5
"""How often the line changes at most."""
_CLEAR: Final = "\r\x1b[K"


class Progress:
    """`runs` are to be made, which together cost `cost`, in any unit."""

    def __init__(self, runs: int, cost: int, *, to: TextIO) -> None:
        self._runs = runs
        self._cost = cost
        self._to = to
        self._is_watched = to.isatty()
        self._done = 0
        self._done_cost = 0
        self._bad = 0
        self._began_s = time.monotonic()
        self._told_s = 0.0

    def show(self, *, cost: int, is_good: bool) -> None:
        """One more run is over."""
        self._done += 1
        self._done_cost += cost
        self._bad += not is_good
        now_s = time.monotonic()
        if self._is_watched and now_s - self._told_s >= AGAIN_S:
            self._told_s = now_s
            left_s = (now_s - self._began_s) * (self._cost - self._done_cost) / max(1, self._done_cost)
            self._write(f"{_CLEAR}{self._done} of {self._runs} runs, {self._bad} with findings, {_clock(left_s)} left")

    def end(self) -> None:
        """The line has done its duty."""
        if self._is_watched and self._told_s:
            self._write(_CLEAR)

    def _write(self, text: str) -> None:
        self._to.write(text)
        self._to.flush()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
