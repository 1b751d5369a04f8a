"""What a node can prove: takes in the studio's records, adds what fell into times without power or clock, keeps all.

Composes `judged` (which planned items have a record) and the self-test with the outbox, which numbers, chains, signs
and stores. It leaves to the studio what sounded and why, to the outbox how records reach the controller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from edge.effects import AnswerSelfTest, Effect, KeepNote, LogDecision, LogLevel
from edge.events import Restored, SelfTestAsked, SelfTestMeasured
from edge.gpio.faults import Fault
from edge.guard import Guard
from edge.health import Health
from edge.outbox import Outbox
from edge.proof import judged
from edge.proof.judged import Judged
from edge.proof.self_test import BAD, BUSY_MS, REFERENCE, Asked, Outcome, SelfTest
from protocol.candidate import Candidate
from protocol.messages import AiringRecord, AiringState, HeardBy, SelfTestVerdict
from protocol.units import MonotonicNs, Now, SharedMs

UNHEARD_MAX: Final = 5
"""Once or twice a lorry stands below the pole; not five times in a row."""
Settled = tuple[str, SharedMs] | None
"""The planned item that a record settles, by its key, and when that ends; None of what no plan says."""


class ProofDesk:
    """The proof of one node.

    `is_busy` says whether anything sounds or will within so many milliseconds; `expect` is told how much later each
    sensor hears the horn, once that is known.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        health: Health,
        guard: Guard,
        self_test: SelfTest,
        is_busy: Callable[[Now, int], bool],
        expect: Callable[[Mapping[HeardBy, float]], None],
    ) -> None:
        self._outbox: Final = outbox
        self._health: Final = health
        self._guard: Final = guard
        self._is_busy = is_busy
        self._expect = expect
        self._judged: Final = Judged()
        self._self_test: Final = self_test
        self._unheard = 0
        """Airings in a row of which a sensor says that they were not heard."""
        self._is_test_bad = False
        """Whether the last self-test that could tell was bad; hearing a weak or shorted horn does not mend it."""
        self_test.hinders = self._hinders

    def restore(self, restored: Restored, now: Now) -> None:
        """Take in what the run before left: reports that wait, what was judged, the reference of the self-test."""
        self._outbox.restore(restored, now)
        self._judged.restore(restored.note(judged.NOTE), now)
        self._self_test.restore(restored.note(REFERENCE))
        self._expect(self._self_test.delays_ms)

    def keep(self, records: Iterable[tuple[AiringRecord, Settled]], now: Now) -> list[Effect]:
        """Number, sign and store records; each with what it settles, in one step of the disk."""
        effects: list[Effect] = []
        for record, settled in records:
            if settled is None:
                effects += self._outbox.append(record)
            elif record.state is AiringState.STARTED or not self._judged.knows(settled[0]):
                # of what the run before has begun or refused, a second record would say that it was missed too
                self._judged.recorded(*settled)
                effects += self._outbox.append(record, note=(judged.NOTE, self._judged.note))
            effects += self._listened(record, now)
        return effects

    def _listened(self, record: AiringRecord, now: Now) -> list[Effect]:
        """Airing after airing that nobody can have heard is a broken horn, long before the next self-test."""
        is_heard = None if record.heard is None else record.heard.is_heard
        if is_heard is None:
            return []
        if is_heard:
            was_unheard, self._unheard = self._unheard >= UNHEARD_MAX, 0
            return self._health.cleared(Fault.HORN, now) if was_unheard and not self._is_test_bad else []
        self._unheard += 1
        if self._unheard != UNHEARD_MAX:
            return []
        detail = f"{UNHEARD_MAX} airings in a row were not heard: horn, cable, amplifier, or much noise around"
        return self._health.fault(Fault.HORN, detail, now)

    def told(self, event: SelfTestAsked | SelfTestMeasured, now: Now) -> list[Effect]:
        """A person asks for a self-test, or the ears say what came of one."""
        if isinstance(event, SelfTestMeasured):
            return self._tested(self._self_test.measured(event.swept, now), now)
        asked = Asked(ticket=event.ticket, takes_reference=event.takes_reference)
        return self._tested(self._self_test.ask(asked, now), now)

    def candidates(self) -> tuple[Candidate, ...]:
        """The self-test, while it is to sound."""
        return self._self_test.candidate()

    def settle(self, planned: tuple[Candidate, ...], now: Now) -> list[Effect]:
        """Put on record what the plans say was due and nothing has become of; after the studio has settled."""
        place = self._guard.place
        effects = self._tested(self._self_test.settle(place, place.gain_db, now), now)
        missed = self._judged.settle(planned, now)
        if self._judged.take_new():
            effects.append(KeepNote(name=judged.NOTE, payload=self._judged.note))
        if missed:
            first = missed[0][1]
            fields = (("items", len(missed)), ("first", first.title), ("reason", first.reason))
            effects.append(LogDecision(decision="missed", fields=fields))
            effects += self.keep(((record, (each.key, each.ends_at_ms)) for each, record in missed), now)
        return effects

    def next_deadline(self, now: Now) -> MonotonicNs | None:
        """When there is more to put on record, or a self-test is due."""
        waits = (self._judged.next_deadline(), self._self_test.next_deadline(now))
        return min((wait for wait in waits if wait is not None), default=None)

    def _tested(self, outcome: Outcome, now: Now) -> list[Effect]:
        record = outcome.record
        if record is None:
            return outcome.effects
        # the answer comes last: whoever asked may look at the records then
        answers: list[Effect] = [each for each in outcome.effects if isinstance(each, AnswerSelfTest)]
        effects: list[Effect] = [each for each in outcome.effects if not isinstance(each, AnswerSelfTest)]
        is_bad = record.verdict in BAD
        fields = (("verdict", record.verdict.value), ("detail", record.detail))
        level = LogLevel.WARNING if is_bad else LogLevel.INFO
        effects.append(LogDecision(decision="self-test", fields=fields, level=level))
        effects += self._outbox.append(record)
        if is_bad:
            self._is_test_bad = True
            effects += self._health.fault(Fault.HORN, f"{record.verdict.value}: {record.detail}", now)
        elif record.verdict in (SelfTestVerdict.PASSED, SelfTestVerdict.REFERENCE_TAKEN):
            self._expect(self._self_test.delays_ms)
            self._is_test_bad, self._unheard = False, 0
            effects += self._health.cleared(Fault.HORN, now)
        return [*effects, *answers]

    def _hinders(self, candidate: Candidate, now: Now) -> str:
        """Why a self-test may not sound now."""
        for at_ms in (candidate.starts_at_ms, candidate.ends_at_ms):
            forbidden = self._guard.blocks(candidate, at_ms)
            if forbidden is not None:
                return f"it may not sound now: {forbidden.value}"
        if self._is_busy(now, BUSY_MS):
            return f"something sounds, or will within {BUSY_MS // 1_000} s"
        return ""
