"""What really sounded, as records: started, finished, missed, refused, each with its reason.

Decides only when something is worth a record. It leaves numbering, signing and keeping to the outbox.

Rules kept:
- an airing is one uninterrupted time on air; what comes back after an interruption is another one;
- what is due and may not sound (quiet hours, an order, the button), or cannot (its media are missing), is on record
  at once; what only had to wait (outranked, no stream yet, no card) is on record at its end, if it never sounded;
- each is recorded once, however often it is asked about;
- what a cluster that is aimed sounds later is on record at the time of the programme, as its neighbours have it;
- a bed's airing goes on below speech, and its end says for how long it was spoken over;
- what was played is on record by its samples and its content's digest, what was heard as the pole's ears say;
- a self-test is no airing; its own record says what came of it (`edge.proof.self_test`);
- what was granted the air so late that it ended before its first sample is on record as missed;
- an airing's name is its own, also when a clock that was set back brings the same item at the same time again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from edge.player.arbiter import Reason
from edge.player.voice import VoiceStatistics
from protocol.candidate import Candidate, is_planned
from protocol.messages import AiringRecord, AiringState, Heard, HeardBy
from protocol.units import NS_PER_MS, SAMPLES_PER_MS, US_PER_MS, Now, SharedMs, sample_of_shared_ms

UNTIMED_ERROR_MS: Final = 1e12
"""31 years: the error of a time that the node did not know."""
TOKEN_CHARACTERS: Final = 8
"""Two airings of one item that begin in the same millisecond of one clock are the same once in four billion times."""
_AT_ONCE: Final = {
    Reason.STALE: AiringState.REFUSED,
    Reason.QUIET_HOURS: AiringState.REFUSED,
    Reason.AIR_TIME_SESSION: AiringState.REFUSED,
    Reason.AIR_TIME_SESSIONS: AiringState.REFUSED,
    Reason.AIR_TIME_DAY: AiringState.REFUSED,
    Reason.SILENCED: AiringState.REFUSED,
    Reason.STOP_BUTTON: AiringState.REFUSED,
    Reason.MEDIA_MISSING: AiringState.MISSED,
    Reason.FETCH_BUDGET: AiringState.MISSED,
}
"""Denials that are facts at their time."""


Hear = Callable[[int, int, Mapping[HeardBy, float]], Heard | None]
"""What the pole's ears say of so many samples from a grid sample on, near these delays; None without ears."""


def deaf(_first_sample: int, _samples: int, _near_ms: Mapping[HeardBy, float]) -> None:
    """A pole without ears."""
    return


