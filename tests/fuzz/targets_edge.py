"""Targets of the node: its agent behind the guard, its configuration, its card, its log, sound, a server's answers."""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import cbor2
import numpy as np
import soundfile
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import NameOID

from edge.adapters.clip_reader import SoundFileReader
from edge.adapters.decoder import LibopusDecoder
from edge.adapters.enrolment_keys import read_certificates
from edge.config import parse_config
from edge.enrolment.identity import boot_settings
from edge.errors import ClipError, ConfigurationError, DecoderError, EnrolmentError
from edge.events import Connected, Wake
from edge.flight.log import Step, event_of, pack_block, read_blocks, step_of
from protocol.codec import cbor_encode
from protocol.envelope import Signer
from protocol.topics import TopicName, topic
from protocol.units import FRAME_SAMPLES, SAMPLE_RATE_HZ, MonotonicNs, Now, SharedNs, TimeSource
from simulator.replay import ReplayError, replay
from tests.fuzz.target import Target
from tests.fuzz.targets_protocol import ISSUER, STREAM, documents, sealed
from tests.support.issuer import COMMUNE, signer_of
from tests.support.opus import tone_frames
from tests.support.pole import NODE, Pole

NAMES = (
    topic(TopicName.EMERGENCY, area=COMMUNE),
    topic(TopicName.PLAN, area=COMMUNE),
    topic(TopicName.STREAM, area=COMMUNE, stream=STREAM),
    topic(TopicName.AREA_SILENCE, area=COMMUNE),
    topic(TopicName.NODE_SILENCE, node=NODE),
    topic(TopicName.ASSIGNMENT, node=NODE),
    topic(TopicName.ACKNOWLEDGEMENT, node=NODE),
    topic(TopicName.KEYSET),
    topic(TopicName.ROOT),
    topic(TopicName.AUDIO, stream=STREAM),
    topic(TopicName.TIME_REPLY, node=NODE),
)
CLIP_SAMPLES_MAX = 48_000
_VERSION_3, _VERSION_17 = b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x10"
"""The version of a certificate (RFC 5280, 4.1)."""


def _prepared() -> Pole:
    pole = Pole()
    pole.introduce()
    pole.send(pole.issuer.stream_start(STREAM, starts_at_ms=pole.now_ms))
    return pole


def _agent(data: bytes) -> object:
    """A broker's bytes on any topic: as they are, and as a payload that a good key signed."""
    pole = _prepared()
    name = NAMES[data[0] % len(NAMES)] if data else NAMES[0]
    pole.deliver(name, data[1:], retain=False)
    pole.deliver(name, _signed(data[1:], name, signer_of("operations-1")), retain=False)
    pole.run_for(2_000)
    assert pole.unpowered_samples() == 0
    return pole


def _signed(payload: bytes, name: str, signer: Signer) -> bytes:
    """Any payload in a good envelope, which `seal` would not make."""
    protected = cbor2.dumps({1: -8, 4: signer.key_id.encode()}, canonical=True)
    signature = signer.sign(cbor2.dumps(["Signature1", protected, name.encode(), payload], canonical=True))
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]), canonical=True)


def _flight_log(data: bytes) -> object:
    entries = list(read_blocks(data))
    return [event_of(entry) for entry in entries if isinstance(entry, Step)]


def _replayed(data: bytes) -> object:
    return replay(read_blocks(data))


def _recorded() -> Sequence[bytes]:
    now = Now(monotonic_ns=MonotonicNs(1), shared_ns=SharedNs(2), error_ns=3, source=TimeSource.SYSTEM)
    events = (Connected(session_present=False, incarnation=1), Wake())
    return [pack_block([step_of(event, now, (), []) for event in events])]


def _opus(data: bytes) -> object:
    decoder = LibopusDecoder()
    into = np.zeros(FRAME_SAMPLES, np.float32)
    at = 0
    while at < len(data):
        length = 1 + data[at] * 5
        decoder.decode(data[at + 1 : at + 1 + length], into)
        at += 1 + length
    return into


@cache
def _scratch() -> Path:
    return Path(tempfile.mkdtemp(prefix="loaxa-fuzz-"))


def _clip(data: bytes) -> object:
    path = _scratch() / "clip.opus"
    path.write_bytes(data)
    reader = SoundFileReader(path)
    try:
        into = np.zeros(FRAME_SAMPLES, np.float32)
        for first in (0, FRAME_SAMPLES, max(0, min(reader.samples, CLIP_SAMPLES_MAX) - FRAME_SAMPLES)):
            reader.read(first, into)
    finally:
        reader.close()
    return into


def _clips() -> Sequence[bytes]:
    tone = (0.3 * np.sin(np.arange(SAMPLE_RATE_HZ // 5) * 0.05)).astype(np.float32)
    made = io.BytesIO()
    soundfile.write(made, tone, SAMPLE_RATE_HZ, format="OGG", subtype="OPUS")
    return [made.getvalue()]


@cache
def _certificates() -> Sequence[bytes]:
    """What an EST server answers, and the same with a version that does not exist."""
    key, day = generate_private_key(SECP256R1()), timedelta(days=1)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, datetime.now(UTC) - day, datetime.now(UTC) + day)
    der = pkcs7.serialize_certificates([builder.sign(key, SHA256())], Encoding.DER)
    return [der, der.replace(_VERSION_3, _VERSION_17)]


def _frames() -> Sequence[bytes]:
    frames = [frame[: (len(frame) - 1) // 5 * 5 + 1] for frame in tone_frames(3)]
    return [b"".join(bytes([(len(frame) - 1) // 5]) + frame for frame in frames)]


EDGE = (
    Target(
        name="agent",
        decode=_agent,
        declared=(),
        seeds=lambda: [
            *(bytes([number % len(NAMES)]) + cbor_encode(document) for number, document in enumerate(documents())),
            *(bytes([0]) + payload for payload in sealed()[:3]),
            bytes([7]) + ISSUER.keyset(),
        ],
    ),
    Target(
        name="edge-configuration",
        decode=lambda d: parse_config(d.decode("utf-8", "replace"), name="f", folder=Path("/")),
        declared=(ConfigurationError,),
        seeds=lambda: [b"node: N001\nbroker: {host: a, port: 1}\ninputs: {stop_pin: 4}\n"],
    ),
    Target(
        name="boot-file",
        decode=lambda d: boot_settings(d, name="f"),
        declared=(ConfigurationError,),
        seeds=lambda: [b"enrolment:\n  url: https://a:1\n  ca_sha256: " + b"ab" * 32 + b"\n  claim: 0123-4567\n"],
    ),
    Target(name="flight-log", decode=_flight_log, declared=(ValueError,), seeds=_recorded),
    Target(name="replay", decode=_replayed, declared=(ReplayError,), seeds=_recorded),
    Target(name="opus", decode=_opus, declared=(DecoderError,), seeds=_frames),
    Target(name="media-file", decode=_clip, declared=(ClipError,), seeds=_clips),
    Target(
        name="server-certificates",
        decode=lambda d: read_certificates(base64.b64encode(d)),
        declared=(EnrolmentError,),
        seeds=_certificates,
    ),
)
