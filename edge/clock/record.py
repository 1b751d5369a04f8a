"""How a node's clock stands, as a running node writes it down for `loaxa-edge show`; pure.

A file of one line of JSON in the memory of the machine (`adapters.clock_file`), not on its card: it is written after
each burst of answers. What it says was true when it was written; whoever reads it says how old it is.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from protocol.units import TimeSource

RECORD_BYTES_MAX: Final = 4 * 1024
"""A record takes 500 bytes."""


class ClockRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One state of the clock. `system_is_behind_ms`: shared time minus the machine's clock. None is: not known.

    At `monotonic_ns` of CLOCK_MONOTONIC shared time was `shared_ns`.
    """

    node: str
    monotonic_ns: int
    shared_ns: int
    source: TimeSource
    error_ms: float | None
    system_error_ms: float | None
    system_is_behind_ms: float | None
    is_asked: bool
    is_connected: bool
    is_refused: bool
    asked: int
    answered: int
    answer_age_s: float | None
    round_trip_ms: float | None
    exchange_error_ms: float | None
    drift_ppm: float | None
    verdict: str | None
    refused: dict[str, int]


def clock_lines(record: ClockRecord | None, *, age_s: float | None) -> list[str]:
    """The record in words; `age_s` is how long ago it was written."""
    if record is None or age_s is None:
        return ["clock: đồng hồ · no running node has written how its clock stands"]
    source = {
        TimeSource.EXCHANGE: "bộ điều khiển · the controller",
        TimeSource.SYSTEM: "đồng hồ máy · this machine's clock",
        TimeSource.UNKNOWN: "chưa biết · nobody: only emergencies sound",
    }[record.source]
    error = "" if record.error_ms is None else f", wrong by {record.error_ms:.2f} ms at most"
    behind = ""
    if record.system_is_behind_ms is not None:
        behind = f"; this machine's clock is {record.system_is_behind_ms:+.1f} ms from it"
    lines = [f"clock: giờ từ · the time comes from {source}{error}{behind} ({age_s:.0f} s ago)"]
    if record.is_asked:
        lines.append(f"  {_exchange_words(record, age_s)}")
    if record.is_refused:
        lines.append(
            "  REFUSED: giờ bộ điều khiển lệch quá xa · the controller's time is an hour or more from this clock"
        )
    if record.refused:
        counts = ", ".join(f"{reason} {count}" for reason, count in sorted(record.refused.items()))
        lines.append(f"  answers refused: {counts}")
    return lines


def _exchange_words(record: ClockRecord, age_s: float) -> str:
    connection = "connected" if record.is_connected else "not connected"
    if record.answer_age_s is None:
        return f"exchange: {connection}, {record.asked} asked, no good answer yet"
    parts = [f"last answer {record.answer_age_s + age_s:.0f} s ago", f"{record.answered} of {record.asked} answered"]
    if record.round_trip_ms is not None:
        parts.append(f"quickest round trip {record.round_trip_ms:.2f} ms")
    if record.exchange_error_ms is not None:
        parts.append(f"error {record.exchange_error_ms:.2f} ms")
    if record.drift_ppm is not None:
        parts.append(f"crystal {record.drift_ppm:+.2f} ppm")
    if record.verdict is not None:
        parts.append(f"last burst {record.verdict}")
    return f"exchange: {connection}, " + ", ".join(parts)
