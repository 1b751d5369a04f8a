"""What really sounded, as records: started, finished, missed, refused, each with its reason.

Decides only when something is worth a record. It leaves numbering, signing and keeping to the outbox.

Rules kept:
- an airing is one uninterrupted time on air; what comes back after an interruption is another one;
- what is due and may not sound (quiet hours, an order, the button), or cannot (its media are missing), is on record
  at once; what only had to wait (outranked, no stream yet, no card) is on record at its end, if it never sounded;
- each is recorded once, however often it is asked about;
- what a cluster that is aimed sounds later is on record at the time of the programme, as its neighbours have it;
- a bed's airing goes on below speech, and its end says for how long it was spoken over;
- an airing's name is its own, also when a clock that was set back brings the same item at the same time again.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from edge.player.arbiter import Reason
from edge.player.program import Candidate
from edge.player.voice import VoiceStatistics
from protocol.messages import AiringRecord, AiringState
from protocol.units import NS_PER_MS, Now, SharedMs

UNTIMED_ERROR_MS: Final = 1e12
"""31 years: the error of a time that the node did not know."""
TOKEN_CHARACTERS: Final = 8
"""Two airings of one item that begin in the same millisecond of one clock are the same once in four billion times."""
_AT_ONCE: Final = {
    Reason.QUIET_HOURS: AiringState.REFUSED,
    Reason.SILENCED: AiringState.REFUSED,
    Reason.STOP_BUTTON: AiringState.REFUSED,
    Reason.MEDIA_MISSING: AiringState.MISSED,
}
"""Denials that are facts at their time."""


class Proof:
    """The records of one node's air."""

    def __init__(self) -> None:
        self._started: dict[str, AiringRecord] = {}
        self._settled: dict[str, SharedMs] = {}
        self._waiting: dict[str, tuple[Candidate, Reason]] = {}

    def next_change_ms(self) -> SharedMs | None:
        """When something that is waiting will have been missed."""
        return min((candidate.ends_at_ms for candidate, _ in self._waiting.values()), default=None)

    def since_ms(self, candidate: Candidate) -> SharedMs | None:
        """Since when a candidate has been on air; None when it is not."""
        started = self._started.get(candidate.key)
        return None if started is None else SharedMs(started.at_ms)

    def started(self, candidate: Candidate, at_ms: SharedMs, now: Now) -> AiringRecord:
        """Its first sample sounds."""
        self._settle(candidate)
        if candidate.occurrence is not None:
            self._settled[candidate.occurrence] = candidate.ends_at_ms
            self._waiting.pop(candidate.occurrence, None)
        late_ms = at_ms - candidate.sounds_from_ms
        reason = "on time" if late_ms <= 0 else f"joined {late_ms} ms after its start"
        airing = f"{candidate.source_id}:{at_ms}:{_token(now)}"
        record = _record(candidate, AiringState.STARTED, at_ms, airing, reason, now)
        self._started[candidate.key] = record
        return record

    def ended(self, candidate: Candidate, reason: Reason, statistics: VoiceStatistics, now: Now) -> AiringRecord | None:
        """It has left the air; None when it never was on it."""
        started = self._started.pop(candidate.key, None)
        if started is None:
            return None
        # what the card already held begins a moment later
        at_ms = max(now.shared_ms, SharedMs(started.at_ms + candidate.aim_ms))
        return _record(candidate, AiringState.FINISHED, at_ms, started.airing, reason.value, now, statistics)

    def denied(self, candidate: Candidate, reason: Reason, now: Now) -> AiringRecord | None:
        """It is due and does not sound."""
        if candidate.occurrence is not None and candidate.occurrence in self._settled:
            self._settle(candidate)
        if candidate.key in self._settled:
            return None
        state = _AT_ONCE.get(reason)
        if state is None:
            self._waiting[candidate.key] = (candidate, reason)
            return None
        self._settle(candidate)
        return _missed(candidate, state, reason, now)

    def overdue(self, now: Now) -> tuple[AiringRecord, ...]:
        """What waited until its end and never sounded."""
        if not self._waiting and not self._settled:
            return ()
        over = [each for each in self._waiting.values() if each[0].ends_at_ms <= now.shared_ms]
        for candidate, _ in over:
            self._settle(candidate)
        self._settled = {key: ends for key, ends in self._settled.items() if ends > now.shared_ms}
        return tuple(_missed(candidate, AiringState.MISSED, reason, now) for candidate, reason in over)

    def _settle(self, candidate: Candidate) -> None:
        self._waiting.pop(candidate.key, None)
        self._settled[candidate.key] = candidate.ends_at_ms


def _token(now: Now) -> str:
    """What no other instant of this node has, whatever its clock was set to: both clocks, to the nanosecond."""
    return hashlib.sha256(f"{now.monotonic_ns}:{now.shared_ns}".encode()).hexdigest()[:TOKEN_CHARACTERS]


def _missed(candidate: Candidate, state: AiringState, reason: Reason, now: Now) -> AiringRecord:
    airing = f"{candidate.source_id}:{candidate.starts_at_ms}"
    return _record(candidate, state, now.shared_ms, airing, reason.value, now)


def _record(
    candidate: Candidate,
    state: AiringState,
    at_ms: SharedMs,
    airing: str,
    reason: str,
    now: Now,
    statistics: VoiceStatistics | None = None,
) -> AiringRecord:
    heard = statistics or VoiceStatistics()
    return AiringRecord(
        airing=airing,
        source=candidate.source,
        source_id=candidate.source_id,
        title=candidate.title,
        broadcast_class=candidate.broadcast_class,
        reality=candidate.reality,
        state=state,
        at_ms=at_ms - candidate.aim_ms,
        reason=reason,
        audible_ms=heard.audible_ms,
        concealed_ms=heard.concealed_ms,
        silent_ms=heard.silent_ms,
        level_dbfs=heard.level_dbfs,
        clock_error_ms=now.error_ns / NS_PER_MS if now.is_time_known else UNTIMED_ERROR_MS,
        ducked_ms=heard.ducked_ms,
    )


def after_power_cut(started: AiringRecord, latest_ms: int, error_ms: float) -> AiringRecord:
    """The end of an airing that a power cut or a kill left open; how much of it was heard is not known.

    It lies between its start and `latest_ms`, of which the later is given; `clock_error_ms` spans what lies between
    and the error of the clock, so that nobody takes it for exact.
    """
    at_ms = max(latest_ms, started.at_ms)
    return msgspec.structs.replace(
        started,
        state=AiringState.FINISHED,
        at_ms=at_ms,
        reason=Reason.POWER_CUT.value,
        clock_error_ms=at_ms - started.at_ms + error_ms,
    )
