"""A province put together: broker, controller, media server and poles in one world, from the product's own settings.

What a controller and its nodes are told is `controller.configuration.config.Config` and `edge.config.EdgeConfig`, as
in their YAML; what the world adds (which machines, which recordings) is data beside them. Everything follows from the
seed. `Province` also has the hands of people: press an emergency, cut a village's lines, restart the broker.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import BinaryIO, Final

import msgspec

from controller.configuration.check import faults_of
from controller.configuration.config import Config
from controller.requests import EndEmergency, RaiseEmergency, StartRelay, StopRelay
from edge.config import EdgeConfig
from protocol.messages import BroadcastClass, Reality
from protocol.topics import access_rules
from protocol.units import NS_PER_MS, NS_PER_S
from simulator.authority import SimulatedAuthority
from simulator.broker.broker import Broker, BrokerSettings
from simulator.evidence.pattern import Tags
from simulator.network.network import Network
from simulator.pole.disk import Disk
from simulator.pole.microphone import Microphone
from simulator.pole.node import Pole
from simulator.pole.parts import NodeTrust, PoleSettings, Surroundings
from simulator.remembering import RememberingOpener
from simulator.services.controller import Asked, ControllerSettings, SimulatedController
from simulator.services.media_server import MediaServer, Recording
from simulator.world import DEFAULT_START_NS, World

BROKER: Final = "broker"
"""The one address of MQTT."""


class ProvinceError(ValueError):
    """A province that cannot be built; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvinceSettings:
    """What a province is made of.

    `controller` is the whole configuration of the controller; its nodes' report keys are replaced by those of the
    seed. `edge` is every node's, with its name filled in. `media` says what each source file is; `poles` names the
    machines that differ from `pole`.
    """

    controller: Config
    media: Mapping[str, Recording]
    edge: EdgeConfig = field(default_factory=lambda: EdgeConfig(node="N001"))
    pole: PoleSettings = field(default_factory=PoleSettings)
    poles: Mapping[str, PoleSettings] = field(default_factory=dict)
    broker: BrokerSettings | None = None
    controller_machine: ControllerSettings = field(default_factory=ControllerSettings)
    start_ns: int = DEFAULT_START_NS


