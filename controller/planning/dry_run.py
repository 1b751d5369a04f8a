"""What will sound on one pole, and why: the plans of its places played through in advance; pure.

It asks what the node asks: the same candidates (`protocol.candidate`), the same choice among them (`protocol.slots`),
the same rules of the place with their count of air time (`protocol.house_rules`), from edge to edge. So what it says is
what the node does, as far as it can be known beforehand: that the media is there, that a relay's station answers, that
nobody speaks or raises an emergency meanwhile, that the time is known and the power is on (`foresight` warns of what is
known of media and stations now).

Rules kept: every item that touches the asked time is told, with its fate, how loud it sounds and where a cap holds it
down; who loses is told to whom and by which step of the collision rule, who is refused is told by which rule of the
place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from protocol.air_time import LEAST_MS, NOTHING_AIRED, Aired, with_interruption, with_sound
from protocol.candidate import Candidate, order, planned_candidates
from protocol.house_rules import HouseRules, forbids, gain_db_max, next_change_ms, uses_air_time
from protocol.messages import BroadcastClass, Plan
from protocol.slots import on_air
from protocol.units import SharedMs

GAIN_DB_MAX: Final = 12.0
"""No pole plays louder than this above its calibrated level (`edge.guard`)."""
STEPS_MAX: Final = 200_000
"""Edges of one run: a month of 4,096 items in each of eight plans, twice over; more is a fault of ours."""


class Why(StrEnum):
    """The step of the collision rule by which one item comes before another."""

    CLASS = "class"
    REALITY = "reality"
    ORDER = "order"
    """Priority against priority, as the lower area has ordered."""
    LEVEL = "level"
    FIRST = "first"
    """It begins earlier."""
    NAME = "name"
    """All else is equal; by name, so that every pole decides alike."""


class Verdict(StrEnum):
    """What becomes of an item."""

    SOUNDS = "sounds"
    PARTLY = "partly"
    SILENT = "silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pole:
    """One pole as its assignment makes it; `areas` runs from its own up to the root."""

    node: str
    areas: tuple[str, ...]
    rules: HouseRules
    gain_db: float = 0.0
    turn: int = 0
    aim_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of time; of sound, `is_bed` below another's speech.

    `gain_db` is how loud it plays (above the calibrated level), `is_capped` where a cap of the place holds it down.
    """

    from_ms: int
    until_ms: int
    is_bed: bool = False
    gain_db: float = 0.0
    is_capped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """That an item was silent for another, and by which step of the rule."""

    to: str
    why: Why
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """That a rule of the place kept an item silent; the reason is that of the node's records."""

    reason: str
    span: Span


@dataclass(slots=True, kw_only=True)
class Fate:
    """One item and what becomes of it."""

    candidate: Candidate
    sounds: list[Span] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """In a word."""
        if not self.sounds:
            return Verdict.SILENT
        return Verdict.PARTLY if self.losses or self.refusals else Verdict.SOUNDS

    @property
    def sounding_ms(self) -> int:
        """For how long it is heard."""
        return sum(span.until_ms - span.from_ms for span in self.sounds)


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What one pole does between two instants; `known_until_ms` is how far all of its plans reach."""

    pole: Pole
    from_ms: int
    until_ms: int
    known_until_ms: int | None
    fates: tuple[Fate, ...]


def dry_run(pole: Pole, plans: Iterable[Plan], *, from_ms: int, until_ms: int, aired: Aired = NOTHING_AIRED) -> DryRun:
    """Play plans through; `aired` is what has used the pole's air time before."""
    candidates, known_until_ms = planned_candidates(tuple(plans), pole.areas, pole.turn, pole.aim_us)
    coming = [_live(each) for each in candidates if each.ends_at_ms > from_ms and each.starts_at_ms < until_ms]
    run = _Run(pole, coming, aired)
    run.play(from_ms, until_ms)
    return DryRun(
        pole=pole, from_ms=from_ms, until_ms=until_ms, known_until_ms=known_until_ms, fates=tuple(run.fates.values())
    )


def _live(candidate: Candidate) -> Candidate:
    """A planned relay sounds as a stream, whose name comes behind those of files where all else is equal."""
    return replace(candidate, key=f"stream:{candidate.key}") if candidate.is_planned_relay else candidate


def why_before(winner: Candidate, loser: Candidate) -> Why:
    """By which step of the collision rule one comes before the other."""
    one, other = order(winner), order(loser)
    if one.class_order != other.class_order:
        return Why.CLASS
    if one.is_drill is not other.is_drill:
        return Why.REALITY
    if one.level != other.level:
        is_ordered = winner.broadcast_class is BroadcastClass.PRIORITY and winner.before_upper
        return Why.ORDER if is_ordered else Why.LEVEL
    return Why.FIRST if one.starts_at_ms != other.starts_at_ms else Why.NAME


