"""Puts enrolment together when the controller starts: what the configuration names, what the database holds.

Without the sections `enrolment` and `http.enrolment` there is none: nodes then stand in the configuration with their
report keys, and their certificates come from elsewhere.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from aiohttp import web
from cryptography import x509

from controller.adapters.broker_files import BrokerKeeper
from controller.adapters.certificate_authority import CertificateAuthority, load_certificate_authority
from controller.adapters.certificate_profile import serial_digits
from controller.adapters.database import SqlDatabase
from controller.adapters.enrolment_service import EnrolmentService, OnKeys
from controller.adapters.enrolment_store import EnrolmentStore
from controller.configuration.config import Config
from controller.enrolment.config import EnrolmentConfig
from controller.enrolment.lifecycle import LIVE, RevokedCertificate
from controller.enrolment.office import EndRequest
from controller.enrolment.registry import Registry
from controller.people.audit import Actor
from controller.web.door import open_door
from controller.web.enrolment import add_renewal, enrolment_application
from controller.web.listeners import server_tls
from protocol.adapters.system_clock import read_now
from protocol.enrolment import EnrolmentDocuments, EnrolmentSite

log = logging.getLogger("controller.enrolment")

DAY_MS: Final = 24 * 3600 * 1000
NODE_DAYS_MAX: Final = 397
"""The longest that a node's certificate may be valid (`enrolment.certificate_days`)."""
_END_OF_LIST: Final = b"-----END X509 CRL-----"


def places_of(config: Config) -> frozenset[str]:
    """The nodes that take their report key from enrolment."""
    return frozenset(node.id for node in config.nodes if not node.report_key)


def load_issuing(config: Config, enrolment: EnrolmentConfig) -> CertificateAuthority:
    """The authority that the configuration names; raises ConfigError."""
    return load_certificate_authority(
        certificate=Path(enrolment.issuer_certificate),
        private_key=Path(enrolment.issuer_key),
        password_file=_path(enrolment.issuer_password_file),
        roots=Path(config.trust.ca),
        node_days=enrolment.certificate_days,
        earlier=[
            (Path(each.certificate), Path(each.private_key), _path(each.password_file))
            for each in enrolment.earlier_issuers
        ],
    )


def _path(text: str) -> Path | None:
    return Path(text) if text else None


async def open_enrolment(config: Config, database: SqlDatabase, *, on_keys: OnKeys) -> EnrolmentService | None:
    """The enrolments that the database holds; tells their report keys. Raises ConfigError, DatabaseError."""
    if config.enrolment is None:
        return None
    store = EnrolmentStore(database)
    records, revoked = await store.load()
    registry = Registry(places=places_of(config), records=records, revoked=revoked)
    on_keys(registry.report_keys())
    service = EnrolmentService(
        authority=load_issuing(config, config.enrolment),
        registry=registry,
        store=store,
        sink=BrokerKeeper(config),
        on_keys=on_keys,
    )
    if config.broker.server is not None and config.broker.server.revoked:
        await keep_revoked(service, registry, Path(config.broker.server.revoked))
    return service


async def keep_revoked(service: EnrolmentService, registry: Registry, path: Path) -> None:
    """Who stands in the list that is in force stays out, though the database was put back from an older copy.

    Otherwise restoring a backup would let in again what was stolen since. Raises DatabaseError.
    """
    now_ms = read_now().shared_ms
    for serial in sorted(_listed(path)):
        if registry.is_revoked(serial):
            continue
        log.warning("%s names certificate %s, which the database does not: it stays revoked", path, serial)
        for record in registry.records:
            if record.state in LIVE and record.certificates and record.certificates[-1].serial == serial:
                reason = "thu hồi từ trước, theo danh sách đang dùng · revoked before, by the list in force"
                await service.revoke(EndRequest(unit=record.id, reason=reason), by=Actor(who="system"))
        if not registry.is_revoked(serial):
            unknown = RevokedCertificate(
                serial=serial, node="", revoked_at_ms=now_ms, not_after_ms=now_ms + NODE_DAYS_MAX * DAY_MS
            )
            registry.revoke([unknown])


def _listed(path: Path) -> set[str]:
    """The serial numbers in a file of lists; an unreadable one is told of and names nobody."""
    try:
        blocks = path.read_bytes().split(_END_OF_LIST)[:-1]
        lists = [x509.load_pem_x509_crl(block + _END_OF_LIST) for block in blocks]
    except (OSError, ValueError) as error:
        log.warning("broker.server.revoked: %s cannot be read, it is made anew: %s", path, error)
        return set()
    return {serial_digits(entry.serial_number) for each in lists for entry in each}


async def open_enrolment_doors(
    stack: contextlib.AsyncExitStack,
    config: Config,
    service: EnrolmentService,
    *,
    nodes: web.Application,
    documents: Callable[[str], EnrolmentDocuments],
) -> None:
    """Open the enrolment door, and add renewal to the nodes' application before that is served; raises ConfigError."""
    if config.enrolment is None or config.http.enrolment is None:
        return
    told = EnrolmentSite(
        controller=config.controller,
        broker_host=config.enrolment.broker_host,
        broker_port=config.enrolment.broker_port,
        broker_time_port=config.enrolment.broker_time_port,
        nodes_url=config.enrolment.nodes_url,
    )
    add_renewal(nodes, service, told, documents)
    await stack.enter_async_context(service.running())
    door = config.http.enrolment
    await stack.enter_async_context(
        open_door(
            enrolment_application(service, told, requests_per_minute=door.requests_per_minute),
            host=door.host,
            port=door.port,
            key="http.enrolment",
            tls=server_tls(config.http.nodes),
        )
    )
