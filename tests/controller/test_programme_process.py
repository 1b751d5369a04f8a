"""The real process: programmes and bulletins by command, by two people, over kill -9, as signed plans at the broker."""

from __future__ import annotations

import asyncio
import contextlib
import io
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from controller.cli import main
from protocol.messages import Occurrence, Plan
from tests.controller.test_process import Station, documents, heard, settled
from tests.support.broker import RealBroker
from tests.support.pki import DevelopmentKeys

pytestmark = [pytest.mark.alone, pytest.mark.slow]


@pytest.fixture
def station(tmp_path: Path, pki: DevelopmentKeys, broker: RealBroker) -> Iterator[Station]:
    made = Station(tmp_path, pki, broker.services_port)
    yield made
    made.end(signal.SIGKILL)


class Desk:
    """A station's commands, each by somebody; run in this process, as starting Python is not what is tried here."""

    def __init__(self, station: Station) -> None:
        self._station = station

    async def join(self, name: str, *roles: str) -> None:
        """An account and a token of one's own."""
        password = self._station.folder / "password"
        password.write_text("mật khẩu đủ dài 2026")
        flags = [word for role in roles for word in ("--role", f"{role}@xa")]
        await self._run("people", "add", self._config, name, *flags, "--password-file", str(password))
        made = await self._run("people", "token", "add", self._config, name, "--person", name, *flags)
        path = self._station.folder / f"{name}.token"
        path.touch(mode=0o600)
        path.write_text(next(word for word in made.split() if word.startswith("lx_")))

    async def __call__(self, noun: str, verb: str, *words: str, by: str = "an", code: int = 0) -> str:
        token = ["--token-file", str(self._station.folder / f"{by}.token")] if by else []
        return await self._run(noun, verb, self._config, *words, *token, code=code)

    @property
    def _config(self) -> str:
        return str(self._station.config)

    async def _run(self, *words: str, code: int = 0) -> str:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            done = await asyncio.to_thread(main, words)
        assert done == code, out.getvalue() + err.getvalue()
        return err.getvalue() if code else out.getvalue()


async def test_what_people_write_reaches_the_poles_and_outlives_kill_9(
    station: Station, pki: DevelopmentKeys, broker: RealBroker
) -> None:
    desk = Desk(station)
    await desk.join("an", "author", "operator")
    await desk.join("binh", "approver")
    station.start()
    link, messages = heard(pki, broker.port)
    link.start()

    def planned() -> dict[str, Occurrence]:
        plans = documents(messages, Plan)
        return {each.title: each for each in plans[-1].occurrences} if plans else {}

    try:
        noon = ("--title", "Tin trưa", "--area", "xa", "--at", "11:30", "--item", "text:Kính chào bà con")
        made = await desk("programme", "add", "--id", "noon", *noon, "--item", "bulletin:water", code=1)
        assert "'water' is not known" in made
        text = "Ngày mai cắt nước từ 8h đến 11h30."
        water = ("--id", "water", "--title", "Cắt nước", "--area", "xa", "--text", text, "--valid-until", "2031-01-01")
        assert "written, to be approved" in await desk("bulletin", "add", *water)
        assert "undo it with" in await desk("programme", "add", "--id", "noon", *noon, "--item", "bulletin:water")
        await settled(lambda: "Tin trưa" in planned(), "the text is planned", station)
        assert "Cắt nước" not in planned(), "nobody has approved it"
        assert "not approved" in await desk("programme", "show", "noon")
        for by in ("", "an"):
            refused = await desk("bulletin", "approve", "water", "--version", "1", by=by, code=1)
            assert "may not approve_bulletins" in refused
        await desk("bulletin", "listen", "water", str(station.folder / "water.ogg"), by="binh")
        assert (station.folder / "water.ogg").read_bytes()[:4] == b"OggS"
        assert "approved" in await desk("bulletin", "approve", "water", "--version", "1", by="binh")
        await settled(lambda: "Cắt nước" in planned(), "the bulletin is planned", station)
        spoken = planned()["Cắt nước"].media
        assert spoken is not None
        assert (station.folder / "state" / "media" / "sha256" / spoken.sha256).stat().st_size == spoken.size_bytes
        written = station.folder / "noon.yaml"
        written.write_text(await desk("programme", "show", "noon", "--yaml"))
        plain = yaml.safe_load(written.read_text())
        written.write_text(yaml.safe_dump({**plain, "title": "Bản tin trưa"}, allow_unicode=True))
        assert "changed" in await desk("programme", "edit", "noon", "--from", str(written))
        assert "nothing has changed" in await desk("programme", "edit", "noon", "--from", str(written))
        await settled(lambda: "Bản tin trưa" in planned(), "the change is planned", station)
        station.end(signal.SIGKILL)
        station.start()
        assert "Bản tin trưa" in await desk("programme", "list")
        assert "undone" in await desk("programme", "undo", "noon")
        await settled(lambda: "Tin trưa" in planned(), "the first title again", station)
        calendar = station.folder / "xa.ics"
        await desk("programme", "export", str(calendar), "--id", "noon")
        assert "SUMMARY:Tin trưa" in calendar.read_text()
        await desk("programme", "remove", "noon")
        await settled(lambda: "Cắt nước" not in planned(), "it is gone", station)
        assert "would be kept: 1 / 1" in await desk("programme", "import", str(calendar), "--area", "xa", "--preview")
        assert "kept: 1 / 1" in await desk("programme", "import", str(calendar), "--area", "xa")
        await settled(lambda: "Cắt nước" in planned(), "it is back", station)
    finally:
        link.stop()
    assert station.end() == 0
    assert "Traceback" not in station.log
