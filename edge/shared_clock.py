"""Which clock a node goes by, and how it gets from one to the other; pure.

Two sources state how wrong they can be: the exchange with the controller (`edge.time_exchange`), and this machine's
system clock, which chrony, systemd-timesyncd or GNSS keeps and the kernel judges. Shared time *is* the controller's
clock, so the exchange comes first, as long as it states less than USABLE_NS; beyond that whichever states less, and the
one in use stays until the other states half as much.

Rules kept: a small change is slewed, so that shared time never goes back while something sounds; a large one, or in
silence, is a step. A source that disagrees by an hour or more with a trusted clock is refused and shown.
Without a source time is UNKNOWN. With the connection gone the last estimate goes on, less sure each hour.
What signs the replies is trusted: whoever holds that key sets the clock of a node that has no other.

Threads: `refresh` in one thread, after each burst and at least each REFRESH_S; `read` in any, for it only reads one
frozen value. Kept elsewhere: reading the clocks (the adapter).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from protocol.clock_filter import ClockFilter, Track
from protocol.units import NS_PER_MS, NS_PER_S, MonotonicNs, Now, SharedNs, TimeSource

USABLE_NS: Final = 50 * NS_PER_MS
"""From here on two voices are an echo."""
HYSTERESIS: Final = 2
SLEW_PPB: Final = 300_000
"""With a crystal's 50 ppm still below the 500 ppm at which a player corrects at most."""
SLEWED_NS_MAX: Final = 30 * NS_PER_MS
"""More would take minutes; a player that is off by more begins anew anyway."""
DISAGREEMENT_NS_MAX: Final = 3_600 * NS_PER_S
"""No drift and no queue makes an hour."""
REFRESH_S: Final = 16.0
"""How often the clocks must be compared."""
_PARTS: Final = 1_000_000_000


class SourceChoice(StrEnum):
    """`clock.source` of the configuration."""

    AUTO = "auto"
    SYSTEM = "system"
    EXCHANGE = "exchange"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """All clocks of the machine at one instant.

    `raw_ns` is CLOCK_MONOTONIC_RAW; `system` has CLOCK_MONOTONIC and the system clock with the stated error, and
    is UNKNOWN while nothing keeps it (`edge.adapters.trusted_clock`).
    """

    raw_ns: MonotonicNs
    system: Now


class Change(StrEnum):
    """What `refresh` did."""

    NONE = "none"
    SLEWED = "slewed"
    STEPPED = "stepped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockStatus:
    """For telemetry and a person: what is used, how it moved last, and whether the exchange is refused."""

    source: TimeSource = TimeSource.UNKNOWN
    change: Change = Change.NONE
    moved_ns: int = 0
    is_exchange_refused: bool = False
    disagreement_ns: int | None = None
    """The exchange's time minus the system clock's, when both are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """Shared time as a function of a reading; what is still to be slewed is taken off step by step."""

    source: TimeSource = TimeSource.UNKNOWN
    track: Track | None = None
    from_raw_ns: int = 0
    slew_ns: int = 0
    """Added at `from_raw_ns`; fades at SLEW_PPB."""

    def target_ns(self, reading: ClockReading) -> tuple[int, int]:
        """Shared time by the source itself, and how wrong that is."""
        if self.track is None:
            return reading.system.shared_ns, reading.system.error_ns
        estimate = self.track.estimate(reading.raw_ns)
        return reading.raw_ns + estimate.offset_ns, estimate.error_ns

    def left_ns(self, raw_ns: int) -> int:
        """What has not been slewed yet."""
        done_ns = max(raw_ns - self.from_raw_ns, 0) * SLEW_PPB // _PARTS
        return max(self.slew_ns - done_ns, 0) if self.slew_ns > 0 else min(self.slew_ns + done_ns, 0)


class SharedClock:
    """One node's. Without `clock_filter` there is the system clock only."""

    def __init__(self, *, choice: SourceChoice, clock_filter: ClockFilter | None) -> None:
        self._choice = choice
        self._filter = clock_filter
        self._line = _Line()
        self.status = ClockStatus()

    def read(self, reading: ClockReading) -> Now:
        """Both clocks by the source in use; any thread."""
        line = self._line
        if line.source is TimeSource.UNKNOWN:
            return Now(
                monotonic_ns=reading.system.monotonic_ns,
                shared_ns=reading.system.shared_ns,
                error_ns=reading.system.error_ns,
                source=TimeSource.UNKNOWN,
            )
        shared_ns, error_ns = line.target_ns(reading)
        left_ns = line.left_ns(reading.raw_ns)
        return Now(
            monotonic_ns=reading.system.monotonic_ns,
            shared_ns=SharedNs(shared_ns + left_ns),
            error_ns=error_ns + abs(left_ns),
            source=line.source,
        )

    def refresh(self, reading: ClockReading, *, is_sounding: bool) -> ClockStatus:
        """Compare the sources, choose one, and begin to follow what it says now."""
        track = None if self._filter is None or self._choice is SourceChoice.SYSTEM else self._filter.track
        disagreement_ns = self._disagreement_ns(reading, track)
        is_refused = (
            self._choice is SourceChoice.AUTO
            and disagreement_ns is not None
            and abs(disagreement_ns) >= DISAGREEMENT_NS_MAX
        )
        source = self._chosen(reading, None if is_refused else track)
        line = _Line(source=source, track=track if source is TimeSource.EXCHANGE else None, from_raw_ns=reading.raw_ns)
        before = self._line
        change, moved_ns = Change.NONE, 0
        if before.source is not TimeSource.UNKNOWN and source is not TimeSource.UNKNOWN:
            was_ns = before.target_ns(reading)[0] + before.left_ns(reading.raw_ns)
            moved_ns = line.target_ns(reading)[0] - was_ns
            if moved_ns and is_sounding and abs(moved_ns) <= SLEWED_NS_MAX:
                change = Change.SLEWED
                line = _Line(source=source, track=line.track, from_raw_ns=reading.raw_ns, slew_ns=-moved_ns)
            elif moved_ns:
                change = Change.STEPPED
        self._line = line
        self.status = ClockStatus(
            source=source,
            change=change,
            moved_ns=moved_ns,
            is_exchange_refused=is_refused,
            disagreement_ns=disagreement_ns,
        )
        return self.status

    def _chosen(self, reading: ClockReading, track: Track | None) -> TimeSource:
        has_system = reading.system.is_time_known and self._choice is not SourceChoice.EXCHANGE
        if track is None:
            return TimeSource.SYSTEM if has_system else TimeSource.UNKNOWN
        if not has_system:
            return TimeSource.EXCHANGE
        exchange_ns, system_ns = track.estimate(reading.raw_ns).error_ns, reading.system.error_ns
        if exchange_ns <= USABLE_NS:
            return TimeSource.EXCHANGE
        if self._line.source is TimeSource.EXCHANGE:
            return TimeSource.SYSTEM if system_ns * HYSTERESIS <= exchange_ns else TimeSource.EXCHANGE
        return TimeSource.EXCHANGE if exchange_ns * HYSTERESIS <= system_ns else TimeSource.SYSTEM

    def _disagreement_ns(self, reading: ClockReading, track: Track | None) -> int | None:
        if track is None or not reading.system.is_time_known:
            return None
        return reading.raw_ns + track.estimate(reading.raw_ns).offset_ns - reading.system.shared_ns
