"""Silence over real HTTP: who may order it where, on the page and through the API, and what everybody sees of it."""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from controller.people.audit import Deed
from controller.people.rights import Grant, Role
from tests.support.console_hand import Hand, added, prove, with_totp
from tests.support.controller_console import TOKEN, Place

BEARER = {"Authorization": f"Bearer {TOKEN}"}


async def call(session: aiohttp.ClientSession, place: Place, path: str, **body: str) -> tuple[int, Any]:
    url = f"{place.address}/api/v1{path}"
    async with session.post(url, data=json.dumps(body), headers=BEARER) as answer:
        return answer.status, await answer.json()


async def test_the_api_orders_lists_and_releases(place: Place, session: aiohttp.ClientSession) -> None:
    status, ordered = await call(session, place, "/silences", area="xa", reason="mất khoá")
    assert (status, ordered["is_new"], ordered["is_standing"]) == (201, True, True)
    assert (await call(session, place, "/silences", area="xa", reason="lần nữa"))[0] == 200
    async with session.get(f"{place.address}/api/v1/silences", headers=BEARER) as answer:
        listed = (await answer.json())["silences"]
    assert [(each["area"], each["reason"]) for each in listed] == [("xa", "mất khoá")]
    status, released = await call(session, place, "/silences/release", area="xa")
    assert (status, released["is_standing"]) == (200, False)
    assert (await call(session, place, "/silences/release", area="xa"))[0] == 409
    assert (await call(session, place, "/silences", area="xa"))[0] == 400


async def test_an_operator_silences_what_is_theirs_after_a_second_factor_and_nothing_else(
    hand: Hand, place: Place
) -> None:
    await added(place, "lan", Grant(role=Role.OPERATOR, area="dong"))
    await hand.log_in("lan")
    await hand.get("/silence")
    status, _ = await hand.post("/silence", area="dong", reason="thử")
    assert place.world.desk.status(place.world.now).silences == ()
    assert status in {303, 403}  # sent to prove a second factor, or to make one
    await prove(hand, await with_totp(hand))
    await hand.get("/silence")
    for body in ({"area": "xa"}, {"node": "N003"}, {"area": "dong", "node": "N003"}, {"area": "nowhere"}):
        assert (await hand.post("/silence", reason="thử", **body))[0] == 403
    assert (await hand.post("/silence", area="dong", reason="thử loa"))[0] == 303
    _, page = await hand.get("/")
    assert "IM LẶNG THEO LỆNH" in page
    assert "thử loa" in page
    _, page = await hand.get("/silence")
    assert "BỎ LỆNH IM LẶNG" in page
    assert (await hand.post("/silence/release", area="dong", reason="xong"))[0] == 303
    assert [act.what for act in place.acts] == [Deed.SILENCE, Deed.SILENCE_RELEASE]


async def test_a_technician_may_not(hand: Hand, place: Place) -> None:
    await added(place, "nam", Grant(role=Role.TECHNICIAN))
    await hand.log_in("nam")
    await prove(hand, await with_totp(hand))
    await hand.get("/silence")
    assert (await hand.post("/silence", area="dong", reason="thử"))[0] == 403
    assert place.world.desk.status(place.world.now).silences == ()
