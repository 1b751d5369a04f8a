"""What a load run found, as values and as a table; the JSON is these values."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich.table import Table

from simulator.load.usage import Usage


class StreamFound(msgspec.Struct, frozen=True, kw_only=True):
    """Reception of a live stream over a window of its sequence numbers."""

    seconds: float
    packets: int
    expected: int
    received: int
    received_percent: float
    gaps: int
    late_ms_p50: float | None
    late_ms_p99: float | None
    late_ms_max: float | None
    spare_ms_min: int | None
    """Least time between an arrival and its play time; negative was too late to sound."""


class TimeFound(msgspec.Struct, frozen=True, kw_only=True):
    """Exchanges of time: each question ended as answered, refused or lost."""

    every_s: float
    asked: int
    answered: int
    refused: dict[str, int]
    lost: int
    beyond_bound: int
    """Answers that were wrong by more than half their round trip."""
    error_ms_p50: float | None
    error_ms_p99: float | None
    error_ms_max: float | None
    round_trip_ms_p50: float | None
    round_trip_ms_p99: float | None
    round_trip_ms_max: float | None


class OrdersFound(msgspec.Struct, frozen=True, kw_only=True):
    """From the press of an emergency to its reception, over all nodes and presses."""

    presses: int
    expected: int
    received: int
    answered_ms_p50: float
    received_ms_p50: float | None
    received_ms_p99: float | None
    received_ms_max: float | None


class RestartFound(msgspec.Struct, frozen=True, kw_only=True):
    """The broker was ended and started again."""

    back: int
    all_back_s: float | None
    failed_attempts: int
    late_ms_p99: float | None
    """Of the stream, from the restart until all were back, compared with the fastest message of the run."""


class LoadResult(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    nodes: int
    processes: int
    ready: int
    connect_s: float
    lost: int
    first_failure: str
    statuses_per_s: float | None = None
    known_to_controller: int | None = None
    known_s: float | None = None
    """From when the last node was ready until the controller's view held all of them as ready."""
    time: TimeFound | None = None
    stream: StreamFound | None = None
    orders: OrdersFound | None = None
    restart: RestartFound | None = None
    usage: dict[str, dict[str, Usage]] = msgspec.field(default_factory=dict)
    """By phase, then by program: CPU as a share of one core, resident memory."""

    @property
    def ok(self) -> bool:
        """Whether everybody was there at the end, or came back."""
        return self.ready == self.nodes and (self.restart is None or self.restart.all_back_s is not None)


def table_of(result: LoadResult) -> Table:
    """The run as a person reads it."""
    table = Table(title=f"{result.nodes} light nodes, TLS 1.3, a certificate each", title_justify="left")
    table.add_column("what")
    table.add_column("found", justify="right")
    for row in _rows(result):
        table.add_row(*row)
    return table


def _rows(result: LoadResult) -> Sequence[tuple[str, str]]:
    rows = [("connected", f"{result.ready} in {result.connect_s:.1f} s"), ("lost meanwhile", str(result.lost))]
    if result.known_to_controller is not None:
        took = "" if result.known_s is None else f", {result.known_s:.1f} s after the last had connected"
        rows.append(("ready in the controller's view", f"{result.known_to_controller}{took}"))
    if result.statuses_per_s is not None:
        rows.append(("statuses a second", f"{result.statuses_per_s:.0f}"))
    if (exchanged := result.time) is not None:
        rows += _time_rows(exchanged)
    if (stream := result.stream) is not None:
        rows += [
            (f"stream: received in {stream.seconds:.0f} s", f"{stream.received} of {stream.expected}"),
            ("stream: received, %", f"{stream.received_percent:.4f}"),
            (
                "stream: later than the fastest, p50 / p99 / max ms",
                _slashed(stream.late_ms_p50, stream.late_ms_p99, stream.late_ms_max),
            ),
            ("stream: least time to spare, ms", str(stream.spare_ms_min)),
        ]
    if (orders := result.orders) is not None:
        rows += [
            (f"emergency: received, {orders.presses} presses", f"{orders.received} of {orders.expected}"),
            (
                "emergency: press to received, p50 / p99 / max ms",
                _slashed(orders.received_ms_p50, orders.received_ms_p99, orders.received_ms_max),
            ),
        ]
    if (restart := result.restart) is not None:
        back = "not all" if restart.all_back_s is None else f"{restart.all_back_s:.1f} s"
        rows += [
            ("broker restart: all back", f"{back} ({restart.back}, failed attempts {restart.failed_attempts})"),
            ("broker restart: stream p99 meanwhile, ms", str(restart.late_ms_p99)),
        ]
    for phase, programs in result.usage.items():
        for program, used in programs.items():
            rows.append((f"{phase}: {program}", f"{used.cpu_percent:.0f} % of a core, {used.resident_mib:.0f} MiB"))
    return rows


def _time_rows(found: TimeFound) -> Sequence[tuple[str, str]]:
    refused = ", ".join(f"{reason} {count}" for reason, count in found.refused.items())
    errors = (found.error_ms_p50, found.error_ms_p99, found.error_ms_max)
    round_trips = (found.round_trip_ms_p50, found.round_trip_ms_p99, found.round_trip_ms_max)
    return [
        (f"time, each {found.every_s:g} s: answered and verified", f"{found.answered} of {found.asked}"),
        ("time: refused / lost / wrong beyond their bound", f"{refused or 0} / {found.lost} / {found.beyond_bound}"),
        ("time: offset error, p50 / p99 / max ms", _slashed(*errors, digits=2)),
        ("time: round trip, p50 / p99 / max ms", _slashed(*round_trips, digits=2)),
    ]


def _slashed(*values: float | None, digits: int = 0) -> str:
    return " / ".join("-" if value is None else f"{value:.{digits}f}" for value in values)
