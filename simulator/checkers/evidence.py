"""What was observed of a province: the values that checkers judge.

All times are true nanoseconds. What was audible comes from the ears, what had power from the relays, what was allowed
from the documents that the controller really signed; nothing here is what an agent says of itself, save its signed
records, which are judged. Checkers read; `simulator.evidence.witness` writes. A question that the evidence cannot
answer is itself a finding, for which checkers use `missing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from protocol.messages import AiringRecord, BroadcastClass, Over, QuietHours, Reality, SelfTestRecord, SourceKind
from protocol.policy import AirTime, VolumeCap
from protocol.turns import Turns, shift_ms
from protocol.units import NS_PER_MS
from simulator.pole.microphone import Place

S_NS: Final = 1_000_000_000
NS_PER_US: Final = 1_000
EVERYBODY: Final = ""
"""The pole of a trouble that everybody has."""
UNREADABLE: Final = "?"
VIOLATIONS_MAX: Final = 20
"""Findings that one checker reports of one run: the first ones tell what is wrong."""


UNSENSED: Final = frozenset({"pins_stuck", "pins_mains", "horn_dead", "too_hot"})
"""Troubles that nothing on a pole senses yet (a microphone will): its record says in good faith that it sounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One rule broken: by whom, when, and what shows it."""

    checker: str
    at_ns: int
    pole: str
    evidence: str


class Checker(Protocol):
    """Judges one subject."""

    @property
    def name(self) -> str:
        """Its subject."""

    def judge(self, evidence: Evidence) -> list[Violation]:
        """Every violation in the order of time; at most VIOLATIONS_MAX."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One source without interruption from one pole's horns, or far below another; see `ear.Sound`."""

    pole: str
    source: str
    begins_ns: int
    ends_ns: int
    is_powered: bool
    amplitude: int = 0
    origin_ns: int | None = None
    origin_last_ns: int | None = None
    is_bed: bool = False


@dataclass(slots=True, kw_only=True)
class Permit:
    """A genuine document that lets a source sound below an area between two instants.

    `withdrawn_ns` is when the controller said that it holds no more. `key` is how the collision rule names it. Of what
    is heard in `turns`, begin and end are those of the whole time; `duration_ns` is how long it sounds.
    """

    source: str
    id: str
    key: str
    kind: SourceKind
    area: str
    broadcast_class: BroadcastClass
    begins_ns: int
    ends_ns: int
    issued_ns: int
    reality: Reality = Reality.REAL
    withdrawn_ns: int | None = None
    repeat_every_ns: int | None = None
    duration_ns: int | None = None
    sha256: str | None = None
    turns: Turns | None = None
    over: Over = Over.REPLACE
    lead_ns: int = 0
    """How long an attention signal before it is, which has a permit of its own."""
    before_upper: bool = False
    valid_until_ns: int | None = None
    """From when on it is stale, though its time is not over."""

    def of_turn(self, turn: int) -> Permit:
        """The same for poles of one turn: a planned item has the air in its own turn only."""
        if self.turns is None or self.kind is not SourceKind.MEDIA or self.duration_ns is None:
            return self
        begins_ns = self.begins_ns + shift_ms(self.turns, turn) * NS_PER_MS
        return replace(self, begins_ns=begins_ns, ends_ns=begins_ns + self.duration_ns)

    @property
    def is_real_emergency(self) -> bool:
        """Whether quiet hours do not hold for it."""
        return self.broadcast_class is BroadcastClass.EMERGENCY and self.reality is Reality.REAL

    @property
    def over_ns(self) -> int:
        """When it ends, by itself or because it was withdrawn."""
        ends_ns = self.ends_ns if self.valid_until_ns is None else min(self.ends_ns, self.valid_until_ns)
        return ends_ns if self.withdrawn_ns is None else min(ends_ns, self.withdrawn_ns)


@dataclass(slots=True, kw_only=True)
class Due:
    """One planned item of one area, file or relay: each pole there sounds it, or says why it did not.

    `withdrawn_ns` is when a newer plan came that does not name it; begin and end are those of the whole round where it
    is heard in turns.
    """

    id: str
    area: str
    begins_ns: int
    ends_ns: int
    issued_ns: int
    is_relay: bool = False
    withdrawn_ns: int | None = None


