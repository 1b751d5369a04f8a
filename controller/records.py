"""What the controller keeps across a restart, as plain values.

Each is saved whole and replaces what was saved under its key. The desk decides what is kept and when; the
database port keeps it; nothing here knows how.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from msgspec import Struct

from controller.people.audit import Act
from protocol.messages import BroadcastClass, MediaReference, Over, Readiness, Reality, Record
from protocol.turns import Turns


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingDocument:
    """Signed bytes that stand on a retained topic, with the counter that its key has used there.

    `body` is what a large plan names by its hash.
    """

    topic: str
    key_id: str
    counter: int
    payload: bytes
    expires_at_ms: int
    body: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterUsed:
    """A counter spent on a topic that keeps nothing."""

    key_id: str
    topic: str
    counter: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawnDocument:
    """Nothing stands on the topic any more; its counters are remembered."""

    topic: str


class EmergencyState(StrEnum):
    """The life of an emergency."""

    RAISED = "raised"
    SOUNDING = "sounding"
    ALL_CLEAR = "all_clear"
    CORRECTED = "corrected"
    EXPIRED = "expired"
    REPLACED = "replaced"


class EmergencyRecord(Struct, frozen=True, kw_only=True):
    """One emergency or drill, from the press to its end."""

    id: str
    area: str
    title: str
    clip_id: str
    clip: MediaReference
    reality: Reality
    state: EmergencyState
    raised_at_ms: int
    play_at_ms: int
    repeat_every_ms: int
    sounds_until_ms: int
    expected: tuple[str, ...]
    ended_at_ms: int | None = None
    reason: str = ""
    turns: Turns | None = None
    chime_ms: int = 0
    shifts_ms: dict[str, int] = {}
    """How much later than the rest a node's own turn begins, where it is not the first."""


class RelayState(StrEnum):
    """The life of one relay."""

    STARTING = "starting"
    ON_AIR = "on_air"
    TROUBLED = "troubled"
    ENDED = "ended"


class RelayRecord(Struct, frozen=True, kw_only=True):
    """One relay of a feed to an area, under one stream id; `stopped` by a person's hand before its time.

    With a `speaker` it is that person's live voice, and has no feed.
    """

    stream: str
    area: str
    feed: str
    title: str
    broadcast_class: BroadcastClass
    state: RelayState
    starts_at_ms: int
    ends_at_ms: int
    occurrence: str | None = None
    reason: str = ""
    stopped: bool = False
    speaker: str = ""
    reality: Reality = Reality.REAL
    chime_ms: int = 0
    over: Over = Over.REPLACE
    before_upper: bool = False
    delay_ms: int = 0
    """How long after its capture it is heard now; 0 in records of earlier versions."""
    wanted_delay_ms: int = 0
    """What its group of poles would have, and gets at the next pause or with the next relay."""


class SilenceRecord(Struct, frozen=True, kw_only=True):
    """One order to be silent, as its document says it; for a whole area where `node` is empty."""

    order: str
    area: str
    node: str
    reason: str
    by: str
    ordered_at_ms: int
    spares_emergencies: bool = False
    spared_box: str = ""
    released_at_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReport:
    """One verified report as it is kept: the bytes that the node signed are the proof, the record is read from them.

    `is_chained` is False where the report's digest of its predecessor does not fit what is stored.
    """

    node: str
    report_key: str
    number: int
    sha256: bytes
    sealed: bytes
    record: Record
    received_at_ms: int
    is_chained: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportGap:
    """A fact about a node's numbering: reports that never came, or two that claim one number."""

    node: str
    report_key: str
    first: int
    last: int
    kind: str
    noticed_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportHead:
    """How far a node's reports are complete: everything up to `number` is stored, or known to be lost."""

    node: str
    report_key: str
    number: int
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSeen:
    """The last that is known of a node's life."""

    node: str
    last_seen_ms: int
    state: Readiness
    session_epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceSpan:
    """For so long a node was connected, or was not while the controller listened; adds to what is kept."""

    node: str
    begin_ms: int
    end_ms: int
    is_up: bool


Row = (
    StandingDocument
    | CounterUsed
    | WithdrawnDocument
    | EmergencyRecord
    | RelayRecord
    | StoredReport
    | ReportGap
    | ReportHead
    | NodeSeen
    | PresenceSpan
)
"""What replaces what was saved under its key; a span of presence adds."""
Change = Row | Act
"""What a commit keeps; an act is put at the end of the audit log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Everything that the desk begins with after a restart."""

    documents: tuple[StandingDocument, ...] = ()
    counters: tuple[CounterUsed, ...] = ()
    emergencies: tuple[EmergencyRecord, ...] = ()
    relays: tuple[RelayRecord, ...] = ()
    heads: tuple[ReportHead, ...] = ()
    reports_beyond_heads: tuple[StoredReport, ...] = ()
    emergency_reports: tuple[StoredReport, ...] = ()
    nodes: tuple[NodeSeen, ...] = field(default=())
