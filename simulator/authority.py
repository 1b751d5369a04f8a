"""Every key of a simulated province, made from its seed: root, operational keys, report keys, streams' keys.

The signatures are real. Only where the keys come from is not: the same seed gives the same keys, and so the same bytes.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller.adapters.development_pki import REALITY_OF_KEY, ROOT_KEYS, ROOT_THRESHOLD, SCOPE_TYPES
from controller.dispatch import Authority
from protocol.codec import cbor_decode
from protocol.envelope import Signer, open_sealed_by_many, seal_by_many
from protocol.identity import EVERYONE
from protocol.keyring import Keyring, RootKeys
from protocol.messages import BroadcastClass, KeyScope, Keyset, OperationalKey, Reality
from protocol.topics import TopicName, topic
from simulator.chance import Chance
from simulator.remembering import RememberingOpener

_STREAM_ID_BYTES: Final = 8
_EMERGENCY_ID_BYTES: Final = 5
_KEY_BYTES: Final = 32
YEAR_MS: Final = 365 * 24 * 3600 * 1000


class SimulatedAuthority:
    """The keys of one province; valid from a year before `start_ms` to ten years after."""

    def __init__(self, *, seed: int, start_ms: int, opener: RememberingOpener | None = None) -> None:
        """`opener` is who opens in this province what is signed with these keys."""
        self._seed = seed
        self._start_ms = start_ms
        self._opener = opener or RememberingOpener()

    def key(self, name: str) -> Ed25519PrivateKey:
        """The private key of a name."""
        digest = hashlib.blake2b(f"{self._seed}/key/{name}".encode(), digest_size=32).digest()
        return Ed25519PrivateKey.from_private_bytes(digest)

    def signer(self, name: str) -> Signer:
        """The same, as documents are signed."""
        return self._opener.signer(name, self.key(name))

    def public_hex(self, name: str) -> str:
        """The public half, as configurations name it."""
        return self.key(name).public_key().public_bytes_raw().hex()

    @cached_property
    def root(self) -> RootKeys:
        """What every node has pinned."""
        return RootKeys(threshold=ROOT_THRESHOLD, keys={name: self.public_hex(name) for name in ROOT_KEYS})

    @cached_property
    def keyset(self) -> bytes:
        """The first keyset."""
        return self.make_keyset(version=1)

    @cached_property
    def controller(self) -> Authority:
        """What the controller signs with."""
        known = open_sealed_by_many(
            self.keyset, topic=topic(TopicName.KEYSET), public_keys=self.root.public_keys, threshold=ROOT_THRESHOLD
        )
        scopes = Keyring.from_keyset(cbor_decode(known, Keyset))
        return Authority(keyset=self.keyset, scopes=scopes, signers=[self.signer(name) for name in REALITY_OF_KEY])

    def make_keyset(self, *, version: int, revoked: frozenset[str] = frozenset(), extra: tuple[str, ...] = ()) -> bytes:
        """A keyset signed by as many of the root's keys as are needed; `extra` names further real keys."""
        realities = {**REALITY_OF_KEY, **dict.fromkeys(extra, Reality.REAL)}
        keys = tuple(
            OperationalKey(
                key_id=name,
                public_key=self.key(name).public_key().public_bytes_raw(),
                scope=KeyScope(
                    document_types=SCOPE_TYPES,
                    areas=("*",),
                    classes=tuple(BroadcastClass),
                    realities=(reality,),
                ),
                not_before_ms=self._start_ms - YEAR_MS,
                expires_at_ms=self._start_ms + 10 * YEAR_MS,
                revoked=name in revoked,
            )
            for name, reality in realities.items()
        )
        keyset = Keyset(
            id=f"keyset.{version}",
            issuer="root",
            audience=EVERYONE,
            counter=version,
            not_before_ms=self._start_ms - YEAR_MS,
            expires_at_ms=self._start_ms + 10 * YEAR_MS,
            keys=keys,
        )
        signers = [self.signer(name) for name in ROOT_KEYS[:ROOT_THRESHOLD]]
        return seal_by_many(keyset, signers=signers, topic=topic(TopicName.KEYSET))


class SeededSecrets:
    """`ports.Fresh` from the world's chance: nobody can guess them but who knows the seed."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._keys: dict[str, Ed25519PrivateKey] = {}

    def emergency_id(self) -> str:
        """See `Fresh.emergency_id`."""
        return f"e{self._chance.randbytes(_EMERGENCY_ID_BYTES).hex()}"

    def stream_id(self) -> str:
        """See `Fresh.stream_id`."""
        return self._chance.randbytes(_STREAM_ID_BYTES).hex()

    def stream_key(self, stream: str) -> bytes:
        """See `Fresh.stream_key`."""
        self._keys[stream] = Ed25519PrivateKey.from_private_bytes(self._chance.randbytes(_KEY_BYTES))
        return self._keys[stream].public_key().public_bytes_raw()

    def take_key(self, stream: str) -> Ed25519PrivateKey:
        """Hand the key to the stream's worker; once."""
        return self._keys.pop(stream)
