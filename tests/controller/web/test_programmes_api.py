"""Programmes and bulletins over real HTTP: who may, what is kept, and that it reaches the plan."""

from __future__ import annotations

import datetime as dt
import io
import json
import zoneinfo
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest_asyncio

from controller.people.rights import Grant, Role
from tests.support.console_hand import SYSTEM, added
from tests.support.controller_console import TOKEN, Place, WorldConsole, served_place
from tests.support.pki import DevelopmentKeys
from tests.support.programme_bench import RECORDING, ProgrammeBench, programme_bench

NOON = {
    "id": "noon",
    "title": "Tin trưa",
    "area": "xa",
    "items": [{"text": "Kính chào bà con"}, {"media": RECORDING.sha256, "title": "Dân ca"}],
    "recurrence": {"rules": "DTSTART:20260101T113000\nRRULE:FREQ=DAILY"},
}
WATER = {
    "id": "water",
    "title": "Cắt nước",
    "area": "xa",
    "text": "Ngày mai cắt nước từ 8h đến 11h30.",
    "valid_until": "2030-01-01",
}


@dataclass(kw_only=True)
class Desk:
    """The API as one person after another calls it."""

    place: Place
    bench: ProgrammeBench
    session: aiohttp.ClientSession
    tokens: dict[str, str]

    async def __call__(self, method: str, path: str, body: Any = None, *, by: str = "an") -> tuple[int, Any]:
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Authorization": f"Bearer {self.tokens[by]}"}
        address = f"{self.place.address}/api/v1{path}"
        async with self.session.request(method, address, data=data, headers=headers) as answer:
            if answer.content_type != "application/json":
                return answer.status, await answer.read()
            return answer.status, await answer.json()

    async def give(self, path: str, data: bytes, *, by: str = "an") -> tuple[int, Any]:
        """A file."""
        headers = {"Authorization": f"Bearer {self.tokens[by]}"}
        address = f"{self.place.address}/api/v1{path}"
        async with self.session.post(address, data=io.BytesIO(data), headers=headers) as answer:
            return answer.status, await answer.json()

    async def join(self, name: str, area: str, *roles: Role) -> None:
        grants = frozenset(Grant(role=role, area=area) for role in roles)
        await added(self.place, name, *grants)
        office = self.place.people.office
        self.tokens[name] = await office.add_token(name, grants, person=name, days=5, acts_alone=False, by=SYSTEM)

    async def acts(self) -> list[str]:
        """What is on record, the oldest first."""
        log = await self.bench.acts()
        return [f"{act.who.partition('/')[0]} {act.what} {act.place}" for act in log]


@pytest_asyncio.fixture
async def desk(pki: DevelopmentKeys, tmp_path: Path) -> AsyncIterator[Desk]:
    async with (
        programme_bench(pki, tmp_path) as bench,
        served_place(WorldConsole(bench.world), add_more=bench.add_routes) as place,
        aiohttp.ClientSession() as session,
    ):
        made = Desk(place=place, bench=bench, session=session, tokens={"file": TOKEN})
        await made.join("an", "xa", Role.OPERATOR, Role.APPROVER)
        await made.join("binh", "xa", Role.APPROVER)
        await made.join("chi", "dong", Role.AUTHOR)
        await made.join("dung", "doai", Role.VIEWER)
        yield made


