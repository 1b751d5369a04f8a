"""One pole: a machine with clock, SD card, network access, sound card and amplifier, and the program that runs on it.

What happens to it from outside happens here: power cut and boot, a killed program, a replaced unit, a copied card. What
its program does about it is the product's own affair (`node_process`). A boot takes time, and the clock starts from
whatever the machine has: a clock chip, the hour that was saved last, or 1970.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from edge.agent import Agent
from edge.config import EdgeConfig
from edge.effects import LogDecision
from edge.errors import StoreError
from edge.player.ports import OpusDecoder
from edge.telemetry import Machine, box_digest
from protocol.adapters.asyncio_loop import CLOCK_WATCH_S
from protocol.envelope import Signer
from protocol.keyring import RootKeys
from protocol.units import NS_PER_MS, NS_PER_S
from simulator.box import InputLine, Mains, Relay
from simulator.clock import BUILD_DATE_NS, ClockSettings, NodeClock
from simulator.delay import WIRED, AccessSettings
from simulator.disk import CAPACITY_BYTES, Disk
from simulator.ear import Ear
from simulator.enclosure import Enclosure, EnclosureSettings
from simulator.media_server import MediaServer, Recording
from simulator.microphone import Place
from simulator.network import Network
from simulator.node_process import NodeProcess, ProbeSettings, SoundMode
from simulator.pattern import Tags
from simulator.remembering import RememberingOpener
from simulator.sound_card import SimulatedCard, SimulatedCardSettings
from simulator.workshop import SyntheticDecoder
from simulator.world import Timer, World

DECISIONS_KEPT: Final = 2_048
"""Decisions of one agent remembered, newest last."""
RESTART_NS: Final = 2 * NS_PER_S
"""RestartSec of the unit, and the start of Python on a Raspberry Pi."""
SILENCE_NS: Final = 500 * NS_PER_MS
"""How soon after a program's end `loaxa-edge silence` has switched the amplifier off."""
NTP_AGAIN_NS: Final = 64 * NS_PER_S
_HOUR_NS: Final = 3_600 * NS_PER_S


class Rtc(StrEnum):
    """What a machine knows of the time when it boots: a chip, the hour that it saved last, or its image's date."""

    CHIP = "chip"
    SAVED_HOUR = "saved_hour"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class BootSettings:
    """How long a machine takes to boot, and how it comes by the time; `ntp_after_ns` None: there is no time server."""

    boot_ns: int = 22 * NS_PER_S
    rtc: Rtc = Rtc.SAVED_HOUR
    ntp_after_ns: int | None = 8 * NS_PER_S
    ntp_error_ns: int = 2 * NS_PER_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class PoleSettings:
    """What one pole is made of."""

    sound: SoundMode = SoundMode.SILENT
    probe: ProbeSettings = field(default_factory=ProbeSettings)
    clock: ClockSettings = field(default_factory=ClockSettings)
    access: AccessSettings = WIRED
    card: SimulatedCardSettings = field(default_factory=SimulatedCardSettings)
    boot: BootSettings = field(default_factory=BootSettings)
    disk_bytes: int = CAPACITY_BYTES
    enclosure: EnclosureSettings = field(default_factory=EnclosureSettings)
    place: Place = field(default_factory=Place)
    new_decoder: Callable[[], OpusDecoder] = SyntheticDecoder
    new_agent: type[Agent] = Agent
    """The product's agent; a test of a checker plants a faulty one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTrust:
    """Whom a node believes, and what it proves itself with."""

    root: RootKeys
    report_signer: Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all poles of a province share."""

    network: Network
    broker_address: str
    media_server: MediaServer
    recordings: Mapping[str, Recording]
    tags: Tags = field(default_factory=Tags)
    opener: RememberingOpener = field(default_factory=RememberingOpener)


