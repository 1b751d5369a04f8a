"""Everything that can happen to a node, as frozen values.

An event says what happened and carries what must be known about it; it never carries a port or a callback.
Events that answer an effect name what they answer (`topic` and `sha256`, `number`), so that an answer which
comes late, twice or never changes nothing that it should not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.errors import MediaFailure
from edge.proof.ears import Swept
from protocol.messages import AiringRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """A signed document as it stands in the store: the bytes received and what was accepted of them; a plan's body."""

    topic: str
    payload: bytes
    key_id: str
    counter: int
    sha256: bytes
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastCounter:
    """The highest counter that was accepted of one key on one topic."""

    key_id: str
    topic: str
    counter: int
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReport:
    """A report that the controller has not acknowledged yet, as it was signed."""

    number: int
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredNote:
    """What a room of the node remembered under a name (`effects.KeepNote`)."""

    name: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a node finds in its state folder when it starts.

    `damage` says what was set aside, empty when nothing was; `open_airing` is an airing that had started and
    whose end was never put on record; `was_cut_off` says that the run before did not end in good order, or could not
    store all that it had to; `is_chain_lost` that the last number is not known.
    """

    documents: tuple[StoredDocument, ...] = ()
    counters: tuple[LastCounter, ...] = ()
    reports: tuple[StoredReport, ...] = ()
    last_number: int = 0
    last_sha256: bytes = bytes(32)
    open_airing: AiringRecord | None = None
    media: frozenset[str] = frozenset()
    was_cut_off: bool = False
    is_chain_lost: bool = False
    damage: str = ""
    notes: tuple[StoredNote, ...] = ()

    def note(self, name: str) -> bytes:
        """What was remembered under a name; empty when nothing was."""
        return next((note.payload for note in self.notes if note.name == name), b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Booted:
    """The process has started; the first event that an agent gets."""

    restored: Restored


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """The broker has taken us in; `incarnation` counts connections of this process."""

    session_present: bool
    incarnation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected:
    """The broker is gone, or a connection attempt failed; the reason in plain language."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageReceived:
    """Bytes from the broker; nothing about them is believed yet."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Flooded:
    """Messages on one topic came faster than anything genuine does and were dropped unread."""

    topic: str
    messages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentStored:
    """A document and its counter are on the disk: it may be obeyed."""

    topic: str
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentStoreFailed:
    """A document could not be stored."""

    topic: str
    sha256: bytes
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportStored:
    """A report is on the disk: it may be sent."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportStoreFailed:
    """A report could not be stored."""

    number: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFetched:
    """A media file is on the disk, whole and verified; `evicted` had to go for it, `received_bytes` came for it now."""

    sha256: str
    evicted: tuple[str, ...] = ()
    received_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyFetched:
    """A plan's body has arrived, whole and verified; the rest as for a media file."""

    sha256: str
    content: bytes
    evicted: tuple[str, ...] = ()
    received_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFailed:
    """A media file did not arrive; `received_bytes` of it did, and stay if they may be of use."""

    sha256: str
    reason: MediaFailure
    detail: str
    received_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CardStarted:
    """The sound card is running on `path`; also after it had failed."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFailed:
    """The sound card cannot be opened or has stopped; its watchdog goes on trying while it is wanted."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AmplifierFailed:
    """The amplifier's pin cannot be driven."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ButtonFound:
    """The stop button's pin can be read; whether it was down already."""

    is_pressed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ButtonMoved:
    """The raw level of the stop button has changed; a bounce is one too."""

    is_pressed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ButtonFailed:
    """The stop button's pin cannot be read."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The answer to Measure: free space for the state folder, counters of the sound card since the process began.

    `time_refused` counts answers about the time that were not believed, by reason.
    """

    disk_free_bytes: int
    underruns: int
    time_refused: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTestAsked:
    """A person on the pole asks for a self-test; answered with the effect AnswerSelfTest under the same ticket."""

    ticket: int
    takes_reference: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTestMeasured:
    """The answer to MeasureSelfTest."""

    swept: Swept


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequested:
    """The process is asked to end: silence first, then a farewell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """The deadline that the agent asked for has come."""


Event = (
    Booted
    | Connected
    | Disconnected
    | MessageReceived
    | Flooded
    | DocumentStored
    | DocumentStoreFailed
    | ReportStored
    | ReportStoreFailed
    | MediaFetched
    | BodyFetched
    | MediaFailed
    | CardStarted
    | CardFailed
    | AmplifierFailed
    | ButtonFound
    | ButtonMoved
    | ButtonFailed
    | Measured
    | SelfTestAsked
    | SelfTestMeasured
    | StopRequested
    | Wake
)
