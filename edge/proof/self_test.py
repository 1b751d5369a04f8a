"""The acoustic self-test: once a day at the place's minute, or when a technician asks; when it sounds, what it found.

It sounds as any programme does: as a candidate, behind everything else, so that quiet hours, ordered silence and the
stop button hold for it, and an emergency takes its air. What came of it is measured by the ears and judged by
`verdict`; the result is a record, and a fault while it is bad.

    idle -> waiting (due, or asked for) -> sounding (its time has come) -> measuring (it is over) -> idle

Rules kept:
- poles of one place take turns: each begins later by its own share, so that a neighbour's sweep is not taken for ours;
- it begins only when nothing sounds or will within BUSY_MS; one that cannot be made is tried again, and after TRIES the
  record says why there is none; what was asked for is answered at once;
- the reference is taken when it is asked for, never by itself: a slow decay would become the measure of itself.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Final

from edge.assignment import Place
from edge.effects import AnswerSelfTest, Effect, KeepNote, MeasureSelfTest
from edge.player.proof import UNTIMED_ERROR_MS
from edge.proof import verdict
from edge.proof.ears import Swept
from edge.proof.sweep import TEST_MS
from edge.proof.verdict import Finding, Reference
from protocol.candidate import Candidate
from protocol.messages import BroadcastClass, HeardBy, Reality, SelfTestRecord, SelfTestVerdict, SourceKind
from protocol.quiet import time_zone_of
from protocol.units import NS_PER_MS, SAMPLES_PER_MS, MonotonicNs, Now, SharedMs, SharedNs

REFERENCE: Final = "self_test"
"""Under which name the store keeps the reference."""
TITLE: Final = "Tự kiểm tra loa / loudspeaker self-test"
AHEAD_MS: Final = 2_500
"""From the decision to the first sample: the card and the microphone open, the amplifier warms."""
SHOWN_AFTER_MS: Final = 10
"""Whoever decides what sounds has had its turn when a test of the day begins, and is woken once more for it."""
BUSY_MS: Final = 60_000
"""Nothing may be due so soon after: a test never delays a programme, and never sounds right before one."""
MEASURE_AFTER_MS: Final = 300
"""Behind its end: the last samples are on their way from the microphone."""
ANSWER_MS_MAX: Final = 10_000
"""The ears answer within some 0.1 s; without an answer the test has failed."""
RETRY_MS: Final = 600_000
TRIES: Final = 6
TURN_S: Final = 20
TURNS: Final = 45
"""Begins within a quarter of an hour, each pole in one of so many turns."""
BAD: Final = frozenset(
    {
        SelfTestVerdict.WEAK,
        SelfTestVerdict.CHANGED,
        SelfTestVerdict.SILENT,
        SelfTestVerdict.AMPLIFIER,
        SelfTestVerdict.HORN,
        SelfTestVerdict.SHORT,
    }
)
"""What a person must go and look at."""


class SelfTestState(StrEnum):
    """The steps of one test."""

    IDLE = "idle"
    WAITING = "waiting"
    SOUNDING = "sounding"
    MEASURING = "measuring"


class SelfTestStep(StrEnum):
    """What moves it."""

    WANTED = "wanted"
    BEGUN = "begun"
    OVER = "over"
    DONE = "done"


TRANSITIONS: Final[dict[tuple[SelfTestState, SelfTestStep], SelfTestState]] = {
    (SelfTestState.IDLE, SelfTestStep.WANTED): SelfTestState.WAITING,
    (SelfTestState.WAITING, SelfTestStep.BEGUN): SelfTestState.SOUNDING,
    (SelfTestState.WAITING, SelfTestStep.DONE): SelfTestState.IDLE,
    (SelfTestState.SOUNDING, SelfTestStep.OVER): SelfTestState.MEASURING,
    (SelfTestState.MEASURING, SelfTestStep.DONE): SelfTestState.IDLE,
}
"""Pairs that do not stand here change nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A test that a person asked for; `ticket` names the question."""

    ticket: int
    takes_reference: bool


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What followed: effects to run, and the record of a test that is over."""

    effects: list[Effect]
    record: SelfTestRecord | None = None