class Proof:
    """The records of one node's air; `has_media` says whether a file is on the disk, `hear` what was heard."""

    def __init__(self, *, has_media: Callable[[str], bool] = lambda _: False, hear: Hear = deaf) -> None:
        self.near_ms: Mapping[HeardBy, float] = {}
        """How much later each sensor heard the horn at installation, where that is known."""
        self._has_media = has_media
        self._hear = hear
        self._started: dict[str, AiringRecord] = {}
        self._breaks: dict[str, int] = {}
        self._interrupted: dict[str, tuple[int, SharedMs]] = {}
        """How often what may come back has left the air, and until when it may."""
        self._settled: dict[str, SharedMs] = {}
        self._judged: dict[str, tuple[str, SharedMs]] = {}
        self._waiting: dict[str, tuple[Candidate, Reason, str]] = {}

    def take_judged(self, record: AiringRecord) -> tuple[str, SharedMs] | None:
        """The planned item that a record settles, by its key, and when that ends; once for each record."""
        return self._judged.pop(record.airing, None)

    def next_change_ms(self) -> SharedMs | None:
        """When something that is waiting will have been missed."""
        return min((candidate.ends_at_ms for candidate, _, _ in self._waiting.values()), default=None)

    def since_ms(self, candidate: Candidate) -> SharedMs | None:
        """Since when a candidate has been on air; None when it is not."""
        started = self._started.get(candidate.key)
        return None if started is None else SharedMs(started.at_ms)

    def started(
        self, candidate: Candidate, at_ms: SharedMs, now: Now, *, gain_db: float | None = None, breaks: int = 0
    ) -> AiringRecord | None:
        """Its first sample sounds; `breaks` is how often the sound was torn until now."""
        if candidate.is_self_test:
            return None
        self._settle(candidate)
        if candidate.occurrence is not None:
            self._settled[candidate.occurrence] = candidate.ends_at_ms
            self._waiting.pop(candidate.occurrence, None)
        late_ms = at_ms - candidate.sounds_from_ms
        reason = "on time" if late_ms <= 0 else f"joined {late_ms} ms after its start"
        airing = f"{candidate.source_id}:{at_ms}:{_token(now)}"
        record = _record(
            candidate,
            AiringState.STARTED,
            at_ms,
            airing,
            reason,
            now,
            is_delivered=True,
            first_sample=sample_of_shared_ms(SharedMs(at_ms - candidate.aim_ms)),
            gain_db=gain_db,
            interruptions=self._interrupted.get(candidate.key, (0, 0))[0],
        )
        self._started[candidate.key] = record
        self._note_judged(record, candidate.occurrence or candidate.key, candidate)
        self._breaks[candidate.key] = breaks
        return record

    def ended(
        self,
        candidate: Candidate,
        reason: Reason,
        statistics: VoiceStatistics,
        now: Now,
        *,
        lost_to: str = "",
        breaks: int = 0,
    ) -> AiringRecord | None:
        """It has left the air; None when it never was on it, and may yet be or was taken back. `breaks` as before."""
        started = self._started.pop(candidate.key, None)
        if started is None:
            is_lost = now.shared_ms >= candidate.ends_at_ms and candidate.key not in self._settled
            if not is_lost or not is_planned(candidate.key):
                return None
            self._settle(candidate)
            return self._missed(candidate, AiringState.MISSED, Reason.TOO_LATE, now, lost_to)
        # what the card already held begins a moment later
        at_ms = max(now.shared_ms, SharedMs(started.at_ms + candidate.aim_ms))
        interruptions = started.interruptions
        if now.shared_ms < candidate.ends_at_ms:
            self._interrupted[candidate.key] = interruptions + 1, candidate.ends_at_ms
        first_sample, samples = statistics.first_sample, statistics.samples
        breaks -= self._breaks.pop(candidate.key, 0)
        return _record(
            candidate,
            AiringState.FINISHED,
            at_ms,
            started.airing,
            reason.value,
            now,
            statistics,
            is_delivered=bool(candidate.media is not None or statistics.audible_ms),
            first_sample=first_sample,
            samples=samples,
            content_sample=None if first_sample is None else _content_sample(candidate, first_sample),
            digest=_digest(candidate, statistics),
            gain_db=started.gain_db,
            interruptions=interruptions,
            breaks=breaks,
            lost_to=lost_to,
            heard=None if first_sample is None else self._hear(first_sample + _aim(candidate), samples, self.near_ms),
        )

    def denied(self, candidate: Candidate, reason: Reason, now: Now, *, lost_to: str = "") -> AiringRecord | None:
        """It is due and does not sound; `lost_to` has the air instead."""
        if candidate.is_self_test:
            return None
        if candidate.occurrence is not None and candidate.occurrence in self._settled:
            self._settle(candidate)
        if candidate.key in self._settled:
            return None
        state = _AT_ONCE.get(reason)
        if state is None:
            self._waiting[candidate.key] = (candidate, reason, lost_to)
            return None
        self._settle(candidate)
        return self._missed(candidate, state, reason, now, lost_to)

    def overdue(self, now: Now) -> tuple[AiringRecord, ...]:
        """What waited until its end and never sounded."""
        if not self._waiting and not self._settled:
            return ()
        if self._interrupted:
            self._interrupted = {key: each for key, each in self._interrupted.items() if each[1] > now.shared_ms}
        over = [each for each in self._waiting.values() if each[0].ends_at_ms <= now.shared_ms]
        for candidate, _, _ in over:
            self._settle(candidate)
        self._settled = {key: ends for key, ends in self._settled.items() if ends > now.shared_ms}
        return tuple(
            self._missed(candidate, AiringState.MISSED, reason, now, lost_to) for candidate, reason, lost_to in over
        )

    def _settle(self, candidate: Candidate) -> None:
        self._waiting.pop(candidate.key, None)
        self._settled[candidate.key] = candidate.ends_at_ms

    def _missed(self, candidate: Candidate, state: AiringState, reason: Reason, now: Now, lost_to: str) -> AiringRecord:
        media = candidate.media
        is_delivered = None if media is None else self._has_media(media.sha256)
        if reason is Reason.NO_STREAM:
            is_delivered = False
        record = missed(candidate, state, reason, now, is_delivered=is_delivered, lost_to=lost_to)
        self._note_judged(record, candidate.key, candidate)
        return record

    def _note_judged(self, record: AiringRecord, key: str, candidate: Candidate) -> None:
        if is_planned(key):
            self._judged[record.airing] = key, candidate.ends_at_ms


def missed(
    candidate: Candidate,
    state: AiringState,
    reason: Reason,
    now: Now,
    *,
    is_delivered: bool | None = None,
    lost_to: str = "",
) -> AiringRecord:
    """The record of what was due and never sounded."""
    airing = f"{candidate.source_id}:{candidate.starts_at_ms}"
    return _record(
        candidate, state, now.shared_ms, airing, reason.value, now, is_delivered=is_delivered, lost_to=lost_to
    )


def _digest(candidate: Candidate, statistics: VoiceStatistics) -> str:
    if candidate.media is not None:
        return f"media:{candidate.media.sha256}"
    return f"pcm:{statistics.pcm_sha256}" if statistics.pcm_sha256 else ""


def _content_sample(candidate: Candidate, first_sample: int) -> int | None:
    """Which sample of its file a sample of the grid is; 0 within the signal before it, None of a stream."""
    if candidate.media is None:
        return None
    begins = sample_of_shared_ms(SharedMs(candidate.sounds_from_ms - candidate.aim_ms))
    offset = first_sample - begins
    if candidate.repeat_every_ms is not None:
        offset %= candidate.repeat_every_ms * SAMPLES_PER_MS
    return max(0, offset - candidate.chime_ms * SAMPLES_PER_MS)


def _aim(candidate: Candidate) -> int:
    """By how many samples this horn sounds the grid's samples later."""
    return candidate.aim_us * SAMPLES_PER_MS // US_PER_MS


def _token(now: Now) -> str:
    """What no other instant of this node has, whatever its clock was set to: both clocks, to the nanosecond."""
    return hashlib.sha256(f"{now.monotonic_ns}:{now.shared_ns}".encode()).hexdigest()[:TOKEN_CHARACTERS]


def _record(
    candidate: Candidate,
    state: AiringState,
    at_ms: SharedMs,
    airing: str,
    reason: str,
    now: Now,
    statistics: VoiceStatistics | None = None,
    **proof: Any,  # noqa: ANN401 - fields of the record, each checked where it is sealed
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
        area=candidate.area or None,
        programme=candidate.programme,
        due_at_ms=candidate.sounds_from_ms - candidate.aim_ms,
        **proof,
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
