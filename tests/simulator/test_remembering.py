"""What is remembered changes no answer: whatever is forged, altered or misdirected is refused, seen before or not."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from protocol.envelope import seal, seal_by_many, signer_from_private_key
from protocol.errors import Refusal, RefusalReason
from protocol.keyring import RootKeys
from protocol.messages import AnyDocument
from protocol.opening import Opener
from simulator.authority import SimulatedAuthority
from simulator.remembering import SIGNATURES_REMEMBERED, RememberingOpener
from tests.support.messages import T0_MS, occurrence, plan

TOPIC = "loaxa/1/area/xa/plan"
OTHER_TOPIC = "loaxa/1/area/thon/plan"
KEY, OTHER_KEY = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))
PUBLIC, OTHER_PUBLIC = KEY.public_key().public_bytes_raw(), OTHER_KEY.public_key().public_bytes_raw()
DOCUMENT = plan("xa", occurrence("a", T0_MS))


def opened(opener: Opener, data: bytes, *, topic: str = TOPIC, public_key: bytes = PUBLIC) -> AnyDocument:
    return opener.document(opener.payload(opener.envelope(data, topic=topic), public_key))


def outcome(opener: Opener, data: bytes, topic: str, public_key: bytes) -> AnyDocument | RefusalReason:
    try:
        return opened(opener, data, topic=topic, public_key=public_key)
    except Refusal as refusal:
        return refusal.reason


def test_what_a_key_of_the_province_signed_is_good_and_another_key_or_topic_makes_it_bad() -> None:
    opener = RememberingOpener()
    data = seal(DOCUMENT, signer=opener.signer("operations-1", KEY), topic=TOPIC)
    assert opened(opener, data) == DOCUMENT
    assert opened(opener, data) is opened(opener, data)
    for wrong in ({"public_key": OTHER_PUBLIC}, {"topic": OTHER_TOPIC}):
        for _ in range(2):  # a refusal is not remembered as anything
            with pytest.raises(Refusal) as refused:
                opened(opener, data, **wrong)
            assert refused.value.reason is RefusalReason.BAD_SIGNATURE


def test_a_foreign_signature_is_verified_and_a_forged_one_never_remembered() -> None:
    opener = RememberingOpener()
    good = seal(DOCUMENT, signer=signer_from_private_key("operations-1", KEY), topic=TOPIC)
    forged = seal(DOCUMENT, signer=signer_from_private_key("operations-1", OTHER_KEY), topic=TOPIC)
    assert opener.signatures == 0
    for _ in range(3):
        with pytest.raises(Refusal):
            opened(opener, forged)
        assert opener.signatures == 0
    assert opened(opener, good) == DOCUMENT
    assert opener.signatures == 1
    assert opened(opener, good) == DOCUMENT
    assert opener.signatures == 1
    with pytest.raises(Refusal):
        opened(opener, forged)


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7), is_own=st.booleans(), is_known=st.booleans())
def test_a_flipped_bit_is_refused_as_without_a_memory(place: int, bit: int, is_own: bool, is_known: bool) -> None:
    opener = RememberingOpener()
    signer = opener.signer("operations-1", KEY) if is_own else signer_from_private_key("operations-1", KEY)
    data = seal(DOCUMENT, signer=signer, topic=TOPIC)
    if is_known:
        assert opened(opener, data) == DOCUMENT
    altered = bytearray(data)
    altered[place % len(data)] ^= 1 << bit
    for topic in (TOPIC, OTHER_TOPIC):
        for public_key in (PUBLIC, OTHER_PUBLIC):
            found = outcome(opener, bytes(altered), topic, public_key)
            assert found == outcome(Opener(), bytes(altered), topic, public_key)
            assert isinstance(found, RefusalReason)


def test_a_keyset_is_judged_by_the_root_that_is_asked_about() -> None:
    opener = RememberingOpener()
    authority = SimulatedAuthority(seed=1, start_ms=T0_MS, opener=opener)
    foreign = SimulatedAuthority(seed=2, start_ms=T0_MS)
    topic = "loaxa/1/keyset"
    keyset = opener.keyset(authority.keyset, topic=topic, root=authority.root)
    assert keyset == Opener().keyset(authority.keyset, topic=topic, root=authority.root)
    everybody = RootKeys(threshold=3, keys=authority.root.keys)
    for root in (foreign.root, everybody):
        with pytest.raises(Refusal):
            opener.keyset(authority.keyset, topic=topic, root=root)
    lone = seal_by_many(keyset, signers=[signer_from_private_key("root-1", authority.key("root-1"))], topic=topic)
    with pytest.raises(Refusal):
        opener.keyset(lone, topic=topic, root=authority.root)


def test_the_memory_is_bounded_and_what_was_forgotten_is_worked_out_again() -> None:
    opener = RememberingOpener()
    data = seal(DOCUMENT, signer=opener.signer("operations-1", KEY), topic=TOPIC)

    class Quick:
        """A key that signs nothing really, for there are many to sign."""

        def __init__(self) -> None:
            self.count = 0

        def sign(self, _: bytes) -> bytes:
            self.count += 1
            return self.count.to_bytes(64)

        def public_key(self) -> object:
            return KEY.public_key()

    sign = opener.sign(Quick())  # type: ignore[arg-type] # a stand-in for Ed25519PrivateKey
    for _ in range(SIGNATURES_REMEMBERED + 10):
        sign(b"")
    assert opener.signatures == SIGNATURES_REMEMBERED
    assert opened(opener, data) == DOCUMENT
