"""Brings a fleet up: its own broker and controller (and station), and as many real agents as asked for.

For demonstrations and for tests of the pages: everything but the poles' hardware is the real thing. Agents share
this process and its loop; each has its link's thread. Nothing is left running when it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from controller.adapters.development_pki import make_development_pki
from protocol.envelope import Signer, signer_from_private_key
from protocol.keyring import parse_root_keys
from simulator.bench_site import FEED, SitePlan, start_site, write_site
from simulator.demo.console import Console, ConsoleError
from simulator.demo.processes import Children
from simulator.demo.station import Station
from simulator.fleet.member import Member, MemberSettings
from simulator.fleet.wall import WallWorld

NODES_MAX: Final = 500
"""Each has a thread, and some 2 MB; on a stream each takes a tenth of a per cent of a core a packet a second."""
START_EVERY_S: Final = 0.02
READY_S_MAX: Final = 120.0
FAREWELL_S: Final = 0.5
_POLL_S: Final = 0.25
NODES_A_VILLAGE: Final = 20
RELAY_MINUTES: Final = 120


class FleetError(Exception):
    """The fleet does not come up; the text says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """A fleet that runs."""

    folder: Path
    address: str
    console: Console
    members: tuple[Member, ...]
    children: Children

    def ready(self) -> int:
        """How many nodes the controller knows to be ready with their clips; 0 while it cannot be asked."""
        try:
            nodes = self.console.nodes()
        except ConsoleError:
            return 0
        return sum(node.get("state") == "ready" and not node.get("media_missing") for node in nodes)

    def sounding(self) -> int:
        """How many nodes have their amplifier on, by their relay's contact."""
        return sum(bool(member.relay.contact.changes()[-1][1]) for member in self.members)


@contextlib.asynccontextmanager
async def running_fleet(
    folder: Path, *, nodes: int, has_stream: bool, say: Callable[[str], None]
) -> AsyncIterator[Fleet]:
    """A fleet in which every node is ready; it is gone when the block ends."""
    with contextlib.ExitStack() as stack:
        feed_url = None
        if has_stream:
            station = stack.enter_context(Station(folder / "station", mounts=("mp3",)))
            feed_url = station.urls["mp3"]
        names = [f"N{number:03d}" for number in range(1, nodes + 1)]
        say(f"keys and certificates of {nodes} nodes")
        made = make_development_pki(folder / "pki", controller="controller1", nodes=names)
        plan = SitePlan(
            report_keys={node.node: node.report_key_hex for node in made.nodes},
            feed_url=feed_url,
            nodes_a_village=NODES_A_VILLAGE,
        )
        site = write_site(folder, plan)
        children = Children(folder / "logs")
        stack.callback(children.stop)
        start_site(site, children)
        wall = WallWorld()
        stack.callback(wall.close)
        members = tuple(_member(wall, folder, name, site.broker.port) for name in names)
        fleet = Fleet(
            folder=folder,
            address=f"http://127.0.0.1:{site.console_port}/",
            console=site.console,
            members=members,
            children=children,
        )
        say(f"{nodes} agents connect; the page: {fleet.address}")
        try:
            for member in members:
                member.start()
                await asyncio.sleep(START_EVERY_S)
            await _await_ready(fleet)
            if has_stream:
                await asyncio.to_thread(fleet.console.start_relay, area=site.area, feed=FEED, minutes=RELAY_MINUTES)
            yield fleet
        finally:
            for member in members:
                member.stop()
            await asyncio.sleep(FAREWELL_S)
            await asyncio.gather(*(asyncio.to_thread(member.close) for member in members))


async def _await_ready(fleet: Fleet) -> None:
    deadline_s = asyncio.get_running_loop().time() + READY_S_MAX
    while (ready := await asyncio.to_thread(fleet.ready)) < len(fleet.members):
        for member in fleet.members:
            if member.failure.done():
                member.failure.result()
        if asyncio.get_running_loop().time() > deadline_s:
            raise FleetError(f"only {ready} of {len(fleet.members)} nodes were ready within {READY_S_MAX:.0f} s")
        await asyncio.sleep(_POLL_S)


def _member(wall: WallWorld, folder: Path, name: str, broker_port: int) -> Member:
    keys = folder / "pki" / "nodes" / name
    return Member(
        wall,
        MemberSettings(
            node=name,
            root=parse_root_keys((keys / "root_keys.json").read_bytes()),
            signer=_signer(keys / "report.key"),
            keys=keys,
            broker_port=broker_port,
            media=folder / "state" / "media" / "sha256",
        ),
    )


def _signer(path: Path) -> Signer:
    key = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise FleetError(f"{path} is no Ed25519 key")
    return signer_from_private_key("report", key)
