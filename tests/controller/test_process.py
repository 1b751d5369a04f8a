"""The real process over a real broker: commands, files, faults at start, kill -9, a broker that goes and comes."""

from __future__ import annotations

import asyncio
import http.client
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from protocol.adapters.mqtt_link import MqttLink
from protocol.codec import cbor_decode
from protocol.envelope import open_sealed
from protocol.messages import AllClear, AnyDocument, Assignment, Emergency, Plan, StreamEnd, StreamStart
from protocol.stream import unpack_audio
from protocol.topics import TopicName, topic
from simulator.demo.broker import free_port
from tests.support import waiting
from tests.support.broker import RealBroker
from tests.support.controller_desk import plain_config
from tests.support.pki import DevelopmentKeys, make_pki
from tests.support.waiting import until_blocking

pytestmark = pytest.mark.alone

READY_S_MAX = 20.0
COMMAND_S_MAX = 20.0


class Station:
    """One controller process in a folder of its own."""

    def __init__(self, folder: Path, pki: DevelopmentKeys, broker_port: int) -> None:
        self.folder, self.port, self.media_port = folder, free_port(), free_port()
        self.log_path = folder / "controller.log"
        self._process: subprocess.Popen[bytes] | None = None
        at = pki.folder
        for name, pitch in (("flood.wav", 440), ("drill.wav", 880), ("song.mp3", 330)):
            wave = 0.3 * np.sin(2 * np.pi * pitch * np.arange(48_000) / 48_000)
            soundfile.write(folder / name, wave, 48_000)
        plain = plain_config(pki)
        plain["trust"] = {
            "ca": f"{at}/ca.pem",
            "certificate": f"{at}/controller.pem",
            "private_key": f"{at}/controller.key",
            "keyset": f"{at}/keyset.cose",
            "root_keys": f"{at}/root_keys.json",
            "signing_keys": [{"key_id": key, "path": f"{at}/{key}.key"} for key in ("operations-1", "drill-1")],
        }
        plain["broker"] = {"host": "localhost", "port": broker_port}
        plain["http"] = {
            "nodes": {
                "host": "127.0.0.1",
                "port": self.media_port,
                "certificate": f"{at}/server.pem",
                "private_key": f"{at}/server.key",
            },
            "console": {"port": self.port, "token_file": "state/api.token"},
        }
        self.write(plain)

    @property
    def config(self) -> Path:
        return self.folder / "controller.yaml"

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def write(self, plain: dict[str, Any]) -> None:
        self.config.write_text(yaml.safe_dump(plain, allow_unicode=True))

    def read(self) -> dict[str, Any]:
        plain: dict[str, Any] = yaml.safe_load(self.config.read_text())
        return plain

    def start(self) -> None:
        command = [sys.executable, "-m", "controller.cli", "run", str(self.config)]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(lambda: bool(self.page()), "the page answers", self)

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int | None:
        if self._process is None:
            return None
        self._process.send_signal(number)
        code = self._process.wait(READY_S_MAX)
        self._process = None
        return code

    def page(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read().decode()
        except OSError:
            return ""
        finally:
            connection.close()

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return command(*words)


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "controller.cli", *words],
        capture_output=True,
        text=True,
        timeout=COMMAND_S_MAX,
        check=False,
    )


def until(is_so: Callable[[], bool], what: str, station: Station) -> None:
    until_blocking(is_so, seconds=READY_S_MAX, what=f"{what}; see {station.log_path}")


@pytest.fixture
def station(tmp_path: Path, pki: DevelopmentKeys, broker: RealBroker) -> Iterator[Station]:
    made = Station(tmp_path, pki, broker.services_port)
    yield made
    made.end(signal.SIGKILL)


def heard(pki: DevelopmentKeys, port: int, *more: tuple[str, int]) -> tuple[MqttLink, list[tuple[str, bytes]]]:
    """A node's link that listens to everything it may read, and to `more`."""
    messages: list[tuple[str, bytes]] = []
    link = MqttLink(
        pki.mqtt_settings("N001", port),
        on_connected=lambda *_: None,
        on_disconnected=lambda _: None,
        on_message=lambda at, payload: messages.append((at, payload)),
    )
    wanted = [topic(TopicName.EMERGENCY, area="xa"), topic(TopicName.PLAN, area="xa")]
    link.subscribe([*((each, 1) for each in [*wanted, topic(TopicName.ASSIGNMENT, node="N001")]), *more])
    return link, messages


def documents(messages: list[tuple[str, bytes]], kind: type[Any]) -> list[Any]:
    opened = [cbor_decode(open_sealed(data, topic=at).payload, AnyDocument) for at, data in messages if data]
    return [each for each in opened if isinstance(each, kind)]


def streams(messages: list[tuple[str, bytes]], kind: type[Any]) -> list[Any]:
    """Documents of streams, among packets that are none."""
    return documents([each for each in messages if not each[0].endswith("/opus")], kind)


async def settled(is_so: Callable[[], bool], what: str, station: Station) -> None:
    await waiting.until(is_so, seconds=READY_S_MAX, what=f"{what}; see {station.log_path}")


