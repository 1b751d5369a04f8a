"""What a person or a program with a genuine token may try beyond its place: said twice, packed, borrowed, too much."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from controller.people.rights import Grant, Role
from controller.programmes.fitting import AREA_PROGRAMMES_MAX
from tests.support.console_hand import SYSTEM, added
from tests.support.controller_console import TOKEN, Place, WorldConsole, served_place
from tests.support.pki import DevelopmentKeys
from tests.support.programme_bench import RECORDING, ProgrammeBench, programme_bench

OF_DOAI = Grant(role=Role.OPERATOR, area="doai")
SONG = {"media": RECORDING.sha256}
NEWS = {"id": "news", "title": "Tin", "area": "doai", "items": [SONG], "recurrence": {"rules": ""}}
NEWS["recurrence"] = {"rules": "DTSTART:20260101T113000\nRRULE:FREQ=DAILY"}
EVENT = "BEGIN:VEVENT\r\nUID:e{0}@x\r\nSUMMARY:{0}\r\nDTSTART:20260101T0530{1:02}\r\nRRULE:FREQ=DAILY\r\nEND:VEVENT\r\n"


class Caller:
    """An operator of Thôn Đoài, and nobody elsewhere."""

    def __init__(self, place: Place, bench: ProgrammeBench, session: aiohttp.ClientSession, token: str) -> None:
        self.place, self.bench = place, bench
        self._session, self._token = session, token

    async def __call__(self, method: str, path: str, token: str = "", **more: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token or self._token}", **more.pop("headers", {})}
        async with self._session.request(method, self.place.address + path, headers=headers, **more) as answer:
            return answer.status, await answer.text()


@pytest_asyncio.fixture
async def call(pki: DevelopmentKeys, tmp_path: Path) -> AsyncIterator[Caller]:
    async with (
        programme_bench(pki, tmp_path) as bench,
        served_place(WorldConsole(bench.world), add_more=bench.add_routes) as place,
        aiohttp.ClientSession() as session,
    ):
        await added(place, "dung", OF_DOAI)
        token = await place.people.office.add_token(
            "dung", frozenset({OF_DOAI}), person="dung", days=5, acts_alone=True, by=SYSTEM
        )
        yield Caller(place, bench, session, token)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/plan?pole=N001&pole=N003",
        "/api/v1/reports?area=dong&area=doai",
        "/api/v1/media/intakes?area=dong&area=doai",
        "/api/v1/voice?area=dong&area=doai",
        "/reports?area=dong&area=doai",
    ],
)
async def test_what_is_said_twice_is_not_read_in_two_ways(call: Caller, path: str) -> None:
    """Rights are asked for one of them, and the other is what is done."""
    status, said = await call("GET", path)
    assert (status, "twice" in said) == (400, True)
    assert (await call("GET", "/api/v1/plan?pole=N003"))[0] == 200
    assert (await call("GET", "/api/v1/plan?pole=N001"))[0] == 403


async def test_a_body_that_says_a_place_twice_is_judged_by_what_is_done(call: Caller) -> None:
    for first, second, expected in (("N001", "N003", 200), ("N003", "N001", 403)):
        body = f'{{"pole": "{first}", "pole": "{second}"}}'.encode()
        status, said = await call("POST", "/api/v1/plan", data=body)
        assert status == expected
        assert expected != 200 or '"pole":"N003"' in said


@pytest.mark.parametrize("path", ["/api/v1/plan", "/api/v1/exchange/ical?area=doai", "/login"])
async def test_nothing_is_unpacked_for_anybody(call: Caller, path: str) -> None:
    bomb = zlib.compress(bytes(10_000_000), 9)
    status, said = await call("POST", path, data=bomb, headers={"Content-Encoding": "deflate"})
    assert (status, "Content-Encoding" in said) == (400, True)


async def test_the_recording_of_another_place_is_not_played_here(call: Caller) -> None:
    """By its hash, which anybody can know, neither in a programme nor in a bulletin."""
    words = {"id": "words", "title": "Tin", "area": "doai", "audio": RECORDING.sha256, "valid_until": "2030-01-01"}
    for area, expected in (("dong", 400), ("xa", 201)):
        call.bench.library_areas = {RECORDING.sha256: area}
        assert (await call("POST", "/api/v1/programmes?area=doai", json=NEWS))[0] == expected
        assert (await call("POST", "/api/v1/bulletins?area=doai", json=words))[0] == expected


async def test_one_calendar_is_no_way_around_the_bound_of_a_place(call: Caller) -> None:
    events = "".join(EVENT.format(number, number % 60) for number in range(AREA_PROGRAMMES_MAX + 1))
    data = f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{events}END:VCALENDAR\r\n".encode()
    status, said = await call("POST", "/api/v1/exchange/ical?area=doai&spoken=1", data=data)
    assert (status, str(AREA_PROGRAMMES_MAX) in said) == (429, True)
    assert not call.bench.world.desk.site.programmes_of("doai")


@pytest.mark.parametrize(("rule", "items"), [("FREQ=MINUTELY;INTERVAL=5", 8), ("FREQ=HOURLY;BYMINUTE=0,15,30,45", 22)])
async def test_nobody_makes_the_planner_work_for_all_others(call: Caller, rule: str, items: int) -> None:
    """Twenty such programmes kept the controller for seconds at each compiling, emergencies waiting."""
    rules = {"rules": f"DTSTART:20260101T000000\nRRULE:{rule}"}
    relays = [{"feed": "vov1", "duration_s": 2}] * items
    busy = {**NEWS, "items": relays, "recurrence": rules}
    status, said = await call("POST", "/api/v1/programmes?area=doai", json=busy)
    assert (status, "2048" in said) == (429, True)
    status, said = await call("POST", "/api/v1/plan", json={"pole": "N003", "programmes": [busy]})
    assert (status, "2048" in said) == (429, True)
    half = {**busy, "id": "half", "items": relays[: items // 2]}
    assert (await call("POST", "/api/v1/programmes?area=doai", json=half))[0] == 201
    assert (await call("POST", "/api/v1/programmes?area=doai", json={**half, "id": "other"}))[0] == 429
    assert (await call("PUT", "/api/v1/programmes/half?version=1", json={**busy, "id": "half"}))[0] == 429


async def test_whoever_may_do_everything_says_things_once_too(call: Caller) -> None:
    assert (await call("GET", "/api/v1/media?area=xa&area=dong", token=TOKEN))[0] == 400
