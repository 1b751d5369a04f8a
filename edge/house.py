"""The rules of the place as this node keeps them: what they forbid now, how loud the rest is, what was used of the day.

Asks `protocol.house_rules`, the same that the desk asks, and keeps the count of air time that those need: what is on
air is told to it each turn (`heard`), and it makes of that the spans that outlive a restart and a power cut. The guard
has one and joins it with what else keeps a node silent.

Rules kept:
- air time is on the disk before it is used: while something sounds that is bound, the next minute of it is reserved
  there, and the true end is written when it ends. A power cut costs the place a minute at most and gives it none;
- a place without limits on air time costs no write and no turn;
- a span is as long as the node's own clock says; where the shared clock is set, what was counted moves with it, so that
  a minute that comes twice counts twice, and a day that was never there has no sound in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from edge.effects import Effect, KeepNote, LogDecision, LogLevel
from edge.events import Restored
from edge.player.arbiter import Reason
from protocol.air_time import (
    NOTHING_AIRED,
    Aired,
    moved,
    sessions_today,
    sounded_today_ms,
    with_interruption,
    with_sound,
)
from protocol.candidate import Candidate
from protocol.codec import cbor_decode, cbor_encode
from protocol.errors import Refusal
from protocol.house_rules import (
    HouseRules,
    forbids,
    gain_db_max,
    is_real_emergency,
    next_change_ms,
    next_volume_change_ms,
    uses_air_time,
)
from protocol.policy import MINUTES_A_DAY, AirTime
from protocol.quiet import next_quiet_change_ms
from protocol.units import NS_PER_MS, MonotonicNs, Now, SharedMs

NOTE: Final = "air_time"
"""Under which name the store keeps the count."""
RESERVED_MS: Final = 60_000
"""How much is reserved on the disk at a time: one write a minute while something sounds, and what a cut costs."""
RESERVED_AHEAD_MS: Final = 5_000
"""So much before it is used up the next is asked for: a bad card takes seconds."""
STEP_MS: Final = 1_000
"""A shared clock that is off by more than this against the node's own was set."""
_COUNTED_BY: Final = AirTime(minutes_a_day_max=MINUTES_A_DAY)
"""By whose pause sessions are told apart where no limit stands: the count is there when one comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    """Sound that goes on: since when by both clocks, of an item that was to start then, and as what it counts."""

    since_ms: int
    since_at: MonotonicNs
    starts_at_ms: int
    is_bound: bool

    def until_ms(self, now: Now) -> int:
        """How far it reaches now, by the shared clock as it was when it began."""
        by_own_clock_ms = self.since_ms + (now.monotonic_ns - self.since_at) // NS_PER_MS
        is_followed = now.is_time_known and abs(now.shared_ms - by_own_clock_ms) <= STEP_MS
        return max(self.since_ms, now.shared_ms) if is_followed else by_own_clock_ms


class House:
    """The rules of one node's place."""

    def __init__(self) -> None:
        self._rules = HouseRules(time_zone="UTC")
        self._aired = NOTHING_AIRED
        self._open: _Open | None = None
        self._keys: frozenset[str] = frozenset()
        """What is on air and bound."""
        self._reserve_at: MonotonicNs | None = None
        """When more of the open span is reserved; None while none of it is."""
        self._projected: tuple[int, Aired] | None = None
        self._next_fixed: tuple[HouseRules, int, SharedMs | None] | None = None
        self._ahead_ms: int | None = None
        """By how much the shared clock was ahead of the node's own when it was last known."""

    def use(self, rules: HouseRules) -> None:
        """The place has these rules now."""
        self._rules = rules

    def restore(self, restored: Restored) -> list[Effect]:
        """Take in the count that was kept; one that cannot be read is begun anew, and said."""
        note = restored.note(NOTE)
        if not note:
            return []
        try:
            self._aired = cbor_decode(note, Aired)
        except Refusal as refusal:
            fields = (("reason", str(refusal)),)
            return [LogDecision(decision="air time counted anew", fields=fields, level=LogLevel.WARNING)]
        return []

    def notice(self, now: Now) -> None:
        """Where the shared clock was set, what sounded before moves with it, and stays as long as the own one says."""
        if not now.is_time_known:
            return
        ahead_ms = now.shared_ms - now.monotonic_ns // NS_PER_MS
        set_by_ms = 0 if self._ahead_ms is None else ahead_ms - self._ahead_ms
        self._ahead_ms = ahead_ms
        if abs(set_by_ms) > STEP_MS:
            if self._open is not None:
                self._close(self._open.until_ms(now))
            self._aired, self._projected = moved(self._aired, set_by_ms), None

    def blocks(self, candidate: Candidate, at_ms: SharedMs) -> Reason | None:
        """What the place forbids a candidate at an instant that is now or near, if what sounds goes on until then."""
        if is_real_emergency(candidate):
            return None
        aired = self._aired_until(at_ms) if self._rules.air_time is not None else NOTHING_AIRED
        forbidden = forbids(self._rules, candidate, at_ms, aired=aired, is_on_air=candidate.key in self._keys)
        return None if forbidden is None else Reason(forbidden.value)

    def gain_db_max(self, candidate: Candidate, at_ms: SharedMs) -> float | None:
        """How loud a candidate may be at an instant; None: as loud as it is."""
        return gain_db_max(self._rules, candidate, at_ms) if self._rules.volume_caps else None

    def next_volume_change_ms(self, now_ms: SharedMs) -> SharedMs | None:
        """When a volume cap begins or ends."""
        return next_volume_change_ms(self._rules, now_ms) if self._rules.volume_caps else None

    def next_change_ms(self, candidates: Sequence[Candidate], now_ms: SharedMs) -> SharedMs | None:
        """When `blocks` or `gain_db_max` may answer differently; what the wall clock alone says is worked out once."""
        fixed_ms = self._next_fixed_ms(now_ms)
        has_limits = self._rules.air_time is not None and bool(candidates)
        if not has_limits and all(candidate.valid_until_ms is None for candidate in candidates):
            return fixed_ms
        aired = self._aired_until(now_ms) if has_limits else NOTHING_AIRED
        return next_change_ms(self._rules, candidates, now_ms, aired=aired)

    def heard(self, on_air: Iterable[tuple[Candidate, SharedMs]], now: Now) -> list[Effect]:
        """Count what is on air now, each since its instant; what is to be kept of that."""
        sounding = tuple(on_air)
        bound = [(candidate, since_ms) for candidate, since_ms in sounding if uses_air_time(candidate)]
        self._keys = frozenset(candidate.key for candidate, _ in bound)
        wanted = bound or sounding
        if not wanted and self._open is None:
            return []
        self._projected = None
        self.notice(now)
        if self._open is not None and (not wanted or self._open.is_bound is not bool(bound)):
            self._close(self._open.until_ms(now))
        if wanted and self._open is None:
            first, since_ms = min(wanted, key=lambda each: each[1])
            passed_ms = now.shared_ms - since_ms
            is_fresh = 0 <= passed_ms <= STEP_MS
            self._open = _Open(
                since_ms=since_ms if is_fresh else now.shared_ms,
                since_at=MonotonicNs(now.monotonic_ns - (passed_ms * NS_PER_MS if is_fresh else 0)),
                starts_at_ms=first.starts_at_ms,
                is_bound=bool(bound),
            )
        return self._keep(now)

    def next_deadline(self) -> MonotonicNs | None:
        """When the next minute must be reserved; None while nothing bound sounds or no limit stands."""
        return self._reserve_at

    def used(self, now_ms: SharedMs) -> tuple[int, int]:
        """Sessions and milliseconds of sound of the local day, with what sounds now."""
        aired, zone = self._aired_until(now_ms), self._rules.time_zone
        return sessions_today(aired, zone, now_ms), sounded_today_ms(aired, zone, now_ms)

    def _close(self, until_ms: int) -> None:
        """The open span ended at an instant."""
        if self._open is not None:
            self._aired = self._with(self._aired, self._open, until_ms)
            self._open = self._projected = None
            self._reserve_at = None if self._reserve_at is None else MonotonicNs(0)

    def _keep(self, now: Now) -> list[Effect]:
        """Reserve the next minute, or write the true end, where a limit stands."""
        opened = self._open
        if self._rules.air_time is None:
            self._reserve_at = None
            return []
        if opened is None or not opened.is_bound:
            if self._reserve_at is None:
                return []
            self._reserve_at = None
            return [KeepNote(name=NOTE, payload=cbor_encode(self._aired))]
        if self._reserve_at is not None and now.monotonic_ns < self._reserve_at:
            return []
        self._reserve_at = MonotonicNs(now.monotonic_ns + RESERVED_MS * NS_PER_MS)
        kept = self._with(self._aired, opened, opened.until_ms(now) + RESERVED_MS + RESERVED_AHEAD_MS)
        return [KeepNote(name=NOTE, payload=cbor_encode(kept))]

    def _aired_until(self, at_ms: int) -> Aired:
        """What has sounded until an instant, if what is open goes on until then."""
        if self._open is None:
            return self._aired
        if self._projected is None or self._projected[0] != at_ms:
            self._projected = at_ms, self._with(self._aired, self._open, at_ms)
        return self._projected[1]

    def _with(self, aired: Aired, opened: _Open, until_ms: int) -> Aired:
        air_time = self._rules.air_time or _COUNTED_BY
        if not opened.is_bound:
            return with_interruption(aired, air_time, from_ms=opened.since_ms, until_ms=until_ms)
        return with_sound(aired, air_time, starts_at_ms=opened.starts_at_ms, from_ms=opened.since_ms, until_ms=until_ms)

    def _next_fixed_ms(self, now_ms: SharedMs) -> SharedMs | None:
        """When quiet hours or a volume cap begin or end."""
        known = self._next_fixed
        is_known = known is not None and known[0] is self._rules and known[1] <= now_ms
        if known is not None and is_known and (known[2] is None or now_ms < known[2]):
            return known[2]
        rules = self._rules
        changes = (next_quiet_change_ms(rules.quiet_hours, rules.time_zone, now_ms), self.next_volume_change_ms(now_ms))
        change_ms = min((change for change in changes if change is not None), default=None)
        self._next_fixed = rules, now_ms, change_ms
        return change_ms
