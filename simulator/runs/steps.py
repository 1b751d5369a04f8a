"""What happens in a scenario and what is expected of it, as data: the structs behind `steps` and `expect`.

Each step names its deed in `do`, each expectation its subject in `that`; times are the place's wall clock, `day` days
after the first. `simulator.runs.stage` carries steps out, `simulator.runs.expectations` judges.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from controller.configuration.config import AreaConfig, NodeConfig, ProgrammeConfig, TimeOfDay
from protocol.messages import AiringState, BroadcastClass, Reality, SelfTestVerdict
from simulator.services.feed import FeedState

Pole = Annotated[str, Meta(min_length=1, max_length=40)]
Poles = tuple[Pole, ...]
Count = Annotated[int, Meta(ge=0, le=1_000_000)]
_NO_KEY = "0" * 64


class SimulatedNode(NodeConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`controller.configuration.config.NodeConfig`; the report key follows from the seed."""

    report_key: str = _NO_KEY


class _At(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When, by the wall clock of the place."""

    at: TimeOfDay
    day: Annotated[int, Meta(ge=0, le=366)] = 0


class _Step(_At, frozen=True, kw_only=True, tag_field="do"):
    """One deed."""


class Raise(_Step, frozen=True, kw_only=True, tag="raise"):
    """Somebody presses an emergency or a drill; `name` is how later entries call it."""

    area: str
    clip: str
    reality: Reality = Reality.REAL
    minutes: Annotated[int, Meta(ge=1, le=1440)] = 30
    name: str = "emergency"
    is_refused: bool = False
    in_turns: bool = False


class Clear(_Step, frozen=True, kw_only=True, tag="clear"):
    """The all-clear of an emergency, or with `correction` the word that it should never have been."""

    of: str = "emergency"
    correction: bool = False
    reason: str = ""


class Relay(_Step, frozen=True, kw_only=True, tag="relay"):
    """Somebody relays a station now."""

    area: str
    feed: str
    minutes: Annotated[int, Meta(ge=1, le=1440)] = 15
    broadcast_class: BroadcastClass = BroadcastClass.ROUTINE
    name: str = "relay"


class StopRelay(_Step, frozen=True, kw_only=True, tag="stop_relay"):
    """Somebody ends a relay."""

    of: str = "relay"


class Station(_Step, frozen=True, kw_only=True, tag="station"):
    """The station behind a feed's address changes."""

    url: str
    state: FeedState


class Fault(_Step, frozen=True, kw_only=True, tag="fault"):
    """One fault of `simulator.faults.faults.KINDS` on each target; durations as its parameters say."""

    kind: str
    targets: Annotated[tuple[str, ...], Meta(min_length=1)]
    parameters: dict[str, int] = {}


class Configure(_Step, frozen=True, kw_only=True, tag="configure"):
    """The controller reads its configuration again; what is named replaces what was."""

    areas: tuple[AreaConfig, ...] | None = None
    nodes: tuple[SimulatedNode, ...] | None = None
    programmes: tuple[ProgrammeConfig, ...] | None = None


class Replace(_Step, frozen=True, kw_only=True, tag="replace_unit"):
    """A technician takes a box down and hangs another with an empty card in its place."""

    pole: Pole


class Forge(_Step, frozen=True, kw_only=True, tag="forge"):
    """An attacker sends what nobody in office signed.

    `through` is the certificate that the broker sees: a stolen controller's (`intruder`), or a node's. `key` signs:
    `unknown` is in no keyset, `forged` claims the name of the controller's, `drill-1` is the drill key, `report` a
    node's own.
    """

    what: Literal["emergency", "plan", "stream", "audio", "assignment"]
    area: str
    key: Literal["unknown", "forged", "drill-1", "report"] = "unknown"
    through: Literal["intruder", "node"] = "intruder"


class Replay(_Step, frozen=True, kw_only=True, tag="replay"):
    """An attacker sends again every signed document that was ever retained for an area."""

    area: str


class Storm(_Step, frozen=True, kw_only=True, tag="storm"):
    """Every pole loses its connection at once."""


class Press(_Step, frozen=True, kw_only=True, tag="press"):
    """Somebody presses the stop button on these poles, and lets go; held 3 s during a stop, it ends that."""

    poles: Annotated[Poles, Meta(min_length=1)]
    for_ms: Annotated[int, Meta(ge=50, le=30_000)] = 300


class Hush(_Step, frozen=True, kw_only=True, tag="silence"):
    """Somebody orders silence for an area or a node."""

    area: str = ""
    node: str = ""
    reason: str = "thử / trial"


class Unhush(_Step, frozen=True, kw_only=True, tag="release"):
    """Somebody releases it."""

    area: str = ""
    node: str = ""


class AskTest(_Step, frozen=True, kw_only=True, tag="self_test"):
    """A technician asks these poles for a self-test, or with `takes_reference` for one that later ones are held to."""

    poles: Annotated[Poles, Meta(min_length=1)]
    takes_reference: bool = False


class Clone(_Step, frozen=True, kw_only=True, tag="clone"):
    """A copy of a pole's card runs in another box for a while, then is found and taken away.

    With `lies` the box says that it is the pole's own.
    """

    pole: Pole
    minutes: Annotated[float, Meta(gt=0, le=1440)]
    lies: bool = False


Step = (
    Press
    | Hush
    | Unhush
    | Clone
    | AskTest
    | Raise
    | Clear
    | Relay
    | StopRelay
    | Station
    | Fault
    | Configure
    | Replace
    | Forge
    | Replay
    | Storm
)


class _Expectation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="that"):
    """One thing that must be found; no `poles`: all of them."""

    poles: Poles = ()


