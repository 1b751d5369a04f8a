"""Whoever says half of something and waits holds up nobody: neither units that enrol nor people at a console."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest

from controller.web.enrolment import AT_ONCE_MAX
from protocol.enrolment import ENROLL_PATH, SITE_PATH
from tests.support.enrolment_bench import enrolling, make_authority


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
