"""Carries out the steps of a scenario in its province, and tells the witness what is made to go wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from controller import requests
from controller.configuration.config import Config
from controller.records import EmergencyRecord
from edge.events import SelfTestAsked
from protocol.units import NS_PER_MS, NS_PER_S
from simulator.attacker import Attacker
from simulator.checkers.evidence import EVERYBODY
from simulator.commune import Province
from simulator.evidence.witness import Witness
from simulator.faults.fault_ports import FaultRunner
from simulator.faults.faults import Fault as OneFault
from simulator.faults.faults import FaultPlan
from simulator.faults.machine_faults import CORRECTED_NS, connect_all
from simulator.runs.scenario import INTRUDER, Scenario
from simulator.runs.steps import (
    AskTest,
    Clear,
    Clone,
    Configure,
    Fault,
    Forge,
    Hush,
    Named,
    Press,
    Raise,
    Relay,
    Replace,
    Replay,
    Station,
    Step,
    StopRelay,
    Storm,
    Unhush,
)
from simulator.services.controller import Asked

NODE_IDENTITY: Final = "N9999"
"""A node's certificate that is not one of the commune's."""
PRESS_AGAIN_NS: Final = 10 * NS_PER_S
PRESSES_MAX: Final = 400
"""Over an hour, as long as a controller may be away in any scenario of the library."""
CHANGE_NS: Final = 20 * NS_PER_S
"""While a configuration takes effect, nobody is held to the old or the new one."""


class Stage:
    """One scenario in one province.

    `asked` holds what was asked of the controller, by name; `lost` the poles that its page called lost at the instants
    at which a scenario expects some, None where it did not run.
    """

    def __init__(self, scenario: Scenario, province: Province, witness: Witness) -> None:
        self.asked: Final[dict[str, Asked]] = {}
        self.faults: Final = FaultRunner(province.world)
        self.lost: Final[dict[int, frozenset[str] | None]] = {}
        self._province = province
        self._witness = witness
        self._attackers: dict[str, Attacker] = {}
        self._deeds: Final[dict[type, Callable[[Any], None]]] = {
            Raise: self._raise,
            Clear: self._clear,
            Relay: self._relay,
            StopRelay: self._stop_relay,
            Station: self._station,
            Fault: self._fault,
            Configure: self._configure,
            Replace: self._replace,
            Forge: self._forge,
            Replay: self._replay,
            Storm: self._storm,
            Press: self._push,
            Hush: self._silence,
            Unhush: self._release,
            Clone: self._clone,
            AskTest: self._test,
        }
        connect_all(self.faults, province)
        for step in scenario.steps:
            if isinstance(step, Forge | Replay):
                self._attacker("intruder" if isinstance(step, Replay) else step.through)
            province.world.at(province.instant(step.at, day=step.day), self._do, step)
        for expected in scenario.expect:
            if isinstance(expected, Named):
                at_ns = province.instant(expected.at, day=expected.day)
                province.world.at(at_ns, self._look_at_page, at_ns)

    def suffer(self, plan: FaultPlan) -> None:
        """Have a whole plan of faults happen, counted from now."""
        self.faults.schedule(plan)
        self._witness.expect_faults(plan, clock_ns=CORRECTED_NS)

    def _look_at_page(self, at_ns: int) -> None:
        controller = self._province.controller
        if controller.is_running:
            nodes = controller.status().nodes
            self.lost[at_ns] = frozenset(each.id for each in nodes if each.state == "lost")
        else:
            self.lost[at_ns] = None

    def _do(self, step: Step) -> None:
        self._deeds[type(step)](step)

    def _raise(self, step: Raise) -> None:
        request = requests.RaiseEmergency(
            area=step.area, clip=step.clip, minutes=step.minutes, reality=step.reality, in_turns=step.in_turns
        )
        self._press(step.name, request, 0 if step.is_refused else PRESSES_MAX)

    def _press(self, name: str, request: requests.RaiseEmergency, left: int) -> None:
        """A person who gets no answer, or is told to try again, presses again."""
        known = self.asked.get(name)
        if known is not None and isinstance(known.answer, EmergencyRecord):
            return
        self.asked[name] = self._province.controller.ask(request)
        if left:
            self._province.world.after(PRESS_AGAIN_NS, self._press, name, request, left - 1)

    def _clear(self, step: Clear) -> None:
        emergency = self.asked[step.of].emergency.id
        self._province.controller.ask(
            requests.EndEmergency(emergency=emergency, reason=step.reason, correction=step.correction)
        )

    def _relay(self, step: Relay) -> None:
        request = requests.StartRelay(
            area=step.area, feed=step.feed, minutes=step.minutes, broadcast_class=step.broadcast_class
        )
        self.asked[step.name] = self._province.controller.ask(request)

    def _stop_relay(self, step: StopRelay) -> None:
        self._province.controller.ask(requests.StopRelay(stream=self.asked[step.of].relay.stream))

    def _station(self, step: Station) -> None:
        self._province.controller.stations.station(step.url).state = step.state
        self._province.world.record("station", "is", url=step.url, state=step.state.value)

    def _fault(self, step: Fault) -> None:
        faults = tuple(
            OneFault(at_ms=0, kind=step.kind, target=target, parameters=step.parameters) for target in step.targets
        )
        self.suffer(FaultPlan(faults=faults))

    def _configure(self, step: Configure) -> None:
        named = {"areas": step.areas, "nodes": step.nodes, "programmes": step.programmes}
        changes = {key: value for key, value in named.items() if value is not None}
        self._follow(msgspec.structs.replace(self._province.controller.config, **changes))

    def _follow(self, config: Config) -> None:
        """Keys stay those that each node has."""
        known = {node.id: node.report_key for node in self._province.controller.config.nodes}
        nodes = tuple(
            msgspec.structs.replace(node, report_key=known.get(node.id, node.report_key)) for node in config.nodes
        )
        self._witness.trouble(EVERYBODY, for_ns=CHANGE_NS, what="configuration", settle_ns=0)
        self._province.controller.reconfigure(msgspec.structs.replace(config, nodes=nodes))

    def _replace(self, step: Replace) -> None:
        """The new box has its own report key, which the operator enters."""
        province, old = self._province, self._province.poles[step.pole]
        unit = f"{step.pole}b"
        old.cut_power()
        self._witness.retire(step.pole)
        config = province.controller.config
        name = f"report/{unit}"
        nodes = tuple(
            msgspec.structs.replace(node, report_key=province.authority.public_hex(name))
            if node.id == old.config.node
            else node
            for node in config.nodes
        )
        province.controller.reconfigure(msgspec.structs.replace(config, nodes=nodes))
        self._witness.trouble(unit, for_ns=CHANGE_NS, what="new unit")
        self._witness.watch_pole(province.add_pole(old.config.node, unit=unit, report_key=name))

    def _push(self, step: Press) -> None:
        for name in step.poles:
            pole = self._province.poles[name]
            pole.button.set(True)
            self._witness.pressed(pole, for_ns=step.for_ms * NS_PER_MS)
            self._province.world.after(step.for_ms * NS_PER_MS, pole.button.set, False)

    def _silence(self, step: Hush) -> None:
        request = requests.StartSilence(area=step.area, node=step.node, reason=step.reason)
        self.asked[f"silence {step.area}{step.node} {step.at}"] = self._province.controller.ask(request)

    def _release(self, step: Unhush) -> None:
        request = requests.EndSilence(area=step.area, node=step.node)
        self.asked[f"release {step.area}{step.node} {step.at}"] = self._province.controller.ask(request)

    def _clone(self, step: Clone) -> None:
        """It hangs elsewhere; what the two do to each other's connection is a trouble for both."""
        province, original = self._province, self._province.poles[step.pole]
        node, unit = original.config.node, f"{step.pole}c"
        copy = original.disk.clone(f"{unit}/copy")
        hardware = original.hardware if step.lies else None
        clone = province.add_pole(node, unit=unit, disk=copy, hardware=hardware)
        for_ns = int(step.minutes * 60 * NS_PER_S)
        self._witness.cloned(clone, node, for_ns=for_ns)
        province.world.after(for_ns, clone.cut_power)
        province.world.after(for_ns, self._witness.retire, unit)

    def _test(self, step: AskTest) -> None:
        for name in step.poles:
            process = self._province.poles[name].process
            if process is not None:
                self._witness.evidence.asked_tests.append((name, self._province.world.now_ns))
                process.post(SelfTestAsked(ticket=1, takes_reference=step.takes_reference))

    def _forge(self, step: Forge) -> None:
        self._attacker(step.through).forge(step.what, step.area, step.key)

    def _replay(self, step: Replay) -> None:
        self._attacker("intruder").replay(step.area)

    def _storm(self, _: Storm) -> None:
        self._witness.trouble(EVERYBODY, for_ns=0, what="storm")
        for name in self._province.poles:
            self._province.network.reset(name)

    def _attacker(self, through: str) -> Attacker:
        known = self._attackers.get(through)
        if known is None:
            identity = INTRUDER if through == "intruder" else NODE_IDENTITY
            known = self._attackers[through] = Attacker(self._province, identity)
        return known
