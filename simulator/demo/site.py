"""The demo's commune on disk: one folder with keys, configurations, clips, state, logs and captures.

Duty: write everything that the broker, the controller and three nodes of two villages are started with, so that
each could as well be started by hand with the same files. What takes long (keys, clips, the controller's media)
is kept from run to run; what a run has done (records, counters, captures) begins anew unless it is asked to stay.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import yaml

from controller.adapters.certificate_authority import create_authority, utc_now
from controller.adapters.development_pki import make_development_pki
from protocol.units import NS_PER_S, SharedNs
from simulator.demo.broker import BrokerError, BrokerFiles, free_port, write_broker_files
from simulator.demo.clips import DemoClips, make_clips
from simulator.demo.listener import alsa_configuration

CONTROLLER: Final = "controller1"
COMMUNE: Final = "xa-binh-minh"
TIME_ZONE: Final = "Asia/Ho_Chi_Minh"
SOUND_DEVICE: Final = "loaxa_demo"
WARM_UP_MS: Final = 300
HOLD_MS: Final = 2000
CONSOLE_PORT: Final = 8080
"""The page's port when it is free, so that its address stays the same."""
_ALSA_FILE: Final = "alsa.conf"
_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoNode:
    """One pole of the demo."""

    name: str
    title: str
    village: str


