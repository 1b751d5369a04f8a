"""Targets of the agreement: envelopes, documents, keysets, packets, topics, statuses, questions of the time."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cache

import cbor2
import msgspec

from protocol.clock_sync import TimeQuestion, ask, open_reply, open_request, seal_reply
from protocol.codec import cbor_decode, cbor_decode_plain, cbor_encode, json_decode, json_encode
from protocol.configuration import SettingsError, parse_settings
from protocol.enrolment import read_grouped
from protocol.envelope import cosign, cosigned, open_cosigned, open_sealed, open_to_be_signed
from protocol.errors import LocalProtocolError, Refusal
from protocol.keyring import Keyring, open_keyset, parse_root_keys
from protocol.messages import (
    AiringRecord,
    AiringState,
    AnyDocument,
    BroadcastClass,
    ControllerState,
    FaultRecord,
    Heard,
    HeardBy,
    NodeState,
    Readiness,
    Reality,
    Report,
    SelfTestRecord,
    SelfTestVerdict,
    SourceKind,
    Telemetry,
)
from protocol.plan_body import decode_body, encode_body
from protocol.root_chain import follow_chain, open_chain, seal_chain
from protocol.stream import unpack_audio
from protocol.topics import TOPICS, TopicName, parse_topic, topic
from protocol.units import MonotonicNs, SharedNs
from tests.fuzz.target import Target
from tests.support.issuer import COMMUNE, Issuer, key_of, media, occurrence, signer_of

NOW_MS = 1_800_000_000_000
STREAM = "0123456789abcdef"
AUDIO = topic(TopicName.AUDIO, stream=STREAM)
ORDERS = topic(TopicName.EMERGENCY, area=COMMUNE)
KEYSETS = topic(TopicName.KEYSET)
ROOTS = topic(TopicName.ROOT)
ISSUER = Issuer(NOW_MS)
NOTHING_IS_SIGNED = b"s" * 64


@cache
def documents() -> Sequence[AnyDocument]:
    """One of each kind that is a document of its own."""
    clip = media("flood")
    return (
        ISSUER.assignment(prepared_clips=(clip,)),
        ISSUER.plan(occurrence("a", NOW_MS + 1_000, clip), occurrence("b", NOW_MS + 9_000)),
        ISSUER.stream_start(STREAM, starts_at_ms=NOW_MS),
        ISSUER.stream_end(STREAM, ends_at_ms=NOW_MS),
        ISSUER.emergency(clip, play_at_ms=NOW_MS),
        ISSUER.all_clear(),
        ISSUER.acknowledgement("N001", 7),
        ISSUER.silence(),
        ISSUER.release(),
    )


def reports() -> Sequence[Report]:
    """Of an airing, bare and with all its proof, of a self-test and of a fault."""
    airing = AiringRecord(
        airing="a:1",
        source=SourceKind.MEDIA,
        source_id="a",
        title="Bản tin",
        broadcast_class=BroadcastClass.ROUTINE,
        reality=Reality.REAL,
        state=AiringState.STARTED,
        at_ms=NOW_MS,
        reason="on time",
    )
    proved = msgspec.structs.replace(
        airing,
        state=AiringState.FINISHED,
        area="xa-1",
        programme="sang",
        due_at_ms=NOW_MS,
        is_delivered=True,
        first_sample=48 * NOW_MS,
        samples=48_000,
        content_sample=0,
        digest="media:" + "ab" * 32,
        gain_db=-3.0,
        heard=Heard(by=HeardBy.MICROPHONE, is_heard=True, level_dbfs=-30.5, likeness=0.9, delay_ms=12.5),
    )
    tested = SelfTestRecord(at_ms=NOW_MS, verdict=SelfTestVerdict.WEAK, bands_change_db=(-9.0, -12.5), noise_dbfs=-60.0)
    fault = FaultRecord(fault="store", active=True, detail="full", at_ms=NOW_MS)
    records = (airing, proved, tested, fault)
    return [Report(node="N001", number=1, previous_sha256=bytes(32), record=record) for record in records]


@cache
def sealed() -> Sequence[bytes]:
    """The same, signed."""
    return [ISSUER.seal(document, ORDERS) for document in documents()]


@cache
def chain() -> bytes:
    """A root that followed the pinned one."""
    return seal_chain([ISSUER.link(2, "root-1", "root-2", "root-4", signers=("root-1", "root-2", "root-4"))])


@cache
def question() -> TimeQuestion:
    """What a node has asked."""
    return ask("N001", nonce=7, now=MonotonicNs(5))


def _keyring() -> Keyring:
    return Keyring.from_keyset(open_keyset(ISSUER.keyset(), topic=KEYSETS, root=ISSUER.root))


def _packet(data: bytes) -> object:
    """What a stream's own key signed may still be nonsense."""
    return unpack_audio(
        data + NOTHING_IS_SIGNED,
        public_key=b"",
        topic=AUDIO,
        stream=STREAM,
        verify=lambda *_: None,
    )


