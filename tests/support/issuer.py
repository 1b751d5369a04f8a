"""Whoever signs documents in tests, with keys in memory: root, operations, drill, and a stream's packets.

Counters rise by themselves. `document` makes valid documents of short words; a test changes what it is about.
"""

from __future__ import annotations

import hashlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.envelope import Signer, seal, seal_by_many, signer_from_private_key
from protocol.identity import EVERYONE, area_audience, node_audience
from protocol.keyring import RootKeys
from protocol.messages import (
    Acknowledgement,
    AllClear,
    AnyDocument,
    Assignment,
    BroadcastClass,
    Emergency,
    KeyScope,
    Keyset,
    MediaReference,
    Occurrence,
    OperationalKey,
    Plan,
    QuietHours,
    Reality,
    Root,
    RootKey,
    Silence,
    SilenceRelease,
    StreamEnd,
    StreamStart,
)
from protocol.stream import AudioPacket, pack_audio
from protocol.topics import TopicName, topic
from protocol.units import FRAME_SAMPLES, NS_PER_MS, SharedNs

COMMUNE = "xa-binh-minh"
VILLAGE = "thon-dong"
HOUR_MS = 3_600_000
TYPES = (
    *("assignment", "plan", "stream-start", "stream-end", "emergency", "all-clear", "acknowledgement"),
    *("silence", "silence-release"),
)


