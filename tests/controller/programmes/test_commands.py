"""`loaxa-controller programme ...` and `bulletin ...` against a served API: what they print, ask and refuse."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml

from controller.cli import main
from controller.people.rights import Role
from tests.controller.web.test_programmes_api import Desk
from tests.support.controller_console import TOKEN, WorldConsole, served_place
from tests.support.controller_desk import plain_config
from tests.support.pki import DevelopmentKeys
from tests.support.programme_bench import programme_bench

Said = tuple[int, str, str]
Run = Callable[..., Awaitable[Said]]
NOON = ("--title", "Tin trưa", "--area", "xa", "--at", "11:30", "--days", "mon,sat", "--item", "text:Kính chào bà con")
WATER = ("--title", "Cắt nước", "--area", "xa", "--text", "Mai cắt nước", "--valid-until", "2031-01-01")


@pytest_asyncio.fixture
async def run(pki: DevelopmentKeys, tmp_path: Path) -> AsyncIterator[Run]:
    async with (
        programme_bench(pki, tmp_path) as bench,
        served_place(WorldConsole(bench.world), add_more=bench.add_routes) as place,
        aiohttp.ClientSession() as session,
    ):
        desk = Desk(place=place, bench=bench, session=session, tokens={"file": TOKEN})
        await desk.join("binh", "xa", Role.APPROVER)
        plain = plain_config(pki)
        plain["http"]["console"] = {"token_file": "file.token", "port": int(place.address.rpartition(":")[2])}
        config = tmp_path / "controller.yaml"
        config.write_text(yaml.safe_dump(plain, allow_unicode=True))
        for name, token in desk.tokens.items():
            path = tmp_path / f"{name}.token"
            path.touch(mode=0o600)
            path.write_text(token)

        async def made(noun: str, verb: str, *words: str, by: str = "") -> Said:
            token = ["--token-file", str(tmp_path / f"{by}.token")] if by else []
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = await asyncio.to_thread(main, [noun, verb, str(config), *words, *token])
            return code, out.getvalue(), err.getvalue()

        yield made


async def test_a_programme_is_written_looked_at_and_changed(run: Run, tmp_path: Path) -> None:
    code, out, err = await run("programme", "add", "--id", "noon", *NOON, "--item", "feed:vov1:900", "--chime")
    assert (code, err) == (0, "")
    assert "đã thêm · added: noon Tin trưa (Xã Bình Minh)" in out
    assert "undo it with: loaxa-controller programme remove" in out
    code, out, _ = await run("programme", "show", "noon")
    assert (code, "BYDAY=MO,SA" in out, "added" in out) == (0, True, True)
    code, out, _ = await run("programme", "show", "noon", "--yaml")
    written = yaml.safe_load(out)
    assert written["items"] == [
        {"text": "Kính chào bà con", "chime": True},
        {"feed": "vov1", "duration_s": 900},
    ]
    path = tmp_path / "noon.yaml"
    path.write_text(yaml.safe_dump({**written, "title": "Bản tin"}, allow_unicode=True))
    assert "changed: noon Bản tin" in (await run("programme", "edit", "noon", "--from", str(path)))[1]
    assert "nothing has changed" in (await run("programme", "edit", "noon", "--from", str(path)))[1]
    flags = (
        "--skip",
        "2026-11-23T11:30",
        "--move",
        "2026-11-28T11:30",
        "2026-11-28T12:00",
        "--valid-until",
        "2027-01-01",
    )
    assert (await run("programme", "edit", "noon", *flags))[0] == 0
    shown = json.loads((await run("programme", "show", "noon", "--json"))[1])
    assert shown["programme"]["overrides"] == [
        {"of": "2026-11-23T11:30", "items": []},
        {"of": "2026-11-28T11:30", "begins": "2026-11-28T12:00"},
    ]
    assert (shown["version"], shown["programme"]["title"], shown["programme"]["valid_until"]) == (
        3,
        "Bản tin",
        "2027-01-01",
    )
    assert "removed: noon" in (await run("programme", "remove", "noon"))[1]
    assert "noon" not in (await run("programme", "list"))[1]
    assert "archived" in (await run("programme", "list", "--archived", "--area", "dong"))[1]
    assert "undone: noon" in (await run("programme", "undo", "noon"))[1]
    assert "title: Tin trưa" in (await run("programme", "show", "noon", "--version", "1"))[1]
    assert len(json.loads((await run("programme", "list", "--json"))[1])) == 2


async def test_a_programme_goes_out_and_comes_in_as_a_file(run: Run, tmp_path: Path) -> None:
    await run("programme", "add", "--id", "noon", *NOON)
    path = tmp_path / "xa.ics"
    assert (await run("programme", "export", str(path), "--id", "noon"))[0] == 0
    assert (await run("programme", "export", str(path)))[0] == 1, "it is there already"
    await run("programme", "remove", "noon")
    code, out, _ = await run("programme", "import", str(path), "--area", "xa", "--preview")
    assert (code, "would be kept: 1 / 1" in out) == (0, True)
    assert "kept: 1 / 1" in (await run("programme", "import", str(path), "--area", "xa"))[1]
    assert "noon" in (await run("programme", "list"))[1]
    assert "--format" in (await run("programme", "import", str(tmp_path / "x.txt"), "--area", "xa"))[2]
    assert (await run("programme", "import", str(tmp_path / "none.ics"), "--area", "xa"))[0] == 1
    assert (await run("programme", "export", str(tmp_path / "none.xspf"), "--id", "none"))[0] == 1
    assert not (tmp_path / "none.xspf").exists()


async def test_a_bulletin_is_written_heard_approved_and_withdrawn(run: Run, tmp_path: Path) -> None:
    code, out, _ = await run("bulletin", "add", "--id", "water", *WATER)
    assert (code, "(written, silent): water Cắt nước" in out) == (0, True)
    code, out, _ = await run("bulletin", "approve", "water", "--version", "1", by="binh")
    assert (code, "approved, airs version 1" in out) == (0, True)
    assert "undo it with: loaxa-controller bulletin refuse" in out
    await run("programme", "add", "--id", "noon", *NOON, "--item", "bulletin:water")
    code, out, _ = await run("bulletin", "show", "water")
    assert ("version 1 may sound" in out, "in the programme: noon" in out, "approved by binh" in out) == (
        True,
        True,
        True,
    )
    (tmp_path / "text").write_text("Mai cắt nước\nđến trưa\n")
    assert (
        "(written, airs version 1)"
        in (await run("bulletin", "edit", "water", "--text-file", str(tmp_path / "text")))[1]
    )
    assert "text: |-" in (await run("bulletin", "show", "water", "--yaml"))[1]
    assert "Mai cắt nước" in (await run("bulletin", "show", "water", "--version", "1"))[1]
    assert (await run("bulletin", "approve", "water", "--version", "1", by="binh"))[0] == 1, "not the one that stands"
    code, out, _ = await run("bulletin", "refuse", "water", "--version", "2", "--reason", "sai giờ", by="binh")
    assert (code, "(refused, airs version 1)" in out) == (0, True)
    assert "refused" in (await run("bulletin", "list"))[1]
    code, _, err = await run("bulletin", "remove", "water")
    assert (code, "still named by the programme noon" in err) == (0, True)
    assert "(written, silent)" in (await run("bulletin", "undo", "water"))[1]


WRONG: tuple[tuple[tuple[str, ...], str], ...] = (
    (("programme", "add", "--title", "x", "--area", "xa", "--at", "11:30", "--item", "text:x"), "--id is needed"),
    (("programme", "add", "--id", "x", "--title", "x", "--area", "xa", "--at", "11:30"), "--item"),
    (("programme", "add", "--id", "x", "--title", "x", "--area", "xa", "--item", "text:x"), "when? Write --at"),
    (("programme", "add", "--id", "x", *NOON[:4], "--at", "7:5", "--item", "text:x"), "05:30"),
    (
        ("programme", "add", "--id", "x", *NOON[:4], "--at", "07:05", "--days", "foo", "--item", "text:x"),
        "--days foo",
    ),
    (("programme", "add", "--id", "x", *NOON[:4], "--rules", "FREQ=OFTEN", "--item", "text:x"), "FREQ=OFTEN"),
    (("programme", "add", "--id", "x", *NOON[:6], "--item", "song:x"), "text:WORDS"),
    (("programme", "add", "--id", "x", *NOON[:6], "--item", "feed:vov1"), "how long?"),
    (("programme", "add", "--id", "x", *NOON[:6], "--item", "feed:vov9:5"), "'vov9' is not known; known: vov1"),
    (("programme", "add", "--id", "X Y", *NOON), "regex"),
    (("programme", "add", "--from", "/nowhere.yaml"), "cannot be read"),
    (("programme", "show", "none"), "'none' is not known"),
    (("programme", "undo", "morning"), "configuration file"),
    (("programme", "list", "--area", "nowhere"), "is not known"),
    (("bulletin", "add", "--id", "x", "--title", "x", "--area", "xa", "--text", "x"), "--valid-until is needed"),
    (("bulletin", "add", "--id", "x", *WATER[:4], "--valid-until", "2031-01-01"), "a text, a recording"),
    (("bulletin", "edit", "none", "--title", "x"), "'none' is not known"),
    (("bulletin", "listen", "none", "none.ogg"), "'none' is not known"),
)


async def test_what_is_wrong_is_said_with_what_to_do(run: Run) -> None:
    for words, expected in WRONG:
        code, _, err = await run(*words)
        assert (code, expected in err) == (1, True), (words, err)


async def test_a_programme_file_says_where_it_is_wrong(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    for text, expected in (
        ("id: x\ntitel: y\n", "unknown key titel (did you mean title?)"),
        ("id: x\ntitle: x\narea: xa\nitems: [{text: x}]\n", "write either at"),
        ("id: x\ntitle: x\narea: xa\nat: 11:30\nitems: [{text: x}]\n", "in quotes"),
        ("- 1\n", "a mapping of keys"),
        ("x" * 600_000, "characters; at most"),
    ):
        path.write_text(text)
        code, _, err = await run("programme", "add", "--from", str(path))
        assert (code, expected in err) == (1, True), err


def test_each_verb_explains_itself() -> None:
    for noun, verbs in (
        ("programme", ("list", "show", "add", "edit", "remove", "undo", "import", "export")),
        ("bulletin", ("list", "show", "add", "edit", "approve", "refuse", "remove", "undo", "listen")),
    ):
        for verb in verbs:
            out = io.StringIO()
            with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as ended:
                main([noun, verb, "--help"])
            text: Any = out.getvalue()
            assert (ended.value.code, "loaxa-controller" in text, " · " in text) == (0, True, True)
