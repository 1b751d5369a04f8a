"""The demo's commune for end-to-end tests: real processes, and waits that watch what they wait for.

Every wait has a bound and supervises the processes meanwhile, so that a killed one is started again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from protocol.units import NS_PER_MS, NS_PER_S, SharedNs
from simulator.demo import evidence
from simulator.demo.console import Console, ConsoleError
from simulator.demo.disturbance import heard_at, in_words
from simulator.demo.evidence import PinChange
from simulator.demo.findings import POWER_TOLERANCE_NS
from simulator.demo.listener import read_pin_trace
from simulator.demo.site import COMMUNE, NODES, PlannedPlaylist, next_whole_second
from simulator.demo.town import BROKER, CONTROLLER, Town

KEEP_S = 120.0
FAR_S = 86_400.0
"""A playlist that no test waits for, so that there is a plan at all."""
SOUND_DBFS = -50.0
RECONNECT_S_MAX = 75.0
ARRIVAL_S_MAX = 0.3
"""Until what sounded at an instant is captured, and what the machine did by then is known."""
NODE_NAMES = tuple(node.name for node in NODES)


class Commune:
    """A town with a tester in it."""

    def __init__(self, folder: Path) -> None:
        self.said: list[str] = []
        self.town = Town(folder, keep_s=KEEP_S, say=self.said.append)
        self._last_refusal = ""

    @property
    def console(self) -> Console:
        """The controller's API."""
        return self.town.console

    def start(self) -> None:
        """Everything up and ready; a playlist stands in the plan for tomorrow."""
        self.town.prepare()
        self.town.start([PlannedPlaylist(at_ns=next_whole_second(time.time_ns(), in_s=FAR_S))])
        self.town.await_ready()

    def until(self, condition: Callable[[], object], *, within_s: float, what: str) -> None:
        """Supervise until something is so; AssertionError names what never came."""
        deadline = time.monotonic() + within_s
        while not self._holds(condition):
            assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}; {self._last_refusal}"
            self.town.watch()
            time.sleep(0.05)

    def during(self, seconds: float) -> None:
        """Let time pass, supervising."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.town.watch()
            time.sleep(0.05)

    def sounds(self, node: str) -> bool:
        """Whether a node is heard now."""
        level = self.town.listener.level_dbfs(node)
        return level is not None and level > SOUND_DBFS

    def until_all_sound(self, *, within_s: float = 15.0) -> SharedNs:
        """Wait until each node is heard; the instant."""
        self.until(lambda: all(self.sounds(name) for name in NODE_NAMES), within_s=within_s, what="sound on all nodes")
        return now_ns()

    def until_silent_and_off(self, *, within_s: float = 15.0) -> None:
        """Wait until no node is heard or powered."""
        self.until(
            lambda: not any(self.sounds(name) or self.is_powered(name) for name in NODE_NAMES),
            within_s=within_s,
            what="silence, and amplifiers off",
        )

    def trace(self, node: str) -> list[PinChange]:
        """The changes of a node's relay pin."""
        trace = read_pin_trace(self.town.site.pin_trace(node))
        assert trace is not None, f"{node} left no pin trace"
        return trace

    def is_powered(self, node: str) -> bool:
        """Whether a node's amplifier has power now."""
        trace = read_pin_trace(self.town.site.pin_trace(node))
        return bool(trace and trace[-1].is_on)

    def assert_never_unpowered(self) -> None:
        """No node has sounded without power in all that is kept."""
        for name in NODE_NAMES:
            unpowered_ms = evidence.unpowered_sound_ms(
                self.town.listener.capture(name),
                self.trace(name),
                tolerance_ns=POWER_TOLERANCE_NS,
                until_ns=now_ns(),
            )
            assert unpowered_ms == 0, f"{name} sounded unpowered for {unpowered_ms} ms"

    def assert_unbroken(self, *names: str, begin_ns: SharedNs, end_ns: SharedNs) -> str:
        """No node has a gap but where the machine held up what it needs; who was held up if one has, else nothing."""
        self.during(ARRIVAL_S_MAX)
        span = {"begin_ns": begin_ns, "end_ns": end_ns}
        captures = {name: self.town.listener.capture(name) for name in names}
        disturbances = self.town.machine.between(begin_ns, end_ns)
        for name, capture in captures.items():
            ours = evidence.gaps_undisturbed(capture, **span, disturbances=heard_at(name, disturbances))
            assert not ours, f"{name} was broken off by nothing but itself: {ours}; {in_words(disturbances)}"
        broken = {name: found for name, capture in captures.items() if (found := evidence.gaps(capture, **span))}
        return f"{broken}: {in_words(disturbances)}" if broken else ""

    @contextmanager
    def relay(self, feed: str) -> Iterator[str]:
        """A relay to the whole commune, ended at the end of the block whatever happened."""
        stream = self.console.start_relay(area=COMMUNE, feed=feed, minutes=10)
        try:
            yield stream
        finally:
            self.until(self._relays_stopped, within_s=15, what="the controller's answer to the end of a relay")
            self.until_silent_and_off()

    @contextmanager
    def emergency(self, *, clip: str = "flood", reality: str = "real") -> Iterator[SharedNs]:
        """An emergency in the whole commune, cleared at the end of the block; yields the instant of the press."""
        pressed_ns = now_ns()
        number = self.console.start_emergency(area=COMMUNE, clip=clip, minutes=10, reality=reality)
        try:
            yield pressed_ns
        finally:
            self.until(lambda: self._cleared(number), within_s=15, what="the controller's answer to an all-clear")

    def kill(self, name: str) -> None:
        """Kill -9; supervision starts it again."""
        pid = self.town.children[name].pid
        assert pid is not None, f"{name} is not running"
        os.kill(pid, signal.SIGKILL)

    def until_back(self, name: str, *, within_s: float = 15.0) -> None:
        """Wait until a killed process runs again."""
        killed = self.town.children[name].restarts
        self.until(lambda: self.town.children[name].restarts > killed, within_s=within_s, what=f"{name} started again")

    def until_ready(self) -> None:
        """Wait until every node is known to be ready; after some failed attempts a node waits up to a minute."""
        self.town.await_ready(RECONNECT_S_MAX)

    def plan_playlist(self, *, in_s: float) -> SharedNs:
        """Put a playlist into the plan, by a controller that is started anew; when it is due."""
        due_ns = next_whole_second(time.time_ns(), in_s=in_s)
        self.town.plan_anew([PlannedPlaylist(at_ns=due_ns)])
        self.until_ready()
        return due_ns

    def stop_servers(self) -> None:
        """Controller and broker away."""
        self.town.children.stop_one(CONTROLLER)
        self.town.children.stop_one(BROKER)

    def start_servers(self) -> None:
        """Controller and broker back."""
        self.town.children.start(BROKER, self.town.site.broker_files.command)
        self.town.children.start(CONTROLLER, self.town.site.controller_command())

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """As a thief of the controller's certificate would: the broker lets it pass."""
        command = [*self._client("mosquitto_pub"), "-t", topic, "-s", *(["-r"] if retain else [])]
        subprocess.run(command, input=payload, check=True, timeout=10, capture_output=True)

    def retained(self, topic: str) -> bytes:
        """What stands on a topic."""
        command = [*self._client("mosquitto_sub"), "-t", topic, "-C", "1", "-W", "5", "-N"]
        return subprocess.run(command, check=True, timeout=10, capture_output=True).stdout

    def refused(self, node: str) -> dict[str, int]:
        """What a node has refused, by reason, as it reports it."""
        return dict(self.town.nodes().get(node, {}).get("refused") or {})

    def _client(self, program: str) -> list[str]:
        pki = self.town.site.authority
        keys = [
            "--cafile",
            str(pki / "ca.pem"),
            "--cert",
            str(pki / "controller.pem"),
            "--key",
            str(pki / "controller.key"),
        ]
        return [program, "-h", "localhost", "-p", str(self.town.site.ports.services), "-V", "5", "-q", "1", *keys]

    def _relays_stopped(self) -> bool:
        self.console.stop_relays()
        return True

    def _cleared(self, emergency: str) -> bool:
        self.console.all_clear(emergency, reason="Hết kiểm tra")
        return True

    def _holds(self, condition: Callable[[], object]) -> bool:
        try:
            return bool(condition())
        except ConsoleError as error:
            self._last_refusal = str(error)
            return False


def now_ns() -> SharedNs:
    """This instant."""
    return SharedNs(time.time_ns())


def later(at_ns: SharedNs, seconds: float) -> SharedNs:
    """An instant so many seconds after another."""
    return SharedNs(at_ns + int(seconds * NS_PER_S))


def milliseconds(nanoseconds: int) -> float:
    """For messages and bounds."""
    return nanoseconds / NS_PER_MS
