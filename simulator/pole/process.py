"""The node's process: what `edge.adapters.runtime` puts together, put together on simulated ports.

The agent, the driver and the executor are the product's own. How a process ends matters and has three ways: a clean
stop (silence, farewell), a kill (its memory is gone, its machine closes the connection), and the loss of power (nothing
more happens at all). An exception in the agent ends the simulation, for it is a bug to be found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from edge.adapters.executor import Executor, Ports
from edge.agent import AgentSettings
from edge.clock.shared_clock import SourceChoice
from edge.config import button_settings
from edge.effects import Effect, LogDecision
from edge.events import (
    Booted,
    ButtonFound,
    ButtonMoved,
    CardFailed,
    CardStarted,
    Connected,
    Disconnected,
    Event,
    MessageReceived,
    Restored,
    StopRequested,
    Wake,
)
from edge.gpio.amplifier import AmplifierSettings
from edge.player.ports import Frames
from edge.player.proof import deaf
from edge.telemetry import Machine, TelemetrySettings, make_state
from protocol.adapters.mqtt_link import Will
from protocol.codec import json_encode
from protocol.driver import Driver
from protocol.messages import Readiness
from protocol.topics import TopicName, topic
from protocol.units import NS_PER_MS, NS_PER_S, MonotonicNs, Now, SharedNs
from simulator.clock import ClockTimer
from simulator.evidence.event_log import Fact
from simulator.network.link import Link, LinkSettings
from simulator.pole.horn import SimulatedEars
from simulator.pole.media_files import SimulatedMediaStore
from simulator.pole.parts import PoleParts, SoundMode
from simulator.pole.quiet_card import QuietCard
from simulator.pole.sound_card import SimulatedCard
from simulator.pole.storage import SimulatedStore
from simulator.pole.workshop import SimulatedWorkshop
from simulator.services.timekeeping import ExchangedTime

VERSION: Final = "simulated"
GATHER_NS: Final = NS_PER_S
"""How often what the card gave is taken down; it remembers far longer."""
IDLE_GATHERS: Final = 3
"""So often nothing was there: the card is closed."""
PROBE_AFTER_NS: Final = 150 * NS_PER_MS
"""After a decision of the studio: the fades are over, and a warm amplifier is on."""


class NodeProcess:
    """One life of a node's program, on one pole."""

    def __init__(self, pole: PoleParts, *, decided: Callable[[LogDecision], None]) -> None:
        self._pole = pole
        self._decided = decided
        self._world = world = pole.world
        config, session_epoch = pole.config, pole.clock.read_now().shared_ns // NS_PER_MS
        self.time: Final = self._make_time()
        self.read_now: Final[Callable[[], Now]] = pole.clock.read_now if self.time is None else self.time.read_now
        """Both clocks, as the program knows them."""
        machine = pole.machine
        self._is_alive = True
        self._timer: ClockTimer | None = None
        self._idle_gathers = 0
        self._is_gathering = False
        self._is_sounding = False
        self._probed_at_ns = 0
        self.store: Final = SimulatedStore(world, pole.disk, post=self.post)
        self.media: Final = SimulatedMediaStore(
            world,
            pole.disk,
            pole.host,
            pole.surroundings.media_server,
            bytes_max=config.media.bytes_max,
            free_bytes_min=config.media.free_bytes_min,
            post=self.post,
        )
        self.link: Final = self._make_link(session_epoch, machine)
        self.ears: Final = self._make_ears()
        self.agent: Final = pole.settings.new_agent(
            settings=AgentSettings(
                node=config.node,
                root=pole.trust.root,
                version=VERSION,
                session_epoch=session_epoch,
                amplifier=AmplifierSettings(warm_up_ms=config.amplifier.warm_up_ms, hold_ms=config.amplifier.hold_ms),
                telemetry=TelemetrySettings(
                    idle_interval_s=config.telemetry.idle_interval_s,
                    on_air_interval_s=config.telemetry.on_air_interval_s,
                ),
                button=button_settings(config.inputs),
                machine=machine,
                sensors=pole.settings.sensors,
            ),
            signer=pole.trust.report_signer,
            workshop=SimulatedWorkshop(
                content_of=self.media.content,
                recordings=pole.surroundings.recordings,
                new_decoder=pole.settings.new_decoder,
            ),
            open_packet=pole.surroundings.opener.open_packet,
            opener=pole.surroundings.opener,
            hear=deaf if self.ears is None else self.ears.heard,
        )
        self.card: Final = self._make_card()
        ports = Ports(
            link=self.link,
            store=self.store,
            media=self.media,
            card=self.card,
            pin=pole.relay,
            log=self,
            ears=self.ears,
        )
        self._driver: Driver[Event, Effect] = Driver(
            node=self.agent,
            read_clock=self.read_now,
            execute=Executor(ports, post=self.post).execute,
            arm=self._arm,
            wake_event=Wake(),
        )

    def start(self) -> None:
        """Boot and connect; raises StoreError when the card takes no store."""
        restored = self.store.load()
        fields = {name: getattr(restored, name) for name in Restored.__slots__}
        self.post(Booted(restored=Restored(**{**fields, "media": self.media.present()})))
        self._pole.button.on_change = lambda level: self.post(ButtonMoved(is_pressed=level))
        self.post(ButtonFound(is_pressed=self._pole.button.level))
        self.link.start()
        if self.time is not None:
            self.time.start()

    def post(self, event: Event) -> None:
        """Something happened to the node; a dead process takes no notice."""
        if self._is_alive:
            self._driver.post(event)

    def wake(self) -> None:
        """Its rim has noticed that the clock was set."""
        self.post(Wake())

    def stop(self) -> None:
        """A clean end: silence first, then a farewell."""
        self.post(StopRequested())
        self.store.close()
        self.link.stop()
        self._end(Link.stop)

    def kill(self) -> None:
        """The process is gone from one instant to the next; the machine closes its connection."""
        self.link.kill()
        self._end(Link.kill)

    def lose_power(self) -> None:
        """The machine is gone with it."""
        self.link.lose_power()
        self._end(Link.lose_power)

    def write(self, decision: LogDecision) -> None:
        """A decision of the agent (`DecisionLog`): onto the record, and a reason to listen."""
        pole = self._pole
        self._decided(decision)
        facts: dict[str, Fact] = {
            name: str(value) if isinstance(value, float) else value for name, value in decision.fields
        }
        self._world.record(pole.name, decision.decision, **facts)
        if self._is_sounding and pole.settings.probe.is_after_decisions and decision.decision.startswith("airing"):
            self._probe_soon()

    def _end(self, leave: Callable[[Link], None]) -> None:
        self._is_alive = False
        if self.time is not None:
            self.time.end(leave)
        self._arm(None)
        self.store.abandon()
        self.media.close()
        self.card.stop()
        if self.ears is not None:
            self.ears.close()
        if isinstance(self.card, SimulatedCard):
            self._pole.ear.gather(self.card.heard, is_all=True)
        self._pole.ear.cease()

    def _arm(self, deadline: MonotonicNs | None) -> None:
        clock = self._pole.clock
        clock.cancel(self._timer)
        self._timer = None if deadline is None else clock.call_at(deadline, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._driver.wake()

    def _make_link(self, session_epoch: int, machine: Machine) -> Link:
        pole = self._pole
        node = pole.config.node
        will = make_state(node, Readiness.LOST, session_epoch, VERSION, machine)
        return Link(
            pole.world,
            pole.surroundings.network,
            pole.host,
            pole.clock,
            LinkSettings(address=pole.surroundings.broker_address, client_id=node),
            Will(topic=topic(TopicName.NODE_STATE, node=node), payload=json_encode(will)),
            on_connected=lambda present, incarnation: self.post(
                Connected(session_present=present, incarnation=incarnation)
            ),
            on_disconnected=lambda reason: self.post(Disconnected(reason=reason)),
            on_message=lambda name, payload: self.post(MessageReceived(topic=name, payload=payload)),
        )

    def _make_ears(self) -> SimulatedEars | None:
        pole = self._pole
        if not pole.settings.sensors:
            return None
        return SimulatedEars(
            pole.horn,
            sensors=pole.settings.sensors,
            post=self.post,
            is_powered=lambda: pole.relay.is_powered_at(pole.world.now_ns),
        )

    def _render(self, frames: int, at_ns: SharedNs) -> Frames:
        rendered = self.agent.render(frames, at_ns)
        if self.ears is not None:
            self.ears.sent(rendered, at_ns)
        return rendered

    def _make_card(self) -> SimulatedCard | QuietCard:
        pole = self._pole
        on_event: Callable[[CardStarted | CardFailed], None] = self._card_told
        if pole.settings.sound is SoundMode.SILENT:
            return QuietCard(
                pole.world,
                on_event=on_event,
                on_running=self._sounds_begin_or_cease,
                is_plugged=pole.settings.card.is_plugged,
            )
        return SimulatedCard(
            pole.world,
            pole.clock,
            replace(pole.settings.card, drift_ppb=pole.card_drift_ppb),
            render=self.agent.render if self.ears is None else self._render,
            on_event=on_event,
            name=pole.name,
            read_now=self.read_now,
        )

    def _make_time(self) -> ExchangedTime | None:
        pole = self._pole
        if pole.settings.time is SourceChoice.SYSTEM:
            return None
        return ExchangedTime(
            pole.world,
            pole.surroundings.network,
            pole.host,
            pole.clock,
            node=pole.config.node,
            address=pole.surroundings.broker_address,
            choice=pole.settings.time,
            clock_filter=pole.settings.new_filter(),
            keyring=lambda: self.agent.keyring,
            is_sounding=lambda: pole.relay.commanded.at(pole.world.now_ns),
            on_set=self.wake,
        )

    def _card_told(self, event: CardStarted | CardFailed) -> None:
        self.post(event)
        if isinstance(self.card, SimulatedCard) and isinstance(event, CardStarted) and not self._is_gathering:
            self._is_gathering, self._idle_gathers = True, 0
            self._world.after(GATHER_NS, self._gather)

    def _gather(self) -> None:
        card = self.card
        if not self._is_alive or not isinstance(card, SimulatedCard):
            return
        self._idle_gathers = 0 if card.heard else self._idle_gathers + 1
        self._pole.ear.gather(card.heard)
        if self._idle_gathers >= IDLE_GATHERS:
            self._is_gathering = False
            self._pole.ear.cease()
        else:
            self._world.after(GATHER_NS, self._gather)

    def _sounds_begin_or_cease(self, is_running: bool) -> None:
        has_begun = is_running and not self._is_sounding
        self._is_sounding = is_running
        every_ns = self._pole.settings.probe.every_ns
        if has_begun and every_ns:
            self._world.after(every_ns, self._probe_again)
        elif not is_running:
            self._pole.ear.cease()

    def _probe_again(self) -> None:
        if self._is_sounding and self._is_alive:
            self._probe()
            self._world.after(self._pole.settings.probe.every_ns, self._probe_again)

    def _probe_soon(self) -> None:
        """Once for all that was decided at one instant: what ends and what begins in its place."""
        at_ns = self._world.now_ns + PROBE_AFTER_NS
        if at_ns != self._probed_at_ns:
            self._probed_at_ns = at_ns
            self._world.at(at_ns, self._probe)

    def _probe(self) -> None:
        if self._is_sounding and self._is_alive:
            self._pole.ear.probe(self.agent.render, self.read_now().shared_ns)
