"""One node as a process: builds the ports around the agent, runs them on one loop, takes them down again.

The order matters. The amplifier is switched off first of all, before anything else is read or tried; at the end
it is switched off before anything is waited for. SIGTERM and SIGINT end the process in good order; whatever ends
it otherwise, systemd runs `loaxa-edge silence`. A bug in the agent ends the process, which is then started anew.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from edge.adapters.clock_file import ClockFile
from edge.adapters.config_file import read_config
from edge.adapters.control_socket import ControlSocket
from edge.adapters.ear import SensorEars, sensors_of
from edge.adapters.enrolment_run import NodeEnrolment
from edge.adapters.enrolment_watch import enrol_first, keep_certificate
from edge.adapters.executor import Executor, Ports
from edge.adapters.flight_recorder import FlightRecorder, NotingWorkshop, Openings, Recorded, RecorderSettings
from edge.adapters.gpio_lines import GpioAmplifier, GpioStopButton, PinFactory, pin_settings
from edge.adapters.hardware import read_machine
from edge.adapters.logging import LoggedDecisions, set_up_logging
from edge.adapters.media import HttpsMediaStore, MediaSettings, media_folder
from edge.adapters.node_clock import ClockSurroundings, node_clock
from edge.adapters.notify import SystemdNotifier, watchdog_interval_s
from edge.adapters.preflight import Prepared, prepare
from edge.adapters.session_epoch import next_session_epoch
from edge.adapters.sound_card import CardSettings, Pacing, PortAudioCard
from edge.adapters.store import SqliteStore
from edge.adapters.tls import node_context
from edge.adapters.version import product_version
from edge.adapters.workshop import LibraryWorkshop
from edge.agent import Agent, AgentSettings
from edge.config import EdgeConfig, button_settings
from edge.effects import Effect, LogDecision, LogLevel
from edge.events import (
    Booted,
    Connected,
    Disconnected,
    DocumentStored,
    Event,
    Flooded,
    MessageReceived,
    StopRequested,
    Wake,
)
from edge.gpio.amplifier import AmplifierSettings, AmplifierState
from edge.player.ports import Frames
from edge.telemetry import Machine, TelemetrySettings, make_state
from protocol.adapters.asyncio_loop import LoopDriver
from protocol.adapters.mqtt_link import MqttLink, MqttSettings, Will
from protocol.adapters.system_clock import read_now
from protocol.codec import json_encode
from protocol.messages import Readiness
from protocol.pace import NODE_PACE
from protocol.topics import TopicName, topic
from protocol.units import SharedNs

SWITCH_S: Final = 0.001
"""How long a busy thread keeps the interpreter while the card's callback waits for it: a flood of messages keeps the
network's thread busy, and the usual 5 ms on each side of a callback are a quarter of a block."""
_DRIVEN: Final = frozenset({AmplifierState.ON.value, AmplifierState.HOLDING.value})
NAMELESS: Final = "new"
"""What a unit is called in its log before it has a name."""
SILENCE_LOOK_S: Final = 1.0
"""How often a node that holds a new certificate looks whether it is silent."""
RENEWAL_WAITS_MS_MAX: Final = 6 * 3600 * 1000
"""No programme lasts longer; a renewal comes 30 days before the end of the certificate."""


def run(path: Path) -> None:
    """Run the node that a configuration describes until it is told to end; raises EdgeError."""
    config = read_config(path)
    sys.setswitchinterval(SWITCH_S)
    set_up_logging(node=config.node or NAMELESS, level=config.log.level)
    pin = GpioAmplifier(pin_settings(config.amplifier), read_now=read_now)
    try:
        asyncio.run(_enrol_and_run(path, config, pin))
    finally:
        pin.close()


async def _enrol_and_run(path: Path, config: EdgeConfig, pin: GpioAmplifier) -> None:
    """A unit without an identity enrols first, and then goes on in the same process."""
    enrolment: NodeEnrolment | None = None
    if config.enrolment.file is not None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        enrolment = NodeEnrolment(config)
        if not await enrol_first(enrolment, supervisor=SystemdNotifier(), stop=stop):
            return
    prepared = prepare(path)
    set_up_logging(node=prepared.config.node, level=config.log.level)
    await _run(prepared, pin, enrolment)


async def _run(prepared: Prepared, pin: GpioAmplifier, enrolment: NodeEnrolment | None) -> None:
    log = LoggedDecisions()
    for warning in prepared.warnings:
        log.write(LogDecision(decision="warning", fields=(("about", warning),), level=LogLevel.WARNING))
    process = _Process(prepared, pin, log, enrolment)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.ask_to_stop)
    try:
        await process.serve()
    finally:
        process.close()


