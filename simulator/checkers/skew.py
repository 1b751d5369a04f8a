"""Poles that sound the same sound it together: what neighbours hear of two of them is no echo.

Compared are the instants at which the source's first sample was or would have been heard, so the comparison needs no
common begin; less the delay by which its assignment aims a pole at that time. Poles in trouble are left out, and those
whose clock is known to be wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from simulator.checkers.evidence import (
    UNREADABLE,
    Evidence,
    Heard,
    PoleFacts,
    Violation,
    blind_poles,
    first_ones,
    overlap_ns,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """`bound_ns`: 30 ms are heard as one voice (Haas); `clock_ns_max`: a worse clock is not judged here."""

    name: str = "skew"
    bound_ns: int = 30_000_000
    clock_ns_max: int = 12_000_000
    together_ns_min: int = 200_000_000

    def judge(self, evidence: Evidence) -> list[Violation]:
        """See `Checker`."""
        found = blind_poles(self.name, evidence)
        for sounds in self._by_source(evidence).values():
            for one, other in _together(sounds, self.together_ns_min):
                apart_ns = _apart_ns(one, other)
                if apart_ns is not None and apart_ns > self.bound_ns:
                    what = f"{one.source} {apart_ns / 1e6:.1f} ms apart from {one.pole}"
                    at_ns = max(one.begins_ns, other.begins_ns)
                    found.append(Violation(checker=self.name, at_ns=at_ns, pole=other.pole, evidence=what))
        return first_ones(found)

    def _by_source(self, evidence: Evidence) -> dict[str, list[Heard]]:
        sounds: dict[str, list[Heard]] = defaultdict(list)
        for facts in evidence.judged():
            for heard in facts.heard:
                is_right = facts.clock_error_ns(heard.begins_ns, heard.ends_ns) <= self.clock_ns_max
                if (
                    heard.source != UNREADABLE
                    and is_right
                    and evidence.is_calm(facts.name, heard.begins_ns, heard.ends_ns)
                ):
                    aimed = _aimed(evidence, facts, heard)
                    if aimed is not None:
                        sounds[heard.source].append(aimed)
        return sounds


def _aimed(evidence: Evidence, facts: PoleFacts, heard: Heard) -> Heard | None:
    """The same without the delay by which the pole is aimed; None where that changed meanwhile."""
    postings = evidence.postings_at(facts.node, heard.begins_ns, heard.ends_ns, pole=facts.name)
    classes = {permit.broadcast_class for permit in evidence.permits_of(heard)}
    delays_ns = {posting.aim_ns(each) for posting in postings for each in classes}
    if not delays_ns or delays_ns == {0}:
        return heard
    if len(delays_ns) > 1 or heard.origin_ns is None or heard.origin_last_ns is None:
        return None
    [delay_ns] = delays_ns
    return replace(heard, origin_ns=heard.origin_ns - delay_ns, origin_last_ns=heard.origin_last_ns - delay_ns)


def _together(sounds: list[Heard], least_ns: int) -> Iterator[tuple[Heard, Heard]]:
    """Pairs of different poles that sounded at one time: each with the next, which is enough to find the odd one."""
    ordered = sorted(sounds, key=lambda each: (each.begins_ns, each.pole))
    groups: list[list[Heard]] = []
    for heard in ordered:
        if groups and overlap_ns(groups[-1][0], heard) >= least_ns:
            groups[-1].append(heard)
        else:
            groups.append([heard])
    for group in groups:
        for one, other in pairwise(sorted(group, key=lambda each: (each.pole, each.begins_ns))):
            if one.pole != other.pole and overlap_ns(one, other) >= least_ns:
                yield one, other


def _apart_ns(one: Heard, other: Heard) -> int | None:
    """How far apart their origins are at the least; None where one is not known."""
    if one.origin_ns is None or one.origin_last_ns is None or other.origin_ns is None or other.origin_last_ns is None:
        return None
    least = max(min(one.origin_ns, one.origin_last_ns), min(other.origin_ns, other.origin_last_ns))
    most = min(max(one.origin_ns, one.origin_last_ns), max(other.origin_ns, other.origin_last_ns))
    return max(0, least - most)


SKEW: Final = Skew()