VILLAGES: Final = {"thon-dong": "Thôn Đông", "thon-doai": "Thôn Đoài"}
NODES: Final = (
    DemoNode(name="N001", title="Cụm loa nhà văn hoá", village="thon-dong"),
    DemoNode(name="N002", title="Cụm loa đình làng", village="thon-dong"),
    DemoNode(name="N003", title="Cụm loa trường học", village="thon-doai"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the demo's servers listen, on loopback."""

    broker: int
    time: int
    services: int
    media: int
    enrolment: int
    console: int


NO_PORTS: Final = Ports(broker=0, time=0, services=0, media=0, enrolment=0, console=0)
"""Before they are chosen."""


def free_ports(console_port: int = 0, *, kept: Path | None = None, choose: Callable[[int], int] = free_port) -> Ports:
    """Ports that are free now, as `choose` finds them; the page's is `console_port` if that is.

    Nodes remember where they enrolled, so ports that are kept in a file are taken again, or it is a BrokerError.
    """
    if kept is not None and kept.exists():
        before = Ports(**json.loads(kept.read_text()))
        taken = [port for port in asdict(before).values() if choose(port) != port]
        if taken:
            message = f"the nodes remember port {taken[0]}, which another program has; end it, or begin without --keep"
            raise BrokerError(message)
        return before
    return Ports(
        broker=choose(0),
        time=choose(0),
        services=choose(0),
        media=choose(0),
        enrolment=choose(0),
        console=choose(console_port),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSite:
    """The folder, and how to start what is in it."""

    folder: Path
    ports: Ports
    nodes: tuple[DemoNode, ...] = NODES

    @property
    def pki(self) -> Path:
        """The folder of keys."""
        return self.folder / "pki"

    @property
    def authority(self) -> Path:
        """The folder of the certificate authority, and of what it has issued to servers and the controller."""
        return self.folder / "ca"

    @property
    def logs(self) -> Path:
        """The folder of logs."""
        return self.folder / "logs"

    @property
    def token_file(self) -> Path:
        """The API's token."""
        return self.folder / "controller" / "api.token"

    @property
    def controller_configuration(self) -> Path:
        """The controller's YAML."""
        return self.folder / "controller.yaml"

    @property
    def broker_files(self) -> BrokerFiles:
        """The broker's files."""
        return BrokerFiles(
            folder=self.folder / "broker",
            pki=self.authority,
            port=self.ports.broker,
            time_port=self.ports.time,
            services_port=self.ports.services,
        )

    @property
    def ports_file(self) -> Path:
        """Where the ports are kept for a run that goes on with this one's state."""
        return self.folder / "controller" / "ports.json"

    def node_folder(self, node: str) -> Path:
        """Where a node's YAML, ALSA configuration, FIFO, pin trace and state are."""
        return self.folder / "nodes" / node

    def boot_file(self, node: str) -> Path:
        """Where the technician puts the file with the claim."""
        return self.node_folder(node) / "boot" / "loaxa.yaml"

    def is_enrolled(self, node: str) -> bool:
        """Whether its card has an identity already."""
        return any((self.node_folder(node) / "state" / "identity").glob("*/identity.json"))

    def fifo(self, node: str) -> Path:
        """Where a node's sound comes out."""
        return self.node_folder(node) / "sound.pcm"

    def pin_trace(self, node: str) -> Path:
        """Where each change of its amplifier's pin is written."""
        return self.node_folder(node) / "pins.jsonl"

    def controller_command(self) -> list[str]:
        """The controller's process."""
        return [_script("loaxa-controller"), "run", str(self.controller_configuration)]

    def node_command(self, node: str) -> list[str]:
        """A node's process."""
        return [_script("loaxa-edge"), "run", str(self.node_folder(node) / "edge.yaml")]

    def node_environment(self) -> dict[str, str]:
        """What ALSA must know to write into a node's FIFO, from within the node's folder.

        A relative path, for ALSA takes a space in it for the end of the first of several paths.
        """
        return {"ALSA_CONFIG_PATH": _ALSA_FILE, "JACK_NO_START_SERVER": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPlaylist:
    """When the playlist is due."""

    at_ns: SharedNs


def prepare_folder(site: DemoSite, *, keep_state: bool = False) -> None:
    """Make keys, authority and clips, and clear away what an earlier run did. Raises ControllerError or ClipError."""
    site.folder.mkdir(parents=True, exist_ok=True)
    make_development_pki(site.pki, controller=CONTROLLER, nodes=[])
    create_authority(
        site.authority,
        controller=CONTROLLER,
        hosts=["localhost", "127.0.0.1"],
        ask_passphrase=lambda: secrets.token_urlsafe(24).encode(),  # nobody ever needs this root again
        now=utc_now(),
    )
    make_clips(site.folder / "clips")
    if not keep_state:
        for stale in [site.folder / "captures", *(site.node_folder(node.name) for node in site.nodes)]:
            shutil.rmtree(stale, ignore_errors=True)
        controller = site.folder / "controller"
        for stale in (*controller.glob("controller.sqlite*"), *controller.glob("audit-checkpoints*")):
            stale.unlink()  # checkpoints of a log that is gone would say that the new one was tampered with
        site.ports_file.unlink(missing_ok=True)


def write_site(site: DemoSite, *, feeds: dict[str, str], playlists: Sequence[PlannedPlaylist]) -> None:
    """Write all configurations; `feeds` maps a feed's id to its URL."""
    site.broker_files.folder.mkdir(parents=True, exist_ok=True)
    if not site.broker_files.revoked.exists():
        shutil.copyfile(site.authority / "revoked.crl", site.broker_files.revoked)
    write_broker_files(site.broker_files, controllers=(CONTROLLER,))
    clips = make_clips(site.folder / "clips")
    site.token_file.parent.mkdir(parents=True, exist_ok=True)
    if not site.token_file.exists():
        site.token_file.touch(mode=0o600)
        site.token_file.write_text(secrets.token_urlsafe(24) + "\n")
    site.ports_file.write_text(json.dumps(asdict(site.ports)))
    write_controller_configuration(site, clips=clips, feeds=feeds, playlists=playlists)
    for node in site.nodes:
        folder = site.node_folder(node.name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "box").write_text(f"demo{node.name}")
        (folder / _ALSA_FILE).write_text(alsa_configuration(site.fifo(node.name), device=SOUND_DEVICE))
        _write_yaml(folder / "edge.yaml", _edge(site, node.name))


def write_controller_configuration(
    site: DemoSite,
    *,
    clips: DemoClips,
    feeds: dict[str, str],
    playlists: Sequence[PlannedPlaylist],
) -> None:
    """Write the controller's YAML; a later call with later playlists needs the controller to start anew."""
    _write_yaml(
        site.controller_configuration,
        {
            "controller": CONTROLLER,
            "time_zone": TIME_ZONE,
            "broker": {"host": "localhost", "port": site.ports.services, "server": _broker_server(site)},
            "trust": {
                "ca": "ca/ca.pem",
                "certificate": "ca/controller.pem",
                "private_key": "ca/controller.key",
                "keyset": "pki/keyset.cose",
                "root_keys": "pki/root_keys.json",
                "signing_keys": [{"key_id": key, "path": f"pki/{key}.key"} for key in ("operations-1", "drill-1")],
            },
            "database": "sqlite:///controller/controller.sqlite",
            "state_dir": "controller",
            "http": {
                "nodes": {
                    "host": "127.0.0.1",
                    "port": site.ports.media,
                    "certificate": "ca/server.pem",
                    "private_key": "ca/server.key",
                },
                "enrolment": {"host": "127.0.0.1", "port": site.ports.enrolment},
                "console": {"host": "127.0.0.1", "port": site.ports.console, "token_file": "controller/api.token"},
            },
            "enrolment": {
                "issuer_certificate": "ca/issuing.pem",
                "issuer_key": "ca/issuing.key",
                "url": f"https://localhost:{site.ports.enrolment}",
                "nodes_url": f"https://localhost:{site.ports.media}",
                "broker_host": "localhost",
                "broker_port": site.ports.broker,
                "broker_time_port": site.ports.time,
            },
            "areas": [
                {"id": COMMUNE, "title": "Xã Bình Minh", "level": "commune"},
                *(
                    {"id": village, "title": title, "level": "village", "parent": COMMUNE}
                    for village, title in VILLAGES.items()
                ),
            ],
            "nodes": [
                {
                    "id": node.name,
                    "title": node.title,
                    "area": node.village,
                    "quiet_hours": "none",
                }
                for node in site.nodes
            ],
            "feeds": [{"id": feed, "title": f"Đài thử {feed.upper()}", "urls": [url]} for feed, url in feeds.items()],
            "emergency": {"chime_ms": 0},
            "clips": [
                {"id": "flood", "title": "Lũ khẩn cấp", "file": str(clips.flood)},
                {"id": "drill", "title": "Diễn tập lũ", "file": str(clips.drill), "reality": "drill"},
            ],
            "programmes": [_programme(number, planned, clips) for number, planned in enumerate(playlists, start=1)],
        },
    )


def _broker_server(site: DemoSite) -> dict[str, Any]:
    """So that the controller keeps revoked nodes out of the broker."""
    files = site.broker_files
    return {
        "folder": "broker",
        "certificate": "ca/server.pem",
        "private_key": "ca/server.key",
        "revoked": str(files.revoked),
        "pid_file": str(files.pid_file),
        "nodes": {"address": "127.0.0.1", "port": files.port},
        "time": {"address": "127.0.0.1", "port": files.time_port},
        "services": {"address": "127.0.0.1", "port": files.services_port},
    }


def _programme(number: int, planned: PlannedPlaylist, clips: DemoClips) -> dict[str, Any]:
    """A programme on the one day on which it is due; the plan repeats it a week later."""
    due = datetime.fromtimestamp(planned.at_ns // NS_PER_S, tz=ZoneInfo(TIME_ZONE))
    return {
        "id": f"playlist-{number}",
        "title": "Chương trình thử",
        "area": COMMUNE,
        "at": due.strftime("%H:%M:%S"),
        "days": [_WEEKDAYS[due.weekday()]],
        "items": [
            {"file": str(clips.playlist[0]), "title": "Nhạc hiệu"},
            {"file": str(clips.playlist[1]), "title": "Bản tin"},
        ],
    }


def next_whole_second(shared_ns: int, *, in_s: float) -> SharedNs:
    """The first whole second that is at least so far away; plans name whole seconds."""
    return SharedNs(-(-(shared_ns + int(in_s * NS_PER_S)) // NS_PER_S) * NS_PER_S)


def _edge(site: DemoSite, node: str) -> dict[str, Any]:
    return {
        "enrolment": {"file": str(site.boot_file(node)), "hardware": "box"},
        "trust": {"root_keys": str(site.pki / "root_keys.json")},
        "state_dir": "state",
        "sound": {"device": SOUND_DEVICE, "paced": "clock"},
        "amplifier": {
            "pin_factory": "mock",
            "relay_pin": 17,
            "warm_up_ms": WARM_UP_MS,
            "hold_ms": HOLD_MS,
            "trace": "pins.jsonl",
        },
        "telemetry": {"idle_interval_s": 5, "on_air_interval_s": 1},
        "clock": {"believes": "any"},
        "log": {"level": "info"},
    }


def _write_yaml(path: Path, value: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=120))


def _script(name: str) -> str:
    """A command of the environment that this runs in."""
    return str(Path(sys.executable).parent / name)
