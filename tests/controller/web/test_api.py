"""The API over real HTTP: who may ask, what is answered, what bad input gets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from protocol.messages import AiringState
from tests.support.controller_console import TOKEN, WorldConsole, served
from tests.support.controller_desk import DeskWorld, airing
from tests.support.pki import DevelopmentKeys

BEARER = {"Authorization": f"Bearer {TOKEN}"}
FLOOD = {"area": "xa", "clip": "flood", "minutes": 10}


class Client:
    """Calls one address; gives status and JSON."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self._address, self._session = address, session

    async def __call__(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] = BEARER
    ) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        async with self._session.request(method, f"{self._address}/api/v1{path}", data=data, headers=headers) as answer:
            return answer.status, await answer.json()


@pytest.fixture
def world(pki: DevelopmentKeys) -> DeskWorld:
    made = DeskWorld(pki)
    made.begin()
    return made


@pytest_asyncio.fixture
async def call(world: DeskWorld) -> AsyncIterator[Client]:
    async with served(WorldConsole(world)) as address, aiohttp.ClientSession() as session:
        yield Client(address, session)


async def test_an_emergency_is_raised_listed_and_ended(call: Client) -> None:
    status, raised = await call("POST", "/emergencies", FLOOD)
    assert (status, raised["title"], raised["is_new"], raised["is_broker_connected"]) == (
        201,
        "Lũ khẩn cấp",
        True,
        True,
    )
    assert (await call("POST", "/emergencies", FLOOD))[0] == 200
    _, listed = await call("GET", "/emergencies")
    assert [(each["id"], each["is_standing"]) for each in listed["emergencies"]] == [(raised["id"], True)]
    path = f"/emergencies/{raised['id']}/all-clear"
    status, ended = await call("POST", path, {"reason": "nước rút", "correction": True})
    assert (status, ended["state"], ended["reason"]) == (200, "corrected", "nước rút")
    status, again = await call("POST", path, {})
    assert (status, again["error"]["code"]) == (409, "already_over")


async def test_a_relay_is_started_listed_and_stopped(call: Client) -> None:
    body = {"area": "dong", "feed": "vov1", "minutes": 5, "broadcast_class": "priority"}
    status, begun = await call("POST", "/relays", body)
    assert (status, begun["broadcast_class"]) == (201, "priority")
    assert [each["stream"] for each in (await call("GET", "/relays"))[1]["relays"]] == [begun["stream"]]
    status, ended = await call("DELETE", f"/relays/{begun['stream']}")
    assert (status, ended["state"]) == (200, "ended")
    assert (await call("DELETE", "/relays/ffffffffffffffff"))[0] == 404


async def test_lists_and_plans_are_given(call: Client) -> None:
    for what, count in (("nodes", 3), ("areas", 3), ("feeds", 1), ("clips", 3)):
        status, answer = await call("GET", f"/{what}")
        assert (status, len(answer[what])) == (200, count)
    _, plan = await call("GET", "/plans/xa")
    assert {each["title"] for each in plan["occurrences"]} == {"Chương trình sáng", "VOV1"}
    status, refused = await call("GET", "/plans/nowhere")
    assert (status, "known areas: xa" in refused["error"]["message"]) == (404, True)


async def test_airings_come_in_pages(call: Client, world: DeskWorld) -> None:
    for number in range(1, 6):
        world.report("N001", number, airing("e1", AiringState.STARTED, number))
    _, first = await call("GET", "/airings?limit=2")
    assert [each["number"] for each in first["airings"]] == [5, 4]
    _, second = await call("GET", f"/airings?limit=2&before={first['airings'][-1]['row']}")
    assert [each["number"] for each in second["airings"]] == [3, 2]
    assert (await call("GET", "/airings?node=N002"))[1]["airings"] == []
    for query in ("limit=0", "limit=501", "limit=x", "before=-1"):
        assert (await call("GET", f"/airings?{query}"))[0] == 400


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ü"]
)
async def test_without_the_token_nothing_is_done(call: Client, world: DeskWorld, authorization: str) -> None:
    for method, path in (("GET", "/nodes"), ("GET", "/airings"), ("POST", "/emergencies"), ("DELETE", "/relays/0")):
        status, answer = await call(method, path, FLOOD, headers={"Authorization": authorization})
        assert (status, answer["error"]["code"]) == (401, "not_allowed")
    assert world.desk.status(world.now).emergencies == ()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        {"area": 1},
        {**FLOOD, "minutes": 0},
        {**FLOOD, "colour": "red"},
        {**FLOOD, "reality": "x"},
    ],
)
async def test_a_bad_body_is_told_what_is_wrong(call: Client, world: DeskWorld, body: Any) -> None:
    status, answer = await call("POST", "/emergencies", body)
    assert (status, answer["error"]["code"]) == (400, "bad_request")
    assert "area, clip, reality, minutes" in answer["error"]["message"]
    assert world.desk.status(world.now).emergencies == ()


async def test_a_large_body_wrong_method_and_wrong_path_are_json_errors(call: Client) -> None:
    status, answer = await call("POST", "/emergencies", b"x" * 20_000)
    assert (status, "larger than" in answer["error"]["message"]) == (400, True)
    status, answer = await call("PUT", "/emergencies", FLOOD)
    assert (status, "GET" in answer["error"]["message"]) == (400, True)
    assert (await call("GET", "/nothing"))[0] == 404


async def test_a_page_from_elsewhere_cannot_reach_it_by_its_own_name(call: Client) -> None:
    status, answer = await call("GET", "/nodes", headers={**BEARER, "Host": "evil.example"})
    assert (status, answer["error"]["code"]) == (404, "not_found")
    for name in ("localhost:80", "127.0.0.1", "[::1]:8080", "[::1]"):
        assert (await call("GET", "/nodes", headers={**BEARER, "Host": name}))[0] == 200
