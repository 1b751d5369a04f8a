"""What a signer signs: it judges each request by its own configuration, and never takes the asker's word.

The asker may be taken over: that is why the key is not with it. So the signer parses what it is to sign, and holds it
against the scope that stands in its own file: types, areas and everything below them, classes, drill or real; the
document must speak of the place that its topic names; real emergencies have a rate. The keyset's own scope holds at
the nodes besides.

Pure: time comes in. Rules kept: what cannot be read is not signed; an all-clear has no rate, and neither has the same
emergency signed again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from protocol.clock_sync import TIME_REPLY, TimeReply
from protocol.codec import cbor_decode
from protocol.envelope import open_to_be_signed
from protocol.errors import Refusal, RefusalReason
from protocol.keyring import Keyring
from protocol.messages import (
    Acknowledgement,
    AllClear,
    AnyDocument,
    Assignment,
    BroadcastClass,
    Emergency,
    OperationalKey,
    Plan,
    Reality,
    Silence,
    SilenceRelease,
    StreamEnd,
    StreamStart,
)
from protocol.topics import TopicName, parse_topic

HOUR_MS: Final = 3_600_000
_SILENCE: Final = (TopicName.AREA_SILENCE, TopicName.NODE_SILENCE)
_TOPICS_OF: Final[dict[type[AnyDocument], tuple[TopicName, ...]]] = {
    Assignment: (TopicName.ASSIGNMENT,),
    Plan: (TopicName.PLAN,),
    StreamStart: (TopicName.STREAM,),
    StreamEnd: (TopicName.STREAM,),
    Emergency: (TopicName.EMERGENCY,),
    AllClear: (TopicName.EMERGENCY,),
    Silence: _SILENCE,
    SilenceRelease: _SILENCE,
    Acknowledgement: (TopicName.ACKNOWLEDGEMENT,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What is to be signed, as the signer's log names it. `is_urgent`: rather signed unlogged than not at all."""

    topic: str
    kind: str
    id: str
    counter: int
    broadcast_class: str
    reality: str
    is_urgent: bool = False
    can_sound: bool = True


class SigningPolicy:
    """One signer's rules. `areas` maps each area to the one above it, as far as scopes need it."""

    def __init__(
        self, keys: Mapping[str, OperationalKey], *, areas: Mapping[str, str], emergencies_per_hour: int
    ) -> None:
        self._scopes: Final = Keyring(version=1, keys=keys)
        self._areas: Final = dict(areas)
        self._emergencies_per_hour: Final = emergencies_per_hour
        self._raised: deque[tuple[int, str]] = deque(maxlen=emergencies_per_hour)

    def judge(self, key_id: str, data: bytes, now_ms: int) -> Judged:
        """Return what this is if the key may sign it now; raises Refusal."""
        asked = open_to_be_signed(data)
        if asked.key_id != key_id:
            raise Refusal(RefusalReason.UNKNOWN_KEY, f"it names the key {asked.key_id}, and {key_id} was asked for")
        document = cbor_decode(asked.payload, AnyDocument | TimeReply)
        if isinstance(document, TimeReply):
            return self._judge_answer(key_id, asked.topic, document, now_ms)
        self._judge_place(asked.topic, document)
        self._scopes.check(key_id, document, now_ms, self._parents)
        if isinstance(document, Emergency) and document.reality is Reality.REAL:
            self._judge_rate(document, now_ms)
        is_real_emergency = isinstance(document, Emergency | AllClear) and document.reality is Reality.REAL
        return Judged(
            topic=asked.topic,
            kind=document.document_type,
            id=document.id,
            counter=document.counter,
            broadcast_class=document.broadcast_class.value,
            reality=document.reality.value,
            is_urgent=is_real_emergency or isinstance(document, Silence),
            can_sound=isinstance(document, Plan | StreamStart | Emergency),
        )

    def _judge_answer(self, key_id: str, topic: str, reply: TimeReply, now_ms: int) -> Judged:
        parsed = parse_topic(topic.partition("\0")[0])
        if parsed.name is not TopicName.TIME_REPLY or parsed.fields["node"] != reply.node:
            raise Refusal(RefusalReason.WRONG_AUDIENCE, f"an answer to {reply.node} on {topic[:120]!r}")
        self._scopes.check_answer(key_id, TIME_REPLY, now_ms)
        return Judged(
            topic=topic.partition("\0")[0],
            kind=TIME_REPLY,
            id=str(reply.nonce),
            counter=reply.transmitted_ns,
            broadcast_class=BroadcastClass.ROUTINE.value,
            reality=Reality.REAL.value,
            can_sound=False,
        )

    def _judge_place(self, topic: str, document: AnyDocument) -> None:
        parsed = parse_topic(topic)
        if parsed.name not in _TOPICS_OF.get(type(document), ()):
            raise Refusal(RefusalReason.UNEXPECTED_TYPE, f"a {document.document_type} on {topic}")
        for field, named in parsed.fields.items():
            if getattr(document, field, named) != named:
                raise Refusal(RefusalReason.WRONG_AUDIENCE, f"it speaks of another {field} than {topic}")

    def _judge_rate(self, document: Emergency, now_ms: int) -> None:
        while self._raised and self._raised[0][0] <= now_ms - HOUR_MS:
            self._raised.popleft()
        if any(known == document.emergency for _, known in self._raised):
            return
        if len(self._raised) >= self._emergencies_per_hour:
            raise Refusal(
                RefusalReason.WRONG_SCOPE,
                f"{len(self._raised)} emergencies in this hour; emergencies_per_hour is reached",
            )
        self._raised.append((now_ms, document.emergency))

    def _parents(self, area: str) -> tuple[str, ...]:
        """From an area up, itself first; a ring in the configuration ends where it closes."""
        chain: list[str] = []
        while area and area not in chain:
            chain.append(area)
            area = self._areas.get(area, "")
        return tuple(chain)