class Province:
    """A running province: everything is up from the first instant; `run_for` and `run_until` let time pass."""

    def __init__(self, settings: ProvinceSettings, *, seed: int, sink: BinaryIO | None = None) -> None:
        """Raises ProvinceError for a configuration that the controller would refuse."""
        self.settings: Final = settings
        self.world: Final = World(seed=seed, start_ns=settings.start_ns, sink=sink)
        self.network: Final = Network(self.world)
        opener = RememberingOpener()
        self.authority: Final = SimulatedAuthority(seed=seed, start_ms=settings.start_ns // NS_PER_MS, opener=opener)
        self.media_server: Final = MediaServer(self.world)
        self.tags: Final = Tags()
        self.config: Final = self._with_keys(settings.controller)
        media = {path: replace(each, tag=self.tags.tag(f"media:{each.name}")) for path, each in settings.media.items()}
        self.surroundings: Final = Surroundings(
            network=self.network,
            broker_address=BROKER,
            media_server=self.media_server,
            recordings={each.sha256: each for each in media.values()},
            tags=self.tags,
            opener=opener,
        )
        self.broker: Final = Broker(self.world, self.network, BROKER, self._broker_settings())
        self.controller: Final = SimulatedController(
            self.world,
            self.surroundings,
            config=self.config,
            authority=self.authority.controller,
            media=media,
            settings=settings.controller_machine,
        )
        self.poles: Final[dict[str, Pole]] = {}
        self.broker.start()
        self.controller.start()
        for node in self.config.nodes:
            self.add_pole(node.id)

    def add_pole(
        self,
        node: str,
        *,
        unit: str | None = None,
        disk: Disk | None = None,
        report_key: str | None = None,
        hardware: str | None = None,
    ) -> Pole:
        """One more machine that says it is `node`: a clone of its card, or a unit that replaces it.

        `report_key` names another key of the authority than the node's first one; `hardware` is what its chip claims.
        """
        pole = Pole(
            self.world,
            self.surroundings,
            config=msgspec.structs.replace(self.settings.edge, node=node),
            trust=NodeTrust(
                root=self.authority.root, report_signer=self.authority.signer(report_key or f"report/{node}")
            ),
            settings=self._settings_of(node, unit),
            unit=unit,
            disk=disk,
        )
        pole.hardware = hardware or pole.hardware
        self.poles[pole.name] = pole
        pole.start()
        return pole

    def _settings_of(self, node: str, unit: str | None) -> PoleSettings:
        """Another box is made anew, and hangs where the node's first one hung."""
        known = self.settings.poles.get(node, self.settings.pole)
        return known if unit is None else self.settings.poles.get(unit, replace(self.settings.pole, place=known.place))

    def run_for(self, seconds: float) -> None:
        """Let true time pass."""
        self.world.run_for(int(seconds * NS_PER_S))

    def run_until(self, instant_ns: int) -> None:
        """Let true time pass up to an instant."""
        self.world.run_until(instant_ns)

    def instant(self, clock: str, *, day: int = 0) -> int:
        """The true instant at which the wall clock shows HH:MM[:SS], on the first day or `day` days later."""
        zone = zoneinfo.ZoneInfo(self.config.time_zone)
        first = dt.datetime.fromtimestamp(self.world.start_ns // NS_PER_S, tz=zone).date()
        at = dt.datetime.combine(first + dt.timedelta(days=day), dt.time.fromisoformat(clock), tzinfo=zone)
        return int(at.timestamp()) * NS_PER_S

    def poles_in(self, area: str) -> list[Pole]:
        """The poles of an area and of everything below it."""
        nodes = self.controller.desk.site.nodes_below(area) if self.controller.is_running else self._nodes_below(area)
        return [self.poles[node] for node in nodes]

    def press(self, area: str, clip: str, *, minutes: int = 30, reality: Reality = Reality.REAL) -> Asked:
        """Somebody raises an emergency or a drill."""
        return self.controller.ask(RaiseEmergency(area=area, clip=clip, minutes=minutes, reality=reality))

    def all_clear(self, emergency: str = "", *, reason: str = "", correction: bool = False) -> Asked:
        """Somebody ends it."""
        return self.controller.ask(EndEmergency(emergency=emergency, reason=reason, correction=correction))

    def relay(
        self,
        area: str,
        feed: str,
        *,
        minutes: int = 15,
        broadcast_class: BroadcastClass = BroadcastClass.ROUTINE,
    ) -> Asked:
        """Somebody relays a station."""
        return self.controller.ask(StartRelay(area=area, feed=feed, minutes=minutes, broadcast_class=broadcast_class))

    def stop_relay(self, stream: str) -> Asked:
        """Somebody ends a relay."""
        return self.controller.ask(StopRelay(stream=stream))

    def microphone(self, name: str) -> Microphone:
        """A microphone on a pole, which hears every horn of the province from there."""
        return Microphone(
            name,
            {each: pole.settings.place for each, pole in self.poles.items()},
            {each: pole.ear.sounds for each, pole in self.poles.items()},
        )

    def cut_area(self, area: str) -> None:
        """A village's exchange is down: its poles reach nobody."""
        for pole in self.poles_in(area):
            self.network.cut(pole.name)

    def heal_area(self, area: str) -> None:
        """It is up again."""
        for pole in self.poles_in(area):
            self.network.heal(pole.name)

    def sounding(self, source: str) -> set[str]:
        """The poles whose horns really sound a source now: audible, with power."""
        return {
            name
            for name, pole in self.poles.items()
            if (now := pole.ear.current) is not None and now.source == source and now.is_powered
        }

    @property
    def digest(self) -> str:
        """SHA-256 over everything that was recorded: equal for equal seeds and settings, on every machine."""
        return self.world.log.digest

    def _nodes_below(self, area: str) -> list[str]:
        parents = {each.id: each.parent for each in self.config.areas}

        def is_below(place: str | None) -> bool:
            return place is not None and (place == area or is_below(parents[place]))

        return [node.id for node in self.config.nodes if is_below(node.area)]

    def _with_keys(self, config: Config) -> Config:
        nodes = tuple(
            msgspec.structs.replace(node, report_key=self.authority.public_hex(f"report/{node.id}"))
            for node in config.nodes
        )
        keyed = msgspec.structs.replace(config, nodes=nodes)
        faults = faults_of(keyed)
        if faults:
            raise ProvinceError("\n".join(faults))
        return keyed

    def _broker_settings(self) -> BrokerSettings:
        if self.settings.broker is not None:
            return self.settings.broker
        return BrokerSettings(access_rules=access_rules(controllers=(self.config.controller,)))
