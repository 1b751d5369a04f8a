"""What time is it? A node asks over the broker, the time service answers: four stamps, one signature.

t1 the node sends, t2 the service has received, t3 the service sends, t4 the node has received. t1 and t4 are on the
node's monotonic clock, t2 and t3 on shared time; what lies between the two clocks, and how wrong that can be, follows
as in NTP (RFC 5905, 8). The request is JSON and unsigned, for whoever asks learns nothing secret; the reply is a
COSE_Sign1.

Rules kept: the external data of the reply's signature is the node's topic and the digest of the request's bytes, so
that it answers this request of this node and no other; a node never uses a nonce twice, and nobody can guess one, or a
reply could be fetched before the question; a reply that names another request is refused before its signature costs
anything; one that is late is refused, for half its round trip is its error.
A broker can delay one way only and so shift the offset, by half of the round trip that it adds: `error_ns` says how
much at most. Kept elsewhere: when to ask, which samples to believe, and what the node's clock is made of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated, Final

from msgspec import Meta, Struct

from protocol.codec import cbor_decode, json_decode, json_encode
from protocol.envelope import Signer, open_sealed, seal
from protocol.errors import Refusal, RefusalReason
from protocol.identity import NodeId
from protocol.keyring import Keyring
from protocol.topics import TopicName, parse_topic, topic
from protocol.units import NS_PER_MS, NS_PER_S, MonotonicNs, SharedNs

TIME_REPLY: Final = "time-reply"
"""The type in the reply's bytes, which a key's scope must allow."""
REQUEST_BYTES_MAX: Final = 256
"""Three times what a request takes."""
REPLY_BYTES_MAX: Final = 512
"""A reply takes 250 bytes; a key's id may be 64."""
NONCE_MAX: Final = 2**63 - 1
ROUND_TRIP_NS_MAX: Final = 5 * NS_PER_S
"""A sample that is wrong by more than half of it is worth nothing, and the node asks again."""

Nanoseconds = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class TimeRequest(Struct, frozen=True, kw_only=True):
    """A node's question. `nonce` is random; `sent_ns` (t1) means something to the node only."""

    node: NodeId
    nonce: Annotated[int, Meta(ge=0, le=NONCE_MAX)]
    sent_ns: Nanoseconds


