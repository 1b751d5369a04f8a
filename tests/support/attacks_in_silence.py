"""Attacks on a node that is silent, by whoever holds the broker: each would make it speak within half a second."""

from __future__ import annotations

from typing import Any

from protocol.codec import cbor_encode
from protocol.messages import BroadcastClass
from protocol.topics import TopicName, topic
from tests.support import forgery as forged
from tests.support.attacks import Attack
from tests.support.besieged import NODE, OTHER, OTHER_VILLAGE, VILLAGE, Besieged

DAY_MS = 86_400_000
MESSAGE_BYTES_MAX = 16 * 1024


def unsigned(ground: Besieged) -> None:
    protected, _, payload, _ = forged.parts(forged.order(ground))
    say = ground.intruder.say
    say(forged.emergency_topic(), forged.of_parts(protected, {}, payload, b""))
    say(forged.emergency_topic(), payload)
    say(forged.emergency_topic(), b'{"type":"emergency","area":"thon-dong"}')


def flipped_bits(ground: Besieged) -> None:
    protected, empty, payload, signature = forged.parts(forged.order(ground))
    place = payload.index(b"play_at_ms") + len(b"play_at_ms") + 2
    for changed in (
        forged.of_parts(forged.flipped(protected, -1), empty, payload, signature),
        forged.of_parts(forged.flipped(protected, 2), empty, payload, signature),
        forged.of_parts(protected, empty, forged.flipped(payload, place), signature),
        forged.of_parts(protected, empty, payload, forged.flipped(signature, 40)),
    ):
        ground.intruder.say(forged.emergency_topic(), changed)


