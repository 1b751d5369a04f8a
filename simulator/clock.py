"""One machine's clocks with their physics: a crystal that drifts and a system clock that may be wrong.

Monotonic time runs with the crystal and begins at zero with each boot. The system clock is what `read_now` gives
out as shared time, by the rules of `protocol.adapters.system_clock`: before it was synchronised it runs with the
crystal from whatever the machine found at boot (its RTC, or without one 1970 or a build date), with the error that
the kernel states of such a clock, and is UNKNOWN while it is implausible or has no better source than a date that has
passed (`edge.adapters.trusted_clock`); disciplined, it runs at true rate but for
a small residue; left by its time server, its stated error grows as the kernel lets it grow.

Conversions between true and monotonic time are exact in integers: `true_at(m)` is the first true nanosecond at
which monotonic time reads `m` or more, so a deadline never rings early and ringing always means progress.
What the node does about a wrong clock is the node's; whether there is a time server to be reached is the
scenario's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from protocol.adapters.system_clock import BUILT_AT_SHARED_NS, UNDISCIPLINED_ERROR_NS
from protocol.units import MonotonicNs, Now, SharedNs, TimeSource
from simulator.world import Timer, World

_PARTS: Final = 1_000_000_000
"""Rates are whole parts per billion, so that they are integers."""
DRIFT_PPB_MAX: Final = 1_000_000
"""Beyond 1,000 ppm a clock is broken, not drifting; chrony refuses at 500 ppm by default."""
ASSUMED_DRIFT_PPB: Final = 500_000
"""How fast the kernel lets the stated error of a clock grow that nobody corrects (MAXFREQ, linux/timex.h)."""
BUILD_DATE_NS: Final = BUILT_AT_SHARED_NS
"""Where a node without an RTC stands at boot when its image carries a build date: just plausible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSettings:
    """How a machine's clocks are made and found at its first boot.

    `offset_ns` is the RTC's error at boot; `rtc_ns` a date that the clock starts at instead, for a dead RTC.
    `is_synchronised` starts with the system clock disciplined to within `error_ns`.
    """

    drift_ppb: int = 0
    offset_ns: int = 0
    rtc_ns: int | None = None
    is_synchronised: bool = True
    error_ns: int = 5_000_000
    residual_ppb: int = 0


class ClockTimer:
    """Something to do at a monotonic instant; the clock keeps it true when its rate changes."""

    __slots__ = ("action", "deadline_ns", "key", "timer")

    def __init__(self, key: int, deadline_ns: int, action: Callable[[], object], timer: Timer) -> None:
        self.key = key
        self.deadline_ns = deadline_ns
        self.action = action
        self.timer = timer


