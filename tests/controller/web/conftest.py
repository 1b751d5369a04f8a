"""A console that is served, with nobody known yet, and a browser without memory to reach it with."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from tests.support.console_hand import Hand
from tests.support.controller_console import Place, WorldConsole, served_place
from tests.support.controller_desk import DeskWorld
from tests.support.pki import DevelopmentKeys


@pytest_asyncio.fixture
async def place(pki: DevelopmentKeys) -> AsyncIterator[Place]:
    world = DeskWorld(pki)
    world.begin()
    async with served_place(WorldConsole(world)) as made:
        yield made


@pytest_asyncio.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as made:
        yield made


@pytest.fixture
def hand(place: Place, session: aiohttp.ClientSession) -> Hand:
    return Hand(place, session)
