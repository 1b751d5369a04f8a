"""The guard refuses each kind of bad message by its own reason, and believes nothing before its signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.assignment import nowhere, place_of
from edge.guard import EMERGENCY_GAIN_DB_MAX, GAIN_DB_MAX, ROOT, Guard
from edge.player.arbiter import Reason
from protocol.candidate import Candidate
from protocol.errors import Refusal, RefusalReason
from protocol.keyring import Keyring, open_keyset
from protocol.messages import AnyDocument, BroadcastClass, Keyset, QuietHours, Reality, SourceKind
from protocol.topics import TopicName, topic
from protocol.units import NS_PER_MS, MonotonicNs, Now, SharedMs, SharedNs, TimeSource
from tests.support.issuer import COMMUNE, HOUR_MS, VILLAGE, Issuer, media, occurrence
from tests.support.pole import T0_MS

KEYSET_TOPIC = topic(TopicName.KEYSET)
PLAN_TOPIC = topic(TopicName.PLAN, area=COMMUNE)
CLIP = media("news")
STREAM = "0123456789abcdef"


def at(shared_ms: int = T0_MS, source: TimeSource = TimeSource.SYSTEM) -> Now:
    return Now(monotonic_ns=MonotonicNs(0), shared_ns=SharedNs(shared_ms * NS_PER_MS), source=source)


def ready(issuer: Issuer, *keys: Any) -> Guard:
    guard = Guard(place=place_of(issuer.assignment()), root=issuer.root)
    guard.keyring = Keyring.from_keyset(open_keyset(issuer.keyset(*keys), topic=KEYSET_TOPIC, root=issuer.root))
    return guard


def refusal_of(guard: Guard, name: str, payload: bytes, now: Now | None = None) -> RefusalReason:
    with pytest.raises(Refusal) as refused:
        guard.open(name, payload, now or at())
    return refused.value.reason


def test_accepts_what_is_right_and_ignores_it_the_second_time() -> None:
    issuer = Issuer(T0_MS)
    guard = ready(issuer)
    payload = issuer.seal(issuer.plan(), PLAN_TOPIC)
    accepted = guard.open(PLAN_TOPIC, payload, at())
    assert not accepted.is_duplicate
    guard.remember(accepted)
    assert guard.open(PLAN_TOPIC, payload, at()).is_duplicate


def sealed_plan(issuer: Issuer, **changes: Any) -> bytes:
    return issuer.seal(issuer.plan(**changes), PLAN_TOPIC)


BAD: dict[str, tuple[Callable[[Issuer], bytes], RefusalReason]] = {
    "too large": (lambda _: bytes(16 * 1024 + 1), RefusalReason.TOO_LARGE),
    "no CBOR": (lambda _: b"hello", RefusalReason.MALFORMED),
    "cut short": (lambda issuer: sealed_plan(issuer)[:-1], RefusalReason.MALFORMED),
    "unknown key": (lambda issuer: issuer.seal(issuer.plan(), PLAN_TOPIC, key="thief"), RefusalReason.UNKNOWN_KEY),
    "signed for another topic": (
        lambda issuer: issuer.seal(issuer.plan(), topic(TopicName.PLAN, area=VILLAGE)),
        RefusalReason.BAD_SIGNATURE,
    ),
    "another type": (
        lambda issuer: issuer.seal(issuer.emergency(CLIP, play_at_ms=T0_MS), PLAN_TOPIC),
        RefusalReason.UNEXPECTED_TYPE,
    ),
    "another commune": (
        lambda issuer: sealed_plan(issuer, area="xa-khac", audience="area:xa-khac"),
        RefusalReason.WRONG_AUDIENCE,
    ),
    "speaks of another place than it addresses": (
        lambda issuer: sealed_plan(issuer, audience=f"area:{VILLAGE}"),
        RefusalReason.WRONG_AUDIENCE,
    ),
    "another area of ours than its topic": (
        lambda issuer: sealed_plan(issuer, area=VILLAGE, audience=f"area:{VILLAGE}"),
        RefusalReason.WRONG_AUDIENCE,
    ),
    "expired": (lambda issuer: sealed_plan(issuer, expires_at_ms=T0_MS), RefusalReason.EXPIRED),
    "not yet valid": (lambda issuer: sealed_plan(issuer, not_before_ms=T0_MS + HOUR_MS), RefusalReason.NOT_YET_VALID),
    "a drill signed by the real key": (
        lambda issuer: sealed_plan(issuer, reality=Reality.DRILL),
        RefusalReason.WRONG_SCOPE,
    ),
    "a real one signed by the drill key": (
        lambda issuer: issuer.seal(issuer.plan(), PLAN_TOPIC, key="drill-1"),
        RefusalReason.WRONG_SCOPE,
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_refuses_by_reason(name: str) -> None:
    issuer = Issuer(T0_MS)
    make, reason = BAD[name]
    assert refusal_of(ready(issuer), PLAN_TOPIC, make(issuer)) is reason


def test_a_lower_counter_and_the_same_counter_with_other_bytes_are_replays() -> None:
    issuer = Issuer(T0_MS)
    guard = ready(issuer)
    old = sealed_plan(issuer)
    guard.remember(guard.open(PLAN_TOPIC, sealed_plan(issuer, counter=T0_MS + 500), at()))
    assert refusal_of(guard, PLAN_TOPIC, old) is RefusalReason.REPLAYED
    other = sealed_plan(issuer, counter=T0_MS + 500, occurrences=(occurrence("a", T0_MS, CLIP),))
    assert refusal_of(guard, PLAN_TOPIC, other) is RefusalReason.REPLAYED


def test_counters_are_kept_for_each_key_and_topic_apart() -> None:
    issuer = Issuer(T0_MS)
    guard = ready(issuer, issuer.operational("operations-1"), issuer.operational("operations-2"))
    guard.remember(guard.open(PLAN_TOPIC, sealed_plan(issuer, counter=T0_MS + 500), at()))
    second = issuer.seal(issuer.plan(counter=1), PLAN_TOPIC, key="operations-2")
    accepted = guard.open(PLAN_TOPIC, second, at())
    assert (accepted.key_id, accepted.is_duplicate) == ("operations-2", False)
    village = topic(TopicName.PLAN, area=VILLAGE)
    assert guard.open(village, issuer.seal(issuer.plan(area=VILLAGE, counter=7), village), at()).topic == village


def test_what_could_not_be_stored_may_come_again() -> None:
    issuer = Issuer(T0_MS)
    guard = ready(issuer)
    accepted = guard.open(PLAN_TOPIC, sealed_plan(issuer), at())
    before = guard.remember(accepted)
    guard.forget(accepted, before)
    assert not guard.open(PLAN_TOPIC, accepted.payload, at()).is_duplicate


def test_a_disk_that_refuses_a_document_brings_no_older_one_back() -> None:
    """Whoever fills the card could else have yesterday's plan obeyed once more."""
    issuer = Issuer(T0_MS)
    guard = ready(issuer)
    oldest, standing, newest = (sealed_plan(issuer) for _ in range(3))
    guard.remember(guard.open(PLAN_TOPIC, standing, at()))
    accepted = guard.open(PLAN_TOPIC, newest, at())
    guard.forget(accepted, guard.remember(accepted))
    assert refusal_of(guard, PLAN_TOPIC, oldest) is RefusalReason.REPLAYED
    assert guard.open(PLAN_TOPIC, standing, at()).is_duplicate
    assert not guard.open(PLAN_TOPIC, newest, at()).is_duplicate


