"""The flight recorder's log: what is written of an event and of what was decided, and its framing on the disk.

Pure. It knows how a step of the agent becomes bytes and how bytes become steps again; when and where they are
written is `adapters.flight_recorder`'s, what is made of them `simulator.replay`'s.

Rules kept:
- no secret is written: keys never enter an event, signatures of the node's own are left out;
- of audio packets stand their header, size, digest and verdict, never the sound;
- what only sound can know (levels, milliseconds heard) is left out of decisions: a replay has no sound;
- a file is a row of blocks, each whole or recognisably not: a power cut costs the block that was being written.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from edge import effects as wanted
from edge import events as happened
from edge.effects import Effect
from edge.events import Event, MessageReceived
from edge.gpio.inputs import BOUNCE_MS_DEFAULT, SILENT_MINUTES_DEFAULT
from protocol.codec import cbor_decode, cbor_decode_plain
from protocol.errors import Refusal
from protocol.keyring import RootKeys
from protocol.messages import HeardBy, Report
from protocol.units import MonotonicNs, Now, SharedNs, TimeSource

FORMAT: Final = 1
AUDIO: Final = "Audio"
"""How a received audio packet is named in a step."""
AUDIO_HEADER_BYTES: Final = 36
"""`protocol.stream`: everything before the frame lengths."""
BLOCK_BYTES_MAX: Final = 1024 * 1024
"""No block is larger when it is unpacked; a larger one is damage."""
_MAGIC: Final = b"LXF1"
_HEAD_BYTES: Final = 12
_DIGEST_BYTES: Final = 8
_MEASURED: Final = frozenset(
    {
        "audible_ms",
        "concealed_ms",
        "silent_ms",
        "level_dbfs",
        "first_sample",
        "samples",
        "content_sample",
        "digest",
        "breaks",
        "is_delivered",
        "heard",
        "lateness_ms_p50",
        "lateness_ms_p99",
        "reanchors",
        "correction_ppm",
        "card_error_ms",
        "streams",
        "clock_source",
    }
)
"""What only the sound itself can tell, or the clock that stood behind a step's times."""
_EVENTS: Final[dict[str, type[Any]]] = {kind.__name__: kind for kind in Event.__args__}
_COSE_PARTS: Final = 4


class Begin(Struct, frozen=True, kw_only=True, array_like=True, tag="begin"):
    """From here on steps can be replayed: the next one is Booted, as it was or as it would be now.

    `is_boot` is False where a file begins in the middle of a run; then `is_connected` and `card` say what a fresh
    agent must be told first.
    """

    node: str
    version: str
    session_epoch: int
    root: RootKeys
    warm_up_ms: int
    hold_ms: int
    idle_interval_s: int
    on_air_interval_s: int
    is_boot: bool
    is_connected: bool = False
    card: str = ""
    format: int = FORMAT
    bounce_ms: int = BOUNCE_MS_DEFAULT
    silent_minutes: int = SILENT_MINUTES_DEFAULT
    box: str = ""
    boot: str = ""
    sensors: tuple[HeardBy, ...] = ()


class Step(Struct, frozen=True, kw_only=True, array_like=True, tag="step"):
    """One event with the clocks as they stood, what a port answered at once meanwhile, and what was decided."""

    monotonic_ns: int
    shared_ns: int
    error_ns: int
    is_time_known: bool
    event: str
    fields: dict[str, Any]
    openings: list[list[Any]]
    decisions: list[list[Any]]

    @property
    def now(self) -> Now:
        """The clocks."""
        return Now(
            monotonic_ns=MonotonicNs(self.monotonic_ns),
            shared_ns=SharedNs(self.shared_ns),
            error_ns=self.error_ns,
            source=TimeSource.SYSTEM if self.is_time_known else TimeSource.UNKNOWN,
        )


class Gap(Struct, frozen=True, kw_only=True, array_like=True, tag="gap"):
    """Steps that were not written, or cannot be read any more."""

    left_out: int
    why: str


Entry = Begin | Step | Gap
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(list[Entry])


def is_audio(event: Event) -> bool:
    """Whether an event is a packet of sound."""
    return isinstance(event, MessageReceived) and event.topic.endswith("/opus")


def step_of(event: Event, now: Now, effects: Iterable[Effect], openings: list[list[Any]]) -> Step:
    """What is written of one turn of the agent."""
    name, fields = _event(event)
    return Step(
        monotonic_ns=now.monotonic_ns,
        shared_ns=now.shared_ns,
        error_ns=now.error_ns,
        is_time_known=now.is_time_known,
        event=name,
        fields=fields,
        openings=openings,
        decisions=[decision_of(effect) for effect in effects],
    )


