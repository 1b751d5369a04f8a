"""Which clock a node goes by, and how it gets from one to the other; pure.

Two sources state how wrong they can be: the exchange with the controller (`edge.clock.time_exchange`), and this
machine's system clock, which chrony, systemd-timesyncd or GNSS keeps and the kernel judges. Shared time *is* the
controller's clock, and neighbours on like ways share what the ways do to it; so the exchange is followed while it
states less than USABLE_NS, however well the system clock knows another time. Beyond that, whichever states half of the
other's error.

Rules kept: while something sounds a small change is slewed, so that shared time never goes back; a large one, or one in
silence, is a step. If the two are an hour or more apart, the one that left where both once were is not believed, and at
first contact the exchange is not; that is shown. Without a source time is UNKNOWN. With the connection gone the last
estimate goes on, less sure each hour. A broker that delays one way shifts time by half of that delay, and no more than
is stated; whoever holds a key that signs replies sets the clock of a node that has no other.

Threads: `refresh` in one thread, after each burst and at least each REFRESH_S; `read` in any, for it only reads one
frozen value. Kept elsewhere: reading the clocks (the adapter).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from msgspec import Struct

from protocol.clock_filter import ClockFilter, Track
from protocol.units import NS_PER_MS, NS_PER_S, MonotonicNs, Now, SharedNs, TimeSource

USABLE_NS: Final = 50 * NS_PER_MS
"""From here on two voices are an echo."""
REGAINED_NS: Final = 40 * NS_PER_MS
"""What the exchange must state to be followed again after the system clock was."""
HYSTERESIS: Final = 2
SLEW_PPB: Final = 300_000
"""With a crystal's 50 ppm still below the 500 ppm at which a player corrects at most."""
SLEWED_NS_MAX: Final = 30 * NS_PER_MS
"""More would take minutes; a player that is off by more begins anew anyway."""
DISAGREEMENT_NS_MAX: Final = 3_600 * NS_PER_S
"""No drift and no queue makes an hour."""
REFRESH_S: Final = 16.0
"""How often the clocks must be compared."""


class SourceChoice(StrEnum):
    """`clock.source` of the configuration."""

    AUTO = "auto"
    SYSTEM = "system"
    EXCHANGE = "exchange"


