"""What a scenario expects, judged from the evidence of its run. What cannot be found out has not been met."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from controller.errors import RequestError
from controller.records import EmergencyRecord
from protocol.messages import AiringState, FaultRecord, SourceKind
from protocol.units import NS_PER_MS
from simulator.checkers.airings import airings_of
from simulator.checkers.evidence import EVERYBODY, Evidence, PoleFacts, Violation
from simulator.checkers.heard import own_arrivals
from simulator.commune import Province
from simulator.evidence.witness import Witness
from simulator.runs.scenario import Scenario
from simulator.runs.stage import Stage
from simulator.runs.steps import (
    Broken,
    Claims,
    Denied,
    Echoes,
    Expectation,
    Hears,
    Judged,
    Missed,
    Named,
    Noted,
    Raise,
    Recorded,
    Refused,
    Reported,
    Silent,
    Tested,
)

NAME: Final = "expect"
PAUSE_NS: Final = 2_000_000_000
"""An emergency pauses between its repetitions: what begins this soon counts as sounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run that is over."""

    scenario: Scenario
    province: Province
    stage: Stage
    witness: Witness
    evidence: Evidence


def unmet(run: Run) -> list[Violation]:
    """Every expectation that the run does not bear out, and every request that was answered otherwise."""
    found: list[Violation] = list(_answers(run))
    for expectation in run.scenario.expect:
        found += _JUDGES[type(expectation)](run, expectation)
    return found


def _poles(run: Run, expectation: Expectation) -> Iterator[PoleFacts]:
    """The machines that an expectation names, by their own names or their nodes'."""
    for facts in run.evidence.poles.values():
        if not expectation.poles or facts.name in expectation.poles or facts.node in expectation.poles:
            yield facts


def _violation(run: Run, pole: str, what: str, *, at_ns: int | None = None) -> Violation:
    return Violation(checker=NAME, at_ns=run.evidence.ends_ns if at_ns is None else at_ns, pole=pole, evidence=what)


def _answers(run: Run) -> Iterator[Violation]:
    for name, asked in run.stage.asked.items():
        step = next((each for each in run.scenario.steps if getattr(each, "name", None) == name), None)
        is_refused = isinstance(asked.answer, RequestError)
        if asked.answer is None:
            yield _violation(run, EVERYBODY, f"{name}: the controller never answered")
        elif is_refused and not (isinstance(step, Raise) and step.is_refused):
            yield _violation(run, EVERYBODY, f"{name}: the controller refused: {asked.answer}")
        elif isinstance(step, Raise) and step.is_refused and not is_refused:
            yield _violation(run, EVERYBODY, f"{name}: the controller should have refused it")


def _hears(run: Run, expected: Hears) -> Iterator[Violation]:
    at_ns = run.province.instant(expected.at, day=expected.day)
    for facts in _poles(run, expected):
        now = {
            heard.source
            for heard in facts.heard
            if heard.begins_ns - facts.edge_ns - PAUSE_NS <= at_ns <= heard.ends_ns + facts.edge_ns and heard.is_powered
        }
        is_met = any(source == expected.source or source.startswith(f"{expected.source}:") for source in now)
        if not is_met:
            what = f"{expected.source} should sound at {expected.at}; heard: {', '.join(sorted(now)) or 'nothing'}"
            yield _violation(run, facts.name, what, at_ns=at_ns)


def _silent(run: Run, expected: Silent) -> Iterator[Violation]:
    from_ns = run.province.instant(expected.at, day=expected.day)
    until_ns = run.province.instant(expected.until, day=expected.day)
    for facts in _poles(run, expected):
        if facts.looked_ns is None:
            yield _violation(run, facts.name, "nobody listened", at_ns=from_ns)
        for heard in facts.heard:
            if heard.begins_ns < until_ns and heard.ends_ns > from_ns and heard.is_powered:
                what = f"{heard.source} sounds between {expected.at} and {expected.until}"
                yield _violation(run, facts.name, what, at_ns=max(from_ns, heard.begins_ns))
                break