def key_of(name: str) -> Ed25519PrivateKey:
    """A key that follows from its name, so that every run of the tests has the same."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def signer_of(name: str) -> Signer:
    """The signer of a named key."""
    return signer_from_private_key(name, key_of(name))


def media(name: str, *, seconds: int = 5) -> MediaReference:
    """A reference to a clip that the fake workshop knows by its hash."""
    return MediaReference(
        sha256=hashlib.sha256(name.encode()).hexdigest(), size_bytes=10_000, duration_ms=seconds * 1000
    )


class Issuer:
    """All the signing sides of a test; `now_ms` is when documents begin to be valid."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self._counter = now_ms
        names = ("root-1", "root-2", "root-3")
        pinned = {name: key_of(name).public_key().public_bytes_raw().hex() for name in names}
        self.root = RootKeys(threshold=2, keys=pinned)

    def count(self) -> int:
        """The next counter."""
        self._counter += 1
        return self._counter

    def operational(self, key_id: str, *, reality: Reality = Reality.REAL, **changes: Any) -> OperationalKey:
        """A key in the keyset; it may sign everything of its reality unless changed."""
        scope = KeyScope(
            document_types=changes.pop("document_types", TYPES),
            areas=changes.pop("areas", ("*",)),
            classes=changes.pop("classes", tuple(BroadcastClass)),
            realities=(reality,),
        )
        fields: dict[str, Any] = {
            "key_id": key_id,
            "public_key": key_of(key_id).public_key().public_bytes_raw(),
            "scope": scope,
            "not_before_ms": 0,
            "expires_at_ms": self.now_ms + 1000 * HOUR_MS,
        }
        return OperationalKey(**{**fields, **changes})

    def keyset(self, *keys: OperationalKey, signers: tuple[str, ...] = ("root-1", "root-2")) -> bytes:
        """A sealed keyset; operations-1 and drill-1 without `keys`."""
        standing = keys or (self.operational("operations-1"), self.operational("drill-1", reality=Reality.DRILL))
        document = Keyset(**self._header("keyset", EVERYONE), keys=standing)
        return seal_by_many(document, signers=[signer_of(name) for name in signers], topic=topic(TopicName.KEYSET))

    def link(self, version: int, *names: str, signers: tuple[str, ...], threshold: int = 2) -> bytes:
        """One change of the root: its keys from now on, and who signs it."""
        keys = tuple(RootKey(key_id=name, public_key=key_of(name).public_key().public_bytes_raw()) for name in names)
        header = {**self._header("root", EVERYONE), "counter": version}
        document = Root(**header, threshold=threshold, keys=keys)
        return seal_by_many(document, signers=[signer_of(name) for name in signers], topic=topic(TopicName.ROOT))

    def seal(self, document: AnyDocument, name: str, *, key: str = "operations-1") -> bytes:
        """Sign a document for a topic."""
        return seal(document, signer=signer_of(key), topic=name)

    def assignment(self, node: str = "N001", **changes: Any) -> Assignment:
        """A node in the village of the commune, with the usual quiet hours."""
        fields: dict[str, Any] = {
            **self._header("assignment", node_audience(node)),
            "node": node,
            "title": "Cụm loa 1",
            "areas": (VILLAGE, COMMUNE),
            "quiet_hours": QuietHours(),
        }
        return Assignment(**{**fields, **changes})

    def plan(self, *occurrences: Occurrence, area: str = COMMUNE, **changes: Any) -> Plan:
        """A plan of an area."""
        fields: dict[str, Any] = {
            **self._header("plan", area_audience(area)),
            "area": area,
            "covers_from_ms": self.now_ms - HOUR_MS,
            "covers_until_ms": self.now_ms + 168 * HOUR_MS,
            "occurrences": occurrences,
        }
        return Plan(**{**fields, **changes})

    def emergency(self, clip: MediaReference, *, play_at_ms: int, area: str = COMMUNE, **changes: Any) -> Emergency:
        """A real emergency of half an hour."""
        fields: dict[str, Any] = {
            **self._header("emergency", area_audience(area)),
            "broadcast_class": BroadcastClass.EMERGENCY,
            "emergency": "flood-1",
            "area": area,
            "title": "Lũ khẩn cấp",
            "clip": clip,
            "play_at_ms": play_at_ms,
            "repeat_every_ms": clip.duration_ms + 1_000,
            "sounds_until_ms": play_at_ms + HOUR_MS // 2,
        }
        return Emergency(**{**fields, **changes})

    def all_clear(self, emergency: str = "flood-1", area: str = COMMUNE, **changes: Any) -> AllClear:
        """The end of an emergency."""
        fields: dict[str, Any] = {
            **self._header("all-clear", area_audience(area)),
            "broadcast_class": BroadcastClass.EMERGENCY,
            "emergency": emergency,
            "area": area,
            "reason": "nước đã rút",
        }
        return AllClear(**{**fields, **changes})

    def stream_start(self, stream: str, *, starts_at_ms: int, area: str = COMMUNE, **changes: Any) -> StreamStart:
        """A relay of ten minutes, whose packets `packet` signs."""
        fields: dict[str, Any] = {
            **self._header("start", area_audience(area)),
            "stream": stream,
            "area": area,
            "title": "VOV1",
            "public_key": key_of(stream).public_key().public_bytes_raw(),
            "starts_at_ms": starts_at_ms,
            "ends_at_ms": starts_at_ms + 600_000,
            "stall_ms_max": 2_000,
        }
        return StreamStart(**{**fields, **changes})

    def stream_end(self, stream: str, *, ends_at_ms: int, area: str = COMMUNE) -> StreamEnd:
        """The end of a relay."""
        return StreamEnd(
            **self._header("end", area_audience(area)), stream=stream, area=area, ends_at_ms=ends_at_ms, reason="xong"
        )

    def acknowledgement(self, node: str, number: int) -> Acknowledgement:
        """Everything up to a number is stored."""
        return Acknowledgement(**self._header("ack", node_audience(node)), node=node, stored_number=number)

    def silence(self, order: str = "silence-1", *, area: str | None = COMMUNE, **changes: Any) -> Silence:
        """An order to be silent, for an area or, with `area` None, for a node."""
        fields = self._of_silence("silence", order, area, changes)
        return Silence(**{**fields, "reason": "tháo loa", "ordered_by": "lan", **changes})

    def release(self, order: str = "silence-1", *, area: str | None = COMMUNE, **changes: Any) -> SilenceRelease:
        """The end of such an order."""
        return SilenceRelease(**{**self._of_silence("release", order, area, changes), "reason": "xong", **changes})

    def _of_silence(self, kind: str, order: str, area: str | None, changes: dict[str, Any]) -> dict[str, Any]:
        node = changes.pop("node", None if area else "N001")
        return {
            **self._header(kind, node_audience(node) if node else area_audience(area or "")),
            "broadcast_class": BroadcastClass.EMERGENCY,
            "order": order,
            "area": None if node else area,
            "node": node,
        }

    def packet(self, stream: str, sequence: int, *, origin_ms: int, epoch: int = 1, key: str = "") -> bytes:
        """100 ms of a stream that began at `origin_ms`; the frames say which they are."""
        first = sequence * 5 * FRAME_SAMPLES
        packet = AudioPacket(
            stream=stream,
            epoch=epoch,
            sequence=sequence,
            first_sample=first,
            play_at_ns=SharedNs((origin_ms + sequence * 100) * NS_PER_MS),
            frames=tuple((sequence * 5 + index).to_bytes(4, "big") for index in range(5)),
        )
        return pack_audio(packet, sign=key_of(key or stream).sign, topic=topic(TopicName.AUDIO, stream=stream))

    def _header(self, name: str, audience: str) -> dict[str, Any]:
        counter = self.count()
        return {
            "id": f"{name}.{counter}",
            "issuer": "controller1",
            "audience": audience,
            "counter": counter,
            "not_before_ms": self.now_ms - 1000,
            "expires_at_ms": self.now_ms + 200 * HOUR_MS,
        }


def occurrence(name: str, start_at_ms: int, clip: MediaReference | None = None, **changes: Any) -> Occurrence:
    """One item of a plan; the relay of a feed without `clip`."""
    fields: dict[str, Any] = {
        "id": name,
        "programme": "morning",
        "title": f"Bản tin {name}",
        "broadcast_class": BroadcastClass.ROUTINE,
        "start_at_ms": start_at_ms,
        "duration_ms": 5_000 if clip is None else clip.duration_ms,
        "media": clip,
        "feed": "vov1" if clip is None else None,
    }
    return Occurrence(**{**fields, **changes})
