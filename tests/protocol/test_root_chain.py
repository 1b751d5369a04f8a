"""The root's changes: followed link by link, refused where anything is missing, out of order or on another branch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import cbor_decode, cbor_encode
from protocol.envelope import cosign, cosigned, open_cosigned
from protocol.errors import LocalProtocolError, Refusal, RefusalReason
from protocol.identity import EVERYONE
from protocol.keyring import RootKeys
from protocol.messages import Root, RootKey
from protocol.root_chain import ROOT_LINKS_MAX, RootChain, continues, follow_chain, open_chain, root_keys_of, seal_chain
from protocol.topics import TopicName, topic
from tests.support.issuer import Issuer, key_of, signer_of

ISSUER = Issuer(1_790_000_000_000)
TOPIC = topic(TopicName.ROOT)
NAMES = {version: tuple(f"v{version}-{number}" for number in (1, 2, 3)) for version in range(2, 20)}
NAMES[1] = ("root-1", "root-2", "root-3")


def link(version: int, *, old: int = 2, new: int = 2) -> bytes:
    """The change to a version, signed by some of the old root and some of the new."""
    signers = (*NAMES[version - 1][:old], *NAMES[version][:new])
    return ISSUER.link(version, *NAMES[version], signers=signers)


def chain(*versions: int) -> bytes:
    return seal_chain([link(version) for version in versions])


def pinned(version: int) -> RootKeys:
    keys = {name: key_of(name).public_key().public_bytes_raw().hex() for name in NAMES[version]}
    return RootKeys(threshold=2, keys=keys, version=version)


def reason_of(data: bytes, root: RootKeys) -> RefusalReason:
    with pytest.raises(Refusal) as caught:
        follow_chain(data, topic=TOPIC, pinned=root)
    return caught.value.reason


def test_a_chain_is_followed_from_any_root_in_it() -> None:
    data = chain(2, 3, 4)
    assert follow_chain(data, topic=TOPIC, pinned=ISSUER.root) == tuple(pinned(version) for version in (1, 2, 3, 4))
    assert follow_chain(data, topic=TOPIC, pinned=pinned(3)) == (pinned(3), pinned(4))
    assert follow_chain(data, topic=TOPIC, pinned=pinned(4)) == (pinned(4),)
    assert [root.counter for root in open_chain(data)] == [2, 3, 4]


@pytest.mark.parametrize(("old", "new"), [(1, 2), (2, 1), (0, 3), (3, 0), (0, 0)])
def test_both_roots_must_have_signed(old: int, new: int) -> None:
    assert reason_of(seal_chain([link(2, old=old, new=new)]), ISSUER.root) is RefusalReason.BAD_SIGNATURE


def test_a_gap_an_order_and_another_topic_are_refused() -> None:
    assert reason_of(chain(2, 4), ISSUER.root) is RefusalReason.MALFORMED
    assert reason_of(seal_chain([link(3), link(2)]), ISSUER.root) is RefusalReason.BAD_SIGNATURE
    assert reason_of(chain(3, 4), ISSUER.root) is RefusalReason.BAD_SIGNATURE
    assert reason_of(chain(2), pinned(3)) is RefusalReason.REPLAYED
    with pytest.raises(Refusal, match="bad_signature"):
        follow_chain(chain(2), topic=topic(TopicName.KEYSET), pinned=ISSUER.root)


def test_no_root_is_left_out_though_the_pinned_one_has_signed_what_comes_behind_it() -> None:
    """Whoever has an old root's keys could else lead poles past the root that took its place."""
    leap = ISSUER.link(3, *NAMES[3], signers=("root-1", "root-2", *NAMES[3][:2]))
    assert reason_of(seal_chain([leap]), ISSUER.root) is RefusalReason.BAD_SIGNATURE


