"""Everything that a node can do to the world, as frozen values.

Effects run in the order in which they were given and never block: a slow port answers later with an event
(`events`). An effect that cannot be done is answered by its failure event, never by an exception.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from protocol.messages import AiringRecord, SelfTestRecord
from protocol.plan import Fetchable


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Send a message; QoS 0 is dropped while the broker is away."""

    topic: str
    payload: bytes
    qos: int
    retain: bool = False
    expiry_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe:
    """Ask for topics, each with its QoS, on this connection and every later one; retained messages come again."""

    topics: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribe:
    """Ask the broker no longer to send topics."""

    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadReconnects:
    """After the broker is lost, come back within this window by chance, so that a fleet does not come at once."""

    herd_window_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreDocument:
    """Make a document, its body and its counter durable in one step.

    Answered by DocumentStored or DocumentStoreFailed.
    """

    topic: str
    payload: bytes
    key_id: str
    counter: int
    sha256: bytes
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetDocuments:
    """Remove documents and, when `with_counters`, the counters of their topics (all that they held is over)."""

    topics: tuple[str, ...]
    with_counters: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreReport:
    """Make a report durable, and in one step with it which airing is open, where the chain ends, and a note.

    Answered by ReportStored or ReportStoreFailed. `chain_number` and `sha256` are the chain's last report once this
    one is stored: itself, or a later one when it comes late, or when it is a loose one.
    """

    number: int
    payload: bytes
    chain_number: int
    sha256: bytes
    open_airing: AiringRecord | None
    note: tuple[str, bytes] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetReports:
    """Remove reports: acknowledged, or too many."""

    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepNote:
    """Remember a few bytes under a name in place of those before, beyond a power cut; not answered, as forgetting is.

    For what a room counts (air time used, bytes fetched) and writes again soon, so that one that is lost is made good.
    """

    name: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchMedia:
    """Bring a media file onto the disk; `keep` may not be evicted for it. Answered by MediaFetched or MediaFailed.

    `spare` goes only when nothing else is left to go, its first before its last. Of a file not more than `bytes_max`
    come at once, which is a MediaFailed (PARTLY) if more is missing; what has come stays. A plan's body is given to
    whoever asked instead, by BodyFetched, and not kept.
    """

    reference: Fetchable
    keep: frozenset[str]
    spare: tuple[str, ...] = ()
    bytes_max: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardMedia:
    """Remove a media file that turned out to be damaged."""

    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureSelfTest:
    """Say what the ears heard of the self-test that began at a grid sample; answered by SelfTestMeasured."""

    first_sample: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSelfTest:
    """Tell whoever asked (`SelfTestAsked`) what came of it."""

    ticket: int
    record: SelfTestRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class StartCard:
    """Open the sound card and let it pull; answered by CardStarted or CardFailed. `is_near` as in `ReachAhead`."""

    is_near: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachAhead:
    """From now on render as little ahead of the card as it can bear (a live voice sounds), or as much as usual."""

    is_near: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCard:
    """Close the sound card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerAmplifier:
    """Drive the amplifier's pin; answered only when it fails (AmplifierFailed)."""

    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Ask for what only the world knows (free space, underruns); answered by Measured."""


class LogLevel(StrEnum):
    """How loudly a decision is written down."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogDecision:
    """One line for the technician: what was decided and why."""

    decision: str
    fields: tuple[tuple[str, str | int | float | bool], ...] = ()
    level: LogLevel = LogLevel.INFO


StoreRequest = StoreDocument | ForgetDocuments | StoreReport | ForgetReports | KeepNote
"""What the store is asked to do."""

Effect = (
    Publish
    | Subscribe
    | Unsubscribe
    | SpreadReconnects
    | StoreRequest
    | FetchMedia
    | DiscardMedia
    | MeasureSelfTest
    | AnswerSelfTest
    | StartCard
    | ReachAhead
    | StopCard
    | PowerAmplifier
    | Measure
    | LogDecision
)