def _refused(run: Run, expected: Refused) -> Iterator[Violation]:
    for facts in _poles(run, expected):
        count = run.witness.refused[facts.name, expected.reason]
        if count < expected.at_least:
            known = {reason: number for (pole, reason), number in run.witness.refused.items() if pole == facts.name}
            what = f"refused {count} times as {expected.reason}, expected {expected.at_least}; {known}"
            yield _violation(run, facts.name, what)


def _recorded(run: Run, expected: Recorded) -> Iterator[Violation]:
    for facts in _poles(run, expected):
        count = sum(
            stored.node == facts.node
            and stored.record.state is expected.state
            and expected.reason in {None, stored.record.reason}
            for stored in run.evidence.records
        )
        if count < expected.at_least:
            what = f"{count} airings {expected.state.value} ({expected.reason}) on record, expected {expected.at_least}"
            yield _violation(run, facts.name, what)


def _missed(run: Run, expected: Missed) -> Iterator[Violation]:
    asked = run.stage.asked.get(expected.of)
    answer = None if asked is None else asked.answer
    if not isinstance(answer, EmergencyRecord):
        yield _violation(run, EVERYBODY, f"{expected.of} was not raised")
        return
    fact = next((each for each in run.evidence.emergencies if each.id == answer.id), None)
    named = None if fact is None else set(fact.missed)
    if named != set(expected.poles):
        yield _violation(run, EVERYBODY, f"{expected.of}: named as missed {named}, expected {set(expected.poles)}")


def _reported(run: Run, expected: Reported) -> Iterator[Violation]:
    reports = run.province.controller.database.reports.values()
    for facts in _poles(run, expected):
        told = [
            stored.record.active
            for stored in reports
            if isinstance(stored.record, FaultRecord)
            and (stored.node, stored.record.fault) == (facts.node, expected.fault)
        ]
        if True not in told:
            yield _violation(run, facts.name, f"the fault {expected.fault} was never reported")
        elif expected.is_over and told[-1]:
            yield _violation(run, facts.name, f"the fault {expected.fault} was reported, and never that it was over")


def _tested(run: Run, expected: Tested) -> Iterator[Violation]:
    for facts in _poles(run, expected):
        verdicts = [record.verdict for node, record in run.evidence.self_tests if node == facts.node]
        if verdicts.count(expected.verdict) < expected.at_least:
            what = f"its self-tests say {[each.value for each in verdicts]}, expected {expected.verdict.value}"
            yield _violation(run, facts.name, what)


def _noted(run: Run, expected: Noted) -> Iterator[Violation]:
    count = sum(note.what == expected.what for _, note in run.province.controller.notes)
    if count < expected.at_least:
        yield _violation(run, EVERYBODY, f"the controller noted {expected.what} {count} times")


def _denied(run: Run, expected: Denied) -> Iterator[Violation]:
    if run.province.broker.denied < expected.at_least:
        yield _violation(run, EVERYBODY, f"the broker denied {run.province.broker.denied} messages")


def _claims(run: Run, expected: Claims) -> Iterator[Violation]:
    at_ns = run.province.instant(expected.at, day=expected.day)
    airings = airings_of(run.evidence)
    for facts in _poles(run, expected):
        ids = {permit.id for permit in run.evidence.permits if permit.source == expected.source}
        is_claimed = any(
            airing.source_id in ids and airing.begins_ns <= at_ns < (airing.ends_ns or run.evidence.ends_ns)
            for airing in airings.get(facts.node, {}).values()
        )
        slack_ns = facts.edge_ns + PAUSE_NS
        heard = {arrival.source for arrival in own_arrivals(facts, at_ns - slack_ns, at_ns + slack_ns)}
        if not is_claimed:
            yield _violation(run, facts.name, f"no record claims {expected.source} at {expected.at}", at_ns=at_ns)
        if expected.source in heard:
            what = f"{expected.source} is heard at {expected.at}, where it should be claimed only: {expected.reason}"
            yield _violation(run, facts.name, what, at_ns=at_ns)


