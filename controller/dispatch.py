"""The controller's desk: `handle(event, now) -> effects`, `next_deadline()`.

It joins the rooms: what stands (`standing`), plans and assignments (`provision`), emergencies, relays, the fleet and
its reports; each keeps its own rules. Kept here: nothing is published while the broker is away (everything that
stands is published again when it is back); a message from outside that does not fit changes nothing and is
counted; every request is answered once. The runtime feeds events, runs effects and arms the one timer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from controller.configuration.site import MediaShelf, Site, with_changed, with_report_keys
from controller.documents.notary import Notary, Scopes
from controller.documents.provision import Provision
from controller.documents.resigning import Resigning
from controller.documents.standing import Standing
from controller.effects import Answer, Effect, Level, Note, Publish
from controller.enrolment.clones import BoxOf, CloneWatch
from controller.errors import RequestCode, RequestError, SigningError
from controller.events import (
    AuthorityChanged,
    BrokerConnected,
    BrokerLost,
    CommitFailed,
    Committed,
    Event,
    ListeningBegan,
    ListeningEnded,
    MediaPrepared,
    MediaRefused,
    MessageReceived,
    ProgrammesChanged,
    RelayNews,
    ReportKeysChanged,
    RequestReceived,
    SiteChanged,
    Stopping,
)
from controller.ledger import Ledger
from controller.nodes.airing import ReportDesk
from controller.nodes.fleet import Fleet
from controller.nodes.inbox import Inbox, own_state, subscriptions
from controller.orders.emergency import count, is_standing
from controller.orders.emergency_desk import EmergencyDesk
from controller.orders.silence import SilenceDesk
from controller.people.audit import Actor, Deed, act_of
from controller.people.request_audit import on_record
from controller.ports import Fresh
from controller.records import EmergencyRecord, Kept, RelayRecord, SilenceRecord, StoredReport, WithdrawnDocument
from controller.requests import (
    EndEmergency,
    EndSilence,
    RaiseEmergency,
    Request,
    StartRelay,
    StartSilence,
    StartVoice,
    StopRelay,
)
from controller.streams.desk import StreamsDesk
from controller.streams.group_delay import GroupDelays, bounds_of
from controller.views import (
    BrokerView,
    EmergencyView,
    RelayView,
    SilenceView,
    StatusView,
    emergency_view,
    node_view,
    relay_view,
    silence_view,
)
from protocol.enrolment import EnrolmentDocuments
from protocol.envelope import Signer
from protocol.messages import AiringRecord, Plan, Readiness
from protocol.opening import OPENER, Opener
from protocol.topics import TopicName, topic
from protocol.units import MonotonicNs, Now, SharedMs, ns_of_ms

WAKE_MS_MAX: Final = 60_000
"""The longest sleep: a clock that was set meanwhile is noticed after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """What the desk signs with, and what the root allows."""

    keyset: bytes
    scopes: Scopes
    signers: Sequence[Signer]
    root_chain: bytes | None = None
    version: int = 0
    """The keyset's."""
    root_version: int = 1


