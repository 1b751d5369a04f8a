"""Whoever says half of something and waits holds up nobody: neither units that enrol nor people at a console."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509

from controller.enrolment.office import EndRequest
from controller.web.enrolment import AT_ONCE_MAX, REVOKED_PATH
from controller.web.listeners import open_listener
from controller.web.quiet_connections import QuietLimits
from protocol.enrolment import ENROLL_PATH, SITE_PATH
from simulator.demo.broker import free_port
from tests.support.controller_console import WorldConsole, served_place
from tests.support.controller_desk import DeskWorld
from tests.support.enrolment_bench import OPERATOR, enrolling, make_authority, make_unit
from tests.support.pki import DevelopmentKeys


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_authority(tmp_path_factory.mktemp("ca") / "ca")


async def test_requests_whose_body_never_comes_take_no_place_from_units(tmp_path: Path, ca: Path) -> None:
    context = ssl.create_default_context(cafile=str(ca / "ca.pem"))
    half = f"POST {ENROLL_PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 700\r\n\r\nM".encode()
    async with enrolling(tmp_path, ca) as bench:
        opened = [await asyncio.open_connection("localhost", bench.port, ssl=context) for _ in range(AT_ONCE_MAX + 1)]
        for _, writer in opened:
            writer.write(half)
            await writer.drain()
        async with aiohttp.ClientSession() as session:
            for _ in range(20):
                async with session.get(bench.url + SITE_PATH, ssl=context) as answer:
                    assert answer.status == 200
        for _, writer in opened:
            writer.transport.abort()


HALVES = {
    "nothing": b"",
    "half a header": b"GET / HTTP/1.1\r\nHost: loc",
    "half a body": b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Cookie: __Host-loaxa-device=x\r\nContent-Length: 700\r\n\r\nM",
    "nothing more": b"GET /static/style.css HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("said", HALVES.values(), ids=HALVES)
async def test_a_console_ends_what_is_quiet_for_long(pki: DevelopmentKeys, said: bytes) -> None:
    world = DeskWorld(pki)
    world.begin()
    quiet = QuietLimits(quiet_s_max=0.3, look_every_s=0.05)
    async with served_place(WorldConsole(world), quiet=quiet) as place:
        reader, writer = await asyncio.open_connection("localhost", int(place.address.rpartition(":")[2]))
        writer.write(said)
        await asyncio.wait_for(reader.read(), 5)
        writer.transport.abort()


async def test_a_console_of_which_all_connections_are_held_answers_the_next(pki: DevelopmentKeys) -> None:
    world = DeskWorld(pki)
    world.begin()
    quiet = QuietLimits(connections_max=20, look_every_s=0.05)
    async with served_place(WorldConsole(world), quiet=quiet) as place:
        port = int(place.address.rpartition(":")[2])
        held = [await asyncio.open_connection("localhost", port) for _ in range(30)]
        await asyncio.wait_for(held[0][0].read(), 5)
        async with aiohttp.ClientSession() as session, session.get(f"{place.address}/login") as answer:
            assert answer.status == 200
        for _, writer in held:
            writer.transport.abort()


async def test_an_answer_that_takes_long_is_not_cut_off() -> None:
    async def slow(_request: web.Request) -> web.Response:
        await asyncio.sleep(0.6)  # the work: an airings question on a slow disk
        return web.Response(text="done")

    application = web.Application()
    application.router.add_post("/", slow)
    quiet, port = QuietLimits(quiet_s_max=0.2, look_every_s=0.05), free_port()
    runner = await open_listener(application, host="127.0.0.1", port=port, key="test", quiet=quiet)
    try:
        async with aiohttp.ClientSession() as session, session.post(f"http://127.0.0.1:{port}/", data=b"x") as answer:
            assert await answer.text() == "done"
    finally:
        await runner.cleanup()


async def test_strangers_who_ask_for_the_revoked_list_cost_one_signature_and_see_a_revocation_at_once(
    tmp_path: Path, ca: Path
) -> None:
    context = ssl.create_default_context(cafile=str(ca / "ca.pem"))
    unit = make_unit(tmp_path / "unit")
    async with enrolling(tmp_path, ca) as bench, aiohttp.ClientSession() as session:

        async def asked() -> bytes:
            async with session.get(bench.url + REVOKED_PATH, ssl=context) as answer:
                return await answer.read()

        unit.put(await bench.claim("N001"))
        await unit.enrol()
        before = await asked()
        assert await asked() == before, "ECDSA never gives the same signature twice"
        await bench.service.revoke(EndRequest(unit="N001"), by=OPERATOR)
        (gone,) = x509.load_pem_x509_crl(await asked())
        assert f"{gone.serial_number:X}" in {each.serial.lstrip("0") for each in bench.registry.revoked}
