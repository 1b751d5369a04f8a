"""Keys and certificates for a development machine: everything that a real province keeps apart, in one folder.

Makes a TLS authority (P-256) with certificates for the server, the controller and the nodes, Ed25519 report
keys, three root keys of which two must sign, two operational keys and the keyset that the root has signed.
A real deployment keeps the root offline and lets each node make its own keys; nothing here is for that.

Rules kept: a private key that exists is never replaced, a run over a finished folder changes nothing, nodes
may be added later; private files are 0600 from their first byte; every file appears whole or not at all.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_p256
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from controller.adapters.certificate_profile import (
    CLIENT,
    SERVER,
    Issuer,
    common_name,
    hosts_of,
    is_issued_by,
    root_certificate,
    service_certificate,
)
from controller.adapters.keys.key_files import pem_of
from controller.errors import ControllerError
from controller.keys.draft import first_keyset, widest_key
from controller.keys.scopes import SIGNABLE_TYPES
from protocol.adapters.durable_file import write_durably
from protocol.envelope import seal_by_many, signer_from_private_key
from protocol.errors import Refusal
from protocol.identity import NODE_PATTERN
from protocol.keyring import RootKeys, open_keyset
from protocol.messages import Keyset, Reality
from protocol.topics import TopicName, topic

ROOT_KEYS: Final = ("root-1", "root-2", "root-3")
ROOT_THRESHOLD: Final = 2
REALITY_OF_KEY: Final = {"operations-1": Reality.REAL, "drill-1": Reality.DRILL}
"""The operational keys; a drill key cannot sign what is meant."""
VALID_DAYS: Final = 3650
"""A development folder should outlive the work on it; nothing rotates it."""
BACKDATED_DAYS: Final = 1
"""Machines of one desk differ a little in time."""
HOSTS_DEFAULT: Final = ("localhost", "127.0.0.1", "::1")
SCOPE_TYPES: Final = SIGNABLE_TYPES
_DAY_MS: Final = 24 * 3600 * 1000


class DevelopmentPkiError(ControllerError):
    """The folder holds something that must not be replaced, or that cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeIdentity:
    """What one node's folder holds; `report_key_hex` is what the controller's configuration names."""

    node: str
    folder: Path
    report_key_hex: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DevelopmentPki:
    """A finished folder."""

    folder: Path
    nodes: tuple[NodeIdentity, ...]


def make_development_pki(
    folder: Path, *, controller: str, nodes: Sequence[str], hosts: Sequence[str] = HOSTS_DEFAULT
) -> DevelopmentPki:
    """Make what the folder lacks. Raises DevelopmentPkiError, and then has replaced nothing."""
    for name in (controller, *nodes):
        if not re.match(NODE_PATTERN, name):
            message = f"{name!r} is no name for a node or a controller: 1 to 23 letters and digits"
            raise DevelopmentPkiError(message)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        authority = _authority(folder)
        root = [_ed25519(folder / f"{name}.key") for name in ROOT_KEYS]
        pinned = {name: _public_hex(key) for name, key in zip(ROOT_KEYS, root, strict=True)}
        _write_once(folder / "root_keys.json", _json({"threshold": ROOT_THRESHOLD, "keys": pinned}))
        _keyset(folder, root)
        _certify(authority, folder / "server", name="server", usage=SERVER, hosts=tuple(hosts))
        _certify(authority, folder / "controller", name=controller, usage=CLIENT)
        made = tuple(_node(folder, authority, name) for name in nodes)
    except (OSError, UnsupportedAlgorithm) as error:
        message = f"cannot make the development keys in {folder}: {error}"
        raise DevelopmentPkiError(message) from error
    return DevelopmentPki(folder=folder, nodes=made)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `loaxa-controller development-pki` takes."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder to fill; what it has is kept")
    parser.add_argument("--controller", default="controller1", metavar="NAME", help="the controller's name")
    parser.add_argument("--node", action="append", default=[], metavar="NAME", help="a node's name; repeatable")
    parser.add_argument("--host", action="append", default=[], metavar="HOST", help="name or address of the server")


def run(arguments: argparse.Namespace) -> str:
    """Do what the command asks; the text names what a person needs next. Raises DevelopmentPkiError."""
    made = make_development_pki(
        arguments.folder,
        controller=arguments.controller,
        nodes=arguments.node,
        hosts=(*HOSTS_DEFAULT, *arguments.host),
    )
    lines = [f"{made.folder}: authority, server, {arguments.controller}, root and operational keys, keyset"]
    lines += [f"{node.folder}: node {node.node}, report_key: {node.report_key_hex}" for node in made.nodes]
    return "\n".join(lines)


def _authority(folder: Path) -> Issuer:
    key = _p256(folder / "ca.key")
    path = folder / "ca.pem"
    if not path.exists():
        made = root_certificate(key, name="LoaXa development authority", now=datetime.now(UTC), days=VALID_DAYS)
        _write_once(path, made.public_bytes(Encoding.PEM))
    certificate = _certificate(path)
    if certificate.public_key() != key.public_key():
        message = f"{path} does not belong to ca.key; remove both files to begin anew"
        raise DevelopmentPkiError(message)
    return Issuer(key=key, certificate=certificate)