async def test_a_programme_is_added_changed_removed_and_brought_back(desk: Desk) -> None:
    status, made = await desk("POST", "/programmes?area=xa", NOON)
    assert (status, made["version"], made["problems"], len(made["begins_ms"])) == (201, 1, [], 5)
    assert desk.bench.titles("xa") >= {"Tin trưa", "Dân ca", "Chương trình sáng"}
    changed = {**NOON, "title": "Bản tin trưa", "items": [{"text": "Xin chào"}]}
    status, edited = await desk("PUT", "/programmes/noon?version=1", changed)
    assert (status, edited["version"], edited["change"]) == (200, 2, "edited")
    assert "Bản tin trưa" in desk.bench.titles("xa")
    assert "Dân ca" not in desk.bench.titles("xa")
    status, same = await desk("PUT", "/programmes/noon?version=2", changed)
    assert (status, same["version"]) == (200, 2), "what changes nothing makes no version"
    status, late = await desk("PUT", "/programmes/noon?version=1", NOON)
    assert (status, late["error"]["code"]) == (409, "conflict")
    status, gone = await desk("DELETE", "/programmes/noon?version=2")
    assert (status, gone["is_archived"]) == (200, True)
    assert desk.bench.titles("xa") == {"Chương trình sáng", "VOV1"}
    assert [each["id"] for each in (await desk("GET", "/programmes"))[1]["programmes"]] == ["morning"]
    listed = (await desk("GET", "/programmes?archived=1&area=dong"))[1]["programmes"]
    assert [(each["id"], each["is_archived"]) for each in listed] == [("morning", False), ("noon", True)]
    status, back = await desk("POST", "/programmes/noon/undo", {})
    assert (status, back["version"], back["restores"], back["is_archived"]) == (200, 4, 2, False)
    status, first = await desk("POST", "/programmes/noon/undo", {"to": 1})
    assert (status, first["programme"]["title"], len(first["versions"])) == (200, "Tin trưa", 5)
    assert "Dân ca" in desk.bench.titles("xa")
    status, old = await desk("GET", "/programmes/noon/versions/2")
    assert (status, old["programme"]["title"]) == (200, "Bản tin trưa")
    what = [f"an programme_{each} xa" for each in ("add", "edit", "remove", "undo", "undo")]
    assert await desk.acts() == what


async def test_what_is_kept_outlives_a_restart(desk: Desk) -> None:
    await desk("POST", "/programmes?area=xa", NOON)
    before = desk.bench.occurrences("xa")
    await desk.bench.restart()
    assert desk.bench.occurrences("xa") == before


async def test_what_does_not_fit_is_told_whole(desk: Desk) -> None:
    items = [{"file": "/etc/passwd"}, {"media": "e" * 64}, {"feed": "vov9", "duration_s": 5}, {"bulletin": "none"}]
    status, refused = await desk("POST", "/programmes?area=xa", {**NOON, "items": items})
    message = refused["error"]["message"]
    assert status == 400
    for fault in ("items[0]: file", "items[1]: media", "'vov9' is not known; known: vov1", "'none' is not known"):
        assert fault in message
    for body, expected in (
        ({**NOON, "area": "dong"}, "say the same"),
        ({**NOON, "recurrence": {"rules": "RRULE:FREQ=DAILY"}}, "DTSTART"),
        ({**NOON, "tittle": "x"}, "tittle"),
        ({**NOON, "broadcast_class": "emergency"}, "never planned"),
        ([], "the body is JSON with id, title"),
    ):
        status, refused = await desk("POST", "/programmes?area=xa", body)
        assert (status, expected in refused["error"]["message"]) == (400, True), refused
    assert (await desk("POST", "/programmes?area=xa", {**NOON, "id": "morning"}))[0] == 409
    assert (await desk("POST", "/programmes?area=nowhere", {**NOON, "area": "nowhere"}, by="file"))[0] == 404
    for path in ("/programmes/none", "/programmes/noon/versions/1", f"/programmes/noon/versions/{'9' * 9}"):
        assert (await desk("GET", path))[0] == 404
    for path in ("/programmes/noon/versions/x", f"/programmes/noon/versions/{'9' * 5000}"):
        assert (await desk("GET", path))[0] == 400
    assert (await desk("PUT", "/programmes/noon", NOON))[0] == 400
    large = {**NOON, "items": [{"text": "x" * 20_000}] * 30}
    assert (await desk("POST", "/programmes?area=xa", large))[0] == 400
    assert await desk.acts() == []