class Pole:
    """One machine; `unit` is its own name where it is not the node's (a clone, a replacement beside the old one)."""

    def __init__(
        self,
        world: World,
        surroundings: Surroundings,
        *,
        config: EdgeConfig,
        trust: NodeTrust,
        settings: PoleSettings,
        unit: str | None = None,
        disk: Disk | None = None,
    ) -> None:
        self.name: Final = unit or config.node
        self.world: Final = world
        self.surroundings: Final = surroundings
        self.config: Final = config
        self.trust: Final = trust
        self.settings: Final = settings
        self.clock: Final = NodeClock(world, self.name, settings.clock)
        self.clock.on_set = self.clock_was_set
        self.host: Final = surroundings.network.add_host(self.name, settings.access)
        self.disk = disk or Disk(world, self.name, capacity_bytes=settings.disk_bytes)
        self.mains: Final = Mains(world)
        self.relay: Final = Relay(world, self.name, self.mains)
        self.enclosure: Final = Enclosure(
            world, self.name, settings.enclosure, mains=self.mains, relay=self.relay, on_empty=self._go_dark
        )
        self.door: Final = InputLine(world)
        self.button: Final = InputLine(world)
        self.ear: Final = Ear(world, self.name, surroundings.tags, self.relay)
        self.decisions: deque[tuple[int, LogDecision]] = deque(maxlen=DECISIONS_KEPT)
        self.on_decision: list[Callable[[Pole, LogDecision], None]] = []
        self.process: NodeProcess | None = None
        self.card_drift_ppb = settings.card.drift_ppb
        self.hardware = f"serial/{self.name}"
        """The serial number that its chip says it has."""
        self._off_since_ns = 0
        self._is_unplugged = self._is_rtc_dead = False
        self._boot_timer: Timer | None = None
        self._chance = world.chance(f"pole/{self.name}")

    @property
    def machine(self) -> Machine:
        """What tells this box and its present life from others; a clone may say what another box says."""
        boot = hashlib.sha256(f"{self.name}/{self._off_since_ns}".encode()).hexdigest()[:32]
        return Machine(box=box_digest(self.hardware), boot=boot)

    @property
    def is_on(self) -> bool:
        """Whether the machine has power."""
        return self.host.is_on

    def start(self) -> None:
        """The world begins with this machine up: its program starts now."""
        self._start_process()

    def cut_power(self) -> None:
        """Somebody pulls the plug inside the box: no battery helps."""
        self._is_unplugged = True
        self._go_dark()

    def lose_mains(self) -> None:
        """The grid fails: a battery takes over until it is empty; without one only the amplifier is dead."""
        self.enclosure.switch_grid(on=False)
        if self.is_on:
            self.enclosure.switch_computer(on=True)

    def regain_mains(self) -> None:
        """The grid is back."""
        self.enclosure.switch_grid(on=True)
        if self.is_on:
            self.enclosure.switch_computer(on=True)
        elif not self._is_unplugged:
            self.restore_power()

    def _go_dark(self) -> None:
        if not self.is_on:
            return
        self.world.record(self.name, "power_cut")
        self.relay.release()
        self.enclosure.switch_computer(on=False)
        self._off_since_ns = self.world.now_ns
        self.world.cancel(self._boot_timer)
        process, self.process = self.process, None
        if process is not None:
            process.lose_power()
        self.surroundings.network.power_off(self.name)
        self.disk.lose_power()

    def restore_power(self, *, rtc_is_dead: bool = False) -> None:
        """The plug is in again: the machine boots, unless its battery is empty and the grid away.

        With `rtc_is_dead` its clock chip, or what it had saved of the time, did not outlast this.
        """
        self._is_rtc_dead = rtc_is_dead
        self._is_unplugged = False
        if self.is_on or (self.enclosure.battery is not None and not self.enclosure.is_fed):
            return
        self.world.record(self.name, "power_back")
        self.enclosure.switch_computer(on=True)
        self.host.is_on = True
        self._boot_timer = self.world.after(self.settings.boot.boot_ns, self._boot)

    def cut_power_for(self, duration_ns: int) -> None:
        """A short failure."""
        self.cut_power()
        self.world.after(duration_ns, self.restore_power)

    def kill_process(self) -> None:
        """The program dies (a bug, the kernel, `kill -9`) and is started again by systemd."""
        process, self.process = self.process, None
        if process is None:
            return
        self.world.record(self.name, "process_killed")
        process.kill()
        self.world.after(SILENCE_NS, self._silence)
        self._boot_timer = self.world.after(RESTART_NS, self._start_process)

    def restart_process(self) -> None:
        """`systemctl restart`: a clean end and a new start."""
        self.stop_process()
        self._boot_timer = self.world.after(RESTART_NS, self._start_process)

    def stop_process(self) -> None:
        """`systemctl stop`: nothing runs until `start`."""
        process, self.process = self.process, None
        if process is not None:
            self.world.record(self.name, "process_stopped")
            process.stop()
            self.relay.close()

    def replace_disk(self, disk: Disk | None = None) -> None:
        """Another card is put in while the machine is off: a copy of one, or an empty one."""
        if self.is_on:
            message = f"{self.name} is on: cut its power before its card is replaced"
            raise ValueError(message)
        name = f"{self.name}/{self.world.now_ns}"
        self.disk = disk or Disk(self.world, name, capacity_bytes=self.settings.disk_bytes)
        self.world.record(self.name, "disk_replaced")

    def set_card_drift(self, drift_ppb: int) -> None:
        """The sound card's crystal runs at another rate from here on, through restarts too; a quiet card has none."""
        self.card_drift_ppb = drift_ppb
        card = None if self.process is None else self.process.card
        if isinstance(card, SimulatedCard):
            card.set_drift(drift_ppb)

    def step_clock(self, by_ns: int) -> None:
        """Somebody or something sets the system clock."""
        self.clock.step(by_ns)

    def clock_was_set(self) -> None:
        """The rim of the program will notice; the clock says this by itself."""
        self.world.after(int(CLOCK_WATCH_S * NS_PER_S), self._wake, self.process)

    def decided(self, decision: LogDecision) -> None:
        """Its agent has decided something."""
        self.decisions.append((self.world.now_ns, decision))
        for tell in self.on_decision:
            tell(self, decision)

    def _boot(self) -> None:
        boot = self.settings.boot
        saved_ns = max(BUILD_DATE_NS, self._off_since_ns // _HOUR_NS * _HOUR_NS)
        rtc = Rtc.DEAD if self._is_rtc_dead else boot.rtc
        rtc_ns = {Rtc.CHIP: None, Rtc.SAVED_HOUR: saved_ns, Rtc.DEAD: BUILD_DATE_NS}[rtc]
        self.clock.reboot(rtc_ns=rtc_ns)
        if boot.ntp_after_ns is not None:
            self.world.after(boot.ntp_after_ns, self._synchronise, self.world.now_ns)
        self._start_process()

    def _synchronise(self, booted_at_ns: int) -> None:
        """The time server answers, unless the network is away or the machine has gone again meanwhile."""
        if not self.is_on or self._off_since_ns > booted_at_ns:
            return
        if not self.host.is_reachable:
            self.world.after(NTP_AGAIN_NS, self._synchronise, booted_at_ns)
            return
        bound_ns = self.settings.boot.ntp_error_ns
        self.clock.synchronise(error_ns=self._chance.within(-bound_ns, bound_ns))

    def _wake(self, process: NodeProcess | None) -> None:
        if process is not None and process is self.process:
            process.wake()

    def _silence(self) -> None:
        if self.process is None:
            self.relay.close()

    def _start_process(self) -> None:
        """A program whose store cannot be made ends, and is started again."""
        self.world.record(self.name, "process_started")
        process = NodeProcess(self)
        try:
            process.start()
        except StoreError as error:
            self.world.record(self.name, "process_failed", why=str(error))
            process.kill()
            self._boot_timer = self.world.after(RESTART_NS, self._start_process)
            return
        self.process = process