class TimeReply(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=TIME_REPLY, tag_field="type"):
    """The answer: the question again, and when (shared nanoseconds) it came and the answer left."""

    node: NodeId
    nonce: Annotated[int, Meta(ge=0, le=NONCE_MAX)]
    sent_ns: Nanoseconds
    received_ns: Nanoseconds
    transmitted_ns: Nanoseconds

    def __post_init__(self) -> None:
        """Refuse an answer that left before its question came."""
        if self.transmitted_ns < self.received_ns:
            raise ValueError("the answer left before its question came: the service's clock was set meanwhile")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeQuestion:
    """A request with the bytes in which it travelled, as both sides remember it until it is answered."""

    request: TimeRequest
    data: bytes

    @property
    def reply_topic(self) -> str:
        """Where the answer comes."""
        return topic(TopicName.TIME_REPLY, node=self.request.node)

    @property
    def external_data(self) -> str:
        """What the answer's signature covers beside the answer: where it is said, and to which bytes."""
        return f"{self.reply_topic}\0{hashlib.sha256(self.data).hexdigest()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSample:
    """What one exchange says of a node's clock when it read `at_ns`: shared time is that plus `offset_ns`."""

    at_ns: MonotonicNs
    offset_ns: int
    round_trip_ns: int

    @property
    def error_ns(self) -> int:
        """How wrong the offset can be, wherever on its way the time was spent."""
        return -(-self.round_trip_ns // 2)


def ask(node: str, *, nonce: int, now: MonotonicNs) -> TimeQuestion:
    """The question to be sent at once; `nonce` from the operating system's randomness, up to NONCE_MAX."""
    request = TimeRequest(node=node, nonce=nonce, sent_ns=now)
    return TimeQuestion(request=request, data=json_encode(request))


def open_request(data: bytes, *, at: str) -> TimeQuestion:
    """What was asked on the topic `at`; raises Refusal: too large, malformed, another node's topic."""
    parsed = parse_topic(at)
    if parsed.name is not TopicName.TIME_REQUEST:
        raise Refusal(RefusalReason.UNKNOWN_TOPIC, f"nobody asks for the time on {at}")
    if len(data) > REQUEST_BYTES_MAX:
        raise Refusal(RefusalReason.TOO_LARGE, f"a request of {len(data)} bytes; at most {REQUEST_BYTES_MAX}")
    request = json_decode(data, TimeRequest)
    if request.node != parsed.fields["node"]:
        raise Refusal(RefusalReason.WRONG_AUDIENCE, f"{parsed.fields['node']} asks in the name of {request.node}")
    return TimeQuestion(request=request, data=data)


def seal_reply(question: TimeQuestion, *, received: SharedNs, transmitted: SharedNs, signer: Signer) -> bytes:
    """The signed answer, to be published at once on the question's `reply_topic`; raises LocalProtocolError.

    Raises ValueError when `transmitted` is before `received`.
    """
    request = question.request
    reply = TimeReply(
        node=request.node,
        nonce=request.nonce,
        sent_ns=request.sent_ns,
        received_ns=received,
        transmitted_ns=transmitted,
    )
    return seal(reply, signer=signer, topic=question.external_data)


def open_reply(data: bytes, *, at: str, question: TimeQuestion, received: MonotonicNs, keyring: Keyring) -> TimeSample:
    """What a reply on the topic `at` says if it answers the question; raises Refusal.

    Reasons: TOO_LARGE, MALFORMED, WRONG_AUDIENCE (another node's), REPLAYED (of another request), UNKNOWN_KEY,
    REVOKED_KEY, BAD_SIGNATURE, WRONG_SCOPE, NOT_YET_VALID, EXPIRED (late, or its key was over when it was signed).
    The key's validity is judged by the time that it tells, for the node may know no other yet.
    """
    if len(data) > REPLY_BYTES_MAX:
        raise Refusal(RefusalReason.TOO_LARGE, f"a reply of {len(data)} bytes; at most {REPLY_BYTES_MAX}")
    sealed = open_sealed(data, topic=question.external_data)
    reply: TimeReply = cbor_decode(sealed.payload, TimeReply)
    request = question.request
    if at != question.reply_topic or reply.node != request.node:
        raise Refusal(RefusalReason.WRONG_AUDIENCE, f"a reply to {reply.node} on {at}, not to {request.node}")
    if (reply.nonce, reply.sent_ns) != (request.nonce, request.sent_ns):
        raise Refusal(RefusalReason.REPLAYED, "it answers another request than the one under way")
    keyring.verify(sealed)
    keyring.check_answer(sealed.key_id, TIME_REPLY, reply.transmitted_ns // NS_PER_MS)
    return sample_of(
        sent=MonotonicNs(request.sent_ns),
        arrived=SharedNs(reply.received_ns),
        left=SharedNs(reply.transmitted_ns),
        received=received,
    )


def sample_of(*, sent: MonotonicNs, arrived: SharedNs, left: SharedNs, received: MonotonicNs) -> TimeSample:
    """Offset and round trip of t1 to t4; raises Refusal when they cannot be of one exchange, or it was slow."""
    round_trip_ns = round_trip_ns_of(sent, arrived, left, received)
    if round_trip_ns > ROUND_TRIP_NS_MAX:
        raise Refusal(RefusalReason.EXPIRED, f"the answer took {round_trip_ns // NS_PER_MS} ms on its way")
    if round_trip_ns < 0:
        raise Refusal(RefusalReason.MALFORMED, "the service says it took longer than the whole exchange lasted")
    return TimeSample(
        at_ns=received, offset_ns=offset_ns_of(sent, arrived, left, received), round_trip_ns=round_trip_ns
    )


def round_trip_ns_of(sent: MonotonicNs, arrived: SharedNs, left: SharedNs, received: MonotonicNs) -> int:
    """How long both ways took together: (t4 - t1) - (t3 - t2)."""
    return (received - sent) - (left - arrived)


def offset_ns_of(sent: MonotonicNs, arrived: SharedNs, left: SharedNs, received: MonotonicNs) -> int:
    """Shared time minus the node's clock if both ways took equally long: ((t2 - t1) + (t3 - t4)) / 2, rounded down."""
    return ((arrived - sent) + (left - received)) // 2
