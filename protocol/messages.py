"""Every message of the agreement, as msgspec structs.

Signed documents (`document.Document`) are what a node or the controller obeys: unknown keys are errors. Reports of
health (`NodeState`, `Telemetry`) are JSON, and unknown keys are ignored, so that an older controller reads a
newer node. Only optional fields are ever added; the major version stands in the topic.

Times are shared milliseconds (Unix time of the controller). Sizes and lengths are bounded by their types:
decoding refuses what does not fit.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

from protocol.attention import AimingDelayUs, ChimeMs, Over
from protocol.document import Audience, BroadcastClass, Counter, Document, Milliseconds, Reality, Reason
from protocol.identity import AreaId, DocumentId, KeyId, NodeId, PublicKey, StreamId
from protocol.plan import Duration, MediaReference, Occurrence, Plan
from protocol.policy import VOLUME_CAPS_MAX, AirTime, FetchBytes, QuietHours, VolumeCap
from protocol.records import (
    LOOSE_FROM,
    AiringRecord,
    AiringState,
    FaultRecord,
    Heard,
    HeardBy,
    Record,
    Report,
    SelfTestRecord,
    SelfTestVerdict,
)
from protocol.silence import BoxDigest, Silence, SilenceRelease
from protocol.telemetry import NowSounding, SourceKind, StreamHeard, Telemetry, Title
from protocol.turns import Turn, Turns, require_room

__all__ = (  # what stands in other files of the agreement; the rest is here
    "LOOSE_FROM",
    "AirTime",
    "AiringRecord",
    "AiringState",
    "Audience",
    "BroadcastClass",
    "Counter",
    "Document",
    "FaultRecord",
    "Heard",
    "HeardBy",
    "MediaReference",
    "Milliseconds",
    "NowSounding",
    "Occurrence",
    "Over",
    "Plan",
    "QuietHours",
    "Reality",
    "Reason",
    "Record",
    "Report",
    "SelfTestRecord",
    "SelfTestVerdict",
    "Silence",
    "SilenceRelease",
    "SourceKind",
    "StreamHeard",
    "Telemetry",
    "Title",
    "VolumeCap",
)

DOCUMENT_BYTES_MAX: Final = 16 * 1024
"""Size bound of any message (protocol: 16 KiB; larger plans travel as media by hash)."""

LOOSE_ACKNOWLEDGED_MAX: Final = 256
"""Loose reports in one acknowledgement; 9 bytes each."""
Decibels = Annotated[float, Meta(ge=-120.0, le=24.0)]
ScopeArea = Annotated[str, Meta(pattern=r"^(\*|[a-z0-9][a-z0-9-]{0,39})\Z")]

ROOT_KEYS_MAX: Final = 8
"""Keys of one root: more people than can be brought to one ceremony."""
SOUNDS_MS_MAX: Final = 24 * 3600 * 1000
"""Longest that one stream or emergency may sound before it must be ordered anew."""


class KeyScope(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a key may sign: document types x audiences x classes x reality.

    `areas` names the tops of the subtrees it may address; "*" is every area and every node.
    """

    document_types: Annotated[tuple[Annotated[str, Meta(max_length=32)], ...], Meta(max_length=16)]
    areas: Annotated[tuple[ScopeArea, ...], Meta(max_length=64)]
    classes: Annotated[tuple[BroadcastClass, ...], Meta(max_length=3)]
    realities: Annotated[tuple[Reality, ...], Meta(max_length=2)]


class OperationalKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One key in the keyset: who it is, what it may sign and when; of a revoked one also why."""

    key_id: KeyId
    public_key: PublicKey
    scope: KeyScope
    not_before_ms: Milliseconds
    expires_at_ms: Milliseconds
    revoked: bool = False
    revoked_reason: Reason = ""


class RootKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the root's keys."""

    key_id: KeyId
    public_key: PublicKey