@dataclass(slots=True, kw_only=True)
class Posting:
    """What one node was, from one assignment to the next."""

    node: str
    areas: tuple[str, ...]
    quiet_hours: QuietHours | None
    time_zone: str
    since_ns: int
    until_ns: int | None = None
    turn: int = 0
    aiming_delay_us: int = 0
    emergency_aiming_delay_us: int = 0
    gain_db: float = 0.0
    air_time: AirTime | None = None
    volume_caps: tuple[VolumeCap, ...] = ()
    fetch_bytes_max: int | None = None
    self_test_minute: int | None = None

    def aim_ns(self, broadcast_class: BroadcastClass) -> int:
        """By how much later than others it sounds a class."""
        is_emergency = broadcast_class is BroadcastClass.EMERGENCY
        return NS_PER_US * (self.emergency_aiming_delay_us if is_emergency else self.aiming_delay_us)


@dataclass(slots=True, kw_only=True)
class Hush:
    """A time in which nothing may sound: by order below `area` or at `node`, or by the button of the machine `pole`."""

    order: str
    begins_ns: int
    area: str | None = None
    node: str | None = None
    pole: str | None = None
    ends_ns: int | None = None
    spares_emergencies: bool = False
    spared_box: str = ""

    @property
    def is_button(self) -> bool:
        """Whether somebody pressed the button."""
        return self.pole is not None

    @property
    def what(self) -> str:
        """How the trouble is called that comes with it."""
        return "stopped" if self.is_button else "silenced"

    def concerns(self, evidence: Evidence, facts: PoleFacts) -> bool:
        """Whether it holds for a machine."""
        if self.pole is not None:
            return facts.name == self.pole
        if self.spared_box and self.spared_box == facts.box:
            return False
        if self.node is not None:
            return facts.node == self.node
        return any(self.area in posting.areas for posting in evidence.postings.get(facts.node, []))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something is wrong with a pole, or with everybody; `ends_ns` includes the time to settle afterwards."""

    pole: str
    begins_ns: int
    ends_ns: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """The size of something that must stay bounded."""

    subject: str
    name: str
    at_ns: int
    value: int
    value_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A record at the controller."""

    node: str
    report_key: str
    number: int
    received_ns: int
    record: AiringRecord


