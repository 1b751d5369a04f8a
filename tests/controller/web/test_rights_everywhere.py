"""Every route of the API x every role x another village's things: nothing of them is told, and nothing is changed."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest_asyncio
from aiohttp import web

from controller.adapters.enrolment_service import EnrolmentService
from controller.adapters.media.library import MediaLibrary
from controller.people.audit import Actor
from controller.people.rights import Grant, Role
from controller.programmes.bulletin import Bulletin
from controller.programmes.programme import Item, Programme, weekly
from controller.requests import RaiseEmergency, StartRelay, StartSilence
from controller.web.enrolment_api import add_enrolment_api
from controller.web.media_api import add_media_api
from controller.web.rules import API, RULES, Door
from protocol.messages import Reality
from tests.support.console_hand import SYSTEM
from tests.support.controller_console import TOKEN, Place, WorldConsole, served_place
from tests.support.media_library import LibraryWorld, finished, pieces_of, recording
from tests.support.pki import DevelopmentKeys
from tests.support.programme_bench import ProgrammeBench, programme_bench

MARK: Final = "CHUYEN-RIENG"
SECRETS: Final = (MARK, "Thôn Đông", "Cụm loa N001", "Cụm loa N002")
"""What belongs to Thôn Đông and stands in no question that is asked here."""
AN: Final = Actor(who="an")
ASKED_MORE: Final = {"plan", "airings", "media", "programmes", "bulletins", "{format}"}
"""Routes whose questions say more than a place."""
FOR_ANYBODY: Final = {("POST", f"{API}/speech")}
"""Reads aloud what the caller wrote; it is of no place."""


@dataclass(kw_only=True)
class Village:
    """A console over a commune in which Thôn Đông has one of everything."""

    place: Place
    session: aiohttp.ClientSession
    entry: str
    intake: str
    emergency: str
    stream: str

    def addresses(self, path: str) -> Iterator[str]:
        """A route's addresses with every name of Thôn Đông's in its place, and every way to ask it for more."""
        values = {
            "area": ["dong"],
            "entry": [self.entry, self.entry[:5]],
            "intake": [self.intake],
            "name": ["noon", "water"],
            "number": ["1"],
            "format": ["ical", "m3u", "xspf"],
            "id": [self.emergency],
            "stream": [self.stream],
        }
        names = [name for name in values if f"{{{name}}}" in path]
        more = ["", "?area=dong"]
        if path.rpartition("/")[2] in ASKED_MORE:
            more += ["?pole=N001", "?node=N001", "?id=noon", "?archived=1&removed=1", f"?search={MARK}"]
        for chosen in itertools.product(*(values[name] for name in names)):
            filled = path
            for name, value in zip(names, chosen, strict=True):
                filled = filled.replace(f"{{{name}}}", value)
            yield from (filled + each for each in more)

    async def ask(self, method: str, address: str, token: str, **more: Any) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.session.request(method, self.place.address + address, headers=headers, **more) as answer:
            return answer.status, (await answer.read()).decode(errors="replace")

    async def token_of(self, role: Role, area: str) -> str:
        grants = [Grant(role=role, area=area)]
        return await self.place.people.office.add_token(
            f"{role}", grants, days=1, acts_alone=True, person="", by=SYSTEM
        )


def routes(*methods: str) -> Iterator[tuple[str, str]]:
    return ((method, path) for (method, path), rule in RULES.items() if rule.door is Door.PROGRAM and method in methods)


async def filled(bench: ProgrammeBench, library: MediaLibrary, shelf: LibraryWorld) -> dict[str, str]:
    """Thôn Đông's programme, bulletin, recording, upload, silence, relay and drill."""
    items = (Item(text=f"{MARK} lời"),)
    await bench.programmes.add(
        Programme(id="noon", title=f"{MARK} trưa", area="dong", items=items, recurrence=weekly("11:30")), by=AN
    )
    await bench.bulletins.add(
        Bulletin(id="water", title=f"{MARK} nước", area="dong", text=f"{MARK} tin", valid_until="2030-01-01"), by=AN
    )
    data = recording(shelf.folder)
    whole = await library.intakes.begin(shelf.intake(data, area="dong", title=f"{MARK} bài", name=MARK))
    await library.intakes.append(whole.id, 0, pieces_of(data))
    kept = await finished(library, whole.id)
    coming = await library.intakes.begin(shelf.intake(b"1234", area="dong", title=f"{MARK} đang gửi"))
    world = bench.world
    world.ask(StartSilence(node="N001", reason=f"{MARK} im lặng"), by=AN)
    relay = world.ask(StartRelay(area="dong", feed="vov1", minutes=5), by=AN).result
    drill = world.ask(RaiseEmergency(area="dong", clip="drill", minutes=5, reality=Reality.DRILL), by=AN).result
    return {"entry": kept.entry, "intake": coming.id, "stream": relay.stream, "emergency": drill.id}  # type: ignore[union-attr] # refusals fail the test


