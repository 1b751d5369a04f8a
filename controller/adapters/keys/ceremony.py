"""Several people sign one document, at one table or one after the other on machines of their own.

What goes from hand to hand is the document itself with the signatures that it has so far (a COSE_Sign); it needs
no secrecy, and whoever gets it verifies what is on it before adding to it. Parts that were signed side by side are
joined if they are of the very same document.

Rules kept: a share signs only what its holder was shown; it must be a key of one of the roots concerned, and signs
once; a wrong signature on a part is refused rather than passed on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from controller.adapters.keys.key_bench import Bench
from controller.adapters.keys.key_files import read_public, read_sealed
from controller.errors import KeyFileError
from controller.keys.sealed_key import open_sealed_key
from protocol.envelope import CosignedDocument, Signer, cosign, open_cosigned, signer_from_private_key
from protocol.errors import ProtocolError
from protocol.keyring import RootKeys, parse_root_keys


def read_root(path: Path) -> RootKeys:
    """A root's public keys; raises KeyFileError."""
    try:
        return parse_root_keys(read_public(path, "root keys"))
    except ProtocolError as error:
        raise KeyFileError(f"{path}: {error}") from error


def read_part(path: Path) -> CosignedDocument:
    """A document with the signatures that it has; raises KeyFileError."""
    try:
        return open_cosigned(read_public(path, "signed part"))
    except ProtocolError as error:
        raise KeyFileError(f"{path} is no document to be signed: {error}") from error


def join(parts: Sequence[tuple[Path, CosignedDocument]]) -> CosignedDocument:
    """Parts that were signed side by side as one, each key's signature once; raises KeyFileError."""
    path, first = parts[0]
    for other, part in parts[1:]:
        if part.payload != first.payload:
            raise KeyFileError(f"{other} is another document than {path}; sign the same one")
    signatures = dict(signature for _, part in parts for signature in part.signatures)
    return CosignedDocument(payload=first.payload, signatures=tuple(sorted(signatures.items())))


def signed_by(document: CosignedDocument, *, topic: str, roots: Sequence[RootKeys]) -> list[frozenset[str]]:
    """Who of each root has signed; raises KeyFileError when a signature is wrong."""
    try:
        return [document.signed_by(topic=topic, public_keys=root.public_keys) for root in roots]
    except ProtocolError as error:
        raise KeyFileError(f"a signature on it is wrong ({error}); do not sign it, ask where it comes from") from error


def is_complete(document: CosignedDocument, *, topic: str, roots: Sequence[RootKeys]) -> bool:
    """Whether a threshold of every root has signed; raises KeyFileError when a signature is wrong."""
    done = signed_by(document, topic=topic, roots=roots)
    return all(len(names) >= root.threshold for names, root in zip(done, roots, strict=True))


def progress(document: CosignedDocument, *, topic: str, roots: Sequence[RootKeys]) -> str:
    """How far it is, in words; raises KeyFileError when a signature is wrong."""
    done = signed_by(document, topic=topic, roots=roots)
    return "; ".join(
        f"gốc / root {root.version}: {len(names)} trên / of {root.threshold} ({', '.join(sorted(names)) or '-'})"
        for names, root in zip(done, roots, strict=True)
    )


def sign_with(
    document: CosignedDocument, shares: Sequence[Path], *, topic: str, roots: Sequence[RootKeys], bench: Bench
) -> CosignedDocument:
    """Add the signatures of these shares; raises KeyFileError, and then nothing is signed."""
    already = {name for names in signed_by(document, topic=topic, roots=roots) for name in names}
    signers: list[Signer] = []
    for path in shares:
        signer = _open_share(path, roots, bench, already | {each.key_id for each in signers})
        signers.append(signer)
    signed = cosign(document, signers=signers, topic=topic)
    return CosignedDocument(payload=signed.payload, signatures=tuple(sorted(signed.signatures)))


def _open_share(path: Path, roots: Sequence[RootKeys], bench: Bench, already: set[str]) -> Signer:
    sealed = read_sealed(path)
    if sealed.purpose != "root":
        raise KeyFileError(f"{path} is an operational key; a keyset is signed by shares of the root")
    if sealed.key_id in already:
        raise KeyFileError(f"{path}: {sealed.key_id} has signed already; another holder's share is needed")
    if all(root.keys.get(sealed.key_id) != sealed.public_key for root in roots):
        known = ", ".join(key_id for root in roots for key_id in root.keys)
        raise KeyFileError(f"{path} is no share of this root; its shares are {known}")
    passphrase = bench.passphrases.known(f"{sealed.key_id} ({path.name})")
    return signer_from_private_key(sealed.key_id, open_sealed_key(sealed, passphrase, name=str(path)))