class ClockReading(Struct, frozen=True, kw_only=True, gc=False):
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
    """For telemetry and a person: what is used, how it moved last, what is refused."""

    source: TimeSource = TimeSource.UNKNOWN
    change: Change = Change.NONE
    moved_ns: int = 0
    suspect: TimeSource | None = None
    """The source that is refused because it is an hour or more away from the other."""
    disagreement_ns: int | None = None
    """The exchange's time minus the system clock's, when both are known."""

    @property
    def is_exchange_refused(self) -> bool:
        """Whether the controller's time is known, and not believed."""
        return self.suspect is TimeSource.EXCHANGE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """Shared time as a function of a reading; what is still to be slewed is taken off step by step."""

    source: TimeSource = TimeSource.UNKNOWN
    track: Track | None = None
    from_raw_ns: int = 0
    slew_ns: int = 0
    """Added at `from_raw_ns`; fades at SLEW_PPB."""

    def read(self, reading: ClockReading) -> tuple[int, int]:
        """Shared time, and how wrong it can be."""
        left_ns = self._left_ns(reading.raw_ns)
        if self.track is None:
            return reading.system.shared_ns + left_ns, reading.system.error_ns + abs(left_ns)
        estimate = self.track.estimate(reading.raw_ns)
        return reading.raw_ns + estimate.offset_ns + left_ns, estimate.error_ns + abs(left_ns)

    def _left_ns(self, raw_ns: int) -> int:
        """What has not been slewed yet."""
        done_ns = max(raw_ns - self.from_raw_ns, 0) * SLEW_PPB // NS_PER_S
        return max(self.slew_ns - done_ns, 0) if self.slew_ns > 0 else min(self.slew_ns + done_ns, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offsets:
    """Both clocks minus the raw monotonic clock, at one instant."""

    system_ns: int
    exchange_ns: int


class SharedClock:
    """One node's. Without `clock_filter` there is the system clock only."""

    def __init__(self, *, choice: SourceChoice, clock_filter: ClockFilter | None) -> None:
        self._choice = choice
        self._filter = None if choice is SourceChoice.SYSTEM else clock_filter
        self._line = _Line()
        self._agreed: _Offsets | None = None
        """Both clocks as they last agreed: if they do not now, this tells which of them was set."""
        self.status = ClockStatus()

    def read(self, reading: ClockReading) -> Now:
        """Both clocks by the source in use; any thread."""
        line = self._line
        shared_ns, error_ns = line.read(reading)
        return Now(
            monotonic_ns=reading.system.monotonic_ns,
            shared_ns=SharedNs(shared_ns),
            error_ns=error_ns,
            source=line.source,
        )

    def refresh(self, reading: ClockReading, *, is_sounding: bool) -> ClockStatus:
        """Compare the sources, choose one, and follow from now on what it says; the new `status`."""
        track = None if self._filter is None else self._filter.track
        disagreement_ns = _disagreement_ns(reading, track)
        suspect = self._suspect(reading, disagreement_ns)
        source = self._chosen(reading, None if suspect is TimeSource.EXCHANGE else track, suspect)
        followed = track if source is TimeSource.EXCHANGE else None
        change, moved_ns = self._follow(source, followed, reading, is_sounding=is_sounding)
        self.status = ClockStatus(
            source=source, change=change, moved_ns=moved_ns, suspect=suspect, disagreement_ns=disagreement_ns
        )
        return self.status

    def _follow(
        self, source: TimeSource, track: Track | None, reading: ClockReading, *, is_sounding: bool
    ) -> tuple[Change, int]:
        """Change over to a source or to its newest word; what changed and by how much."""
        before = self._line
        after = _Line(source=source, track=track, from_raw_ns=reading.raw_ns)
        if TimeSource.UNKNOWN in (before.source, source):
            self._line = after
            return Change.NONE if before.source is source else Change.STEPPED, 0
        moved_ns = after.read(reading)[0] - before.read(reading)[0]
        if is_sounding and abs(moved_ns) <= SLEWED_NS_MAX:
            self._line = _Line(source=source, track=track, from_raw_ns=reading.raw_ns, slew_ns=-moved_ns)
            return Change.SLEWED if moved_ns else Change.NONE, moved_ns
        self._line = after
        return Change.STEPPED if moved_ns else Change.NONE, moved_ns

    def _chosen(self, reading: ClockReading, track: Track | None, suspect: TimeSource | None) -> TimeSource:
        has_system = reading.system.is_time_known and self._choice is not SourceChoice.EXCHANGE
        if track is None:
            return TimeSource.SYSTEM if has_system else TimeSource.UNKNOWN
        if not has_system or suspect is TimeSource.SYSTEM:
            return TimeSource.EXCHANGE
        exchange_ns, system_ns = track.estimate(reading.raw_ns).error_ns, reading.system.error_ns
        if self._line.source is TimeSource.SYSTEM:
            is_better = exchange_ns <= REGAINED_NS or exchange_ns * HYSTERESIS <= system_ns
        else:
            is_better = exchange_ns <= USABLE_NS or exchange_ns <= system_ns * HYSTERESIS
        return TimeSource.EXCHANGE if is_better else TimeSource.SYSTEM

    def _suspect(self, reading: ClockReading, disagreement_ns: int | None) -> TimeSource | None:
        """Which of the two not to believe: the one that left where both once were; at first, what comes by mail."""
        if disagreement_ns is None:
            return None
        system_ns = reading.system.shared_ns - reading.raw_ns
        now = _Offsets(system_ns=system_ns, exchange_ns=system_ns + disagreement_ns)
        if abs(disagreement_ns) < DISAGREEMENT_NS_MAX:
            self._agreed = now
            return None
        if self._choice is not SourceChoice.AUTO:
            return None
        if self._agreed is not None:
            has_system_moved = abs(now.system_ns - self._agreed.system_ns) >= DISAGREEMENT_NS_MAX // 2
            has_exchange_moved = abs(now.exchange_ns - self._agreed.exchange_ns) >= DISAGREEMENT_NS_MAX // 2
            if has_system_moved and not has_exchange_moved:
                return TimeSource.SYSTEM
        return TimeSource.EXCHANGE


def _disagreement_ns(reading: ClockReading, track: Track | None) -> int | None:
    """The exchange's time minus the system clock's, None if either is not known."""
    if track is None or not reading.system.is_time_known:
        return None
    return reading.raw_ns + track.estimate(reading.raw_ns).offset_ns - reading.system.shared_ns