@pytest_asyncio.fixture
async def village(pki: DevelopmentKeys, tmp_path: Path) -> AsyncIterator[Village]:
    shelf = LibraryWorld(tmp_path)
    async with programme_bench(pki, tmp_path) as bench, shelf.running() as library, aiohttp.ClientSession() as session:

        def add_more(application: web.Application) -> None:
            bench.add_routes(application)
            add_media_api(application, library)
            add_enrolment_api(application, _Nobody(), url="")

        names = await filled(bench, library, shelf)
        async with served_place(WorldConsole(bench.world), add_more=add_more) as place:
            yield Village(place=place, session=session, **names)


class _Nobody(EnrolmentService):
    """Where nobody was let through, nothing is asked of it."""

    def __init__(self) -> None:
        return


async def test_nothing_of_another_village_is_told_to_anybody(village: Village) -> None:
    tokens = {role: await village.token_of(role, "doai") for role in Role}
    shown = set()
    for method, path in routes("GET"):
        if path.endswith(("/voice", "/enrolments")):
            continue  # a microphone, and what is asked everywhere: see the other test
        for address in village.addresses(path):
            assert (await village.ask(method, address, ""))[0] == 401
            for role, token in tokens.items():
                status, said = await village.ask(method, address, token)
                assert status < 500, (role, address, said)
                assert not [each for each in SECRETS if each in said], (role, address, said)
            _, all_of_it = await village.ask(method, address, TOKEN)
            if any(each in all_of_it for each in SECRETS):
                shown.add(path)
    assert len(shown) >= 16, f"what nobody could see would show nothing: {sorted(shown)}"


async def test_nothing_of_another_village_is_changed_by_anybody(village: Village) -> None:
    tokens = [await village.token_of(role, "doai") for role in Role]
    before = await everything(village)
    body = {"area": "dong", "node": "N001", "pole": "N001", "clip": "drill", "reality": "drill", "feed": "vov1"}
    for (method, path), token in itertools.product(routes("POST", "PUT", "PATCH", "DELETE"), ["", *tokens]):
        if (method, path) in FOR_ANYBODY:
            continue
        for address in village.addresses(path):
            if "?" in address and not address.endswith("?area=dong"):
                continue
            status, said = await village.ask(method, address, token, json=body)
            assert status in ({401} if not token else {403, 404, 400}), (address, status, said)
    for path in ("/voice?area=dong&title=x", "/enrolments"):
        assert {(await village.ask("GET", API + path, token))[0] for token in tokens} == {403}
    assert await everything(village) == before


async def everything(village: Village) -> list[str]:
    """What Thôn Đông has, as whoever may see all sees it."""
    asked = ("/programmes/noon", "/bulletins/water", "/media", "/media/intakes", "/silences", "/relays", "/plans/dong")
    return [(await village.ask("GET", API + each, TOKEN))[1] for each in asked]
