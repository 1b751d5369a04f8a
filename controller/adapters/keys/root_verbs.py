"""`keys root …`: makes an offline root, lets a new one follow the old, shows what a root or a chain says.

A root is several Ed25519 keys of which some must sign. Each share is a sealed file with a passphrase of its own, so
that neither one holder nor one stolen stick is enough; `root_keys.json` is public and goes into every image.

Rules kept: shares are written before the public file, so that a power cut leaves a folder without a root rather than
a root without shares; nothing is written over; no two shares have one passphrase.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller.adapters.keys.ceremony import is_complete, join, progress, read_part, read_root, sign_with
from controller.adapters.keys.key_bench import Bench
from controller.adapters.keys.key_files import read_public, replace_file, sealed_file, write_new
from controller.errors import KeyFileError
from controller.keys.succession import extended, names_of_new_keys, new_root, succession, succession_lines
from controller.keys.table import root_text
from protocol.codec import cbor_decode
from protocol.envelope import CosignedDocument, cosigned
from protocol.errors import ProtocolError
from protocol.keyring import RootKeys
from protocol.messages import Root
from protocol.root_chain import follow_chain, open_chain, root_keys_of
from protocol.topics import TopicName, topic

PUBLIC_FILE: Final = "root_keys.json"
CHAIN_FILE: Final = "root.chain"
"""As `trust.root_chain` is called in the documents."""
SHARE_SUFFIX: Final = ".share"
_TAG_OF_A_PART: Final = b"\xd8\x62"
"""How a COSE_Sign begins (tag 98)."""


def create_root(
    folder: Path,
    bench: Bench,
    *,
    keys: int,
    threshold: int,
    after: RootKeys | None = None,
    keep: Sequence[str] = (),
) -> RootKeys:
    """Make a root's new shares and its public file in a folder; raises KeyFileError, and then there is no root."""
    if (folder / PUBLIC_FILE).exists():
        raise KeyFileError(f"{folder / PUBLIC_FILE} is there already; a root is made once, in a folder of its own")
    names = names_of_new_keys(after=after, count=keys - len(keep))
    made = {name: Ed25519PrivateKey.generate() for name in names}
    public = {name: key.public_key().public_bytes_raw().hex() for name, key in made.items()}
    root = new_root(public, threshold=threshold, after=after, keep=keep)
    used: set[bytes] = set()
    files: dict[Path, bytes] = {}
    for name, key in made.items():
        passphrase = bench.passphrases.new(name, names=(name, folder.name))
        if passphrase in used:
            raise KeyFileError(f"{name}: another share has this passphrase; each holder takes one of his own")
        used.add(passphrase)
        files[folder / f"{name}{SHARE_SUFFIX}"] = sealed_file(
            key, passphrase, key_id=name, purpose="root", cost=bench.root_cost
        )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise KeyFileError(f"{folder} cannot be made: {error.strerror or error}") from error
    for path, data in files.items():
        replace_file(path, data, mode=0o600)
    write_new(folder / PUBLIC_FILE, public_file(root), mode=0o644)
    return root


def public_file(root: RootKeys) -> bytes:
    """The bytes of `root_keys.json`."""
    return msgspec.json.format(msgspec.json.encode(root), indent=2) + b"\n"


def issue_root(
    inputs: Sequence[Path], bench: Bench, *, old: RootKeys, chain: Path | None, shares: Sequence[Path], out: Path
) -> str:
    """Sign that a new root follows the old; a chain when enough have signed, else a part. Raises KeyFileError."""
    document = _document(inputs, old)
    new = root_keys_of(_root(document))
    roots, at = (old, new), topic(TopicName.ROOT)
    shown = "\n".join([*succession_lines(new, old), progress(document, topic=at, roots=roots)])
    if shares:
        bench.confirm(shown, word=str(new.version))
        document = sign_with(document, shares, topic=at, roots=roots, bench=bench)
    else:
        bench.tell(shown)
    how_far = progress(document, topic=at, roots=roots)
    if not is_complete(document, topic=at, roots=roots):
        write_new(out, document.data, mode=0o644)
        return f"{out}: {how_far}\ngive it to the next holder: keys root issue {out} --old … --share …"
    before = None if chain is None else read_public(chain, "chain")
    write_new(out, extended(before, document.data, old=old), mode=0o644)
    return (
        f"{out}: {how_far}. Root {new.version} may follow.\n"
        "next: a keyset signed by both roots, then `keys keyset publish`, then `keys root publish`"
    )


def show_root(path: Path, *, pinned: RootKeys | None) -> str:
    """What a public file or a chain says, and whether it follows from the pinned root; raises KeyFileError."""
    data = read_public(path, "root")
    if data.lstrip().startswith(b"{"):
        return root_text([read_root(path)])
    try:
        roots = [root_keys_of(root) for root in open_chain(data)]
        if pinned is None:
            return f"{root_text(roots)}\nCHƯA KIỂM TRA / NOT VERIFIED: give --pinned root_keys.json"
        followed = follow_chain(data, topic=topic(TopicName.ROOT), pinned=pinned)
    except ProtocolError as error:
        raise KeyFileError(f"{path} does not follow from the pinned root: {error}") from error
    return f"{root_text(followed)}\nđã kiểm tra / verified from root {pinned.version}"


def root_after(chain: Path, pinned: RootKeys) -> RootKeys:
    """The root that a chain leads to; raises KeyFileError."""
    try:
        return follow_chain(read_public(chain, "chain"), topic=topic(TopicName.ROOT), pinned=pinned)[-1]
    except ProtocolError as error:
        raise KeyFileError(f"{chain} does not follow from the pinned root: {error}") from error


def run_create(options: argparse.Namespace, bench: Bench) -> str:
    """`keys root create`."""
    after = read_root(options.after) if options.after else None
    root = create_root(
        options.folder, bench, keys=options.keys, threshold=options.threshold, after=after, keep=options.keep
    )
    shares = [name for name in root.keys if name not in options.keep]
    return (
        f"{options.folder}: {root_text([root]).splitlines()[0]}\n"
        f"một người giữ một tệp / one holder for each: {', '.join(f'{name}{SHARE_SUFFIX}' for name in shares)}\n"
        f"{PUBLIC_FILE}: công khai / public; ghi vào mọi thiết bị / goes into every image\n"
        "chuyển từng tệp sang USB của từng người rồi xoá khỏi máy / move each share to its holder's stick, then wipe"
    )


def run_issue(options: argparse.Namespace, bench: Bench) -> str:
    """`keys root issue`."""
    return issue_root(
        options.inputs,
        bench,
        old=read_root(options.old),
        chain=options.chain,
        shares=options.share,
        out=options.out,
    )


def run_show(options: argparse.Namespace, _bench: Bench) -> str:
    """`keys root show`."""
    return show_root(options.file, pinned=read_root(options.pinned) if options.pinned else None)


def _document(inputs: Sequence[Path], old: RootKeys) -> CosignedDocument:
    """What is to be signed: from a new root's public file, or the parts that others have signed."""
    if len(inputs) == 1 and not read_public(inputs[0], "root").startswith(_TAG_OF_A_PART):
        return cosigned(succession(read_root(inputs[0]), old))
    document = join([(path, read_part(path)) for path in inputs])
    if _root(document) != succession(root_keys_of(_root(document)), old):
        raise KeyFileError(f"{inputs[0]} is no succession that this version makes; do not sign it")
    return document


def _root(document: CosignedDocument) -> Root:
    try:
        return cbor_decode(document.payload, Root)
    except ProtocolError as error:
        raise KeyFileError(f"this is no change of a root: {error}") from error
