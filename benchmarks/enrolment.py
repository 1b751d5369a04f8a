"""Enrolments per second on one controller: real HTTPS door, real database, a certificate each.

The units are another process and their requests are made beforehand, so that CPU time is the controller's alone: TLS
handshake, both proofs, the decision, the certificate, the durable commit. Run: python -m benchmarks.enrolment [N]
"""

from __future__ import annotations

import asyncio
import base64
import multiprocessing
import ssl
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from controller.adapters.certificate_authority import create_authority, load_certificate_authority, utc_now
from controller.adapters.database import open_database
from controller.adapters.enrolment_service import EnrolmentService
from controller.adapters.enrolment_store import EnrolmentStore
from controller.configuration.config import NodesListenerConfig
from controller.enrolment.office import ClaimRequest
from controller.enrolment.registry import Registry
from controller.people.audit import Actor
from controller.web.door import open_door
from controller.web.enrolment import enrolment_application
from controller.web.listeners import server_tls
from edge.adapters.enrolment_keys import make_request, new_report_key, new_tls_key
from protocol.enrolment import ENROLL_PATH, PROOF_HEADER, EnrolmentSite
from simulator.demo.broker import free_port

UNITS_DEFAULT: Final = 500
AT_ONCE: Final = 32
TARGET_PER_S: Final = 50


class Prepared(msgspec.Struct, frozen=True):
    """One unit's request, ready to be sent."""

    body: bytes
    proof: str
    authorization: str


class Deaf:
    """No broker: what it costs to tell one is not measured here."""

    async def revoke(self, revoked: bytes, nodes: Sequence[str]) -> None:
        """Say nothing."""


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else UNITS_DEFAULT
    with tempfile.TemporaryDirectory(prefix="loaxa-benchmark-") as folder:
        wall_s, cpu_s, client_s = asyncio.run(_measure(Path(folder), count))
    print(f"{count} enrolments, {AT_ONCE} at once, each on a connection of its own")
    print(f"controller: {cpu_s / count * 1000:.2f} ms CPU each = {count / cpu_s:.0f} a second on one core")
    print(f"wall: {count / wall_s:.0f} a second with the units on the same machine (they used {client_s:.1f} s CPU)")
    print(f"target: {TARGET_PER_S} a second: {'met' if count / cpu_s >= TARGET_PER_S else 'MISSED'}")


async def _measure(folder: Path, count: int) -> tuple[float, float, float]:
    ca = folder / "ca"
    create_authority(
        ca, controller="controller1", hosts=["localhost"], ask_passphrase=lambda: b"only-for-a-minute", now=utc_now()
    )
    nodes = [f"N{number:05d}" for number in range(count)]
    async with AsyncExitStack() as stack:
        database = await open_database(f"sqlite:///{folder}/controller.sqlite")
        stack.push_async_callback(database.close)
        service = EnrolmentService(
            authority=load_certificate_authority(
                certificate=ca / "issuing.pem",
                private_key=ca / "issuing.key",
                password_file=None,
                roots=ca / "ca.pem",
                node_days=90,
            ),
            registry=Registry(places=nodes),
            store=EnrolmentStore(database),
            sink=Deaf(),
            on_keys=lambda _: None,
        )
        prepared = [await _prepare(service, node) for node in nodes]
        port = free_port()
        site = EnrolmentSite(controller="c", broker_host="localhost", broker_port=1, nodes_url="https://localhost")
        application = enrolment_application(service, site, requests_per_minute=1_000_000)
        listener = NodesListenerConfig(certificate=str(ca / "server.pem"), private_key=str(ca / "server.key"))
        await stack.enter_async_context(
            open_door(application, host="127.0.0.1", port=port, key="door", tls=server_tls(listener))
        )
        context = multiprocessing.get_context("spawn")
        answers: multiprocessing.Queue[float] = context.Queue()
        units = context.Process(target=_units, args=(msgspec.json.encode(prepared), port, str(ca / "ca.pem"), answers))
        units.start()
        await asyncio.to_thread(answers.get)  # it has started, and begins now
        wall_s, cpu_s = time.monotonic(), time.process_time()
        client_s = await asyncio.to_thread(answers.get)
        wall_s, cpu_s = time.monotonic() - wall_s, time.process_time() - cpu_s
        await asyncio.to_thread(units.join)
        enrolled = sum(bool(record.certificates) for record in service.records)
        if enrolled != count:
            message = f"only {enrolled} of {count} were enrolled"
            raise RuntimeError(message)
        return wall_s, cpu_s, client_s


async def _prepare(service: EnrolmentService, node: str) -> Prepared:
    _, code = await service.claim(ClaimRequest(node=node), by=Actor(who="benchmark"))
    made = make_request(tls_key_pem=new_tls_key(), report_key_pem=new_report_key(), node=node, hardware=f"box{node}")
    authorization = "Basic " + base64.b64encode(f"{node}:{code}".encode()).decode()
    return Prepared(made.body, made.proof, authorization)


def _units(data: bytes, port: int, ca: str, answers: multiprocessing.Queue[float]) -> None:
    """The other process: every unit once."""
    prepared = msgspec.json.decode(data, type=list[Prepared])
    answers.put(0.0)
    asyncio.run(_enrol_all(prepared, f"https://localhost:{port}{ENROLL_PATH}", ca))
    answers.put(time.process_time())


async def _enrol_all(prepared: Sequence[Prepared], url: str, ca: str) -> None:
    tls = ssl.create_default_context(cafile=ca)
    connector = aiohttp.TCPConnector(limit=AT_ONCE, force_close=True, ssl=tls)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def enrol(each: Prepared) -> None:
            headers = {PROOF_HEADER: each.proof, "Authorization": each.authorization}
            async with session.post(url, data=each.body, headers=headers) as answer:
                answer.raise_for_status()
                await answer.read()

        await asyncio.gather(*(enrol(each) for each in prepared))


if __name__ == "__main__":
    main()
