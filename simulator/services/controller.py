"""The controller's process: what `controller.adapters.runtime` puts together, put together on simulated ports.

The desk, its driver and every decision are the product's own; database, broker link, relay workers, media import and
the sources of chance are simulated. A controller is a machine that outlives its processes: `stop` ends one in good
order, `kill` from one instant to the next, `start` begins another from what the database holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeVar

import msgspec

from controller.adapters.broker_links import HERD_WINDOW_S, QUEUED_MAX
from controller.configuration.config import Config
from controller.configuration.site import LOST_AFTER_MS, Site, site_of
from controller.dispatch import Authority, Desk
from controller.effects import Answer, CloseRelay, Commit, DelayRelay, Effect, Note, OpenRelay, Publish, Subscribe
from controller.errors import RequestError
from controller.events import (
    BrokerConnected,
    BrokerLost,
    Event,
    ListeningBegan,
    ListeningEnded,
    MediaPrepared,
    MediaRefused,
    MessageReceived,
    RelayNews,
    RequestReceived,
    SiteChanged,
    Stopping,
    Woken,
)
from controller.records import EmergencyRecord, RelayRecord, SilenceRecord
from controller.requests import Request
from controller.streams.levelling import Samples
from controller.streams.relay import RelayEnded, RelayEvent
from controller.views import StatusView
from protocol.adapters.asyncio_loop import CLOCK_WATCH_S
from protocol.adapters.mqtt_link import Will
from protocol.codec import json_encode
from protocol.driver import Driver
from protocol.messages import ControllerState, Readiness
from protocol.topics import TOPICS, TopicName, topic
from protocol.units import NS_PER_MS, NS_PER_S, MonotonicNs
from simulator.authority import SeededSecrets
from simulator.clock import ClockSettings, ClockTimer, NodeClock
from simulator.evidence.event_log import Fact
from simulator.network.delay import DATA_CENTRE, AccessSettings
from simulator.network.link import Link, LinkSettings
from simulator.pole.parts import Surroundings
from simulator.services.database import SimulatedCommits, SimulatedDatabase
from simulator.services.feed import SimulatedRelayWorker, Stations
from simulator.services.media_server import Recording, serve_body
from simulator.services.timekeeping import SimulatedTimeService
from simulator.world import World

IMPORT_NS: Final = 20 * NS_PER_MS
"""Taking in a file that was taken in before; a new one takes seconds, which no decision waits for."""
NOTES_KEPT: Final = 2_048
Record = TypeVar("Record", EmergencyRecord, RelayRecord)


@dataclass(slots=True)
class Asked:
    """A request and its answer, None until the desk has given it."""

    ticket: int
    request: Request
    answer: EmergencyRecord | RelayRecord | SilenceRecord | RequestError | None = None

    @property
    def emergency(self) -> EmergencyRecord:
        """The emergency that was raised or ended; raises what the desk refused with, or that nothing was answered."""
        return self._answered(EmergencyRecord)

    @property
    def relay(self) -> RelayRecord:
        """The relay that was begun or ended; raises as `emergency` does."""
        return self._answered(RelayRecord)

    def _answered(self, kind: type[Record]) -> Record:
        if isinstance(self.answer, kind):
            return self.answer
        if isinstance(self.answer, RequestError):
            raise self.answer
        message = f"request {self.ticket} has no answer of this kind: {self.answer}"
        raise ValueError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerSettings:
    """What one controller's machine is made of.

    `new_encoder` makes real Opus encoders instead of synthetic frames; `lost_after_ms` is how long a node may say
    nothing, which must be raised where nodes are told to send their status more rarely than a real one does;
    `tells_time` is for poles that ask; `new_database` makes what it keeps everything in.
    """

    clock: ClockSettings = field(default_factory=ClockSettings)
    access: AccessSettings = DATA_CENTRE
    new_encoder: Callable[[int], Callable[[Samples], bytes]] | None = None
    lost_after_ms: int = LOST_AFTER_MS
    tells_time: bool = False
    new_database: Callable[[], SimulatedDatabase] = SimulatedDatabase


@dataclass(slots=True)
class _Process:
    """What dies with one process."""

    desk: Desk
    driver: Driver[Event, Effect]
    link: Link
    commits: SimulatedCommits
    time: SimulatedTimeService | None
    workers: dict[str, SimulatedRelayWorker] = field(default_factory=dict)
    imported: set[str] = field(default_factory=set)
    is_importing: bool = False


class SimulatedController:
    """One controller. `media` says what each source file of its configuration is; what it lacks is refused."""

    def __init__(
        self,
        world: World,
        surroundings: Surroundings,
        *,
        config: Config,
        authority: Authority,
        media: Mapping[str, Recording],
        settings: ControllerSettings | None = None,
    ) -> None:
        self.name: Final = config.controller
        self.world: Final = world
        self.config = config
        self._settings = settings or ControllerSettings()
        self.database: Final = self._settings.new_database()
        self.stations: Final = Stations()
        self.notes: deque[tuple[int, Note]] = deque(maxlen=NOTES_KEPT)
        self.asked: dict[int, Asked] = {}
        self._surroundings = surroundings
        self._authority = authority
        self._media = media
        self.clock: Final = NodeClock(world, self.name, self._settings.clock)
        self.clock.on_set = self._clock_was_set
        self.host: Final = surroundings.network.add_host(self.name, self._settings.access)
        self._secrets = SeededSecrets(world.chance(f"controller/{self.name}"))
        self._process: _Process | None = None
        self._timer: ClockTimer | None = None
        self.database.watch.append(partial(serve_body, surroundings.media_server))
        for recording in media.values():
            surroundings.media_server.publish(recording)

    @property
    def is_running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    @property
    def desk(self) -> Desk:
        """The running desk; raises ValueError when none runs."""
        if self._process is None:
            message = f"the controller {self.name} is not running"
            raise ValueError(message)
        return self._process.desk

    def status(self) -> StatusView:
        """What its page shows now."""
        return self.desk.status(self.clock.read_now())

    def start(self) -> None:
        """Begin a process from what the database holds."""
        if self._process is not None:
            return
        now = self.clock.read_now()
        desk = Desk(
            site=self._site(self.config),
            authority=self._authority,
            kept=self.database.load(),
            fresh=self._secrets,
            now=now,
            opener=self._surroundings.opener,
        )
        driver: Driver[Event, Effect] = Driver(
            node=desk, read_clock=self.clock.read_now, execute=self._execute, arm=self._arm, wake_event=Woken()
        )
        self._process = process = _Process(
            desk=desk,
            driver=driver,
            link=self._make_link(now.shared_ms, driver),
            commits=SimulatedCommits(self.world, self.database, driver.post),
            time=self._make_time_service(),
        )
        self.world.record(self.name, "process_started")
        process.link.start()
        if process.time is not None:
            process.time.link.start()
        driver.post(Woken())
        self._import_soon(process)

    def stop(self) -> None:
        """End the process in good order."""
        process = self._process
        if process is None:
            return
        process.driver.post(Stopping())
        for worker in tuple(process.workers.values()):
            worker.stop()
        process.commits.finish()
        process.link.stop()
        if process.time is not None:
            process.time.link.stop()
        self._forget("process_stopped")

    def kill(self) -> None:
        """End the process from one instant to the next; what was not committed is lost."""
        process = self._process
        if process is None:
            return
        for worker in process.workers.values():
            worker.kill()
        process.commits.abandon()
        process.link.kill()
        if process.time is not None:
            process.time.link.kill()
        self._forget("process_killed")

    def ask(self, request: Request) -> Asked:
        """Put a request before the desk; its answer comes when its changes are durable. Not running: never."""
        asked = Asked(ticket=len(self.asked) + 1, request=request)
        self.asked[asked.ticket] = asked
        if self._process is not None:
            self._process.driver.post(RequestReceived(ticket=asked.ticket, request=request))
        return asked

    def reconfigure(self, config: Config) -> None:
        """Follow another configuration, as after SIGHUP; a process that starts later follows it too."""
        self.config = config
        if self._process is not None:
            self._process.driver.post(SiteChanged(site=self._site(config)))
            self._import_soon(self._process)

    def _site(self, config: Config) -> Site:
        return replace(site_of(config), lost_after_ms=self._settings.lost_after_ms)

    def _forget(self, what: str) -> None:
        self._process = None
        self._arm(None)
        self.world.record(self.name, what)

    def _arm(self, deadline: MonotonicNs | None) -> None:
        self.clock.cancel(self._timer)
        self._timer = None if deadline is None or self._process is None else self.clock.call_at(deadline, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._process is not None:
            self._process.driver.wake()

    def _clock_was_set(self) -> None:
        """The rim of the process will notice."""
        self.world.after(int(CLOCK_WATCH_S * NS_PER_S), self._wake, self._process)

    def _wake(self, process: _Process | None) -> None:
        if process is not None and process is self._process:
            process.driver.wake()

    def _make_link(self, epoch: int, driver: Driver[Event, Effect]) -> Link:
        gone = ControllerState(controller=self.name, state=Readiness.LOST, session_epoch=epoch)
        row = TOPICS[TopicName.CONTROLLER_STATE]
        own = topic(TopicName.CONTROLLER_STATE, controller=self.name)
        return Link(
            self.world,
            self._surroundings.network,
            self.host,
            self.clock,
            LinkSettings(
                address=self._surroundings.broker_address,
                client_id=self.name,
                herd_window_s=HERD_WINDOW_S,
                queued_max=QUEUED_MAX,
            ),
            Will(topic=own, payload=json_encode(gone), qos=row.qos, retain=row.retain),
            on_connected=lambda present, _: _post_all(
                driver, BrokerConnected(is_session_present=present), ListeningBegan()
            ),
            on_disconnected=lambda reason: _post_all(driver, ListeningEnded(reason=reason), BrokerLost(reason=reason)),
            on_message=lambda at, payload: driver.post(MessageReceived(topic=at, payload=payload)),
        )

    def _make_time_service(self) -> SimulatedTimeService | None:
        if not self._settings.tells_time:
            return None
        around = self._surroundings
        return SimulatedTimeService(
            self.world,
            around.network,
            self.host,
            self.clock,
            address=around.broker_address,
            config=self.config,
            authority=self._authority,
        )

    def _execute(self, effect: Effect) -> None:
        process = self._process
        if process is None:
            return
        match effect:
            case Publish():
                process.link.publish(effect.topic, effect.payload, effect.qos, effect.retain, effect.expiry_s)
            case Commit():
                process.commits.put(effect)
            case Subscribe(topics=topics):
                process.link.subscribe(topics)
            case OpenRelay():
                self._open_relay(process, effect)
            case CloseRelay(stream=stream) | DelayRelay(stream=stream):
                self._tell_worker(process, stream, effect)
            case Answer(ticket=ticket, result=result):
                self.asked[ticket].answer = result
            case Note():
                self._note(effect)

    def _tell_worker(self, process: _Process, stream: str, effect: CloseRelay | DelayRelay) -> None:
        worker = process.workers.get(stream)
        if worker is not None and isinstance(effect, DelayRelay):
            worker.want_delay(effect.delay_ms)
        elif worker is not None:
            self.world.after(0, process.workers.pop(stream).stop)

    def _open_relay(self, process: _Process, effect: OpenRelay) -> None:
        relay, row = effect.relay, TOPICS[TopicName.AUDIO]
        new_encoder = self._settings.new_encoder
        process.workers[relay.stream] = SimulatedRelayWorker(
            self.world,
            self.clock,
            self.stations,
            config=msgspec.structs.replace(self.config.relay, delay_ms=relay.delay_ms),
            feed=effect.feed,
            stream=relay.stream,
            starts_at_ms=relay.starts_at_ms,
            ends_at_ms=relay.ends_at_ms,
            publish=lambda at, payload: process.link.publish(at, payload, row.qos, row.retain, row.expiry_s),
            on_event=lambda news: self._relay_news(process, relay.stream, news),
            sign=self._surroundings.opener.sign(self._secrets.take_key(relay.stream)),
            tag=self._surroundings.tags.tag(f"stream:{relay.stream}"),
            encode=None if new_encoder is None else new_encoder(self.config.relay.bitrate_bps),
        )

    def _relay_news(self, process: _Process, stream: str, news: RelayEvent) -> None:
        if isinstance(news, RelayEnded):
            process.workers.pop(stream, None)
        if process is self._process:
            process.driver.post(RelayNews(stream=stream, news=news))

    def _note(self, note: Note) -> None:
        self.notes.append((self.world.now_ns, note))
        facts: dict[str, Fact] = {
            name: value if not isinstance(value, float) else str(value) for name, value in note.facts.items()
        }
        self.world.record(self.name, note.what, reason=note.reason, **facts)

    def _import_soon(self, process: _Process) -> None:
        """Take in what the site needs, one file after another."""
        if not process.is_importing:
            process.is_importing = True
            self.world.after(IMPORT_NS, self._import_next, process)

    def _import_next(self, process: _Process) -> None:
        if process is not self._process:
            return
        path = next((each for each in process.desk.site.media_paths if each not in process.imported), None)
        if path is None:
            process.is_importing = False
            return
        process.imported.add(path)
        known = self._media.get(path)
        if known is None:
            process.driver.post(MediaRefused(path=path, reason=f"{path} cannot be read: No such file or directory"))
        else:
            self._surroundings.media_server.publish(known)
            process.driver.post(MediaPrepared(path=path, media=known.reference))
        self.world.after(IMPORT_NS, self._import_next, process)


def _post_all(driver: Driver[Event, Effect], *events: Event) -> None:
    """One connection stands for the two of the real process: it speaks and listens."""
    for event in events:
        driver.post(event)