def test_a_topic_that_is_forgotten_costs_nothing_and_lets_nothing_old_in_on_another() -> None:
    issuer = Issuer(T0_MS)
    guard = ready(issuer)
    relay = topic(TopicName.STREAM, area=COMMUNE, stream=STREAM)
    old_plan, old_start = sealed_plan(issuer), issuer.seal(issuer.stream_start(STREAM, starts_at_ms=T0_MS), relay)
    for name, document in ((PLAN_TOPIC, issuer.plan()), (relay, issuer.stream_start(STREAM, starts_at_ms=T0_MS))):
        guard.remember(guard.open(name, issuer.seal(document, name), at()))
    guard.forget_topic(relay)
    assert refusal_of(guard, PLAN_TOPIC, old_plan) is RefusalReason.REPLAYED
    assert not guard.open(relay, old_start, at()).is_duplicate


ELSEWHERE = "xa-khac"
FOR_OTHERS: dict[str, Callable[[Issuer], tuple[str, bytes]]] = {
    "plan": lambda issuer: sealed_for(issuer, issuer.plan(area=ELSEWHERE), TopicName.PLAN, area=ELSEWHERE),
    "emergency": lambda issuer: sealed_for(
        issuer, issuer.emergency(CLIP, play_at_ms=T0_MS, area=ELSEWHERE), TopicName.EMERGENCY, area=ELSEWHERE
    ),
    "stream": lambda issuer: sealed_for(
        issuer,
        issuer.stream_start(STREAM, starts_at_ms=T0_MS, area=ELSEWHERE),
        TopicName.STREAM,
        area=ELSEWHERE,
        stream=STREAM,
    ),
    "assignment": lambda issuer: sealed_for(issuer, issuer.assignment("N002"), TopicName.ASSIGNMENT, node="N002"),
    "silence": lambda issuer: sealed_for(
        issuer, issuer.silence(area=ELSEWHERE), TopicName.AREA_SILENCE, area=ELSEWHERE
    ),
}


