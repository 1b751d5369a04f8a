"""One pole in a virtual world: the real agent on a simulated clock, card, pin, SD card and broker.

The broker keeps retained messages and hands them to whoever subscribes. What was heard is compared with what
should have been by the sample: every clip and stream has a wave of its own, a function of the sample's index.
`cut_power` ends the process as a power cut does; `boot` begins it again on the same SD card.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.adapters.executor import Executor, Ports
from edge.adapters.flight_recorder import FlightRecorder, NotingWorkshop, Openings, Recorded, RecorderSettings
from edge.agent import Agent, AgentSettings
from edge.effects import AnswerSelfTest, Effect, LogDecision
from edge.events import Booted, ButtonMoved, Connected, Disconnected, Event, MessageReceived, StopRequested, Wake
from edge.gpio.amplifier import WARM_UP_MS_DEFAULT, AmplifierSettings
from edge.player.ports import Frames
from edge.telemetry import TelemetrySettings
from protocol.adapters.asyncio_loop import CLOCK_WATCH_S
from protocol.codec import cbor_decode
from protocol.driver import Driver
from protocol.envelope import open_sealed
from protocol.messages import AiringRecord, AnyDocument, HeardBy, MediaReference, Record, Report
from protocol.topics import TopicName, topic
from protocol.units import NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ, SAMPLES_PER_MS, MonotonicNs, SharedNs
from simulator.clock import ClockSettings, ClockTimer, NodeClock
from simulator.pole.box import Mains, Relay
from simulator.pole.horn import HornState, SimulatedEars
from simulator.pole.sound_card import SimulatedCard, SimulatedCardSettings
from simulator.world import DEFAULT_START_NS, World
from tests.support.issuer import Issuer, signer_of
from tests.support.sd_card import SdCard, SimulatedMedia, SimulatedStore
from tests.support.waves import WaveWorkshop

NODE = "N001"
T0_MS = DEFAULT_START_NS // NS_PER_MS + 3_600_000
"""06:00 in Vietnam: quiet hours are over."""
BLOCK_MS = 20


class Pole:
    """See the module's text."""

    def __init__(
        self,
        *,
        start_ms: int = T0_MS,
        seed: int = 1,
        recorder: RecorderSettings | None = None,
        warm_up_ms: int = WARM_UP_MS_DEFAULT,
        block_ms: int = BLOCK_MS,
        workshop: WaveWorkshop | None = None,
        sensors: tuple[HeardBy, ...] = (),
    ) -> None:
        self.world = World(seed=seed, start_ns=start_ms * NS_PER_MS)
        self.clock = NodeClock(self.world, NODE, ClockSettings(error_ns=0))
        self.issuer = Issuer(start_ms)
        self.sd_card = SdCard()
        self.pin = Relay(self.world, NODE, Mains(self.world))
        self.library: set[str] = set()
        self.bodies: dict[str, bytes] = {}
        self.workshop = workshop or WaveWorkshop()
        self.retained: dict[str, bytes] = {}
        self.published: list[tuple[str, bytes]] = []
        self.decisions: list[LogDecision] = []
        self.time_refused: dict[str, int] = {}
        self.heard_blocks: list[tuple[int, NDArray[np.int16]]] = []
        self.is_connected = False
        self.is_running = False
        self.recorder: FlightRecorder | None = None
        self.horn = HornState()
        self.answers: list[AnswerSelfTest] = []
        self._sensors = sensors
        self._recorder_settings = recorder
        self._amplifier_settings = AmplifierSettings(warm_up_ms=warm_up_ms)
        self._block_ms = block_ms
        self._incarnation = 0
        self._subscribed: dict[str, int] = {}
        self._timer: ClockTimer | None = None
        self.clock.on_set = self._clock_was_set
        self.boot()

    # the process

    def boot(self) -> None:
        """Begin the process on the SD card as it is."""
        post = self._post
        self.pin.drive(on=False)
        self._subscribed = {}
        self.store = SimulatedStore(self.world, self.sd_card, post=post)
        self.media = SimulatedMedia(self.world, self.sd_card, self.library, self.bodies, post=post)
        openings = Openings()
        settings = AgentSettings(
            node=NODE,
            root=self.issuer.root,
            version="test",
            session_epoch=self.now_ms,
            amplifier=self._amplifier_settings,
            telemetry=TelemetrySettings(),
            sensors=self._sensors,
        )
        self.ears = SimulatedEars(
            self.horn, sensors=self._sensors, post=post, is_powered=lambda: self.pin.commanded.at(self.world.now_ns)
        )
        self.agent = Agent(
            settings=settings,
            signer=signer_of("report"),
            workshop=NotingWorkshop(self.workshop, openings),
            open_packet=openings.open_packet,
            hear=self.ears.heard,
        )
        if self._recorder_settings is not None:
            self.recorder = FlightRecorder(self._recorder_settings, settings)
        self.card = SimulatedCard(
            self.world,
            self.clock,
            SimulatedCardSettings(
                jitter_ns=0,
                block_frames=self._block_ms * SAMPLES_PER_MS,
                ahead_frames=3 * self._block_ms * SAMPLES_PER_MS,
            ),
            render=self._render,
            on_event=post,
        )
        ports = Ports(
            link=self,
            store=self.store,
            media=self.media,
            card=self.card,
            pin=self.pin,
            log=self,
            time_refused=lambda: dict(self.time_refused),
            ears=self.ears,
            answer=self.answers.append,
        )
        executor = Executor(ports, post=post)
        self.is_running = True
        self._driver: Driver[Event, Effect] = Driver(
            node=self.agent if self.recorder is None else Recorded(self.agent, self.recorder, openings),
            read_clock=self.clock.read_now,
            execute=executor.execute,
            arm=self._arm,
            wake_event=Wake(),
        )
        self._post(Booted(restored=self.store.load()))

    def cut_power(self) -> None:
        """The process and everything that was not on the SD card are gone."""
        self.is_running = self.is_connected = False
        self._arm(None)
        self.store.cut_power()
        self.media.close()
        self.card.unplug()
        self.card.stop()
        self._keep_heard()
        self.pin.drive(on=False)
        self.close_recorder()

    def stop(self) -> None:
        """End the process in good order."""
        self._post(StopRequested())
        self._keep_heard()
        self.store.close()
        self.is_running = False
        self._arm(None)
        self.close_recorder()

    def close_recorder(self) -> None:
        """What was recorded is on the disk."""
        recorder, self.recorder = self.recorder, None
        if recorder is not None:
            recorder.close()

    # the broker

    def connect(self, *, session_present: bool = False) -> None:
        """The broker is there."""
        self.is_connected = True
        self._incarnation += 1
        self._post(Connected(session_present=session_present, incarnation=self._incarnation))
        self.subscribe(list(self._subscribed.items()))

    def button(self, *, is_pressed: bool) -> None:
        """The contact of the stop button moves."""
        self._post(ButtonMoved(is_pressed=is_pressed))

    def push(self, *, for_ms: int = 200) -> None:
        """Somebody presses the stop button, and lets go."""
        self.button(is_pressed=True)
        self.run_for(for_ms)
        self.button(is_pressed=False)
        self.run_for(100)

    def disconnect(self) -> None:
        """The broker is gone."""
        self.is_connected = False
        self._post(Disconnected(reason="the line is cut"))

    def send(self, document: AnyDocument, *, key: str = "operations-1", **fields: str) -> bytes:
        """Sign a document and let the broker hand it out, retained; returns the bytes."""
        name = _topic_of(document, fields)
        payload = self.issuer.seal(document, name, key=key)
        self.deliver(name, payload)
        return payload

    def deliver(self, name: str, payload: bytes, *, retain: bool = True) -> None:
        """Let the broker hand out bytes."""
        if retain:
            self.retained[name] = payload
        if self.is_connected and any(_fits(wanted, name) for wanted in self._subscribed):
            self._post(MessageReceived(topic=name, payload=payload))

    def introduce(self, **assignment: Any) -> None:
        """Keyset and assignment, and a connection: the node is ready."""
        self.retained[topic(TopicName.KEYSET)] = self.issuer.keyset()
        self.send(self.issuer.assignment(**assignment))
        if not self.is_connected:
            self.connect()
        self.run_for(500)

    def provide(self, *clips: MediaReference) -> None:
        """Put clips on the server."""
        for clip in clips:
            self.library.add(clip.sha256)
            self.workshop.clips[clip.sha256] = clip.duration_ms * SAMPLES_PER_MS

    def stream(self, name: str, *, origin_ms: int, packets: range, delay_ms: int = 1_000) -> None:
        """Have packets of a stream arrive, each `delay_ms` before it plays."""
        audio = topic(TopicName.AUDIO, stream=name)
        for sequence in packets:
            payload = self.issuer.packet(name, sequence, origin_ms=origin_ms)
            at_ns = (origin_ms + sequence * 100 - delay_ms) * NS_PER_MS
            self.world.at(at_ns, lambda payload=payload: self.deliver(audio, payload, retain=False))

    # time

    @property
    def now_ms(self) -> int:
        """The shared time in milliseconds."""
        return self.world.now_ns // NS_PER_MS

    def run_until(self, shared_ms: int) -> None:
        """Let the world go on."""
        self.world.run_until(shared_ms * NS_PER_MS)

    def run_for(self, duration_ms: int) -> None:
        """As `run_until`."""
        self.run_until(self.now_ms + duration_ms)

    # what came of it

    def heard(self, from_ms: int, until_ms: int) -> NDArray[np.int16]:
        """What the horn gave between two instants, on the grid; zeros where nothing was played."""
        self._keep_heard()
        first = from_ms * SAMPLES_PER_MS
        out = np.zeros((until_ms - from_ms) * SAMPLES_PER_MS, np.int16)
        for at_ns, samples in self.heard_blocks:
            offset = round(at_ns * SAMPLE_RATE_HZ / NS_PER_S) - first
            begin, end = max(0, offset), min(len(out), offset + len(samples))
            if begin < end:
                out[begin:end] = samples[begin - offset : end - offset]
        return out

    def unpowered_samples(self) -> int:
        """Samples that were not zero while the amplifier's pin was off; must be none."""
        self._keep_heard()
        found = 0
        for at_ns, samples in self.heard_blocks:
            for index in np.flatnonzero(samples)[[0, -1]] if samples.any() else ():
                found += not self.pin.commanded.at(at_ns + int(index) * NS_PER_S // SAMPLE_RATE_HZ)
        return found

    def records(self) -> list[Record]:
        """Every record that was sent, once, by its number."""
        reports: dict[int, Report] = {}
        name = topic(TopicName.REPORT, node=NODE)
        for sent_on, payload in self.published:
            if sent_on == name:
                report: Report = cbor_decode(open_sealed(payload, topic=name).payload, Report)
                reports[report.number] = report
        return [reports[number].record for number in sorted(reports)]

    def airings(self) -> list[tuple[str, str, str]]:
        """Airing records as (source, state, reason)."""
        found = [record for record in self.records() if isinstance(record, AiringRecord)]
        return [(record.source_id, record.state.value, record.reason) for record in found]

    def telemetry(self) -> dict[str, Any]:
        """The last status that was sent."""
        name = topic(TopicName.TELEMETRY, node=NODE)
        last = [payload for sent_on, payload in self.published if sent_on == name][-1]
        found: dict[str, Any] = json.loads(last)
        return found

    # the ports that this world gives itself: link and log

    def publish(
        self, topic: str, payload: bytes, qos: int = 1, retain: bool = False, expiry_s: int | None = None
    ) -> None:
        """See `Link.publish`; what is published without a connection is lost here."""
        del qos, retain, expiry_s
        if self.is_connected:
            self.published.append((topic, payload))

    def subscribe(self, topics: Sequence[tuple[str, int]]) -> None:
        """See `Link.subscribe`."""
        self._subscribed.update(topics)
        if self.is_connected:
            for wanted, _ in topics:
                for name, payload in list(self.retained.items()):
                    if _fits(wanted, name):
                        self.world.after(NS_PER_MS, self._post, MessageReceived(topic=name, payload=payload))

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """See `Link.unsubscribe`."""
        for name in topics:
            self._subscribed.pop(name, None)

    def set_herd_window_s(self, herd_window_s: float) -> None:
        """See `Link.set_herd_window_s`."""
        self.herd_window_s = herd_window_s

    def write(self, decision: LogDecision) -> None:
        """See `DecisionLog.write`."""
        self.decisions.append(decision)

    @property
    def subscribed(self) -> set[str]:
        """The topics that the node listens to."""
        return set(self._subscribed)

    def post(self, event: Event) -> None:
        """Something else happens to the node."""
        self._post(event)

    def _render(self, frames: int, at_ns: SharedNs) -> Frames:
        rendered = self.agent.render(frames, at_ns)
        self.ears.sent(rendered, at_ns)
        return rendered

    def _post(self, event: Event) -> None:
        if self.is_running:
            self._driver.post(event)

    def _arm(self, deadline: MonotonicNs | None) -> None:
        self.clock.cancel(self._timer)
        self._timer = None
        if deadline is not None and self.is_running:
            wake: Callable[[], object] = self._driver.wake
            self._timer = self.clock.call_at(deadline, wake)

    def _clock_was_set(self) -> None:
        """The rim of the program notices it by watching."""
        self.world.after(int(CLOCK_WATCH_S * NS_PER_S), lambda: self._post(Wake()))

    def _keep_heard(self) -> None:
        while self.card.heard:
            block = self.card.heard.popleft()
            self.heard_blocks.append((block.at_true_ns, np.asarray(block.samples, np.int16).reshape(-1)))


def _topic_of(document: Any, fields: dict[str, str]) -> str:
    names = {
        "assignment": TopicName.ASSIGNMENT,
        "plan": TopicName.PLAN,
        "emergency": TopicName.EMERGENCY,
        "all-clear": TopicName.EMERGENCY,
        "stream-start": TopicName.STREAM,
        "stream-end": TopicName.STREAM,
        "acknowledgement": TopicName.ACKNOWLEDGEMENT,
    }
    if document.document_type.startswith("silence"):
        names[document.document_type] = TopicName.NODE_SILENCE if document.node else TopicName.AREA_SILENCE
    said = {field: getattr(document, field) for field in ("area", "node", "stream") if getattr(document, field, None)}
    if document.document_type == "assignment":
        said.pop("area", None)
    return topic(names[document.document_type], **{**said, **fields})


def _fits(wanted: str, name: str) -> bool:
    levels, found = wanted.split("/"), name.split("/")
    return len(levels) == len(found) and all(one in ("+", other) for one, other in zip(levels, found, strict=True))
