"""Our envelopes are COSE, as another implementation (pycose) reads and writes it; and nothing forged passes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from pycose.algorithms import EdDSA
from pycose.headers import KID, Algorithm
from pycose.keys import OKPKey
from pycose.keys.curves import Ed25519
from pycose.messages import Sign1Message, SignMessage
from pycose.messages.signer import CoseSignature

from protocol.codec import cbor_decode, cbor_encode
from protocol.envelope import (
    Signer,
    open_sealed,
    open_sealed_by_many,
    seal,
    seal_by_many,
    signer_from_private_key,
)
from protocol.errors import LocalProtocolError, Refusal, RefusalReason
from protocol.messages import AnyDocument
from tests.support.messages import T0_MS, documents, occurrence, plan

TOPIC = "loaxa/1/area/xa/plan"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
SIGNER = signer_from_private_key("operations-1", KEY)
ROOT = {f"root-{number}": Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2, 3)}
ROOT_PUBLIC = {key_id: key.public_key().public_bytes_raw() for key_id, key in ROOT.items()}
DOCUMENT = plan("xa", occurrence("a", T0_MS))


def root_signers(*key_ids: str) -> list[Signer]:
    return [signer_from_private_key(key_id, ROOT[key_id]) for key_id in key_ids]


def oracle_key(key: Ed25519PrivateKey, *, private: bool = False) -> OKPKey:
    return OKPKey(crv=Ed25519, x=key.public_key().public_bytes_raw(), d=key.private_bytes_raw() if private else b"")


def reason_of(data: bytes, *, topic: str = TOPIC, public_key: bytes = PUBLIC) -> RefusalReason:
    with pytest.raises(Refusal) as caught:
        open_sealed(data, topic=topic).verify(public_key)
    return caught.value.reason


def open_by_root(data: bytes, *, threshold: int = 2, topic: str = TOPIC) -> bytes:
    return open_sealed_by_many(data, topic=topic, public_keys=ROOT_PUBLIC, threshold=threshold)


def untagged(data: bytes) -> tuple[int, Any]:
    """Tag and parts: pycose takes lists and dicts, where the CBOR library gives frozen ones inside a tag."""
    tagged = cbor2.loads(data)
    return tagged.tag, thawed(tagged.value)


def thawed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return [thawed(item) for item in value] if isinstance(value, (list, tuple)) else value


@given(documents)
def test_what_was_sealed_opens(document: AnyDocument) -> None:
    sealed = open_sealed(seal(document, signer=SIGNER, topic=TOPIC), topic=TOPIC)
    assert sealed.key_id == "operations-1"
    assert cbor_decode(sealed.verify(PUBLIC), AnyDocument) == document


def test_pycose_reads_our_sign1() -> None:
    tag, parts = untagged(seal(DOCUMENT, signer=SIGNER, topic=TOPIC))
    assert tag == Sign1Message.cbor_tag
    message = Sign1Message.from_cose_obj(parts, allow_unknown_attributes=False)
    assert message.phdr == {Algorithm: EdDSA, KID: b"operations-1"}
    message.key = oracle_key(KEY)
    message.external_aad = TOPIC.encode()
    assert message.verify_signature()
    message.external_aad = b"loaxa/1/area/xb/plan"
    assert not message.verify_signature()


def test_we_read_pycoses_sign1() -> None:
    message = Sign1Message(phdr={Algorithm: EdDSA, KID: b"operations-1"}, payload=cbor_encode(DOCUMENT))
    message.key = oracle_key(KEY, private=True)
    message.external_aad = TOPIC.encode()
    opened = open_sealed(message.encode(), topic=TOPIC)
    assert cbor_decode(opened.verify(PUBLIC), AnyDocument) == DOCUMENT


def test_pycose_reads_our_sign_of_many() -> None:
    tag, parts = untagged(seal_by_many(DOCUMENT, signers=root_signers("root-1", "root-3"), topic=TOPIC))
    assert tag == SignMessage.cbor_tag
    message = SignMessage.from_cose_obj(parts, allow_unknown_attributes=False)
    assert len(message.signers) == 2
    for signature, key_id in zip(message.signers, ("root-1", "root-3"), strict=True):
        signature.key = oracle_key(ROOT[key_id])
        signature.external_aad = TOPIC.encode()
        assert signature.verify_signature()


def test_we_read_pycoses_sign_of_many() -> None:
    signatures = [
        CoseSignature(
            phdr={Algorithm: EdDSA, KID: key_id.encode()},
            key=oracle_key(ROOT[key_id], private=True),
            external_aad=TOPIC.encode(),
        )
        for key_id in ("root-2", "root-3")
    ]
    data = SignMessage(payload=cbor_encode(DOCUMENT), signers=signatures).encode()
    assert cbor_decode(open_by_root(data), AnyDocument) == DOCUMENT


def test_another_topic_or_key_is_a_bad_signature() -> None:
    data = seal(DOCUMENT, signer=SIGNER, topic=TOPIC)
    assert reason_of(data, topic="loaxa/1/area/xb/plan") is RefusalReason.BAD_SIGNATURE
    assert reason_of(data, public_key=ROOT_PUBLIC["root-1"]) is RefusalReason.BAD_SIGNATURE
    assert reason_of(data, public_key=bytes(31)) is RefusalReason.BAD_SIGNATURE


@given(st.data())
def test_no_changed_byte_passes(data: st.DataObject) -> None:
    sealed = bytearray(seal(DOCUMENT, signer=SIGNER, topic=TOPIC))
    position = data.draw(st.integers(0, len(sealed) - 1))
    sealed[position] ^= data.draw(st.integers(1, 255))
    try:
        opened = open_sealed(bytes(sealed), topic=TOPIC)
        if opened.key_id == "operations-1":
            opened.verify(PUBLIC)
    except Refusal as refusal:
        assert refusal.reason in {RefusalReason.MALFORMED, RefusalReason.BAD_SIGNATURE}
    else:
        assert opened.key_id != "operations-1", "a message with a changed byte was verified"


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    assert reason_of(data) in {RefusalReason.MALFORMED, RefusalReason.BAD_SIGNATURE}
    with pytest.raises(Refusal):
        open_by_root(data)


def test_what_is_not_signed_over_is_not_carried() -> None:
    value = cbor2.loads(seal(DOCUMENT, signer=SIGNER, topic=TOPIC)).value
    protected, _, payload, signature = value
    for header in ({4: b"drill-1"}, {99: 1}):
        data = cbor2.dumps(cbor2.CBORTag(18, [protected, header, payload, signature]), canonical=True)
        assert reason_of(data) is RefusalReason.MALFORMED
    protected, _, payload, signatures = cbor2.loads(
        seal_by_many(DOCUMENT, signers=root_signers("root-1", "root-2"), topic=TOPIC)
    ).value
    first = [signatures[0][0], {99: 1}, signatures[0][2]]
    for parts in ([protected, {99: 1}, payload, signatures], [protected, {}, payload, [first, signatures[1]]]):
        with pytest.raises(Refusal, match="malformed"):
            open_by_root(cbor2.dumps(cbor2.CBORTag(98, parts), canonical=True))


@pytest.mark.parametrize(
    "protected",
    [{1: -7, 4: b"k"}, {1: -8}, {4: b"k"}, {1: -8, 4: "k"}, {1: -8, 4: b"\xff"}, {1: -8, 4: b"k", 2: [1]}, {}],
)
def test_only_our_algorithm_and_a_key_id_are_taken(protected: dict[int, object]) -> None:
    header = cbor2.dumps(protected, canonical=True)
    data = cbor2.dumps(cbor2.CBORTag(18, [header, {}, b"", bytes(64)]), canonical=True)
    assert reason_of(data) is RefusalReason.MALFORMED


def test_the_threshold_is_of_different_root_keys() -> None:
    one, two = root_signers("root-1", "root-2")
    assert open_by_root(seal_by_many(DOCUMENT, signers=[one, two], topic=TOPIC))
    for signers in ([one], [one, one], [one, SIGNER], []):
        with pytest.raises(Refusal, match="bad_signature"):
            open_by_root(seal_by_many(DOCUMENT, signers=signers, topic=TOPIC))
    stranger_as_root = signer_from_private_key("root-2", KEY)
    with pytest.raises(Refusal, match="bad_signature"):
        open_by_root(seal_by_many(DOCUMENT, signers=[one, stranger_as_root], topic=TOPIC))
    with pytest.raises(Refusal, match="bad_signature"):
        open_by_root(seal_by_many(DOCUMENT, signers=[one, two], topic="another"))


def test_one_key_under_two_names_counts_once() -> None:
    twice = {"root-1": ROOT_PUBLIC["root-1"], "root-9": ROOT_PUBLIC["root-1"]}
    signers = [signer_from_private_key(name, ROOT["root-1"]) for name in twice]
    data = seal_by_many(DOCUMENT, signers=signers, topic=TOPIC)
    with pytest.raises(Refusal, match="1 of the 2"):
        open_sealed_by_many(data, topic=TOPIC, public_keys=twice, threshold=2)


def test_the_number_of_signatures_is_bounded() -> None:
    signers = [signer_from_private_key(f"k{number}", KEY) for number in range(17)]
    with pytest.raises(Refusal, match="17 signatures; at most 16"):
        open_by_root(seal_by_many(DOCUMENT, signers=signers, topic=TOPIC))


def test_what_is_too_large_is_not_sealed() -> None:
    large = plan("xa", *(occurrence(f"item-{number}", T0_MS) for number in range(200)))
    with pytest.raises(LocalProtocolError, match="exceeds the bound"):
        seal(large, signer=SIGNER, topic=TOPIC)
