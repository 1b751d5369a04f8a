"""Attacks while a relay of the controller is on air: on its packets, its start, its end, and on the node's voice."""

from __future__ import annotations

from protocol.topics import TopicName, topic
from tests.support import forgery as forged
from tests.support.attacks import Attack
from tests.support.besieged import VILLAGE, Besieged

REPLAYS = 10


def stream_of(ground: Besieged) -> str:
    """The relay that is on air."""
    name = next(name for name in reversed(list(ground.intruder.documents)) if name.endswith("/opus"))
    return name.split("/")[-2]


def injected(ground: Besieged) -> None:
    ground.intruder.say_at_once(forged.packets(stream_of(ground), key="stranger"))


def of_another_stream(ground: Besieged) -> None:
    """Signed by the genuine key, for another stream: its bytes on ours, and ours with another's name in them."""
    stream = stream_of(ground)
    theirs = forged.packets(forged.STREAM, key=forged.STREAM, count=5)
    ours = topic(TopicName.AUDIO, stream=stream)
    ground.intruder.say_at_once([(ours, payload) for _, payload in theirs])


def replayed_packets(ground: Besieged) -> None:
    name = topic(TopicName.AUDIO, stream=stream_of(ground))
    heard = list(ground.intruder.documents[name])[-REPLAYS - 20 : -20]
    ground.intruder.say_at_once([(name, payload) for payload in heard])


def reordered_far(ground: Besieged) -> None:
    name = topic(TopicName.AUDIO, stream=stream_of(ground))
    heard = list(ground.intruder.documents[name])[:REPLAYS]
    ground.intruder.say_at_once([(name, payload) for payload in reversed(heard)])


def flipped_packets(ground: Besieged) -> None:
    name = topic(TopicName.AUDIO, stream=stream_of(ground))
    newest = ground.intruder.newest(name)
    say = ground.intruder.say
    for place in (16, 28, len(newest) // 2, len(newest) - 1):
        say(name, forged.flipped(newest, place))
    say(name, newest[:-1])
    say(name, newest[:80])
    say(name, newest + bytes(16 * 1024 + 1 - len(newest)))


def hijacked(ground: Besieged) -> None:
    """By a key that is good for this village and no higher: take the commune's stream over, end it."""
    stream = stream_of(ground)
    name = topic(TopicName.STREAM, area=VILLAGE, stream=stream)
    ground.intruder.say(name, forged.stream_start(ground, stream, key="village-1", packets_by="stranger"))
    ground.intruder.say(name, forged.stream_end(ground, stream, key="village-1"))
    ground.intruder.say_at_once(forged.packets(stream, key="stranger"))


def silenced(ground: Besieged) -> None:
    """Orders to be silent by a stranger, by keys of another village, of drills, of routine, and of plans."""
    for key in ("stranger", "village-2", "drill-1", "routine-1", "planner-1"):
        ground.intruder.say(*forged.silence(ground, key=key))


def interrupted(ground: Besieged) -> None:
    """An emergency over the relay, by a stranger and by a drill's key."""
    for key in ("stranger", "drill-1"):
        ground.intruder.say(forged.emergency_topic(), forged.order(ground, key=key))


ON_AIR = (
    Attack(name="audio packets injected, other key", does=injected, counted={"bad_signature": 10}),
    Attack(name="audio packets of another stream", does=of_another_stream, counted={"bad_signature": 5}),
    Attack(name="audio packets replayed", does=replayed_packets, counted={"replayed": REPLAYS}),
    Attack(name="audio packets reordered far", does=reordered_far, counted={"replayed": REPLAYS}),
    Attack(
        name="audio packets bit-flipped, cut, too large",
        does=flipped_packets,
        counted={"bad_signature": 5, "malformed": 1, "too_large": 1},
    ),
    Attack(name="hijacked stream id", does=hijacked, counted={"wrong_audience": 2, "bad_signature": 10}),
    Attack(name="kill order by an unauthorised key", does=silenced, counted={"unknown_key": 1, "wrong_scope": 4}),
    Attack(name="emergency over a running stream", does=interrupted, counted={"unknown_key": 1, "wrong_scope": 1}),
)
