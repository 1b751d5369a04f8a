"""What must be durable before it is said.

A room hands in changes and what to do once they are kept; the ledger numbers the commit and gives the rest
when the database has answered. Commits are answered in order. The number of commits under way is bounded: past the
bound, new work is refused rather than piled up, for a database that does not answer will not answer more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from controller.effects import Commit, Effect, Level, Note
from controller.records import Change
from protocol.units import Now

COMMITS_UNDER_WAY_MAX: Final = 20_000
"""Bound of commits not yet answered: four reports of each of 5,000 nodes."""

Continue = Callable[[Now], Sequence[Effect]]
Excuse = Callable[[str, Now], Sequence[Effect]]


@dataclass(frozen=True, slots=True)
class _Waiting:
    then: Continue
    otherwise: Excuse


class Ledger:
    """Numbers commits and remembers what waits for each."""

    def __init__(self) -> None:
        self._waiting: dict[int, _Waiting] = {}
        self._number = 0

    @property
    def is_full(self) -> bool:
        """Whether too much waits for the database already."""
        return len(self._waiting) >= COMMITS_UNDER_WAY_MAX

    def commit(
        self, changes: Sequence[Change], *, then: Continue = lambda _: (), otherwise: Excuse | None = None
    ) -> list[Effect]:
        """Keep changes, then do the rest; `otherwise` hears the reason when they could not be kept."""
        self._number += 1
        self._waiting[self._number] = _Waiting(then, otherwise or _complain)
        return [Commit(number=self._number, changes=tuple(changes))]

    def committed(self, number: int, now: Now) -> Sequence[Effect]:
        """What waited for a commit."""
        waiting = self._waiting.pop(number, None)
        return waiting.then(now) if waiting else ()

    def failed(self, number: int, reason: str, now: Now) -> Sequence[Effect]:
        """What to do instead."""
        waiting = self._waiting.pop(number, None)
        return waiting.otherwise(reason, now) if waiting else ()


def _complain(reason: str, _now: Now) -> Sequence[Effect]:
    return [Note(level=Level.ERROR, what="not_stored", reason=reason)]
