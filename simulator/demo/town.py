"""The whole commune as real processes: station, broker, controller, nodes, and the listener at their sound paths.

Duty: start them in order, say when all is ready, watch them, stop them and leave nothing behind. Leaves what is
done with them to the demo (`show`) and to the end-to-end tests. Children are started by the thread that calls
(see `processes`), so one thread does it all. Every wait has a bound.
"""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Final

from simulator.demo.broker import await_broker
from simulator.demo.clips import make_clips
from simulator.demo.console import Console, ConsoleError
from simulator.demo.disturbance import Part
from simulator.demo.enrolment import claim_places
from simulator.demo.listener import Listener
from simulator.demo.machine_watch import MachineWatch
from simulator.demo.ports import PortClaims
from simulator.demo.processes import ChildEnded, Children, last_lines
from simulator.demo.site import (
    NO_PORTS,
    DemoSite,
    PlannedPlaylist,
    Ports,
    free_ports,
    prepare_folder,
    write_controller_configuration,
    write_site,
)
from simulator.demo.station import Station

BROKER: Final = "broker"
CONTROLLER: Final = "controller"
FEEDS: Final = {"icecast": "mp3", "hls": "hls-aac"}
"""The demo's feeds and the mounts of the stand-in station that they are."""
READY_S_MAX: Final = 60.0
_POLL_S: Final = 0.2

Say = Callable[[str], None]


class TownError(Exception):
    """The commune does not come up; the text says which part and shows the end of its log."""


class Town:
    """One commune in one folder, from `start` to `stop`; usable as a context manager after `start`."""

    def __init__(
        self, folder: Path, *, keep_s: float, say: Say, keep_state: bool = False, console_port: int = 0
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.site = DemoSite(folder=folder.resolve(), ports=NO_PORTS)
        self.station: Final = Station(self.site.folder / "station", mounts=tuple(FEEDS.values()))
        self.children: Final = Children(self.site.logs)
        self.listener: Final = Listener(
            {node.name: self.site.fifo(node.name) for node in self.site.nodes}, keep_s=keep_s
        )
        self.machine: Final = MachineWatch(keep_s=keep_s)
        self.console = Console(port=0, token_file=self.site.token_file)
        self._ports: Final = PortClaims()
        self._console_port = console_port
        self._say = say
        self._keep_state = keep_state
        self._lock: IO[str] | None = None

    def prepare(self) -> None:
        """Take the folder, make keys and clips, put the station on air: what takes long the first time."""
        self._lock = take_folder(self.site.folder)
        self._say("Keys, certificates and spoken clips")
        prepare_folder(self.site, keep_state=self._keep_state)
        self._say("Station on air: music and speech by Icecast and HLS")
        self.station.start()
        self.listener.start()
        self.machine.start()

    def start(self, playlists: Sequence[PlannedPlaylist]) -> None:
        """Start broker, controller and nodes; `prepare` came first. Ports are chosen now, so that they are free."""
        self.site = replace(self.site, ports=self._free_ports())
        self.console = Console(port=self.site.ports.console, token_file=self.site.token_file)
        write_site(self.site, feeds=self._feeds(), playlists=playlists)
        self._say(f"Broker (Mosquitto, TLS 1.3) on port {self.site.ports.broker}")
        self.children.start(BROKER, self.site.broker_files.command)
        await_broker(self.site.broker_files)
        self._say("Controller")
        self.children.start(CONTROLLER, self.site.controller_command())
        claim_places(self.site, self.console, say=self._say)
        self._say(f"Nodes {', '.join(node.name for node in self.site.nodes)}")
        for node in self.site.nodes:
            self.children.start(
                node.name,
                self.site.node_command(node.name),
                self.site.node_environment(),
                self.site.node_folder(node.name),
            )

    def plan_anew(self, playlists: Sequence[PlannedPlaylist]) -> None:
        """Give the controller later playlists; it reads its configuration only when it starts."""
        self.children.stop_one(CONTROLLER)
        write_controller_configuration(
            self.site,
            clips=make_clips(self.site.folder / "clips"),
            feeds=self._feeds(),
            playlists=playlists,
        )
        self.children.start(CONTROLLER, self.site.controller_command())

    def await_ready(self, seconds: float = READY_S_MAX) -> None:
        """Return when every node is ready and has its plan, clips and media; raises TownError."""
        deadline = time.monotonic() + seconds
        lacking = "the controller's API"
        while time.monotonic() < deadline:
            self.watch()
            lacking = self._lacking()
            if not lacking:
                return
            time.sleep(_POLL_S)
        raise TownError(
            f"after {seconds:.0f} s still missing: {lacking}\n"
            f"{self.children[CONTROLLER].log}:\n{last_lines(self.children[CONTROLLER].log)}"
        )

    def watch(self) -> list[ChildEnded]:
        """Start again what ended; who did. Raises ChildError for one that keeps ending."""
        ended = self.children.watch()
        nodes = {node.name for node in self.site.nodes}
        followed = {
            name: (pid, Part.NODE if name in nodes else Part.SERVER) for name, pid in self.children.pids().items()
        }
        followed |= {f"station {name}": (pid, Part.STATION) for name, pid in self.station.pids().items()}
        self.machine.follow(followed)
        return ended + [ChildEnded(name=f"station {name}", how="ended") for name in self.station.restart_ended()]

    def nodes(self) -> dict[str, dict[str, Any]]:
        """What the controller says of each node; empty while it cannot be asked."""
        with contextlib.suppress(ConsoleError):
            return {str(entry["id"]): entry for entry in self.console.nodes()}
        return {}

    def stop(self) -> None:
        """End everything; nothing is left running, listening or in the way of the next start."""
        self.children.stop()
        self.station.stop()
        self.listener.stop()
        self.machine.stop()
        self._ports.release()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _lacking(self) -> str:
        nodes = self.nodes()
        if not nodes:
            return "the controller's API"
        for name, entry in nodes.items():
            if entry.get("state") != "ready":
                return f"node {name} ({entry.get('state')})"
            if entry.get("media_missing") or entry.get("plan_until_ms") is None:
                return f"plan or media of node {name}"
        return ""

    def _free_ports(self) -> Ports:
        return free_ports(self._console_port, kept=self.site.ports_file, choose=self._ports.claim)

    def _feeds(self) -> dict[str, str]:
        return {feed: self.station.urls[mount] for feed, mount in FEEDS.items()}


def take_folder(folder: Path) -> IO[str]:
    """Keep other demos out of a folder until the file is closed; raises TownError when one is in it."""
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise TownError(f"another demo runs in {folder}; end it, or name another folder with --dir") from error
    return lock
