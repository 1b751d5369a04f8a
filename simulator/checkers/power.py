"""The amplifier has power for sound that was granted, and for nothing else; and nothing sounds without it.

Judged at the contact, not at the pin. While a relay is stuck or the mains are gone (a trouble of its pole), the pole
is not held responsible.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from simulator.checkers.evidence import S_NS, Evidence, PoleFacts, Violation, blind_poles, first_ones, seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerWithSound:
    """`slack_ns`: timers and the relay's own time; `stall_ns`: a stream that stutters keeps its amplifier so long."""

    name: str = "power"
    slack_ns: int = 1_500_000_000
    stall_ns: int = 8 * S_NS
    unpowered_ns_max: int = 60_000_000

    def judge(self, evidence: Evidence) -> list[Violation]:
        """See `Checker`."""
        found = blind_poles(self.name, evidence)
        for facts in evidence.judged():
            found += self._without_power(evidence, facts)
            found += self._without_sound(evidence, facts)
        return first_ones(found)

    def _without_power(self, evidence: Evidence, facts: PoleFacts) -> Iterator[Violation]:
        for heard in facts.heard:
            is_long = heard.ends_ns - heard.begins_ns > self.unpowered_ns_max or facts.edge_ns >= S_NS
            if not heard.is_powered and is_long and evidence.is_calm(facts.name, heard.begins_ns, heard.ends_ns):
                what = f"{heard.source} goes to an amplifier without power"
                yield Violation(checker=self.name, at_ns=heard.begins_ns, pole=facts.name, evidence=what)

    def _without_sound(self, evidence: Evidence, facts: PoleFacts) -> Iterator[Violation]:
        granted = self._granted(evidence, facts)
        for begins_ns, ends_ns in _powered(facts, evidence.ends_ns):
            for gap_begins_ns, gap_ends_ns in _uncovered(begins_ns, ends_ns, granted):
                is_long = gap_ends_ns - gap_begins_ns > self.slack_ns
                if is_long and evidence.is_calm(facts.name, gap_begins_ns, gap_ends_ns):
                    what = f"amplifier powered for {seconds(gap_ends_ns - gap_begins_ns)} without granted sound"
                    yield Violation(checker=self.name, at_ns=gap_begins_ns, pole=facts.name, evidence=what)

    def _granted(self, evidence: Evidence, facts: PoleFacts) -> list[tuple[int, int]]:
        """When power is right: around sound, and in the pauses of an emergency."""
        before_ns = facts.warm_up_ns + self.slack_ns + facts.edge_ns
        streams = {permit.source for permit in evidence.permits if permit.source.startswith("stream:")}
        spans = []
        for heard in facts.heard:
            after_ns = facts.hold_ns + self.slack_ns + facts.edge_ns
            after_ns += self.stall_ns if heard.source in streams else 0
            spans.append((heard.begins_ns - before_ns, heard.ends_ns + after_ns))
        for permit in evidence.permits:
            if permit.repeat_every_ns is not None:
                over_ns = min(permit.over_ns, evidence.ends_ns)
                if any(heard.source == permit.source for heard in facts.heard):
                    spans.append((permit.begins_ns - before_ns, over_ns + facts.hold_ns + 3 * self.slack_ns))
        return sorted(spans)


def _powered(facts: PoleFacts, ends_ns: int) -> Iterator[tuple[int, int]]:
    since_ns: int | None = None
    for at_ns, is_on in facts.power:
        if is_on and since_ns is None:
            since_ns = at_ns
        elif not is_on and since_ns is not None:
            yield since_ns, at_ns
            since_ns = None
    if since_ns is not None:
        yield since_ns, ends_ns


def _uncovered(begins_ns: int, ends_ns: int, spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The parts of a time that no span covers; spans are sorted."""
    at_ns = begins_ns
    for span_begins_ns, span_ends_ns in spans:
        if span_begins_ns >= ends_ns:
            break
        if span_begins_ns > at_ns:
            yield at_ns, span_begins_ns
        at_ns = max(at_ns, span_ends_ns)
    if at_ns < ends_ns:
        yield at_ns, ends_ns


POWER: Final = PowerWithSound()
