"""What a node puts on record: what it sounded, what it missed and why, what is wrong with it; numbered and chained.

Everybody takes these names from `messages`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

from protocol.document import BroadcastClass, Counter, Milliseconds, Reality, Reason
from protocol.identity import NodeId
from protocol.telemetry import SourceKind, Title

LOOSE_FROM: Final = 2**52
"""Reports numbered from here on stand outside the chain; chained numbers count from 1, or from a clock in ms."""


class AiringState(StrEnum):
    """The steps of an airing that a node puts on record."""

    STARTED = "started"
    FINISHED = "finished"
    MISSED = "missed"
    REFUSED = "refused"


class AiringRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="airing", tag_field="kind"):
    """One step of one airing on one node, with the reason for it; for `ducked_ms` of it somebody spoke over it."""

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


class FaultRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="fault", tag_field="kind"):
    """Something on the node is wrong, or right again."""

    fault: Annotated[str, Meta(max_length=64)]
    active: bool
    detail: Reason
    at_ms: Milliseconds


class Report(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="report", tag_field="type"):
    """One numbered, chained record of a node, signed by the node's report key.

    `previous_sha256` is the digest of the previous report's signed bytes (32 zero bytes before the first),
    so that a removed or altered report shows. A report that the node's card refuses is sent all the same, outside
    the chain: its number is LOOSE_FROM or more and says only which one it is, its digest is 32 zero bytes.
    """

    node: NodeId
    number: Counter
    previous_sha256: Annotated[bytes, Meta(min_length=32, max_length=32)]
    record: AiringRecord | FaultRecord
