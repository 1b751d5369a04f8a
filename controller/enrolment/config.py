"""The keys of the configuration that enrolment needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from protocol.enrolment import TIME_PORT

T = TypeVar("T", bound=Struct)
Port = Annotated[int, Meta(ge=1, le=65_535)]


class EnrolmentListenerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where units without a certificate come in: HTTPS with the certificate of `http.nodes`."""

    host: str = "0.0.0.0"  # noqa: S104 - units come from everywhere; claims and approvals guard this door
    port: Port = 8444
    requests_per_minute: Annotated[int, Meta(ge=1, le=1_000_000)] = 120


class EarlierIssuerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An issuing authority whose certificates nodes still hold: what was revoked of them is signed by its key."""

    certificate: str
    private_key: str
    password_file: str = ""


class EnrolmentConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What nodes' certificates are issued with, and the addresses that nodes are told."""

    issuer_certificate: str
    issuer_key: str
    url: Annotated[str, Meta(min_length=1, max_length=1024)]
    nodes_url: Annotated[str, Meta(min_length=1, max_length=1024)]
    broker_host: Annotated[str, Meta(min_length=1, max_length=253)]
    broker_port: Port = 8883
    broker_time_port: Port = TIME_PORT
    issuer_password_file: str = ""
    earlier_issuers: Annotated[tuple[EarlierIssuerConfig, ...], Meta(max_length=4)] = ()
    certificate_days: Annotated[int, Meta(ge=1, le=397)] = 90


def with_absolute_paths(enrolment: EnrolmentConfig | None, folder: Path) -> EnrolmentConfig | None:
    """Paths begin at the folder of the configuration."""
    if enrolment is None:
        return None
    earlier = tuple(
        _at(each, folder, "certificate", "private_key", "password_file") for each in enrolment.earlier_issuers
    )
    absolute = _at(enrolment, folder, "issuer_certificate", "issuer_key", "issuer_password_file")
    return msgspec.structs.replace(absolute, earlier_issuers=earlier)


def _at(part: T, folder: Path, *fields: str) -> T:
    absolute = {field: str(folder / getattr(part, field)) for field in fields if getattr(part, field)}
    return msgspec.structs.replace(part, **absolute)