class Root(Document, frozen=True, kw_only=True, tag="root"):
    """The root's keys from now on, signed by a threshold of the old and of the new. `counter` is its version."""

    threshold: Annotated[int, Meta(ge=1, le=ROOT_KEYS_MAX)]
    keys: Annotated[tuple[RootKey, ...], Meta(min_length=1, max_length=ROOT_KEYS_MAX)]

    def __post_init__(self) -> None:
        """Refuse a root that could never sign, or whose keys are fewer than they seem."""
        if len({key.key_id for key in self.keys}) < len(self.keys):
            raise ValueError("a key id stands twice in the root")
        if len({key.public_key for key in self.keys}) < max(self.threshold, len(self.keys)):
            raise ValueError(f"{self.threshold} signatures needed of {len(self.keys)} keys, or a key stands twice")


class Keyset(Document, frozen=True, kw_only=True, tag="keyset"):
    """The operational keys, signed by the root's threshold. `counter` is its version: it only rises."""

    keys: Annotated[tuple[OperationalKey, ...], Meta(max_length=64)]


class Assignment(Document, frozen=True, kw_only=True, tag="assignment", omit_defaults=True):
    """What one node is: where it stands in the tree, how loud, when it must be quiet, which turn it has.

    `areas` runs from the node's own area up to the root of the tree. `quiet_hours` None means that the
    place has none; the node's own default applies only until its first assignment. Aimed, it sounds so much later
    than others: programmes by `aiming_delay_us`, emergencies and drills by `emergency_aiming_delay_us`. Whom
    `quiet_hours`, `air_time` and `volume_caps` bind stands in `policy`; `fetch_bytes_a_day_max` is what its SIM may
    fetch of media in a local day, of which what an emergency needs is free. At `self_test_minute` of the local day it
    listens to its own horn.
    """

    node: NodeId
    title: Title
    areas: Annotated[tuple[AreaId, ...], Meta(min_length=1, max_length=8)]
    time_zone: Annotated[str, Meta(max_length=64)] = "Asia/Ho_Chi_Minh"
    quiet_hours: QuietHours | None = QuietHours()
    gain_db: Decibels = 0.0
    emergency_gain_db: Decibels = 0.0
    prepared_clips: Annotated[tuple[MediaReference, ...], Meta(max_length=64)] = ()
    herd_window_s: Annotated[int, Meta(ge=0, le=600)] = 5
    turn: Turn = 0
    aiming_delay_us: AimingDelayUs = 0
    emergency_aiming_delay_us: AimingDelayUs = 0
    air_time: AirTime | None = None
    volume_caps: Annotated[tuple[VolumeCap, ...], Meta(max_length=VOLUME_CAPS_MAX)] = ()
    fetch_bytes_a_day_max: FetchBytes | None = None
    self_test_minute: Annotated[int, Meta(ge=0, lt=1440)] | None = None


VOICE_STALL_MS: Final = 2_000
"""A live voice is given up sooner than a relay: its pauses are sent like any other sound."""


class StreamStart(Document, frozen=True, kw_only=True, tag="stream-start", omit_defaults=True):
    """A live stream begins: the key of its packets, its earliest play time, when it must have ended.

    `occurrence` names the planned relay that it serves, if it serves one. With `chime_ms` an attention signal sounds
    from `starts_at_ms` on, before any packet has come; packets are heard from behind it on. `over` and `before_upper`
    as in an occurrence.
    """

    stream: StreamId
    area: AreaId
    title: Title
    public_key: PublicKey
    starts_at_ms: Milliseconds
    ends_at_ms: Milliseconds
    stall_ms_max: Annotated[int, Meta(ge=200, le=60_000)] = 5_000
    occurrence: DocumentId | None = None
    chime_ms: ChimeMs = 0
    over: Over = Over.REPLACE
    before_upper: bool = False

    def __post_init__(self) -> None:
        """Refuse a stream without end, or of nothing but its signal."""
        if not 0 < self.ends_at_ms - self.starts_at_ms <= SOUNDS_MS_MAX:
            raise ValueError(f"a stream must end after its start, within {SOUNDS_MS_MAX} ms")
        if self.chime_ms >= self.ends_at_ms - self.starts_at_ms:
            raise ValueError(f"a stream must last longer than its chime of {self.chime_ms} ms")

    @property
    def is_voice(self) -> bool:
        """Whether somebody speaks live, so that what lies between mouth and ear counts."""
        return self.stall_ms_max <= VOICE_STALL_MS


