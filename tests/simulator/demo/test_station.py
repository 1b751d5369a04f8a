"""The stand-in station: what the tests of feeds rely on, checked by ffmpeg's own eyes."""

from __future__ import annotations

import json
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from simulator.demo.station import MOUNTS, Station, StationError
from simulator.demo.station_pages import Fault
from tests.support.waiting import until_blocking


def codec_at(url: str) -> tuple[str, str]:
    command = ["ffprobe", "-loglevel", "error", "-of", "json", "-show_entries", "format=format_name:stream=codec_name"]
    answer = subprocess.run([*command, url], check=True, capture_output=True, timeout=30)
    told = json.loads(answer.stdout)
    return told["format"]["format_name"], told["streams"][0]["codec_name"]


def body_of(url: str, size: int) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - the station's loopback address
        return bytes(answer.read(size))


@pytest.mark.slow
def test_every_mount_is_what_it_says_and_stop_leaves_nothing(tmp_path: Path) -> None:
    with Station(tmp_path) as station:
        found = {name: codec_at(url) for name, url in station.urls.items()}
        processes = [source.pid for source in station._sources.values()]
        own_folder = station._own_folder
    assert found == {
        "mp3": ("mp3", "mp3"),
        "aac": ("aac", "aac"),
        "ogg": ("ogg", "vorbis"),
        "hls-aac": ("hls", "aac"),
        "hls-mp3": ("hls", "mp3"),
    }
    assert len(processes) == len(MOUNTS)
    assert not any(Path(f"/proc/{pid}").exists() for pid in processes)
    assert own_folder is not None
    assert not own_folder.exists()


@pytest.mark.slow
def test_a_station_goes_on_air_again_and_outlives_a_thread_that_changed_it(tmp_path: Path) -> None:
    station = Station(tmp_path, mounts=("mp3",))
    with station:
        pass
    with station:
        changing = threading.Thread(target=station.set_fault, args=("mp3", Fault.SILENT))
        changing.start()
        changing.join()
        assert len(body_of(station.urls["mp3"], 30_000)) == 30_000


def test_faults_come_and_go(tmp_path: Path) -> None:
    with Station(tmp_path, mounts=("mp3", "hls-aac")) as station:
        for name in ("mp3", "hls-aac"):
            station.set_fault(name, Fault.GONE)
            with pytest.raises(urllib.error.HTTPError, match="404"):
                body_of(station.urls[name], 1)
            station.set_fault(name, Fault.NONE)
            assert body_of(station.urls[name], 1)
        with pytest.raises(StationError, match="hls"):
            station.set_fault("mp3", Fault.HTML)
        until_blocking(lambda: station.requests_of("hls-aac") > 0)


def test_what_was_killed_is_started_again_at_its_old_address(tmp_path: Path) -> None:
    with Station(tmp_path, mounts=("mp3",)) as station:
        url = station.urls["mp3"]
        assert station.restart_ended() == []
        assert station._icecast is not None
        station._icecast.kill()
        restarted: list[str] = []

        def answers() -> bool:
            restarted.extend(station.restart_ended())
            try:
                return len(body_of(url, 10_000)) == 10_000
            except OSError:
                return False

        until_blocking(lambda: answers() and {"icecast", "mp3"} <= set(restarted), seconds=20, what=f"{restarted}")
        assert station.urls["mp3"] == url
