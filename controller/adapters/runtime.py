"""Runs the controller's desk: feeds it what happens, carries out what it says, keeps the process in one piece.

Database, broker, relay workers and media each answer later with an event; nothing here waits inside an effect.
A broker that is away is an event like any other: the page and the API go on. A bug in the desk ends the process, so
that it is started anew from what is durable, rather than going on in a state that nobody knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Final, TypeVar

from controller.adapters.broker_links import BrokerLinks
from controller.adapters.commit_writer import CommitWriter
from controller.adapters.keys.signing import FreshSecrets
from controller.adapters.preparing import Preparing
from controller.adapters.relay.relay_pool import RelayPool
from controller.adapters.relay.voice_pool import VoicePool
from controller.adapters.relay.voice_worker import VoiceWorker
from controller.configuration.config import Config
from controller.configuration.site import Site, site_of, with_report_keys, with_stored
from controller.dispatch import Authority, Desk
from controller.effects import (
    Answer,
    CloseRelay,
    Commit,
    DelayRelay,
    Effect,
    Level,
    Note,
    OpenRelay,
    OpenVoice,
    Publish,
    Subscribe,
)
from controller.enrolment.clones import BoxOf
from controller.errors import RequestCode, RequestError
from controller.events import (
    AuthorityChanged,
    Event,
    ProgrammesChanged,
    RelayNews,
    ReportKeysChanged,
    RequestReceived,
    SiteChanged,
    Stopping,
    Woken,
)
from controller.media.uses import uses_of
from controller.people.audit import Actor
from controller.ports import AiringQuestion, AiringRow, Database, ImportMedia
from controller.programmes.bulletin import Bulletin
from controller.programmes.programme import Programme
from controller.programmes.sources import source_of_bulletin, sources_of
from controller.requests import Request
from controller.streams.relay import RelayEvent
from controller.views import StatusView
from protocol.adapters.asyncio_loop import LoopDriver
from protocol.adapters.mqtt_link import LinkError
from protocol.adapters.system_clock import read_now
from protocol.enrolment import EnrolmentDocuments
from protocol.topics import TOPICS, TopicName

log = logging.getLogger("controller")

ANSWER_S_MAX: Final = 15.0
"""A request that the database has not let through by then is told so; it may still be carried out."""
REQUESTS_MAX: Final = 64
"""Requests waiting for an answer at one time."""
T = TypeVar("T")
_LOG_LEVELS: Final = {Level.INFO: logging.INFO, Level.WARNING: logging.WARNING, Level.ERROR: logging.ERROR}


class Runtime:
    """One controller process; also the console's view of it."""

    def __init__(self, *, config: Config, authority: Authority, database: Database, import_media: ImportMedia) -> None:
        self._config = config
        self._authority = authority
        self._database = database
        self._secrets = FreshSecrets()
        self._tickets = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self.preparing: Final = Preparing(import_media)
        """Takes in what the site needs to sound."""
        self._programmes: dict[str, Programme] = {}
        self._bulletins: dict[str, Bulletin] = {}
        """Of the database: programmes, and the bulletins that may sound."""
        self._desk: Desk
        self._driver: LoopDriver[Event, Effect]
        self._report_keys: dict[str, str] = {}
        """Of the nodes whose units are enrolled."""
        self.box_of: BoxOf = lambda _: ""
        """The box that a node was enrolled from; whoever keeps the enrolments sets it."""
        self._is_running = False
        self._links: BrokerLinks
        self._relays: RelayPool
        self._voices: VoicePool
        self._writer: CommitWriter

    @property
    def desk(self) -> Desk:
        """The desk, to be looked at."""
        return self._desk

    def status(self) -> StatusView:
        """What the page and the API show."""
        return self._desk.status(read_now())

    async def ask(self, request: Request, *, by: Actor) -> Answer:
        """Put a request before the desk; raises RequestError when it is refused or not answered in time."""
        if len(self._waiting) >= REQUESTS_MAX:
            raise RequestError(RequestCode.TOO_MANY, "too many requests wait for an answer; try again in a second")
        ticket = next(self._tickets)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[ticket] = future
        try:
            self._driver.post(RequestReceived(ticket=ticket, request=request, by=by))
            answer = await asyncio.wait_for(future, ANSWER_S_MAX)
        except TimeoutError as error:
            what = (
                f"the database has not answered for {ANSWER_S_MAX:.0f} s; look at the emergencies before trying again"
            )
            raise RequestError(RequestCode.NOT_STORED, what) from error
        finally:
            self._waiting.pop(ticket, None)
        if isinstance(answer.result, RequestError):
            raise answer.result
        return answer

    async def airings(self, question: AiringQuestion) -> list[AiringRow]:
        """Stored airing records, newest first; raises DatabaseError."""
        return await self._database.airings(question)

    def uses_of(self, sha256: str) -> frozenset[str]:
        """What needs a recording."""
        named = self._desk.naming(sha256)
        return uses_of(sha256, site=self._desk.site, ready=self.preparing.ready, named_at=named)

    def inlet(self, stream: str) -> VoiceWorker:
        """Where the sound of a voice that has just begun goes; raises RequestError."""
        worker = self._voices.inlet(stream)
        if worker is None:
            raise RequestError(RequestCode.NOT_READY, "the voice could not be begun; the controller's log says why")
        return worker

    def reconfigure(self, config: Config) -> None:
        """Follow another configuration in all that needs no new connection or listener."""
        if config.speech != self._config.speech:
            self.preparing.speak_again()
        self._config = config
        self._relays.reconfigure(config.relay)
        self._voices.reconfigure(config.voice)
        site = self._site(config)
        self._driver.post(SiteChanged(site=site, by=Actor(who="system")))
        self.preparing.want(site.sources)

    def programmes_changed(
        self, programmes: Mapping[str, Programme | None], bulletins: Mapping[str, Bulletin | None]
    ) -> None:
        """Some of the database's are otherwise now; before the desk runs, what it begins with."""
        self._programmes = _merged(self._programmes, programmes)
        self._bulletins = _merged(self._bulletins, bulletins)
        if not self._is_running:
            return
        changed = (each for each in programmes.values() if each is not None)
        self.preparing.want(source for each in changed for source in sources_of(each, self._bulletins))
        self.preparing.want(source_of_bulletin(each) for each in bulletins.values() if each is not None)
        self._driver.post(ProgrammesChanged(programmes=dict(programmes), bulletins=dict(bulletins)))

    @property
    def config(self) -> Config:
        """The configuration that is followed."""
        return self._config

    def use_authority(self, authority: Authority) -> None:
        """Sign and publish by another authority from now on."""
        self._authority = authority
        self._driver.post(
            AuthorityChanged(
                version=authority.version,
                root_version=authority.root_version,
                keyset=authority.keyset,
                root_chain=authority.root_chain,
                scopes=authority.scopes,
                signers=tuple(authority.signers),
            )
        )

    def set_report_keys(self, keys: Mapping[str, str]) -> None:
        """Units were enrolled, replaced or revoked; before the desk runs, what it begins with."""
        self._report_keys.update(keys)
        if self._is_running:
            taken = {node.id for node in self._config.nodes if not node.report_key}
            self._driver.post(ReportKeysChanged(keys={node: key for node, key in keys.items() if node in taken}))

    def body_of(self, sha256: str) -> bytes | None:
        """The body of a standing plan."""
        return self._desk.body(sha256)

    def documents_of(self, node: str) -> EnrolmentDocuments:
        """What stands for a node that has just come."""
        return self._desk.documents_of(node)

    def _site(self, config: Config) -> Site:
        """The configuration's site, with enrolment's report keys where it names none itself."""
        taken = {node.id: self._report_keys.get(node.id, "") for node in config.nodes if not node.report_key}
        stored = with_stored(site_of(config), self._programmes.values(), dict(self._bulletins))
        return with_report_keys(stored, taken)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Future[None]]:
        """Work until left; the future fails when the desk does. Raises DatabaseError, ConfigError."""
        now, config = read_now(), self._config
        kept = await self._database.load()
        self._desk = Desk(
            site=self._site(config),
            authority=self._authority,
            kept=kept,
            fresh=self._secrets,
            now=now,
            box_of=lambda node: self.box_of(node),  # noqa: PLW0108 - it is set after this desk is made
        )
        self._driver = LoopDriver(node=self._desk, execute=self._execute, wake_event=Woken())
        self._writer = CommitWriter(self._database, self._driver.post)
        self._links = BrokerLinks(
            controller=config.controller,
            broker=config.broker,
            trust=config.trust,
            epoch=now.shared_ms,
            post=self._driver.post,
        )
        self._relays = RelayPool(
            config=config.relay, secrets=self._secrets, publish=self._publish_audio, on_news=self._relay_news
        )
        self._voices = VoicePool(
            config=config.voice, secrets=self._secrets, publish=self._publish_audio, on_news=self._relay_news
        )
        writer = asyncio.create_task(self._writer.run(), name="commits")
        media = asyncio.create_task(self.preparing.run(self._driver.post), name="media")
        self._links.start()
        self._driver.post(Woken())
        self._is_running = True
        self.preparing.want(self._desk.site.sources)
        self.preparing.want(source_of_bulletin(each) for each in self._bulletins.values())
        try:
            yield self._driver.failure
        finally:
            await self._end(writer, media)

    async def _end(self, *tasks: asyncio.Task[None]) -> None:
        self._driver.post(Stopping())
        await asyncio.gather(self._relays.close_all(), self._voices.close_all())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._writer.finish()
        self._driver.close()
        await asyncio.to_thread(self._links.stop)

    def _execute(self, effect: Effect) -> None:
        match effect:
            case Publish():
                self._publish(effect)
            case Subscribe(topics=topics):
                self._links.subscribe(topics)
            case Commit():
                self._writer.put(effect)
            case OpenRelay() | OpenVoice() | CloseRelay() | DelayRelay():
                self._execute_live(effect)
            case Answer(ticket=ticket):
                future = self._waiting.get(ticket)
                if future is not None and not future.done():
                    future.set_result(effect)
            case Note(level=level, what=what, reason=reason, facts=facts):
                shown = [
                    what,
                    *(f"{name}={value}" for name, value in facts.items()),
                    *([f"({reason})"] if reason else []),
                ]
                log.log(_LOG_LEVELS[level], "%s", " ".join(shown))

    def _execute_live(self, effect: OpenRelay | OpenVoice | CloseRelay | DelayRelay) -> None:
        match effect:
            case OpenRelay():
                self._relays.open(effect)
            case OpenVoice():
                self._voices.open(effect)
            case CloseRelay(stream=stream):
                self._relays.close(stream)
                self._voices.close(stream)
            case DelayRelay(stream=stream, delay_ms=delay_ms):
                self._relays.delay(stream, delay_ms)
                self._voices.delay(stream, delay_ms)

    def _publish(self, effect: Publish) -> None:
        try:
            self._links.publish(effect.topic, effect.payload, effect.qos, effect.retain, effect.expiry_s)
        except LinkError as error:
            log.error("not published: %s", error)  # noqa: TRY400 - the sentence is whole; a traceback says no more

    def _publish_audio(self, at: str, payload: bytes) -> None:
        row = TOPICS[TopicName.AUDIO]
        self._links.publish(at, payload, row.qos, row.retain, row.expiry_s)

    def _relay_news(self, stream: str, news: RelayEvent) -> None:
        self._driver.post(RelayNews(stream=stream, news=news))


def _merged(held: Mapping[str, T], changed: Mapping[str, T | None]) -> dict[str, T]:
    kept = {name: each for name, each in held.items() if name not in changed}
    return kept | {name: each for name, each in changed.items() if each is not None}