def truncated(ground: Besieged) -> None:
    whole = forged.order(ground)
    protected, empty, payload, signature = forged.parts(whole)
    short = forged.of_parts(protected, empty, payload, signature[:-1])
    for cut in (whole[:-1], whole[: len(whole) // 2], short):
        ground.intruder.say(forged.emergency_topic(), cut)


def oversized(ground: Besieged) -> None:
    whole = forged.order(ground)
    ground.intruder.say(forged.emergency_topic(), whole + bytes(MESSAGE_BYTES_MAX + 1 - len(whole)))


def retyped(ground: Besieged) -> None:
    plans = topic(TopicName.PLAN, area=VILLAGE)
    ground.intruder.say(plans, forged.order(ground))
    ground.intruder.say(plans, forged.order(ground, on=plans))


def expired(ground: Besieged) -> None:
    now_ms = ground.now_ms
    old: dict[str, Any] = {"not_before_ms": now_ms - 2 * DAY_MS, "expires_at_ms": now_ms - 1_000}
    ground.intruder.say(forged.emergency_topic(), forged.order(ground, **old))
    ground.intruder.say(forged.emergency_topic(), forged.order(ground, key="past-1"))


def not_yet_valid(ground: Besieged) -> None:
    later = forged.order(ground, not_before_ms=ground.now_ms + 3_600_000, expires_at_ms=ground.now_ms + DAY_MS)
    ground.intruder.say(forged.emergency_topic(), later)


def replayed(ground: Besieged) -> None:
    """What the controller really said in the drill before, word for word."""
    first = ground.intruder.documents[forged.emergency_topic()][0]
    ground.intruder.say(forged.emergency_topic(), first)


def replayed_to_another_area(ground: Besieged) -> None:
    genuine = ground.intruder.documents[forged.emergency_topic()][0]
    ground.intruder.say(forged.emergency_topic("xa-binh-minh"), genuine)
    elsewhere = forged.order(ground, area=OTHER_VILLAGE, on=forged.emergency_topic())
    ground.intruder.say(forged.emergency_topic(), elsewhere)


def replayed_to_another_node(ground: Besieged) -> None:
    theirs = ground.intruder.newest(topic(TopicName.ASSIGNMENT, node=OTHER))
    ground.intruder.say(topic(TopicName.ASSIGNMENT, node=NODE), theirs)


def wrong_scope(ground: Besieged) -> None:
    """A key of another village, a key of ours that reaches above us, a key for plans only."""
    commune = forged.emergency_topic("xa-binh-minh")
    ground.intruder.say(forged.emergency_topic(), forged.order(ground, key="village-2"))
    ground.intruder.say(commune, forged.order(ground, key="village-1", area="xa-binh-minh"))
    ground.intruder.say(forged.emergency_topic(), forged.order(ground, key="planner-1"))


def wrong_class(ground: Besieged) -> None:
    """A key for routine only: an emergency, one that says it is routine, and a priority item in a plan."""
    ground.intruder.say(forged.emergency_topic(), forged.order(ground, key="routine-1"))
    modest = forged.order(ground, key="routine-1", broadcast_class=BroadcastClass.ROUTINE)
    ground.intruder.say(forged.emergency_topic(), modest)
    item = forged.plan(ground, key="routine-1", broadcast_class=BroadcastClass.PRIORITY)
    ground.intruder.say(topic(TopicName.PLAN, area=VILLAGE), item)


def drill_as_real(ground: Besieged) -> None:
    ground.intruder.say(forged.emergency_topic(), forged.order(ground, key="drill-1"))


def revoked_key(ground: Besieged) -> None:
    ground.intruder.say(forged.emergency_topic(), forged.order(ground, key="revoked-1"))


def unknown_key(ground: Besieged) -> None:
    """Of a stranger: an order, a plan, an assignment; and an order by a stranger who says it is the controller."""
    ground.intruder.say(forged.emergency_topic(), forged.order(ground, key="stranger"))
    ground.intruder.say(topic(TopicName.PLAN, area=VILLAGE), forged.plan(ground, key="stranger"))
    ground.intruder.say(*forged.assignment(ground, key="stranger"))
    _, empty, payload, signature = forged.parts(forged.order(ground, key="stranger"))
    protected = forged.parts(forged.order(ground))[0]
    ground.intruder.say(forged.emergency_topic(), forged.of_parts(protected, empty, payload, signature))


def older_keyset(ground: Besieged) -> None:
    """Signed by the root, but older; by one root key; by strangers who say they are the root's."""
    keysets = topic(TopicName.KEYSET)
    ground.intruder.say(keysets, forged.keyset(ground, signers=("root-1", "root-2"), counter=1))
    ground.intruder.say(keysets, forged.keyset(ground, signers=("root-1",)))
    ground.intruder.say(keysets, forged.keyset(ground, signers=("stranger", "other"), names=("root-1", "root-2")))
    ground.intruder.say(forged.emergency_topic(), forged.order(ground, key="stranger"))


def forged_root(ground: Besieged) -> None:
    ground.intruder.say(topic(TopicName.ROOT), forged.root(ground, "stranger"))
    ground.intruder.say(topic(TopicName.ROOT), forged.root(ground, "root-1", "stranger"))


def report_as_order(ground: Besieged) -> None:
    """What a node signed of itself, and words that are well formed but no document."""
    reports = next(payloads for name, payloads in ground.intruder.documents.items() if "/report/" in name)
    ground.intruder.say(forged.emergency_topic(), reports[-1])
    protected, empty, _, signature = forged.parts(forged.order(ground))
    ground.intruder.say(forged.emergency_topic(), forged.of_parts(protected, empty, cbor_encode({}), signature))


def stream_without_key(ground: Besieged) -> None:
    """A start that nobody signed, one by a key that may start none; then the packets, which nobody subscribed to."""
    name = topic(TopicName.STREAM, area=VILLAGE, stream=forged.STREAM)
    protected, empty, payload, _ = forged.parts(forged.stream_start(ground, forged.STREAM, key="genuine-1"))
    ground.intruder.say(name, forged.of_parts(protected, empty, payload, b""))
    ground.intruder.say(name, forged.stream_start(ground, forged.STREAM, key="planner-1"))
    ground.intruder.say(name, forged.stream_start(ground, forged.STREAM, key="stranger"))
    ground.intruder.say_at_once(forged.packets(forged.STREAM, key=forged.STREAM))


def time_replies(ground: Besieged, node: str = NODE) -> None:
    """A node that has asked nobody believes nobody: hours away, or a little each time."""
    name = topic(TopicName.TIME_REPLY, node=node)
    for shift_ms in forged.TIME_SHIFTS_MS:
        said = {"type": "time-reply", "node": node, "nonce": 1, "sent_ns": 1}
        stamp_ns = (ground.now_ms + shift_ms) * 1_000_000
        reply = cbor_encode({**said, "received_ns": stamp_ns, "transmitted_ns": stamp_ns})
        protected, empty, _, signature = forged.parts(forged.order(ground))
        ground.intruder.say(name, forged.of_parts(protected, empty, reply, signature))


IN_SILENCE = (
    Attack(name="unsigned", does=unsigned, counted={"bad_signature": 1, "malformed": 2}),
    Attack(
        name="bit-flipped: header, payload, signature",
        does=flipped_bits,
        counted={"unknown_key": 1, "malformed": 1, "bad_signature": 2},
    ),
    Attack(name="truncated", does=truncated, counted={"malformed": 2, "bad_signature": 1}),
    Attack(name="oversized", does=oversized, counted={"too_large": 1}),
    Attack(name="re-typed: an order as a plan", does=retyped, counted={"bad_signature": 1, "unexpected_type": 1}),
    Attack(name="expired: document, key", does=expired, counted={"expired": 2}),
    Attack(name="not yet valid", does=not_yet_valid, counted={"not_yet_valid": 1}),
    Attack(name="replayed, same boot", does=replayed, counted={"replayed": 1}),
    Attack(
        name="replayed to another area",
        does=replayed_to_another_area,
        counted={"bad_signature": 1, "wrong_audience": 1},
    ),
    Attack(name="replayed to another node", does=replayed_to_another_node, counted={"bad_signature": 1}),
    Attack(name="wrong scope: place, type", does=wrong_scope, counted={"wrong_scope": 3}),
    Attack(name="wrong class", does=wrong_class, counted={"wrong_scope": 3}),
    Attack(name="drill as real", does=drill_as_real, counted={"wrong_scope": 1}),
    Attack(name="revoked key", does=revoked_key, counted={"revoked_key": 1}),
    Attack(name="a key that nobody gave", does=unknown_key, counted={"unknown_key": 3, "bad_signature": 1}),
    Attack(
        name="older keyset, keyset of others",
        does=older_keyset,
        counted={"replayed": 1, "bad_signature": 2, "unknown_key": 1},
    ),
    Attack(name="root of others", does=forged_root, counted={"bad_signature": 2}),
    Attack(name="a report as an order", does=report_as_order, counted={"unknown_key": 1, "bad_signature": 1}),
    Attack(
        name="stream start without key, or by a key out of scope",
        does=stream_without_key,
        counted={"bad_signature": 1, "wrong_scope": 1, "unknown_key": 1},
    ),
    Attack(name="forged time replies", does=time_replies, counted={"unasked": len(forged.TIME_SHIFTS_MS)}),
)
