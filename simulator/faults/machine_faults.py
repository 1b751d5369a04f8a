"""Carries out faults on whole machines: poles, their parts, the media server, the controller.

Beside `fault_ports` (clocks, network, broker), so that every kind of `faults.KINDS` has a port. `connect_all` joins a
fault runner to everything that a province has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from simulator.chance import PARTS_PER_MILLION
from simulator.commune import BROKER, Province
from simulator.faults.fault_ports import NS_PER_MS, BrokerFaults, FaultPort, FaultRunner, Holding, NetworkFaults
from simulator.faults.faults import Fault, Room
from simulator.pole.node import Pole
from simulator.pole.sound_card import SimulatedCard
from simulator.pole.storage import JOURNAL
from simulator.services.media_server import MediaServer
from simulator.world import World

CORRECTED_NS: Final = 300_000_000_000
"""chrony polls a server every 64 s and needs some answers before it steps a clock that somebody set wrong."""
_KBIT: Final = 1_000
_FULL_BYTES: Final = 1 << 62
MEDIA: Final = "media"


def connect_all(runner: FaultRunner, province: Province) -> None:
    """Give every room and target of a province its port."""
    world = province.world
    broker, media = BrokerFaults(world, province.broker), MediaFaults(world, province.media_server)
    runner.connect(Room.BROKER, BROKER, broker)
    runner.connect(Room.MEDIA, MEDIA, media)
    runner.connect(Room.CONTROLLER, province.controller.name, ControllerFaults(province, broker=broker, media=media))
    for name, pole in province.poles.items():
        faults = PoleFaults(world, pole)
        for room in (Room.CLOCK, Room.CARD, Room.PINS, Room.STORAGE, Room.NODE):
            runner.connect(room, name, faults)
        runner.connect(Room.NETWORK, name, NetworkFaults(world, province.network, pole.host))


class ControllerFaults:
    """The controller's machine, and with `site_away` all that stands beside it: broker and media server."""

    def __init__(self, province: Province, *, broker: FaultPort, media: FaultPort) -> None:
        self._world = province.world
        self._controller = province.controller
        self._beside: Final[tuple[tuple[FaultPort, str, dict[str, int]], ...]] = (
            (broker, "broker_power_loss", {"loses_disk": 0}),
            (media, "media_down", {}),
        )
        self._away = 0

    def __call__(self, fault: Fault) -> None:
        """Set its clock wrong for a while, or take it away until no fault keeps it away any more."""
        controller = self._controller
        if fault.kind == "controller_clock":
            controller.clock.step(fault.parameters["by_ms"] * NS_PER_MS)
            self._world.after(CORRECTED_NS, controller.clock.synchronise)
            return
        if fault.kind == "site_away":
            for port, kind, more in self._beside:
                parameters = {**fault.parameters, **more}
                port(Fault(at_ms=fault.at_ms, kind=kind, target=fault.target, parameters=parameters))
        controller.kill()
        self._away += 1
        self._world.after(fault.parameters["for_ms"] * NS_PER_MS, self._back)

    def _back(self) -> None:
        self._away -= 1
        if not self._away:
            self._controller.start()


class PoleFaults:
    """A pole with everything in its box."""

    def __init__(self, world: World, pole: Pole) -> None:
        self._world = world
        self._pole = pole
        self._holding = Holding(world, self._begin, self._end)
        self._cuts = 0
        self._rtc_is_dead = False

    def __call__(self, fault: Fault) -> None:
        """What happens in an instant happens; the others hold."""
        pole, given = self._pole, fault.parameters
        match fault.kind:
            case "node_restart":
                pole.kill_process()
            case "node_power_cut":
                self._cut_power(fault)
            case "clock_step":
                pole.clock.step(given["by_ms"] * NS_PER_MS)
                self._world.after(CORRECTED_NS, pole.clock.synchronise)
            case "storage_worn":
                self._wear(given["ppm"])
            case "card_underrun":
                card = None if pole.process is None else pole.process.card
                if isinstance(card, SimulatedCard):
                    card.hold_up(given["for_ms"] * NS_PER_MS)
            case "card_drift":
                pole.set_card_drift(given["ppb"])
            case _:
                self._holding.hold(fault)

    def _begin(self, fault: Fault) -> None:
        _HELD[fault.kind][0](self._pole, fault.parameters)

    def _end(self, kind: str) -> None:
        _HELD[kind][1](self._pole)

    def _cut_power(self, fault: Fault) -> None:
        """At once, or in the middle of a write; the power comes back after its time in any case."""
        pole, at_write = self._pole, fault.parameters["at_write"]
        self._cuts += 1
        self._rtc_is_dead = self._rtc_is_dead or bool(fault.parameters["rtc_is_dead"])
        if at_write:
            pole.disk.call_at_write(at_write, self._cut_if_due)
        else:
            pole.cut_power()
        self._world.after(fault.parameters["for_ms"] * NS_PER_MS, self._power_back)

    def _cut_if_due(self) -> None:
        """The write came before the power was to be back."""
        if self._cuts:
            self._pole.cut_power()

    def _power_back(self) -> None:
        self._cuts -= 1
        if not self._cuts:
            self._pole.restore_power(rtc_is_dead=self._rtc_is_dead)
            self._rtc_is_dead = False

    def _wear(self, ppm: int) -> None:
        """Media files are damaged here and there; the journal is left, for nobody could tell that from an attack."""
        chance = self._world.chance(f"worn/{self._pole.name}")
        for name in self._pole.disk.names():
            size = len(self._pole.disk.read(name))
            if size and not name.startswith(JOURNAL) and chance.happens(min(ppm * 10, PARTS_PER_MILLION)):
                self._pole.disk.rot(name, chance.within(0, size - 1))


