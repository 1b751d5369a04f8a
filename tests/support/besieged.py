"""A commune under attack: real broker, controller, station and two nodes, and an intruder who holds the broker.

The station sends a low tone, every clip is a high one: so whatever an attack makes sound differs from what may
sound, and is counted to the sample in what came out of the nodes. Keys follow from their names (`issuer`), so tests
sign with any of them: the controller's, one of another place, one that is revoked, one that nobody gave.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from cryptography.hazmat.primitives import serialization

from controller.keys.scopes import SIGNABLE_TYPES
from edge.enrolment.identity import CERTIFICATE
from protocol.codec import cbor_decode
from protocol.envelope import open_sealed
from protocol.messages import Assignment, BroadcastClass, MediaReference, Reality
from protocol.topics import TopicName, topic
from protocol.units import NS_PER_MS, SAMPLE_RATE_HZ, SharedNs
from simulator.demo.broker import await_broker
from simulator.demo.clips import write_wav
from simulator.demo.console import Console, ConsoleError
from simulator.demo.disturbance import Part
from simulator.demo.enrolment import claim_places
from simulator.demo.listener import Listener, read_pin_trace
from simulator.demo.machine_watch import MachineWatch
from simulator.demo.ports import PortClaims
from simulator.demo.processes import Children, last_lines
from simulator.demo.site import NODES, DemoSite, PlannedPlaylist, Ports, prepare_folder, write_site
from simulator.demo.station import Station
from tests.support.intruder import Intruder
from tests.support.issuer import Issuer, key_of

NODE, NEIGHBOUR, OTHER = (node.name for node in NODES)
"""`NODE` and `OTHER` stand in two villages and run; `NEIGHBOUR` is an enrolled unit in the attacker's hands."""
VILLAGE, OTHER_VILLAGE = "thon-dong", "thon-doai"
RUNNING = (NODE, OTHER)
GENUINE_HZ, FOREIGN_HZ = 700.0, 5_000.0
SOUND_DBFS = -50.0
KEEP_S = 240.0
_DAY_S = 86_400
_TONE_LEVEL = 0.35
_BLOCK = 960
_FOREIGN_AMPLITUDE_MIN = 33
"""-60 dBFS of int16, as everywhere where sound is looked for."""


