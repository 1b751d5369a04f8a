"""Pulling from real servers: whole, resumed, redirected, and none of what a hostile one tries."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from controller.adapters.media.pull import ATTEMPTS_MAX, Puller, PullRefusedError, PullState
from controller.media.addresses import PullRules
from controller.media.catalogue import OriginKind
from controller.media.intake import IntakeState
from controller.media.media_config import MediaConfig
from controller.media.refusal import RefusalCode
from tests.support.media_library import LibraryWorld, finished, recording
from tests.support.waiting import until

CONTENT = bytes(range(256)) * 4096
ETAG = '"v1"'
HERE = PullRules(["127.0.0.1"])


class Station:
    """A web server that behaves as a test wants."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.content, self.etag = CONTENT, ETAG
        self.breaks_after: list[int] = []
        self.statuses: list[int] = []
        self.redirects: dict[str, str] = {}
        self.has_length = True
        self.encoding = ""
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append({"path": request.path, **request.headers})
        if request.path in self.redirects:
            raise web.HTTPFound(self.redirects[request.path])
        if self.statuses and (status := self.statuses.pop(0)) != 200:
            return web.Response(status=status)
        begin = 0
        asked = request.headers.get("Range", "")
        if asked and request.headers.get("If-Range") == self.etag:
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
        headers = {"ETag": self.etag, **({"Content-Encoding": self.encoding} if self.encoding else {})}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(self.content) - 1}/{len(self.content)}"
        response = web.StreamResponse(status=206 if begin else 200, headers=headers)
        if self.has_length:
            response.content_length = len(self.content) - begin
        else:
            response.enable_chunked_encoding()
        await response.prepare(request)
        if self.breaks_after:
            await response.write(self.content[begin : begin + self.breaks_after.pop(0)])
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(self.content[begin:])
        await response.write_eof()
        return response


@pytest_asyncio.fixture
async def station() -> AsyncIterator[Station]:
    made = Station()
    application = web.Application()
    application.router.add_get("/{rest:.*}", made.answer)
    async with TestServer(application, host="127.0.0.1") as server:
        made.url = str(server.make_url("/")).rstrip("/")
        yield made


class Sink:
    """Where bytes are gathered."""

    def __init__(self) -> None:
        self.data = bytearray()

    async def write(self, piece: bytes, at: int) -> None:
        self.data[at:] = piece


def puller(rules: PullRules = HERE, bytes_max: int = 10_000_000) -> Puller:
    return Puller(rules, bytes_max=bytes_max, retry_s=0.001)


async def refused(station: Station, path: str = "/a.mp3", **more: Any) -> RefusalCode:
    with pytest.raises(PullRefusedError) as found:
        await puller(**more).pull(station.url + path, PullState(), Sink().write)
    return found.value.refusal.code


async def test_what_breaks_off_is_resumed(station: Station) -> None:
    station.breaks_after = [300_000, 200_000]
    state, sink = PullState(), Sink()
    await puller().pull(f"{station.url}/a.mp3", state, sink.write)
    assert bytes(sink.data) == CONTENT
    assert state.received_bytes == state.size_bytes == len(CONTENT)
    ranges = [asked.get("Range") for asked in station.asked]
    assert ranges[0] is None
    assert len(ranges) == 3
    assert all(each is not None for each in ranges[1:])


async def test_what_changed_meanwhile_is_begun_anew(station: Station) -> None:
    state, sink = PullState(received_bytes=1000, etag='"v0"'), Sink()
    sink.data[:] = b"x" * 1000
    await puller().pull(f"{station.url}/a.mp3", state, sink.write)
    assert bytes(sink.data) == CONTENT


async def test_what_cannot_be_known_to_be_the_same_is_begun_anew(station: Station) -> None:
    station.etag = 'W/"weak"'
    station.breaks_after = [300_000]
    state, sink = PullState(), Sink()
    await puller().pull(f"{station.url}/a.mp3", state, sink.write)
    assert bytes(sink.data) == CONTENT
    assert all("Range" not in asked for asked in station.asked)


