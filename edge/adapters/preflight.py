"""Reads the configuration and everything that it names, and says all that is wrong with it at once.

What a node needs before it can start is read here and handed to the runtime as values: settings, pinned root,
report key, TLS identity. Each problem names the file and what to do about it. `warnings` are what weakens the
node (a key that others may read). What a certificate says is looked at by `certificate`, for `check` alone: the
library that reads it costs a running node 2 MB.
"""

from __future__ import annotations

import os
import ssl
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from edge.adapters.config_file import read_bounded, read_config
from edge.adapters.hardware import read_hardware
from edge.adapters.identity_files import FolderFiles, IdentityFiles
from edge.adapters.tls import server_checked_context
from edge.config import EdgeConfig
from edge.enrolment.identity import identity_folder, with_identity
from edge.errors import ConfigurationError
from protocol.envelope import Signer, signer_from_private_key
from protocol.errors import LocalProtocolError
from protocol.keyring import RootKeys, parse_root_keys

OTHERS_MASK: Final = stat.S_IRWXG | stat.S_IRWXO
REPORT_KEY_ID: Final = "report"
"""Stands in a report's envelope; whose key it is follows from the node's name."""


@dataclass(slots=True)
class Findings:
    """What was found wrong; `problems` keep a node from starting, `warnings` do not."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A configuration whose files have been read."""

    config: EdgeConfig
    root: RootKeys
    report_signer: Signer
    tls: ssl.SSLContext
    warnings: tuple[str, ...]


def prepare(path: Path) -> Prepared:
    """Read a configuration and all that it names; raises ConfigurationError with every problem."""
    config = as_enrolled(read_config(path))
    findings = Findings()
    root = _root(config, findings)
    signer = _report_signer(config, findings)
    tls = _tls(config, findings)
    _check_state_folder(Path(config.state_dir), findings)
    if findings.problems or root is None or signer is None or tls is None:
        raise ConfigurationError(str(path), findings.problems)
    return Prepared(config=config, root=root, report_signer=signer, tls=tls, warnings=tuple(findings.warnings))


def as_enrolled(config: EdgeConfig) -> EdgeConfig:
    """The configuration with what enrolment gave; raises ConfigurationError for a unit that is not enrolled yet."""
    if config.enrolment.file is None:
        return config
    hardware = read_hardware(config.enrolment.hardware)
    folder = identity_folder(config.state_dir, hardware)
    boot = Path(config.enrolment.file)
    identity = IdentityFiles(FolderFiles(folder), FolderFiles(boot.parent), boot.name).identity()
    if identity is None:
        what = "chưa đăng ký · this unit is not enrolled yet: loaxa-edge enrol CONFIG does it, and so does run"
        raise ConfigurationError("enrolment", [what])
    return with_identity(config, identity, folder)


def _root(config: EdgeConfig, findings: Findings) -> RootKeys | None:
    path = config.trust.root_keys
    try:
        return parse_root_keys(read_bounded(Path(path), "trust.root_keys"))
    except ConfigurationError as error:
        findings.problems += error.problems
    except LocalProtocolError as error:
        findings.problems.append(f"trust.root_keys: {path}: {error}; copy the file that set-up made")
    return None


def _report_signer(config: EdgeConfig, findings: Findings) -> Signer | None:
    path = config.trust.report_key
    try:
        key = load_pem_private_key(read_bounded(Path(path), "trust.report_key"), None)
    except ConfigurationError as error:
        findings.problems += error.problems
        return None
    except (ValueError, TypeError) as error:
        findings.problems.append(f"trust.report_key: {path} is not a PEM private key without password: {error}")
        return None
    if not isinstance(key, Ed25519PrivateKey):
        findings.problems.append(f"trust.report_key: {path} is no Ed25519 key; reports are signed with Ed25519")
        return None
    _warn_of_readers(Path(path), "trust.report_key", findings)
    return signer_from_private_key(REPORT_KEY_ID, key)


def _tls(config: EdgeConfig, findings: Findings) -> ssl.SSLContext | None:
    trust = config.trust
    named = (("ca", trust.ca), ("certificate", trust.certificate), ("private_key", trust.private_key))
    before = len(findings.problems)
    for key, path in named:
        try:
            read_bounded(Path(path), f"trust.{key}")
        except ConfigurationError as error:
            findings.problems += error.problems
    if len(findings.problems) > before:
        return None
    _warn_of_readers(Path(trust.private_key), "trust.private_key", findings)
    context = server_checked_context()
    try:
        context.load_verify_locations(cafile=trust.ca)
    except (ssl.SSLError, ValueError) as error:
        findings.problems.append(f"trust.ca: {trust.ca} is no PEM certificate: {error}")
    try:
        context.load_cert_chain(trust.certificate, trust.private_key, password=lambda: b"")
    except (ssl.SSLError, ValueError) as error:
        findings.problems.append(
            f"trust.certificate: {trust.certificate} and {trust.private_key} do not belong together, or one of them "
            f"is no PEM file: {error}"
        )
    return context if len(findings.problems) == before else None


def _check_state_folder(folder: Path, findings: Findings) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        findings.problems.append(f"state_dir: {folder} cannot be made: {error.strerror}")
        return
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        # a worn card: the node plays what it holds, and reports the fault
        findings.warnings.append(f"state_dir: {folder} is on a disk that can only be read; replace the card")
    elif not os.access(folder, os.W_OK | os.X_OK):
        findings.problems.append(f"state_dir: {folder} cannot be written by this user; chown it to the service's user")


def _warn_of_readers(path: Path, key: str, findings: Findings) -> None:
    mode = path.stat().st_mode
    if mode & OTHERS_MASK:
        findings.warnings.append(f"{key}: {path} can be read by others (mode {mode & 0o777:o}); run chmod 600 {path}")
