"""The witness of a province: writes down what the checkers need, and takes no part in anything.

Sound comes from the ears, power from the relays' contacts, permits from the signed documents in the order in which the
controller made them durable, troubles from whoever causes them. Agents and desk are asked only for sizes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Final

from controller.orders.emergency import is_standing
from controller.records import Change, EmergencyRecord, RelayRecord, RelayState, StandingDocument, StoredReport
from edge.adapters.media_files import PART
from edge.effects import LogDecision
from edge.gpio.faults import Fault
from edge.gpio.inputs import HOLD_MS
from edge.outbox import REPORTS_MAX
from edge.player.chime import chime_of
from protocol.codec import cbor_decode
from protocol.envelope import open_sealed
from protocol.errors import Refusal
from protocol.messages import AiringRecord, AnyDocument, BroadcastClass, FaultRecord, Plan, SelfTestRecord
from protocol.plan_body import decode_body, filled
from protocol.units import NS_PER_MS, NS_PER_S
from simulator.checkers.evidence import (
    EVERYBODY,
    EmergencyFact,
    Evidence,
    Gauge,
    Heard,
    Hush,
    PoleFacts,
    Stored,
    Trouble,
)
from simulator.commune import Province
from simulator.evidence.ear import Sound
from simulator.evidence.notary import Notary
from simulator.evidence.signals import source_of
from simulator.faults.faults import FaultPlan
from simulator.pole.box import Line
from simulator.pole.media_files import FOLDER
from simulator.pole.node import Pole
from simulator.pole.parts import SoundMode
from simulator.pole.sound_card import SimulatedCard
from simulator.pole.storage import JOURNAL_BYTES_MAX

GAUGE_NS: Final = 30_000_000_000
"""How often sizes, clocks and cards are looked at."""
EDGE_FULL_NS: Final = 0
DOCUMENTS_MAX: Final = 128
"""Documents in force on one node: 8 areas of plan and emergency each, 64 streams, keyset, assignment, and some room."""
VOICES_MAX: Final = 16
QUEUE_MAX: Final = 1_000
"""`LinkSettings.queued_max`."""
STOP_SLACK_MS: Final = 100
"""Contact bounce, before a press counts."""
_STEP_NS: Final = 2_000_000_000


class Witness:
    """One observer of one province; `finish` gives what it has seen."""

    def __init__(self, province: Province, *, settle_ns: int) -> None:
        self.evidence: Final = Evidence(begins_ns=province.world.now_ns)
        self.refused: Final[Counter[tuple[str, str]]] = Counter()
        self._province = province
        self._world = province.world
        self._settle_ns = settle_ns
        self._names = {sha256: f"media:{each.name}" for sha256, each in province.surroundings.recordings.items()}
        self._notary = Notary(self.evidence, self._names)
        self._open_flows: dict[str, int] = {}
        self._greatest: dict[tuple[str, str], Gauge] = {}
        self._clocks: dict[str, tuple[int, int]] = {}
        self._grid_back_ns = 0
        self._stops: dict[str, Hush] = {}
        province.controller.database.watch.append(self._kept)
        province.media_server.watch.append(self._came)
        for pole in province.poles.values():
            self.watch_pole(pole)
        self._look()

    def watch_pole(self, pole: Pole) -> None:
        """Observe one more machine."""
        config = pole.config
        edge_ns = EDGE_FULL_NS
        if pole.settings.sound is SoundMode.SILENT:
            edge_ns = pole.settings.probe.every_ns + _STEP_NS
        self.evidence.poles[pole.name] = PoleFacts(
            name=pole.name,
            node=config.node,
            edge_ns=edge_ns,
            warm_up_ns=config.amplifier.warm_up_ms * NS_PER_MS,
            hold_ns=config.amplifier.hold_ms * NS_PER_MS,
            place=pole.settings.place,
            box=pole.machine.box,
            has_ears=bool(pole.settings.sensors),
        )
        pole.ear.watch.append(partial(self._heard, pole.name))
        pole.on_decision.append(self._decided)

    def retire(self, name: str) -> None:
        """A machine was taken down for good."""
        self.evidence.poles[name].retired_ns = self._world.now_ns

    def pressed(self, pole: Pole, *, for_ns: int) -> None:
        """Somebody presses the stop button of a pole, and holds it for so long."""
        now_ns = self._world.now_ns
        before = self._stops.get(pole.name)
        lasts_ns = pole.config.inputs.stop_minutes * 60 * NS_PER_S
        if before is not None and before.ends_ns is not None and before.ends_ns > now_ns:
            before.ends_ns = now_ns
            lasts_ns = HOLD_MS * NS_PER_MS if for_ns > (HOLD_MS + STOP_SLACK_MS) * NS_PER_MS else lasts_ns
        stop = Hush(order="the button", begins_ns=now_ns, pole=pole.name, ends_ns=now_ns + lasts_ns)
        self._stops[pole.name] = stop
        self.evidence.hushes.append(stop)

    def cloned(self, clone: Pole, node: str, *, for_ns: int) -> None:
        """A copy of a node's card runs beside it: nobody answers for what sounds there, but silence holds for both."""
        self.watch_pole(clone)
        self.evidence.poles[clone.name].is_judged = False
        self.evidence.cloned.add(node)
        for name, facts in self.evidence.poles.items():
            if facts.node == node:
                self.trouble(name, for_ns=for_ns, what="cloned")

    def trouble(self, pole: str, *, for_ns: int, what: str, settle_ns: int | None = None) -> None:
        """From now on something is wrong with a pole (EVERYBODY: with all)."""
        now_ns = self._world.now_ns
        ends_ns = now_ns + for_ns + (self._settle_ns if settle_ns is None else settle_ns)
        self.evidence.troubles.append(Trouble(pole=pole, begins_ns=now_ns, ends_ns=ends_ns, what=what))

    def expect_faults(self, plan: FaultPlan, *, clock_ns: int) -> None:
        """Every fault of a plan that was just scheduled is a trouble; `clock_ns`: until a wrong clock is set right."""
        now_ns = self._world.now_ns
        for fault in plan.faults:
            lasts_ns = clock_ns if fault.kind in {"clock_step", "controller_clock"} else 0
            if fault.kind == "pins_button":
                lasts_ns = self._province.poles[fault.target].config.inputs.stop_minutes * 60 * NS_PER_S
            is_own = fault.target in self.evidence.poles
            if fault.kind == "pins_mains" and self._province.poles[fault.target].enclosure.battery is not None:
                self._grid_back_ns = max(self._grid_back_ns, now_ns + fault.ends_at_ms * NS_PER_MS + self._settle_ns)
                continue  # a trouble only from when the battery is empty: see `_suffered`
            self.evidence.troubles.append(
                Trouble(
                    pole=fault.target if is_own else EVERYBODY,
                    begins_ns=now_ns + fault.at_ms * NS_PER_MS,
                    ends_ns=now_ns + fault.ends_at_ms * NS_PER_MS + lasts_ns + self._settle_ns,
                    what=fault.kind,
                )
            )

    @property
    def settled_ns(self) -> int:
        """When the last trouble that is known of will be over, with the time to settle; 0: there was none."""
        return max((self._grid_back_ns, *(trouble.ends_ns for trouble in self.evidence.troubles)))

    def finish(self) -> Evidence:
        """The run is over; what still sounds is cut off here."""
        evidence, now_ns = self.evidence, self._world.now_ns
        for name, pole in self._province.poles.items():
            card = None if pole.process is None else pole.process.card
            if isinstance(card, SimulatedCard):
                pole.ear.gather(card.heard)
            pole.ear.cease()
            facts = evidence.poles[name]
            changes_ns = {at_ns for line in _power_lines(pole) for at_ns, _ in line.changes()}
            facts.power = [(at_ns, pole.relay.is_powered_at(at_ns)) for at_ns in sorted(changes_ns)]
            evidence.troubles += self._suffered(pole)
            facts.is_on = pole.is_on and pole.process is not None
            facts.is_connected = pole.process is not None and pole.process.link.is_connected
            facts.reports_waiting = 0 if pole.process is None else pole.process.agent.outbox.waiting
            self._look_at(pole, facts)
        for stream, since_ns in self._open_flows.items():
            evidence.flows.setdefault(stream, []).append((since_ns, now_ns))
        self._open_flows.clear()
        evidence.gauges = list(self._greatest.values())
        evidence.ends_ns = now_ns
        evidence.troubles += self._hushed()
        evidence.healed_ns = max((trouble.ends_ns for trouble in evidence.troubles), default=evidence.begins_ns)
        self._ask_controller()
        return evidence

    def _hushed(self) -> Iterator[Trouble]:
        """Who was kept silent, and until it plays again."""
        now_ns = self._world.now_ns
        for hush in self.evidence.hushes:
            ends_ns = now_ns if hush.ends_ns is None else min(now_ns, hush.ends_ns + self._settle_ns)
            for facts in self.evidence.poles.values():
                if hush.concerns(self.evidence, facts):
                    yield Trouble(pole=facts.name, begins_ns=hush.begins_ns, ends_ns=ends_ns, what=hush.what)

    def _suffered(self, pole: Pole) -> Iterator[Trouble]:
        """What came of weather and grid: an amplifier that was too hot, a box whose battery was empty."""
        lines = [("too_hot", pole.relay.is_cool)]
        if pole.enclosure.battery is not None:
            lines.append(("battery_empty", pole.mains.supply))
        for what, line in lines:
            changes = [*line.changes(), (self._world.now_ns, True)]
            for (begins_ns, is_well), (ends_ns, _) in pairwise(changes):
                if not is_well:
                    over_ns = min(ends_ns + self._settle_ns, self._world.now_ns)
                    yield Trouble(pole=pole.name, begins_ns=begins_ns, ends_ns=over_ns, what=what)

    def _heard(self, pole: str, sound: Sound) -> None:
        self.evidence.poles[pole].heard.append(
            Heard(
                pole=pole,
                source=sound.source,
                begins_ns=sound.begins_ns,
                ends_ns=sound.ends_ns,
                is_powered=sound.is_powered,
                amplitude=sound.amplitude,
                origin_ns=sound.origin_ns,
                origin_last_ns=sound.origin_last_ns,
                is_bed=sound.is_bed,
            )
        )

    def _decided(self, pole: Pole, decision: LogDecision) -> None:
        if decision.decision == "booted" and pole.name in self._stops:
            stop = self._stops.pop(pole.name)
            stop.ends_ns = min(stop.ends_ns or self._world.now_ns, self._world.now_ns)
        if decision.decision == "refused":
            self.refused[pole.name, str(dict(decision.fields).get("reason", ""))] += 1

    def _look(self) -> None:
        for name, pole in self._province.poles.items():
            self._look_at(pole, self.evidence.poles[name])
        self._world.after(GAUGE_NS, self._look)

    def _look_at(self, pole: Pole, facts: PoleFacts) -> None:
        now_ns = facts.looked_ns = self._world.now_ns
        error_ns = pole.clock_error_ns
        if not facts.clock_errors or abs(facts.clock_errors[-1][1] - error_ns) > NS_PER_MS:
            before_ns, before_error_ns = self._clocks.get(pole.name, (now_ns, error_ns))
            facts.clock_errors += [(before_ns, before_error_ns), (now_ns, error_ns)]
        self._clocks[pole.name] = now_ns, error_ns
        for name in pole.disk.names():
            if name.startswith(FOLDER) and not name.endswith(PART):
                facts.media.setdefault(name.removeprefix(FOLDER), now_ns)
        process = pole.process
        if process is None:
            return
        sizes = process.agent.sizes
        self._gauge(pole.name, "reports", sizes["reports"], 2 * REPORTS_MAX)
        self._gauge(pole.name, "documents", sizes["documents"], DOCUMENTS_MAX)
        self._gauge(pole.name, "voices", sizes["voices"], VOICES_MAX)
        self._gauge(pole.name, "queue", process.link.waiting, QUEUE_MAX)
        self._gauge(pole.name, "journal", pole.disk.size("node.journal"), 16 * JOURNAL_BYTES_MAX)

    def _gauge(self, subject: str, name: str, value: int, value_max: int) -> None:
        """Only a new greatest value is worth a line."""
        known = self._greatest.get((subject, name))
        if known is None or value > known.value:
            gauge = Gauge(subject=subject, name=name, at_ns=self._world.now_ns, value=value, value_max=value_max)
            self._greatest[subject, name] = gauge

    def _kept(self, change: Change) -> None:
        """The controller has made something durable."""
        match change:
            case StandingDocument(topic=topic, payload=payload):
                try:
                    document: AnyDocument = cbor_decode(open_sealed(payload, topic=topic).payload, AnyDocument)
                    if isinstance(document, Plan) and change.body:
                        document = filled(document, change.body, decode_body(change.body))
                except Refusal:
                    return
                self._notary.take(document, self._world.now_ns)
            case StoredReport(record=FaultRecord(fault=Fault.CUT_OFF)):
                self.evidence.cut_offs.append((change.node, self._world.now_ns))
            case StoredReport(record=AiringRecord() as record):
                self.evidence.records.append(
                    Stored(
                        node=change.node,
                        report_key=change.report_key,
                        number=change.number,
                        received_ns=self._world.now_ns,
                        record=record,
                    )
                )
            case StoredReport(record=SelfTestRecord() as tested):
                self.evidence.self_tests.append((change.node, tested))
            case RelayRecord():
                self._relay_is(change)

    def _came(self, host: str, sha256: str, count: int) -> None:
        """Something has arrived over a pole's line."""
        facts = self.evidence.poles.get(host)
        if facts is not None:
            facts.came.append((self._world.now_ns, sha256, count))

    def _relay_is(self, relay: RelayRecord) -> None:
        since_ns = self._open_flows.get(relay.stream)
        if relay.state is RelayState.ON_AIR and since_ns is None:
            self._open_flows[relay.stream] = self._world.now_ns
        elif relay.state is not RelayState.ON_AIR and since_ns is not None:
            del self._open_flows[relay.stream]
            self.evidence.flows.setdefault(relay.stream, []).append((since_ns, self._world.now_ns))

    def _ask_controller(self) -> None:
        """What the controller says at the end: of emergencies, of gaps in the reports."""
        controller, evidence = self._province.controller, self.evidence
        evidence.is_controller_up = controller.is_running
        if not controller.is_running:
            return
        status = controller.status()
        missed = {view.id: view.missed for view in status.emergencies}
        ready = {view.id: view.state for view in status.nodes}
        for facts in evidence.poles.values():
            facts.is_connected = facts.is_connected and ready.get(facts.node) == "ready"
        for record in controller.database.emergencies.values():
            evidence.emergencies.append(self._fact(record, missed.get(record.id, ())))
        evidence.report_gaps += [(gap.node, gap.first, gap.kind) for gap in controller.database.gaps.values()]

    def _fact(self, record: EmergencyRecord, missed: tuple[str, ...]) -> EmergencyFact:
        cleared_ns = None
        if not is_standing(record) and record.ended_at_ms is not None:
            cleared_ns = record.ended_at_ms * NS_PER_MS
        return EmergencyFact(
            id=record.id,
            area=record.area,
            source=self._names.get(record.clip.sha256, "?"),
            reality=record.reality,
            raised_ns=record.raised_at_ms * NS_PER_MS,
            plays_ns=record.play_at_ms * NS_PER_MS,
            ends_ns=record.sounds_until_ms * NS_PER_MS,
            cleared_ns=cleared_ns,
            expected=record.expected,
            missed=missed,
            shifts_ms=record.shifts_ms,
            round_ms=0 if record.turns is None else record.turns.round_ms,
            signal=source_of(chime_of(BroadcastClass.EMERGENCY, record.reality)) if record.chime_ms else "",
        )


def _power_lines(pole: Pole) -> tuple[Line, ...]:
    return pole.relay.contact, pole.mains.supply, pole.relay.is_cool
