"""Reads both clocks of this machine, and how far the kernel believes its own.

Shared time is the system clock, which NTP keeps; the kernel's `adjtimex` says its largest possible error. A
clock that reads earlier than this program was made (a Raspberry Pi has no battery) is UNKNOWN: nothing may be
decided by it. A clock that nobody disciplines is used all the same, with the large error that the kernel gives
it (16 s), for a commune without NTP must still hear its plan; telemetry shows it.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from protocol.units import NS_PER_S, NS_PER_US, MonotonicNs, Now, SharedNs, TimeSource

BUILT_AT_SHARED_NS: Final = 1_767_225_600 * NS_PER_S
"""2026-01-01: no release is older, so no true clock reads earlier."""
UNDISCIPLINED_ERROR_NS: Final = 16 * NS_PER_S
"""What the kernel says of a clock that nothing disciplines (NTP_PHASE_LIMIT, linux/timex.h)."""
PAIR_NS_MAX: Final = 50_000
"""The two clocks are read again if the thread was interrupted for longer between them."""
RAW_PAIR_NS_MAX: Final = 2_000
"""The same for the two monotonic clocks, whose difference a node's time is made of: three readings take 0.3 µs."""
_PAIR_ATTEMPTS: Final = 4
KEPT_NS: Final = NS_PER_S
"""For how long the kernel's word holds: it counts its error on once a second, by 0.5 ms, and `read_now` is called a
hundred times in one; a tenth of what a playing node took of its processor was this question."""
GROWTH_NS: Final = 500_000
"""By how much the kernel's error may have grown since (MAXFREQ, linux/timex.h, for KEPT_NS)."""
_STATUS_UNSYNCHRONISED: Final = 0x0040
_STATE_ERROR: Final = 5


class _Timeval(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_usec", ctypes.c_long))


class _Timex(ctypes.Structure):
    """`struct timex` of linux/timex.h; the tail is padding that the kernel may grow into."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", _Timeval),
        ("tick", ctypes.c_long),
        ("ppsfreq", ctypes.c_long),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long),
        ("counts", ctypes.c_long * 4),
        ("tai", ctypes.c_int),
        ("padding", ctypes.c_int * 32),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Discipline:
    """What the kernel says of the system clock."""

    is_synchronised: bool
    error_ns: int


_C_LIBRARY: Final = ctypes.CDLL(None, use_errno=True)


def read_discipline() -> Discipline:
    """Ask the kernel (no privilege needed); a kernel that does not answer leaves the clock undisciplined."""
    answer = _Timex()
    try:
        state = int(_C_LIBRARY.adjtimex(ctypes.byref(answer)))
    except AttributeError:
        return Discipline(is_synchronised=False, error_ns=UNDISCIPLINED_ERROR_NS)
    if state < 0:
        return Discipline(is_synchronised=False, error_ns=UNDISCIPLINED_ERROR_NS)
    is_synchronised = state != _STATE_ERROR and not answer.status & _STATUS_UNSYNCHRONISED
    error_ns = int(answer.maxerror) * NS_PER_US
    return Discipline(is_synchronised=is_synchronised, error_ns=error_ns if is_synchronised else UNDISCIPLINED_ERROR_NS)


class KeptWord:
    """What the kernel said within the last KEPT_NS; any thread: at worst two of them ask at once."""

    def __init__(self, ask: Callable[[], Discipline] = read_discipline) -> None:
        self._ask = ask
        self._said: tuple[int, Discipline] | None = None

    def at(self, monotonic_ns: int) -> Discipline:
        """Its word as it holds at an instant."""
        said = self._said
        if said is None or not 0 <= monotonic_ns - said[0] < KEPT_NS:
            word = self._ask()
            if word.is_synchronised:
                word = replace(word, error_ns=word.error_ns + GROWTH_NS)
            said = self._said = (monotonic_ns, word)
        return said[1]


_WORD: Final = KeptWord()


def read_now() -> Now:
    """Both clocks, read together, with the error that the kernel and the reading add."""
    monotonic_ns, shared_ns, width_ns = _read_pair()
    discipline = _WORD.at(monotonic_ns)
    is_plausible = shared_ns >= BUILT_AT_SHARED_NS
    return Now(
        monotonic_ns=MonotonicNs(monotonic_ns),
        shared_ns=SharedNs(shared_ns),
        error_ns=discipline.error_ns + width_ns // 2,
        source=TimeSource.SYSTEM if is_plausible else TimeSource.UNKNOWN,
    )


def read_raw_ns() -> MonotonicNs:
    """CLOCK_MONOTONIC_RAW: the crystal as it is; NTP steers CLOCK_MONOTONIC by up to 500 ppm."""
    return MonotonicNs(time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW))


def read_raw_lead_ns() -> int:
    """By how much the raw clock reads more than the monotonic one, for the quickest of some readings."""
    best_ns, lead_ns = -1, 0
    for _ in range(_PAIR_ATTEMPTS):
        before_ns = time.monotonic_ns()
        raw_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        width_ns = time.monotonic_ns() - before_ns
        if best_ns < 0 or width_ns < best_ns:
            best_ns, lead_ns = width_ns, raw_ns - before_ns - width_ns // 2
        if width_ns <= RAW_PAIR_NS_MAX:
            break
    return lead_ns


def explain_clock() -> str:
    """One line for a person: what the clock reads and how far it can be trusted."""
    now, discipline = read_now(), read_discipline()
    if not now.is_time_known:
        return "the clock reads earlier than this program was made: wait for NTP, or set it"
    kept = "kept by NTP" if discipline.is_synchronised else "not disciplined: check chrony or systemd-timesyncd"
    return f"the clock is {kept}; its error is at most {now.error_ns / 1e6:.1f} ms"


def _read_pair() -> tuple[int, int, int]:
    """Monotonic and shared nanoseconds of one instant, and the width of the doubt about it."""
    best = (0, 0, -1)
    for _ in range(_PAIR_ATTEMPTS):
        before_ns = time.monotonic_ns()
        shared_ns = time.time_ns()
        width_ns = time.monotonic_ns() - before_ns
        if best[2] < 0 or width_ns < best[2]:
            best = (before_ns + width_ns // 2, shared_ns, width_ns)
        if width_ns <= PAIR_NS_MAX:
            break
    return best