class _Process:
    """The ports of one running node."""

    def __init__(
        self, prepared: Prepared, pin: GpioAmplifier, log: LoggedDecisions, enrolment: NodeEnrolment | None
    ) -> None:
        config = prepared.config
        self._prepared, self._enrolment = prepared, enrolment
        self._first_assignment = b""
        """What enrolment brought, until the keyset that it is signed under is in force."""
        folder = Path(config.state_dir)
        self._supervisor = SystemdNotifier()
        self._stop = asyncio.Event()
        self._store = SqliteStore(folder, post=self._post_from_thread)
        self._media = HttpsMediaStore(_media_settings(prepared), post=self._post_from_thread)
        self._clock = node_clock(config)
        session_epoch = next_session_epoch(folder)
        machine = read_machine(config.enrolment.hardware)
        self._link = _link(config, session_epoch, machine, self._post)
        openings = Openings()
        workshop = NotingWorkshop(LibraryWorkshop(self._media.path), openings)
        workshop.new_decoder()
        settings = _agent_settings(prepared, session_epoch, machine)
        self._button = GpioStopButton(
            config.inputs, pin_factory=PinFactory(config.amplifier.pin_factory), post=self._post_from_thread
        )
        self._ears = SensorEars(
            config.hearing,
            read_now=self._clock,
            is_driven=lambda: self._agent.amplifier_state in _DRIVEN,
            post=self._post_from_thread,
        )
        self._control = ControlSocket(config.state_dir, post=self._post)
        self._agent = Agent(
            settings=settings,
            signer=prepared.report_signer,
            workshop=workshop,
            open_packet=openings.open_packet,
            hear=self._ears.heard,
        )
        self._recorder = FlightRecorder(_recorder_settings(config), settings) if config.recorder.bytes_max else None
        self._card = PortAudioCard(
            _card_settings(config),
            render=self._render,
            read_now=self._clock,
            on_event=self._post,
            loop=asyncio.get_running_loop(),
        )
        ports = Ports(
            link=self._link,
            store=self._store,
            media=self._media,
            card=self._card,
            pin=pin,
            log=log,
            time_refused=lambda: self._clock.refused,
            ears=self._ears,
            answer=self._control.answer,
            spread_time=self._clock.set_herd_window_s,
        )
        self._driver: LoopDriver[Event, Effect] = LoopDriver(
            node=self._agent if self._recorder is None else Recorded(self._agent, self._recorder, openings),
            execute=Executor(ports, post=self._post).execute,
            wake_event=Wake(),
            read_clock=self._clock,
        )

    def _render(self, frames: int, at_ns: SharedNs) -> Frames:
        rendered = self._agent.render(frames, at_ns)
        self._ears.sent(rendered, at_ns)
        return rendered

    def ask_to_stop(self) -> None:
        """Silence first, then let `serve` return."""
        self._supervisor.stopping()
        self._post(StopRequested())
        self._stop.set()

    async def serve(self) -> None:
        """Boot, connect, and work until told to stop; raises what a bug in the agent raised."""
        restored = self._store.load()
        self._post(Booted(restored=replace(restored, media=self._media.present())))
        self._button.start()
        await self._control.start()
        self._post_documents()
        self._link.start()
        self._start_clock()
        gc.freeze()  # what was made at the start lives on: the collector need not walk it while sound is rendered
        self._supervisor.ready()
        watchdog = asyncio.create_task(self._give_signs_of_life())
        renewal = asyncio.create_task(self._keep_certificate())
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((stopped, renewal, self._driver.failure), return_when=asyncio.FIRST_COMPLETED)
            for failed in (renewal, self._driver.failure):
                if failed.done():
                    failed.result()
        finally:
            for task in (watchdog, renewal, stopped):
                task.cancel()
            await asyncio.gather(watchdog, renewal, stopped, return_exceptions=True)

    def _start_clock(self) -> None:
        """After the boot: the keys that the node has stored judge the answers."""
        agent = self._agent
        self._clock.start(
            ClockSurroundings(
                keyring=lambda: agent.keyring,
                is_sounding=lambda: agent.amplifier_state != AmplifierState.OFF.value,
                wake=lambda: self._post(Wake()),
                show=ClockFile(self._prepared.config.state_dir).write,
            )
        )

    def _post_documents(self) -> None:
        """What enrolment brought is judged as what the broker brings: the keyset now, the assignment under it."""
        documents = None if self._enrolment is None else self._enrolment.documents
        if documents is not None and documents.keyset:
            self._first_assignment = documents.assignment
            self._post(MessageReceived(topic=topic(TopicName.KEYSET), payload=documents.keyset))

    async def _keep_certificate(self) -> None:
        if self._enrolment is None:
            await self._stop.wait()
        else:
            await keep_certificate(self._enrolment, on_renewed=self._use_certificate)

    async def _use_certificate(self) -> None:
        """Show the new certificate when nothing sounds, or at the latest shortly before the old one ends.

        Another name, or another report key, is another node: the process ends, and is started anew as that.
        """
        identity = None if self._enrolment is None else self._enrolment.identity
        if identity is None:
            return
        config = self._prepared.config
        by_ms = read_now().shared_ms + RENEWAL_WAITS_MS_MAX
        while self._agent.amplifier_state != AmplifierState.OFF.value and read_now().shared_ms < by_ms:  # noqa: ASYNC110 - no event says it
            await asyncio.sleep(SILENCE_LOOK_S)
        if identity.node != config.node:
            self.ask_to_stop()
            return
        trust = config.trust
        self._media.use_context(node_context(ca=trust.ca, certificate=trust.certificate, private_key=trust.private_key))
        self._link.use_certificate(trust.certificate, trust.private_key)
        self._clock.use_certificate(trust.certificate, trust.private_key)

    def close(self) -> None:
        """Take everything down, each in bounded time; what was asked of the disk is done."""
        self._control.close()
        self._button.close()
        self._store.close()
        self._link.stop()
        self._clock.stop()
        self._card.close()
        self._ears.close()
        self._media.close()
        self._driver.close()
        if self._recorder is not None:
            self._recorder.close()

    async def _give_signs_of_life(self) -> None:
        interval_s = watchdog_interval_s()
        while interval_s is not None:
            self._supervisor.alive()
            await asyncio.sleep(interval_s)

    def _post(self, event: Event) -> None:
        self._driver.post(event)

    def _post_from_thread(self, event: Event) -> None:
        self._driver.post_from_thread(event)
        if not isinstance(event, DocumentStored) or event.topic != topic(TopicName.KEYSET):
            return
        self._driver.call_from_thread(self._clock.look)
        if self._first_assignment:
            own = topic(TopicName.ASSIGNMENT, node=self._prepared.config.node)
            payload, self._first_assignment = self._first_assignment, b""
            self._driver.post_from_thread(MessageReceived(topic=own, payload=payload))


