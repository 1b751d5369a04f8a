"""The demo's commune on disk: one folder with keys, configurations, clips, state, logs and captures.

Duty: write everything that the broker, the controller and three nodes of two villages are started with, so that
each could as well be started by hand with the same files. What takes long (keys, clips, the controller's media)
is kept from run to run; what a run has done (records, counters, captures) begins anew unless it is asked to stay.
"""

from __future__ import annotations

import secrets
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import yaml

from controller.adapters.development_pki import DevelopmentPki, make_development_pki
from protocol.units import NS_PER_S, SharedNs
from simulator.demo.broker import BrokerFiles, free_port, write_broker_files
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
    services: int
    media: int
    console: int


def free_ports(console_port: int = 0) -> Ports:
    """Ports that are free now; the page's is `console_port` if that is."""
    return Ports(broker=free_port(), services=free_port(), media=free_port(), console=free_port(console_port))


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
            folder=self.folder / "broker", pki=self.pki, port=self.ports.broker, services_port=self.ports.services
        )

    def node_folder(self, node: str) -> Path:
        """Where a node's YAML, ALSA configuration, FIFO, pin trace and state are."""
        return self.folder / "nodes" / node

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


def prepare_folder(site: DemoSite, *, keep_state: bool = False) -> DevelopmentPki:
    """Make keys and clips, and clear away what an earlier run did. Raises DevelopmentPkiError or ClipError."""
    site.folder.mkdir(parents=True, exist_ok=True)
    made = make_development_pki(site.pki, controller=CONTROLLER, nodes=[node.name for node in site.nodes])
    make_clips(site.folder / "clips")
    if not keep_state:
        for stale in [site.folder / "captures", *(site.node_folder(node.name) for node in site.nodes)]:
            shutil.rmtree(stale, ignore_errors=True)
        for stale in (site.folder / "controller").glob("controller.sqlite*"):
            stale.unlink()
    return made


def write_site(
    site: DemoSite, made: DevelopmentPki, *, feeds: dict[str, str], playlists: Sequence[PlannedPlaylist]
) -> None:
    """Write all configurations; `feeds` maps a feed's id to its URL."""
    write_broker_files(site.broker_files, controllers=(CONTROLLER,))
    clips = make_clips(site.folder / "clips")
    site.token_file.parent.mkdir(parents=True, exist_ok=True)
    if not site.token_file.exists():
        site.token_file.touch(mode=0o600)
        site.token_file.write_text(secrets.token_urlsafe(24) + "\n")
    write_controller_configuration(site, made, clips=clips, feeds=feeds, playlists=playlists)
    for node in site.nodes:
        folder = site.node_folder(node.name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _ALSA_FILE).write_text(alsa_configuration(site.fifo(node.name), device=SOUND_DEVICE))
        _write_yaml(folder / "edge.yaml", _edge(site, node.name))


def write_controller_configuration(
    site: DemoSite,
    made: DevelopmentPki,
    *,
    clips: DemoClips,
    feeds: dict[str, str],
    playlists: Sequence[PlannedPlaylist],
) -> None:
    """Write the controller's YAML; a later call with later playlists needs the controller to start anew."""
    report_keys = {node.node: node.report_key_hex for node in made.nodes}
    _write_yaml(
        site.controller_configuration,
        {
            "controller": CONTROLLER,
            "time_zone": TIME_ZONE,
            "broker": {"host": "localhost", "port": site.ports.services},
            "trust": {
                "ca": "pki/ca.pem",
                "certificate": "pki/controller.pem",
                "private_key": "pki/controller.key",
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
                    "certificate": "pki/server.pem",
                    "private_key": "pki/server.key",
                },
                "console": {"host": "127.0.0.1", "port": site.ports.console, "token_file": "controller/api.token"},
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
                    "report_key": report_keys[node.name],
                    "quiet_hours": "none",
                }
                for node in site.nodes
            ],
            "feeds": [{"id": feed, "title": f"Đài thử {feed.upper()}", "urls": [url]} for feed, url in feeds.items()],
            "clips": [
                {"id": "flood", "title": "Lũ khẩn cấp", "file": str(clips.flood)},
                {"id": "drill", "title": "Diễn tập lũ", "file": str(clips.drill), "reality": "drill"},
            ],
            "programmes": [_programme(number, planned, clips) for number, planned in enumerate(playlists, start=1)],
        },
    )


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
    keys = site.pki / "nodes" / node
    return {
        "node": node,
        "broker": {"host": "localhost", "port": site.ports.broker},
        "media": {"url": f"https://localhost:{site.ports.media}"},
        "trust": {
            "root_keys": str(keys / "root_keys.json"),
            "ca": str(keys / "ca.pem"),
            "certificate": str(keys / "node.pem"),
            "private_key": str(keys / "node.key"),
            "report_key": str(keys / "report.key"),
        },
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
        "log": {"level": "info"},
    }


def _write_yaml(path: Path, value: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=120))


def _script(name: str) -> str:
    """A command of the environment that this runs in."""
    return str(Path(sys.executable).parent / name)