async def test_a_busy_server_is_asked_again_a_missing_file_is_not(station: Station) -> None:
    station.statuses = [503, 429, 200]
    state, sink = PullState(), Sink()
    await puller().pull(f"{station.url}/a.mp3", state, sink.write)
    assert bytes(sink.data) == CONTENT
    station.statuses, station.asked = [404], []
    assert await refused(station) is RefusalCode.UNREACHABLE
    assert len(station.asked) == 1
    station.statuses = [500] * ATTEMPTS_MAX
    assert await refused(station) is RefusalCode.UNREACHABLE


@pytest.mark.parametrize("has_length", [True, False])
async def test_nothing_larger_than_the_bound(station: Station, has_length: bool) -> None:
    station.has_length = has_length
    assert await refused(station, bytes_max=len(CONTENT) - 1) is RefusalCode.TOO_LARGE
    state, sink = PullState(), Sink()
    await puller(bytes_max=len(CONTENT)).pull(f"{station.url}/a.mp3", state, sink.write)
    assert bytes(sink.data) == CONTENT


async def test_nothing_is_empty(station: Station) -> None:
    station.content = b""
    assert await refused(station) is RefusalCode.EMPTY


async def test_redirects_are_followed_and_judged(station: Station) -> None:
    station.redirects = {"/a": "/b", "/b": f"{station.url}/c"}
    sink = Sink()
    await puller().pull(f"{station.url}/a", PullState(), sink.write)
    assert bytes(sink.data) == CONTENT
    station.redirects = {"/a": "http://127.0.0.2:9/secret"}
    assert await refused(station, "/a") is RefusalCode.ADDRESS_FORBIDDEN
    station.redirects = {"/a": "file:///etc/passwd"}
    assert await refused(station, "/a") is RefusalCode.ADDRESS_FORBIDDEN
    station.redirects = {"/a": "/a"}
    assert await refused(station, "/a") is RefusalCode.UNREACHABLE


async def test_a_name_that_stands_for_an_address_inside_is_not_asked(station: Station) -> None:
    named = station.url.replace("127.0.0.1", "localhost")
    with pytest.raises(PullRefusedError) as found:
        await puller(PullRules()).pull(f"{named}/a.mp3", PullState(), Sink().write)
    assert found.value.refusal.code is RefusalCode.ADDRESS_FORBIDDEN
    assert not station.asked
    sink = Sink()
    await puller(PullRules(["localhost"])).pull(f"{named}/a.mp3", PullState(), sink.write)
    assert bytes(sink.data) == CONTENT


@pytest.mark.parametrize("host", ["127。0。0。1", "①②⑦.0.0.1", "127．0．0．1", "2130706433", "127.1", "0x7f.1", "0"])  # noqa: RUF001 - the disguise
async def test_an_address_inside_in_any_writing_is_not_asked(station: Station, host: str) -> None:
    disguised = station.url.replace("127.0.0.1", host)
    with pytest.raises(PullRefusedError):
        await puller(PullRules()).pull(f"{disguised}/a.mp3", PullState(), Sink().write)
    assert not station.asked


class Believing(PullRules):
    """Rules that overlook what an address reads."""

    def checked(self, url: str, *, before: str = "") -> SplitResult:  # noqa: ARG002 - the signature of the rules
        return urlsplit(url)


async def test_no_socket_is_opened_to_what_was_not_judged(station: Station) -> None:
    with pytest.raises(PullRefusedError) as found:
        await puller(Believing()).pull(f"{station.url}/a.mp3", PullState(), Sink().write)
    assert found.value.refusal.code is RefusalCode.ADDRESS_FORBIDDEN
    assert not station.asked