def test_another_root_of_the_pinned_version_is_refused_and_a_branch_is_seen() -> None:
    names = ("x-1", "x-2", "x-3")
    other = seal_chain([ISSUER.link(2, *names, signers=("root-1", "root-2", "x-1", "x-2"))])
    assert reason_of(other, pinned(2)) is RefusalReason.BAD_SIGNATURE
    branch = follow_chain(other, topic=TOPIC, pinned=ISSUER.root)
    assert not continues(branch, known=(pinned(1), pinned(2)))
    assert continues(follow_chain(chain(2, 3), topic=TOPIC, pinned=ISSUER.root), known=(pinned(1), pinned(2)))


def test_a_root_that_keeps_a_key_needs_that_keys_signature_once() -> None:
    data = seal_chain([ISSUER.link(2, "root-1", "root-2", "new-3", signers=("root-1", "root-2"))])
    (_, new) = follow_chain(data, topic=TOPIC, pinned=ISSUER.root)
    assert set(new.keys) == {"root-1", "root-2", "new-3"}


@pytest.mark.parametrize("names", [("a", "a", "b"), ("a", "b")])
def test_a_root_that_could_not_sign_or_counts_a_key_twice_is_none(names: tuple[str, ...]) -> None:
    keys = tuple(RootKey(key_id=name, public_key=key_of(name).public_key().public_bytes_raw()) for name in names)
    with pytest.raises(ValueError, match=r"twice|needed"):
        Root(
            id="root.2",
            issuer="root",
            audience=EVERYONE,
            counter=2,
            not_before_ms=0,
            expires_at_ms=1,
            threshold=3,
            keys=keys,
        )


def test_as_many_links_as_are_promised_fit_one_message_and_no_more() -> None:
    versions = range(2, 2 + ROOT_LINKS_MAX)
    data = chain(*versions)
    assert len(follow_chain(data, topic=TOPIC, pinned=ISSUER.root)) == 1 + ROOT_LINKS_MAX
    with pytest.raises(LocalProtocolError):
        seal_chain([link(version) for version in range(2, 3 + ROOT_LINKS_MAX)])


def test_signatures_are_added_one_after_the_other_and_those_of_strangers_say_nothing() -> None:
    root = root_keys_of(open_chain(chain(2))[0])
    document = cosigned(open_chain(chain(2))[0])
    one = open_cosigned(cosign(document, signers=[signer_of("v2-1")], topic=TOPIC).data)
    assert one.signed_by(topic=TOPIC, public_keys=root.public_keys) == {"v2-1"}
    more = cosign(one, signers=[signer_of("thief"), signer_of("v2-1")], topic=TOPIC)
    assert more.signed_by(topic=TOPIC, public_keys=root.public_keys) == {"v2-1"}
    both = cosign(one, signers=[signer_of("v2-3")], topic=TOPIC)
    assert both.verify(topic=TOPIC, public_keys=root.public_keys, threshold=2) == document.payload


@given(st.binary(max_size=200))
def test_any_bytes_are_a_refusal(data: bytes) -> None:
    assert reason_of(data, ISSUER.root) in {RefusalReason.MALFORMED, RefusalReason.TOO_LARGE}


@given(st.integers(min_value=0, max_value=10_000), st.integers(min_value=1, max_value=255))
def test_a_changed_byte_is_a_refusal_or_changes_nothing_that_is_believed(at: int, flip: int) -> None:
    data = chain(2, 3)
    at %= len(data)
    changed = data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :]
    try:
        roots = follow_chain(changed, topic=TOPIC, pinned=ISSUER.root)
    except Refusal:
        return
    assert roots == follow_chain(data, topic=TOPIC, pinned=ISSUER.root)


@given(st.binary(max_size=100))
def test_any_link_is_a_refusal(data: bytes) -> None:
    wrapped = cbor_encode(RootChain(links=(data,)))
    assert cbor_decode(wrapped, RootChain).links == (data,)
    assert reason_of(wrapped, ISSUER.root) in {RefusalReason.MALFORMED, RefusalReason.TOO_LARGE}
