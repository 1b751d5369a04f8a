"""One node of a fleet: the real agent and the real link to the broker, on light ports for all else.

Card, pin and SD card are the simulated ones; media are read from the controller's own store on this machine, so
nothing is fetched. Nobody hears it: once a second it is asked for a block of its sound, which is what its level and
its counters are then made from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.adapters.clip_reader import SoundFileReader
from edge.adapters.decoder import LibopusDecoder
from edge.adapters.executor import Executor, Ports
from edge.agent import Agent, AgentSettings
from edge.effects import Effect, FetchMedia, LogDecision
from edge.errors import MediaFailure
from edge.events import (
    Booted,
    Connected,
    Disconnected,
    Event,
    MediaFailed,
    MediaFetched,
    MessageReceived,
    StopRequested,
    Wake,
)
from edge.gpio.amplifier import AmplifierSettings
from edge.player.ports import ClipReader, OpusDecoder
from edge.telemetry import TelemetrySettings, make_state
from protocol.adapters.asyncio_loop import LoopDriver
from protocol.adapters.mqtt_link import MqttLink, MqttSettings, Will
from protocol.adapters.system_clock import read_now
from protocol.codec import json_encode
from protocol.envelope import Signer
from protocol.keyring import RootKeys
from protocol.messages import Readiness
from protocol.topics import TopicName, topic
from protocol.units import NS_PER_MS, SAMPLES_PER_MS
from simulator.fleet.wall import WallWorld
from simulator.pole.box import Mains, Relay
from simulator.pole.disk import Disk
from simulator.pole.quiet_card import QuietCard
from simulator.pole.storage import SimulatedStore

VERSION: Final = "fleet"
PROBE_EVERY_S: Final = 1.0
PROBE_FRAMES: Final = 100 * SAMPLES_PER_MS
FREE_BYTES: Final = 4 * 1024**3
"""What a node says of its SD card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSettings:
    """Who a node is, whom it believes, where the broker and the controller's media are."""

    node: str
    root: RootKeys
    signer: Signer
    keys: Path
    broker_port: int
    media: Path
    status_interval_s: int = 10


class StoreOfTheController:
    """The ports `MediaStore` and `Workshop` over the controller's own media folder."""

    def __init__(self, folder: Path, *, post: Callable[[Event], None]) -> None:
        self._folder = folder
        self._post = post
        self._loop = asyncio.get_running_loop()

    def present(self) -> frozenset[str]:
        """See `MediaStore.present`."""
        return frozenset(path.name for path in self._folder.glob("*") if path.is_file())

    def fetch(self, effect: FetchMedia) -> None:
        """See `MediaStore.fetch`: the file is there or it is not."""
        sha256 = effect.reference.sha256
        answer: Event = MediaFetched(sha256=sha256)
        if not (self._folder / sha256).is_file():
            answer = MediaFailed(sha256=sha256, reason=MediaFailure.NOT_FOUND, detail="not in the controller's store")
        self._loop.call_soon(self._post, answer)

    def discard(self, sha256: str) -> None:
        """See `MediaStore.discard`; what is the controller's stays."""
        del sha256

    def free_bytes(self) -> int:
        """See `MediaStore.free_bytes`."""
        return FREE_BYTES

    def close(self) -> None:
        """See `MediaStore.close`."""

    def new_decoder(self) -> OpusDecoder:
        """See `Workshop.new_decoder`."""
        return LibopusDecoder()

    def open_clip(self, sha256: str) -> ClipReader:
        """See `Workshop.open_clip`."""
        return SoundFileReader(self._folder / sha256)


class Member:
    """One running node."""

    def __init__(self, wall: WallWorld, settings: MemberSettings) -> None:
        world, self.name = wall.world, settings.node
        self._wall = wall
        self._loop = asyncio.get_running_loop()
        self._probe: asyncio.TimerHandle | None = None
        session_epoch = world.now_ns // NS_PER_MS
        self._store = SimulatedStore(world, Disk(world, self.name), post=self._post)
        media = StoreOfTheController(settings.media, post=self._post)
        self.relay = Relay(world, self.name, Mains(world))
        self._card = QuietCard(world, on_event=self._post, on_running=self._sound_comes_or_goes)
        self._link = self._make_link(settings, session_epoch)
        self.agent = Agent(
            settings=AgentSettings(
                node=self.name,
                root=settings.root,
                version=VERSION,
                session_epoch=session_epoch,
                amplifier=AmplifierSettings(),
                telemetry=TelemetrySettings(idle_interval_s=settings.status_interval_s),
            ),
            signer=settings.signer,
            workshop=media,
        )
        ports = Ports(link=self._link, store=self._store, media=media, card=self._card, pin=self.relay, log=self)
        self._executor = Executor(ports, post=self._post)
        self._driver: LoopDriver[Event, Effect] = LoopDriver(node=self.agent, execute=self._execute, wake_event=Wake())
        self._media = media

    @property
    def failure(self) -> asyncio.Future[None]:
        """Done when a bug has ended this node."""
        return self._driver.failure

    def start(self) -> None:
        """Boot from an empty store, and connect."""
        self._wall.catch_up()
        self._post(Booted(restored=self._store.load()))
        self._link.start()

    def stop(self) -> None:
        """Silence first, then a farewell."""
        self._post(StopRequested())
        self._sound_comes_or_goes(False)

    def close(self) -> None:
        """Take it down; `stop` came first."""
        self._link.stop()
        self._driver.close()

    def write(self, decision: LogDecision) -> None:
        """See `DecisionLog.write`: nobody reads two hundred logs."""
        del decision

    def _post(self, event: Event) -> None:
        self._wall.catch_up()
        self._driver.post(event)
        self._wall.arm()

    def _execute(self, effect: Effect) -> None:
        self._wall.catch_up()
        self._executor.execute(effect)
        self._wall.arm()

    def _sound_comes_or_goes(self, is_running: bool) -> None:
        if self._probe is not None:
            self._probe.cancel()
            self._probe = None
        if is_running:
            self._probe = self._loop.call_later(PROBE_EVERY_S, self._listen)

    def _listen(self) -> None:
        self.agent.render(PROBE_FRAMES, read_now().shared_ns)
        self._probe = self._loop.call_later(PROBE_EVERY_S, self._listen)

    def _make_link(self, settings: MemberSettings, session_epoch: int) -> MqttLink:
        will = make_state(self.name, Readiness.LOST, session_epoch, VERSION)
        return MqttLink(
            MqttSettings(
                host="localhost",
                port=settings.broker_port,
                client_id=self.name,
                ca_path=settings.keys / "ca.pem",
                certificate_path=settings.keys / "node.pem",
                private_key_path=settings.keys / "node.key",
            ),
            Will(topic=topic(TopicName.NODE_STATE, node=self.name), payload=json_encode(will)),
            on_connected=lambda present, incarnation: self._post(
                Connected(session_present=present, incarnation=incarnation)
            ),
            on_disconnected=lambda reason: self._post(Disconnected(reason=reason)),
            on_message=lambda name, payload: self._post(MessageReceived(topic=name, payload=payload)),
        )
