"""How one root follows another: names of new keys, the document that both sign, and what is to be read before.

Pure. Rules kept: versions rise by one; a key id never names two keys, or the signature of one would be judged by the
other; a key that is kept is the very same key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from controller.errors import KeyFileError
from protocol.errors import ProtocolError
from protocol.identity import EVERYONE
from protocol.keyring import RootKeys
from protocol.messages import ROOT_KEYS_MAX, Root, RootKey
from protocol.root_chain import follow_chain, links_of, seal_chain
from protocol.topics import TopicName, topic

KEYS_USUAL: Final = 3
THRESHOLD_USUAL: Final = 2
_NEVER_MS: Final = 253_402_214_399_999
"""The end of the times that a message can name: a root stands until the next."""


def names_of_new_keys(*, after: RootKeys | None, count: int) -> tuple[str, ...]:
    """Key ids that no earlier root of this chain has used."""
    if after is None:
        return tuple(f"root-{number}" for number in range(1, count + 1))
    return tuple(f"root-v{after.version + 1}-{number}" for number in range(1, count + 1))


def new_root(made: dict[str, str], *, threshold: int, after: RootKeys | None, keep: Sequence[str] = ()) -> RootKeys:
    """The root of newly made keys (hexadecimal by id) and kept ones; raises KeyFileError."""
    kept: dict[str, str] = {}
    for name in keep:
        if after is None or name not in after.keys:
            known = "none" if after is None else ", ".join(after.keys)
            raise KeyFileError(f"{name} cannot be kept: the old root has {known}")
        kept[name] = after.keys[name]
    keys = {**kept, **made}
    if not 2 <= threshold <= len(keys) or len(keys) > ROOT_KEYS_MAX:  # noqa: PLR2004 - below two, one thief suffices
        raise KeyFileError(
            f"{threshold} of {len(keys)}: at least two must sign, of at most {ROOT_KEYS_MAX}; 2 of 3 is usual, and "
            "with as many as must sign, one lost share would be the end of the root"
        )
    return RootKeys(threshold=threshold, keys=keys, version=1 if after is None else after.version + 1)


def succession(new: RootKeys, old: RootKeys) -> Root:
    """The document that lets `new` take the place of `old`; raises KeyFileError. The same on every machine."""
    if new.version != old.version + 1:
        raise KeyFileError(f"root {new.version} cannot follow root {old.version}; make it with --after")
    for name, public_key in new.keys.items():
        if old.keys.get(name, public_key) != public_key:
            raise KeyFileError(f"{name} names another key in the old root; make the new root with --after")
    return Root(
        id=f"root.{new.version}",
        issuer="root",
        audience=EVERYONE,
        counter=new.version,
        not_before_ms=0,
        expires_at_ms=_NEVER_MS,
        threshold=new.threshold,
        keys=tuple(RootKey(key_id=name, public_key=key) for name, key in new.public_keys.items()),
    )


def succession_lines(new: RootKeys, old: RootKeys) -> Iterator[str]:
    """What changes, for those who sign."""
    yield f"khoá gốc / root {old.version} ({old.threshold} / {len(old.keys)}) -> {new.version}"
    yield f"  {new.threshold} trên / of {len(new.keys)} phải ký / must sign"
    yield from (f"  {name}: giữ nguyên / kept" for name in new.keys if name in old.keys)
    yield from (f"+ {name}: khoá mới / new key {key}" for name, key in new.keys.items() if name not in old.keys)
    yield from (f"- {name}: bị bỏ / removed" for name in old.keys if name not in new.keys)


def extended(chain: bytes | None, link: bytes, *, old: RootKeys) -> bytes:
    """A chain with one more link; raises KeyFileError when it does not end with the old root."""
    at = topic(TopicName.ROOT)
    try:
        links = () if chain is None else links_of(chain)
        if (not links) != (old.version == 1):
            raise KeyFileError(
                f"root {old.version} needs the chain that ends with it (--chain)"
                if old.version > 1
                else "this chain belongs to a later root; root 1 begins a chain of its own"
            )
        made = seal_chain((*links, link))
        follow_chain(made, topic=at, pinned=old)
    except msgspec.ValidationError as error:
        raise KeyFileError(f"the chain cannot take another root: {error}") from error
    except ProtocolError as error:
        raise KeyFileError(f"the chain cannot take another root: {error}") from error
    return made
