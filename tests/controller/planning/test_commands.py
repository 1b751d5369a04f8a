"""`loaxa-controller plan show` and `plan diff` against a served API: what they print, ask and refuse."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from controller.cli import main
from tests.support.controller_console import TOKEN, WorldConsole, served
from tests.support.controller_desk import DeskWorld, plain_config
from tests.support.pki import DevelopmentKeys

Said = tuple[int, str, str]
Run = Callable[..., Awaitable[Said]]
NIGHT = {
    "id": "night",
    "title": "Tin đêm",
    "area": "dong",
    "items": [{"feed": "vov1", "duration_s": 600}],
    "recurrence": {"rules": "DTSTART:20000101T031500\nRRULE:FREQ=DAILY"},
}


@pytest_asyncio.fixture
async def run(pki: DevelopmentKeys, tmp_path: Path) -> AsyncIterator[Run]:
    world = DeskWorld(pki)
    world.begin()
    async with served(WorldConsole(world)) as address:
        plain = plain_config(pki)
        plain["http"]["console"] = {"token_file": "api.token", "port": int(address.rpartition(":")[2])}
        config = tmp_path / "controller.yaml"
        config.write_text(yaml.safe_dump(plain, allow_unicode=True))
        token = tmp_path / "api.token"
        token.touch(mode=0o600)
        token.write_text(TOKEN)

        async def made(verb: str, *words: str) -> Said:
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = await asyncio.to_thread(main, ["plan", verb, str(config), *words])
            return code, out.getvalue(), err.getvalue()

        yield made


async def test_a_poles_days_are_printed_for_people_and_for_programs(run: Run) -> None:
    code, out, err = await run("show", "--pole", "N001", "--days", "7")
    assert (code, err) == (0, "")
    assert out.startswith("N001 Cụm loa N001, dong < xa\n")
    assert "phát · sounds: Chương trình sáng (routine, xa, tệp · file)" in out
    assert "tiếp âm · relay vov1" in out
    assert out.count("05:30:00") == len([line for line in out.splitlines() if "Chương trình sáng" in line])
    code, out, _ = await run("show", "--pole", "N001", "--json")
    assert (code, json.loads(out)["pole"]) == (0, "N001")


async def test_a_draft_is_compared_before_it_is_saved(run: Run, tmp_path: Path) -> None:
    for name, text in (("one.yaml", yaml.safe_dump(NIGHT, allow_unicode=True)), ("list.json", json.dumps([NIGHT]))):
        (tmp_path / name).write_text(text)
        code, out, err = await run("diff", "--pole", "N001", "--days", "3", "--programme", str(tmp_path / name))
        assert (code, err) == (0, "")
        assert "thêm · new:" in out
        assert "bị chặn · refused: giờ yên lặng · quiet hours" in out
    code, out, _ = await run("diff", "--pole", "N001", "--programme", str(tmp_path / "one.yaml"), "--json")
    assert {each["change"] for each in json.loads(out)["changes"]} == {"new"}
    other = await run("diff", "--pole", "N003", "--programme", str(tmp_path / "one.yaml"))
    assert (other[0], "night" in other[1], "Tin đêm" in other[1]) == (0, False, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id: [", "neither YAML nor JSON"),
        ("id: night", "holds no programme"),
        (yaml.safe_dump({**NIGHT, "surprise": 1}), "surprise"),
        ("x" * 600_000, "a draft is a few programmes"),
        (None, "cannot be read"),
    ],
)
async def test_a_file_that_is_no_programme_is_told(run: Run, tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "draft.yaml"
    if text is not None:
        path.write_text(text)
    code, out, err = await run("diff", "--pole", "N001", "--programme", str(path))
    assert (code, out) == (1, "")
    assert said in err


async def test_a_pole_that_is_not_known_is_told(run: Run) -> None:
    code, _, err = await run("show", "--pole", "N009")
    assert code == 1
    assert "N009" in err
