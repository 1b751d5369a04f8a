"""What one pole is made of: its settings, whom it believes, and the devices in its box.

What happens to them is `node`'s affair, what its program does with them `process`'s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from edge.agent import Agent
from edge.clock.shared_clock import SourceChoice
from edge.config import EdgeConfig
from edge.player.ports import OpusDecoder
from edge.telemetry import Machine
from protocol.clock_filter import ClockFilter
from protocol.envelope import Signer
from protocol.keyring import RootKeys
from protocol.messages import HeardBy
from protocol.silence import box_digest
from protocol.units import NS_PER_MS, NS_PER_S
from simulator.clock import ClockSettings, NodeClock
from simulator.evidence.ear import Ear
from simulator.evidence.pattern import Tags
from simulator.network.delay import WIRED, AccessSettings
from simulator.network.network import Network
from simulator.pole.box import InputLine, Mains, Relay
from simulator.pole.disk import CAPACITY_BYTES, Disk
from simulator.pole.enclosure import EnclosureSettings
from simulator.pole.horn import HornState
from simulator.pole.microphone import Place
from simulator.pole.sound_card import SimulatedCardSettings
from simulator.pole.workshop import SyntheticDecoder
from simulator.remembering import RememberingOpener
from simulator.services.media_server import MediaServer, Recording
from simulator.world import World


class SoundMode(StrEnum):
    """`full` renders and reads every sample; `silent` renders none and asks now and then."""

    FULL = "full"
    SILENT = "silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSettings:
    """When a silent node is asked what it sounds: after each airing's begin and end, and every so often (0: never)."""

    is_after_decisions: bool = True
    every_ns: int = 60 * NS_PER_S


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
    time: SourceChoice = SourceChoice.SYSTEM
    """Who tells the pole the time; its system clock alone costs nothing, the controller's answers do."""
    sensors: tuple[HeardBy, ...] = ()
    """What listens to its horn for the agent; only where every sample is rendered."""
    new_filter: type[ClockFilter] = ClockFilter
    """The product's filter; a test of a checker plants a faulty one."""


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


class PoleParts:
    """The devices of one box; `unit` is its own name where it is not the node's (a clone, or one beside the old)."""

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
        self.host: Final = surroundings.network.add_host(self.name, settings.access)
        self.disk: Final = disk or Disk(world, self.name, capacity_bytes=settings.disk_bytes)
        self.mains: Final = Mains(world)
        self.relay: Final = Relay(world, self.name, self.mains)
        self.door: Final = InputLine(world)
        self.button: Final = InputLine(world)
        self.ear: Final = Ear(world, self.name, surroundings.tags, self.relay)
        self.horn: Final = HornState()
        self.card_drift_ppb = settings.card.drift_ppb
        self.hardware = f"serial/{self.name}"
        """The serial number that its chip says it has."""
        self.off_since_ns = 0
        """When it was without power last (true time)."""

    @property
    def machine(self) -> Machine:
        """What tells this box and its present life from others; a clone may say what another box says."""
        boot = hashlib.sha256(f"{self.name}/{self.off_since_ns}".encode()).hexdigest()[:32]
        return Machine(box=box_digest(self.hardware), boot=boot)