class Besieged:
    """See the module's text; one `start`, one `stop`."""

    def __init__(self, folder: Path) -> None:
        self._claims = PortClaims()
        names = ("broker", "time", "services", "media", "enrolment", "console")
        ports = Ports(**{name: self._claims.claim() for name in names})
        self.site = DemoSite(folder=folder, ports=ports, nodes=NODES)
        self.issuer = Issuer(time.time_ns() // NS_PER_MS)
        self.children = Children(self.site.logs, restart_pause_s=0.1)
        self.listener = Listener({name: self.site.fifo(name) for name in RUNNING}, keep_s=KEEP_S)
        self.machine = MachineWatch(keep_s=KEEP_S)
        self.station = Station(folder / "station", mounts=("mp3",))
        self.console = Console(port=ports.console, token_file=self.site.token_file)
        self._intruder: Intruder | None = None
        self.claim_file = ""

    @property
    def intruder(self) -> Intruder:
        """Who holds the broker."""
        assert self._intruder is not None, "not started"
        return self._intruder

    # the commune

    def start(self) -> None:
        """Everything up, both nodes ready, the neighbour enrolled."""
        self._write_keys_and_sounds()
        prepare_folder(self.site)
        (self.site.pki / "keyset.cose").write_bytes(self._keyset())
        self.station.start()
        self.listener.start()
        self.machine.start()
        due_ns = SharedNs((time.time_ns() // 10**9 + _DAY_S) * 10**9)
        write_site(self.site, feeds={"tone": self.station.urls["mp3"]}, playlists=[PlannedPlaylist(at_ns=due_ns)])
        for name in RUNNING:
            path = self.site.node_folder(name) / "edge.yaml"
            settings = yaml.safe_load(path.read_text())
            settings["telemetry"] = {"idle_interval_s": 1, "on_air_interval_s": 1}
            path.write_text(yaml.safe_dump(settings))
        self.start_broker()
        self.children.start("controller", self.site.controller_command())
        claim_places(self.site, self.console)
        self.claim_file = self.site.boot_file(NEIGHBOUR).read_text()
        self._intruder = self.new_intruder()
        self._intruder.start()
        for name in RUNNING:
            self.start_node(name)
        enrol = [str(Path(sys.executable).parent / "loaxa-edge"), "enrol"]
        enrol.append(str(self.site.node_folder(NEIGHBOUR) / "edge.yaml"))
        self.children.start(NEIGHBOUR, enrol)
        self.until(lambda: self.site.is_enrolled(NEIGHBOUR), what="the neighbour is enrolled", seconds=30)
        self.children.stop_one(NEIGHBOUR)
        self.until(self._are_ready, what="both nodes are ready", seconds=60)

    def stop(self) -> None:
        """Leave nothing behind."""
        if self._intruder is not None:
            self._intruder.stop()
        self.children.stop()
        self.station.stop()
        self.listener.stop()
        self.machine.stop()
        self._claims.release()

    def start_broker(self) -> None:
        """The commune's own."""
        self.children.start("broker", self.site.broker_files.command)
        await_broker(self.site.broker_files)

    def start_node(self, name: str) -> None:
        """A node's process, from its card."""
        folder = self.site.node_folder(name)
        self.children.start(name, self.site.node_command(name), self.site.node_environment(), folder)

    def cut_power(self, name: str) -> None:
        """Kill -9; the supervision starts it again from its card."""
        pid, restarts = self.children[name].pid, self.children[name].restarts
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: self.children[name].restarts > restarts, what=f"{name} starts again")
        began_ms = self.now_ms
        self.until(lambda: self._said_at_ms(name) > began_ms, what=f"{name} is back", seconds=30)

    def new_intruder(self, certificate: Path | None = None, *, port: int = 0, name: str = "intruder") -> Intruder:
        """Somebody at the services' door with the controller's certificate, or with another one elsewhere."""
        shown = certificate or self.site.authority / "controller.pem"
        return Intruder(
            port or self.site.ports.services,
            ca=self.site.authority / "ca.pem",
            certificate=shown,
            private_key=shown.with_suffix(".key"),
            name=name,
        )

    def neighbour(self) -> Intruder:
        """An enrolled unit in the attacker's hands, at the nodes' door."""
        (shown,) = (self.site.node_folder(NEIGHBOUR) / "state" / "identity").glob(f"*/{CERTIFICATE}")
        return Intruder(
            self.site.ports.broker,
            ca=self.site.authority / "ca.pem",
            certificate=shown,
            private_key=shown,
            name=NEIGHBOUR,
        )

    def until(self, condition: Callable[[], object], *, what: str, seconds: float = 10.0) -> None:
        """Wait, supervising; AssertionError with the end of the node's log."""
        deadline_s = time.monotonic() + seconds
        while True:
            self._supervise()
            try:
                if condition():
                    return
            except ConsoleError:
                pass
            log = last_lines(self.site.logs / f"{NODE}.log", 12)
            assert time.monotonic() < deadline_s, f"not within {seconds:g} s: {what}\n{log}"
            time.sleep(0.02)

    def during(self, seconds: float) -> None:
        """Let time pass, supervising."""
        end_s = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end_s, what="time passes", seconds=seconds + 5)

    # what the nodes say

    @property
    def now_ms(self) -> int:
        """The time now."""
        return time.time_ns() // NS_PER_MS

    def refused(self, node: str = NODE) -> Counter[str]:
        """The counters, as the node's telemetry over MQTT shows them."""
        return Counter(self.intruder.telemetry.get(node, {}).get("refused", {}))

    def until_counters_rest(self, node: str = NODE) -> None:
        """Wait until what was sent before is counted: three statuses in a row that show the same."""
        seen: list[tuple[int, Counter[str]]] = []

        def is_resting() -> bool:
            said_at_ms, told = self._said_at_ms(node), self.refused(node)
            if not seen or said_at_ms > seen[-1][0]:
                seen.append((said_at_ms, told))
            return len(seen) >= 3 and all(told == each for _, each in seen[-3:])

        self.until(is_resting, what=f"the counters of {node} rest", seconds=20)

    def until_counted(self, before: Counter[str], expected: dict[str, int], node: str = NODE) -> None:
        """Wait for a status that was made after now and shows so many more, and then nothing but these."""
        since_ms, wanted = self.now_ms, Counter(expected)

        def is_told() -> bool:
            told = self.refused(node) - before
            return self._said_at_ms(node) > since_ms + 150 and told.total() >= wanted.total()

        self.until(is_told, what=f"{node} counts {expected}, not {self.refused(node) - before}", seconds=6)
        told = self.refused(node) - before
        assert told == wanted, f"{dict(told)} instead of {expected}\n{last_lines(self.site.logs / f'{node}.log', 6)}"

    def assignment(self, node: str = NODE) -> Assignment:
        """What stands for a node, as the intruder heard it."""
        name = topic(TopicName.ASSIGNMENT, node=node)
        found: Assignment = cbor_decode(open_sealed(self.intruder.newest(name), topic=name).payload, Assignment)
        return found

    @property
    def clip(self) -> MediaReference:
        """A clip that lies on every node."""
        return self.assignment().prepared_clips[0]

    # what was heard

    def heard(self, node: str, since_ns: int, until_ns: int | None = None) -> np.ndarray[Any, np.dtype[np.int16]]:
        """Everything that came out of a node's sound path in an interval."""
        capture = self.listener.capture(node)
        first = int(np.searchsorted(capture.stamps_ns, since_ns))
        last = len(capture.stamps_ns) if until_ns is None else int(np.searchsorted(capture.stamps_ns, until_ns))
        begin = int(capture.ends[first - 1]) if first else 0
        end = int(capture.ends[last - 1]) if last else 0
        return capture.samples[begin:end]

    def sounding_samples(self, since_ns: int, until_ns: int | None = None) -> int:
        """Samples of any node that were not zero."""
        return sum(int(np.count_nonzero(self.heard(name, since_ns, until_ns))) for name in RUNNING)

    def foreign_samples(self, since_ns: int, until_ns: int | None = None) -> int:
        """Samples of any node, in blocks of 20 ms, in which the high tone was heard."""
        return sum(_foreign(self.heard(name, since_ns, until_ns)) for name in RUNNING)

    def sounds(self, node: str) -> bool:
        """Whether a node is heard now."""
        level = self.listener.level_dbfs(node)
        return level is not None and level > SOUND_DBFS

    def pin_changes(self, since_ns: int) -> int:
        """How often any amplifier was switched since an instant."""
        found = 0
        for name in RUNNING:
            trace = read_pin_trace(self.site.pin_trace(name))
            assert trace is not None, f"{name} left no pin trace"
            found += sum(change.at_ns > since_ns for change in trace)
        return found

    def is_powered(self, node: str) -> bool:
        """Whether an amplifier has power."""
        trace = read_pin_trace(self.site.pin_trace(node))
        return bool(trace and trace[-1].is_on)

    def until_silent(self) -> None:
        """Until no node is heard or powered."""
        self.until(
            lambda: not any(self.sounds(name) or self.is_powered(name) for name in RUNNING),
            what="silence, and amplifiers off",
            seconds=20,
        )

    # set-up

    def _write_keys_and_sounds(self) -> None:
        self.site.pki.mkdir(parents=True, mode=0o700)
        for name in ("root-1", "root-2", "root-3", "operations-1", "drill-1"):
            pem = key_of(name).private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            path = self.site.pki / f"{name}.key"
            path.touch(mode=0o600)
            path.write_bytes(pem)
        clips = self.site.folder / "clips"
        clips.mkdir()
        for name in ("flood", "drill", "morning-music", "morning-news"):
            write_wav(clips / f"{name}.wav", _tone(FOREIGN_HZ, seconds=2 if name == "flood" else 1))
        (self.site.folder / "station").mkdir()
        write_wav(self.site.folder / "station" / "programme.wav", _tone(GENUINE_HZ, seconds=10))

    def _keyset(self) -> bytes:
        make, day_ms = self.issuer.operational, _DAY_S * 1000
        return self.issuer.keyset(
            make("operations-1", document_types=SIGNABLE_TYPES),
            make("drill-1", reality=Reality.DRILL),
            make("genuine-1"),
            make("village-1", areas=(VILLAGE,)),
            make("village-2", areas=(OTHER_VILLAGE,)),
            make("routine-1", classes=(BroadcastClass.ROUTINE,)),
            make("planner-1", document_types=("plan",)),
            make("revoked-1", revoked=True, revoked_reason="mất máy"),
            make("past-1", expires_at_ms=self.now_ms - day_ms),
        )

    def _supervise(self) -> None:
        self.children.watch()
        parts = {"broker": Part.SERVER, "controller": Part.SERVER}
        followed = {name: (pid, parts.get(name, Part.NODE)) for name, pid in self.children.pids().items()}
        followed |= {f"station {name}": (pid, Part.STATION) for name, pid in self.station.pids().items()}
        self.machine.follow(followed)

    def _are_ready(self) -> bool:
        entries = {str(entry["id"]): entry for entry in self.console.nodes()}
        return all(
            entries[name].get("state") == "ready"
            and not entries[name].get("media_missing")
            and entries[name].get("plan_until_ms") is not None
            for name in RUNNING
        )

    def _said_at_ms(self, node: str) -> int:
        return int(self.intruder.telemetry.get(node, {}).get("at_ms", 0))


def _tone(frequency_hz: float, *, seconds: int) -> np.ndarray[Any, np.dtype[np.int16]]:
    turns = np.arange(seconds * SAMPLE_RATE_HZ) * (frequency_hz / SAMPLE_RATE_HZ)
    return np.asarray(np.sin(2 * np.pi * turns) * _TONE_LEVEL * 32767, np.int16)


def _foreign(samples: np.ndarray[Any, np.dtype[np.int16]]) -> int:
    """Samples in blocks whose part at the high tone, by the Fourier integral, is above the floor."""
    blocks = samples[: len(samples) // _BLOCK * _BLOCK].reshape(-1, _BLOCK).astype(np.float64)
    turns = np.exp(-2j * np.pi * FOREIGN_HZ / SAMPLE_RATE_HZ * np.arange(_BLOCK)) * np.hanning(_BLOCK)
    amplitudes = np.abs(blocks @ turns) * 4 / _BLOCK
    return int(np.count_nonzero(amplitudes > _FOREIGN_AMPLITUDE_MIN)) * _BLOCK
