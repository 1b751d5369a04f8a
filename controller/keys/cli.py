"""`loaxa-controller keys …`: the root's ceremonies, operational keys, keysets.

Everything up to `publish` works on a machine without a network: files in, files out. No passphrase ever stands on
the command line. `publish` hands what is signed to the controller that runs on this machine.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from controller.adapters.keys import key_publishing, keyset_verbs, root_verbs
from controller.adapters.keys.key_bench import Bench
from controller.adapters.keys.key_files import pem_of
from controller.adapters.keys.passphrases import Passphrases
from controller.errors import KeyFileError
from controller.keys.succession import KEYS_USUAL, THRESHOLD_USUAL
from protocol.messages import ROOT_KEYS_MAX

_DONE: Final = 0
_DAYS_USUAL: Final = 400
"""A year and a month: the yearly ceremony may be late."""
_OVERLAP_DAYS_USUAL: Final = 30
"""Longer than a pole is without a network, as a rule."""
_DAYS_MAX: Final = 3_650
_KEYSET_IN_FORCE: Final = Path("/etc/loaxa/controller/keyset.cose")
Run = Callable[[argparse.Namespace, Bench], str]
Verbs = Any
"""What `add_subparsers` gives; argparse keeps the type to itself."""


def add_keys_verbs(verbs: Verbs) -> None:
    """Hang `keys …` below the command."""
    keys = verbs.add_parser("keys", help="the root, operational keys, the keyset").add_subparsers(
        required=True, metavar="root|create|keyset"
    )
    _add_root(keys.add_parser("root", help="the offline root").add_subparsers(required=True, metavar="VERB"))
    create = _verb(
        keys, "create", keyset_verbs.run_create, "make an operational key", "keys create op-2 --out op-2.key"
    )
    create.add_argument("key_id", metavar="NAME", help="its name in the keyset; never used twice")
    where = create.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, metavar="FILE", help="a file sealed with a passphrase")
    where.add_argument(
        "--for-systemd",
        action="store_true",
        help="the bare key on standard output, into a pipe only: … | systemd-creds encrypt --name=NAME - NAME.cred",
    )
    _add_keyset(keys.add_parser("keyset", help="who may sign what").add_subparsers(required=True, metavar="VERB"))


def add_signer_verb(verbs: Verbs) -> None:
    """Hang `signer` below the command."""
    text = "run the signer: it holds the keys, and signs what its own configuration allows"
    signer: argparse.ArgumentParser = verbs.add_parser(
        "signer",
        help=text,
        description=text,
        epilog="example:\n  loaxa-controller signer /etc/loaxa/signer.yaml",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    signer.add_argument("config", type=Path, metavar="CONFIG", help="the signer's YAML file")
    signer.add_argument("--check", action="store_true", help="only say whether it could start")
    signer.set_defaults(command=_signer)


def _signer(options: argparse.Namespace) -> int:
    from controller.adapters.keys.signer_process import check_signer, run_signer  # noqa: PLC0415 - as `_run` of the command

    if options.check:
        print(check_signer(options.config))
        return _DONE
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    run_signer(options.config)
    return _DONE


def _add_root(verbs: Verbs) -> None:
    create = _verb(verbs, "create", root_verbs.run_create, "make the shares of a root", "keys root create /media/root1")
    create.add_argument("folder", type=Path, metavar="DIR", help="a folder of its own, on a machine without a network")
    create.add_argument("--keys", type=_count, default=KEYS_USUAL, help="how many keys (default 3)")
    create.add_argument("--threshold", type=_count, default=THRESHOLD_USUAL, help="how many must sign (default 2)")
    create.add_argument("--after", type=Path, metavar="ROOT", help="root_keys.json of the root that it will follow")
    create.add_argument("--keep", action="append", default=[], metavar="KEY", help="a key of the old root that stays")
    issue = _verb(
        verbs,
        "issue",
        root_verbs.run_issue,
        "sign that a new root follows the old one; or add to what others have signed",
        "keys root issue new/root_keys.json --old old/root_keys.json --share a.share --share b.share --out root.chain",
    )
    _add_signing(issue, "root_keys.json of the new root, or parts that others have signed")
    issue.add_argument("--old", type=Path, required=True, metavar="ROOT", help="root_keys.json of the old root")
    issue.add_argument("--chain", type=Path, metavar="CHAIN", help="the chain so far; none for the first change")
    show = _verb(verbs, "show", root_verbs.run_show, "say what a root or a chain is", "keys root show root.chain")
    show.add_argument("file", type=Path, metavar="FILE", help="root_keys.json or a chain")
    show.add_argument("--pinned", type=Path, metavar="ROOT", help="verify the chain from this root_keys.json")
    _add_publish(verbs, key_publishing.run_root, "the chain of the root's changes", "root publish c.yaml root.chain")


def _add_keyset(verbs: Verbs) -> None:
    draft = _verb(
        verbs, "draft", keyset_verbs.run_draft, "write a draft to edit", "keys keyset draft --key op-1.key --out d.yaml"
    )
    draft.add_argument("--in-force", type=Path, metavar="KEYSET", help="begin with this keyset's keys")
    draft.add_argument("--key", type=Path, action="append", default=[], metavar="FILE", help="add this sealed key")
    rotate = _verb(
        verbs,
        "rotate",
        keyset_verbs.run_rotate,
        "draft a new key beside an old one, which then ends",
        "keys keyset rotate op-1 --new op-2.key --in-force keyset.cose --out draft.yaml",
    )
    rotate.add_argument("--new", type=Path, required=True, metavar="FILE", help="the new key's sealed file")
    rotate.add_argument(
        "--overlap-days", type=_days, default=_OVERLAP_DAYS_USUAL, help="how long the old one is still good"
    )
    revoke = _verb(
        verbs,
        "revoke",
        keyset_verbs.run_revoke,
        "draft that a key is good no longer: what it ordered is silent at once",
        "keys keyset revoke op-1 --reason 'mất máy 20/11' --new op-2.key --in-force keyset.cose --out draft.yaml",
    )
    revoke.add_argument(
        "--new", type=Path, action="append", default=[], metavar="FILE", help="a key that takes over its scope"
    )
    revoke.add_argument("--reason", required=True, help="why; stands in the keyset for all to read")
    for verb in (rotate, revoke):
        verb.add_argument("key_id", metavar="KEY", help="its name in the keyset")
        verb.add_argument("--in-force", type=Path, required=True, metavar="KEYSET", help="the keyset in force")
    for verb in (draft, rotate, revoke):
        verb.add_argument("--days", type=_days, default=_DAYS_USUAL, help=f"valid for so long (default {_DAYS_USUAL})")
        verb.add_argument("--out", type=Path, required=True, metavar="FILE", help="the draft (YAML)")
    issue = _verb(
        verbs,
        "issue",
        keyset_verbs.run_issue,
        "show what a draft changes and sign it; or add to what others have signed",
        "keys keyset issue draft.yaml --root root_keys.json --in-force keyset.cose --share a.share --out keyset-5.cose",
    )
    _add_signing(issue, "a draft, or parts that others have signed")
    issue.add_argument(
        "--root",
        type=Path,
        action="append",
        required=True,
        metavar="ROOT",
        help="root_keys.json; during its change both",
    )
    issue.add_argument("--in-force", type=Path, metavar="KEYSET", help="the keyset in force")
    issue.add_argument("--first", action="store_true", help="there is no keyset yet")
    show = _verb(verbs, "show", keyset_verbs.run_show, "say who may sign what", "keys keyset show keyset.cose")
    show.add_argument("file", type=Path, nargs="?", default=_KEYSET_IN_FORCE, metavar="FILE", help="a keyset")
    show.add_argument("--root", type=Path, metavar="ROOT", help="verify by this root_keys.json")
    verify = _verb(
        verbs, "verify", keyset_verbs.run_verify, "say whether enough have signed", "keys keyset verify k.cose --root r"
    )
    verify.add_argument("file", type=Path, metavar="FILE", help="a keyset")
    verify.add_argument("--root", type=Path, required=True, metavar="ROOT", help="root_keys.json")
    _add_publish(verbs, key_publishing.run_keyset, "a keyset", "keyset publish c.yaml keyset-5.cose")


def _add_publish(verbs: Verbs, run: Run, what: str, example: str) -> None:
    publish = _verb(verbs, "publish", run, f"hand {what} to the controller of this machine", f"keys {example}")
    publish.add_argument("config", type=Path, metavar="CONFIG", help="the controller's YAML file")
    publish.add_argument("file", type=Path, metavar="FILE", help="the signed file")


def _add_signing(verb: argparse.ArgumentParser, inputs: str) -> None:
    verb.add_argument("inputs", type=Path, nargs="+", metavar="INPUT", help=inputs)
    verb.add_argument("--share", type=Path, action="append", default=[], metavar="FILE", help="a share; repeatable")
    verb.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the result goes")
    verb.add_argument("--yes", action="store_true", help="do not ask; for scripts")


def _verb(verbs: Verbs, name: str, run: Run, text: str, example: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=text,
        description=text,
        epilog=f"example:\n  loaxa-controller {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--passphrase-file",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="instead of typing; repeatable",
    )
    parser.add_argument("--passphrase-fd", type=int, metavar="N", help="a descriptor with a passphrase on each line")
    parser.set_defaults(command=lambda options: _command(run, options))
    return parser


def _command(run: Run, options: argparse.Namespace) -> int:
    passphrases = Passphrases(files=options.passphrase_file, descriptor=options.passphrase_fd)
    bench = Bench(passphrases=passphrases, is_confirmed=getattr(options, "yes", False))
    if getattr(options, "for_systemd", False):
        return _bare_key()
    print(run(options, bench))
    return _DONE


def _bare_key() -> int:
    """A key for `systemd-creds encrypt`; its public half goes to the person."""
    if sys.stdout.isatty():
        raise KeyFileError("a bare key is not shown on a screen; pipe it: … | systemd-creds encrypt --name=NAME - FILE")
    key = keyset_verbs.new_key()
    print(pem_of(key).decode(), end="")
    print(f"public_key: {key.public_key().public_bytes_raw().hex()}", file=sys.stderr)
    return _DONE


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= ROOT_KEYS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {ROOT_KEYS_MAX}")
    return int(text)


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _DAYS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days from 1 to {_DAYS_MAX}")
    return int(text)