def sealed_for(issuer: Issuer, document: AnyDocument, name: TopicName, **fields: str) -> tuple[str, bytes]:
    """A topic and a document that is genuine there."""
    on = topic(name, **fields)
    return on, issuer.seal(document, on)


@pytest.mark.parametrize("name", FOR_OTHERS)
def test_what_is_genuine_elsewhere_is_refused_whoever_hands_it_to_us(name: str) -> None:
    """A broker that is an enemy carries the next commune's emergency here, on its own topic."""
    issuer = Issuer(T0_MS)
    assert refusal_of(ready(issuer), *FOR_OTHERS[name](issuer)) is RefusalReason.WRONG_AUDIENCE


@pytest.mark.parametrize("signers", [("root-1",), ("root-1", "root-1"), ("root-1", "thief"), ()])
def test_a_keyset_needs_two_of_the_root_keys(signers: tuple[str, ...]) -> None:
    issuer = Issuer(T0_MS)
    guard = Guard(place=nowhere("N001"), root=issuer.root)
    assert refusal_of(guard, KEYSET_TOPIC, issuer.keyset(signers=signers)) is RefusalReason.BAD_SIGNATURE


def test_an_older_keyset_is_a_replay() -> None:
    issuer = Issuer(T0_MS)
    guard = Guard(place=nowhere("N001"), root=issuer.root)
    older, newer = issuer.keyset(), issuer.keyset()
    accepted = guard.open(KEYSET_TOPIC, newer, at())
    assert accepted.key_id == ROOT
    assert isinstance(accepted.document, Keyset)
    guard.remember(accepted)
    assert refusal_of(guard, KEYSET_TOPIC, older) is RefusalReason.REPLAYED


def test_a_keyset_that_is_over_does_not_come_anew_but_the_one_in_force_stays() -> None:
    issuer = Issuer(T0_MS)
    guard = Guard(place=nowhere("N001"), root=issuer.root)
    payload, later = issuer.keyset(), at(T0_MS + 201 * HOUR_MS)
    assert refusal_of(guard, KEYSET_TOPIC, payload, later) is RefusalReason.EXPIRED
    assert guard.reopen(KEYSET_TOPIC, payload, later).payload == payload


def test_a_revoked_key_signs_nothing_any_more_and_takes_back_what_it_signed() -> None:
    issuer = Issuer(T0_MS)
    guard = ready(issuer)
    payload = sealed_plan(issuer)
    guard.open(PLAN_TOPIC, payload, at())
    revoked = issuer.keyset(issuer.operational("operations-1", revoked=True))
    guard.keyring = Keyring.from_keyset(open_keyset(revoked, topic=KEYSET_TOPIC, root=issuer.root))
    assert refusal_of(guard, PLAN_TOPIC, payload) is RefusalReason.REVOKED_KEY
    with pytest.raises(Refusal):
        guard.reopen(PLAN_TOPIC, payload, at())


@pytest.mark.parametrize("now_ms", [T0_MS, T0_MS + 1001 * HOUR_MS], ids=["in time", "after its end"])
def test_a_key_that_may_no_longer_speak_here_takes_back_what_it_said_here(now_ms: int) -> None:
    issuer = Issuer(T0_MS)
    guard = ready(issuer)
    payload = sealed_plan(issuer)
    guard.open(PLAN_TOPIC, payload, at())
    narrowed = issuer.keyset(issuer.operational("operations-1", areas=("xa-khac",)))
    guard.keyring = Keyring.from_keyset(open_keyset(narrowed, topic=KEYSET_TOPIC, root=issuer.root))
    with pytest.raises(Refusal) as refused:
        guard.reopen(PLAN_TOPIC, payload, at(now_ms))
    assert refused.value.reason is RefusalReason.WRONG_SCOPE


