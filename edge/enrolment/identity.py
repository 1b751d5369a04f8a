"""What a unit knows of its enrolment: the technician's file, and the identity that came of it.

`boot_settings` reads the file on the boot partition; `without_claim` is that file with the code wiped and every
other byte as it was; `with_identity` is the configuration of an enrolled unit. An identity belongs to one box: it is
kept under the box's serial number, and a card in another box finds none.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
import yaml
from msgspec import Meta, Struct

from edge.config import EdgeConfig
from edge.enrolment.lifecycle import Validity
from edge.errors import ConfigurationError
from protocol.configuration import read_yaml
from protocol.enrolment import TIME_PORT
from protocol.identity import NODE_PATTERN, SHA256_PATTERN

BOOT_BYTES_MAX: Final = 64 * 1024
REPORT_KEY: Final = "report.key"
TLS_KEY: Final = "tls.key"
CA: Final = "ca.pem"
CERTIFICATE: Final = "node.pem"
IDENTITY: Final = "identity.json"


class BootSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The section `enrolment` of the technician's file."""

    url: Annotated[str, Meta(min_length=1, max_length=1024)]
    ca_sha256: Annotated[str, Meta(pattern=SHA256_PATTERN)]
    node: Annotated[str, Meta(pattern=NODE_PATTERN)] | None = None
    claim: Annotated[str, Meta(max_length=40)] | None = None


class _BootFile(Struct, frozen=True, kw_only=True):
    """The whole file; sections that are not ours belong to the image."""

    enrolment: BootSettings


class Identity(Struct, frozen=True, kw_only=True):
    """What came of an enrolment, as it is kept beside the keys."""

    node: Annotated[str, Meta(pattern=NODE_PATTERN)]
    hardware: str
    url: str
    ca_sha256: str
    claim_sha256: str
    broker_host: str
    broker_port: int
    nodes_url: str
    not_before_ms: int
    not_after_ms: int
    broker_time_port: int = TIME_PORT

    @property
    def validity(self) -> Validity:
        """Of the certificate that it holds."""
        return Validity(not_before_ms=self.not_before_ms, not_after_ms=self.not_after_ms)


def boot_settings(data: bytes, *, name: str) -> BootSettings:
    """The section in a technician's file; raises ConfigurationError that says what is wrong with it."""
    try:
        plain = read_yaml(data.decode("utf-8-sig"))
        settings = msgspec.convert(plain, _BootFile).enrolment
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigurationError(name, [f"enrolment: {error}"]) from error
    url = urlsplit(settings.url)
    if url.scheme != "https" or not url.hostname:
        raise ConfigurationError(name, [f"enrolment.url: {settings.url!r}: write https://HOST:PORT"])
    return settings


def without_claim(data: bytes, claim: str) -> bytes:
    """The file with the code taken out."""
    return data.replace(claim.encode(), b"")


def claim_sha256(claim: str | None) -> str:
    """By which a used code is known again; empty for none."""
    return hashlib.sha256(claim.encode()).hexdigest() if claim else ""


def identity_folder(state_dir: str, hardware: str) -> Path:
    """Where the identity of this card in this box is kept."""
    return Path(state_dir) / "identity" / hashlib.sha256(hardware.encode()).hexdigest()[:16]


def with_identity(config: EdgeConfig, identity: Identity, folder: Path) -> EdgeConfig:
    """The configuration of an enrolled unit: its name, its keys, and the addresses that it was told."""
    replace = msgspec.structs.replace
    return replace(
        config,
        node=identity.node,
        broker=replace(
            config.broker, host=identity.broker_host, port=identity.broker_port, time_port=identity.broker_time_port
        ),
        media=replace(config.media, url=identity.nodes_url),
        trust=replace(
            config.trust,
            ca=str(folder / CA),
            certificate=str(folder / CERTIFICATE),
            private_key=str(folder / CERTIFICATE),
            report_key=str(folder / REPORT_KEY),
        ),
    )