class _Run:
    """One pole's air, from edge to edge."""

    def __init__(self, pole: Pole, candidates: Sequence[Candidate], aired: Aired) -> None:
        self.fates = {each.key: Fate(candidate=each) for each in candidates}
        self._rules = pole.rules
        self._gain_db = min(pole.gain_db, GAIN_DB_MAX)
        self._coming = deque(candidates)
        self._present: list[Candidate] = []
        self._aired = aired
        self._heard: frozenset[str] = frozenset()

    def play(self, from_ms: int, until_ms: int) -> None:
        """All of it."""
        at_ms = SharedMs(from_ms)
        for _ in range(STEPS_MAX):
            self._take_in(at_ms)
            if at_ms >= until_ms or not (self._present or self._coming):
                return
            if not self._present:
                at_ms = self._coming[0].starts_at_ms
                self._heard = frozenset()
                continue
            after_ms = SharedMs(min(until_ms, self._next_edge_ms(at_ms)))
            self._stretch(at_ms, after_ms)
            at_ms = after_ms
        raise AssertionError(f"{STEPS_MAX} edges between {from_ms} and {until_ms}")

    def _take_in(self, at_ms: SharedMs) -> None:
        self._present = [each for each in self._present if each.ends_at_ms > at_ms]
        while self._coming and self._coming[0].starts_at_ms <= at_ms:
            candidate = self._coming.popleft()
            if candidate.ends_at_ms > at_ms:
                self._present.append(candidate)

    def _next_edge_ms(self, at_ms: SharedMs) -> int:
        edges: list[int] = [each.ends_at_ms for each in self._present]
        if self._coming:
            edges.append(self._coming[0].starts_at_ms)
        changes_ms = next_change_ms(self._rules, self._present, at_ms, aired=self._aired)
        if changes_ms is None:
            return min(edges)
        almost_ms = changes_ms - LEAST_MS + 1  # what does not sound by then has too little air time left to begin
        return min(*edges, changes_ms if almost_ms <= at_ms else almost_ms)

    def _stretch(self, from_ms: SharedMs, until_ms: SharedMs) -> None:
        """Between two edges nothing changes: who sounds, and what becomes of everybody else."""
        forbidden = {each.key: self._forbids(each, from_ms) for each in self._present}
        owner, bed = on_air(self._present, lambda each, _: forbidden[each.key], from_ms)
        sounding = {each.key for each in (owner, bed) if each is not None}
        for candidate in self._present:
            fate, reason = self.fates[candidate.key], forbidden[candidate.key]
            if candidate.key in sounding:
                _add_span(fate.sounds, self._sound(candidate, from_ms, until_ms, is_bed=candidate is bed))
            elif reason is not None:
                _add(fate.refusals, Refusal(reason=reason, span=Span(from_ms=from_ms, until_ms=until_ms)))
            elif owner is not None:
                span = Span(from_ms=from_ms, until_ms=until_ms)
                _add(fate.losses, Loss(to=owner.key, why=why_before(owner, candidate), span=span))
        self._count([each for each in (owner, bed) if each is not None], from_ms, until_ms)

    def _sound(self, candidate: Candidate, from_ms: SharedMs, until_ms: SharedMs, *, is_bed: bool) -> Span:
        """A stretch of sound, as loud as the node plays it."""
        cap_db = gain_db_max(self._rules, candidate, from_ms)
        is_capped = cap_db is not None and cap_db < self._gain_db
        gain_db = cap_db if cap_db is not None and is_capped else self._gain_db
        return Span(from_ms=from_ms, until_ms=until_ms, is_bed=is_bed, gain_db=gain_db, is_capped=is_capped)

    def _forbids(self, candidate: Candidate, at_ms: SharedMs) -> str | None:
        is_on_air = candidate.key in self._heard
        found = forbids(self._rules, candidate, at_ms, aired=self._aired, is_on_air=is_on_air)
        return None if found is None else found.value

    def _count(self, heard: Sequence[Candidate], from_ms: SharedMs, until_ms: SharedMs) -> None:
        """What sounded uses the place's air time, as the node counts it."""
        bound = [each for each in heard if uses_air_time(each)]
        self._heard = frozenset(each.key for each in bound)
        if self._rules.air_time is None or not heard:
            return
        if bound:
            starts_at_ms = bound[0].starts_at_ms
            self._aired = with_sound(
                self._aired, self._rules.air_time, starts_at_ms=starts_at_ms, from_ms=from_ms, until_ms=until_ms
            )
        else:
            self._aired = with_interruption(self._aired, self._rules.air_time, from_ms=from_ms, until_ms=until_ms)


def _add_span(spans: list[Span], span: Span) -> None:
    if (
        spans
        and spans[-1].until_ms == span.from_ms
        and replace(spans[-1], until_ms=span.until_ms) == replace(span, from_ms=spans[-1].from_ms)
    ):
        span = replace(span, from_ms=spans.pop().from_ms)
    spans.append(span)


def _add(found: list[Loss] | list[Refusal], new: Loss | Refusal) -> None:
    """Add what kept an item silent, or make the last of it longer."""
    last = found[-1] if found else None
    if last is not None and last.span.until_ms == new.span.from_ms and replace(new, span=last.span) == last:
        found.pop()
        new = replace(new, span=Span(from_ms=last.span.from_ms, until_ms=new.span.until_ms))
    found.append(new)  # type: ignore[arg-type] # each list holds one kind