@dataclass(slots=True, kw_only=True)
class PoleFacts:
    """One machine. `edge_ns`: how exactly edges of a sound are known; `looked_ns`: when it was last looked at."""

    name: str
    node: str
    edge_ns: int
    warm_up_ns: int
    hold_ns: int
    looked_ns: int | None = None
    heard: list[Heard] = field(default_factory=list)
    power: list[tuple[int, bool]] = field(default_factory=list)
    clock_errors: list[tuple[int, int]] = field(default_factory=list)
    media: dict[str, int] = field(default_factory=dict)
    came: list[tuple[int, str, int]] = field(default_factory=list)
    """What came over its line: when, of which file, how many bytes."""
    is_on: bool = True
    is_connected: bool = True
    is_judged: bool = True
    reports_waiting: int = 0
    retired_ns: int | None = None
    box: str = ""
    has_ears: bool = False
    place: Place = field(default_factory=Place)

    def clock_error_ns(self, begins_ns: int, ends_ns: int) -> int:
        """The greatest known error of its clock between two instants, as a size."""
        within = [abs(error) for at_ns, error in self.clock_errors if begins_ns <= at_ns <= ends_ns]
        before = [abs(error) for at_ns, error in self.clock_errors if at_ns < begins_ns][-1:]
        after = [abs(error) for at_ns, error in self.clock_errors if at_ns > ends_ns][:1]
        return max((*within, *before, *after), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencyFact:
    """One emergency or drill as the controller kept it; `missed` are those that its screen names."""

    id: str
    area: str
    source: str
    reality: Reality
    raised_ns: int
    plays_ns: int
    ends_ns: int
    cleared_ns: int | None
    expected: tuple[str, ...]
    missed: tuple[str, ...]
    shifts_ms: Mapping[str, int] = field(default_factory=dict)
    round_ms: int = 0
    signal: str = ""
    """The source of its attention signal, where it has one."""


@dataclass(slots=True, kw_only=True)
class Evidence:
    """Everything of one run; `healed_ns` is when the last trouble had settled."""

    begins_ns: int
    ends_ns: int = 0
    healed_ns: int = 0
    poles: dict[str, PoleFacts] = field(default_factory=dict)
    permits: list[Permit] = field(default_factory=list)
    dues: list[Due] = field(default_factory=list)
    postings: dict[str, list[Posting]] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)
    hushes: list[Hush] = field(default_factory=list)
    cloned: set[str] = field(default_factory=set)
    """Nodes of which two units were alive: whose record is whose cannot be told."""
    records: list[Stored] = field(default_factory=list)
    report_gaps: list[tuple[str, int, str]] = field(default_factory=list)
    cut_offs: list[tuple[str, int]] = field(default_factory=list)
    """Nodes that said that their run before had ended suddenly, and when the controller had that."""
    self_tests: list[tuple[str, SelfTestRecord]] = field(default_factory=list)
    """Nodes and what their self-tests found, as the controller has it."""
    asked_tests: list[tuple[str, int]] = field(default_factory=list)
    """Machines, and when a technician asked for a self-test there."""
    emergencies: list[EmergencyFact] = field(default_factory=list)
    gauges: list[Gauge] = field(default_factory=list)
    flows: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    is_controller_up: bool = True

    def cut_off_after(self, node: str, at_ns: int) -> int | None:
        """When a node was heard to say that it had been cut off, after an instant."""
        return min((said_ns for name, said_ns in self.cut_offs if name == node and said_ns > at_ns), default=None)

    def is_calm(self, pole: str, begins_ns: int, ends_ns: int, *, despite: frozenset[str] = frozenset()) -> bool:
        """Whether nothing was wrong with a pole at any time between two instants, but for what must not matter."""
        return not any(
            trouble.begins_ns <= ends_ns and begins_ns < trouble.ends_ns and trouble.what not in despite
            for trouble in self.troubles_of(pole)
        )

    def troubles_of(self, pole: str) -> Iterator[Trouble]:
        """What was wrong with a pole, its own and everybody's."""
        return (trouble for trouble in self.troubles if trouble.pole in {pole, EVERYBODY})

    def calm_since(self, pole: str, at_ns: int, *, despite: frozenset[str] = frozenset()) -> int:
        """The first instant from `at_ns` on at which nothing is wrong with a pole, but for what must not matter."""
        since_ns = at_ns
        troubles = [trouble for trouble in self.troubles_of(pole) if trouble.what not in despite]
        for trouble in sorted(troubles, key=lambda each: each.begins_ns):
            if trouble.begins_ns <= since_ns < trouble.ends_ns:
                since_ns = trouble.ends_ns
        return since_ns

    def postings_at(self, node: str, begins_ns: int, ends_ns: int, *, pole: str) -> list[Posting]:
        """What a node may have been at some time between two instants: one that it could not hear of yet counts not."""
        found = []
        for posting in self.postings.get(node, []):
            until_ns = posting.until_ns
            learnt_ns = None if until_ns is None else self.calm_since(pole, until_ns) + 5 * S_NS
            if posting.since_ns <= ends_ns and (learnt_ns is None or begins_ns <= learnt_ns):
                found.append(posting)
        return found

    def permits_of(self, heard: Heard) -> list[Permit]:
        """The documents that name what was heard."""
        return [permit for permit in self.permits if permit.source == heard.source]

    def judged(self) -> Iterable[PoleFacts]:
        """The poles whose behaviour the product answers for."""
        return (facts for facts in self.poles.values() if facts.is_judged)


def overlap_ns(one: Heard, other: Heard) -> int:
    """How long two sounds were there together."""
    return min(one.ends_ns, other.ends_ns) - max(one.begins_ns, other.begins_ns)


def seconds(duration_ns: int) -> str:
    """For people."""
    return f"{duration_ns / S_NS:.3f} s"


def missing(checker: str, evidence: Evidence, pole: str, what: str) -> Violation:
    """There is no evidence, which is a failure."""
    return Violation(checker=checker, at_ns=evidence.ends_ns, pole=pole, evidence=f"missing evidence: {what}")


def first_ones(found: Iterable[Violation]) -> list[Violation]:
    """In the order of time, and not more than anybody reads."""
    return sorted(found, key=lambda each: (each.at_ns, each.pole, each.evidence))[:VIOLATIONS_MAX]


def blind_poles(checker: str, evidence: Evidence) -> list[Violation]:
    """Poles that nobody has looked at."""
    if not evidence.poles:
        return [missing(checker, evidence, EVERYBODY, "there are no poles")]
    return [
        missing(checker, evidence, facts.name, "nobody looked at this pole")
        for facts in evidence.judged()
        if facts.looked_ns is None
    ]
