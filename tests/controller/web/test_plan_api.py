"""A pole's coming days over real HTTP: who may ask, what is answered, what bad input gets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.support.controller_console import TOKEN, WorldConsole, served
from tests.support.controller_desk import DeskWorld
from tests.support.pki import DevelopmentKeys

PROGRAMME = {
    "id": "evening",
    "title": "Chương trình chiều",
    "area": "xa",
    "items": [{"feed": "vov1", "duration_s": 600}],
    "recurrence": {"rules": "DTSTART:20000101T170000\nRRULE:FREQ=DAILY"},
}
BAD: list[tuple[str, str, Any, int]] = [
    ("GET", "/plan", None, 400),
    ("GET", "/plan?pole=N001&days=x", None, 400),
    ("GET", "/plan?pole=N001&days=99", None, 400),
    ("GET", "/plan?pole=N001&days=%D9%A7", None, 400),
    ("GET", "/plan?pole=N009", None, 404),
    ("POST", "/plan", {}, 400),
    ("POST", "/plan", b"[", 400),
    ("POST", "/plan", {"pole": "N009"}, 404),
    ("POST", "/plan", {"pole": "N001", "days": 0}, 400),
    ("POST", "/plan", {"pole": "N001", "programmes": [{**PROGRAMME, "area": "nowhere"}]}, 404),
    ("POST", "/plan", {"pole": "N001", "programmes": [{**PROGRAMME, "surprise": 1}]}, 400),
    ("POST", "/plan", {"pole": "N001", "programmes": [PROGRAMME] * 65}, 400),
]


class Client:
    """Calls one address; gives status and JSON."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self._address, self._session = address, session

    async def __call__(self, method: str, path: str, body: Any = None, *, token: str = TOKEN) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {token}"}
        async with self._session.request(method, f"{self._address}/api/v1{path}", data=data, headers=headers) as answer:
            return answer.status, await answer.json()


@pytest_asyncio.fixture
async def call(pki: DevelopmentKeys) -> AsyncIterator[Client]:
    world = DeskWorld(pki)
    world.begin()
    async with served(WorldConsole(world)) as address, aiohttp.ClientSession() as session:
        yield Client(address, session)


async def test_what_stands_and_what_a_draft_changes(call: Client) -> None:
    status, stands = await call("GET", "/plan?pole=N001&days=7")
    assert (status, stands["pole"], stands["areas"]) == (200, "N001", ["dong", "xa"])
    assert stands["items"]
    status, drafted = await call("POST", "/plan", {"pole": "N001", "days": 5, "programmes": [PROGRAMME]})
    assert status == 200
    assert {each["change"] for each in drafted["changes"]} == {"new"}
    assert (await call("GET", "/plan?pole=N001&days=7"))[1]["items"] == stands["items"]


async def test_strangers_are_told_nothing(call: Client) -> None:
    assert (await call("GET", "/plan?pole=N001", token="wrong"))[0] == 401


@pytest.mark.parametrize(("method", "path", "body", "expected"), BAD)
async def test_bad_input_is_refused_in_words(call: Client, method: str, path: str, body: Any, expected: int) -> None:
    status, answer = await call(method, path, body)
    assert status == expected
    assert answer["error"]["message"]
