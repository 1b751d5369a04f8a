"""Zones in turn through the API and on the emergency page: asked for, shown before the press, shown while it stands."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from controller.people.rights import Grant, Role
from tests.support.console_hand import Hand, added
from tests.support.controller_console import TOKEN, WorldConsole, served_place
from tests.support.controller_desk import DeskWorld, plain_config
from tests.support.pki import DevelopmentKeys

FLOOD = {"area": "xa", "clip": "flood", "minutes": 10, "in_turns": True}


def zoned(pki: DevelopmentKeys) -> DeskWorld:
    plain: dict[str, Any] = plain_config(pki)
    plain["areas"][1]["turn"] = 1
    made = DeskWorld(pki, areas=plain["areas"])
    made.begin()
    return made


async def test_the_api_raises_in_turns_and_shows_each_nodes_own(pki: DevelopmentKeys) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with served_place(WorldConsole(zoned(pki))) as place, aiohttp.ClientSession(headers=headers) as session:
        async with session.post(f"{place.address}/api/v1/emergencies", json=FLOOD) as answer:
            assert (answer.status, (await answer.json())["turns"]) == (201, {"count": 2, "length_ms": 9_000})
        async with session.get(f"{place.address}/api/v1/nodes") as answer:
            assert [each["turn"] for each in (await answer.json())["nodes"]] == [1, 1, 0]


@pytest.mark.parametrize(("area", "zones"), [("xa", True), ("doai", False)])
async def test_the_page_says_before_the_press_whether_there_are_zones(
    pki: DevelopmentKeys, session: aiohttp.ClientSession, area: str, *, zones: bool
) -> None:
    async with served_place(WorldConsole(zoned(pki))) as place:
        hand = Hand(place, session)
        await added(place, "lan", Grant(role=Role.OPERATOR))
        await hand.log_in("lan")
        _, form = await hand.get("/emergency?reality=drill")
        assert "Lần lượt từng khu" in form
        _, confirm = await hand.get(f"/emergency/confirm?reality=drill&area={area}&clip=drill&in_turns=yes")
        assert ("Lần lượt 2 khu" in confirm) is zones
        assert ('name="in_turns"' in confirm) is zones
        fields = {"reality": "drill", "area": area, "clip": "drill", "minutes": "5", "in_turns": "yes"}
        assert (await hand.post("/emergency", **fields))[0] == 303
        _, now = await hand.get("/emergency/now")
        assert ("2 zones in turn" in now) is zones
