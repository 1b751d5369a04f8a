"""What a load run is aimed at: broker, controller and identities; loopback only.

`own_target` makes a whole site in a folder (`bench_site`), whose controller knows every light node.
`running_target` takes the configuration of a controller that runs on this machine, and its development authority.
A load generator aimed at another machine is an attack on it, so every address must be this machine's own.
"""

from __future__ import annotations

import ipaddress
import resource
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from controller.adapters.config_file import read_config
from controller.adapters.development_pki import make_development_pki
from controller.areas import Area, AreaTree
from protocol.enrolment import TIME_PORT
from protocol.reconnect import herd_window_s
from simulator.bench_site import CLIP, CONTROLLER, FEED, LOOPBACK, BenchSite, SitePlan, write_site
from simulator.demo.console import Console
from simulator.load.identities import load_authority, make_identities, new_report_key_hex
from simulator.load.light_node import LightKind, LightSettings

_DESCRIPTORS_SPARE: Final = 200


class TargetError(Exception):
    """The load cannot be aimed there; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where light nodes connect, who they are, and the controller's API."""

    broker_host: str
    broker_port: int
    time_port: int
    ca_path: Path
    root_keys_path: Path
    nodes: Sequence[LightSettings]
    console: Console
    area: str
    feed: str | None
    clip: str | None

    @property
    def herd_window_s(self) -> int:
        """As the controller assigns it."""
        return herd_window_s(len(self.nodes))


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSite:
    """A site that the run starts itself."""

    site: BenchSite
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
    names = [f"L{number:05d}" for number in range(count)]
    identities = make_identities(load_authority(folder / "pki"), names, folder / "light")
    plan = SitePlan(report_keys={name: new_report_key_hex() for name in names}, feed_url=feed_url)
    site = write_site(folder, plan)
    nodes = [
        LightSettings(identity=each, areas=(plan.village(index), site.area), status_every_s=status_every_s)
        for index, each in enumerate(identities)
    ]
    target = Target(
        broker_host=LOOPBACK,
        broker_port=site.broker.port,
        time_port=site.broker.time_port,
        ca_path=folder / "pki" / "ca.pem",
        root_keys_path=folder / "pki" / "root_keys.json",
        nodes=nodes,
        console=site.console,
        area=site.area,
        feed=FEED if feed_url else None,
        clip=CLIP,
    )
    return OwnSite(site=site, target=target)


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
        broker_port=config.broker.port if config.broker.server is None else config.broker.server.nodes.port,
        time_port=TIME_PORT if config.broker.server is None else config.broker.server.time.port,
        ca_path=ca_path,
        root_keys_path=Path(config.trust.root_keys),
        nodes=[
            LightSettings(identity=each, areas=tree.chain(node.area), status_every_s=status_every_s)
            for each, node in zip(identities, wanted, strict=True)
        ],
        console=Console(port=config.http.console.port, token_file=Path(config.http.console.token_file)),
        area=root,
        feed=config.feeds[0].id if config.feeds else None,
        clip=next((clip.id for clip in config.clips if clip.reality == "real"), None),
    )


def with_clocks(nodes: Sequence[LightSettings]) -> list[LightSettings]:
    """The nodes, and of each its second connection, for the time."""
    clocks = [LightSettings(identity=each.identity, kind=LightKind.CLOCK) for each in nodes]
    return [*nodes, *clocks]


def allow_descriptors(connections: int) -> None:
    """As many open files as the broker needs, which inherits the bound; raises TargetError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _DESCRIPTORS_SPARE
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise TargetError(
            f"{connections} connections need {wanted} open files, this machine allows {hard} (ulimit -Hn)"
        )
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