def _echoes(run: Run, expected: Echoes) -> Iterator[Violation]:
    from_ns, until_ns = (run.province.instant(clock, day=expected.day) for clock in (expected.at, expected.until))
    for facts in _poles(run, expected):
        echoes = run.province.microphone(facts.name).echoes_ns(from_ns, until_ns)
        neighbours = {name for name, _, _ in echoes}
        if len(neighbours) < expected.neighbours:
            what = f"its microphone hears {sorted(neighbours)} beside its own horn, expected {expected.neighbours}"
            yield _violation(run, facts.name, what, at_ns=from_ns)
        for name, source, late_ns in echoes:
            if abs(late_ns) > expected.within_ms * NS_PER_MS:
                what = f"{source} from {name} comes {late_ns / NS_PER_MS:.1f} ms beside the way of the sound"
                yield _violation(run, facts.name, what, at_ns=from_ns)


def _named(run: Run, expected: Named) -> Iterator[Violation]:
    at_ns = run.province.instant(expected.at, day=expected.day)
    lost = run.stage.lost.get(at_ns)
    if lost is None or lost != set(expected.poles):
        named = "nobody could ask" if lost is None else sorted(lost)
        what = f"lost at {expected.at} by the controller's page: {named}, expected {sorted(expected.poles)}"
        yield _violation(run, EVERYBODY, what, at_ns=at_ns)


def _broken(run: Run, expected: Broken) -> Iterator[Violation]:
    from_ms, until_ms = (
        run.province.instant(clock, day=expected.day) // NS_PER_MS for clock in (expected.at, expected.until)
    )
    for facts in _poles(run, expected):
        ended = [
            stored.record
            for stored in run.evidence.records
            if stored.node == facts.node
            and (stored.record.state, stored.record.source) == (AiringState.FINISHED, SourceKind.STREAM)
            and from_ms <= stored.record.at_ms < until_ms
        ]
        broken_ms = sum(record.concealed_ms + record.silent_ms for record in ended)
        if not ended or not expected.least_ms <= broken_ms <= expected.most_ms:
            what = f"{broken_ms} ms guessed or missing in {len(ended)} airings ended {expected.at} to {expected.until}"
            yield _violation(run, facts.name, f"{what}; expected {expected.least_ms} to {expected.most_ms} ms")


def _judged(run: Run, expected: Judged) -> Iterator[Violation]:
    from_ms, until_ms = (
        run.province.instant(clock, day=expected.day) // NS_PER_MS for clock in (expected.at, expected.until)
    )
    for facts in _poles(run, expected):
        said = [
            stored.record.heard.is_heard
            for stored in run.evidence.records
            if stored.node == facts.node
            and stored.record.state is AiringState.FINISHED
            and stored.record.heard is not None
            and from_ms <= stored.record.at_ms < until_ms
        ]
        if said.count(expected.is_heard) < expected.at_least or (not expected.is_heard) in said:
            what = f"its sensor says of {len(said)} airings ended {expected.at} to {expected.until}: {said}"
            yield _violation(run, facts.name, f"{what}; expected {expected.at_least} of {expected.is_heard}")


_JUDGES: Final[dict[type, Callable[[Run, Any], Iterator[Violation]]]] = {
    Broken: _broken,
    Judged: _judged,
    Hears: _hears,
    Silent: _silent,
    Refused: _refused,
    Recorded: _recorded,
    Missed: _missed,
    Reported: _reported,
    Tested: _tested,
    Noted: _noted,
    Denied: _denied,
    Claims: _claims,
    Echoes: _echoes,
    Named: _named,
}
