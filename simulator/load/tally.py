"""What a crowd has counted: connections, audio by sequence number, lateness by second, orders by arrival.

Plain numbers, so that several processes' tallies add up. Audio is counted by (stream, epoch, sequence): what was
missed in any window can be told afterwards, and a node that was away has missed what was sent meanwhile. Lateness is
kept as `margin`, play time minus arrival, in whole milliseconds by second of arrival; how late a message is compared
with the fastest one is `margin_max - margin`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from simulator.load.time_exchange import TimeTally

MARGIN_MS_MAX: Final = 32_000
"""Margins beyond this either way are counted at the bound: a stream is given up long before."""
_MARGIN_SPAN: Final = 65_536
_SEQUENCE_BYTES: Final = 4


@dataclass(slots=True, kw_only=True)
class Order:
    """One emergency document as received: its bytes, and when (shared nanoseconds) it first reached each node."""

    topic: str
    payload: bytes
    arrivals_ns: list[int] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Tally:
    """The counts of one crowd until now."""

    nodes: int = 0
    ready: int = 0
    clocks: int = 0
    """Second connections, for the time, that stand."""
    connections: int = 0
    lost: int = 0
    failed: int = 0
    first_failure: str = ""
    messages: int = 0
    message_bytes: int = 0
    statuses: int = 0
    gaps: int = 0
    """Jumps in the sequence numbers of one connection."""
    missing: int = 0
    """Packets that these jumps left out."""
    audio: Counter[bytes] = field(default_factory=Counter)
    """Receptions by stream, epoch and sequence (16 bytes, as in the packet's header)."""
    margins: Counter[int] = field(default_factory=Counter)
    """Receptions by second of arrival and margin; see `margin_key`."""
    orders: dict[int, Order] = field(default_factory=dict)
    returned_at_s: list[float] = field(default_factory=list)
    """When each node was ready again after a loss (Unix time)."""
    time: TimeTally = field(default_factory=TimeTally)
    """The exchanges of time since asking began."""

    def add(self, other: Tally) -> None:
        """Add another crowd's counts."""
        for name in ("nodes", "ready", "clocks", "connections", "lost", "failed", "messages", "message_bytes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.statuses += other.statuses
        self.gaps += other.gaps
        self.missing += other.missing
        self.first_failure = self.first_failure or other.first_failure
        self.audio.update(other.audio)
        self.margins.update(other.margins)
        self.returned_at_s += other.returned_at_s
        self.time.add(other.time)
        for order in other.orders.values():
            key = hash(order.payload)
            known = self.orders.setdefault(key, Order(topic=order.topic, payload=order.payload))
            known.arrivals_ns += order.arrivals_ns

    @property
    def newest_sequence(self) -> tuple[bytes, int] | None:
        """Stream and epoch (12 bytes) and the highest sequence of the audio that came last."""
        if not self.audio:
            return None
        newest = next(reversed(self.audio))
        of = newest[:-_SEQUENCE_BYTES]
        return of, max(int.from_bytes(key[-_SEQUENCE_BYTES:]) for key in self.audio if key.startswith(of))

    def received(self, of: bytes, after: int, until: int) -> int:
        """Receptions of one epoch's packets with a sequence in (after, until]."""
        return sum(self.audio[of + number.to_bytes(_SEQUENCE_BYTES)] for number in range(after + 1, until + 1))


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum of several crowds."""
    whole = Tally()
    for tally in tallies:
        whole.add(tally)
    return whole


def margin_key(arrived_s: int, margin_ms: int) -> int:
    """How a reception is counted in `margins`."""
    bounded = max(-MARGIN_MS_MAX, min(MARGIN_MS_MAX, margin_ms))
    return arrived_s * _MARGIN_SPAN + bounded + MARGIN_MS_MAX


def margins_between(margins: Counter[int], begin_s: float, end_s: float) -> Counter[int]:
    """Receptions by margin (ms) of the whole seconds of an interval."""
    found: Counter[int] = Counter()
    for key, count in margins.items():
        second, margin = divmod(key, _MARGIN_SPAN)
        if begin_s <= second < end_s:
            found[margin - MARGIN_MS_MAX] += count
    return found


def late_ms(margins: Counter[int], share: float, *, fastest_ms: int) -> float | None:
    """How much later than the fastest message at most came `share` of them; None when none came."""
    wanted = share * margins.total()
    seen = 0
    for margin in sorted(margins, reverse=True):
        seen += margins[margin]
        if seen >= wanted:
            return float(fastest_ms - margin)
    return None
