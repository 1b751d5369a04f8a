"""Who sounds: the arbiter alone decides it.

Given all candidates and what blocks each, it says who owns the air at each instant of the near future
(`slots`), and keeps one `Session` for each candidate that has been granted air, as a state machine. It
leaves the collision rule to `protocol.priority`, the reasons that block to its caller, and sound, amplifier
and records to the studio.

Rules kept:
- at each instant at most one candidate owns the air: the best-ranked that is due and not blocked (`protocol.slots`);
- where the owner speaks over a bed, the programme that would own the air without such speech goes on
  below it, in the session that it has; there is at most one bed, and what blocks a candidate blocks it as a bed too;
- who owns the air again after another, however soon, does so in a session of its own;
- nothing is resumed: at each call what is due *now* is computed anew, and whoever owns the air joins in step;
- a grant is made ahead of its start, so that the amplifier is warm and the first sample exact;
- every session ends with a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from protocol.candidate import Candidate
from protocol.slots import Slot
from protocol.units import SharedMs


class Reason(StrEnum):
    """Why a session ended or never came to be; the names appear in records, logs and the console."""

    FINISHED = "finished"
    PRE_EMPTED = "pre_empted"
    STOPPED = "stopped"
    REVOKED = "revoked"
    ALL_CLEAR = "all_clear"
    CORRECTION = "correction"
    EXPIRED = "expired"
    STALLED = "stalled"
    NO_STREAM = "no_stream"
    MEDIA_MISSING = "media_missing"
    QUIET_HOURS = "quiet_hours"
    STALE = "stale"
    """Past the instant until which it holds."""
    AIR_TIME_SESSION = "air_time_session"
    AIR_TIME_SESSIONS = "air_time_sessions"
    AIR_TIME_DAY = "air_time_day"
    FETCH_BUDGET = "fetch_budget"
    """Its file is not here, for the day's bytes are used up."""
    CARD_FAILED = "card_failed"
    AMPLIFIER_FAILED = "amplifier_failed"
    CLOCK_UNKNOWN = "clock_unknown"
    SHUT_DOWN = "shut_down"
    POWER_CUT = "power_cut"
    POWER_OFF = "power_off"
    """It fell into a time in which the node was off."""
    TOO_LATE = "too_late"
    """The node had only just come up when it ended."""
    LATE_PLAN = "late_plan"
    """Its plan came when it was over."""
    SILENCED = "silenced"
    """A signed order; nothing but its release ends it."""
    STOP_BUTTON = "stop_button"
    """Somebody pressed the button on the pole."""


class SessionState(StrEnum):
    """The life of a granted candidate."""

    WAITING = "waiting"
    WARMING = "warming"
    ON_AIR = "on_air"
    ENDED = "ended"


class SessionEvent(StrEnum):
    """What moves it: the amplifier was demanded for it, its sound has begun, it is over."""

    DEMANDED = "demanded"
    AIRED = "aired"
    OVER = "over"


TRANSITIONS: Final[dict[tuple[SessionState, SessionEvent], SessionState]] = {
    (SessionState.WAITING, SessionEvent.DEMANDED): SessionState.WARMING,
    (SessionState.WARMING, SessionEvent.AIRED): SessionState.ON_AIR,
    (SessionState.WAITING, SessionEvent.OVER): SessionState.ENDED,
    (SessionState.WARMING, SessionEvent.OVER): SessionState.ENDED,
    (SessionState.ON_AIR, SessionEvent.OVER): SessionState.ENDED,
}
"""Pairs that do not stand here change nothing."""


@dataclass(slots=True, kw_only=True)
class Session:
    """One grant of air; `slot` is what it owns now, and is renewed at each decision."""

    slot: Slot
    state: SessionState = SessionState.WAITING

    @property
    def key(self) -> str:
        """The candidate's."""
        return self.slot.candidate.key

    def move(self, event: SessionEvent) -> bool:
        """Take one step of the table; returns whether the state changed."""
        after = TRANSITIONS.get((self.state, event), self.state)
        has_changed = after is not self.state
        self.state = after
        return has_changed


Blocked = Callable[[Candidate, SharedMs], Reason | None]
"""What keeps a candidate from sounding at an instant; None when nothing does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What changed: sessions that are over with their reason, candidates that are due but do not own the air."""

    ended: tuple[tuple[Session, Reason], ...]
    denied: tuple[tuple[Candidate, Reason], ...]


class Arbiter:
    """The sessions of one node."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    @property
    def has_sessions(self) -> bool:
        """Whether anything is granted."""
        return bool(self._sessions)

    @property
    def sessions(self) -> tuple[Session, ...]:
        """The granted sessions, the one that sounds or will sound first before the others."""
        if len(self._sessions) < 2:  # noqa: PLR2004 - nothing to put in order, as nearly always
            return tuple(self._sessions.values())
        return tuple(sorted(self._sessions.values(), key=lambda session: session.slot.from_ms))

    def decide(
        self,
        slots: Sequence[Slot],
        candidates: Iterable[Candidate],
        *,
        blocked: Blocked,
        gone: Callable[[Candidate], Reason],
        now_ms: SharedMs,
    ) -> Decision:
        """Grant, keep and end sessions so that they are those of `slots`.

        `gone` says why a candidate that no longer exists has gone.
        """
        present = {candidate.key: candidate for candidate in candidates}
        owned = {slot.candidate.key: slot for slot in reversed(slots)}
        ended: list[tuple[Session, Reason]] = []
        for key, session in list(self._sessions.items()):
            if key not in owned or _must_begin_anew(session, owned[key], now_ms):
                del self._sessions[key]
                session.move(SessionEvent.OVER)
                ended.append((session, _why(session, present.get(key), blocked, gone, now_ms)))
        for key, slot in owned.items():
            known = self._sessions.get(key)
            if known is None:
                self._sessions[key] = Session(slot=slot)
            else:
                known.slot = slot
        denied = [
            (candidate, blocked(candidate, now_ms) or Reason.PRE_EMPTED)
            for key, candidate in present.items()
            if key not in owned and candidate.starts_at_ms <= now_ms < candidate.ends_at_ms
        ]
        return Decision(ended=tuple(ended), denied=tuple(denied))

    def end_all(self, reason: Reason) -> tuple[tuple[Session, Reason], ...]:
        """End every session at once."""
        ended = tuple(self._sessions.values())
        self._sessions.clear()
        for session in ended:
            session.move(SessionEvent.OVER)
        return tuple((session, reason) for session in ended)


def _must_begin_anew(session: Session, slot: Slot, now_ms: SharedMs) -> bool:
    """Whether a candidate owns the air only later than its session began or would have begun."""
    return slot.from_ms > now_ms and slot.from_ms != session.slot.from_ms


def _why(
    session: Session, present: Candidate | None, blocked: Blocked, gone: Callable[[Candidate], Reason], now_ms: SharedMs
) -> Reason:
    candidate = session.slot.candidate
    if now_ms >= candidate.ends_at_ms:
        return Reason.FINISHED if candidate.repeat_every_ms is None else Reason.EXPIRED
    if present is None:
        return gone(candidate)
    if now_ms >= present.ends_at_ms:
        return gone(candidate)
    if now_ms < present.starts_at_ms:
        return Reason.STOPPED
    return blocked(present, now_ms) or Reason.PRE_EMPTED