async def test_the_configurations_programmes_are_shown_and_not_changed(desk: Desk) -> None:
    status, shown = await desk("GET", "/programmes/morning")
    assert (status, shown["source"], shown["version"]) == (200, "configuration", None)
    assert shown["programme"]["items"][0] == {"file": "/site/song.mp3"}
    body = {**NOON, "id": "morning"}
    for method, path, given in (
        ("PUT", "/programmes/morning?version=1", body),
        ("DELETE", "/programmes/morning?version=1", None),
        ("POST", "/programmes/morning/undo", {}),
    ):
        status, refused = await desk(method, path, given)
        assert (status, "configuration file" in refused["error"]["message"]) == (409, True)


async def test_rights_end_at_their_area(desk: Desk) -> None:
    assert (await desk("POST", "/programmes?area=xa", NOON, by="chi"))[0] == 403
    assert (await desk("POST", "/programmes?area=dong", {**NOON, "area": "dong"}, by="chi"))[0] == 403
    assert (await desk("POST", "/programmes?area=dong", NOON, by="an"))[0] == 400, "the body says another area"
    assert (await desk("POST", "/programmes?area=dong", {**NOON, "id": "p", "area": "dong"}))[0] == 201
    assert (await desk("POST", "/programmes?area=xa", NOON))[0] == 201
    assert (await desk("DELETE", "/programmes/noon?version=1", by="chi"))[0] == 403
    listed = (await desk("GET", "/programmes", by="dung"))[1]["programmes"]
    assert [each["id"] for each in listed] == ["morning", "noon"], "what is above sounds here, what is beside does not"
    assert (await desk("GET", "/programmes/p", by="dung"))[0] == 404
    assert (await desk("GET", "/programmes/noon", by="dung"))[0] == 200


async def test_a_bulletin_sounds_once_another_person_has_approved_it(desk: Desk) -> None:
    assert (await desk("POST", "/bulletins?area=xa", WATER))[1]["state"] == "written"
    programme = {**NOON, "items": [{"bulletin": "water", "chime": True}, {"text": "Hết"}]}
    status, made = await desk("POST", "/programmes?area=xa", programme)
    assert (status, "not approved" in made["problems"][0]) == (201, True)
    assert "Cắt nước" not in desk.bench.titles("xa")
    yes = {"version": 1, "approve": True}
    for by, expected in (("an", 403), ("file", 403), ("chi", 403), ("dung", 403)):
        assert (await desk("POST", "/bulletins/water/decision", yes, by=by))[0] == expected
    status, own = await desk("POST", "/bulletins/water/decision", yes)
    assert (status, "nobody decides on what they wrote" in own["error"]["message"]) == (403, True)
    status, approved = await desk("POST", "/bulletins/water/decision", yes, by="binh")
    assert (status, approved["state"], approved["airs_version"]) == (200, "approved", 1)
    found = [each for each in desk.bench.occurrences("xa") if each.title == "Cắt nước"]
    assert [each.chime_ms for each in found[:1]] == [2_500]
    assert (await desk("GET", "/programmes/noon"))[1]["problems"] == []


