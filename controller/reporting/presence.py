"""For how long each cluster was connected, as the controller saw it: the measure of availability.

Time counts only while the controller could hear clusters at all: what it did not watch is neither connected nor not.
Pure; what makes a cluster lost is decided by `controller.nodes.fleet`.

Rules kept: spans of one cluster never overlap; a span is handed on when the cluster's state changes and at the latest
every KEPT_EVERY_MS, so that a power cut of the controller loses no more than that; spans are handed on in slices, for
each is a write, and an emergency may wait behind them; a clock that is set makes no span.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice, takewhile
from typing import Final

from controller.records import PresenceSpan
from protocol.units import SharedMs

KEPT_EVERY_MS: Final = 900_000
SLICE_MAX: Final = 500
"""Spans handed on at once: 1,000 rows, about 10 ms of the database."""
SLICE_EVERY_MS: Final = 10_000
"""Between two slices, and how long clusters that come and go are gathered: a power cut in a commune is one write."""
SPAN_MS_MAX: Final = 2 * KEPT_EVERY_MS
"""A longer span is a clock that was set forward, or a process that was asleep: nobody watched."""


class Presence:
    """What is being watched, each cluster since its last span."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[SharedMs, bool]] = {}
        """Those that were handed on longest ago first."""
        self._ended: list[PresenceSpan] = []
        self._look_at_ms: SharedMs | None = None

    def begin(self, up: Iterable[str], down: Iterable[str], now_ms: SharedMs) -> None:
        """From now on clusters are watched: these are connected, these are not; of all others nothing is known."""
        self._since = {node: (now_ms, is_up) for nodes, is_up in ((up, True), (down, False)) for node in nodes}

    def changed(self, node: str, *, is_up: bool, now_ms: SharedMs) -> None:
        """A cluster came or went; counts only while clusters are watched, which the caller knows."""
        self._end(node, now_ms)
        self._since[node] = (now_ms, is_up)
        if self._look_at_ms is None:
            self._look_at_ms = SharedMs(now_ms + SLICE_EVERY_MS)

    def end(self, now_ms: SharedMs) -> list[PresenceSpan]:
        """Nobody is watched any more: what was watched until now."""
        for node in list(self._since):
            self._end(node, now_ms)
        spans, self._ended, self._look_at_ms = self._ended, [], None
        return spans

    def keep_only(self, nodes: Collection[str]) -> None:
        """Clusters that are gone from the configuration are watched no more."""
        self._since = {node: each for node, each in self._since.items() if node in nodes}

    def look(self, now_ms: SharedMs) -> list[PresenceSpan]:
        """The spans that are due, as many as fit in a slice."""
        due = self.next_at_ms
        if due is None or now_ms < due:
            return []
        oldest_first = takewhile(lambda each: now_ms - each[1][0] >= KEPT_EVERY_MS, self._since.items())
        late = [node for node, _ in islice(oldest_first, SLICE_MAX + 1)]
        for node in late[: SLICE_MAX - len(self._ended)] if len(self._ended) < SLICE_MAX else ():
            is_up = self._since[node][1]
            self._end(node, now_ms)
            self._since[node] = (now_ms, is_up)
        spans, self._ended = self._ended[:SLICE_MAX], self._ended[SLICE_MAX:]
        self._look_at_ms = SharedMs(now_ms + SLICE_EVERY_MS) if self._ended or len(late) > SLICE_MAX else None
        return spans

    @property
    def next_at_ms(self) -> SharedMs | None:
        """When spans are due."""
        if self._look_at_ms is not None:
            return self._look_at_ms
        first = next(iter(self._since.values()), None)
        return None if first is None else SharedMs(first[0] + KEPT_EVERY_MS)

    def _end(self, node: str, now_ms: SharedMs) -> None:
        since_ms, is_up = self._since.pop(node, (now_ms, False))
        if 0 < now_ms - since_ms <= SPAN_MS_MAX:
            self._ended.append(PresenceSpan(node=node, begin_ms=since_ms, end_ms=now_ms, is_up=is_up))
