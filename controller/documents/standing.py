"""What stands on the broker's retained topics, and putting it there again.

The broker may have lost its store, so after each connect everything is published once more: first the keys,
then what sounds now, then plans and assignments, in slices, so that the queue to the broker never overflows.
Nodes take identical bytes for what they are. Only durable documents are handed in here.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from controller.effects import Publish
from controller.records import StandingDocument
from protocol.codec import cbor_decode
from protocol.envelope import open_sealed
from protocol.messages import AnyDocument, Occurrence, Plan
from protocol.plan_body import decode_body, filled, relays_in
from protocol.topics import TOPICS, TopicName, parse_topic, topic
from protocol.units import SharedMs

SLICE_DOCUMENTS: Final = 100
"""Republished at once: small beside any queue bound, large enough for 5,000 nodes in a few seconds."""
SLICE_EVERY_MS: Final = 100
UNFOLDED_MAX: Final = 16
"""Large plans whose occurrences are kept in memory after somebody has looked at them; 0.5 MB each."""
_ORDER: Final = {
    name: rank
    for rank, name in enumerate(
        (
            TopicName.KEYSET,
            TopicName.AREA_SILENCE,
            TopicName.NODE_SILENCE,
            TopicName.EMERGENCY,
            TopicName.STREAM,
            TopicName.PLAN,
            TopicName.ASSIGNMENT,
        )
    )
}


class Standing:
    """The documents by topic; keyset and root stand beside them as the bytes that the root signed."""

    def __init__(
        self, *, keyset: bytes, documents: Iterable[StandingDocument], root_chain: bytes | None = None
    ) -> None:
        self._trust = _trust(keyset, root_chain)
        self._documents = {document.topic: document for document in documents}
        self._decoded: dict[str, AnyDocument] = {}
        self._bodies = {_hash_of(each.body): each.topic for each in self._documents.values() if each.body}
        self._feeds: dict[str, tuple[Occurrence, ...]] = {}
        self._unfolded = lru_cache(maxsize=UNFOLDED_MAX)(decode_body)
        self._waiting: deque[str] = deque()
        self._slice_at_ms: SharedMs | None = None
        self._expires_at_ms = min((each.expires_at_ms for each in self._documents.values()), default=None)
        self.version = 0
        """Rises whenever something stands that did not, or stands no longer."""

    @property
    def keyset(self) -> bytes:
        """The keyset in force, as the root signed it."""
        return self._trust[topic(TopicName.KEYSET)]

    @property
    def topics(self) -> list[str]:
        """Where documents stand, the most urgent first."""
        return sorted(self._documents, key=_rank)

    def is_trusted(self, *, keyset: bytes, root_chain: bytes | None) -> bool:
        """Whether these stand already."""
        return self._trust == _trust(keyset, root_chain)

    def replace_trust(self, *, keyset: bytes, root_chain: bytes | None) -> list[Publish]:
        """Another keyset stands from now on, and perhaps another root."""
        self._trust = _trust(keyset, root_chain)
        return [_retained(each, payload) for each, payload in self._trust.items()]

    def put(self, document: StandingDocument, now_ms: SharedMs) -> Publish:
        """A durable document replaces what stood on its topic."""
        self._forget(document.topic)
        self._documents[document.topic] = document
        if document.body:
            self._bodies[_hash_of(document.body)] = document.topic
        self.version += 1
        if self._expires_at_ms is None or document.expires_at_ms < self._expires_at_ms:
            self._expires_at_ms = document.expires_at_ms
        return publication(document, now_ms)

    def repeat(self, topic_: str, now_ms: SharedMs) -> list[Publish]:
        """The identical bytes once more."""
        document = self._documents.get(topic_)
        return [publication(document, now_ms)] if document else []

    def sealed(self, topic_: str) -> StandingDocument | None:
        """What stands on a topic, as it is kept."""
        return self._documents.get(topic_)

    def document(self, topic_: str) -> AnyDocument | None:
        """What stands on a topic, as it reads: a large plan with its occurrences."""
        document = self.signed(topic_)
        body = None if document is None else self._documents[topic_].body
        if body and isinstance(document, Plan):
            return filled(document, body, self._unfolded(body))
        return document

    def signed(self, topic_: str) -> AnyDocument | None:
        """What stands on a topic, as it was signed: a large plan without its body."""
        if topic_ not in self._documents:
            return None
        if topic_ not in self._decoded:
            sealed = open_sealed(self._documents[topic_].payload, topic=topic_)
            self._decoded[topic_] = cbor_decode(sealed.payload, AnyDocument)
        return self._decoded[topic_]

    def planned_feeds(self, topic_: str) -> tuple[Occurrence, ...]:
        """What a standing plan relays; remembered, for a province's plans are too many to be read at each change."""
        if topic_ not in self._feeds:
            plan, sealed = self.signed(topic_), self._documents.get(topic_)
            occurrences = plan.occurrences if isinstance(plan, Plan) else ()
            if sealed is not None and sealed.body:
                occurrences = relays_in(sealed.body)
            self._feeds[topic_] = tuple(each for each in occurrences if each.feed is not None)
        return self._feeds[topic_]

    def body(self, sha256: str) -> bytes | None:
        """The body of a standing plan, by its hash, as nodes ask for it."""
        document = self._documents.get(self._bodies.get(sha256, ""))
        return None if document is None else document.body

    def naming(self, sha256: str) -> list[str]:
        """Where documents stand that name a medium: by their bytes, for a province's plans are too many to be read."""
        written, plain = sha256.encode(), bytes.fromhex(sha256)
        documents = self._documents.values()
        return [each.topic for each in documents if written in each.payload or plain in (each.body or b"")]

    def topics_of(self, name: TopicName) -> list[str]:
        """Where documents of a kind stand."""
        return [each for each in self._documents if parse_topic(each).name is name]

    def withdraw(self, topic_: str) -> Publish:
        """Nothing stands there any more."""
        self._forget(topic_)
        self._documents.pop(topic_, None)
        self.version += 1
        return Publish(topic=topic_, payload=b"", qos=1, retain=True)

    def _forget(self, topic_: str) -> None:
        """What was worked out of a document that goes."""
        before = self._documents.get(topic_)
        if before is not None and before.body:
            self._bodies.pop(_hash_of(before.body), None)
        self._decoded.pop(topic_, None)
        self._feeds.pop(topic_, None)

    def expired(self, now_ms: SharedMs) -> list[str]:
        """Topics whose document has run out."""
        if self._expires_at_ms is None or now_ms < self._expires_at_ms:
            return []
        later = (each.expires_at_ms for each in self._documents.values() if each.expires_at_ms > now_ms)
        self._expires_at_ms = min(later, default=None)
        return [each.topic for each in self._documents.values() if each.expires_at_ms <= now_ms]

    def connected(self, now_ms: SharedMs) -> None:
        """Begin to publish everything again."""
        self._waiting = deque(sorted(self._documents, key=_rank))
        self._waiting.extendleft(reversed(self._trust))
        self._slice_at_ms = now_ms

    def disconnected(self) -> None:
        """Nothing can be published."""
        self._waiting.clear()
        self._slice_at_ms = None

    def next_slice(self, now_ms: SharedMs) -> list[Publish]:
        """What is due of the republication."""
        if self._slice_at_ms is None or now_ms < self._slice_at_ms:
            return []
        publications: list[Publish] = []
        while self._waiting and len(publications) < SLICE_DOCUMENTS:
            each = self._waiting.popleft()
            if each in self._trust:
                publications.append(_retained(each, self._trust[each]))
            elif each in self._documents:
                publications.append(publication(self._documents[each], now_ms))
        self._slice_at_ms = SharedMs(now_ms + SLICE_EVERY_MS) if self._waiting else None
        return publications

    @property
    def next_at_ms(self) -> SharedMs | None:
        """When something is due here: the next slice, or the next document that runs out."""
        times = [each for each in (self._slice_at_ms, self._expires_at_ms) if each is not None]
        return SharedMs(min(times)) if times else None


def publication(document: StandingDocument, now_ms: SharedMs) -> Publish:
    """How a standing document is published: retained, and forgotten by the broker when it has run out."""
    row = TOPICS[parse_topic(document.topic).name]
    seconds = max(1, -(-(document.expires_at_ms - now_ms) // 1000))
    return Publish(
        topic=document.topic,
        payload=document.payload,
        qos=row.qos,
        retain=row.retain,
        expiry_s=min(seconds, 2**32 - 1),
    )


def _hash_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _trust(keyset: bytes, root_chain: bytes | None) -> dict[str, bytes]:
    """What the root signed, in the order in which a node needs it."""
    chain = {} if root_chain is None else {topic(TopicName.ROOT): root_chain}
    return {**chain, topic(TopicName.KEYSET): keyset}


def _retained(topic_: str, payload: bytes) -> Publish:
    return Publish(topic=topic_, payload=payload, qos=1, retain=True)


def _rank(topic_: str) -> tuple[int, str]:
    return _ORDER.get(parse_topic(topic_).name, len(_ORDER)), topic_