class StreamEnd(Document, frozen=True, kw_only=True, tag="stream-end"):
    """A live stream is over at `ends_at_ms`, for a reason."""

    stream: StreamId
    area: AreaId
    ends_at_ms: Milliseconds
    reason: Reason


class Emergency(Document, frozen=True, kw_only=True, tag="emergency", omit_defaults=True):
    """Play a prepared clip at once over whatever sounds, and again each `repeat_every_ms`, until it is over.

    The first sample of repetition n begins at `play_at_ms + n * repeat_every_ms` on every pole, with `turns` so much
    later as the pole's turn says; whoever learns of it late joins in step. Each repetition begins with `chime_ms` of
    attention signal, behind which the clip begins. It ends with an `AllClear`, or at `sounds_until_ms` by itself.
    """

    emergency: DocumentId
    area: AreaId
    title: Title
    clip: MediaReference
    play_at_ms: Milliseconds
    repeat_every_ms: Duration
    sounds_until_ms: Milliseconds
    turns: Turns | None = None
    chime_ms: ChimeMs = 0

    def __post_init__(self) -> None:
        """Refuse one without end, or whose repetitions or turns would overlap."""
        if not 0 < self.sounds_until_ms - self.play_at_ms <= SOUNDS_MS_MAX:
            raise ValueError(f"an emergency must end after its start, within {SOUNDS_MS_MAX} ms")
        sound_ms = self.chime_ms + self.clip.duration_ms
        if self.repeat_every_ms < sound_ms:
            raise ValueError("an emergency's repetitions must not overlap: repeat_every_ms is less than chime and clip")
        require_room(self.turns, sound_ms=sound_ms, round_ms=self.repeat_every_ms, what="an emergency's repetition")


class AllClear(Document, frozen=True, kw_only=True, tag="all-clear"):
    """The emergency is over; what sounds for it stops now. `correction` marks that it should never have been."""

    emergency: DocumentId
    area: AreaId
    reason: Reason
    correction: bool = False


class Acknowledgement(Document, frozen=True, kw_only=True, tag="acknowledgement", omit_defaults=True):
    """The controller has stored the node's reports up to and including `stored_number`, and these loose ones.

    What is empty is left out: nodes of an earlier version, which know no `loose`, take the rest.
    """

    node: NodeId
    stored_number: Counter
    loose: Annotated[tuple[Counter, ...], Meta(max_length=LOOSE_ACKNOWLEDGED_MAX)] = ()


AnyDocument = (
    Root
    | Keyset
    | Assignment
    | Plan
    | StreamStart
    | StreamEnd
    | Emergency
    | AllClear
    | Silence
    | SilenceRelease
    | Acknowledgement
)


class Readiness(StrEnum):
    """The life of a node as the broker's retained state topic shows it."""

    INIT = "init"
    READY = "ready"
    DISCONNECTED = "disconnected"
    LOST = "lost"


class NodeState(Struct, frozen=True, kw_only=True):
    """Birth and will, on one topic; `session_epoch` tells an old will from a new birth, `box` and `boot` a clone."""

    node: NodeId
    state: Readiness
    session_epoch: Counter
    version: Annotated[str, Meta(max_length=64)] = ""
    box: BoxDigest = ""
    boot: Annotated[str, Meta(max_length=36)] = ""


class ControllerState(Struct, frozen=True, kw_only=True):
    """Birth and will of a controller process."""

    controller: Annotated[str, Meta(max_length=23)]
    state: Readiness
    session_epoch: Counter