async def test_what_was_approved_sounds_until_the_next_version_is(desk: Desk) -> None:
    await desk("POST", "/bulletins?area=xa", WATER)
    await desk("POST", "/programmes?area=xa", {**NOON, "items": [{"bulletin": "water"}, {"text": "Hết"}]})
    await desk("POST", "/bulletins/water/decision", {"version": 1, "approve": True}, by="binh")
    status, edited = await desk("PUT", "/bulletins/water?version=1", {**WATER, "title": "Cắt nước chiều"})
    assert (status, edited["state"], edited["airs_version"]) == (200, "written", 1)
    assert "Cắt nước" in desk.bench.titles("xa")
    assert (await desk("POST", "/bulletins/water/decision", {"version": 1, "approve": True}, by="binh"))[0] == 409
    assert (await desk("POST", "/bulletins/water/decision", {"version": 2, "approve": False}, by="binh"))[0] == 400
    no = {"version": 2, "approve": False, "reason": "sai giờ"}
    assert (await desk("POST", "/bulletins/water/decision", no, by="binh"))[1]["state"] == "refused"
    assert (await desk("POST", "/bulletins/water/decision", {"version": 2, "approve": True}, by="binh"))[0] == 200
    assert "Cắt nước chiều" in desk.bench.titles("xa")
    await desk.bench.restart()
    assert "Cắt nước chiều" in desk.bench.titles("xa")
    taken = {"version": 2, "approve": False, "reason": "nước đã có lại"}
    status, back = await desk("POST", "/bulletins/water/decision", taken, by="binh")
    assert (status, back["state"], back["airs_version"]) == (200, "refused", None)
    assert "Cắt nước chiều" not in desk.bench.titles("xa")
    assert "Cắt nước" not in desk.bench.titles("xa")
    verbs = [each.split()[1] for each in await desk.acts()]
    expected = ["add", "add", "approve", "edit", "refuse", "approve", "take_back"]
    assert [each.partition("_")[2] for each in verbs] == expected


async def test_what_was_withdrawn_comes_back_unapproved(desk: Desk) -> None:
    await desk("POST", "/bulletins?area=xa", WATER)
    await desk("POST", "/programmes?area=xa", {**NOON, "items": [{"bulletin": "water"}, {"text": "Hết"}]})
    await desk("POST", "/bulletins/water/decision", {"version": 1, "approve": True}, by="binh")
    assert "Cắt nước" in desk.bench.titles("xa")
    status, gone = await desk("DELETE", "/bulletins/water?version=1")
    assert (status, gone["state"], [each["id"] for each in gone["programmes"]]) == (200, "withdrawn", ["noon"])
    assert "Cắt nước" not in desk.bench.titles("xa")
    status, back = await desk("POST", "/bulletins/water/undo", {})
    assert (status, back["state"], back["airs_version"]) == (200, "written", None)
    assert "Cắt nước" not in desk.bench.titles("xa")
    assert (await desk("GET", "/bulletins?area=dong"))[1]["bulletins"][0]["id"] == "water"


async def test_a_bulletin_ends_when_it_says(desk: Desk) -> None:
    world = desk.bench.world
    zone = zoneinfo.ZoneInfo(world.config.time_zone)
    last = dt.datetime.fromtimestamp(world.now.shared_ms / 1000, zone) + dt.timedelta(days=3)
    ends = f"{last:%Y-%m-%d}"
    await desk("POST", "/bulletins?area=xa", {**WATER, "valid_until": ends})
    await desk("POST", "/programmes?area=xa", {**NOON, "items": [{"bulletin": "water"}, {"text": "Hết"}]})
    await desk("POST", "/bulletins/water/decision", {"version": 1, "approve": True}, by="binh")
    starts = [each.start_at_ms for each in desk.bench.occurrences("xa") if each.title == "Cắt nước"]
    assert len(starts) == 4, "today at noon, and three more days, the last one whole"


async def test_a_bulletin_is_heard_before_it_is_published(desk: Desk) -> None:
    await desk("POST", "/bulletins?area=xa", WATER)
    status, sound = await desk("GET", "/bulletins/water/sound", by="binh")
    assert (status, sound[:4]) == (200, b"OggS")
    status, again = await desk("POST", "/speech", {"text": WATER["text"]})
    assert (status, again) == (200, sound), "the very sound that the poles get"
    assert (await desk("POST", "/speech", {"text": "x", "language": "hmn"}))[0] == 400
    assert (await desk("POST", "/speech", {"text": "x"}, by="dung"))[0] == 403
    assert (await desk("GET", "/bulletins/water/sound?version=7"))[0] == 404