def _certify(
    authority: Issuer, stem: Path, *, name: str, usage: x509.ObjectIdentifier, hosts: tuple[str, ...] = ()
) -> None:
    """A key and its certificate, `stem`.key and `stem`.pem; only the certificate is ever issued again."""
    path = stem.with_name(stem.name + ".pem")
    key_path = stem.with_name(stem.name + ".key")
    if path.exists() and not key_path.exists():
        message = f"{path} is there without {key_path.name}; restore the key or remove the certificate"
        raise DevelopmentPkiError(message)
    public_key, now = _p256(key_path).public_key(), datetime.now(UTC)
    if path.exists():
        present = _certificate(path)
        if common_name(present) != name:
            message = f"{path} names {common_name(present)!r}, not {name!r}; use another folder for another name"
            raise DevelopmentPkiError(message)
        is_ours = present.public_key() == public_key and is_issued_by(present, authority.certificate)
        is_fresh = present.not_valid_after_utc > now + timedelta(days=1)
        if is_ours and is_fresh and hosts_of(present) >= frozenset(hosts):
            return
    made = service_certificate(
        public_key, issuer=authority, name=name, usage=usage, now=now, hosts=hosts, days=VALID_DAYS
    )
    write_durably(path, made.public_bytes(Encoding.PEM), mode=0o644)


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError as error:
        raise DevelopmentPkiError(f"{path} is no certificate in PEM ({error}); restore or remove it") from error


def _node(folder: Path, authority: Issuer, name: str) -> NodeIdentity:
    own = folder / "nodes" / name
    own.mkdir(parents=True, exist_ok=True, mode=0o700)
    _certify(authority, own / "node", name=name, usage=CLIENT)
    for shared in ("ca.pem", "root_keys.json"):
        _write_once(own / shared, (folder / shared).read_bytes())
    report_key = _ed25519(own / "report.key")
    return NodeIdentity(node=name, folder=own, report_key_hex=_public_hex(report_key))


def _keyset(folder: Path, root: list[Ed25519PrivateKey]) -> None:
    """The signed keyset; one that is there must be this root's and name these keys."""
    path = folder / "keyset.cose"
    keys = {name: _ed25519(folder / f"{name}.key").public_key().public_bytes_raw() for name in REALITY_OF_KEY}
    if path.exists():
        _refuse_foreign_keyset(path, keys, root)
        return
    signers = [signer_from_private_key(name, key) for name, key in zip(ROOT_KEYS, root, strict=True)]
    keyset = _new_keyset(keys, now_ms=time.time_ns() // 1_000_000)
    sealed = seal_by_many(keyset, signers=signers[:ROOT_THRESHOLD], topic=topic(TopicName.KEYSET))
    write_durably(path, sealed, mode=0o644)


def _refuse_foreign_keyset(path: Path, keys: dict[str, bytes], root: list[Ed25519PrivateKey]) -> None:
    pinned = RootKeys(
        threshold=ROOT_THRESHOLD, keys={name: _public_hex(key) for name, key in zip(ROOT_KEYS, root, strict=True)}
    )
    try:
        keyset = open_keyset(path.read_bytes(), topic=topic(TopicName.KEYSET), root=pinned)
    except Refusal as error:
        message = f"{path} was not signed by the root keys beside it ({error}); remove it to sign a new one"
        raise DevelopmentPkiError(message) from error
    if {key.key_id: key.public_key for key in keyset.keys} != keys:
        message = f"{path} does not name the operational keys beside it; remove it to sign a new one"
        raise DevelopmentPkiError(message)


def _new_keyset(keys: dict[str, bytes], *, now_ms: int) -> Keyset:
    begins_ms, ends_ms = now_ms - BACKDATED_DAYS * _DAY_MS, now_ms + VALID_DAYS * _DAY_MS
    named = [
        widest_key(name, public_key, reality=REALITY_OF_KEY[name], begins_ms=begins_ms, ends_ms=ends_ms)
        for name, public_key in keys.items()
    ]
    return first_keyset(named, version=now_ms, begins_ms=begins_ms, ends_ms=ends_ms)


def _ed25519(path: Path) -> Ed25519PrivateKey:
    key = _private_key(path, Ed25519PrivateKey.generate)
    if not isinstance(key, Ed25519PrivateKey):
        raise DevelopmentPkiError(f"{path} holds another kind of key than Ed25519; restore or remove it")
    return key


def _p256(path: Path) -> EllipticCurvePrivateKey:
    key = _private_key(path, lambda: generate_p256(SECP256R1()))
    if not isinstance(key, EllipticCurvePrivateKey):
        raise DevelopmentPkiError(f"{path} holds another kind of key than P-256; restore or remove it")
    return key


def _private_key(path: Path, generate: Callable[[], Ed25519PrivateKey | EllipticCurvePrivateKey]) -> PrivateKeyTypes:
    """The key in `path`, made if there is none; a file that is no key is left as it is."""
    if not path.exists():
        write_durably(path, pem_of(generate()), mode=0o600)
    try:
        return load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        message = f"{path} is not a private key in PEM ({error}); restore or remove it"
        raise DevelopmentPkiError(message) from error


def _public_hex(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()


def _json(value: dict[str, object]) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


def _write_once(path: Path, data: bytes) -> None:
    """Write a public file; one with other contents is never replaced."""
    if not path.exists():
        write_durably(path, data, mode=0o644)
    elif path.read_bytes() != data:
        message = f"{path} is there and differs from what belongs there; remove it to have it made again"
        raise DevelopmentPkiError(message)
