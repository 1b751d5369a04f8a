"""What sounded was what should have: the winner of the one collision rule, found here without the agent.

The time is cut where documents begin and end; within each piece everything that a pole surely could have sounded is
ranked by `protocol.priority`. A pole that sounds something lower, or nothing, has failed. Pieces in which the pole was
in trouble are left out; what it perhaps could not have yet (a file on its way, a stream that stutters) may sound
but need not, and neither what the place's air time may have ended, which `air_time` judges. Below speech that ducks,
what sounded before it and would sound without it goes on, and nothing else ever goes on below anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from protocol.messages import BroadcastClass, Over, SourceKind
from protocol.priority import Rank, rank
from protocol.quiet import is_quiet
from protocol.units import NS_PER_MS, SharedMs
from simulator.checkers.evidence import (
    S_NS,
    Evidence,
    Heard,
    Permit,
    PoleFacts,
    Posting,
    Violation,
    blind_poles,
    first_ones,
    seconds,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    permit: Permit
    rank: Rank
    is_sure: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Priority:
    """`settle_ns`: a document is obeyed this long after it was signed; `fetch_ns`: a file is there after that."""

    name: str = "priority"
    settle_ns: int = 4 * S_NS
    fetch_ns: int = 900 * S_NS
    stutter_ns: int = 12 * S_NS
    wrong_percent_max: int = 20

    def judge(self, evidence: Evidence) -> list[Violation]:
        """See `Checker`."""
        found = blind_poles(self.name, evidence)
        for facts in evidence.judged():
            for begins_ns, ends_ns in self._pieces(evidence, facts):
                found += self._judge(evidence, facts, begins_ns, ends_ns)
        return first_ones(found)

    def _pieces(self, evidence: Evidence, facts: PoleFacts) -> Iterator[tuple[int, int]]:
        """The calm times between changes of what is due, less a margin."""
        edges = {evidence.begins_ns, evidence.ends_ns}
        turns = {posting.turn for posting in evidence.postings.get(facts.node, [])}
        for permit in evidence.permits:
            for each in (permit, *(permit.of_turn(turn) for turn in turns if permit.turns is not None)):
                edges |= {each.begins_ns, each.over_ns, each.ends_ns, each.issued_ns}
        for posting in evidence.postings.get(facts.node, []):
            edges.add(posting.since_ns)
        for trouble in evidence.troubles_of(facts.name):
            edges |= {trouble.begins_ns, trouble.ends_ns}
        retired_ns = evidence.ends_ns if facts.retired_ns is None else facts.retired_ns
        margin_ns = max(self.settle_ns, facts.edge_ns)
        inside = sorted(edge for edge in edges if evidence.begins_ns <= edge <= retired_ns)
        for one_ns, other_ns in pairwise(inside):
            begins_ns, ends_ns = one_ns + margin_ns, other_ns - margin_ns
            if begins_ns < ends_ns and evidence.is_calm(facts.name, begins_ns, ends_ns):
                yield begins_ns, ends_ns

    def _judge(self, evidence: Evidence, facts: PoleFacts, begins_ns: int, ends_ns: int) -> Iterator[Violation]:
        postings = evidence.postings_at(facts.node, begins_ns, ends_ns, pole=facts.name)
        if len(postings) != 1 or _quiet_changes(postings[0], begins_ns, ends_ns):
            return
        due = self._due(evidence, facts, postings[0], begins_ns, ends_ns)
        best = min((each for each in due if each.is_sure), key=lambda each: each.rank, default=None)
        if best is None:
            return
        length_ns = ends_ns - begins_ns
        heard_ns: dict[str, int] = {}
        for heard in facts.heard:
            within_ns = None if heard.is_bed else _within_ns(heard, begins_ns, ends_ns)
            if within_ns is not None:
                heard_ns[heard.source] = heard_ns.get(heard.source, 0) + within_ns
        ranks = {each.permit.source: each.rank for each in due}
        better = {source for source, known in ranks.items() if known <= best.rank}
        for source, sounded_ns in heard_ns.items():
            is_much = facts.edge_ns >= S_NS or sounded_ns * 100 > length_ns * self.wrong_percent_max
            if source in ranks and source not in better and is_much:
                what = f"{source} sounds where {best.permit.source} ({best.permit.id}) should"
                yield Violation(checker=self.name, at_ns=begins_ns, pole=facts.name, evidence=what)
        silent_ns = length_ns - sum(heard_ns.get(source, 0) for source in better)
        near = {
            heard.source
            for heard in facts.heard
            if heard.begins_ns <= ends_ns + facts.edge_ns
            and heard.ends_ns >= begins_ns - facts.edge_ns
            and not heard.is_bed
        }
        if self._is_silence(facts, best.permit, silent_ns, length_ns, is_heard=bool(better & near)):
            what = f"{seconds(silent_ns)} without {best.permit.source} ({best.permit.id}), which was due"
            yield Violation(checker=self.name, at_ns=begins_ns, pole=facts.name, evidence=what)
        for what in self._below(facts, due, best, begins_ns, ends_ns):
            yield Violation(checker=self.name, at_ns=begins_ns, pole=facts.name, evidence=what)

    def _below(self, facts: PoleFacts, due: list[_Due], best: _Due, begins_ns: int, ends_ns: int) -> Iterator[str]:
        """What went on below the one that was due and should not have, or should have and did not."""
        beds_ns: dict[str, int] = {}
        for heard in facts.heard:
            within_ns = _within_ns(heard, begins_ns, ends_ns) if heard.is_bed else None
            if within_ns is not None:
                beds_ns[heard.source] = beds_ns.get(heard.source, 0) + within_ns
        others = [each for each in due if not _speaks(each.permit)] if _speaks(best.permit) else []
        expected = min((each for each in others if each.is_sure), key=lambda each: each.rank, default=None)
        allowed = {each.permit.source for each in others if expected is None or each.rank <= expected.rank}
        length_ns = ends_ns - begins_ns
        for source, sounded_ns in beds_ns.items():
            if source not in allowed and sounded_ns * 100 > length_ns * self.wrong_percent_max:
                yield f"{source} goes on below {best.permit.source} ({best.permit.id})"
        if expected is None or facts.edge_ns or not _gave_way(facts, expected.permit, best.permit):
            return
        if (length_ns - beds_ns.get(expected.permit.source, 0)) * 100 > length_ns * self.wrong_percent_max:
            yield f"{expected.permit.source} fell silent below {best.permit.source} ({best.permit.id})"

    def _is_silence(self, facts: PoleFacts, permit: Permit, silent_ns: int, length_ns: int, *, is_heard: bool) -> bool:
        if facts.edge_ns >= S_NS:
            return not is_heard
        repeat_ns, duration_ns = permit.repeat_every_ns, permit.duration_ns
        if repeat_ns is not None and duration_ns is not None:
            return length_ns > repeat_ns and not is_heard
        return silent_ns * 100 > length_ns * self.wrong_percent_max

    def _due(self, evidence: Evidence, facts: PoleFacts, posting: Posting, begins_ns: int, ends_ns: int) -> list[_Due]:
        is_quiet_now = is_quiet(posting.quiet_hours, posting.time_zone, SharedMs(begins_ns // NS_PER_MS))
        found = []
        for permit in (each.of_turn(posting.turn) for each in evidence.permits):
            holds = permit.begins_ns <= begins_ns and ends_ns <= permit.over_ns and permit.issued_ns < begins_ns
            if not holds or permit.area not in posting.areas or (is_quiet_now and not permit.is_real_emergency):
                continue
            depth = len(posting.areas) - 1 - posting.areas.index(permit.area)
            place = rank(
                permit.broadcast_class,
                depth,
                permit.begins_ns // NS_PER_MS,
                permit.key,
                reality=permit.reality,
                before_upper=permit.before_upper,
            )
            may = posting.air_time is None or permit.broadcast_class is BroadcastClass.EMERGENCY
            has_it = facts.media.get(permit.sha256 or "", ends_ns) <= begins_ns
            must = has_it or posting.fetch_bytes_max is None or permit.kind is not SourceKind.MEDIA
            is_sure = may and must and self._is_sure(evidence, facts, permit, begins_ns, ends_ns)
            found.append(_Due(permit=permit, rank=place, is_sure=is_sure))
        return found

    def _is_sure(self, evidence: Evidence, facts: PoleFacts, permit: Permit, begins_ns: int, ends_ns: int) -> bool:
        """Whether the pole must have had all that it needs for it."""
        if permit.kind is SourceKind.STREAM:
            return any(
                since_ns + self.stutter_ns <= begins_ns and ends_ns + self.stutter_ns <= until_ns
                for since_ns, until_ns in evidence.flows.get(permit.id, [])
            )
        fetched_ns = facts.media.get(permit.sha256 or "")
        if fetched_ns is not None and fetched_ns <= begins_ns:
            return True
        calm_ns = max(evidence.calm_since(facts.name, permit.issued_ns), permit.issued_ns) + self.fetch_ns
        return begins_ns >= calm_ns and evidence.is_calm(facts.name, begins_ns - self.fetch_ns, ends_ns)


def _speaks(permit: Permit) -> bool:
    return permit.over is Over.DUCK and permit.broadcast_class is not BroadcastClass.EMERGENCY


def _gave_way(facts: PoleFacts, bed: Permit, speech: Permit) -> bool:
    """Whether one was heard until the other began, so that an ear knows what to listen for below it."""
    return any(
        heard.source == bed.source and abs(heard.ends_ns - speech.begins_ns) <= S_NS and not heard.is_bed
        for heard in facts.heard
    )


def _within_ns(heard: Heard, begins_ns: int, ends_ns: int) -> int | None:
    if heard.ends_ns < begins_ns or heard.begins_ns > ends_ns:
        return None
    return min(heard.ends_ns, ends_ns) - max(heard.begins_ns, begins_ns)


def _quiet_changes(posting: Posting, begins_ns: int, ends_ns: int) -> bool:
    one, other = (
        is_quiet(posting.quiet_hours, posting.time_zone, SharedMs(at_ns // NS_PER_MS)) for at_ns in (begins_ns, ends_ns)
    )
    return one is not other


PRIORITY: Final = Priority()
