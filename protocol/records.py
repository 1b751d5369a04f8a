"""What a node puts on record: what it sounded, what it missed and why, what is wrong with it; numbered and chained.

Everybody takes these names from `messages`. Rules kept: only optional fields are ever added, what stands at its default
is left out, and a reader passes over keys that it does not know, so that a controller and its nodes need not be renewed
on one day. A record says only what the node knows: what was not measured is absent, never zero.

An airing is proved in three grades. Delivered: what it needed was on the node's disk, or its packets came
(`is_delivered`). Played: which samples were handed to the card, of what content, how loud (`first_sample`, `samples`,
`digest`, `gain_db`). Heard: what a microphone, a tap behind the amplifier or its supply current says (`heard`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

from protocol.document import BroadcastClass, Counter, Milliseconds, Reality, Reason
from protocol.identity import AreaId, NodeId
from protocol.telemetry import SourceKind, Title

LOOSE_FROM: Final = 2**52
"""Reports numbered from here on stand outside the chain; chained numbers count from 1, or from a clock in ms."""
BANDS_MAX: Final = 12
"""Bands of a self-test's sweep that are told apart."""

Level = Annotated[float, Meta(ge=-200.0, le=100.0, description="decibels below full scale of the sensor's input")]
Likeness = Annotated[float, Meta(ge=0.0, le=1.0, description="1: what was heard is what was sent")]
Digest = Annotated[str, Meta(max_length=72, pattern=r"^((media|pcm):[0-9a-f]{64})?\Z")]
Grid = Annotated[int, Meta(ge=0, le=2**63 - 1, description="a sample of shared time, 48,000 a second")]


class AiringState(StrEnum):
    """The steps of an airing that a node puts on record."""

    STARTED = "started"
    FINISHED = "finished"
    MISSED = "missed"
    REFUSED = "refused"


class HeardBy(StrEnum):
    """What listened to an airing."""

    MICROPHONE = "microphone"
    TAP = "tap"
    CURRENT = "current"


class Heard(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a sensor on the pole says of an airing; None where it cannot say.

    `is_heard` is the verdict: None when there was too little to judge by (too short, pauses, noise). `level_dbfs` is
    that of what was heard, `likeness` its correlation with what was rendered, `delay_ms` how much later it came;
    `amperes` the amplifier's mean current over its rest.
    """

    by: HeardBy
    is_heard: bool | None = None
    level_dbfs: Level | None = None
    likeness: Likeness | None = None
    delay_ms: Annotated[float, Meta(ge=-1_000, le=10_000)] | None = None
    amperes: Annotated[float, Meta(ge=-1_000, le=1_000)] | None = None


class AiringRecord(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="airing", tag_field="kind"):
    """One step of one airing on one node, with the reason for it; for `ducked_ms` of it somebody spoke over it.

    `area` is that of the plan, order or stream, `programme` the plan's; `due_at_ms` is when it should have begun.
    `first_sample` is where on the grid of shared time its first sample was rendered, `samples` how many from there to
    its last; `content_sample` which sample of its content the first was. `digest` is the content's: `media:` and the
    hash of the file, or `pcm:` and that of all samples that were read of a stream. `interruptions` counts how often
    the item had left the air and come back before this time, `breaks` how often the sound was torn in it. `lost_to` is
    the source id of what had the air instead.
    """

    airing: Annotated[str, Meta(max_length=96, description="unique on the node: source id, start and a token")]
    source: SourceKind
    source_id: Annotated[str, Meta(max_length=64)]
    title: Title
    broadcast_class: BroadcastClass
    reality: Reality
    state: AiringState
    at_ms: Milliseconds
    reason: Reason
    audible_ms: Milliseconds = 0
    concealed_ms: Milliseconds = 0
    silent_ms: Milliseconds = 0
    level_dbfs: float | None = None
    clock_error_ms: float = 0.0
    ducked_ms: Milliseconds = 0
    area: AreaId | None = None
    programme: Annotated[str, Meta(max_length=64)] = ""
    due_at_ms: Milliseconds | None = None
    is_delivered: bool | None = None
    first_sample: Grid | None = None
    samples: Counter = 0
    content_sample: Counter | None = None
    digest: Digest = ""
    gain_db: Annotated[float, Meta(ge=-200.0, le=60.0)] | None = None
    interruptions: Counter = 0
    breaks: Counter = 0
    lost_to: Annotated[str, Meta(max_length=64)] = ""
    heard: Heard | None = None


class FaultRecord(Struct, frozen=True, kw_only=True, tag="fault", tag_field="kind"):
    """Something on the node is wrong, or right again."""

    fault: Annotated[str, Meta(max_length=64)]
    active: bool
    detail: Reason
    at_ms: Milliseconds


class SelfTestVerdict(StrEnum):
    """What an acoustic self-test found, as far as its sensor can tell."""

    PASSED = "passed"
    REFERENCE_TAKEN = "reference_taken"
    WEAK = "weak"
    """Much less sound than at installation."""
    CHANGED = "changed"
    """Another sound than at installation: a horn of several is silent, water in it, a loose part."""
    SILENT = "silent"
    """Nothing was heard, and the sensor cannot tell why."""
    AMPLIFIER = "amplifier"
    """No current, or nothing at the tap: the amplifier or its supply is broken."""
    HORN = "horn"
    """The amplifier drives, but nothing sounds: horn or cable."""
    SHORT = "short"
    """Much more current than at installation: the cable is shorted."""
    NOISY = "noisy"
    """It was too loud around to judge."""
    NO_REFERENCE = "no_reference"
    NO_SENSOR = "no_sensor"
    NOT_RUN = "not_run"
    """It was due and could not be made; the detail says why."""


class SelfTestRecord(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="self-test", tag_field="kind"):
    """One acoustic self-test: what was found, and how far from the reference that was taken at installation.

    `heard` is that of its main sensor; `level_change_db` and `bands_change_db` are against the reference of
    `reference_at_ms`, the bands from low to high; `current_change` is the ratio of currents.
    """

    at_ms: Milliseconds
    verdict: SelfTestVerdict
    detail: Reason = ""
    heard: Heard | None = None
    noise_dbfs: Level | None = None
    reference_at_ms: Milliseconds | None = None
    level_change_db: Annotated[float, Meta(ge=-200.0, le=200.0)] | None = None
    bands_change_db: Annotated[tuple[Annotated[float, Meta(ge=-200.0, le=200.0)], ...], Meta(max_length=BANDS_MAX)] = ()
    current_change: Annotated[float, Meta(ge=0.0, le=1_000.0)] | None = None
    clock_error_ms: float = 0.0


Record = AiringRecord | FaultRecord | SelfTestRecord
"""All that a node puts on record."""


class Report(Struct, frozen=True, kw_only=True, tag="report", tag_field="type"):
    """One numbered, chained record of a node, signed by the node's report key.

    `previous_sha256` is the digest of the previous report's signed bytes (32 zero bytes before the first),
    so that a removed or altered report shows. A report that the node's card refuses is sent all the same, outside
    the chain: its number is LOOSE_FROM or more and says only which one it is, its digest is 32 zero bytes.
    """

    node: NodeId
    number: Counter
    previous_sha256: Annotated[bytes, Meta(min_length=32, max_length=32)]
    record: Record
