"""A desk whose keys change: what stands is said again by another key, what cannot be is told, nothing is lost."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from controller.effects import Note, Publish
from controller.errors import SigningError
from controller.events import AuthorityChanged
from controller.orders.silence import VALID_MS
from controller.people.audit import Deed
from controller.requests import RaiseEmergency, StartSilence
from protocol.codec import cbor_decode
from protocol.envelope import Signer, open_cosigned, open_sealed
from protocol.errors import Refusal
from protocol.keyring import Keyring
from protocol.messages import AnyDocument, Keyset, Reality, Silence
from protocol.topics import TopicName, topic
from tests.support.controller_desk import DeskWorld
from tests.support.issuer import Issuer, signer_of
from tests.support.pki import DevelopmentKeys

EMERGENCY = topic(TopicName.EMERGENCY, area="xa")
SILENCE = topic(TopicName.AREA_SILENCE, area="dong")
KEYSET = topic(TopicName.KEYSET)


def authority(world: DeskWorld, *, revoked: bool = True, signers: tuple[Signer, ...] | None = None) -> AuthorityChanged:
    """Another keyset: operations-1 and drill-1 revoked or not, operations-2 and drill-2 beside them."""
    issuer = Issuer(world.now.shared_ms)
    keys = [issuer.operational("operations-2"), issuer.operational("drill-2", reality=Reality.DRILL)]
    keys += [
        issuer.operational(old.key_id, public_key=old.public_key, revoked=revoked) for old in world.pki.keyset.keys
    ]
    data = issuer.keyset(*keys)
    keyset = cbor_decode(open_cosigned(data).payload, Keyset)
    return AuthorityChanged(
        version=keyset.counter,
        keyset=data,
        root_chain=b"chain",
        scopes=Keyring.from_keyset(keyset),
        signers=signers if signers is not None else (signer_of("operations-2"), signer_of("drill-2")),
    )


def documents(effects: list[Any], at: str) -> list[tuple[str, AnyDocument]]:
    """Who signed what was published on a topic."""
    sealed = [open_sealed(each.payload, topic=at) for each in effects if isinstance(each, Publish) and each.topic == at]
    return [(each.key_id, cbor_decode(each.payload, AnyDocument)) for each in sealed]


@pytest.fixture
def world(pki: DevelopmentKeys) -> DeskWorld:
    made = DeskWorld(pki)
    made.begin()
    made.ask(RaiseEmergency(area="xa", clip="flood", reality=Reality.REAL, minutes=30))
    made.advance(2_000)
    return made


def test_the_keyset_goes_out_first_and_then_what_stands_emergencies_first(world: DeskWorld) -> None:
    before = documents(world.effects, EMERGENCY)[-1][1]
    effects = [*world.post(authority(world)), *world.advance(2_000)]
    sent = [each.topic for each in effects if isinstance(each, Publish) and each.retain]
    assert sent[:3] == [topic(TopicName.ROOT), KEYSET, EMERGENCY]
    key_id, after = documents(effects, EMERGENCY)[0]
    assert key_id == "operations-2"
    assert after.counter > before.counter
    assert (after.id, after.expires_at_ms) == (before.id, before.expires_at_ms)
    for node in ("N001", "N002", "N003"):
        assert documents(effects, topic(TopicName.ASSIGNMENT, node=node))[-1][0] == "operations-2"
    assert {key for key, _ in documents(effects, topic(TopicName.PLAN, area="xa"))} == {"operations-2"}


def test_what_is_signed_again_is_durable_and_stands_after_a_restart(world: DeskWorld) -> None:
    changed = authority(world)
    world.post(changed)
    world.advance(2_000)
    kept = {document.topic: document.key_id for document in world.memory.kept().documents}
    assert kept[EMERGENCY] == "operations-2"


def test_a_keyset_that_takes_nothing_away_says_nothing_again(world: DeskWorld) -> None:
    own = (world.pki.signer("operations-1"), world.pki.signer("drill-1"))
    effects = [*world.post(authority(world, revoked=False, signers=own)), *world.advance(800)]
    assert documents(effects, topic(TopicName.ASSIGNMENT, node="N001")) == []
    assert documents(effects, EMERGENCY) == []


def test_without_a_key_that_may_it_is_told_once_and_done_when_there_is_one(world: DeskWorld) -> None:
    effects = [*world.post(authority(world, signers=())), *world.advance(9_000)]
    assert sum(isinstance(each, Note) and each.what == "not_signed_again" for each in effects) == 1
    assert {key for key, _ in documents(effects, EMERGENCY)} <= {"operations-1"}
    effects = [*world.post(authority(world)), *world.advance(2_000)]
    assert documents(effects, EMERGENCY)[0][0] == "operations-2"


def test_a_signer_that_is_away_costs_an_error_and_no_report(world: DeskWorld) -> None:
    is_away = True
    real = signer_of("operations-2")

    def sign(data: bytes) -> bytes:
        if is_away:
            raise SigningError("the signer is away")
        return real.sign(data)

    effects = [*world.post(authority(world, signers=(Signer(key_id="operations-2", sign=sign),)))]
    effects += world.advance(3_000)
    assert [each.reason for each in effects if isinstance(each, Note) and each.what == "not_signed_again"]
    is_away = False
    effects = world.advance(12_000)
    assert documents(effects, EMERGENCY)[0][0] == "operations-2"


def test_a_database_that_refuses_does_not_silence_an_emergency(world: DeskWorld) -> None:
    world.memory.is_full = True
    effects = [*world.post(authority(world)), *world.advance(1_000)]
    assert documents(effects, EMERGENCY)[0][0] == "operations-2"
    assert not documents(effects, topic(TopicName.ASSIGNMENT, node="N001"))
    world.memory.is_full = False
    effects = world.advance(70_000)
    assert documents(effects, topic(TopicName.ASSIGNMENT, node="N001"))[-1][0] == "operations-2"


def test_a_node_would_refuse_what_stood_before(world: DeskWorld) -> None:
    changed = authority(world)
    _, document = documents(world.effects, EMERGENCY)[-1]
    with pytest.raises(Refusal, match="revoked_key"):
        changed.scopes.check("operations-1", document, world.now.shared_ms, lambda area: (area,))


def test_other_keys_are_put_on_record_once_and_the_same_ones_again_are_not(world: DeskWorld) -> None:
    event = authority(world)
    world.post(event)
    world.post(event)
    (act,) = [each for each in world.memory.acts if each.what == Deed.KEYS]
    assert act.who == "system"
    assert act.detail == f"keyset {event.version}, root 1; signs with drill-2, operations-2"


def test_a_silence_outlasts_its_document(world: DeskWorld) -> None:
    """Ten years are written in it; it is meant until its release."""
    world.ask(StartSilence(area="dong", reason="sửa chữa"))
    ordered = documents(world.effects, SILENCE)[-1][1]
    assert isinstance(ordered, Silence)
    assert documents(world.advance(2 * 3600 * 1000), SILENCE) == [], "nothing is due"
    world._set(world.now.monotonic_ns + (VALID_MS // 2 + 1) * 10**6)
    [(_, late)] = documents(world.advance(2_000), SILENCE)
    assert isinstance(late, Silence)
    assert late.expires_at_ms - world.now.shared_ms > VALID_MS - 10_000
    assert (late.order, late.ordered_by, late.not_before_ms) == (
        ordered.order,
        ordered.ordered_by,
        ordered.not_before_ms,
    )
    assert [each.area for each in world.desk.status(world.now).silences] == ["dong"]


def test_at_the_instant_at_which_a_key_ends_the_next_one_signs(world: DeskWorld) -> None:
    world.ask(StartSilence(area="dong", reason="sửa chữa"))
    ends_ms = world.now.shared_ms + 600_000
    issuer = Issuer(world.now.shared_ms)
    keys = [issuer.operational(each.key_id, public_key=each.public_key) for each in world.pki.keyset.keys]
    keys = [msgspec.structs.replace(each, expires_at_ms=ends_ms) for each in keys]
    data = issuer.keyset(*keys, issuer.operational("operations-2"))
    scopes = Keyring.from_keyset(cbor_decode(open_cosigned(data).payload, Keyset))
    signers = (world.pki.signer("operations-1"), signer_of("operations-2"))
    version = authority(world).version
    world.post(AuthorityChanged(version=version, keyset=data, root_chain=b"chain", scopes=scopes, signers=signers))
    effects = world.advance(599_000)
    assert documents(effects, SILENCE) == [], "the key may sign yet"
    effects = world.advance(2_000)
    assert documents(effects, SILENCE)[0][0] == "operations-2"