class Hears(_Expectation, frozen=True, kw_only=True, tag="sounds"):
    """At an instant these poles sound a source: `media:NAME`, or `stream` for any."""

    at: TimeOfDay
    source: str
    day: int = 0


class Silent(_Expectation, frozen=True, kw_only=True, tag="silent"):
    """Between two instants nothing sounds at these poles."""

    at: TimeOfDay
    until: TimeOfDay
    day: int = 0


class Refused(_Expectation, frozen=True, kw_only=True, tag="refused"):
    """Each of these poles has refused so many messages for a reason (`protocol.errors.RefusalReason`)."""

    reason: str
    at_least: Count = 1


class Recorded(_Expectation, frozen=True, kw_only=True, tag="recorded"):
    """The controller holds so many airing records of each of these poles in a state, for a reason."""

    state: AiringState
    reason: str | None = None
    at_least: Count = 1


class Missed(_Expectation, frozen=True, kw_only=True, tag="missed"):
    """The controller names exactly these poles as those that did not sound an emergency."""

    of: str = "emergency"


class Reported(_Expectation, frozen=True, kw_only=True, tag="reported"):
    """Each of these poles has reported a fault; if it `is_over`, the last that it said of it is that it has passed."""

    fault: str
    is_over: bool = False


class Tested(_Expectation, frozen=True, kw_only=True, tag="tested"):
    """Each of these poles has a self-test on record with a verdict so often."""

    verdict: SelfTestVerdict
    at_least: Count = 1


class Noted(_Expectation, frozen=True, kw_only=True, tag="noted"):
    """The controller wrote a line so often."""

    what: str
    at_least: Count = 1


class Denied(_Expectation, frozen=True, kw_only=True, tag="denied"):
    """The broker refused so many messages by its access rules."""

    at_least: Count = 1


class Claims(_Expectation, frozen=True, kw_only=True, tag="claims"):
    """At an instant these poles' records say that they sound a source, and no microphone hears it.

    What the product cannot know yet, with the `reason`; it must be found, so that it is struck out when it can know.
    """

    at: TimeOfDay
    source: str
    reason: Annotated[str, Meta(min_length=10)]
    day: int = 0


class Judged(_Expectation, frozen=True, kw_only=True, tag="judged"):
    """Each of these poles finished `at_least` airings between two instants of which its own sensor says `is_heard`.

    And none of which it says otherwise.
    """

    at: TimeOfDay
    until: TimeOfDay
    is_heard: bool
    at_least: Count = 1
    day: int = 0


class Echoes(_Expectation, frozen=True, kw_only=True, tag="echoes"):
    """Between two instants each pole's microphone hears `neighbours` others, late by the way and not by more."""

    at: TimeOfDay
    until: TimeOfDay
    neighbours: Count
    within_ms: Annotated[int, Meta(ge=1, le=1_000)] = 5
    day: int = 0


class Named(_Expectation, frozen=True, kw_only=True, tag="named"):
    """At an instant the controller's page names exactly these poles as lost."""

    at: TimeOfDay
    day: int = 0


class Broken(_Expectation, frozen=True, kw_only=True, tag="broken"):
    """Each of these poles ended airings of streams between two instants, with so much of them guessed or missing."""

    at: TimeOfDay
    until: TimeOfDay
    least_ms: Count = 0
    most_ms: Count = 0
    day: int = 0


Expectation = (
    Broken
    | Judged
    | Hears
    | Silent
    | Refused
    | Recorded
    | Missed
    | Reported
    | Tested
    | Noted
    | Denied
    | Claims
    | Echoes
    | Named
)