async def test_an_emergency_goes_on_after_kill_9_and_ends_at_the_all_clear(
    station: Station, pki: DevelopmentKeys, broker: RealBroker
) -> None:
    station.start()
    link, messages = heard(pki, broker.port)
    link.start()
    try:
        await settled(lambda: bool(documents(messages, Plan)), "a plan", station)
        await settled(lambda: bool(documents(messages, Assignment)), "an assignment", station)
        assert len(documents(messages, Assignment)[-1].prepared_clips) == 2
        begun = station.command("emergency", "start", str(station.config), "--area", "xa", "--clip", "flood")
        assert (begun.returncode, "raised: Lũ khẩn cấp" in begun.stdout) == (0, True), begun.stderr
        await settled(lambda: bool(documents(messages, Emergency)), "the emergency", station)
        first = documents(messages, Emergency)[0]
        station.end(signal.SIGKILL)
        messages.clear()
        station.start()
        assert "ĐANG PHÁT KHẨN CẤP" in station.page()
        await settled(lambda: bool(documents(messages, Emergency)), "the emergency again", station)
        assert documents(messages, Emergency)[0] == first
        again = station.command("emergency", "start", str(station.config), "--area", "xa", "--clip", "flood")
        assert f"{first.emergency} stands already" in again.stdout
        ended = station.command("emergency", "clear", str(station.config), "--reason", "xong")
        assert (ended.returncode, "all-clear" in ended.stdout) == (0, True), ended.stderr
        await settled(lambda: bool(documents(messages, AllClear)), "the all-clear", station)
    finally:
        link.stop()
    assert station.end() == 0
    assert "Traceback" not in station.log


async def test_somebody_speaks_by_command_and_signed_packets_pass_the_broker(
    station: Station, pki: DevelopmentKeys, broker: RealBroker
) -> None:
    plain = station.read()
    station.write({**plain, "voice": {"lead_in_ms": 0}})
    sound = 0.3 * np.sin(2 * np.pi * 440 * np.arange(48_000 * 2) / 48_000)
    soundfile.write(station.folder / "talk.wav", sound, 48_000, subtype="PCM_16")
    station.start()
    link, messages = heard(pki, broker.port, (topic(TopicName.STREAM, area="dong", stream="+"), 1))
    link.start()
    try:
        await settled(lambda: bool(documents(messages, Assignment)), "a connection", station)
        words = ("speak", str(station.config), "--area", "dong", "--title", "Thông báo")
        speaking = asyncio.create_task(
            asyncio.to_thread(station.command, *words, "--file", str(station.folder / "talk.wav"))
        )
        await settled(lambda: bool(streams(messages, StreamStart)), "the start", station)
        [start] = streams(messages, StreamStart)
        at = topic(TopicName.AUDIO, stream=start.stream)
        link.subscribe([(at, 0)])
        spoken = await speaking
        assert (spoken.returncode, "ĐANG PHÁT / ON AIR" in spoken.stdout) == (0, True), spoken.stderr
        await settled(lambda: bool(streams(messages, StreamEnd)), "the end", station)
    finally:
        link.stop()
    opened = [
        unpack_audio(data, public_key=start.public_key, topic=at, stream=start.stream)
        for name, data in messages
        if name == at
    ]
    assert 50 <= len(opened) <= 101
    assert all(packet.frames for packet in opened)
    assert streams(messages, StreamEnd)[0].reason == "hung up"
    wrong = await asyncio.to_thread(station.command, *words, "--file", str(station.folder / "none.wav"))
    assert (wrong.returncode, "none.wav cannot be read" in wrong.stderr) == (1, True)
    assert station.end() == 0
    assert "Traceback" not in station.log