def _genuine_packet(data: bytes) -> object:
    public_key = key_of(STREAM).public_key().public_bytes_raw()
    return unpack_audio(data, public_key=public_key, topic=AUDIO, stream=STREAM)


def _keyset(data: bytes) -> object:
    """What the root signed may still be nonsense."""
    by = [signer_of(name) for name in ("root-1", "root-2")]
    document = cosign(type(cosigned(documents()[0]))(payload=data), signers=by, topic=KEYSETS)
    return Keyring.from_keyset(open_keyset(document.data, topic=KEYSETS, root=ISSUER.root))


def _chain(data: bytes) -> object:
    open_chain(data)
    return follow_chain(data, topic=ROOTS, pinned=ISSUER.root)


def _reply(data: bytes) -> object:
    asked = question()
    return open_reply(data, at=asked.reply_topic, question=asked, received=MonotonicNs(9), keyring=_keyring())


def _statuses(data: bytes) -> object:
    found: list[object] = []
    for kind in (Telemetry, NodeState, ControllerState):
        with suppress(Refusal):
            found.append(json_decode(data, kind))
    return found


def _state_bytes() -> Sequence[bytes]:
    state = NodeState(node="N001", state=Readiness.READY, session_epoch=1)
    return [json_encode(state), json_encode(Telemetry(node="N001", at_ms=1, refused={"expired": 1}))]


def _bodies() -> Sequence[bytes]:
    """What a large plan's body holds: items back to back, and one that stands by itself."""
    clip = media("news")
    row = [occurrence(f"morning.20270115.{number}", NOW_MS + 5_000 * number, clip) for number in range(3)]
    return [encode_body(row)[1], encode_body([*row, occurrence("alone", NOW_MS)])[1]]


PROTOCOL = (
    Target(name="plan-body", decode=decode_body, declared=(Refusal,), seeds=_bodies),
    Target(name="cbor", decode=cbor_decode_plain, declared=(Refusal,), seeds=sealed),
    Target(name="envelope", decode=lambda d: open_sealed(d, topic=ORDERS), declared=(Refusal,), seeds=sealed),
    Target(name="cosigned", decode=open_cosigned, declared=(Refusal,), seeds=lambda: [ISSUER.keyset()]),
    Target(
        name="to-be-signed",
        decode=open_to_be_signed,
        declared=(Refusal,),
        seeds=lambda: [cbor2.dumps(["Signature1", b"\xa2\x01'\x04Aa", ORDERS.encode(), b"{}"], canonical=True)],
    ),
    Target(
        name="document",
        decode=lambda d: cbor_decode(d, AnyDocument),
        declared=(Refusal,),
        seeds=lambda: [cbor_encode(document) for document in documents()],
    ),
    Target(
        name="report",
        decode=lambda d: cbor_decode(d, Report),
        declared=(Refusal,),
        seeds=lambda: [cbor_encode(report) for report in reports()],
    ),
    Target(
        name="keyset",
        decode=_keyset,
        declared=(Refusal, LocalProtocolError),
        seeds=lambda: [open_cosigned(ISSUER.keyset()).payload],
    ),
    Target(
        name="root-keys",
        decode=parse_root_keys,
        declared=(LocalProtocolError,),
        seeds=lambda: [json_encode(ISSUER.root)],
    ),
    Target(name="root-chain", decode=_chain, declared=(Refusal,), seeds=lambda: [chain()]),
    Target(
        name="audio-packet",
        decode=_packet,
        declared=(Refusal,),
        seeds=lambda: [ISSUER.packet(STREAM, 1, origin_ms=NOW_MS)[:-64]],
    ),
    Target(
        name="signed-audio-packet",
        decode=_genuine_packet,
        declared=(Refusal,),
        seeds=lambda: [ISSUER.packet(STREAM, 1, origin_ms=NOW_MS)],
    ),
    Target(
        name="topic",
        decode=lambda d: parse_topic(d.decode("latin-1")),
        declared=(Refusal,),
        seeds=lambda: [b"loaxa/1/" + row.path.encode() for row in TOPICS.values()],
    ),
    Target(name="status", decode=_statuses, declared=(Refusal,), seeds=_state_bytes),
    Target(
        name="time-request",
        decode=lambda d: open_request(d, at=topic(TopicName.TIME_REQUEST, node="N001")),
        declared=(Refusal,),
        seeds=lambda: [question().data],
    ),
    Target(
        name="time-reply",
        decode=_reply,
        declared=(Refusal,),
        seeds=lambda: [
            seal_reply(question(), received=SharedNs(1), transmitted=SharedNs(2), signer=signer_of("operations-1"))
        ],
    ),
    Target(
        name="grouped-code",
        decode=lambda d: read_grouped(d.decode("utf-8", "replace")),
        declared=(),
        seeds=lambda: [b"0123-4567-89AB-CDEF"],
    ),
    Target(
        name="settings",
        decode=lambda d: parse_settings(d.decode("utf-8", "replace"), dict[str, int], name="f"),
        declared=(SettingsError,),
        seeds=lambda: [b"a: 1\nb: 2\n", b"b: &x [1, 2]\nc: *x\n"],
    ),
)
