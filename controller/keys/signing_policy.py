"""What a signer signs: it judges each request by its own configuration, and never takes the asker's word.

The asker may be taken over: that is why the key is not with it. So the signer parses what it is to sign, and holds it
against the scope that stands in its own file: types, areas and everything below them, classes, drill or real; the
document must speak of the place that its topic names; real emergencies have a rate; and what is signed is for now, so
that whoever took the controller over for an hour has nothing in hand afterwards. The keyset's own scope holds at the
nodes besides.

Pure: time comes in. Rules kept: what cannot be read is not signed; whatever can sound ends within a bound from now, and
an answer about the time says this machine's own; an all-clear has no rate, and neither has the same emergency (name,
area and clip) signed again; only emergencies and streams may be of that class, for a plan has no rate.
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
    SOUNDS_MS_MAX,
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
from protocol.units import NS_PER_MS

HOUR_MS: Final = 3_600_000
SOUNDS_AHEAD_MS_MAX: Final = SOUNDS_MS_MAX + HOUR_MS
"""A stream or an emergency of the longest kind that is ordered a little ahead is over by then."""
PLANNED_AHEAD_MS_MAX: Final = 32 * 24 * HOUR_MS
"""A plan covers eight days; a month leaves room, and ends what a thief has signed."""
TOLD_TIME_OFF_MS_MAX: Final = 2_000
"""An answer about the time is signed within the second in which it is made, on the same machine."""
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
        self._raised: deque[tuple[int, tuple[str, ...]]] = deque(maxlen=emergencies_per_hour)

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
        _refuse_stockpile(document, now_ms)
        if isinstance(document, Emergency | StreamStart) and _is_real_emergency(document):
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
            can_sound=isinstance(document, Plan | StreamStart | Emergency | SilenceRelease),
        )

    def _judge_answer(self, key_id: str, topic: str, reply: TimeReply, now_ms: int) -> Judged:
        parsed = parse_topic(topic.partition("\0")[0])
        if parsed.name is not TopicName.TIME_REPLY or parsed.fields["node"] != reply.node:
            raise Refusal(RefusalReason.WRONG_AUDIENCE, f"an answer to {reply.node} on {topic[:120]!r}")
        self._scopes.check_answer(key_id, TIME_REPLY, now_ms)
        off_ms = abs(reply.transmitted_ns // NS_PER_MS - now_ms)
        if off_ms > TOLD_TIME_OFF_MS_MAX:
            raise Refusal(RefusalReason.WRONG_SCOPE, f"an answer that tells a time {off_ms} ms off this machine's")
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

    def _judge_rate(self, document: Emergency | StreamStart, now_ms: int) -> None:
        """Count what was not counted in this hour; another clip or area is another emergency, whatever its name."""
        while self._raised and self._raised[0][0] <= now_ms - HOUR_MS:
            self._raised.popleft()
        if isinstance(document, Emergency):
            name = (document.emergency, document.area, document.clip.sha256)
        else:
            name = (document.stream, document.area, document.public_key.hex())
        if any(known == name for _, known in self._raised):
            return
        if len(self._raised) >= self._emergencies_per_hour:
            raise Refusal(
                RefusalReason.WRONG_SCOPE,
                f"{len(self._raised)} emergencies in this hour; emergencies_per_hour is reached",
            )
        self._raised.append((now_ms, name))

    def _parents(self, area: str) -> tuple[str, ...]:
        """From an area up, itself first; a ring in the configuration ends where it closes."""
        chain: list[str] = []
        while area and area not in chain:
            chain.append(area)
            area = self._areas.get(area, "")
        return tuple(chain)


def _is_real_emergency(document: Emergency | StreamStart) -> bool:
    is_emergency = isinstance(document, Emergency) or document.broadcast_class is BroadcastClass.EMERGENCY
    return is_emergency and document.reality is Reality.REAL


def _refuse_stockpile(document: AnyDocument, now_ms: int) -> None:
    """Raise Refusal for what could sound long after whoever asks has been thrown out; and for a plan of emergencies."""
    match document:
        case Emergency():
            until_ms, ahead_ms_max = document.sounds_until_ms, SOUNDS_AHEAD_MS_MAX
        case StreamStart():
            until_ms, ahead_ms_max = document.ends_at_ms, SOUNDS_AHEAD_MS_MAX
        case Plan():
            until_ms, ahead_ms_max = max(document.covers_until_ms, document.latest_ms), PLANNED_AHEAD_MS_MAX
            if BroadcastClass.EMERGENCY in document.classes:
                raise Refusal(RefusalReason.WRONG_SCOPE, "a plan with emergencies, which have no rate there")
        case _:
            return
    ahead_ms = max(until_ms, document.expires_at_ms) - now_ms
    if ahead_ms > ahead_ms_max:
        what = f"a {document.document_type} for {ahead_ms // HOUR_MS} hours ahead; at most {ahead_ms_max // HOUR_MS}"
        raise Refusal(RefusalReason.WRONG_SCOPE, what)
