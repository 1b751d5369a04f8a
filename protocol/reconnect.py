"""How long to wait before connecting again, so that thousands of poles do not come back in the same second.

The first attempt after a lost connection is spread evenly over the herd window (the assignment names it, see
`herd_window_s`), because a broker's loss is felt by all at once. Each
further attempt waits by full jitter, U(0, min(60, 2 * 2^n)) s. A connection that did not last counts as a
failure, so that two clients with one name do not throw each other out forever at full speed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BASE_S: Final = 2.0
"""Bound of the first backoff."""
CEILING_S: Final = 60.0
"""Bound of any backoff: a line is known to be lost within 100 s, and is back in less than that."""
STABLE_AFTER_S: Final = 10.0
"""A connection that lasted this long was a good one."""
TOLD_AGAIN_S: Final = 600.0
"""One and the same trouble is logged again after this long: a night without a broker is some fifty lines, not
ten thousand that hide what else happened, and wear a card."""
_DOUBLINGS_MAX: Final = 16
RETURNS_PER_S: Final = 100
"""What one broker core takes beside a live stream."""
HERD_WINDOW_S_MIN: Final = 5
HERD_WINDOW_S_MAX: Final = 50
"""Whoever waits for a whole cell to come back waits for less than a minute."""


class Told:
    """What was logged last of one connection, and when."""

    def __init__(self) -> None:
        self._text: str | None = None
        self._at_s = 0.0

    def is_due(self, text: str, *, now_s: float) -> bool:
        """Whether to log this: what is new at once, the same as last time only now and then."""
        if text == self._text and now_s - self._at_s < TOLD_AGAIN_S:
            return False
        self._text, self._at_s = text, now_s
        return True

    def forget(self) -> None:
        """The connection stands again: its next trouble is a new one."""
        self._text = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """What is remembered between attempts: how many in a row failed."""

    failures: int = 0

    def after_failure(self, uniform: float, *, ceiling_s: float = CEILING_S) -> tuple[Backoff, float]:
        """The next state and the wait in seconds after an attempt that failed; `uniform` is drawn from [0, 1)."""
        bound_s = min(ceiling_s, BASE_S * 2 ** min(self.failures, _DOUBLINGS_MAX))
        return Backoff(failures=self.failures + 1), uniform * bound_s

    def after_loss(
        self, uniform: float, *, lasted_s: float, herd_window_s: float, ceiling_s: float = CEILING_S
    ) -> tuple[Backoff, float]:
        """The next state and the wait in seconds after a connection that lasted `lasted_s` was lost."""
        if lasted_s < STABLE_AFTER_S and self.failures > 0:
            return self.after_failure(uniform, ceiling_s=ceiling_s)
        failures = 1 if lasted_s < STABLE_AFTER_S else 0
        return Backoff(failures=failures), uniform * herd_window_s


def herd_window_s(node_count: int) -> int:
    """Over how long a fleet of one broker spreads its first return, in seconds.

    A handshake takes 1.5 ms of the broker's one core and a live stream to 4,000 nodes 0.6 of it: at 300 returns a
    second the stream's p99 rose to 2.5 s, at 100 it stayed at 55 ms (docs/simulator.md, "Load").
    """
    return max(HERD_WINDOW_S_MIN, min(HERD_WINDOW_S_MAX, node_count // RETURNS_PER_S))
