"""Puts enrolment together when the controller starts: what the configuration names, what the database holds.

Without the sections `enrolment` and `http.enrolment` there is none: nodes then stand in the configuration with their
report keys, and their certificates come from elsewhere.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from controller.adapters.broker_files import BrokerKeeper
from controller.adapters.certificate_authority import CertificateAuthority, load_certificate_authority
from controller.adapters.database import SqlDatabase
from controller.adapters.enrolment_service import EnrolmentService, OnKeys
from controller.adapters.enrolment_store import EnrolmentStore
from controller.config import Config
from controller.enrolment_config import EnrolmentConfig
from controller.enrolment_registry import Registry
from controller.web.door import open_door
from controller.web.enrolment import add_renewal, enrolment_application
from controller.web.listeners import server_tls
from protocol.enrolment import EnrolmentDocuments, EnrolmentSite


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
    return EnrolmentService(
        authority=load_issuing(config, config.enrolment),
        registry=registry,
        store=store,
        sink=BrokerKeeper(config),
        on_keys=on_keys,
    )


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
