"""`keys keyset …` and `keys create`: from a draft to a signed keyset, and what a keyset says.

Rules kept: what a share signs was shown as a difference to the keyset in force; faults cannot be signed over; one
verb takes a draft, a part that somebody else has signed, or several parts; nothing is written over.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller.adapters.keys.ceremony import is_complete, join, progress, read_part, read_root, sign_with, signed_by
from controller.adapters.keys.key_bench import Bench
from controller.adapters.keys.key_files import read_public, read_sealed, sealed_file, write_new
from controller.adapters.keys.root_verbs import CHAIN_FILE, PUBLIC_FILE, root_after
from controller.errors import KeyFileError
from controller.keys.changes import changes_of
from controller.keys.draft import DAY_MS, day_begin_ms, draft_text, first_keyset, parse_draft, successor, widest_key
from controller.keys.table import keyset_text
from protocol.codec import cbor_decode
from protocol.envelope import CosignedDocument, cosigned
from protocol.errors import ProtocolError
from protocol.keyring import RootKeys
from protocol.messages import Keyset, OperationalKey, Reality
from protocol.topics import TopicName, topic

_AT: Final = topic(TopicName.KEYSET)
_TAG_OF_A_PART: Final = b"\xd8\x62"


def new_key() -> Ed25519PrivateKey:
    """A key from the operating system's randomness."""
    return Ed25519PrivateKey.generate()


def create_operational(key_id: str, bench: Bench) -> tuple[bytes, str]:
    """A new operational key: its sealed file, and its public half in hexadecimal. Raises KeyFileError."""
    key = new_key()
    passphrase = bench.passphrases.new(key_id, names=(key_id,))
    data = sealed_file(key, passphrase, key_id=key_id, purpose="operational", cost=bench.operational_cost)
    return data, key.public_key().public_bytes_raw().hex()


def issue_keyset(
    inputs: Sequence[Path],
    bench: Bench,
    *,
    roots: Sequence[RootKeys],
    in_force: Path | None,
    shares: Sequence[Path],
    out: Path,
) -> str:
    """Sign a keyset with these shares, after showing what it changes; raises KeyFileError."""
    document = _document(inputs)
    new = _keyset(document)
    old = None if in_force is None else _keyset(read_part(in_force))
    if in_force is not None and new == old:
        raise KeyFileError(f"{in_force} says the same already; there is nothing to sign")
    now_ms = bench.read_now_ms()
    changes = [changes_of(new, in_force=old, root=root, now_ms=now_ms) for root in roots]
    faults = dict.fromkeys(fault for each in changes for fault in each.faults)
    if faults:
        raise KeyFileError("\n".join(f"không ký được / cannot be signed: {fault}" for fault in faults))
    warnings = [f"! {line}" for line in changes[0].warnings]
    shown = "\n".join([*changes[0].lines, *warnings, progress(document, topic=_AT, roots=roots)])
    if shares:
        bench.confirm(shown, word=str(new.counter))
        document = sign_with(document, shares, topic=_AT, roots=roots, bench=bench)
    else:
        bench.tell(shown)
    write_new(out, document.data, mode=0o644)
    how_far = progress(document, topic=_AT, roots=roots)
    if is_complete(document, topic=_AT, roots=roots):
        return f"{out}: bộ khoá / keyset {new.counter}: {how_far}\nnext: keys keyset publish CONFIG {out}"
    return f"{out}: {how_far}\ngive it to the next holder: keys keyset issue {out} --root … --share …"


def read_keyset(path: Path) -> Keyset:
    """A keyset, not verified; raises KeyFileError."""
    return _keyset(read_part(path))


def verdict_of(path: Path, root: RootKeys) -> tuple[bool, str]:
    """Whether enough of a root have signed a keyset, in words; raises KeyFileError for a wrong signature."""
    document = read_part(path)
    (names,) = signed_by(document, topic=_AT, roots=[root])
    is_good = len(names) >= root.threshold
    word = "đã kiểm tra / verified" if is_good else "CHƯA ĐỦ CHỮ KÝ / NOT ENOUGH SIGNATURES"
    return is_good, f"{word}: {progress(document, topic=_AT, roots=[root])}"


def run_create(options: argparse.Namespace, bench: Bench) -> str:
    """`keys create`."""
    data, public_key = create_operational(options.key_id, bench)
    write_new(options.out, data, mode=0o600)
    return f"{options.out}: khoá / key {options.key_id}, có cụm mật khẩu / sealed\npublic_key: {public_key}"


def run_draft(options: argparse.Namespace, bench: Bench) -> str:
    """`keys keyset draft`: what is in force, or nothing, with further keys at their widest: to be narrowed by hand."""
    now_ms = bench.read_now_ms()
    added = [_widest(path, now_ms=now_ms, days=options.days) for path in options.key]
    if options.in_force is None:
        if not added:
            raise KeyFileError("say which keyset is in force (--in-force FILE), or name the first keys (--key FILE)")
        begins_ms = day_begin_ms(now_ms)
        first = first_keyset(added, version=1, begins_ms=begins_ms, ends_ms=begins_ms + options.days * DAY_MS)
        return _write_draft(options.out, first)
    old = read_keyset(options.in_force)
    return _write_draft(options.out, successor(old, [*old.keys, *added], now_ms=now_ms, days=options.days))


