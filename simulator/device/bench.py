"""The bench around one device: broker, controller, ears at its sound path, an eye on its relay.

The device is either a node process on this machine, whose sound comes out of a pipe and whose pin writes a trace; or
a real one on the bench's network: its line-out goes into this machine's line-in (read by `arecord`), and the contact
of its relay to a GPIO input of this machine, where there is one. What it says of itself is believed only where a
check is about exactly that.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml

from controller.adapters.development_pki import HOSTS_DEFAULT, make_development_pki
from simulator.bench_site import (
    LOOPBACK,
    BenchSite,
    SitePlan,
    start_controller,
    start_site,
    write_controller,
    write_site,
)
from simulator.demo.evidence import PinChange
from simulator.demo.listener import Listener, alsa_configuration, read_pin_trace
from simulator.demo.processes import Children
from simulator.device.relay_input import RelayInput

NODE: Final = "N001"
KEEP_S: Final = 180.0
SOUND_DEVICE: Final = "loaxa_bench"
RELAY_PIN: Final = 17
PROCESS: Final = "process"
"""The target that is a node process on this machine."""

Say = Callable[[str], None]


class BenchError(Exception):
    """The bench cannot be set up; the text says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """What is on the bench. `line_in` is an ALSA capture device, `relay_input` this machine's GPIO pin (BCM)."""

    target: str = PROCESS
    listen: str = LOOPBACK
    line_in: str = "default"
    relay_input: int | None = None

    @property
    def is_process(self) -> bool:
        """Whether the device is a process on this machine."""
        return self.target == PROCESS


class Bench:
    """One bench, from `start` to `stop`."""

    def __init__(self, folder: Path, options: BenchOptions, say: Say) -> None:
        self.options = options
        self.say = say
        self.folder = folder
        self.device = folder / "device"
        self.children = Children(folder / "logs")
        self.listener = Listener({NODE: self.device / "sound.pcm"}, keep_s=KEEP_S)
        self._relay_input: RelayInput | None = None
        self._plan: SitePlan | None = None
        self.site: BenchSite

    def start(self) -> None:
        """Broker, controller, ears and, where it is a process, the device."""
        options = self.options
        hosts = HOSTS_DEFAULT if options.is_process else (*HOSTS_DEFAULT, options.listen)
        made = make_development_pki(self.folder / "pki", controller="controller1", nodes=[NODE], hosts=hosts)
        self._plan = SitePlan(report_keys={NODE: made.nodes[0].report_key_hex}, listen=options.listen)
        self.site = write_site(self.folder, self._plan)
        self.device.mkdir(parents=True, exist_ok=True)
        self._write_device()
        self.listener.start()
        start_site(self.site, self.children)
        if options.is_process:
            self.start_device()
        else:
            self._listen_to_hardware()
            self.say(
                f"Chép thư mục {self.device} sang thiết bị {options.target} rồi chạy: loaxa-edge run edge.yaml\n"
                f"Copy {self.device} to the device {options.target} and run there: loaxa-edge run edge.yaml"
            )

    def plan_programme(self, programme: dict[str, Any]) -> None:
        """Have the controller plan a programme; it reads its configuration only when it starts."""
        if self._plan is None:
            raise BenchError("the bench is not started")
        self.children.stop_one("controller")
        write_controller(self.site, replace(self._plan, programmes=(programme,)))
        start_controller(self.site, self.children)

    def start_device(self) -> None:
        """Start the node process."""
        self.children.start(
            NODE,
            [str(Path(sys.executable).parent / "loaxa-edge"), "run", str(self.device / "edge.yaml")],
            {"ALSA_CONFIG_PATH": "alsa.conf", "JACK_NO_START_SERVER": "1"},
            self.device,
        )

    def cut_power(self) -> None:
        """End the device without warning: kill it, or have the technician pull the plug."""
        if self.options.is_process:
            pid = self.children[NODE].pid
            if pid is not None:
                os.killpg(pid, signal.SIGKILL)
        else:
            self.say("RÚT ĐIỆN thiết bị, chờ 3 giây, cắm lại · PULL THE PLUG, wait 3 s, plug it in again")

    def relay_changes(self) -> list[PinChange] | None:
        """What was seen of the relay; None when nobody looks at it."""
        if not self.options.is_process and self._relay_input is None:
            return None
        return read_pin_trace(self.device / "pins.jsonl")

    def seen(self) -> dict[str, Any]:
        """What the controller says of the device."""
        return next((node for node in self.site.console.nodes() if node.get("id") == NODE), {})

    def stop(self) -> None:
        """Nothing is left running."""
        if self._relay_input is not None:
            self._relay_input.close()
        self.children.stop()
        with contextlib.suppress(RuntimeError):
            self.listener.stop()

    def _listen_to_hardware(self) -> None:
        if shutil.which("arecord") is None:
            raise BenchError("arecord is not installed (Debian package alsa-utils): nobody could hear the device")
        record = f"exec arecord -q -D '{self.options.line_in}' -f S16_LE -r 48000 -c 1 -t raw > sound.pcm"
        self.children.start("arecord", ["sh", "-c", record], {}, self.device)
        if self.options.relay_input is not None:
            self._relay_input = RelayInput(self.options.relay_input, self.device / "pins.jsonl")

    def _write_device(self) -> None:
        """What the device is started with; paths are relative, so that the folder can be copied."""
        keys = self.folder / "pki" / "nodes" / NODE
        for path in keys.iterdir():
            shutil.copy2(path, self.device / path.name)
        host = "localhost" if self.options.is_process else self.options.listen
        settings: dict[str, Any] = {
            "node": NODE,
            "broker": {"host": host, "port": self.site.broker.port, "time_port": self.site.broker.time_port},
            "media": {"url": f"https://{host}:{self.site.media_port}"},
            "state_dir": "state",
            "amplifier": {"relay_pin": RELAY_PIN},
            "clock": {"believes": "any"},
            "telemetry": {"idle_interval_s": 2, "on_air_interval_s": 1},
        }
        if self.options.is_process:
            settings["sound"] = {"device": SOUND_DEVICE, "paced": "clock"}
            settings["amplifier"] = {"pin_factory": "mock", "relay_pin": RELAY_PIN, "trace": "pins.jsonl"}
            sound = alsa_configuration(self.device / "sound.pcm", device=SOUND_DEVICE)
            (self.device / "alsa.conf").write_text(sound)
        (self.device / "edge.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
