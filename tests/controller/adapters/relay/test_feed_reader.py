"""The feed reader on a real Icecast and real HLS: the station's sound comes out, each fault has its name."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from numpy.typing import NDArray

from controller.adapters.relay.feed_reader import READY_SAMPLES_MAX, FeedReader
from controller.streams.feed_watch import AlarmKind
from simulator.demo.station import HLS_SEGMENT_S, MOUNTS, Station
from simulator.demo.station_pages import Fault
from tests.support.recordings import find, read_wav
from tests.support.waiting import until_blocking

STOP_S_MAX = 0.3
CAPTURE_S = 4.0
LIKENESS_MIN = 0.95


@contextmanager
def reading(url: str, headers: dict[str, str] | None = None) -> Iterator[FeedReader]:
    reader = FeedReader(url, headers or {})
    reader.start()
    try:
        yield reader
    finally:
        reader.stop()
        until_blocking(lambda: not reader.is_alive, seconds=2)


@contextmanager
def faulty(station: Station, mount: str, fault: Fault) -> Iterator[None]:
    station.set_fault(mount, fault)
    try:
        yield
    finally:
        station.set_fault(mount, Fault.NONE)


def as_float(samples: np.ndarray) -> NDArray[np.float32]:
    return np.asarray(samples / 32768, np.float32)


def capture(reader: FeedReader, seconds: float) -> np.ndarray:
    blocks: list[np.ndarray] = []

    def enough() -> bool:
        blocks.extend(reader.take())
        return sum(map(len, blocks)) >= seconds * 48_000 or reader.failure is not None

    until_blocking(enough, seconds=15, what="the reader gives sound")
    assert sum(map(len, blocks)) >= seconds * 48_000, reader.failure
    return np.concatenate(blocks)


def failure_of(reader: FeedReader, seconds: float = 8.0) -> AlarmKind:
    def failed() -> bool:
        reader.take()
        return reader.failure is not None

    until_blocking(failed, seconds=seconds, what="the reader names the fault")
    assert reader.failure is not None
    assert reader.url in str(reader.failure)
    return reader.failure.kind


@pytest.mark.parametrize(
    ("mount", "codec"),
    [
        ("mp3", "mp3/mp3float"),
        ("aac", "aac/aac"),
        ("ogg", "ogg/vorbis"),
        ("hls-aac", "hls/aac"),
        ("hls-mp3", "hls/mp3float"),
    ],
)
def test_the_stations_sound_comes_out(station: Station, mount: str, codec: str) -> None:
    with reading(station.urls[mount]) as reader:
        sound = capture(reader, CAPTURE_S + 0.5)
    assert reader.codec == codec
    assert sound.dtype == np.int16
    steady = as_float(sound[24_000 : 24_000 + round(CAPTURE_S * 48_000)])
    assert find(steady, read_wav(station.programme)).likeness > LIKENESS_MIN


@pytest.mark.parametrize("mount", list(MOUNTS))
def test_stop_is_prompt_in_the_middle_of_sound(station: Station, mount: str) -> None:
    reader = FeedReader(station.urls[mount], {})
    reader.start()
    capture(reader, 1.0)
    begin = time.monotonic()
    reader.stop()
    assert time.monotonic() - begin < STOP_S_MAX
    assert not reader.is_alive


@pytest.mark.slow
def test_hls_goes_on_past_what_the_first_playlist_named(station: Station) -> None:
    with reading(station.urls["hls-aac"]) as reader:
        sound = as_float(capture(reader, HLS_SEGMENT_S * 5 + 1.5))
    whole = read_wav(station.programme)
    begin, end = find(sound[:96_000], whole), find(sound[-96_000:], whole)
    elapsed_s = (end.at_s - begin.at_s) % (len(whole) / 48_000)
    assert elapsed_s == pytest.approx((len(sound) - 96_000) / 48_000, abs=0.05), "no segment is missing or doubled"


def test_a_reader_whose_sound_is_not_taken_waits(station: Station) -> None:
    with reading(station.urls["hls-aac"]) as reader:
        until_blocking(lambda: reader._ready_samples >= READY_SAMPLES_MAX)
        assert sum(map(len, reader.take())) <= READY_SAMPLES_MAX + 2 * 1152
        capture(reader, 0.5)


@pytest.mark.parametrize("mount", ["mp3", "hls-aac"])
def test_a_mount_that_is_gone_is_an_http_status(station: Station, mount: str) -> None:
    with faulty(station, mount, Fault.GONE), reading(station.urls[mount]) as reader:
        assert failure_of(reader) is AlarmKind.HTTP_STATUS
        assert "404" in str(reader.failure)


def test_a_page_is_not_audio(station: Station) -> None:
    with faulty(station, "hls-aac", Fault.HTML), reading(station.urls["hls-aac"]) as reader:
        assert failure_of(reader) is AlarmKind.NOT_AUDIO


@pytest.mark.slow
def test_a_referer_is_sent_with_every_request(station: Station) -> None:
    url = station.urls["hls-mp3"]
    with faulty(station, "hls-mp3", Fault.NEEDS_REFERER):
        with reading(url) as reader:
            assert failure_of(reader) is AlarmKind.HTTP_STATUS
        with reading(url, {"Referer": "http://station.example/"}) as reader:
            capture(reader, HLS_SEGMENT_S * 5 + 1.0)


def test_a_reader_of_a_station_that_stops_sending_can_be_stopped(station: Station) -> None:
    with faulty(station, "aac", Fault.STOPS_SENDING), reading(station.urls["aac"]) as reader:
        until_blocking(lambda: not [*reader.take()] and reader.is_alive)
        begin = time.monotonic()
        reader.stop()
        assert time.monotonic() - begin < STOP_S_MAX


def test_an_hls_station_that_stops_in_a_segment_can_be_stopped(station: Station) -> None:
    with faulty(station, "hls-aac", Fault.STOPS_SENDING), reading(station.urls["hls-aac"]) as reader:
        until_blocking(lambda: station.requests_of("hls-aac") > 0)
        begin = time.monotonic()
        reader.stop()
        assert time.monotonic() - begin < STOP_S_MAX


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/x", "http://no-such-host.invalid/x", "ftp://127.0.0.1/x", "nonsense", "http://[::1/x"]
)
def test_an_address_that_leads_nowhere_is_unreachable(url: str) -> None:
    with reading(url) as reader:
        assert failure_of(reader) is AlarmKind.UNREACHABLE


class OneAnswer:
    """A server that gives the same bytes to every connection, whatever is asked."""

    def __init__(self, answer: Callable[[str], bytes], *, hangs: bool = False) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._answer = answer(self.url)
        self._hangs = hangs
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> str:
        self._thread.start()
        return self.url

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while not self._done.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                connection.recv(4096)
                connection.sendall(self._answer)
                if self._hangs:
                    self._done.wait(5)


def test_shoutcasts_first_line_is_understood(station: Station) -> None:
    body = station.programme.read_bytes()[: 48_000 * 2 * 3]
    with (
        OneAnswer(lambda _url: b"ICY 200 OK\r\nContent-Type: audio/x-wav\r\n\r\n" + body) as url,
        reading(url) as reader,
    ):
        sound = as_float(capture(reader, 2.0))
    assert find(sound, read_wav(station.programme)).likeness > LIKENESS_MIN


def test_a_list_leads_to_the_stream_and_a_redirect_too(station: Station) -> None:
    target = station.urls["mp3"]
    listed = f"HTTP/1.0 200 OK\r\n\r\n[playlist]\r\nNumberOfEntries=1\r\nFile1={target}\r\n".encode()
    with OneAnswer(lambda _url: listed) as url, reading(url) as reader:
        capture(reader, 1.0)
    moved = f"HTTP/1.0 302 Found\r\nLocation: {target}\r\n\r\n".encode()
    with OneAnswer(lambda _url: moved) as url, reading(url) as reader:
        capture(reader, 1.0)


def test_a_circle_of_redirects_ends() -> None:
    with (
        OneAnswer(lambda url: f"HTTP/1.0 302 Found\r\nLocation: {url}\r\n\r\n".encode()) as url,
        reading(url) as reader,
    ):
        assert failure_of(reader) is AlarmKind.HTTP_STATUS


def test_bytes_that_are_no_sound_are_not_audio() -> None:
    junk = np.random.default_rng(3).bytes(40_000)
    with (
        OneAnswer(lambda _url: b"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n" + junk) as url,
        reading(url) as reader,
    ):
        assert failure_of(reader) is AlarmKind.NOT_AUDIO


def test_a_server_that_never_answers_can_be_left() -> None:
    with OneAnswer(lambda _url: b"", hangs=True) as url, reading(url) as reader:
        until_blocking(lambda: reader.is_alive)
        begin = time.monotonic()
        reader.stop()
        assert time.monotonic() - begin < STOP_S_MAX