async def test_what_is_packed_stays_packed(station: Station) -> None:
    """A bomb of zeros fills neither memory nor disk."""
    station.content, station.encoding = zlib.compress(bytes(8_000_000), 9), "deflate"
    state, sink = PullState(), Sink()
    await puller(bytes_max=100_000).pull(f"{station.url}/a.mp3", state, sink.write)
    assert bytes(sink.data) == station.content


async def test_a_source_that_only_ever_says_go_on_is_left(station: Station) -> None:
    async def go_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            while True:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.001)

    server = await asyncio.start_server(go_on, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    patient = Puller(HERE, bytes_max=1_000, retry_s=0.001, answer_s=0.05)
    with pytest.raises(PullRefusedError) as found:
        await patient.pull(f"http://127.0.0.1:{port}/a.mp3", PullState(), Sink().write)
    assert found.value.refusal.code is RefusalCode.UNREACHABLE
    server.close()
    sink = Sink()
    await puller().pull(f"{station.url}/a.mp3", PullState(), sink.write)
    assert bytes(sink.data) == CONTENT


async def test_one_sender_pulls_one_after_another_and_holds_up_nobody(station: Station, tmp_path: Path) -> None:
    world = LibraryWorld(tmp_path, config=MediaConfig(free_bytes_min=0, pull_hosts=("127.0.0.1",)))
    station.content = recording(tmp_path)
    may_end = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\na")
        await may_end.wait()
        writer.close()

    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    held = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a.wav"
    async with world.running() as library:

        async def begun(url: str, by: str) -> str:
            pull = world.intake(b"", kind=OriginKind.PULL, name=url, size_bytes=0, by=by)
            return (await library.intakes.begin(pull)).id

        stuck = [await begun(held, "many") for _ in range(3)]
        other = await begun(f"{station.url}/a.wav", "one")
        assert (await finished(library, other)).state is IntakeState.KEPT
        await until(lambda: [library.intakes.intake(each).received_bytes for each in stuck] == [1, 0, 0])
        may_end.set()
    server.close()


async def test_nobody_there_is_told() -> None:
    with pytest.raises(PullRefusedError) as found:
        await puller().pull("http://127.0.0.1:1/a.mp3", PullState(), Sink().write)
    assert found.value.refusal.code is RefusalCode.UNREACHABLE


async def test_a_pull_goes_on_after_a_restart(station: Station, tmp_path: Path) -> None:
    world = LibraryWorld(tmp_path, config=MediaConfig(free_bytes_min=0, pull_hosts=("127.0.0.1",)))
    station.content = recording(tmp_path) + bytes(5_000_000)  # behind the sound, where no player looks
    station.breaks_after = [4_800_000]
    station.statuses = [200, *[503] * 3, 200]
    pull = world.intake(b"", kind=OriginKind.PULL, name=f"{station.url}/a.wav", size_bytes=0)
    async with world.running() as library:
        begun = await library.intakes.begin(pull)
        await until(lambda: library.intakes.intake(begun.id).received_bytes > 4_194_304)
    async with world.running() as library:
        done = await finished(library, begun.id)
        assert done.state is IntakeState.KEPT, done.refusal
        assert library.original_path(library.entry(done.entry)).read_bytes() == station.content
    assert any("Range" in asked for asked in station.asked)


async def test_a_pull_can_be_ended(station: Station, tmp_path: Path) -> None:
    world = LibraryWorld(tmp_path, config=MediaConfig(free_bytes_min=0, pull_hosts=("127.0.0.1",)))
    station.statuses = [503] * 100
    async with world.running() as library:
        pull = world.intake(b"", kind=OriginKind.PULL, name=f"{station.url}/a.wav", size_bytes=0)
        begun = await library.intakes.begin(pull)
        await until(lambda: station.asked)
        cancel: Callable[..., Any] = library.intakes.cancel
        assert (await cancel(begun.id)).state is IntakeState.CANCELLED
        assert library.intakes.intake(begun.id).is_finished
