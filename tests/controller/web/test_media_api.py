"""The library over real HTTP: uploads by tus, what they become, who sees and who may change what."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from controller.adapters.media.library import MediaLibrary
from controller.people.rights import Grant, Role
from controller.web.media_api import add_media_api
from tests.support.console_hand import SYSTEM
from tests.support.controller_console import TOKEN, Place, WorldConsole, served_place
from tests.support.controller_desk import DeskWorld
from tests.support.media_library import LibraryWorld, finished, recording
from tests.support.pki import DevelopmentKeys

BEARER = {"Authorization": f"Bearer {TOKEN}"}
BYTES = "application/offset+octet-stream"


class Client:
    """A program that uploads."""

    def __init__(self, place: Place, library: MediaLibrary, session: aiohttp.ClientSession) -> None:
        self.place, self.library, self._session = place, library, session
        self.bearer = BEARER

    async def __call__(
        self, method: str, path: str, *, json: Any = None, data: bytes | None = None, **headers: str
    ) -> tuple[int, Any, dict[str, str]]:
        sent = {**self.bearer, **{name.replace("_", "-"): value for name, value in headers.items()}}
        url = f"{self.place.address}/api/v1/media{path}"
        async with self._session.request(method, url, json=json, data=data, headers=sent) as answer:
            body = await answer.read()
            is_json = answer.content_type == "application/json" and body
            return answer.status, await answer.json() if is_json else body, dict(answer.headers)

    async def begin(self, data: bytes, *, area: str = "xa", **notes: str) -> str:
        """Where the bytes go."""
        told = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in notes.items())
        status, answer, headers = await self(
            "POST", f"/intakes?area={area}", Upload_Length=str(len(data)), Upload_Metadata=told
        )
        assert (status, headers["Tus-Resumable"]) == (201, "1.0.0"), answer
        return headers["Location"].removeprefix("/api/v1/media")

    async def upload(self, data: bytes, *, area: str = "xa", **notes: str) -> dict[str, Any]:
        """What came of it."""
        path = await self.begin(data, area=area, **notes)
        assert (await self("PATCH", path, data=data, Upload_Offset="0", Content_Type=BYTES))[0] == 204
        await finished(self.library, path.rpartition("/")[2])
        found: dict[str, Any] = (await self("GET", path))[1]
        return found

    async def with_roles(self, *grants: Grant) -> None:
        """From now on by a token of these roles."""
        made = await self.place.people.office.add_token("thử", grants, days=1, acts_alone=False, person="", by=SYSTEM)
        self.bearer = {"Authorization": f"Bearer {made}"}


@pytest.fixture
def shelf(tmp_path: Path) -> LibraryWorld:
    return LibraryWorld(tmp_path)


@pytest_asyncio.fixture
async def client(pki: DevelopmentKeys, shelf: LibraryWorld) -> AsyncIterator[Client]:
    world = DeskWorld(pki)
    world.begin()
    async with (
        shelf.running() as library,
        served_place(WorldConsole(world), add_more=lambda each: add_media_api(each, library)) as place,
        aiohttp.ClientSession() as session,
    ):
        yield Client(place, library, session)


async def test_an_upload_is_resumed_and_becomes_a_recording(client: Client, shelf: LibraryWorld) -> None:
    data = recording(shelf.folder)
    sha256 = hashlib.sha256(data).hexdigest()
    path = await client.begin(data, filename="C:\\tin\\Bản tin sáng.wav", licence="của xã", sha256=sha256)
    status, _, headers = await client("PATCH", path, data=data[:700], Upload_Offset="0", Content_Type=BYTES)
    assert (status, headers["Upload-Offset"]) == (204, "700")
    status, refused, _ = await client("PATCH", path, data=data[:700], Upload_Offset="0", Content_Type=BYTES)
    assert (status, refused["error"]["code"]) == (409, "conflict")
    status, _, headers = await client("HEAD", path)
    assert (status, headers["Upload-Offset"], headers["Upload-Length"]) == (200, "700", str(len(data)))
    assert headers["Cache-Control"] == "no-store"
    assert (await client("PATCH", path, data=data[700:], Upload_Offset="700", Content_Type=BYTES))[0] == 204
    await finished(client.library, path.rpartition("/")[2])
    _, told, _ = await client("GET", path)
    assert (told["state"], told["title"], told["measured_ms"]) == ("kept", "Bản tin sáng", 1000)
    status, entry, _ = await client("GET", f"/{told['entry']}")
    assert (status, entry["area"], entry["licence"], entry["added_by"]) == (200, "xa", "của xã", "service/file")
    assert (entry["duration_ms"], entry["state"], entry["is_there"], entry["uses"]) == (1000, "kept", True, [])
    _, sound, headers = await client("GET", f"/{told['entry']}/sound")
    assert (headers["Content-Type"], hashlib.sha256(sound).hexdigest()) == ("audio/ogg", entry["sha256"])
    _, part, _ = await client("GET", f"/{told['entry']}/sound", Range="bytes=10-19")
    assert part == sound[10:20]
    _, original, headers = await client("GET", f"/{told['entry']}/original")
    assert (original, headers["Content-Disposition"]) == (data, "attachment")
    _, outline, _ = await client("GET", f"/{told['entry']}/waveform")
    assert (len(outline["points"]), outline["duration_ms"]) == (100, 1000)
    _, listed, _ = await client("GET", "")
    assert [each["id"] for each in listed["media"]] == [told["entry"]]
    _, listed, _ = await client("GET", "/intakes")
    assert [each["id"] for each in listed["intakes"]] == [told["id"]]


async def test_a_refusal_has_a_code_and_both_languages(client: Client) -> None:
    told = await client.upload(b"Kinh gui ba con\n" * 100, filename="thu.txt")
    assert (told["state"], told["refusal"]["code"]) == ("refused", "not_audio")
    assert told["refusal"]["vi"].startswith("không phải tệp âm thanh")
    assert told["refusal"]["en"].startswith("it is no sound file")


async def test_what_is_removed_leaves_the_list_and_comes_back(client: Client, shelf: LibraryWorld) -> None:
    entry = (await client.upload(recording(shelf.folder), title="Bản tin"))["entry"]
    shelf.uses[client.library.entry(entry).reference.sha256] = ("programme sang (xa)",)
    _, shown, _ = await client("GET", f"/{entry[:8]}")
    assert shown["uses"] == ["programme sang (xa)"]
    status, refused, _ = await client("DELETE", f"/{entry}")
    assert (status, "programme sang (xa)" in refused["error"]["message"]) == (409, True)
    shelf.uses.clear()
    assert (await client("DELETE", f"/{entry}"))[1]["state"] == "removed"
    assert (await client("GET", ""))[1] == {"media": [], "found": 0}
    assert [each["id"] for each in (await client("GET", "?removed=1"))[1]["media"]] == [entry]
    assert (await client("DELETE", f"/{entry}"))[0] == 409
    assert (await client("POST", f"/{entry}/restore"))[1]["state"] == "kept"
    assert (await client("POST", f"/{entry}/restore"))[0] == 409
    assert [each["id"] for each in (await client("GET", "?area=dong"))[1]["media"]] == [entry], "it is above dong"


async def test_the_list_is_bounded_and_searched(client: Client, shelf: LibraryWorld) -> None:
    for seed, title in enumerate(["Bản tin sáng", "Bản tin chiều", "Nhạc hiệu"]):
        shelf.now_ms += 1
        await client.upload(recording(shelf.folder, seed=seed), title=title)

    async def titles(query: str) -> list[str]:
        return [each["title"] for each in (await client("GET", query))[1]["media"]]

    assert await titles("") == ["Nhạc hiệu", "Bản tin chiều", "Bản tin sáng"]
    assert await titles("?limit=1") == ["Nhạc hiệu"]
    assert (await client("GET", "?limit=1"))[1]["found"] == 3
    assert await titles("?search=TIN+bản") == ["Bản tin chiều", "Bản tin sáng"]
    for wrong in ("0", "1001", "x", "-1", "99999999"):
        assert (await client("GET", f"?limit={wrong}"))[0] == 400


async def test_a_title_is_mended(client: Client, shelf: LibraryWorld) -> None:
    entry = (await client.upload(recording(shelf.folder), title="Bản tni", licence="của xã"))["entry"]
    assert (await client("POST", f"/{entry}", json={"title": " Bản tin "}))[1]["title"] == "Bản tin"
    _, shown, _ = await client("GET", f"/{entry}")
    assert (shown["title"], shown["licence"], len(await client.library.waveform(client.library.entry(entry)))) == (
        "Bản tin",
        "của xã",
        100,
    )
    for wrong in ({"title": " "}, {"title": "x" * 201}, {"licence": "x" * 301}, {"area": "dong"}):
        assert (await client("POST", f"/{entry}", json=wrong))[0] == 400


async def test_each_place_changes_its_own_and_sees_what_is_above(client: Client, shelf: LibraryWorld) -> None:
    of_xa = (await client.upload(recording(shelf.folder, seed=1), area="xa", title="xã"))["entry"]
    of_dong = (await client.upload(recording(shelf.folder, seed=2), area="dong", title="đông"))["entry"]
    of_doai = (await client.upload(recording(shelf.folder, seed=3), area="doai", title="đoài"))["entry"]
    await client.with_roles(Grant(role=Role.AUTHOR, area="dong"))
    assert {each["id"] for each in (await client("GET", ""))[1]["media"]} == {of_xa, of_dong}
    assert (await client("GET", f"/{of_xa}/waveform"))[0] == 200
    assert (await client("GET", f"/{of_doai}"))[0] == 404
    assert (await client("GET", f"/{of_doai}/sound"))[0] == 404
    assert (await client("POST", f"/{of_xa}", json={"title": "x"}))[0] == 403
    assert (await client("DELETE", f"/{of_xa}"))[0] == 403
    assert (await client("DELETE", f"/{of_doai}"))[0] == 403
    assert of_doai not in str(await client("GET", "/" + of_doai[:1])), "a beginning names no others"
    assert (await client("GET", f"?search={'+'.join(map(str, range(17)))}"))[0] == 400
    assert (await client("DELETE", f"/{of_dong}"))[0] == 200
    assert (await client("POST", "/intakes?area=xa", Upload_Length="10"))[0] == 403
    assert (await client("POST", "/pulls", json={"area": "xa", "url": "https://example.com/a.mp3"}))[0] == 403
    mine = await client.begin(b"1234", area="dong", title="x")
    await client.with_roles(Grant(role=Role.AUTHOR, area="doai"))
    assert (await client("PATCH", mine, data=b"1234", Upload_Offset="0", Content_Type=BYTES))[0] == 403
    assert (await client("DELETE", mine))[0] == 403
    assert [each["area"] for each in (await client("GET", "/intakes"))[1]["intakes"]] == ["doai", "xa"]
    await client.with_roles(Grant(role=Role.VIEWER))
    assert (await client("GET", f"/{of_xa}"))[0] == 200
    assert (await client("DELETE", f"/{of_xa}"))[0] == 403


SENSELESS: list[tuple[dict[str, str], str]] = [
    ({}, "Upload-Length"),
    ({"Upload_Length": "0"}, "Upload-Length"),
    ({"Upload_Length": "-5"}, "Upload-Length"),
    ({"Upload_Length": "9" * 13}, "Upload-Length"),
    ({"Upload_Length": "3000000000", "Upload_Metadata": "title QQ=="}, "3000000000"),
    ({"Upload_Length": "10", "Upload_Metadata": "title !!"}, "Upload-Metadata"),
    ({"Upload_Length": "10", "Upload_Metadata": "title /w=="}, "Upload-Metadata"),
    ({"Upload_Length": "10", "Upload_Metadata": "title " + "QUFB" * 2000}, "Upload-Metadata"),
    ({"Upload_Length": "10", "Upload_Metadata": "title QQ==,sha256 QQ=="}, "sha256"),
    ({"Upload_Length": "10"}, "title"),
    ({"Upload_Length": "10", "Tus_Resumable": "0.2.2"}, "tus 0.2.2"),
]


async def test_a_beginning_that_makes_no_sense_is_refused(client: Client) -> None:
    for headers, reason in SENSELESS:
        sent: dict[str, Any] = dict(headers)
        status, answer, _ = await client("POST", "/intakes?area=xa", **sent)
        assert (status, reason in answer["error"]["message"]) == (400, True), (headers, answer)
    assert not client.library.intakes.all


async def test_pieces_that_make_no_sense_are_refused(client: Client) -> None:
    path = await client.begin(b"1234", title="x")
    assert (await client("PATCH", path, data=b"1234", Upload_Offset="0", Content_Type="text/plain"))[0] == 400
    assert (await client("PATCH", path, data=b"1234", Upload_Offset="x", Content_Type=BYTES))[0] == 400
    assert (await client("PATCH", path, data=b"12345", Upload_Offset="0", Content_Type=BYTES))[0] == 400
    assert (await client("PATCH", "/intakes/nothing", data=b"1", Upload_Offset="0", Content_Type=BYTES))[0] == 404
    assert (await client("DELETE", path))[0] == 204
    assert (await client("DELETE", path))[0] == 409
    assert (await client("GET", path))[1]["state"] == "cancelled"
    assert (await client("POST", "/intakes?area=nowhere", Upload_Length="9"))[0] == 404


FORBIDDEN: list[tuple[dict[str, str], int]] = [
    ({"area": "xa", "url": "https://127.0.0.1/a.mp3"}, 400),
    ({"area": "xa", "url": "ftp://example.com/a.mp3"}, 400),
    ({"area": "xa", "url": "http://lan:secret@example.com/a.mp3"}, 400),
    ({"area": "xa", "url": "https://example.com/a.mp3", "titel": "x"}, 400),
    ({"area": "xa"}, 400),
    ({"area": "nowhere", "url": "https://example.com/a.mp3"}, 404),
]


async def test_a_pull_from_where_nothing_is_pulled_is_refused(client: Client) -> None:
    for body, status in FORBIDDEN:
        found, answer, _ = await client("POST", "/pulls", json=body)
        assert found == status, (body, answer)
        assert "secret" not in str(answer)
    assert not client.library.intakes.all


async def test_a_large_file_passes_the_bound_of_other_bodies(client: Client, shelf: LibraryWorld) -> None:
    data = recording(shelf.folder, seconds=4.0)
    assert len(data) > 16 * 1024
    assert (await client.upload(data, title="dài"))["state"] == "kept"