class NodeClock:
    """The clocks of one machine; everything that it knows of time, it asks here."""

    def __init__(self, world: World, name: str, settings: ClockSettings) -> None:
        _check_rate(settings.drift_ppb)
        _check_rate(settings.residual_ppb)
        self._world = world
        self._name = name
        self._settings = settings
        self._drift_ppb = settings.drift_ppb
        self._timers: dict[int, ClockTimer] = {}
        self._next_key = 0
        self.on_set: Callable[[], object] | None = None
        """Called when the system clock was set; the program's rim notices it by watching, and so a while later."""
        self._boot()

    def read_now(self) -> Now:
        """Both clocks at this instant, with what the machine knows of its own error."""
        true_ns = self._world.now_ns
        shared_ns = self._shared_base + (true_ns - self._shared_from) * (_PARTS + self._shared_ppb) // _PARTS
        error_ns = UNDISCIPLINED_ERROR_NS
        if self._is_synchronised:
            grown_ns = (true_ns - self._disciplined_from) * self._error_growth_ppb // _PARTS
            error_ns = min(self._error_ns + grown_ns, UNDISCIPLINED_ERROR_NS)
        return Now(
            monotonic_ns=MonotonicNs(self.monotonic_ns()),
            shared_ns=SharedNs(shared_ns),
            error_ns=error_ns,
            source=TimeSource.SYSTEM if self._is_trusted and shared_ns >= BUILT_AT_SHARED_NS else TimeSource.UNKNOWN,
        )

    def monotonic_ns(self) -> int:
        """What the monotonic clock reads."""
        return self._base_ns + (self._world.now_ns - self._from_ns) * (_PARTS + self._drift_ppb) // _PARTS

    def true_at(self, monotonic_ns: int) -> int:
        """The first true instant, not in the past, at which monotonic time reads at least `monotonic_ns`."""
        ahead_ns = monotonic_ns - self._base_ns
        true_ns = self._from_ns - (-ahead_ns * _PARTS // (_PARTS + self._drift_ppb))
        return max(true_ns, self._world.now_ns)

    @property
    def shared_error_ns(self) -> int:
        """How far the system clock really is from true time (for checkers: the machine cannot know it)."""
        return self.read_now().shared_ns - self._world.now_ns

    def call_at(self, monotonic_ns: int, action: Callable[[], object]) -> ClockTimer:
        """Run `action` once when monotonic time has reached an instant, or at once when it has passed."""
        self._next_key = key = self._next_key + 1
        timer = ClockTimer(key, monotonic_ns, action, [])
        timer.timer = self._world.at(self.true_at(monotonic_ns), self._ring, timer)
        self._timers[key] = timer
        return timer

    def call_after(self, delay_ns: int, action: Callable[[], object]) -> ClockTimer:
        """Run `action` once after a delay on this machine's monotonic clock."""
        return self.call_at(self.monotonic_ns() + delay_ns, action)

    def cancel(self, timer: ClockTimer | None) -> None:
        """Forget a timer; one that rang, or None, is left as it is."""
        if timer is not None and self._timers.pop(timer.key, None) is not None:
            self._world.cancel(timer.timer)

    def set_drift(self, drift_ppb: int) -> None:
        """The crystal's rate changes (temperature): timers move with it, an undisciplined system clock too."""
        _check_rate(drift_ppb)
        self._rebase(drift_ppb)
        if not self._is_disciplined:
            self._steer(drift_ppb)
        for timer in self._timers.values():
            self._world.cancel(timer.timer)
            timer.timer = self._world.at(self.true_at(timer.deadline_ns), self._ring, timer)
        self._world.record(self._name, "clock_drift", ppb=drift_ppb)

    def step(self, by_ns: int) -> None:
        """Set the system clock forward or back at once; monotonic time does not notice, and the error is not known."""
        self._steer(self._shared_ppb)
        self._shared_base += by_ns
        self._world.record(self._name, "clock_step", by_ns=by_ns)
        if self.on_set is not None:
            self.on_set()

    def synchronise(self, *, error_ns: int = 0, stated_error_ns: int = 5_000_000, residual_ppb: int = 0) -> None:
        """Discipline the system clock: it now stands `error_ns` from true time and claims to be within the stated."""
        _check_rate(residual_ppb)
        self._is_synchronised = self._is_disciplined = self._is_trusted = True
        self._error_ns = stated_error_ns
        self._error_growth_ppb = abs(residual_ppb)
        self._disciplined_from = self._world.now_ns
        self._steer(residual_ppb)
        self._shared_base = self._world.now_ns + error_ns
        self._world.record(self._name, "clock_synchronised", error_ns=error_ns)
        if self.on_set is not None:
            self.on_set()

    def lose_discipline(self) -> None:
        """No time server any more: the clock runs with the crystal from here and its stated error grows."""
        if not self._is_disciplined:
            return
        self._is_disciplined = False
        self._error_ns += (self._world.now_ns - self._disciplined_from) * self._error_growth_ppb // _PARTS
        self._disciplined_from = self._world.now_ns
        self._error_growth_ppb = ASSUMED_DRIFT_PPB
        self._steer(self._drift_ppb)
        self._world.record(self._name, "clock_free_running")

    def reboot(self, *, rtc_ns: int | None = None, offset_ns: int = 0) -> None:
        """Boot again: monotonic time from zero, no timers, system clock from the RTC and not synchronised.

        `rtc_ns` is where a dead RTC starts (0 for 1970, BUILD_DATE_NS); None is a working RTC, wrong by `offset_ns`.
        """
        self._settings = ClockSettings(
            drift_ppb=self._drift_ppb, offset_ns=offset_ns, rtc_ns=rtc_ns, is_synchronised=False
        )
        for timer in self._timers.values():
            self._world.cancel(timer.timer)
        self._timers.clear()
        self._boot()
        self._world.record(self._name, "clock_boot", error_ns=self.shared_error_ns)

    def _boot(self) -> None:
        settings = self._settings
        true_ns = self._world.now_ns
        self._from_ns = self._shared_from = self._disciplined_from = true_ns
        self._base_ns = 0
        self._is_synchronised = self._is_disciplined = settings.is_synchronised
        self._is_trusted = settings.is_synchronised or settings.rtc_ns is None
        self._error_ns = settings.error_ns
        self._error_growth_ppb = abs(settings.residual_ppb)
        self._shared_base = (true_ns if settings.rtc_ns is None else settings.rtc_ns) + settings.offset_ns
        self._shared_ppb = settings.residual_ppb if settings.is_synchronised else self._drift_ppb

    def _rebase(self, drift_ppb: int) -> None:
        """Go on from what monotonic time reads now, at another rate; it neither jumps nor goes back."""
        self._base_ns = self.monotonic_ns()
        self._from_ns = self._world.now_ns
        self._drift_ppb = drift_ppb

    def _steer(self, ppb: int) -> None:
        true_ns = self._world.now_ns
        self._shared_base += (true_ns - self._shared_from) * (_PARTS + self._shared_ppb) // _PARTS
        self._shared_from = true_ns
        self._shared_ppb = ppb

    def _ring(self, timer: ClockTimer) -> None:
        del self._timers[timer.key]
        timer.action()


def _check_rate(ppb: int) -> None:
    if abs(ppb) > DRIFT_PPB_MAX:
        message = f"a drift of {ppb} ppb is more than {DRIFT_PPB_MAX} ppb: no crystal does that, give parts per billion"
        raise ValueError(message)