def test_what_was_accepted_stays_when_it_expires_but_is_not_accepted_anew() -> None:
    issuer = Issuer(T0_MS)
    guard = ready(issuer)
    payload = sealed_plan(issuer, expires_at_ms=T0_MS + 1_000)
    later = at(T0_MS + HOUR_MS)
    assert guard.reopen(PLAN_TOPIC, payload, later).payload == payload
    assert refusal_of(guard, PLAN_TOPIC, payload, later) is RefusalReason.EXPIRED


def test_nothing_is_believed_while_the_time_is_unknown() -> None:
    issuer = Issuer(T0_MS)
    unknown = at(0, TimeSource.UNKNOWN)
    guard, payload = ready(issuer), sealed_plan(issuer)
    assert refusal_of(guard, PLAN_TOPIC, payload, unknown) is RefusalReason.NOT_YET_VALID
    with pytest.raises(Refusal, match="time is not known"):
        guard.reopen(PLAN_TOPIC, payload, unknown)


def test_an_unknown_time_zone_is_refused_before_it_could_stop_the_node() -> None:
    issuer = Issuer(T0_MS)
    name = topic(TopicName.ASSIGNMENT, node="N001")
    payload = issuer.seal(issuer.assignment(time_zone="Nowhere/Nothing"), name)
    assert refusal_of(ready(issuer), name, payload) is RefusalReason.MALFORMED


@pytest.mark.parametrize("name", ["loaxa/1/node/N001/state", "loaxa/1/nothing", "x", ""])
def test_topics_that_nothing_is_obeyed_on(name: str) -> None:
    issuer = Issuer(T0_MS)
    assert refusal_of(ready(issuer), name, sealed_plan(issuer)) is RefusalReason.UNKNOWN_TOPIC


@given(st.binary(max_size=300), st.sampled_from([PLAN_TOPIC, KEYSET_TOPIC, topic(TopicName.EMERGENCY, area=COMMUNE)]))
def test_bytes_from_nowhere_never_do_anything_but_a_refusal(payload: bytes, name: str) -> None:
    with pytest.raises(Refusal):
        READY.open(name, payload, at())


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_single_changed_byte_is_refused(position: int, change: int) -> None:
    payload = bytearray(GENUINE)
    payload[position % len(payload)] ^= change
    with pytest.raises(Refusal):
        READY.open(PLAN_TOPIC, bytes(payload), at())


READY = ready(Issuer(T0_MS))
GENUINE = sealed_plan(Issuer(T0_MS))


def candidate(broadcast_class: BroadcastClass, reality: Reality = Reality.REAL) -> Candidate:
    return Candidate(
        key="x",
        source=SourceKind.MEDIA,
        source_id="x",
        title="x",
        broadcast_class=broadcast_class,
        reality=reality,
        depth=0,
        starts_at_ms=SharedMs(T0_MS),
        ends_at_ms=SharedMs(T0_MS + 1),
    )


@pytest.mark.parametrize(
    ("broadcast_class", "reality", "expected"),
    [
        (BroadcastClass.ROUTINE, Reality.REAL, Reason.QUIET_HOURS),
        (BroadcastClass.PRIORITY, Reality.REAL, Reason.QUIET_HOURS),
        (BroadcastClass.EMERGENCY, Reality.DRILL, Reason.QUIET_HOURS),
        (BroadcastClass.EMERGENCY, Reality.REAL, None),
    ],
)
def test_in_quiet_hours_only_a_real_emergency_may_sound(
    broadcast_class: BroadcastClass, reality: Reality, expected: Reason | None
) -> None:
    guard = Guard(place=nowhere("N001"), root=Issuer(T0_MS).root)
    night = SharedMs(T0_MS - 2 * HOUR_MS)
    assert guard.blocks(candidate(broadcast_class, reality), night) is expected
    assert guard.blocks(candidate(broadcast_class, reality), SharedMs(T0_MS)) is None
    assert guard.house.next_change_ms((), night) == T0_MS - HOUR_MS // 2


def test_gain_is_capped() -> None:
    issuer = Issuer(T0_MS)
    assignment = issuer.assignment(gain_db=24.0, emergency_gain_db=24.0, quiet_hours=QuietHours())
    guard = Guard(place=place_of(assignment), root=issuer.root)
    assert guard.gain_db(candidate(BroadcastClass.ROUTINE), SharedMs(T0_MS)) == GAIN_DB_MAX
    assert guard.gain_db(candidate(BroadcastClass.EMERGENCY), SharedMs(T0_MS)) == EMERGENCY_GAIN_DB_MAX
