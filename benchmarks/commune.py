"""The real commune that benchmarks measure: broker, station, controller and nodes as processes of their own.

Everything is started as the demo starts it, from the same files, in a folder that is thrown away. What is
measured is therefore what runs in the field, TLS and signatures included; only the sound card is a FIFO.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from simulator.demo.broker import await_broker
from simulator.demo.console import Console, ConsoleError
from simulator.demo.enrolment import claim_places
from simulator.demo.listener import Listener
from simulator.demo.processes import Children
from simulator.demo.site import COMMUNE, NODES, DemoSite, free_ports, prepare_folder, write_site
from simulator.demo.station import Station

READY_S_MAX: Final = 60.0
_POLL_S: Final = 0.05
_RELAY_MINUTES: Final = 60


class BenchmarkError(Exception):
    """The commune did not come to the state that was to be measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commune:
    """A commune that runs: its folder, its processes, its ears and its button."""

    site: DemoSite
    children: Children
    station: Station
    listener: Listener
    console: Console

    def pid(self, name: str) -> int:
        """The process id of `broker`, `controller` or a node; raises BenchmarkError when it has ended."""
        pid = self.children[name].pid
        if pid is None:
            message = f"{name} has ended; its log: {self.children[name].log}"
            raise BenchmarkError(message)
        return pid

    def start_anew(self, node: str) -> None:
        """End a node and start it again: from then on it is a pole that has its identity, as after any power cut."""
        child = self.children[node]
        self.children.stop_one(node)
        self.children.start(node, child.command, child.environment, child.working_folder)
        await_true(lambda: _ready_count(self.console) == len(self.site.nodes), f"{node} ready again")

    def start_relay(self, feed: str) -> str:
        """Relay a feed to the whole commune; the stream's name."""
        return self.console.start_relay(area=COMMUNE, feed=feed, minutes=_RELAY_MINUTES)

    def hears(self, node: str) -> bool:
        """Whether a node has sounded within the last half second."""
        level = self.listener.level_dbfs(node)
        return level is not None and level > -60.0  # noqa: PLR2004 - far above rounding, far below speech


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a benchmark wants otherwise than the demo has it.

    `programme` (int16 mono 48 kHz, WAV) is on air instead of music; with `is_heard` false somebody else makes and
    reads the nodes' FIFOs; `before_start` may change files once all are written; `environment_of` adds to a node's.
    """

    programme: Path | None = None
    is_heard: bool = True
    before_start: Callable[[DemoSite, Children], None] = lambda _site, _children: None
    environment_of: Callable[[str], Mapping[str, str]] = lambda _node: {}


UNCHANGED: Final = Changes()


@contextmanager
def commune(*, node_count: int, mount: str = "mp3", changes: Changes = UNCHANGED) -> Iterator[Commune]:
    """A running commune of `node_count` nodes whose station sends `mount`; everything ends with the context."""
    with tempfile.TemporaryDirectory(prefix="loaxa-benchmark-", ignore_cleanup_errors=True) as folder:
        site = DemoSite(folder=Path(folder), ports=free_ports(), nodes=NODES[:node_count])
        children = Children(site.logs)
        listener = Listener({node.name: site.fifo(node.name) for node in site.nodes if changes.is_heard})
        station = Station(site.folder / "station", mounts=(mount,))
        console = Console(port=site.ports.console, token_file=site.token_file)
        try:
            prepare_folder(site)
            if changes.programme is not None:
                station.programme.parent.mkdir(parents=True)
                station.programme.symlink_to(changes.programme.resolve())
            station.start()
            write_site(site, feeds={"station": station.urls[mount]}, playlists=())
            for node in site.nodes:
                _report_as_in_the_field(site.node_folder(node.name) / "edge.yaml")
            listener.start()
            changes.before_start(site, children)
            children.start("broker", site.broker_files.command)
            await_broker(site.broker_files)
            children.start("controller", site.controller_command())
            claim_places(site, console)
            for node in site.nodes:
                folder_of_node = site.node_folder(node.name)
                environment = {**site.node_environment(), **changes.environment_of(node.name)}
                children.start(node.name, site.node_command(node.name), environment, folder_of_node)
            world = Commune(site=site, children=children, station=station, listener=listener, console=console)
            await_true(lambda: _ready_count(console) == node_count, f"{node_count} nodes ready")
            yield world
        finally:
            children.stop()
            station.stop()
            listener.stop()


def _report_as_in_the_field(configuration: Path) -> None:
    """The demo's nodes report each second for its table; measured is the interval that a pole has."""
    settings = yaml.safe_load(configuration.read_text())
    del settings["telemetry"]
    configuration.write_text(yaml.safe_dump(settings, allow_unicode=True, sort_keys=False))


def await_true(condition: Callable[[], bool], what: str, *, seconds: float = READY_S_MAX) -> None:
    """Wait until a condition holds; raises BenchmarkError that says what did not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            message = f"waited {seconds:.0f} s in vain for: {what}"
            raise BenchmarkError(message)
        time.sleep(_POLL_S)


def _ready_count(console: Console) -> int:
    try:
        return sum(node.get("state") == "ready" for node in console.nodes())
    except ConsoleError:
        return 0
