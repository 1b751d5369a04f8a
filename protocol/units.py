"""Units and clock domains, as types that mypy refuses to mix.

Three clocks exist. *Shared* time is the controller's Unix time, the one that plans and packets name.
*Monotonic* time is a machine's own, never set and never going back; deadlines live on it. A *shared
sample* is shared time counted in samples at 48 kHz: the grid on which every pole places every sound, so
that all of them play the same sample at the same instant without adding up rounded microseconds.
"""

from __future__ import annotations

import enum
from typing import Final, NewType

from msgspec import Struct

SharedNs = NewType("SharedNs", int)
SharedMs = NewType("SharedMs", int)
MonotonicNs = NewType("MonotonicNs", int)
SharedSample = NewType("SharedSample", int)

SAMPLE_RATE_HZ: Final = 48_000
FRAME_SAMPLES: Final = 960
"""One Opus frame of 20 ms (RFC 6716) at 48 kHz."""
FRAME_MS: Final = 20
NS_PER_US: Final = 1_000
NS_PER_MS: Final = 1_000_000
US_PER_MS: Final = 1_000
NS_PER_S: Final = 1_000_000_000
SAMPLES_PER_MS: Final = 48


class TimeSource(enum.StrEnum):
    """Who told a machine the shared time."""

    SYSTEM = "system"
    EXCHANGE = "exchange"
    """Asked of the controller over the broker (`protocol.clock_sync`)."""
    UNKNOWN = "unknown"


class Now(Struct, frozen=True, kw_only=True, gc=False):
    """One reading of both clocks.

    `shared_ns` is meaningful only while `source` is not UNKNOWN; `error_ns` bounds its error then.
    """

    monotonic_ns: MonotonicNs
    shared_ns: SharedNs
    error_ns: int = 0
    source: TimeSource = TimeSource.SYSTEM

    @property
    def shared_ms(self) -> SharedMs:
        """Shared time in whole milliseconds, rounded down."""
        return SharedMs(self.shared_ns // NS_PER_MS)

    @property
    def is_time_known(self) -> bool:
        """Whether shared time may be used to decide what is due."""
        return self.source is not TimeSource.UNKNOWN

    def monotonic_at(self, shared_ns: SharedNs) -> MonotonicNs:
        """The monotonic instant at which shared time will read `shared_ns`, as known now."""
        return MonotonicNs(self.monotonic_ns + shared_ns - self.shared_ns)

    def shared_at(self, monotonic_ns: MonotonicNs) -> SharedNs:
        """What shared time reads at a monotonic instant, as known now."""
        return SharedNs(self.shared_ns + monotonic_ns - self.monotonic_ns)


def sample_of_shared_ns(shared_ns: SharedNs) -> SharedSample:
    """The grid sample that is sounding at `shared_ns` (exact: 48 samples a millisecond)."""
    return SharedSample(shared_ns * SAMPLES_PER_MS // NS_PER_MS)


def shared_ns_of_sample(sample: SharedSample) -> SharedNs:
    """The instant at which a grid sample begins, rounded up so that the round trip is exact."""
    return SharedNs(-(-sample * NS_PER_MS // SAMPLES_PER_MS))


def sample_of_shared_ms(shared_ms: SharedMs) -> SharedSample:
    """The grid sample that begins at `shared_ms`."""
    return SharedSample(shared_ms * SAMPLES_PER_MS)


def ns_of_ms(shared_ms: SharedMs) -> SharedNs:
    """Shared milliseconds as shared nanoseconds."""
    return SharedNs(shared_ms * NS_PER_MS)
