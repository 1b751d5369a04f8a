"""The root's own keys change without a visit to any pole: each change is signed by the old root and by the new.

What an image pins is one version of the root. A chain holds every change since, so that a node that was off during
several of them follows them one after the other. A chain is a `RootChain` of sealed `Root` documents.

Rules kept:
- versions rise by one from link to link; each link is signed by a threshold of the root before it *and* by a
  threshold of itself, so that nobody can be locked out by keys that cannot sign;
- a chain is followed from the pinned root, always: what was accepted once can be verified again after a power cut;
- a chain must contain every root that is in force here, so that whoever stole an old root cannot lead a node that
  has left it onto another branch;
- neither the beginning nor the end of a root's time is judged: a root stands until the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from msgspec import Meta, Struct

from protocol.codec import cbor_decode, cbor_encode_checked, require_sendable
from protocol.envelope import CosignedDocument, open_cosigned
from protocol.errors import Refusal, RefusalReason
from protocol.keyring import RootKeys
from protocol.messages import Root

ROOT_LINKS_MAX: Final = 16
"""Changes of the root that one chain carries: with three keys and two to sign they fill the size bound of a message."""
LINK_BYTES_MAX: Final = 4096
"""Eight keys, signed by eight old and eight new."""


class RootChain(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every change of the root since the one that images pin, oldest first; each link is a sealed `Root`."""

    links: Annotated[
        tuple[Annotated[bytes, Meta(max_length=LINK_BYTES_MAX)], ...], Meta(min_length=1, max_length=ROOT_LINKS_MAX)
    ]


def root_keys_of(root: Root) -> RootKeys:
    """A root as it is pinned."""
    keys = {key.key_id: key.public_key.hex() for key in root.keys}
    return RootKeys(threshold=root.threshold, keys=keys, version=root.counter)


def seal_chain(links: Sequence[bytes]) -> bytes:
    """The bytes of a chain; raises LocalProtocolError when they are too many for one message."""
    return require_sendable(cbor_encode_checked(RootChain(links=tuple(links))))


def open_chain(data: bytes) -> tuple[Root, ...]:
    """The roots of a chain, oldest first, not verified; raises Refusal(TOO_LARGE or MALFORMED)."""
    return tuple(_root(open_cosigned(link)) for link in cbor_decode(data, RootChain).links)


def links_of(data: bytes) -> tuple[bytes, ...]:
    """The links of a chain, to add another; raises Refusal(TOO_LARGE or MALFORMED)."""
    return cbor_decode(data, RootChain).links


def follow_chain(data: bytes, *, topic: str, pinned: RootKeys) -> tuple[RootKeys, ...]:
    """Every root from the pinned one to the newest of the chain, verified; raises Refusal.

    MALFORMED for what is no chain, BAD_SIGNATURE where a link is not signed by both roots, or where the chain begins
    after the pinned root or says another thing of it, REPLAYED for one that ends before it.
    """
    roots = [pinned]
    before: int | None = None
    for link in cbor_decode(data, RootChain).links:
        sealed = open_cosigned(link)
        root = _root(sealed)
        if before is not None and root.counter != before + 1:
            raise Refusal(RefusalReason.MALFORMED, f"root {root.counter} follows root {before}")
        before = root.counter
        if root.counter < pinned.version:
            continue
        keys = root_keys_of(root)
        if root.counter == pinned.version:
            _refuse_other(keys, pinned)
            continue
        if root.counter != roots[-1].version + 1:
            detail = f"the chain begins with root {root.counter}; root {pinned.version} is pinned here"
            raise Refusal(RefusalReason.BAD_SIGNATURE, detail)
        verify_link(sealed, topic=topic, old=roots[-1], new=keys)
        roots.append(keys)
    if before is None or before < pinned.version:
        raise Refusal(RefusalReason.REPLAYED, f"the chain ends with root {before}; root {pinned.version} is pinned")
    return tuple(roots)


def verify_link(sealed: CosignedDocument, *, topic: str, old: RootKeys, new: RootKeys) -> None:
    """Return if a threshold of the old root and one of the new signed; raises Refusal(BAD_SIGNATURE)."""
    for root in (old, new):
        sealed.verify(topic=topic, public_keys=root.public_keys, threshold=root.threshold)


def continues(roots: Sequence[RootKeys], *, known: Sequence[RootKeys]) -> bool:
    """Whether what is known here is the beginning of what a chain says."""
    return tuple(roots[: len(known)]) == tuple(known)


def _refuse_other(found: RootKeys, pinned: RootKeys) -> None:
    if found != pinned:
        raise Refusal(RefusalReason.BAD_SIGNATURE, f"another root {found.version} than the one that is pinned here")


def _root(sealed: CosignedDocument) -> Root:
    return cbor_decode(sealed.payload, Root)