def run_rotate(options: argparse.Namespace, bench: Bench) -> str:
    """`keys keyset rotate`: the new key beside the old, with the same scope; the old one ends with the overlap."""
    old, now_ms = read_keyset(options.in_force), bench.read_now_ms()
    before = _named(old, options.key_id)
    if before.revoked:
        raise KeyFileError(f"{before.key_id} is revoked; draft a new key instead")
    after = _follower(before, options.new, now_ms=now_ms, days=options.days)
    overlap_ms = day_begin_ms(now_ms) + options.overlap_days * DAY_MS
    ending = msgspec.structs.replace(before, expires_at_ms=min(before.expires_at_ms, overlap_ms))
    keys = [ending if key.key_id == before.key_id else key for key in old.keys]
    return _write_draft(options.out, successor(old, [*keys, after], now_ms=now_ms, days=options.days))


def run_revoke(options: argparse.Namespace, bench: Bench) -> str:
    """`keys keyset revoke`, with keys that take over its scope where they are named."""
    old = read_keyset(options.in_force)
    now_ms = bench.read_now_ms()
    before = _named(old, options.key_id)
    revoked = msgspec.structs.replace(before, revoked=True, revoked_reason=options.reason)
    keys = [revoked if key.key_id == revoked.key_id else key for key in old.keys]
    followers = [_follower(before, path, now_ms=now_ms, days=options.days) for path in options.new]
    return _write_draft(options.out, successor(old, [*keys, *followers], now_ms=now_ms, days=options.days))


def _follower(before: OperationalKey, sealed_file: Path, *, now_ms: int, days: int) -> OperationalKey:
    """A new key with the scope of another."""
    sealed = read_sealed(sealed_file)
    return msgspec.structs.replace(
        before,
        key_id=sealed.key_id,
        public_key=bytes.fromhex(sealed.public_key),
        not_before_ms=day_begin_ms(now_ms),
        expires_at_ms=day_begin_ms(now_ms) + days * DAY_MS,
        revoked=False,
        revoked_reason="",
    )


def run_issue(options: argparse.Namespace, bench: Bench) -> str:
    """`keys keyset issue`."""
    if (options.in_force is None) != options.first:
        raise KeyFileError("say which keyset is in force (--in-force FILE), or that there is none yet (--first)")
    return issue_keyset(
        options.inputs,
        bench,
        roots=[read_root(path) for path in options.root],
        in_force=options.in_force,
        shares=options.share,
        out=options.out,
    )


def run_show(options: argparse.Namespace, bench: Bench) -> str:
    """`keys keyset show`; verified where the root's public keys, and the chain of its changes, lie beside it."""
    beside, chain = options.file.parent / PUBLIC_FILE, options.file.parent / CHAIN_FILE
    verdict = "CHƯA KIỂM TRA / NOT VERIFIED: give --root root_keys.json"
    if options.root is not None:
        verdict = verdict_of(options.file, read_root(options.root))[1]
    elif beside.exists():
        root = read_root(beside)
        verdict = verdict_of(options.file, root_after(chain, root) if chain.exists() else root)[1]
    return keyset_text(read_keyset(options.file), verdict=verdict, now_ms=bench.read_now_ms())


def run_verify(options: argparse.Namespace, _bench: Bench) -> str:
    """`keys keyset verify`; raises KeyFileError when too few have signed."""
    is_good, words = verdict_of(options.file, read_root(options.root))
    if not is_good:
        raise KeyFileError(f"{options.file}: {words}")
    return f"{options.file}: {words}"


def _widest(path: Path, *, now_ms: int, days: int) -> OperationalKey:
    sealed = read_sealed(path)
    return widest_key(
        sealed.key_id,
        bytes.fromhex(sealed.public_key),
        reality=Reality.DRILL if sealed.key_id.startswith("drill") else Reality.REAL,
        begins_ms=day_begin_ms(now_ms),
        ends_ms=day_begin_ms(now_ms) + days * DAY_MS,
    )


def _write_draft(out: Path, keyset: Keyset) -> str:
    write_new(out, draft_text(keyset).encode(), mode=0o644)
    return f"{out}: bản nháp / draft of keyset {keyset.counter}\nread it, change it, then: keys keyset issue {out} …"


def _named(keyset: Keyset, key_id: str) -> OperationalKey:
    for key in keyset.keys:
        if key.key_id == key_id:
            return key
    known = ", ".join(key.key_id for key in keyset.keys)
    raise KeyFileError(f"{key_id} is not in keyset {keyset.counter}; its keys are {known}")


def _document(inputs: Sequence[Path]) -> CosignedDocument:
    if len(inputs) == 1:
        data = read_public(inputs[0], "draft")
        if not data.startswith(_TAG_OF_A_PART):
            try:
                return cosigned(parse_draft(data.decode(), name=str(inputs[0])))
            except (UnicodeDecodeError, ProtocolError) as error:
                raise KeyFileError(f"{inputs[0]} is neither a draft nor a signed part: {error}") from error
    return join([(path, read_part(path)) for path in inputs])


def _keyset(document: CosignedDocument) -> Keyset:
    try:
        return cbor_decode(document.payload, Keyset)
    except ProtocolError as error:
        raise KeyFileError(f"this is no keyset: {error}") from error
