"""A stand-in station: a real Icecast and live HLS, fed by real ffmpeg with music and speech from Debian.

Duty: be to the controller what VOV and the provinces are in the field: Icecast mounts in MP3, AAC and Ogg, and
HLS with a master playlist (AAC, and MP3, in MPEG-TS), each failing on request in the ways of `Fault`.
Needs the Debian packages icecast2, ffmpeg, asterisk-moh-opsound-wav, asterisk-core-sounds-en-wav.
Rules kept: loopback and free ports only; Icecast never runs as root; every process dies with its parent;
each mount has its own ffmpeg, so that one can fail alone.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from simulator.demo.broker import free_port
from simulator.demo.station_pages import Fault, StationPages

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

MUSIC: Final = Path("/usr/share/asterisk/moh/manolo_camp-morning_coffee.wav")
SPEECH: Final = Path("/usr/share/asterisk/sounds/en_US_f_Allison/demo-instruct.wav")
MUSIC_BEGINS_S: Final = 1
"""The piece opens with pauses, which a listener for gaps could not tell from faults."""
MUSIC_S: Final = 40
"""Seconds of music before the speech; the programme then begins anew."""
READY_S_MAX: Final = 20.0
STOP_S_MAX: Final = 5.0
RESTART_PAUSE_S: Final = 1.0
_POLL_S: Final = 0.05
_PORT_TRIES: Final = 5
HLS_SEGMENT_S: Final = 2


class StationError(Exception):
    """The stand-in station cannot be started: a package is missing or a process ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One output of the station: its encoder and container, and whether Icecast or the HLS folder carries it."""

    name: str
    encoder: tuple[str, ...]
    content_type: str = ""

    @property
    def is_hls(self) -> bool:
        """Whether it is a folder of playlists and segments."""
        return not self.content_type


MOUNTS: Final = {
    mount.name: mount
    for mount in (
        Mount(name="mp3", encoder=("-c:a", "libmp3lame", "-b:a", "96k", "-f", "mp3"), content_type="audio/mpeg"),
        Mount(name="aac", encoder=("-c:a", "aac", "-b:a", "96k", "-f", "adts"), content_type="audio/aac"),
        Mount(
            name="ogg",
            encoder=("-c:a", "libvorbis", "-b:a", "96k", "-page_duration", "200000", "-f", "ogg"),
            content_type="application/ogg",
        ),
        Mount(name="hls-aac", encoder=("-c:a", "aac", "-b:a", "128k")),
        Mount(name="hls-mp3", encoder=("-c:a", "libmp3lame", "-b:a", "96k")),
    )
}


class Station:
    """The station, working below `directory`; `mounts` limits it to what a test needs.

    Usable as a context manager. `urls` maps the name of each mount to what an operator would enter as its feed.
    """

    def __init__(self, directory: Path, *, mounts: Collection[str] = tuple(MOUNTS)) -> None:
        self._directory = directory
        self._mounts = [MOUNTS[name] for name in mounts]
        self._password = secrets.token_hex(8)
        self._icecast: subprocess.Popen[bytes] | None = None
        self._icecast_port = 0
        self._own_folder: Path | None = None
        self._faults: dict[str, Fault] = {}
        self._sources: dict[str, subprocess.Popen[bytes]] = {}
        self._pages: StationPages | None = None
        self._restart_at_s = 0.0
        self._spawner: ThreadPoolExecutor | None = None

    @property
    def programme(self) -> Path:
        """What is on air: int16 mono 48 kHz, looped for ever."""
        return self._directory / "programme.wav"

    @property
    def urls(self) -> dict[str, str]:
        """The address of each mount; of HLS its master playlist."""
        return {mount.name: self._url(mount) for mount in self._mounts}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Go on air; returns when every mount can be listened to. Raises StationError."""
        self._directory.mkdir(parents=True, exist_ok=True)
        make_programme(self.programme)
        self._spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="station-spawner")
        try:
            self._pages = StationPages(self._hls_folder)
            self._pages.start()
            if any(not mount.is_hls for mount in self._mounts):
                self._start_icecast()
            for mount in self._mounts:
                self._start_source(mount)
            for mount in self._mounts:
                self._await_url(mount)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Leave the air; leaves no process behind."""
        for name in list(self._sources):
            self._stop_source(name)
        if self._icecast is not None:
            _end(self._icecast)
            self._icecast = None
        if self._own_folder is not None:
            shutil.rmtree(self._own_folder, ignore_errors=True)
            self._own_folder = None
        if self._pages is not None:
            self._pages.stop()
            self._pages = None
        if self._spawner is not None:
            self._spawner.shutdown()
            self._spawner = None

    def set_fault(self, name: str, fault: Fault) -> None:
        """Let one mount fail, or with Fault.NONE be well again."""
        mount = MOUNTS[name]
        if mount.is_hls and self._pages is not None:
            self._pages.set_fault(name, Fault.NONE if fault is Fault.SILENT else fault)
        elif fault in {Fault.HTML, Fault.NEEDS_REFERER}:
            message = f"an Icecast mount cannot show the fault {fault.value!r}; use hls-aac or hls-mp3"
            raise StationError(message)
        before, self._faults[name] = self._faults.get(name, Fault.NONE), fault
        if mount.is_hls and Fault.SILENT not in {before, fault}:
            return
        match fault:
            case Fault.STOPS_SENDING:
                self._sources[name].send_signal(signal.SIGSTOP)
            case Fault.GONE:
                self._stop_source(name)
            case _:
                self._stop_source(name)
                self._start_source(mount, silent=fault is Fault.SILENT)
                self._await_url(mount)

    def restart_ended(self) -> list[str]:
        """Start again what ended by itself, at most once a second; who that was. For whoever supervises."""
        ended = [name for name, source in self._sources.items() if source.poll() is not None]
        has_icecast_ended = self._icecast is not None and self._icecast.poll() is not None
        if not (ended or has_icecast_ended) or time.monotonic() < self._restart_at_s:
            return []
        self._restart_at_s = time.monotonic() + RESTART_PAUSE_S
        if has_icecast_ended:
            self._start_icecast()
        for name in ended:
            self._start_source(MOUNTS[name])
        return [*(["icecast"] if has_icecast_ended else []), *ended]

    def pids(self) -> dict[str, int]:
        """The process ids of what is on air."""
        icecast = {} if self._icecast is None else {"icecast": self._icecast.pid}
        return {**icecast, **{name: source.pid for name, source in self._sources.items()}}

    def requests_of(self, name: str) -> int:
        """How many HTTP requests an HLS mount has seen."""
        return self._pages.requests_of(name) if self._pages is not None else 0

    @property
    def _hls_folder(self) -> Path:
        return self._directory / "hls"

    def _url(self, mount: Mount) -> str:
        if mount.is_hls:
            root = self._pages.url if self._pages is not None else "http://127.0.0.1:0"
            return f"{root}/{mount.name}/playlist.m3u8"
        return f"http://127.0.0.1:{self._icecast_port}/{mount.name}"

    def _start_icecast(self) -> None:
        for attempt in range(_PORT_TRIES):
            if attempt or not self._icecast_port:  # one that is started again keeps its address
                self._icecast_port = free_port()
            if self._own_folder is not None:
                shutil.rmtree(self._own_folder, ignore_errors=True)
            self._own_folder = Path(tempfile.mkdtemp(prefix="loaxa-station-"))
            configuration = self._own_folder / "icecast.xml"
            configuration.write_text(_icecast_xml(self._own_folder, self._icecast_port, self._password))
            user = _unprivileged_user(self._own_folder, configuration)
            self._icecast = self._spawn(["icecast2", "-c", str(configuration)], user=user)
            deadline = time.monotonic() + READY_S_MAX
            while time.monotonic() < deadline and self._icecast.poll() is None:
                if answers(self._icecast_port):
                    return
                time.sleep(_POLL_S)
            _end(self._icecast)
            shutil.rmtree(self._own_folder, ignore_errors=True)
        message = "icecast2 did not start; is the Debian package icecast2 installed?"
        raise StationError(message)

    def _start_source(self, mount: Mount, *, silent: bool = False) -> None:
        command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i", str(self.programme)]
        if silent:
            command += ["-af", "volume=0"]
        command += mount.encoder
        if mount.is_hls:
            folder = self._hls_folder / mount.name
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            command += ["-f", "hls", "-hls_time", str(HLS_SEGMENT_S), "-hls_list_size", "5"]
            command += ["-hls_flags", "delete_segments+omit_endlist", "-hls_delete_threshold", "3"]
            command += ["-hls_start_number_source", "epoch"]
            command += ["-master_pl_name", "playlist.m3u8", "-hls_segment_filename", str(folder / "media_%d.ts")]
            command += [str(folder / "chunklist.m3u8")]
        else:
            target = f"icecast://source:{self._password}@127.0.0.1:{self._icecast_port}/{mount.name}"
            # flush_packets: else ffmpeg holds 32 KiB back, which is a minute of AAC silence.
            command += ["-flush_packets", "1", "-content_type", mount.content_type, target]
        self._sources[mount.name] = self._spawn(command)

    def _spawn(self, command: Sequence[str], *, user: str | None = None) -> subprocess.Popen[bytes]:
        # The kernel means the *thread* that started a process when it watches over "the parent": so one thread of
        # the station's own starts them all and lives as long as they may.
        if self._spawner is None:
            raise StationError("the stand-in station is not on air; start it first")
        return self._spawner.submit(_spawn, command, user=user).result()

    def _stop_source(self, name: str) -> None:
        source = self._sources.pop(name, None)
        if source is not None:
            _end(source)

    def _await_url(self, mount: Mount) -> None:
        url, deadline = self._url(mount), time.monotonic() + READY_S_MAX
        while time.monotonic() < deadline and self._sources[mount.name].poll() is None:
            try:
                with urllib.request.urlopen(url, timeout=READY_S_MAX) as answer:  # noqa: S310 - our own loopback address
                    if answer.read(1):
                        return
            except (urllib.error.URLError, OSError):
                pass
            time.sleep(_POLL_S)
        message = f"the mount {mount.name} of the stand-in station does not answer at {url}; is ffmpeg installed?"
        raise StationError(message)


def make_programme(path: Path) -> None:
    """Write the programme, music and then speech, as int16 mono 48 kHz; kept when it is there already."""
    if path.exists():
        return
    for source in (MUSIC, SPEECH):
        if not source.exists():
            message = f"{source} is missing; install asterisk-moh-opsound-wav and asterisk-core-sounds-en-wav"
            raise StationError(message)
    unfinished = path.with_suffix(".unfinished.wav")
    music = f"[0:a]atrim={MUSIC_BEGINS_S}:{MUSIC_BEGINS_S + MUSIC_S}[m]"
    chain = f"{music};[1:a]volume=1.5[s];[m][s]concat=n=2:v=0:a=1,aresample=48000"
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-i", str(MUSIC), "-i", str(SPEECH)]
    command += ["-filter_complex", chain, "-ac", "1", "-c:a", "pcm_s16le", str(unfinished)]
    try:
        subprocess.run(command, check=True, timeout=READY_S_MAX)
    except (OSError, subprocess.SubprocessError) as error:
        message = f"ffmpeg could not make the programme {path}: {error}"
        raise StationError(message) from error
    unfinished.replace(path)


def _spawn(command: Sequence[str], *, user: str | None = None) -> subprocess.Popen[bytes]:
    # setpriv: the process ends with us, whatever ends us.
    wrapper = ["setpriv", "--pdeathsig", "KILL"]
    if user is not None:
        wrapper += ["--reuid", user, "--regid", str(pwd.getpwnam(user).pw_gid), "--clear-groups"]
    try:
        return subprocess.Popen(
            [*wrapper, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    except OSError as error:
        message = f"{command[0]} cannot be started: {error}"
        raise StationError(message) from error


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S_MAX)


def answers(port: int) -> bool:
    """Whether a server takes connections on a loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return True
    except OSError:
        return False


def _unprivileged_user(folder: Path, configuration: Path) -> str | None:
    """Icecast refuses to run as root: hand its folder to its own user then."""
    if os.geteuid() != 0:
        return None
    user = pwd.getpwnam("icecast2")
    for path in (folder, configuration):
        os.chown(path, user.pw_uid, user.pw_gid)
    return user.pw_name


def _icecast_xml(folder: Path, port: int, password: str) -> str:
    return f"""<icecast>
  <limits><clients>200</clients><sources>10</sources><source-timeout>120</source-timeout>
    <burst-size>32768</burst-size></limits>
  <authentication><source-password>{password}</source-password><relay-password>{password}</relay-password>
    <admin-user>admin</admin-user><admin-password>{password}</admin-password></authentication>
  <hostname>localhost</hostname>
  <listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>
  <paths><logdir>{folder}</logdir><webroot>/usr/share/icecast2/web</webroot>
    <adminroot>/usr/share/icecast2/admin</adminroot></paths>
  <logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog><loglevel>2</loglevel></logging>
</icecast>
"""
