"""Who may sign what: each part of a key's scope is tried from both sides."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.envelope import open_sealed, seal, seal_by_many
from protocol.errors import LocalProtocolError, Refusal, RefusalReason
from protocol.keyring import CLOCK_TOLERANCE_MS, Keyring, open_keyset, parse_root_keys
from protocol.messages import (
    Acknowledgement,
    AllClear,
    BroadcastClass,
    Document,
    KeyScope,
    Keyset,
    OperationalKey,
    Reality,
    StreamStart,
)
from protocol.topics import TopicName, topic
from tests.support.messages import T0_MS, emergency, occurrence, plan, stream_start
from tests.support.pki import DevelopmentKeys

TREE = {
    "thon-dong": ("thon-dong", "xa-a", "tinh"),
    "xa-a": ("xa-a", "tinh"),
    "xa-b": ("xa-b", "tinh"),
    "tinh": ("tinh",),
}
ALL_TYPES = ("plan", "emergency", "all-clear", "stream-start", "stream-end", "assignment", "acknowledgement")
KEYSET_TOPIC = topic(TopicName.KEYSET)


def parents(area: str) -> tuple[str, ...]:
    return TREE.get(area, ())


def keyring(
    *,
    types: tuple[str, ...] = ALL_TYPES,
    areas: tuple[str, ...] = ("*",),
    classes: tuple[BroadcastClass, ...] = tuple(BroadcastClass),
    realities: tuple[Reality, ...] = tuple(Reality),
    revoked: bool = False,
    not_before_ms: int = 0,
    expires_at_ms: int = T0_MS * 2,
) -> Keyring:
    scope = KeyScope(document_types=types, areas=areas, classes=classes, realities=realities)
    key = OperationalKey(
        key_id="k",
        public_key=bytes(32),
        scope=scope,
        not_before_ms=not_before_ms,
        expires_at_ms=expires_at_ms,
        revoked=revoked,
    )
    return Keyring(version=1, keys={"k": key})


def reason_of(ring: Keyring, document: Document, *, key_id: str = "k", now_ms: int = T0_MS) -> RefusalReason | None:
    try:
        ring.check(key_id, document, now_ms, parents)
    except Refusal as refusal:
        return refusal.reason
    return None


def test_a_key_for_everything_may_sign_each_document() -> None:
    for document in (plan("xa-a"), emergency("xa-a"), stream_start("xa-a")):
        assert reason_of(keyring(), document) is None


def test_unknown_and_revoked_keys_may_nothing() -> None:
    assert reason_of(Keyring.empty(), plan("xa-a")) is RefusalReason.UNKNOWN_KEY
    assert reason_of(keyring(), plan("xa-a"), key_id="K") is RefusalReason.UNKNOWN_KEY
    assert reason_of(keyring(revoked=True), plan("xa-a")) is RefusalReason.REVOKED_KEY
    with pytest.raises(Refusal, match="revoked_key"):
        keyring(revoked=True).public_key("k")


def test_document_types_are_kept_apart() -> None:
    planner = keyring(types=("plan",))
    assert reason_of(planner, plan("xa-a")) is None
    assert reason_of(planner, emergency("xa-a")) is RefusalReason.WRONG_SCOPE


def test_a_commune_key_speaks_for_its_commune_and_what_is_below() -> None:
    commune = keyring(areas=("xa-a",))
    assert reason_of(commune, plan("xa-a")) is None
    assert reason_of(commune, plan("thon-dong")) is None
    for area in ("xa-b", "tinh", "nowhere"):
        assert reason_of(commune, plan(area)) is RefusalReason.WRONG_SCOPE
    acknowledgement = Acknowledgement(
        id="a",
        issuer="c",
        audience="node:N001",
        counter=1,
        not_before_ms=0,
        expires_at_ms=T0_MS * 2,
        node="N001",
        stored_number=1,
    )
    assert reason_of(commune, acknowledgement) is RefusalReason.WRONG_SCOPE
    assert reason_of(keyring(areas=("N001",)), acknowledgement) is RefusalReason.WRONG_SCOPE, "an area of that name"
    assert reason_of(keyring(), acknowledgement) is None


def test_what_a_key_that_is_gone_has_ordered_only_a_key_for_everywhere_reaches() -> None:
    audience = "area:thon-dong"
    assert not keyring(areas=("tinh",)).reaches("k", "gone", audience, parents)
    assert keyring().reaches("k", "gone", audience, parents)
    assert not keyring(areas=("thon-dong",)).reaches("gone", "k", audience, parents)


def test_the_place_spoken_of_is_the_place_addressed() -> None:
    commune = keyring(areas=("xa-a",))
    assert reason_of(commune, plan("xa-b", audience="area:xa-a")) is RefusalReason.WRONG_AUDIENCE
    assert reason_of(keyring(), emergency("xa-b", audience="everyone")) is RefusalReason.WRONG_AUDIENCE


def test_classes_are_those_of_what_would_sound() -> None:
    routine = keyring(classes=(BroadcastClass.ROUTINE,))
    assert reason_of(routine, plan("xa-a", occurrence("a", T0_MS))) is None
    hidden = plan("xa-a", occurrence("a", T0_MS, broadcast_class=BroadcastClass.EMERGENCY))
    assert reason_of(routine, hidden) is RefusalReason.WRONG_SCOPE
    disguised = emergency("xa-a", broadcast_class=BroadcastClass.ROUTINE)
    assert reason_of(routine, disguised) is RefusalReason.WRONG_SCOPE
    silencing = AllClear(
        id="a",
        issuer="c",
        audience="area:xa-a",
        counter=1,
        not_before_ms=0,
        expires_at_ms=T0_MS * 2,
        emergency="flood-1",
        area="xa-a",
        reason="",
    )
    assert reason_of(routine, silencing) is RefusalReason.WRONG_SCOPE


def test_a_drill_key_cannot_sign_what_is_meant_nor_the_other_way_round() -> None:
    drill = keyring(realities=(Reality.DRILL,))
    assert reason_of(drill, emergency("xa-a", reality=Reality.DRILL)) is None
    assert reason_of(drill, emergency("xa-a")) is RefusalReason.WRONG_SCOPE
    real = keyring(realities=(Reality.REAL,))
    assert reason_of(real, emergency("xa-a", reality=Reality.DRILL)) is RefusalReason.WRONG_SCOPE


def test_time_of_document_and_key() -> None:
    document = plan("xa-a")
    begins, ends = document.not_before_ms, document.expires_at_ms
    assert reason_of(keyring(), document, now_ms=begins - CLOCK_TOLERANCE_MS) is None
    assert reason_of(keyring(), document, now_ms=begins - CLOCK_TOLERANCE_MS - 1) is RefusalReason.NOT_YET_VALID
    assert reason_of(keyring(), document, now_ms=ends - 1) is None
    assert reason_of(keyring(), document, now_ms=ends) is RefusalReason.EXPIRED
    assert reason_of(keyring(expires_at_ms=T0_MS), document) is RefusalReason.EXPIRED
    assert reason_of(keyring(not_before_ms=T0_MS + 60_000), document) is RefusalReason.NOT_YET_VALID


def test_no_operational_key_signs_a_keyset() -> None:
    keyset = Keyset(
        id="k", issuer="c", audience="everyone", counter=2, not_before_ms=0, expires_at_ms=T0_MS * 2, keys=()
    )
    assert reason_of(keyring(types=("keyset", *ALL_TYPES)), keyset) is RefusalReason.WRONG_SCOPE


@given(st.sampled_from(sorted(TREE)), st.sets(st.sampled_from(sorted(TREE))))
def test_an_area_is_in_scope_if_and_only_if_an_ancestor_is_named(area: str, scope: set[str]) -> None:
    expected = None if scope & set(TREE[area]) else RefusalReason.WRONG_SCOPE
    assert reason_of(keyring(areas=tuple(scope)), plan(area)) is expected


def test_the_development_keyset_opens_and_its_keys_verify(pki: DevelopmentKeys) -> None:
    ring = pki.keyring
    start: StreamStart = stream_start("xa-a", not_before_ms=pki.keyset.not_before_ms)
    name = topic(TopicName.STREAM, area="xa-a", stream=start.stream)
    sealed = open_sealed(seal(start, signer=pki.signer("operations-1"), topic=name), topic=name)
    assert ring.verify(sealed)
    ring.check(sealed.key_id, start, max(start.not_before_ms, pki.keyset.not_before_ms), parents)
    forged = open_sealed(seal(start, signer=pki.signer("root-1"), topic=name), topic=name)
    with pytest.raises(Refusal, match="unknown_key"):
        ring.verify(forged)


def test_a_keyset_needs_two_of_the_root(pki: DevelopmentKeys) -> None:
    keyset = pki.keyset
    two = seal_by_many(keyset, signers=pki.root_signers(2), topic=KEYSET_TOPIC)
    assert open_keyset(two, topic=KEYSET_TOPIC, root=pki.root) == keyset
    one = seal_by_many(keyset, signers=pki.root_signers(1), topic=KEYSET_TOPIC)
    with pytest.raises(Refusal, match="1 of the 2"):
        open_keyset(one, topic=KEYSET_TOPIC, root=pki.root)
    other = seal_by_many(plan("xa-a"), signers=pki.root_signers(2), topic=KEYSET_TOPIC)
    with pytest.raises(Refusal, match="malformed"):
        open_keyset(other, topic=KEYSET_TOPIC, root=pki.root)


def test_a_key_that_stands_twice_makes_no_keyring(pki: DevelopmentKeys) -> None:
    keyset = pki.keyset
    with pytest.raises(Refusal, match="twice"):
        Keyring.from_keyset(msgspec.structs.replace(keyset, keys=keyset.keys * 2))


KEY_A, KEY_B = "aa" * 32, "bb" * 32


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ({"threshold": 2, "keys": {"root-1": KEY_A, "root-2": KEY_A}}, "2 signatures needed of 1 keys"),
        ({"threshold": 3, "keys": {"root-1": KEY_A, "root-2": KEY_B}}, "3 signatures needed of 2 keys"),
        ({"threshold": 0, "keys": {"root-1": KEY_A}}, "threshold"),
        ({"threshold": 1, "keys": {}}, "keys"),
        ({"threshold": 1, "keys": {"root-1": "AA" * 32}}, "keys"),
        ({"threshold": 1, "keys": {"root-1": KEY_A}, "note": ""}, "note"),
        ([], "object"),
    ],
)
def test_pinned_roots_that_make_no_sense_are_named(value: object, complaint: str) -> None:
    with pytest.raises(LocalProtocolError, match=complaint):
        parse_root_keys(json.dumps(value).encode())


def test_pinned_roots_that_are_not_json_are_named() -> None:
    for data in (b"", b"\xff", b"{"):
        with pytest.raises(LocalProtocolError, match="root keys"):
            parse_root_keys(data)