class Desk:
    """One controller's decisions. `kept` is what the database held when the process began."""

    def __init__(
        self,
        *,
        site: Site,
        authority: Authority,
        kept: Kept,
        fresh: Fresh,
        now: Now,
        opener: Opener = OPENER,
        box_of: BoxOf = lambda _: "",
    ) -> None:
        self._site = site
        self._now = now
        self._epoch = now.shared_ms
        self._broker = BrokerView(is_connected=False, since_ms=now.shared_ms, reason="not connected yet")
        self._shelf = MediaShelf(ready={}, refused={})
        counters = {(used.key_id, used.topic): used.counter for used in kept.counters}
        self._notary = Notary(
            signers=authority.signers, scopes=authority.scopes, parents=site.tree.chain, counters=counters
        )
        self._ledger = Ledger()
        self._standing = Standing(keyset=authority.keyset, documents=kept.documents, root_chain=authority.root_chain)
        self._resigning = Resigning(notary=self._notary, standing=self._standing, ledger=self._ledger)
        self._seen_version = -1
        self._provision = Provision(
            site=site, notary=self._notary, ledger=self._ledger, shelf=self._shelf, standing=self._standing
        )
        self._emergencies = EmergencyDesk(
            site=site,
            notary=self._notary,
            ledger=self._ledger,
            shelf=self._shelf,
            standing=self._standing,
            fresh=fresh,
        )
        self._delays = delays = GroupDelays(bounds_of(site.relay, site.voice))
        self._streams = StreamsDesk(
            site=site, notary=self._notary, ledger=self._ledger, standing=self._standing, fresh=fresh, delays=delays
        )
        self._silences = SilenceDesk(site=site, notary=self._notary, ledger=self._ledger, standing=self._standing)
        self._fleet = Fleet(site=site, ledger=self._ledger)
        self._clones = CloneWatch(site=site, silences=self._silences, ledger=self._ledger, box_of=box_of)
        self._reports = ReportDesk(
            site=site,
            notary=self._notary,
            ledger=self._ledger,
            on_stored=self._report_stored,
            on_fork=self._clones.forked,
            opener=opener,
        )
        self._inbox = Inbox(fleet=self._fleet, reports=self._reports, clones=self._clones, delays=delays)
        self._emergencies.restore(kept.emergencies, kept.emergency_reports, now.shared_ms)
        self._streams.restore(kept.relays)
        self._fleet.restore(kept.nodes)
        self._reports.restore(kept.heads, kept.reports_beyond_heads, now.shared_ms)
        self._due_ms = self._deadline_ms()

    def handle(self, event: Event, now: Now) -> Sequence[Effect]:
        """Take in one event and say what to do about it, in order."""
        self._now = now
        effects = list(self._take(event, now))
        is_quick = isinstance(event, MessageReceived | Committed) and self._standing.version == self._seen_version
        due_ms = self._deadline_ms() if is_quick else now.shared_ms
        if now.shared_ms >= due_ms:
            effects += self._look(now)
            self._seen_version = self._standing.version
            due_ms = self._deadline_ms()
        self._due_ms = due_ms
        if not self._broker.is_connected:
            effects = [each for each in effects if not isinstance(each, Publish)]
        return effects

    def next_deadline(self) -> MonotonicNs | None:
        """When to wake the desk at the latest."""
        at_ms = min(self._due_ms, SharedMs(self._now.shared_ms + WAKE_MS_MAX))
        return self._now.monotonic_at(ns_of_ms(at_ms))

    def status(self, now: Now) -> StatusView:
        """What the page and the API show."""
        site = self._site
        is_heard = self._broker.is_connected and self._fleet.is_listening
        return StatusView(
            controller=site.controller,
            time_zone=site.time_zone,
            now_ms=now.shared_ms,
            broker=self._broker,
            nodes=tuple(
                node_view(
                    site, node, self._fleet.life(node), is_broker_connected=is_heard, clone=self._clones.why(node)
                )
                for node in site.nodes
            ),
            emergencies=tuple(self.emergency_view(record, now) for record, _ in self._emergencies.records),
            relays=tuple(self.relay_view(record) for record in self._streams.records),
            silences=tuple(silence_view(site, record) for record in self._silences.records),
            warnings=tuple(self._provision.warnings.values()),
            strangers=tuple(self._fleet.strangers),
            refused={**self._inbox.refused, **self._reports.refused},
        )

    def emergency_view(self, record: EmergencyRecord, now: Now) -> EmergencyView:
        """One emergency with its nodes by name."""
        answers = next((each for known, each in self._emergencies.records if known.id == record.id), {})
        counted = count(record, answers, now_ms=now.shared_ms)
        return emergency_view(self._site, record, counted, is_standing=is_standing(record))

    def relay_view(self, record: RelayRecord) -> RelayView:
        """One relay."""
        return relay_view(self._site, record, self._delays.view(record.stream, self._now.shared_ms))

    def silence_view(self, record: SilenceRecord) -> SilenceView:
        """One silence."""
        return silence_view(self._site, record)

    @property
    def site(self) -> Site:
        """What the desk works for now."""
        return self._site

    @property
    def shelf(self) -> MediaShelf:
        """What is prepared and what was refused, to be looked at."""
        return self._shelf

    def documents_of(self, node: str) -> EnrolmentDocuments:
        """What stands for a node, for one that has just come and does not want to wait for the broker."""
        assignment = self._standing.sealed(topic(TopicName.ASSIGNMENT, node=node))
        return EnrolmentDocuments(keyset=self._standing.keyset, assignment=assignment.payload if assignment else b"")

    def body(self, sha256: str) -> bytes | None:
        """The body of a standing plan, by its hash."""
        return self._standing.body(sha256)

    def naming(self, sha256: str) -> list[str]:
        """Where documents stand that name a medium."""
        return self._standing.naming(sha256)

    def plan(self, area: str) -> Plan | None:
        """The plan that stands for an area; raises RequestError for an area that is not known."""
        if area not in self._site.tree:
            known = ", ".join(each.id for each in self._site.tree.areas)
            raise RequestError(RequestCode.UNKNOWN_AREA, f"the area {area!r} is not known; known areas: {known}")
        plan = self._standing.document(topic(TopicName.PLAN, area=area))
        return plan if isinstance(plan, Plan) else None

    def _take(self, event: Event, now: Now) -> Sequence[Effect]:
        match event:
            case MessageReceived():
                return self._inbox.take(event, now)
            case Committed(number=number):
                return self._ledger.committed(number, now)
            case CommitFailed(number=number, reason=reason):
                return self._ledger.failed(number, reason, now)
            case RequestReceived(ticket=ticket, request=request, by=by):
                done = self._request(ticket, request, by, now)
                asked_area = self._asked_area(request)
                return on_record(done, request, by=by, ledger=self._ledger, at_ms=now.shared_ms, asked_area=asked_area)
            case RelayNews(stream=stream, news=news):
                return self._streams.news(stream, news, now)
            case AuthorityChanged():
                self._provision.look_soon()
                return self._resigning.authority_changed(event, now)
            case _:
                return self._surroundings(event, now)

    def _surroundings(self, event: Event, now: Now) -> Sequence[Effect]:
        """What changes around the desk: broker, files, configuration, the process itself."""
        match event:
            case BrokerConnected() | BrokerLost():
                return self._broker_changed(event, now)
            case ListeningBegan():
                self._fleet.listening_began(now)
                return [subscriptions()]
            case ListeningEnded(reason=reason):
                return self._fleet.listening_ended(reason, now)
            case MediaPrepared() | MediaRefused():
                return self._media(event)
            case SiteChanged() | ProgrammesChanged():
                return self._site_changed(event, now)
            case ReportKeysChanged(keys=keys):
                self._site = with_report_keys(self._site, keys)
                self._reports.keys_changed(self._site, keys)
                return self._clones.site_changed(self._site, now)
            case Stopping():
                gone = own_state(self._site.controller, Readiness.DISCONNECTED, self._epoch)
                return [*self._fleet.stopping(now), gone]
            case _:
                return ()

    def _look(self, now: Now) -> list[Effect]:
        """Everything that is due by now."""
        connected = self._broker.is_connected
        effects: list[Effect] = []
        if connected:
            expired = self._standing.expired(now.shared_ms)
            effects += [self._standing.withdraw(each) for each in expired]
            if expired:
                effects += self._ledger.commit([WithdrawnDocument(topic=each) for each in expired])
        reachable = self._fleet.reachable if self._emergencies.is_repeating else frozenset()
        effects += self._emergencies.look(now, reachable=reachable)
        effects += self._standing.next_slice(now.shared_ms)
        effects += self._resigning.look(now)
        effects += self._provision.look(now, is_connected=connected)
        effects += self._streams.look(now)
        effects += self._fleet.look(now)
        effects += self._reports.look(now)
        return effects

    def _deadline_ms(self) -> SharedMs:
        now_ms = self._now.shared_ms
        times = [
            self._standing.next_at_ms if self._broker.is_connected else None,
            self._emergencies.next_at_ms,
            self._resigning.next_at_ms,
            self._provision.next_at_ms,
            self._streams.next_at_ms(now_ms),
            self._fleet.next_at_ms,
            self._reports.next_at_ms,
        ]
        return min([each for each in times if each is not None], default=SharedMs(now_ms + WAKE_MS_MAX))

    def _report_stored(self, node: str, report: StoredReport, now: Now) -> Sequence[Effect]:
        effects = self._fleet.told_report(node, report.record, now)
        if isinstance(report.record, AiringRecord):
            effects += self._emergencies.heard(node, report.record, now)
        return effects

    def _asked_area(self, request: Request) -> str:
        match request:
            case RaiseEmergency() | StartRelay() | StartVoice():
                return request.area
            case StartSilence() | EndSilence():
                return self._silences.area_of(request)
            case _:
                return ""

    def _request(self, ticket: int, request: Request, by: Actor | None, now: Now) -> Sequence[Effect]:
        try:
            match request:
                case RaiseEmergency():
                    return self._emergencies.start(request, ticket, now)
                case EndEmergency():
                    return self._emergencies.end(request, ticket, now)
                case StartRelay() | StartVoice():
                    return self._streams.start(request, by, ticket, now)
                case StopRelay():
                    return self._streams.stop(request, ticket, now)
                case StartSilence():
                    return self._silences.start(request, by, ticket, now)
                case EndSilence():
                    return self._silences.end(request, ticket, now)
        except RequestError as error:
            return [Answer(ticket=ticket, result=error)]
        except SigningError as error:
            refusal = RequestError(RequestCode.KEY_MISSING, str(error))
            return [
                Answer(ticket=ticket, result=refusal),
                Note(level=Level.ERROR, what="not_signed", reason=str(error)),
            ]

    def _broker_changed(self, event: BrokerConnected | BrokerLost, now: Now) -> Sequence[Effect]:
        match event:
            case BrokerConnected():
                self._broker = BrokerView(is_connected=True, since_ms=now.shared_ms)
                self._standing.connected(now.shared_ms)
                ready = own_state(self._site.controller, Readiness.READY, self._epoch)
                return [Note(level=Level.INFO, what="broker_connected"), ready]
            case BrokerLost(reason=reason):
                is_news = self._broker.is_connected or self._broker.reason != reason
                since_ms = now.shared_ms if self._broker.is_connected else self._broker.since_ms
                self._broker = BrokerView(is_connected=False, since_ms=since_ms, reason=reason)
                self._standing.disconnected()
                return [Note(level=Level.ERROR, what="broker_away", reason=reason)] if is_news else ()

    def _media(self, event: MediaPrepared | MediaRefused) -> Sequence[Effect]:
        self._provision.media_settled(event.path)
        match event:
            case MediaPrepared(path=path, media=media):
                self._shelf.ready[path] = media
                self._shelf.refused.pop(path, None)
                return [Note(level=Level.INFO, what="media_prepared", reason=path, facts={"sha256": media.sha256})]
            case MediaRefused(path=path, reason=reason):
                self._shelf.refused[path] = reason
                self._shelf.ready.pop(path, None)
                return [Note(level=Level.ERROR, what="media_refused", reason=reason)]

    def _site_changed(self, event: SiteChanged | ProgrammesChanged, now: Now) -> Sequence[Effect]:
        if isinstance(event, ProgrammesChanged):
            self._site, areas = with_changed(self._site, event.programmes, event.bulletins)
            return self._provision.programmes_changed(self._site, areas)
        self._site = site = event.site
        self._notary.set_parents(site.tree.chain)
        for room in (self._provision, self._emergencies, self._streams, self._silences, self._fleet, self._reports):
            room.site_changed(site)
        acts = [] if event.by is None else [act_of(Deed.CONFIGURATION, by=event.by, at_ms=now.shared_ms)]
        kept = self._ledger.commit(acts) if acts else []
        note = Note(level=Level.INFO, what="configuration_read_again")
        return [note, *kept, *self._clones.site_changed(site, now)]
