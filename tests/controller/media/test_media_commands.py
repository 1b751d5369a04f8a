"""`loaxa-controller media ...` against a console that is served: what people type, read, and get back."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import yaml

from controller.adapters.api_client import ApiClient
from controller.adapters.config_file import read_config
from controller.adapters.media.library import MediaLibrary
from controller.adapters.media.sending import PIECE_BYTES_MIN, send_file
from controller.cli import main
from controller.errors import ApiError
from controller.media.intake import IntakeState
from controller.web.media_api import add_media_api
from tests.support.controller_console import TOKEN, WorldConsole, served_place
from tests.support.controller_desk import DeskWorld, plain_config
from tests.support.media_library import LibraryWorld, finished, pieces_of, recording
from tests.support.pki import DevelopmentKeys
from tests.support.severable_path import SeverablePath


class Terminal:
    """Commands of somebody at the controller."""

    def __init__(self, config: Path, capsys: pytest.CaptureFixture[str], library: MediaLibrary) -> None:
        self.config, self._capsys, self.library = config, capsys, library
        console = read_config(config).http.console
        self.client = ApiClient(console, TOKEN)

    async def __call__(self, verb: str, *words: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(main, ["media", verb, str(self.config), *words])
        told = self._capsys.readouterr()
        return code, told.out, told.err


@pytest.fixture
def shelf(tmp_path: Path) -> LibraryWorld:
    return LibraryWorld(tmp_path)


@pytest_asyncio.fixture
async def terminal(
    pki: DevelopmentKeys, shelf: LibraryWorld, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[Terminal]:
    world = DeskWorld(pki)
    world.begin()
    async with (
        shelf.running() as library,
        served_place(WorldConsole(world), add_more=lambda each: add_media_api(each, library)) as place,
    ):
        plain: dict[str, Any] = plain_config(pki)
        token = shelf.folder / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        plain["http"]["console"] = {"token_file": str(token), "port": int(place.address.rpartition(":")[2])}
        config = shelf.folder / "controller.yaml"
        config.write_text(yaml.safe_dump(plain))
        yield Terminal(config, capsys, library)


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "ban-tin.wav"
    path.write_bytes(recording(tmp_path, seconds=4.0))
    assert path.stat().st_size > 2 * PIECE_BYTES_MIN
    return path


def content_of(path: Path) -> bytes:
    return path.read_bytes()


async def test_the_life_of_a_recording(terminal: Terminal, shelf: LibraryWorld, sound: Path) -> None:
    assert "chưa có bản thu nào" in (await terminal("list"))[1]
    code, out, err = await terminal("add", str(sound), "--area", "xa", "--licence", "của xã")
    assert (code, err) == (0, "")
    assert "đã nhận · taken in: ban-tin (0:04, -" in out
    entry = out.partition(":")[0]
    assert "was there already" in (await terminal("add", str(sound), "--area", "xa"))[1]
    _, out, _ = await terminal("list", "--area", "dong")
    assert entry in out
    assert "ban-tin" in out
    sha256 = terminal.library.entry(entry).reference.sha256
    shelf.uses[sha256] = ("programme sang (xa)",)
    code, out, _ = await terminal("show", entry[:6])
    for told in (sha256, "của xã", "service/file", "ban-tin.wav (upload)", "programme sang (xa)", "→ -20.0 LUFS"):
        assert told in out
    assert set("▁▂▃▄▅▆▇█") & set(out), "its outline"
    code, _, err = await terminal("remove", entry)
    assert (code, "còn được dùng · is still needed by: programme sang (xa)" in err) == (1, True)
    shelf.uses.clear()
    assert "Bản tin sáng (của xã)" in (await terminal("describe", entry, "--title", "Bản tin sáng"))[1]
    assert (await terminal("describe", entry))[0] == 1
    assert entry in (await terminal("list", "--search", "SÁNG"))[1]
    assert entry not in (await terminal("list", "--search", "chiều"))[1]
    code, out, _ = await terminal("remove", entry)
    assert (code, f"media restore {terminal.config} {entry}" in out) == (0, True)
    assert entry in (await terminal("list", "--removed"))[1]
    assert "đã khôi phục" in (await terminal("restore", entry))[1]


async def test_what_is_saved_is_what_poles_hear(terminal: Terminal, sound: Path, tmp_path: Path) -> None:
    _, out, _ = await terminal("add", str(sound), "--area", "xa")
    entry = out.partition(":")[0]
    heard, original = tmp_path / "nghe.opus", tmp_path / "goc.wav"
    assert (await terminal("save", entry, str(heard)))[0] == 0
    assert hashlib.sha256(heard.read_bytes()).hexdigest() == terminal.library.entry(entry).reference.sha256
    assert (await terminal("save", entry, str(original), "--original"))[0] == 0
    assert content_of(original) == content_of(sound)
    code, _, err = await terminal("save", entry, str(heard))
    assert (code, "exists already" in err) == (1, True)
    assert (await terminal("save", "0123", str(tmp_path / "x")))[0] == 1
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"Kinh gui ba con\n" * 99, "[not_audio]"), (b"", "tệp rỗng"), (None, "No such file")],
)
async def test_a_refusal_is_read_in_both_languages(
    terminal: Terminal, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "thu.txt"
    if content is not None:
        path.write_bytes(content)
    code, out, err = await terminal("add", str(path), "--area", "xa")
    assert (code, out) == (1, "")
    assert str(path) in err
    assert " · " in err
    assert reason in err


async def test_several_files_are_each_told(terminal: Terminal, sound: Path, tmp_path: Path) -> None:
    letter = tmp_path / "thu.txt"
    letter.write_bytes(b"Kinh gui ba con\n" * 99)
    code, out, err = await terminal("add", str(letter), str(sound), "--area", "xa")
    assert (code, "taken in" in out, "not_audio" in err) == (1, True, True)
    assert (await terminal("add", str(letter), str(sound), "--area", "xa", "--title", "x"))[0] == 1


async def test_a_wrong_area_a_wrong_id_and_a_wrong_address_are_told(terminal: Terminal, sound: Path) -> None:
    for verb, words, reason in (
        ("add", (str(sound), "--area", "nowhere"), "nowhere"),
        ("show", ("../nodes",), "không phải mã"),
        ("show", ("abc",), "không có bản thu"),
        ("cancel", ("abc",), "nothing of this name"),
        ("pull", ("http://127.0.0.1/a.mp3", "--area", "xa"), "media.pull_hosts"),
        ("pull", ("a.mp3", "--area", "xa"), "http://"),
    ):
        code, out, err = await terminal(verb, *words)
        assert (code, out, reason in err) == (1, "", True), (verb, err)


async def test_the_next_command_goes_on_where_the_last_one_broke_off(
    terminal: Terminal, shelf: LibraryWorld, sound: Path
) -> None:
    data = content_of(sound)
    digest = hashlib.sha256(data).hexdigest()
    begun = await terminal.library.intakes.begin(shelf.intake(data, expected_sha256=digest))
    await terminal.library.intakes.append(begun.id, 0, pieces_of(data[:70_000]))
    assert begun.id in (await terminal("list", "--incoming"))[1]
    code, out, err = await terminal("add", str(sound), "--area", "xa")
    assert (code, "went on" in err, "taken in" in out) == (0, True, True)
    assert terminal.library.intakes.intake(begun.id).entry
    assert len(terminal.library.intakes.all) == 1
    other = await terminal.library.intakes.begin(shelf.intake(b"1234"))
    assert (await terminal("cancel", other.id))[0] == 0


async def test_pieces_grow_and_each_is_told(terminal: Terminal, sound: Path) -> None:
    told: list[tuple[int, int]] = []
    size = len(content_of(sound))

    def on_sent(arrived: int, whole: int) -> None:
        told.append((arrived, whole))

    await asyncio.to_thread(send_file, terminal.client, sound, area="xa", title="", licence="", on_sent=on_sent)
    assert told == [(0, size), (PIECE_BYTES_MIN, size), (3 * PIECE_BYTES_MIN, size), (size, size)]


async def test_a_line_that_is_lost_in_the_middle_is_waited_for(terminal: Terminal, sound: Path) -> None:
    listener = read_config(terminal.config).http.console
    path = SeverablePath(listener.port)
    await path.open()
    loop = asyncio.get_running_loop()
    cuts = [PIECE_BYTES_MIN]

    def on_sent(arrived: int, _whole: int) -> None:
        if arrived in cuts:
            cuts.remove(arrived)
            loop.call_soon_threadsafe(path.cut)
            loop.call_soon_threadsafe(loop.call_later, 0.5, path.restore)

    client = ApiClient(msgspec.structs.replace(listener, port=path.port), TOKEN)
    name, _ = await asyncio.to_thread(send_file, client, sound, area="xa", title="", licence="", on_sent=on_sent)
    done = await finished(terminal.library, name)
    await path.close()
    assert (cuts, done.state) == ([], IntakeState.KEPT)


async def test_a_file_that_changes_while_it_is_sent_is_refused(terminal: Terminal, sound: Path) -> None:
    def on_sent(arrived: int, whole: int) -> None:
        if arrived == PIECE_BYTES_MIN:
            data = sound.read_bytes()
            sound.write_bytes(data[:-2000] + bytes(2000))
        assert whole

    name, _ = await asyncio.to_thread(
        send_file, terminal.client, sound, area="xa", title="", licence="", on_sent=on_sent
    )
    told = (await finished(terminal.library, name)).refusal
    assert told is not None
    assert told.code.value == "wrong_content"


async def test_nobody_there_is_told(terminal: Terminal, sound: Path, tmp_path: Path) -> None:
    plain = yaml.safe_load(terminal.config.read_text())
    plain["http"]["console"]["port"] = 1
    elsewhere = tmp_path / "elsewhere.yaml"
    elsewhere.write_text(yaml.safe_dump(plain))
    with pytest.raises(ApiError, match="start it"):
        await asyncio.to_thread(
            send_file,
            ApiClient(read_config(elsewhere).http.console, TOKEN),
            sound,
            area="xa",
            title="",
            licence="",
            on_sent=lambda *_: None,
        )
