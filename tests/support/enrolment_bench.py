"""A real enrolment: authority, database, both HTTPS doors on free ports; and units with real keys on real folders.

The console is left out: tests take the operator's part at the service. The doors run on the test's own loop; units
block, so they are worked with in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from controller.adapters.certificate_authority import (
    CertificateAuthority,
    create_authority,
    load_certificate_authority,
    utc_now,
)
from controller.adapters.database import SqlDatabase, open_database
from controller.adapters.enrolment_service import EnrolmentService
from controller.adapters.enrolment_store import EnrolmentStore
from controller.configuration.config import NodesListenerConfig, TrustConfig
from controller.enrolment.office import ClaimRequest, boot_file
from controller.enrolment.registry import Registry
from controller.people.audit import Actor
from controller.web.door import open_door
from controller.web.enrolment import add_renewal, enrolment_application
from controller.web.listeners import mutual_tls, open_listener, server_tls
from controller.web.media import media_application
from edge.adapters.enrolment_run import NodeEnrolment
from edge.config import EdgeConfig, parse_config
from edge.enrolment.lifecycle import Happening
from protocol.enrolment import EnrolmentDocuments, EnrolmentSite
from simulator.demo.broker import free_port

PASSPHRASE = b"a long enough passphrase"
OPERATOR = Actor(who="operator")
PLACES = ("N001", "N002", "N003")
STEPS_MAX = 4


@dataclass(slots=True)
class Told:
    """A broker that only listens; `fails` times it does not."""

    lists: list[bytes] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    async def revoke(self, revoked: bytes, nodes: Sequence[str]) -> None:
        self.lists.append(revoked)
        self.ended += nodes


class NoMedia:
    def path_of(self, sha256: str) -> Path | None:
        del sha256
        return None


@dataclass(slots=True)
class Bench:
    """One controller's enrolment, running."""

    folder: Path
    ca: Path
    service: EnrolmentService
    registry: Registry
    told: Told
    keys: dict[str, str]
    port: int
    nodes_port: int
    documents: dict[str, EnrolmentDocuments] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def nodes_url(self) -> str:
        return f"https://localhost:{self.nodes_port}"

    async def claim(self, node: str, *, replace: bool = False) -> str:
        """The boot partition's file for a node, with a fresh code."""
        record, code = await self.service.claim(ClaimRequest(node=node, replace=replace), by=OPERATOR)
        return boot_file(record, code=code, url=self.url, ca_sha256=self.service.authority.ca_sha256)

    def unclaimed(self) -> str:
        """The file of a unit that is to wait for approval."""
        return f"enrolment:\n  url: {self.url}\n  ca_sha256: {self.service.authority.ca_sha256}\n"


@dataclass(slots=True)
class Unit:
    """A card in a box."""

    card: Path
    box: str
    enrolment: NodeEnrolment | None = None

    @property
    def boot(self) -> Path:
        return self.card / "boot" / "loaxa.yaml"

    @property
    def config(self) -> EdgeConfig:
        text = "enrolment: {file: boot/loaxa.yaml, hardware: box}\nstate_dir: state\n"
        (self.card / "box").write_text(self.box)
        return parse_config(text, name="edge.yaml", folder=self.card)

    def put(self, boot: str) -> None:
        """What the technician does."""
        self.boot.parent.mkdir(parents=True, exist_ok=True)
        self.boot.write_text(boot)

    def start(self) -> NodeEnrolment:
        """Power on."""
        self.enrolment = NodeEnrolment(self.config)
        return self.enrolment

    async def enrol(self) -> Happening:
        """Power on, and work until the other side has said something."""
        enrolment = await asyncio.to_thread(self.start)
        return await self.go_on(enrolment)

    @staticmethod
    async def go_on(enrolment: NodeEnrolment) -> Happening:
        for _ in range(STEPS_MAX):
            todo = enrolment.next_step()
            assert todo is not None, f"nothing to do: {enrolment.state} {enrolment.last_words}"
            happened = await asyncio.to_thread(enrolment.do, todo)
            if happened is not Happening.KEYS_MADE:
                return happened
        raise AssertionError(enrolment.last_words)


def make_unit(folder: Path, box: str = "10000000aaaa0001") -> Unit:
    """A fresh card in a box."""
    folder.mkdir(parents=True)
    return Unit(card=folder, box=box)


def make_authority(folder: Path, *, host: str = "localhost", days: int = 0) -> Path:
    """An authority of its own, made by the product's command, `days` from now."""
    create_authority(
        folder,
        controller="controller1",
        hosts=[host],
        ask_passphrase=lambda: PASSPHRASE,
        now=utc_now() + timedelta(days=days),
    )
    return folder


def issuing(ca: Path, *, node_days: int = 90, roots: Path | None = None) -> CertificateAuthority:
    return load_certificate_authority(
        certificate=ca / "issuing.pem",
        private_key=ca / "issuing.key",
        password_file=None,
        roots=roots or ca / "ca.pem",
        node_days=node_days,
    )


@asynccontextmanager
async def enrolling(
    folder: Path,
    ca: Path,
    *,
    database: SqlDatabase | None = None,
    ports: tuple[int, int] | None = None,
    requests_per_minute: int = 10_000,
) -> AsyncIterator[Bench]:
    """Both doors open while the block runs; a database that is given stays open."""
    async with AsyncExitStack() as stack:
        if database is None:
            database = await open_database(f"sqlite:///{folder}/controller.sqlite")
            stack.push_async_callback(database.close)
        store = EnrolmentStore(database)
        records, revoked = await store.load()
        registry = Registry(places=PLACES, records=records, revoked=revoked)
        keys: dict[str, str] = registry.report_keys()
        told = Told()

        def on_keys(changed: Mapping[str, str]) -> None:
            keys.update(changed)

        service = EnrolmentService(authority=issuing(ca), registry=registry, store=store, sink=told, on_keys=on_keys)
        port, nodes_port = ports or (free_port(), free_port())
        bench = Bench(
            folder=folder,
            ca=ca,
            service=service,
            registry=registry,
            told=told,
            keys=keys,
            port=port,
            nodes_port=nodes_port,
        )
        site = EnrolmentSite(
            controller="controller1", broker_host="localhost", broker_port=8883, nodes_url=bench.nodes_url
        )
        listener = NodesListenerConfig(certificate=str(ca / "server.pem"), private_key=str(ca / "server.key"))
        trust = TrustConfig(
            ca=str(ca / "ca.pem"), certificate="", private_key="", keyset="", root_keys="", signing_keys=()
        )
        nodes = media_application(NoMedia())
        add_renewal(nodes, service, site, lambda node: bench.documents.get(node, EnrolmentDocuments()))
        await stack.enter_async_context(service.running())
        runner = await open_listener(
            nodes, host="127.0.0.1", port=nodes_port, key="http.nodes", tls=mutual_tls(listener, trust)
        )
        stack.push_async_callback(runner.cleanup)
        application = enrolment_application(service, site, requests_per_minute=requests_per_minute)
        await stack.enter_async_context(
            open_door(application, host="127.0.0.1", port=port, key="http.enrolment", tls=server_tls(listener))
        )
        yield bench
