"""A box from its first start to sound on air: real broker, controller and node processes, one claim on the card.

Also what follows in a unit's life: a renewal that interrupts no sound, a replacement, a revoked unit that is out.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from protocol.units import SharedNs
from simulator.demo import evidence
from simulator.demo.broker import await_broker
from simulator.demo.console import Console, ConsoleError
from simulator.demo.enrolment import claim_places
from simulator.demo.listener import Listener
from simulator.demo.processes import Children
from simulator.demo.site import COMMUNE, NODES, DemoSite, free_ports, prepare_folder, write_site
from tests.support.waiting import until_blocking

pytestmark = [pytest.mark.slow, pytest.mark.alone]

ON_AIR_S_MAX = 60.0
SOUND_DBFS = -50.0
DAY_MS = 24 * 3600 * 1000
NODE = NODES[0].name


class Bench:
    """A controller with its broker, and one box."""

    def __init__(self, folder: Path) -> None:
        self.site = DemoSite(folder=folder, ports=free_ports(), nodes=NODES[:1])
        self.children = Children(self.site.logs)
        self.listener = Listener({NODE: self.site.fifo(NODE)}, keep_s=120)
        self.console = Console(port=self.site.ports.console, token_file=self.site.token_file)

    def start(self) -> None:
        prepare_folder(self.site)
        write_site(self.site, feeds={"none": "http://127.0.0.1:1/none"}, playlists=())
        self.listener.start()
        self.children.start("broker", self.site.broker_files.command)
        await_broker(self.site.broker_files)
        self.children.start("controller", self.site.controller_command())
        claim_places(self.site, self.console)

    def start_node(self) -> None:
        folder = self.site.node_folder(NODE)
        self.children.start(NODE, self.site.node_command(NODE), self.site.node_environment(), folder)

    def stop(self) -> None:
        self.children.stop()
        self.listener.stop()

    def until(self, condition: Callable[[], object], what: str, *, seconds: float = ON_AIR_S_MAX) -> None:
        def watched() -> object:
            self.children.watch()
            return condition()

        until_blocking(watched, seconds=seconds, what=f"{what}\n{self.log[-2000:]}")

    @property
    def log(self) -> str:
        return (self.site.logs / f"{NODE}.log").read_text(errors="replace")

    def state(self) -> str:
        try:
            return str(self.console.nodes()[0].get("state"))
        except (ConsoleError, IndexError):
            return ""

    def sounds(self) -> bool:
        level = self.listener.level_dbfs(NODE)
        return level is not None and level > SOUND_DBFS

    def make_due(self) -> None:
        """The certificate's life looks two thirds over; the node notices when it starts."""
        (path,) = (self.site.node_folder(NODE) / "state" / "identity").glob("*/identity.json")
        plain = msgspec.json.decode(path.read_bytes())
        plain["not_before_ms"] -= 70 * DAY_MS
        plain["not_after_ms"] -= 70 * DAY_MS
        path.write_bytes(msgspec.json.encode(plain))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(tmp_path_factory.mktemp("first start"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_a_new_box_with_a_claim_is_on_air_within_a_minute(bench: Bench) -> None:
    began_s = time.monotonic()
    bench.start_node()
    bench.until(lambda: bench.state() == "ready", "the node is ready")
    drill = bench.console.start_emergency(area=COMMUNE, clip="drill", minutes=5, reality="drill")
    bench.until(bench.sounds, "sound")
    took_s = time.monotonic() - began_s
    bench.console.all_clear(drill, reason="đủ rồi")
    bench.until(lambda: not bench.sounds(), "silence")
    print(f"\nfirst start to sound on air: {took_s:.1f} s")  # noqa: T201 - the measurement
    assert took_s < ON_AIR_S_MAX
    assert "claim:   #" in bench.site.boot_file(NODE).read_text(), "the code is wiped"
    bench.until(lambda: bench.console.airings(limit=5), "its records are taken under the key that it enrolled")
    assert not bench.console.nodes()[0].get("refused")


def test_a_renewal_on_air_interrupts_no_sound(bench: Bench) -> None:
    bench.children.stop_one(NODE)
    bench.make_due()
    drill = bench.console.start_emergency(area=COMMUNE, clip="drill", minutes=5, reality="drill")
    bench.start_node()
    bench.until(lambda: "đã đăng ký · enrolled" in bench.log.rpartition("booted")[2], "the renewal")
    bench.until(bench.sounds, "sound")
    assert "certificate was renewed" not in bench.log, "the old one is shown while it sounds"
    begin_ns = SharedNs(time.time_ns())
    until_blocking(lambda: time.time_ns() > begin_ns + 4_000_000_000, seconds=6)
    assert "certificate was renewed" not in bench.log
    assert evidence.first_sound_ns(
        bench.listener.capture(NODE), after_ns=begin_ns, before_ns=SharedNs(begin_ns + 4_000_000_000)
    )
    bench.console.all_clear(drill, reason="đủ rồi")
    bench.until(lambda: "certificate was renewed" in bench.log, "the new certificate is shown in silence")
    bench.until(lambda: "connected incarnation=2" in bench.log.rpartition("booted")[2], "the broker takes it")
    bench.until(lambda: bench.state() == "ready", "the node is ready")


def test_a_replacement_unit_takes_over_and_the_old_card_is_out(bench: Bench) -> None:
    folder = bench.site.node_folder(NODE)
    bench.children.stop_one(NODE)
    shutil.copytree(folder / "state", folder / "old")
    shutil.rmtree(folder / "state")
    before = len(bench.console.airings(limit=50))
    (folder / "box").write_text("another box")
    file = bench.console._call("POST", "/api/v1/enrolments/claims", {"node": NODE, "replace": True})["boot_file"]
    bench.site.boot_file(NODE).write_text(file)
    bench.start_node()
    bench.until(lambda: "connected" in bench.log.rpartition("đã đăng ký")[2], "the new unit connects")
    bench.until(lambda: bench.state() == "ready", "the new unit is ready")
    states = {row["state"] for row in bench.console._list("/api/v1/enrolments", "enrolments")}
    assert "replaced" in states
    assert len(bench.console.airings(limit=50)) >= before, "its reports stay"
    bench.children.stop_one(NODE)
    shutil.rmtree(folder / "state")
    shutil.move(folder / "old", folder / "state")
    (folder / "box").write_text(f"demo{NODE}")
    bench.start_node()
    booted = len(bench.log)
    bench.until(lambda: "refuse" in bench.log[booted - 500 :], "the broker refuses the old certificate")
    assert "connected incarnation" not in bench.log[booted:]


def test_the_commands_of_the_desk(bench: Bench, tmp_path: Path) -> None:
    def enrol(*words: str) -> subprocess.CompletedProcess[str]:
        verb, *rest = words
        command = [
            sys.executable,
            "-m",
            "controller.cli",
            "enrol",
            verb,
            str(bench.site.controller_configuration),
            *rest,
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    listed = enrol("list").stdout
    assert "replaced (đã thay)" in listed
    assert NODE in listed
    refused = enrol("claim", NODE)
    assert (refused.returncode, "enrol replace" in refused.stderr) == (1, True)
    assert "nodes:" in enrol("claim", "N999").stderr
    made = enrol("replace", NODE, "--output", str(tmp_path / "loaxa.yaml"))
    assert "Mã đăng ký" in made.stdout
    assert "claim:" in (tmp_path / "loaxa.yaml").read_text()
    label = "0000-1111-2222-3333"
    assert label in enrol("approve", label, NODE, "--replace").stdout
    assert "Đã từ chối" in enrol("refuse", label, "--reason", "nhầm").stdout
    assert "Đã thu hồi" in enrol("revoke", NODE, "--reason", "mất trộm").stdout
    assert "revoked (đã thu hồi)" in enrol("list").stdout
    assert enrol("revoke", NODE).returncode == 1
