"""The controller's database in virtual time: the semantics of `controller.adapters.database` without SQL.

A commit is durable one sync after it was begun, several together when they pile up, each answered by itself; what was
under way when the process died is lost, and what the disk refuses is answered so. `load` gives what the real one would
give. The contract suite (tests/contract/test_database_contract.py) runs on both.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from controller.adapters.commit_writer import BATCH_MAX
from controller.adapters.database import ENDED_KEPT
from controller.effects import Commit
from controller.events import CommitFailed, Committed
from controller.orders.emergency import is_standing
from controller.records import (
    Change,
    CounterUsed,
    EmergencyRecord,
    Kept,
    NodeSeen,
    PresenceSpan,
    RelayRecord,
    RelayState,
    ReportGap,
    ReportHead,
    StandingDocument,
    StoredReport,
    WithdrawnDocument,
)
from protocol.messages import AiringRecord
from simulator.world import World

RecordT = TypeVar("RecordT")

COMMIT_NS: Final = 3_000_000
"""One synchronous transaction on a server's disk."""


class SimulatedDatabase:
    """What one controller keeps; it outlives the controller's processes."""

    def __init__(self) -> None:
        self.is_failing = False
        """The disk is full, or the server is gone: every commit is refused."""
        self.watch: list[Callable[[Change], None]] = []
        """Told of every change once it is durable."""
        self.documents: dict[str, StandingDocument] = {}
        self.counters: dict[tuple[str, str], int] = {}
        self.emergencies: dict[str, EmergencyRecord] = {}
        self.relays: dict[str, RelayRecord] = {}
        self.reports: dict[tuple[str, str, int], StoredReport] = {}
        self.gaps: dict[tuple[str, str, int, int, str], ReportGap] = {}
        self.heads: dict[tuple[str, str], ReportHead] = {}
        self.nodes: dict[str, NodeSeen] = {}
        self.watched_ms: dict[tuple[str, bool], int] = {}
        """For how long each node was connected (True), or was not while the controller listened."""

    def load(self) -> Kept:
        """Everything that the desk begins with."""
        emergencies = _latest(self.emergencies.values(), lambda each: each.raised_at_ms, is_standing)
        shown = {each.id for each in emergencies}
        heads = {place: head.number for place, head in self.heads.items()}
        reports = self.reports.values()
        return Kept(
            documents=tuple(self.documents.values()),
            counters=tuple(
                CounterUsed(key_id=key_id, topic=topic, counter=counter)
                for (key_id, topic), counter in self.counters.items()
            ),
            emergencies=tuple(emergencies),
            relays=tuple(
                _latest(
                    self.relays.values(),
                    lambda each: each.starts_at_ms,
                    lambda each: each.state is not RelayState.ENDED,
                )
            ),
            heads=tuple(self.heads.values()),
            reports_beyond_heads=tuple(
                each for each in reports if each.number > heads.get((each.node, each.report_key), 0)
            ),
            emergency_reports=tuple(
                each for each in reports if isinstance(each.record, AiringRecord) and each.record.source_id in shown
            ),
            nodes=tuple(self.nodes.values()),
        )

    def commit(self, changes: Sequence[Change]) -> None:
        """Keep all of them, durably, at once."""
        for change in changes:
            self._keep(change)
            for tell in self.watch:
                tell(change)

    @property
    def airings(self) -> list[StoredReport]:
        """Every stored airing record, oldest first."""
        return [each for each in self.reports.values() if isinstance(each.record, AiringRecord)]

    def _keep(self, change: Change) -> None:
        match change:
            case NodeSeen() | PresenceSpan():  # nearly all
                self._keep_seen(change)
            case StandingDocument():
                self.documents[change.topic] = change
                self._count(change.key_id, change.topic, change.counter)
            case CounterUsed():
                self._count(change.key_id, change.topic, change.counter)
            case WithdrawnDocument(topic=topic):
                self.documents.pop(topic, None)
            case EmergencyRecord():
                self.emergencies[change.id] = change
            case RelayRecord():
                self.relays[change.stream] = change
            case StoredReport():
                self.reports.setdefault((change.node, change.report_key, change.number), change)
            case ReportGap():
                self.gaps[(change.node, change.report_key, change.first, change.last, change.kind)] = change
            case ReportHead():
                self.heads[(change.node, change.report_key)] = change

    def _keep_seen(self, change: NodeSeen | PresenceSpan) -> None:
        if isinstance(change, NodeSeen):
            self.nodes[change.node] = replace(change)
            return
        known_ms = self.watched_ms.get((change.node, change.is_up), 0)
        self.watched_ms[change.node, change.is_up] = known_ms + change.end_ms - change.begin_ms

    def _count(self, key_id: str, topic: str, counter: int) -> None:
        """A counter only rises, whatever order commits come in."""
        place = (key_id, topic)
        self.counters[place] = max(counter, self.counters.get(place, 0))


class SimulatedCommits:
    """Carries one process's commits to the database, as `controller.adapters.commit_writer` does."""

    def __init__(
        self, world: World, database: SimulatedDatabase, answer: Callable[[Committed | CommitFailed], None]
    ) -> None:
        self._world = world
        self._database = database
        self._answer = answer
        self._waiting: deque[Commit] = deque()
        self._is_busy = False
        self._is_abandoned = False

    def put(self, commit: Commit) -> None:
        """Queue a commit."""
        self._waiting.append(commit)
        if not self._is_busy:
            self._is_busy = True
            self._world.after(0, self._begin)

    def finish(self) -> None:
        """Write what still waits; for a clean end."""
        while self._waiting and not self._database.is_failing:
            self._database.commit(self._waiting.popleft().changes)
        self.abandon()

    def abandon(self) -> None:
        """The process is gone with what was under way."""
        self._is_abandoned = True
        self._waiting.clear()

    def _begin(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))]
        self._world.after(COMMIT_NS, self._done, batch)

    def _done(self, batch: list[Commit]) -> None:
        if self._is_abandoned:
            return
        for commit in batch:
            if self._database.is_failing:
                self._answer(CommitFailed(number=commit.number, reason="database or disk is full"))
            else:
                self._database.commit(commit.changes)
                self._answer(Committed(number=commit.number))
        if self._waiting:
            self._begin()
        else:
            self._is_busy = False


def _latest(
    records: Iterable[RecordT], at_ms: Callable[[RecordT], int], is_live: Callable[[RecordT], bool]
) -> list[RecordT]:
    """The newest ENDED_KEPT, newest first, and of the older ones those that have not ended."""
    newest_first = sorted(records, key=at_ms, reverse=True)
    return newest_first[:ENDED_KEPT] + [each for each in newest_first[ENDED_KEPT:] if is_live(each)]
