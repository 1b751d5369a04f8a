"""Every reason for which a pole refuses, and the attack that causes it: nothing sounds, this one alone is counted."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from edge.events import Flooded, MessageReceived
from protocol.errors import RefusalReason
from protocol.topics import TopicName, topic
from tests.support.issuer import COMMUNE, HOUR_MS, VILLAGE, media, occurrence
from tests.support.pole import T0_MS, Pole

FLOOD = media("flood", seconds=4)
AT = topic(TopicName.EMERGENCY, area=COMMUNE)
STREAM = "ab" * 8
REFUSED_MAX = 32
"""`Telemetry.refused`'s bound on the wire."""


def prepared() -> Pole:
    """A pole that would sound an emergency, and knows a good, a revoked and a drill key."""
    pole = Pole()
    pole.provide(FLOOD)
    pole.introduce(prepared_clips=(FLOOD,))
    issuer = pole.issuer
    good, stolen = issuer.operational("operations-1"), issuer.operational("stolen", revoked=True)
    lower = issuer.operational("lower", areas=(VILLAGE,))
    pole.deliver(topic(TopicName.KEYSET), issuer.keyset(good, stolen, lower))
    pole.run_for(1_000)
    return pole


def order(pole: Pole, *, key: str = "operations-1", at: str = AT, area: str = COMMUNE, **changes: int) -> bytes:
    """An emergency that begins in half a second."""
    document = pole.issuer.emergency(FLOOD, play_at_ms=pole.now_ms + 500, area=area, **changes)
    return pole.issuer.seal(document, at, key=key)


def send(pole: Pole, payload: bytes, at: str = AT) -> None:
    pole.deliver(at, payload, retain=False)


def garbage(pole: Pole) -> None:
    send(pole, b"\xa1\xff" * 40)


def flipped(pole: Pole) -> None:
    payload = bytearray(order(pole))
    payload[-1] ^= 1
    send(pole, bytes(payload))


def replayed(pole: Pole) -> None:
    old = order(pole)
    pole.send(pole.issuer.all_clear())
    pole.run_for(500)
    send(pole, old)


def on_a_foreign_topic(pole: Pole) -> None:
    pole._post(MessageReceived(topic="loaxa/1/controller/speak", payload=order(pole)))


def audio_without_a_start(pole: Pole) -> None:
    at = topic(TopicName.AUDIO, stream=STREAM)
    payload = pole.issuer.packet(STREAM, 0, origin_ms=pole.now_ms + 500)
    pole._post(MessageReceived(topic=at, payload=payload))


ATTACKS: dict[RefusalReason, tuple[str, Callable[[Pole], None]]] = {
    RefusalReason.TOO_LARGE: ("17 KB on an area's topic", lambda pole: send(pole, bytes(17 * 1024))),
    RefusalReason.MALFORMED: ("bytes that are no document", garbage),
    RefusalReason.UNKNOWN_KEY: ("an order by a key of nobody's", lambda pole: send(pole, order(pole, key="mallory"))),
    RefusalReason.REVOKED_KEY: ("an order by a revoked key", lambda pole: send(pole, order(pole, key="stolen"))),
    RefusalReason.BAD_SIGNATURE: ("one bit of a true order flipped", flipped),
    RefusalReason.WRONG_AUDIENCE: (
        "a village's order on its commune's topic",
        lambda pole: send(pole, order(pole, area=VILLAGE)),
    ),
    RefusalReason.WRONG_SCOPE: ("a village's key for its commune", lambda pole: send(pole, order(pole, key="lower"))),
    RefusalReason.NOT_YET_VALID: (
        "an order of tomorrow",
        lambda pole: send(pole, order(pole, not_before_ms=pole.now_ms + 24 * HOUR_MS)),
    ),
    RefusalReason.EXPIRED: ("an order of yesterday", lambda pole: send(pole, order(pole, expires_at_ms=T0_MS))),
    RefusalReason.REPLAYED: ("a true order once more after its all-clear", replayed),
    RefusalReason.UNKNOWN_TOPIC: ("an order on a topic that carries none", on_a_foreign_topic),
    RefusalReason.UNEXPECTED_TYPE: (
        "a plan where emergencies stand",
        lambda pole: send(pole, pole.issuer.seal(pole.issuer.plan(occurrence("a", pole.now_ms, FLOOD)), AT)),
    ),
    RefusalReason.UNKNOWN_STREAM: ("audio without a signed start", audio_without_a_start),
    RefusalReason.TOO_OFTEN: (
        "what the link dropped of a flood",
        lambda pole: pole._post(Flooded(topic=AT, messages=1)),
    ),
}


def refused(pole: Pole) -> dict[str, int]:
    """What the pole's next status says."""
    pole.run_for(31_000)
    found: dict[str, int] = pole.telemetry().get("refused", {})
    return found


def test_every_reason_has_its_attack() -> None:
    assert list(ATTACKS) == list(RefusalReason)


@pytest.mark.parametrize("reason", RefusalReason)
def test_the_attack_sounds_nothing_and_is_counted_under_its_reason(reason: RefusalReason) -> None:
    pole = prepared()
    assert refused(pole) == {}
    ATTACKS[reason][1](pole)
    assert refused(pole) == {reason.value: 1}
    assert not any(is_on for _, is_on in pole.pin.commanded.changes())
    assert not pole.airings()


def test_the_order_itself_is_good() -> None:
    pole = prepared()
    send(pole, order(pole))
    pole.run_for(3_000)
    assert pole.pin.commanded.latest


def test_no_flood_makes_the_counters_grow_beyond_the_reasons() -> None:
    pole = prepared()
    chance = Random(1)  # noqa: S311 - a flood, no secret
    for _ in range(3_000):
        at = f"loaxa/1/{chance.choice(('area', 'node', 'time', 'x'))}/{chance.randrange(1_000)}/emergency"
        pole._post(MessageReceived(topic=chance.choice((AT, at)), payload=chance.randbytes(chance.randrange(1, 60))))
    counted = refused(pole)
    assert set(counted) <= {reason.value for reason in RefusalReason}
    assert sum(counted.values()) == 3_000
    assert len(RefusalReason) <= REFUSED_MAX


def test_the_counters_are_those_of_this_run_and_the_status_says_which_run_it_is() -> None:
    pole = prepared()
    garbage(pole)
    assert refused(pole) == {"malformed": 1}
    before = pole.telemetry()["session_epoch"]
    pole.cut_power()
    pole.run_for(5_000)
    pole.boot()
    pole.connect()
    assert refused(pole) == {}
    assert pole.telemetry()["session_epoch"] > before