def _agent_settings(prepared: Prepared, session_epoch: int, machine: Machine) -> AgentSettings:
    config = prepared.config
    return AgentSettings(
        node=config.node,
        root=prepared.root,
        version=product_version(),
        session_epoch=session_epoch,
        amplifier=AmplifierSettings(warm_up_ms=config.amplifier.warm_up_ms, hold_ms=config.amplifier.hold_ms),
        telemetry=TelemetrySettings(
            idle_interval_s=config.telemetry.idle_interval_s, on_air_interval_s=config.telemetry.on_air_interval_s
        ),
        button=button_settings(config.inputs),
        sensors=sensors_of(config.hearing),
        machine=machine,
    )


def _media_settings(prepared: Prepared) -> MediaSettings:
    config = prepared.config
    return MediaSettings(
        url=config.media.url,
        folder=media_folder(Path(config.state_dir)),
        bytes_max=config.media.bytes_max,
        free_bytes_min=config.media.free_bytes_min,
        context=prepared.tls,
    )


def _recorder_settings(config: EdgeConfig) -> RecorderSettings:
    return RecorderSettings(
        folder=Path(config.state_dir) / "flight",
        bytes_max=config.recorder.bytes_max,
        bytes_a_day_max=config.recorder.bytes_a_day_max,
    )


def _card_settings(config: EdgeConfig) -> CardSettings:
    return CardSettings(
        device=config.sound.device,
        fallback_device=config.sound.fallback_device,
        paced=Pacing(config.sound.paced),
        latency_ms=config.sound.latency_ms,
        ahead_ms=config.sound.ahead_ms,
        voice_latency_ms=config.sound.voice_latency_ms,
        voice_ahead_ms=config.sound.voice_ahead_ms,
        delay_us=config.sound.delay_us,
    )


def _link(config: EdgeConfig, session_epoch: int, machine: Machine, post: Callable[[Event], None]) -> MqttLink:
    will = make_state(config.node, Readiness.LOST, session_epoch, product_version(), machine)
    return MqttLink(
        MqttSettings(
            host=config.broker.host,
            port=config.broker.port,
            client_id=config.node,
            ca_path=config.trust.ca,
            certificate_path=config.trust.certificate,
            private_key_path=config.trust.private_key,
            is_time_checked=False,
            pace=NODE_PACE,
        ),
        Will(topic=topic(TopicName.NODE_STATE, node=config.node), payload=json_encode(will)),
        on_connected=lambda present, incarnation: post(Connected(session_present=present, incarnation=incarnation)),
        on_disconnected=lambda reason: post(Disconnected(reason=reason)),
        on_message=lambda name, payload: post(MessageReceived(topic=name, payload=payload)),
        on_flood=lambda name, messages: post(Flooded(topic=name, messages=messages)),
    )