def test_a_controller_that_ends_or_is_killed_while_somebody_speaks_puts_nobody_on_the_air_again(
    station: Station,
) -> None:
    sound = 0.3 * np.sin(2 * np.pi * 440 * np.arange(48_000 * 60) / 48_000)
    soundfile.write(station.folder / "talk.wav", sound, 48_000, subtype="PCM_16")
    speak = [sys.executable, "-m", "controller.cli", "speak", str(station.config), "--area", "dong", "--title", "Tin"]
    for number, code in ((signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)):
        station.start()
        command_line = [*speak, "--file", str(station.folder / "talk.wav")]
        with subprocess.Popen(command_line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as speaking:
            assert speaking.stdout is not None
            assert "listen" in speaking.stdout.readline()
            assert "ON AIR" in speaking.stdout.readline()
            assert station.end(number) == code
            assert speaking.wait(COMMAND_S_MAX) == 1
    station.start()
    shown = station.command("show", str(station.config), "relays").stdout
    assert shown.count("ended") == 2
    assert shown.count("the controller was started again") >= 1
    assert "Traceback" not in station.log


def test_the_broker_may_be_away_or_false_and_page_and_api_go_on(
    station: Station, broker: RealBroker, tmp_path: Path
) -> None:
    broker.stop()
    station.start()
    until(lambda: "nothing listens" in station.page(), "the page says that the broker is away", station)
    begun = station.command("emergency", "start", str(station.config), "--area", "xa", "--clip", "drill", "--drill")
    assert (begun.returncode, "NOT SENT YET" in begun.stderr) == (1, True), begun.stdout + begun.stderr
    assert "DIỄN TẬP" in station.page()
    broker.start(server_pki=make_pki(tmp_path / "false").folder, await_ready=False)
    until(lambda: "certificate that is not to be trusted" in station.page(), "the false broker is named", station)
    broker.stop()
    broker.start()
    until(lambda: "Mất kết nối với máy chủ MQTT" not in station.page(), "the broker is back", station)
    assert station.end() == 0


def test_programmes_are_read_again_on_a_signal_and_a_wrong_file_changes_nothing(station: Station) -> None:
    station.start()
    shown = ("show", str(station.config), "plan", "--area", "xa")
    until(lambda: "05:30:00" in station.command(*shown).stdout, "the plan", station)
    plain = station.read()
    station.write({**plain, "programmes": [{**plain["programmes"][0], "at": "06:15:00"}]})
    station.send(signal.SIGHUP)
    until(lambda: "06:15:00" in station.command(*shown).stdout, "the new plan", station)
    station.config.write_text("controller: [")
    station.send(signal.SIGHUP)
    until(lambda: "was not read again" in station.log, "the fault is named", station)
    assert station.page()


def test_a_recording_outlives_kill_9_and_stays_while_a_programme_needs_it(station: Station) -> None:
    station.start()
    sound = station.folder / "tin.wav"
    soundfile.write(sound, 0.1 * np.random.default_rng(7).standard_normal(96_000), 48_000)
    added = station.command("media", "add", str(station.config), str(sound), "--area", "xa")
    assert (added.returncode, "taken in: tin" in added.stdout) == (0, True), added.stdout + added.stderr
    entry = added.stdout.partition(":")[0]
    station.end(signal.SIGKILL)
    station.start()
    assert entry in station.command("media", "list", str(station.config)).stdout
    shown = station.command("media", "show", str(station.config), entry).stdout
    [sha256] = [line.split()[-1] for line in shown.splitlines() if "sha256" in line]
    plain = station.read()
    plain["programmes"][0]["items"] = [{"media": sha256, "title": "Bản tin"}]
    station.write(plain)
    station.send(signal.SIGHUP)
    plan = ["show", str(station.config), "plan", "--area", "xa"]
    until(lambda: "Bản tin" in station.command(*plan).stdout, "the plan has the recording", station)
    refused = station.command("media", "remove", str(station.config), entry)
    assert (refused.returncode, "programme morning (xa)" in refused.stderr) == (1, True), refused.stderr


def test_check_and_commands_say_what_is_wrong(station: Station) -> None:
    good = command("check", str(station.config))
    assert (good.returncode, "good. 3 areas, 3 nodes" in good.stdout) == (0, True), good.stderr
    away = command("show", str(station.config), "nodes")
    assert (away.returncode, "the controller makes its own at its first start" in away.stderr) == (1, True)
    (station.folder / "state").mkdir()
    (station.folder / "state" / "api.token").write_text("0123456789abcdef0123")
    away = command("show", str(station.config), "nodes")
    assert (away.returncode, "no controller answers at" in away.stderr) == (1, True)
    (station.folder / "flood.wav").write_text("<html>")
    (station.folder / "drill.wav").unlink()
    bad = command("check", str(station.config))
    assert bad.returncode == 2
    assert "flood.wav: it cannot be decoded" in bad.stderr
    assert "drill.wav: there is no such file" in bad.stderr
    assert command("check", "/none.yaml").returncode == 2


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("run", "--help"),
        ("check", "--help"),
        ("show", "--help"),
        ("emergency", "start", "--help"),
        ("emergency", "clear", "--help"),
        ("relay", "start", "--help"),
        ("relay", "stop", "--help"),
        ("speak", "--help"),
        ("media", "--help"),
        ("media", "add", "--help"),
        ("development-pki", "--help"),
    ],
)
def test_each_verb_explains_itself_with_an_example(words: tuple[str, ...]) -> None:
    told = command(*words)
    assert (told.returncode, "example" in told.stdout) == (0, True)


def test_a_key_that_others_may_read_or_the_keyset_does_not_name_stops_the_start(
    station: Station, tmp_path: Path
) -> None:
    strange = make_pki(tmp_path / "strange")
    plain = station.read()
    plain["trust"]["signing_keys"][0]["path"] = str(strange.folder / "operations-1.key")
    station.write(plain)
    refused = command("run", str(station.config))
    assert (refused.returncode, "is another key than the keyset" in refused.stderr) == (2, True)
    (strange.folder / "operations-1.key").chmod(0o644)
    refused = command("run", str(station.config))
    assert (refused.returncode, "others may read" in refused.stderr) == (2, True)
    plain["trust"]["keyset"] = str(strange.folder / "keyset.cose")
    station.write(plain)
    refused = command("run", str(station.config))
    assert (refused.returncode, "is not a keyset that the root" in refused.stderr) == (2, True)
