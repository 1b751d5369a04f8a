"""Reports over real HTTP and by command: who sees which places, which periods are taken, what comes back."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import urllib.parse
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import openpyxl  # type: ignore[import-untyped]  # its types are a package of their own
import pytest
import pytest_asyncio
import yaml

from controller.cli import main
from controller.people.rights import Grant, Role
from controller.reporting.lines import Report
from controller.reporting.questions import TallyAnswer, TallyQuestion
from tests.support.console_hand import Hand, added
from tests.support.controller_console import TOKEN, Place, WorldConsole, served_place
from tests.support.controller_desk import DeskWorld, plain_config
from tests.support.pki import DevelopmentKeys
from tests.support.report_world import answer_of, commune_places

BEARER = {"Authorization": f"Bearer {TOKEN}"}
Command = Callable[..., Any]


class KeptTallies:
    """Counts of a month, whatever is asked; remembers the questions. Those of other nodes are left out."""

    def __init__(self, answer: TallyAnswer) -> None:
        self._answer = answer
        self.asked: list[TallyQuestion] = []

    async def answer(self, question: TallyQuestion) -> TallyAnswer:
        self.asked.append(question)
        nodes = question.nodes
        kept = {
            name: [row for row in getattr(self._answer, name) if nodes is None or row.node in nodes]
            for name in ("tallies", "reasons", "nodes")
        }
        return TallyAnswer(**kept, emergencies=[], lost_reports={}, counted_share=1.0)


@pytest.fixture
def world(pki: DevelopmentKeys) -> DeskWorld:
    made = DeskWorld(pki, **commune_places())
    made.begin()
    return made


@pytest.fixture
def tallies(world: DeskWorld) -> KeptTallies:
    return KeptTallies(answer_of(world.desk.site))


@pytest_asyncio.fixture
async def place(world: DeskWorld, tallies: KeptTallies) -> AsyncIterator[Place]:
    async with served_place(WorldConsole(world), tallies=tallies) as made:
        yield made


async def got(session: aiohttp.ClientSession, place: Place, **question: str) -> tuple[int, bytes, Any]:
    url = f"{place.address}/api/v1/reports?{urllib.parse.urlencode(question)}"
    async with session.get(url, headers=BEARER) as answer:
        return answer.status, await answer.read(), answer.headers


async def test_the_api_gives_the_report_of_an_area(
    place: Place, session: aiohttp.ClientSession, tallies: KeptTallies
) -> None:
    status, body, _ = await got(session, place, area="thon-1", **{"from": "2026-11-01", "until": "2026-11-30"})
    report = msgspec.json.decode(body, type=Report)
    assert (status, report.area_title, len(report.nodes)) == (200, "Thôn Đoài", 4)
    assert tallies.asked[-1].period.keys == (202611,)
    assert tallies.asked[-1].nodes == ("N005", "N006", "N007", "N008")


async def test_everything_is_asked_for_without_an_area(
    place: Place, session: aiohttp.ClientSession, tallies: KeptTallies
) -> None:
    status, body, _ = await got(session, place, year="2026", **{"class": "emergency", "source": "stream"})
    report = msgspec.json.decode(body, type=Report)
    assert (status, report.area, report.first, report.last) == (200, "", "2025-12-15", "2026-12-14")
    question = tallies.asked[-1]
    assert (question.nodes, question.broadcast_class, question.source) == (None, "emergency", "stream")


@pytest.mark.parametrize(
    ("question", "status"),
    [
        ({"area": "nowhere"}, 404),
        ({"from": "22/11/2026"}, 400),
        ({"from": "2026-11-22", "until": "2026-11-01"}, 400),
        ({"month": "2026-13"}, 400),
        ({"class": "loud"}, 400),
        ({"source": "radio"}, 400),
        ({"format": "exe"}, 400),
        ({"year": "2026", "month": "2026-11"}, 400),
    ],
)
async def test_a_wrong_question_is_answered_by_a_sentence(
    place: Place, session: aiohttp.ClientSession, question: dict[str, str], status: int
) -> None:
    answered, body, _ = await got(session, place, **question)
    assert answered == status
    assert len(json.loads(body)["error"]["message"]) > 20


async def test_files_have_their_names_and_kinds(place: Place, session: aiohttp.ClientSession) -> None:
    for wanted, kind, start in (
        ("pdf", "application/pdf", b"%PDF-"),
        ("csv", "text/csv; charset=utf-8", b"\xef\xbb\xbf"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", b"PK"),
    ):
        status, body, headers = await got(session, place, area="xa", month="2026-11", format=wanted)
        assert (status, headers["Content-Type"]) == (200, kind)
        assert headers["Content-Disposition"] == f'attachment; filename="loaxa-xa-2026-10-15-2026-11-14.{wanted}"'
        assert body.startswith(start)


async def test_somebody_sees_the_reports_of_their_own_places_only(
    hand: Hand, place: Place, tallies: KeptTallies
) -> None:
    await added(place, "lan", Grant(role=Role.VIEWER, area="thon-2"))
    await hand.log_in("lan")
    status, page = await hand.get("/reports")
    assert status == 200
    assert "Thôn Trung" in page
    assert "Thôn Đoài" not in page
    assert tallies.asked[-1].nodes == ("N009", "N010", "N011", "N012")
    for path in ("/reports?area=thon-1", "/reports?area=xa", "/reports/file?area=xa&format=csv", "/reports?area=no"):
        assert (await hand.get(path))[0] == 403
    assert len(tallies.asked) == 1


async def test_nobody_gets_a_file_without_logging_in_where_an_address_is_configured(
    world: DeskWorld, tallies: KeptTallies, session: aiohttp.ClientSession
) -> None:
    async with served_place(WorldConsole(world), tallies=tallies, origin="http://loa.example") as place:
        for path in ("/reports", "/reports/file"):
            headers = {"Host": "loa.example"}
            async with session.get(f"{place.address}{path}", headers=headers, allow_redirects=False) as answer:
                assert answer.status == 303
                assert answer.headers["Location"].startswith("/login")
    assert tallies.asked == []


async def test_a_page_of_evil_titles_is_text(pki: DevelopmentKeys, session: aiohttp.ClientSession) -> None:
    places = commune_places()
    places["nodes"][6]["title"] = "<script>alert(1)</script>"
    world = DeskWorld(pki, **places)
    world.begin()
    async with (
        served_place(WorldConsole(world), tallies=KeptTallies(answer_of(world.desk.site))) as place,
        session.get(f"{place.address}/reports?area=xa") as answer,
    ):
        text = await answer.text()
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert" not in text


@pytest.fixture
def command(place: Place, pki: DevelopmentKeys, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Command:
    port = int(place.address.rpartition(":")[2])
    (tmp_path / "token").write_text(TOKEN)
    plain = plain_config(pki, **commune_places())
    plain["http"]["console"] = {"token_file": str(tmp_path / "token"), "host": "127.0.0.1", "port": port}
    config = tmp_path / "controller.yaml"
    config.write_text(yaml.safe_dump(plain))

    async def run(*words: str) -> tuple[int, bytes, str]:
        code = await asyncio.to_thread(main, ["report", str(config), *words])
        out, err = capfdbinary.readouterr()
        return code, out, err.decode()

    return run


async def test_the_command_prints_and_writes_each_kind(command: Command, tmp_path: Path) -> None:
    code, out, err = await command("--area", "xa", "--month", "2026-11")
    assert (code, err) == (0, "")
    assert "BÁO CÁO THÁNG 11 NĂM 2026: Xã Bình Minh" in out.decode()
    code, out, _ = await command("--area", "xa", "--format", "csv")
    assert len(list(csv.reader(io.StringIO(out.decode("utf-8-sig"))))) == 97
    code, out, _ = await command("--format", "json")
    assert msgspec.json.decode(out, type=Report).area == ""
    path = tmp_path / "nam.xlsx"
    code, out, _ = await command("--year", "2026", "--format", "xlsx", "--output", str(path))
    assert (code, out.decode()) == (0, f"đã ghi · written: {path}\n")
    assert openpyxl.load_workbook(path).sheetnames[0] == "Tổng hợp"
    code, _, _ = await command("--format", "pdf", "--output", str(tmp_path / "nam.pdf"))
    assert (tmp_path / "nam.pdf").read_bytes().startswith(b"%PDF-")
    assert not await asyncio.to_thread(lambda: list(tmp_path.glob(".*.part")))


async def test_the_command_says_what_is_wrong(command: Command, tmp_path: Path) -> None:
    for words, said, code in (
        (("--area", "nowhere"), "nowhere", 1),
        (("--from", "1/11/2026"), "2026-11-22", 1),
        (("--format", "pdf", "--output", str(tmp_path / "no" / "x.pdf")), "cannot be written", 2),
    ):
        answered, out, err = await command(*words)
        assert (answered, out) == (code, b"")
        assert said in err
        assert err.count("\n") == 1