def _plug(pole: Pole, *, is_plugged: bool) -> None:
    if pole.process is not None:
        (pole.process.card.plug if is_plugged else pole.process.card.unplug)()


def _wire(pole: Pole, *, is_whole: bool) -> None:
    pole.relay.horn.set(pole.world.now_ns, is_whole)
    pole.horn.is_membrane_whole = is_whole


def _fill(pole: Pole, foreign_bytes: int) -> None:
    pole.disk.foreign_bytes = foreign_bytes


def _lock(pole: Pole, *, is_read_only: bool) -> None:
    pole.disk.is_read_only = is_read_only


def _slow(pole: Pole, delay_ns: int) -> None:
    pole.disk.delay_ns = delay_ns


_HELD: Final[dict[str, tuple[Callable[[Pole, dict[str, int]], object], Callable[[Pole], object]]]] = {
    "clock_drift": (
        lambda pole, given: pole.clock.set_drift(given["ppb"]),
        lambda pole: pole.clock.set_drift(pole.settings.clock.drift_ppb),
    ),
    "clock_unsynchronised": (lambda pole, _: pole.clock.lose_discipline(), lambda pole: pole.clock.synchronise()),
    "card_unplugged": (lambda pole, _: _plug(pole, is_plugged=False), lambda pole: _plug(pole, is_plugged=True)),
    "pins_stuck": (lambda pole, given: pole.relay.stick(bool(given["level"])), lambda pole: pole.relay.stick(None)),
    "pins_mains": (lambda pole, _: pole.lose_mains(), lambda pole: pole.regain_mains()),
    "horn_dead": (lambda pole, _: _wire(pole, is_whole=False), lambda pole: _wire(pole, is_whole=True)),
    "pins_door": (lambda pole, _: pole.door.set(True), lambda pole: pole.door.set(False)),
    "pins_button": (lambda pole, _: pole.button.set(True), lambda pole: pole.button.set(False)),
    "storage_full": (lambda pole, _: _fill(pole, _FULL_BYTES), lambda pole: _fill(pole, 0)),
    "storage_slow": (lambda pole, given: _slow(pole, given["delay_ms"] * NS_PER_MS), lambda pole: _slow(pole, 0)),
    "storage_read_only": (
        lambda pole, _: _lock(pole, is_read_only=True),
        lambda pole: _lock(pole, is_read_only=False),
    ),
}
"""What holds for a while: how it begins and how it ends."""


class MediaFaults:
    """The media server."""

    def __init__(self, world: World, server: MediaServer) -> None:
        self._server = server
        self._usual_bps = server.bps
        self._holding = Holding(world, self._begin, self._end)

    def __call__(self, fault: Fault) -> None:
        """All of them hold for a while."""
        self._holding.hold(fault)

    def _begin(self, fault: Fault) -> None:
        match fault.kind:
            case "media_down":
                self._server.is_up = False
            case "media_slow":
                self._server.bps = fault.parameters["kbps"] * _KBIT
            case "media_corrupt":
                self._server.is_corrupt = True

    def _end(self, kind: str) -> None:
        match kind:
            case "media_down":
                self._server.is_up = True
            case "media_slow":
                self._server.bps = self._usual_bps
            case "media_corrupt":
                self._server.is_corrupt = False
