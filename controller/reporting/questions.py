"""What a report asks of the store, and the rows that answer it: plain values.

Each row is a sum over the whole period that was asked for; what they mean is said in `controller.reporting.outcome`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from controller.records import EmergencyRecord
from controller.reporting.periods import Period


@dataclass(frozen=True, slots=True, kw_only=True)
class TallyQuestion:
    """Which counts: of these nodes (None is all), over this period, of one class, kind of source or both."""

    period: Period
    nodes: tuple[str, ...] | None = None
    broadcast_class: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TallyRow:
    """Items of one node, class, kind of source and reality; `counts` as `outcome.COUNTS` names them.

    `no_word` are those that were due (`controller.reporting.expected`) and of which nothing is on record.
    """

    node: str
    broadcast_class: str
    source: str
    reality: str
    counts: tuple[int, ...]
    no_word: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonRow:
    """Items that one node missed for one reason."""

    node: str
    broadcast_class: str
    source: str
    reality: str
    reason: str
    missed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    """How long a node was connected and not, and how its self-tests went."""

    node: str
    up_ms: int
    down_ms: int
    tests_passed: int
    tests_failed: int
    tests_undecided: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRow:
    """Everything real of one day or month of the period (`Period.series`)."""

    key: int
    counts: tuple[int, ...]
    no_word: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRow:
    """Streams of one station on one node; of live voices where `feed` is empty."""

    node: str
    feed: str
    reality: str
    items: int
    aired: int
    audible_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencyAnswers:
    """An emergency or drill, and those of its nodes on which it sounded."""

    record: EmergencyRecord
    sounded: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TallyAnswer:
    """Everything that a report is made of; `counted_share` is below 1 while old reports are still being counted."""

    tallies: Sequence[TallyRow]
    reasons: Sequence[ReasonRow]
    nodes: Sequence[NodeRow]
    emergencies: Sequence[EmergencyAnswers]
    lost_reports: dict[str, int]
    """Reports of a node that never came, found missing in the period."""
    counted_share: float
    times: Sequence[TimeRow] = ()
    feeds: Sequence[FeedRow] = ()


class Tallies(Protocol):
    """Where counts are asked for. Raises DatabaseError only."""

    async def answer(self, question: TallyQuestion) -> TallyAnswer:
        """The sums of a period."""
