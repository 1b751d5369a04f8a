"""The real process: programmes and bulletins by command, by two people, over kill -9, as signed plans at the broker."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

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
    """A station's commands, each by somebody."""

    def __init__(self, station: Station) -> None:
        self._station = station

    def join(self, name: str, *roles: str) -> None:
        """An account and a token of one's own."""
        config, folder = str(self._station.config), self._station.folder
        (folder / "password").write_text("mật khẩu đủ dài 2026")
        flags = [word for role in roles for word in ("--role", f"{role}@xa")]
        made = self._station.command("people", "add", config, name, *flags, "--password-file", str(folder / "password"))
        assert made.returncode == 0, made.stderr
        made = self._station.command("people", "token", "add", config, name, "--person", name, *flags, "--days", "5")
        assert made.returncode == 0, made.stderr
        token = next(word for word in made.stdout.split() if word.startswith("lx_"))
        path = folder / f"{name}.token"
        path.touch(mode=0o600)
        path.write_text(token)

    def __call__(self, *words: str, by: str = "an", code: int = 0) -> str:
        noun, verb, *more = words
        token = ["--token-file", str(self._station.folder / f"{by}.token")] if by else []
        done = self._station.command(noun, verb, str(self._station.config), *more, *token)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if not code else done.stderr


async def test_what_people_write_reaches_the_poles_and_outlives_kill_9(
    station: Station, pki: DevelopmentKeys, broker: RealBroker
) -> None:
    desk = Desk(station)
    desk.join("an", "author", "operator")
    desk.join("binh", "approver")
    station.start()
    link, messages = heard(pki, broker.port)
    link.start()

    def planned() -> dict[str, Occurrence]:
        plans = documents(messages, Plan)
        return {each.title: each for each in plans[-1].occurrences} if plans else {}

    try:
        noon = ("--title", "Tin trưa", "--area", "xa", "--at", "11:30", "--item", "text:Kính chào bà con")
        made = desk("programme", "add", "--id", "noon", *noon, "--item", "bulletin:water", code=1)
        assert "'water' is not known" in made
        text = "Ngày mai cắt nước từ 8h đến 11h30."
        water = ("--id", "water", "--title", "Cắt nước", "--area", "xa", "--text", text, "--valid-until", "2031-01-01")
        assert "written, to be approved" in desk("bulletin", "add", *water)
        assert "undo it with" in desk("programme", "add", "--id", "noon", *noon, "--item", "bulletin:water")
        await settled(lambda: "Tin trưa" in planned(), "the text is planned", station)
        assert "Cắt nước" not in planned(), "nobody has approved it"
        assert "not approved" in desk("programme", "show", "noon")
        for by in ("", "an"):
            refused = desk("bulletin", "approve", "water", "--version", "1", by=by, code=1)
            assert "may not approve_bulletins" in refused
        desk("bulletin", "listen", "water", str(station.folder / "water.ogg"), by="binh")
        assert (station.folder / "water.ogg").read_bytes()[:4] == b"OggS"
        assert "approved" in desk("bulletin", "approve", "water", "--version", "1", by="binh")
        await settled(lambda: "Cắt nước" in planned(), "the bulletin is planned", station)
        spoken = planned()["Cắt nước"].media
        assert spoken is not None
        assert (station.folder / "state" / "media" / "sha256" / spoken.sha256).stat().st_size == spoken.size_bytes
        written = station.folder / "noon.yaml"
        written.write_text(desk("programme", "show", "noon", "--yaml"))
        plain = yaml.safe_load(written.read_text())
        written.write_text(yaml.safe_dump({**plain, "title": "Bản tin trưa"}, allow_unicode=True))
        assert "changed" in desk("programme", "edit", "noon", "--from", str(written))
        assert "nothing has changed" in desk("programme", "edit", "noon", "--from", str(written))
        await settled(lambda: "Bản tin trưa" in planned(), "the change is planned", station)
        station.end(signal.SIGKILL)
        station.start()
        assert "Bản tin trưa" in desk("programme", "list")
        assert "undone" in desk("programme", "undo", "noon")
        await settled(lambda: "Tin trưa" in planned(), "the first title again", station)
        calendar = station.folder / "xa.ics"
        desk("programme", "export", str(calendar), "--id", "noon")
        assert "SUMMARY:Tin trưa" in calendar.read_text()
        desk("programme", "remove", "noon")
        await settled(lambda: "Cắt nước" not in planned(), "it is gone", station)
        assert "would be kept: 1 / 1" in desk("programme", "import", str(calendar), "--area", "xa", "--preview")
        assert "kept: 1 / 1" in desk("programme", "import", str(calendar), "--area", "xa")
        await settled(lambda: "Cắt nước" in planned(), "it is back", station)
    finally:
        link.stop()
    assert station.end() == 0
    assert "Traceback" not in station.log
