"""The two key files of people and audit: made at first use, readable by their owner only.

Rules kept: a file that others may read is refused; a file that is damaged is named and never replaced, for with a new
key nobody's second factor could be read and no old checkpoint verified.
"""

from __future__ import annotations

import secrets
import stat
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from controller.adapters.keys.key_files import pem_of
from controller.configuration.config import Config
from controller.errors import ConfigError
from protocol.adapters.durable_file import write_durably

_SEALING_BYTES: Final = 32
_FILE_BYTES_MAX: Final = 4096


def people_key_path(config: Config) -> Path:
    """Where the sealing key lies."""
    return Path(config.people.key_file or Path(config.state_dir) / "people.key")


def audit_key_path(config: Config) -> Path:
    """Where the key of the audit log's checkpoints lies."""
    return Path(config.audit.key_file or Path(config.state_dir) / "audit.key")


def checkpoints_path(config: Config) -> Path:
    """Where copies of the checkpoints are put, outside the database."""
    return Path(config.state_dir) / "audit-checkpoints.jsonl"


def sealing_key(config: Config) -> bytes:
    """The key that seals TOTP secrets; raises ConfigError."""
    path = people_key_path(config)
    if not path.exists():
        _make(path, secrets.token_hex(_SEALING_BYTES).encode() + b"\n", "people.key_file")
    try:
        key = bytes.fromhex(_read(path, "people.key_file").decode("ascii").strip())
    except ValueError as error:
        raise ConfigError(f"people.key_file: {path} is no key; restore it from a backup") from error
    if len(key) != _SEALING_BYTES:
        raise ConfigError(f"people.key_file: {path} holds {len(key)} bytes, not {_SEALING_BYTES}; restore a backup")
    return key


def audit_key(config: Config) -> Ed25519PrivateKey:
    """The key that signs checkpoints; raises ConfigError."""
    path = audit_key_path(config)
    if not path.exists():
        made = pem_of(Ed25519PrivateKey.generate())
        _make(path, made, "audit.key_file")
    try:
        key = load_pem_private_key(_read(path, "audit.key_file"), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"audit.key_file: {path} is no PEM private key; restore it from a backup") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"audit.key_file: {path} is no Ed25519 key")
    return key


def _make(path: Path, data: bytes, name: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, data, mode=0o600)
    except OSError as error:
        raise ConfigError(f"{name}: {path} cannot be made: {error.strerror or error}") from error


def _read(path: Path, name: str) -> bytes:
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(f"{name}: others may read {path}; chmod 600 it, and replace the key if they might have")
        with path.open("rb") as file:
            return file.read(_FILE_BYTES_MAX)
    except OSError as error:
        raise ConfigError(f"{name}: {path} cannot be read: {error.strerror or error}") from error
