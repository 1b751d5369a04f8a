"""What a load run is aimed at: broker, controller and identities; loopback only.

`own_target` makes a whole site in a folder: keys, a broker's configuration with limits fit for ten thousand
connections, a controller that knows every light node, one commune with a village for each hundred of them.
`running_target` takes the configuration of a controller that runs on this machine, and its development authority.
A load generator aimed at another machine is an attack on it, so every address must be this machine's own.
"""

from __future__ import annotations

import ipaddress
import json
import secrets
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from controller.adapters.config_file import read_config
from controller.adapters.development_pki import make_development_pki
from controller.areas import Area, AreaTree
from simulator.demo.broker import BrokerFiles, free_port, write_broker_files
from simulator.demo.clips import make_clips
from simulator.demo.console import Console
from simulator.load.identities import load_authority, make_identities, new_report_key_hex
from simulator.load.light_node import LightSettings

CONTROLLER: Final = "controller1"
COMMUNE: Final = "xa-binh-minh"
NODES_A_VILLAGE: Final = 100
FEED: Final = "station"
CLIP: Final = "flood"
HANDSHAKES_PER_S: Final = 300
"""What one broker core takes beside a live stream; the herd window follows from it, as in the controller."""
HERD_WINDOW_S_MIN: Final = 5


class TargetError(Exception):
    """The load cannot be aimed there; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where light nodes connect, who they are, and the controller's API."""

    broker_host: str
    broker_port: int
    ca_path: Path
    nodes: Sequence[LightSettings]
    console: Console
    area: str
    feed: str | None
    clip: str | None

    @property
    def herd_window_s(self) -> int:
        """As the controller assigns it."""
        return max(HERD_WINDOW_S_MIN, len(self.nodes) // HANDSHAKES_PER_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSite:
    """A site that the run starts itself."""

    folder: Path
    broker: BrokerFiles
    controller_configuration: Path
    target: Target


def require_loopback(host: str) -> str:
    """The host's address on this machine; raises TargetError for any other machine."""
    try:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(host, None, socket.AF_INET)}
    except OSError as error:
        raise TargetError(f"{host}: {error}") from error
    if not all(ipaddress.ip_address(address).is_loopback for address in addresses):
        raise TargetError(
            f"{host} is another machine ({', '.join(sorted(addresses))}): load is made on this machine only, "
            "by loopback: on a network it would be an attack, and would measure the network"
        )
    return min(addresses)


def own_target(folder: Path, *, count: int, feed_url: str | None, status_every_s: float | None) -> OwnSite:
    """Write a site for `count` light nodes."""
    make_development_pki(folder / "pki", controller=CONTROLLER, nodes=[])
    clips = make_clips(folder / "clips")
    names = [f"L{number:05d}" for number in range(count)]
    identities = make_identities(load_authority(folder / "pki"), names, folder / "light")
    broker = BrokerFiles(folder=folder / "broker", pki=folder / "pki", port=free_port())
    write_broker_files(broker, controllers=(CONTROLLER,))
    _quieten(broker)
    console_port, token_file = free_port(), folder / "api.token"
    token_file.touch(mode=0o600)
    token_file.write_text(secrets.token_urlsafe(24) + "\n")
    configuration = folder / "controller.yaml"
    document = _controller(broker.port, console_port, names, clip=str(clips.flood), feed_url=feed_url)
    configuration.write_text("".join(_lines(document)))
    nodes = [
        LightSettings(identity=each, areas=(_village(index), COMMUNE), status_every_s=status_every_s)
        for index, each in enumerate(identities)
    ]
    target = Target(
        broker_host="127.0.0.1",
        broker_port=broker.port,
        ca_path=folder / "pki" / "ca.pem",
        nodes=nodes,
        console=Console(port=console_port, token_file=token_file),
        area=COMMUNE,
        feed=FEED if feed_url else None,
        clip=CLIP,
    )
    return OwnSite(folder=folder, broker=broker, controller_configuration=configuration, target=target)


def running_target(path: Path, folder: Path, *, count: int, status_every_s: float | None) -> Target:
    """The controller that runs here with the configuration `path`; its first `count` nodes are played."""
    config = read_config(path)
    if len(config.nodes) < count:
        raise TargetError(f"{path} names {len(config.nodes)} nodes: --nodes may be at most that many")
    tree = AreaTree(Area(id=area.id, title=area.title, level=area.level, parent=area.parent) for area in config.areas)
    wanted = config.nodes[:count]
    ca_path = Path(config.trust.ca)
    identities = make_identities(load_authority(ca_path.parent), [node.id for node in wanted], folder / "light")
    require_loopback(config.http.console.host)
    root = next(area.id for area in config.areas if area.parent is None)
    return Target(
        broker_host=require_loopback(config.broker.host),
        broker_port=config.broker.port,
        ca_path=ca_path,
        nodes=[
            LightSettings(identity=each, areas=tree.chain(node.area), status_every_s=status_every_s)
            for each, node in zip(identities, wanted, strict=True)
        ],
        console=Console(port=config.http.console.port, token_file=Path(config.http.console.token_file)),
        area=root,
        feed=config.feeds[0].id if config.feeds else None,
        clip=next((clip.id for clip in config.clips if clip.reality == "real"), None),
    )


def _quieten(broker: BrokerFiles) -> None:
    """A log line for each connection would be measured too."""
    text = broker.configuration.read_text()
    text = text.replace("connection_messages true", "connection_messages false").replace("log_type notice\n", "")
    broker.configuration.write_text(text)


def _village(index: int) -> str:
    return f"thon-{index // NODES_A_VILLAGE:03d}"


def _controller(
    broker_port: int, console_port: int, names: Sequence[str], *, clip: str, feed_url: str | None
) -> dict[str, Any]:
    villages = dict.fromkeys(_village(index) for index in range(len(names)))
    return {
        "controller": CONTROLLER,
        "broker": {"host": "localhost", "port": broker_port},
        "trust": {
            "ca": "pki/ca.pem",
            "certificate": "pki/controller.pem",
            "private_key": "pki/controller.key",
            "keyset": "pki/keyset.cose",
            "root_keys": "pki/root_keys.json",
            "signing_keys": [{"key_id": key, "path": f"pki/{key}.key"} for key in ("operations-1", "drill-1")],
        },
        "database": "sqlite:///controller.sqlite",
        "state_dir": "state",
        "http": {
            "nodes": {
                "host": "127.0.0.1",
                "port": free_port(),
                "certificate": "pki/server.pem",
                "private_key": "pki/server.key",
            },
            "console": {"port": console_port, "token_file": "api.token"},
        },
        "feeds": [{"id": FEED, "title": "Đài thử", "urls": [feed_url]}] if feed_url else [],
        "clips": [{"id": CLIP, "title": "Lũ khẩn cấp", "file": clip}],
        "areas": [
            {"id": COMMUNE, "title": "Xã Bình Minh", "level": "commune"},
            *({"id": village, "title": village, "parent": COMMUNE} for village in villages),
        ],
        "nodes": [
            {"id": name, "title": name, "area": _village(index), "report_key": new_report_key_hex()}
            for index, name in enumerate(names)
        ],
    }


def _lines(document: dict[str, Any]) -> Iterator[str]:
    """YAML, one entry of a list a line: JSON is YAML, and a hundred times as quick to write."""
    for key, value in document.items():
        if isinstance(value, list) and value:
            yield f"{key}:\n"
            yield from (f"  - {json.dumps(entry, ensure_ascii=False)}\n" for entry in value)
        else:
            yield f"{key}: {json.dumps(value, ensure_ascii=False)}\n"
