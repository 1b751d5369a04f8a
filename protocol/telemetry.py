"""A node's status: what it measures of itself, as JSON that a technician reads with `mosquitto_sub`.

Everybody takes these names from `messages`. Rules kept: only optional fields are ever added, and what stands at its
default is left out, so that an idle node's status stays some 300 bytes; nothing here is signed or obeyed, so each list
and text has a bound.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from protocol.document import BroadcastClass, Counter, Milliseconds, Reason
from protocol.identity import NodeId, StreamId

STREAMS_TOLD_MAX: Final = 4
"""Streams in one status, those with the least time to spare; a place has one, a second while two relays meet."""
Title = Annotated[str, Meta(max_length=200)]
LatenessMs = Annotated[float, Meta(ge=-60_000, le=60_000)]
CountsByReason = Annotated[dict[str, Counter], Meta(max_length=32)]


class SourceKind(StrEnum):
    """What kind of thing sounded."""

    MEDIA = "media"
    STREAM = "stream"
    EMERGENCY = "emergency"


class NowSounding(Struct, frozen=True, kw_only=True):
    """What a node is sounding at the time of its status."""

    source: SourceKind
    source_id: Annotated[str, Meta(max_length=64)]
    title: Title
    broadcast_class: BroadcastClass
    since_ms: Milliseconds


class StreamHeard(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one stream reaches the node.

    Lateness is arrival minus play time: negative is time to spare, and a frame is heard if that is more than
    `ahead_ms`, by which the player takes frames before they sound. The quantiles are those of the last `packets`
    packets of `epoch`; the last one is of 1,000. `buffer_ms` waits in the jitter buffer. `faults` counts packets and
    frames that were of no use, by reason, since the stream became known.
    """

    stream: StreamId
    epoch: Counter = 0
    packets: Counter = 0
    lateness_ms_p50: LatenessMs = 0.0
    lateness_ms_p95: LatenessMs = 0.0
    lateness_ms_p99: LatenessMs = 0.0
    lateness_ms_p999: LatenessMs = 0.0
    ahead_ms: Annotated[float, Meta(ge=0, le=10_000)] = 0.0
    buffer_ms: Milliseconds = 0
    faults: CountsByReason = msgspec.field(default_factory=dict)


class Telemetry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Health of one node.

    `clock_error_ms` bounds how far its clock is from the shared time and `clock_source` says who told it that time;
    `correction_ppm` is by how much the player stretches the sound now, `card_error_ms` how far what is heard lies
    behind (positive) or ahead of its instant. The lateness here is that of the stream with the least to spare. Of
    `fetch_bytes_max`, where its SIM has a budget, `fetched_bytes` have come today.
    """

    node: NodeId
    at_ms: Milliseconds
    sounding: NowSounding | None = None
    level_dbfs: float | None = None
    amplifier: Annotated[str, Meta(max_length=16)] = "off"
    sound_path: Annotated[str, Meta(max_length=80)] = ""
    clock_error_ms: float | None = None
    lateness_ms_p50: float | None = None
    lateness_ms_p99: float | None = None
    audible_ms: Milliseconds = 0
    concealed_ms: Milliseconds = 0
    silent_ms: Milliseconds = 0
    underruns: Counter = 0
    reanchors: Counter = 0
    refused: CountsByReason = msgspec.field(default_factory=dict)
    faults: Annotated[tuple[str, ...], Meta(max_length=32)] = ()
    media_missing: Counter = 0
    reports_waiting: Counter = 0
    plan_until_ms: Milliseconds | None = None
    disk_free_bytes: Counter | None = None
    version: Annotated[str, Meta(max_length=64)] = ""
    silenced: Reason = ""
    taken_over: Counter = 0
    session_epoch: Counter = 0
    clock_source: Annotated[str, Meta(max_length=16)] = ""
    correction_ppm: float | None = None
    card_error_ms: float | None = None
    streams: Annotated[tuple[StreamHeard, ...], Meta(max_length=STREAMS_TOLD_MAX)] = ()
    fetched_bytes: Counter = 0
    fetch_bytes_max: Counter | None = None
