"""What an attacker says: orders, plans, keysets, packets, made of the same parts as genuine ones.

All speak of the village of `NODE` and of a clip that lies on it, and would sound within half a second: whatever is
wrong with one is the only thing that is.
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import cbor2
import numpy as np

from controller.adapters.relay.opus_encoder import OpusEncoder
from protocol.envelope import seal, seal_by_many, signer_from_private_key
from protocol.identity import EVERYONE
from protocol.messages import Keyset, Root, RootKey
from protocol.stream import AudioPacket, pack_audio
from protocol.topics import TopicName, topic
from protocol.units import FRAME_SAMPLES, NS_PER_MS, SAMPLE_RATE_HZ, SharedNs
from tests.support.besieged import FOREIGN_HZ, NODE, VILLAGE, Besieged
from tests.support.issuer import key_of, occurrence, signer_of

SOON_MS = 200
FRAMES = 5
PACKET_MS = 20 * FRAMES
AHEAD_MS = 600
"""How long before it plays a packet of a relay leaves."""
STREAM = "f0" * 8
TIME_SHIFTS_MS = (-6 * 3_600_000, 6 * 3_600_000, 20, 40, 60)
"""How wrong each of the forged answers about the time is."""


def emergency_topic(area: str = VILLAGE) -> str:
    """Where orders for an area stand."""
    return topic(TopicName.EMERGENCY, area=area)


def order(ground: Besieged, *, key: str = "genuine-1", on: str = "", area: str = VILLAGE, **changes: Any) -> bytes:
    """A real emergency at once, signed by a key for a topic."""
    now_ms = _fresh(ground)
    document = ground.issuer.emergency(ground.clip, play_at_ms=now_ms + SOON_MS, area=area, **changes)
    return seal(document, signer=signer_of(key), topic=on or emergency_topic(area))


def all_clear(ground: Besieged, *, key: str = "genuine-1") -> bytes:
    """The end of what `order` began."""
    _fresh(ground)
    return ground.issuer.seal(ground.issuer.all_clear(area=VILLAGE), emergency_topic(), key=key)


def plan(ground: Besieged, *, key: str, on: str = "", **changes: Any) -> bytes:
    """A plan whose only item is due at once."""
    now_ms = _fresh(ground)
    item = occurrence("forged", now_ms + SOON_MS, ground.clip, **changes)
    return seal(
        ground.issuer.plan(item, area=VILLAGE),
        signer=signer_of(key),
        topic=on or topic(TopicName.PLAN, area=VILLAGE),
    )


def silence(ground: Besieged, *, key: str) -> tuple[str, bytes]:
    """An order to be silent, and its topic."""
    _fresh(ground)
    name = topic(TopicName.AREA_SILENCE, area=VILLAGE)
    return name, ground.issuer.seal(ground.issuer.silence(area=VILLAGE), name, key=key)


def stream_start(ground: Besieged, stream: str, *, key: str, area: str = VILLAGE, packets_by: str = "") -> bytes:
    """The start of a stream whose packets `packets_by` signs."""
    now_ms = _fresh(ground)
    public_key = key_of(packets_by or stream).public_key().public_bytes_raw()
    start = ground.issuer.stream_start(stream, starts_at_ms=now_ms, area=area, public_key=public_key)
    return ground.issuer.seal(start, topic(TopicName.STREAM, area=area, stream=stream), key=key)


def stream_end(ground: Besieged, stream: str, *, key: str) -> bytes:
    """The end of a stream, at once."""
    now_ms = _fresh(ground)
    name = topic(TopicName.STREAM, area=VILLAGE, stream=stream)
    return ground.issuer.seal(ground.issuer.stream_end(stream, ends_at_ms=now_ms, area=VILLAGE), name, key=key)


def packets(stream: str, *, key: str, count: int = 10, epoch: int = 2**31) -> list[tuple[str, bytes]]:
    """A second of the high tone, due when a relay's packets are, with an epoch above every genuine one."""
    name, now_ms = topic(TopicName.AUDIO, stream=stream), time.time_ns() // NS_PER_MS
    made = []
    for number in range(count):
        at_ms = now_ms + AHEAD_MS + number * PACKET_MS
        packet = AudioPacket(
            stream=stream,
            epoch=epoch,
            sequence=number,
            first_sample=number * FRAMES * FRAME_SAMPLES,
            play_at_ns=SharedNs(at_ms * NS_PER_MS),
            frames=tuple(tone_frames()[(number * FRAMES + index) % len(tone_frames())] for index in range(FRAMES)),
        )
        made.append((name, pack_audio(packet, sign=key_of(key).sign, topic=name)))
    return made


def keyset(ground: Besieged, *, signers: tuple[str, ...], names: tuple[str, ...] = (), counter: int = 0) -> bytes:
    """A keyset in which everything is allowed to `stranger`; `names` are what the signers say they are."""
    now_ms = _fresh(ground)
    document = Keyset(
        id="keyset.forged",
        issuer="root",
        audience=EVERYONE,
        counter=counter or now_ms,
        not_before_ms=now_ms - 1_000,
        expires_at_ms=now_ms + 10**9,
        keys=(ground.issuer.operational("stranger"),),
    )
    by = [signer_from_private_key(name, key_of(key)) for key, name in zip(signers, names or signers, strict=True)]
    return seal_by_many(document, signers=by, topic=topic(TopicName.KEYSET))


def root(ground: Besieged, *signers: str) -> bytes:
    """A chain that makes `stranger` the root."""
    _fresh(ground)
    keys = (RootKey(key_id="stranger", public_key=key_of("stranger").public_key().public_bytes_raw()),)
    document = Root(
        id="root.2",
        issuer="root",
        audience=EVERYONE,
        counter=2,
        not_before_ms=0,
        expires_at_ms=ground.now_ms + 10**9,
        threshold=1,
        keys=keys,
    )
    link = seal_by_many(document, signers=[signer_of(name) for name in signers], topic=topic(TopicName.ROOT))
    return cbor2.dumps({"links": [link]}, canonical=True)


def assignment(ground: Besieged, *, key: str) -> tuple[str, bytes]:
    """Another place, louder, without quiet hours; and its topic."""
    _fresh(ground)
    name = topic(TopicName.ASSIGNMENT, node=NODE)
    changed = ground.issuer.assignment(NODE, areas=("another-place",), quiet_hours=None, emergency_gain_db=24.0)
    return name, ground.issuer.seal(changed, name, key=key)


def parts(sealed: bytes) -> list[Any]:
    """Header, unprotected header, payload and signature of a COSE_Sign1."""
    return list(cbor2.loads(sealed).value)


def of_parts(*values: Any) -> bytes:
    """A COSE_Sign1 of any four parts."""
    return cbor2.dumps(cbor2.CBORTag(18, list(values)), canonical=True)


def flipped(data: bytes, at: int, bit: int = 0) -> bytes:
    """The bytes with one bit changed."""
    changed = bytearray(data)
    changed[at] ^= 1 << bit
    return bytes(changed)


@cache
def tone_frames() -> tuple[bytes, ...]:
    """A second of the high tone in real Opus frames."""
    encoder = OpusEncoder(48_000)
    index = np.arange(SAMPLE_RATE_HZ)
    tone = np.asarray(0.35 * np.sin(2 * np.pi * FOREIGN_HZ / SAMPLE_RATE_HZ * index), np.float32)
    return tuple(encoder.encode(frame) for frame in tone.reshape(-1, FRAME_SAMPLES))


def _fresh(ground: Besieged) -> int:
    ground.issuer.now_ms = ground.now_ms
    return ground.now_ms