class SelfTest:
    """The self-test of one node; its owner says by `hinders` why a candidate may not sound now, empty when it may."""

    def __init__(self, *, node: str, sensors: tuple[HeardBy, ...]) -> None:
        self.hinders: Callable[[Candidate, Now], str] = lambda *_: ""
        self.state = SelfTestState.IDLE
        self.reference: Reference | None = None
        self._sensors = sensors
        self._turn_ms: Final = zlib.crc32(node.encode()) % TURNS * TURN_S * 1_000
        self._asked: Asked | None = None
        self._starts_ms = SharedMs(0)
        self._gain_db = 0.0
        self._due_ms: SharedMs | None = None
        self._due_of: tuple[int | None, str] = (None, "")
        self._tries = 0
        self._shown_at = self._over_at = MonotonicNs(0)
        self._answer_by: MonotonicNs | None = None

    def restore(self, note: bytes | None) -> None:
        """Take in the reference that was kept."""
        self.reference = verdict.decode(note)

    @property
    def delays_ms(self) -> dict[HeardBy, float]:
        """How much later each sensor heard the horn at installation."""
        return {} if self.reference is None else {each.by: each.delay_ms for each in self.reference.sensors}

    def ask(self, asked: Asked, now: Now) -> Outcome:
        """A person asks for a test."""
        if self.state is not SelfTestState.IDLE:
            return self._refused(asked, SelfTestVerdict.NOT_RUN, "another self-test is under way", now)
        if not self._sensors:
            detail = "no microphone, tap or current is configured: see hearing in docs/configuration.md"
            return self._refused(asked, SelfTestVerdict.NO_SENSOR, detail, now)
        if not now.is_time_known:
            return self._refused(
                asked, SelfTestVerdict.NOT_RUN, "the time is not known yet: nothing planned may sound", now
            )
        self._asked = asked
        self._begin(now)
        why = self.hinders(self._candidate(), now)
        if why:
            return self._done(Finding(verdict=SelfTestVerdict.NOT_RUN, detail=why), now)
        self._move(SelfTestStep.BEGUN)
        return Outcome(effects=[])

    def candidate(self) -> tuple[Candidate, ...]:
        """The test, while it is to sound."""
        return (self._candidate(),) if self.state is SelfTestState.SOUNDING else ()

    def settle(self, place: Place, gain_db: float, now: Now) -> Outcome:
        """Whatever is due now: begin the day's test, ask the ears, give up waiting for them."""
        if self.state is SelfTestState.SOUNDING:
            self._gain_db = gain_db
            if now.monotonic_ns >= self._over_at:
                self._move(SelfTestStep.OVER)
                self._answer_by = MonotonicNs(now.monotonic_ns + ANSWER_MS_MAX * NS_PER_MS)
                return Outcome(effects=[MeasureSelfTest(first_sample=self._starts_ms * SAMPLES_PER_MS)])
        elif self.state is SelfTestState.MEASURING:
            if self._answer_by is not None and now.monotonic_ns >= self._answer_by:
                return self._done(Finding(verdict=SelfTestVerdict.NOT_RUN, detail="the ears did not answer"), now)
        elif self._sensors and now.is_time_known:
            return self._settle_daily(place, now)
        return Outcome(effects=[])

    def measured(self, swept: Swept, now: Now) -> Outcome:
        """What the ears say; nothing follows from an answer that nobody waits for."""
        if self.state is not SelfTestState.MEASURING:
            return Outcome(effects=[])
        found = verdict.find(swept, self.reference, gain_db=self._gain_db)
        effects: list[Effect] = []
        if self._asked is not None and self._asked.takes_reference and found.verdict is not SelfTestVerdict.NOT_RUN:
            reference = verdict.reference_of(swept, at_ms=now.shared_ms, gain_db=self._gain_db)
            if reference is not None:
                self.reference = reference
                effects.append(KeepNote(name=REFERENCE, payload=verdict.encode(reference)))
                taken = verdict.find(swept, reference, gain_db=self._gain_db)
                found = Finding(
                    verdict=SelfTestVerdict.REFERENCE_TAKEN,
                    detail="this is how it sounds here; later tests are compared with it",
                    heard=taken.heard,
                    noise_dbfs=taken.noise_dbfs,
                )
        outcome = self._done(found, now)
        return Outcome(effects=[*effects, *outcome.effects], record=outcome.record)

    def next_deadline(self, now: Now) -> MonotonicNs | None:
        """When `settle` has something to do."""
        if self.state is SelfTestState.SOUNDING:
            return self._shown_at if now.monotonic_ns < self._shown_at else self._over_at
        if self.state is SelfTestState.MEASURING:
            return self._answer_by
        return None if self._due_ms is None or not now.is_time_known else _at(self._due_ms, now)

    def _settle_daily(self, place: Place, now: Now) -> Outcome:
        of = (place.self_test_minute, place.time_zone)
        if of != self._due_of:
            self._due_of, self._tries = of, 0
            self._due_ms = self._next_due_ms(place, now)
        if self._due_ms is None or now.shared_ms < self._due_ms:
            return Outcome(effects=[])
        self._asked = None
        self._begin(now)
        why = self.hinders(self._candidate(), now)
        self._tries += 1
        if why and self._tries < TRIES:
            self._move(SelfTestStep.DONE)
            self._due_ms = SharedMs(now.shared_ms + RETRY_MS)
            return Outcome(effects=[])
        self._due_ms, self._tries = self._next_due_ms(place, now), 0
        if why:
            return self._done(Finding(verdict=SelfTestVerdict.NOT_RUN, detail=f"tried {TRIES} times: {why}"), now)
        self._move(SelfTestStep.BEGUN)
        return Outcome(effects=[])

    def _next_due_ms(self, place: Place, now: Now) -> SharedMs | None:
        """The next time that the wall clock shows the place's minute, and this pole's turn in it."""
        if place.self_test_minute is None:
            return None
        zone = time_zone_of(place.time_zone)
        today = datetime.fromtimestamp(now.shared_ms / 1_000, UTC).astimezone(zone).date()
        at = time(place.self_test_minute // 60, place.self_test_minute % 60, tzinfo=zone)
        days = (datetime.combine(today + timedelta(days=ahead), at) for ahead in (-1, 0, 1, 2))
        dues_ms = (SharedMs(round(day.timestamp() * 1_000) + self._turn_ms) for day in days)
        return next((due_ms for due_ms in dues_ms if due_ms > now.shared_ms), None)

    def _begin(self, now: Now) -> None:
        self._move(SelfTestStep.WANTED)
        self._starts_ms = SharedMs(now.shared_ms + AHEAD_MS)
        self._shown_at = MonotonicNs(now.monotonic_ns + SHOWN_AFTER_MS * NS_PER_MS)
        self._over_at = MonotonicNs(now.monotonic_ns + (AHEAD_MS + TEST_MS + MEASURE_AFTER_MS) * NS_PER_MS)

    def _candidate(self) -> Candidate:
        return Candidate(
            key=f"self-test:{self._starts_ms}",
            source=SourceKind.MEDIA,
            source_id="self-test",
            title=TITLE,
            broadcast_class=BroadcastClass.ROUTINE,
            reality=Reality.REAL,
            depth=99,
            starts_at_ms=self._starts_ms,
            ends_at_ms=SharedMs(self._starts_ms + TEST_MS),
            is_self_test=True,
        )

    def _done(self, found: Finding, now: Now) -> Outcome:
        self._move(SelfTestStep.DONE)
        asked, self._asked, self._answer_by = self._asked, None, None
        record = self._record(found, now)
        answers = [] if asked is None else [AnswerSelfTest(ticket=asked.ticket, record=record)]
        return Outcome(effects=list(answers), record=record)

    def _refused(self, asked: Asked, why: SelfTestVerdict, detail: str, now: Now) -> Outcome:
        """A test that was not begun: answered, and not on record."""
        record = self._record(Finding(verdict=why, detail=detail), now)
        return Outcome(effects=[AnswerSelfTest(ticket=asked.ticket, record=record)])

    def _record(self, found: Finding, now: Now) -> SelfTestRecord:
        return SelfTestRecord(
            at_ms=now.shared_ms,
            verdict=found.verdict,
            detail=found.detail[:200],
            heard=found.heard,
            noise_dbfs=found.noise_dbfs,
            reference_at_ms=None if self.reference is None else self.reference.at_ms,
            level_change_db=found.level_change_db,
            bands_change_db=found.bands_change_db,
            current_change=found.current_change,
            clock_error_ms=now.error_ns / NS_PER_MS if now.is_time_known else UNTIMED_ERROR_MS,
        )

    def _move(self, event: SelfTestStep) -> None:
        self.state = TRANSITIONS.get((self.state, event), self.state)


def _at(shared_ms: SharedMs, now: Now) -> MonotonicNs:
    return now.monotonic_at(SharedNs(shared_ms * NS_PER_MS))