def event_of(step: Step) -> Event:
    """The event of a step; an audio packet comes with its header for a payload. Raises ValueError for no event."""
    if step.event == AUDIO:
        return MessageReceived(topic=step.fields["topic"], payload=step.fields["header"])
    if step.event not in _EVENTS:
        message = f"the log holds an event {step.event!r} that this version does not know"
        raise ValueError(message)
    try:
        event: Event = msgspec.convert(step.fields, _EVENTS[step.event], builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        message = f"the log's {step.event} is not one: {error}"
        raise ValueError(message) from error
    return event


def decision_of(effect: Effect) -> list[Any]:
    """An effect as it is compared: without signatures, payloads that are known already, and what sound alone tells."""
    name = type(effect).__name__
    match effect:
        case wanted.Publish():
            return [name, effect.topic, _published(effect)]
        case wanted.StoreDocument():
            return [name, effect.topic, effect.key_id, effect.counter, effect.sha256[:_DIGEST_BYTES]]
        case wanted.StoreReport():
            opened = None if effect.open_airing is None else _unmeasured(msgspec.to_builtins(effect.open_airing))
            return [name, effect.number, _report(effect.payload), opened]
        case wanted.FetchMedia():
            bounds = [list(effect.spare), effect.bytes_max] if effect.spare or effect.bytes_max is not None else []
            return [name, effect.reference.sha256, sorted(effect.keep), *bounds]
        case wanted.LogDecision():
            told = [[key, value] for key, value in effect.fields if key not in _MEASURED]
            return [name, effect.decision, effect.level.value, told]
        case _:
            fields = msgspec.to_builtins(effect, builtin_types=(bytes,))
            return [name, *(list(value) if isinstance(value, (tuple, set)) else value for value in fields.values())]


def pack_block(entries: list[Entry]) -> bytes:
    """One block of a file."""
    body = zlib.compress(_ENCODER.encode(entries), 1)
    return _MAGIC + len(body).to_bytes(4) + zlib.crc32(body).to_bytes(4) + body


def read_blocks(data: bytes) -> Iterator[Entry]:
    """The entries of a file; a Gap stands for what cannot be read (a torn end, a damaged place)."""
    position = 0
    while position < len(data):
        found = _block_at(data, position)
        if found is None:
            following = data.find(_MAGIC, position + 1)
            end = len(data) if following < 0 else following
            where = "its end is torn off" if following < 0 else f"damaged at byte {position}"
            yield Gap(left_out=0, why=f"{end - position} bytes cannot be read: {where}")
            position = end
            continue
        entries, position = found
        yield from entries


def _block_at(data: bytes, position: int) -> tuple[list[Entry], int] | None:
    head = data[position : position + _HEAD_BYTES]
    length = int.from_bytes(head[4:8])
    body = data[position + _HEAD_BYTES : position + _HEAD_BYTES + length]
    if head[:4] != _MAGIC or len(body) < length or zlib.crc32(body) != int.from_bytes(head[8:12]):
        return None
    try:
        unpacked = zlib.decompressobj().decompress(body, BLOCK_BYTES_MAX)
        return _DECODER.decode(unpacked), position + _HEAD_BYTES + length
    except (zlib.error, msgspec.DecodeError):
        return None


def _event(event: Event) -> tuple[str, dict[str, Any]]:
    if isinstance(event, MessageReceived) and is_audio(event):
        digest = hashlib.sha256(event.payload).digest()[:_DIGEST_BYTES]
        header = event.payload[:AUDIO_HEADER_BYTES]
        return AUDIO, {"topic": event.topic, "header": header, "size": len(event.payload), "sha256": digest}
    if isinstance(event, (happened.Wake, happened.StopRequested)):
        return type(event).__name__, {}
    fields: dict[str, Any] = msgspec.to_builtins(event, builtin_types=(bytes,))
    return type(event).__name__, fields


def _published(effect: wanted.Publish) -> Any:  # noqa: ANN401 - what a message says, as plain values
    if "/telemetry/" in effect.topic or effect.topic.endswith("/state"):
        try:
            return _unmeasured(msgspec.json.decode(effect.payload))
        except msgspec.DecodeError:
            return effect.payload
    return _report(effect.payload)


def _report(payload: bytes) -> Any:  # noqa: ANN401 - as above
    """A signed report without signature and chain, both of which depend on a key that is not here."""
    try:
        sealed = cbor_decode_plain(payload)
        parts: Any = getattr(sealed, "value", ())
        report: Report = cbor_decode(parts[2] if len(parts) == _COSE_PARTS else b"", Report)
    except Refusal:
        return hashlib.sha256(payload).digest()[:_DIGEST_BYTES]
    kind = str(report.record.__struct_config__.tag)
    return [report.number, kind, _unmeasured(msgspec.to_builtins(report.record))]


def _unmeasured(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key not in _MEASURED}