async def test_programmes_go_to_other_programs_and_come_back(desk: Desk) -> None:
    await desk("POST", "/programmes?area=xa", NOON)
    status, calendar = await desk("GET", "/exchange/ical?id=noon", by="dung")
    assert (status, b"SUMMARY:Tin tr\xc6\xb0a" in calendar) == (200, True)
    await desk("DELETE", "/programmes/noon?version=1")
    status, told = await desk.give("/exchange/ical?area=xa&preview=1", calendar)
    assert (status, told["is_kept"], [each["change"] for each in told["programmes"]]) == (200, False, ["edited"])
    assert "Tin trưa" not in desk.bench.titles("xa")
    assert (await desk.give("/exchange/ical?area=xa", calendar))[1]["is_kept"]
    assert "Tin trưa" in desk.bench.titles("xa")
    assert [each["change"] for each in (await desk.give("/exchange/ical?area=xa", calendar))[1]["programmes"]] == [
        "unchanged"
    ]
    acts = [each.split()[1] for each in await desk.acts()]
    assert acts == ["programme_add", "programme_remove", "programme_import"]


async def test_a_file_of_another_program_fits_the_area_that_was_asked_or_is_left_out(desk: Desk) -> None:
    meeting = (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\nBEGIN:VEVENT\r\nUID:hop@example\r\n"
        "DTSTAMP:20260101T000000Z\r\nDTSTART:20270101T190000\r\nDURATION:PT30M\r\nSUMMARY:Họp thôn\r\n"
        "RRULE:FREQ=MONTHLY\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    ).encode()
    status, told = await desk.give("/exchange/ical?area=xa", meeting)
    assert (status, told["programmes"], told["remarks"][0]["is_left_out"]) == (200, [], True)
    status, told = await desk.give("/exchange/ical?area=xa&spoken=1", meeting)
    [row] = told["programmes"]
    assert (row["title"], row["area"], row["change"]) == ("Họp thôn", "xa", "added")
    status, told = await desk.give("/exchange/ical?area=dong&spoken=1", meeting)
    assert (told["programmes"], "belongs to xa" in told["remarks"][0]["reason"]) == ([], True)
    for path, data, expected in (
        ("/exchange/ical?area=xa&spoken=1&feed=vov1", meeting, 400),
        ("/exchange/ical?area=xa", b"nothing", 400),
        ("/exchange/ical?area=xa&colour=red", meeting, 400),
        ("/exchange/ical?area=xa", b"x" * (1024 * 1024 + 1), 400),
        ("/exchange/pdf?area=xa", meeting, 404),
    ):
        assert (await desk.give(path, data))[0] == expected
    assert (await desk.give("/exchange/ical?area=xa&spoken=1", meeting, by="chi"))[0] == 403


async def test_a_playlist_becomes_a_programme_and_a_programme_a_playlist(desk: Desk) -> None:
    playlist = b"#EXTM3U\n#EXTINF:600,Tin VOV\nhttp://station.example/vov1.m3u8\n#EXTINF:9,x\nC:\\nhac\\dan-ca.mp3\n"
    path = "/exchange/m3u?area=xa&id=toi&title=T%E1%BB%91i"
    assert (await desk.give(path, playlist))[0] == 400, "nobody has said when"
    status, told = await desk.give(f"{path}&at=18:00&days=mon,fri", playlist)
    assert (status, [each["change"] for each in told["programmes"]]) == (200, ["added"])
    assert "add it first" in told["remarks"][0]["reason"]
    shown = (await desk("GET", "/programmes/toi"))[1]["programme"]
    assert shown["items"] == [{"feed": "vov1", "duration_s": 600, "title": "Tin VOV"}]
    for kind in ("m3u", "xspf"):
        status, given = await desk("GET", f"/exchange/{kind}?id=toi")
        assert (status, b"vov1.m3u8" in given) == (200, True)
        told = (await desk.give(f"/exchange/{kind}?area=xa&id=toi", given))[1]
        assert [each["change"] for each in told["programmes"]] == ["unchanged"]
    assert (await desk("GET", "/exchange/xspf"))[0] == 400
    assert (await desk("GET", "/exchange/xspf?id=none"))[0] == 404
