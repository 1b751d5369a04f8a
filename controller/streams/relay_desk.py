"""Decides which relays run: those of the plans, a little ahead of time, and those that somebody asked for.

    (none) --opened--> starting --sound flows--> on_air
    starting, on_air --alarm--> troubled --recovered--> on_air
    starting, on_air, troubled --time is up | stopped | worker gone | restart--> ended

One relay has one stream id and one key; a relay that has to begin anew (its worker or the controller died) ends
the old stream and takes a new one. A planned relay that was stopped by hand stays stopped for that occurrence. What
is heard where two relays meet in one area is each node's decision. Pulling the feed is the relay worker's work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from controller.configuration.site import Site
from controller.documents.notary import Notary
from controller.documents.standing import Standing
from controller.effects import Answer, CloseRelay, DelayRelay, Effect, Level, Note, OpenRelay
from controller.errors import RequestCode, RequestError, SigningError
from controller.ledger import Ledger
from controller.ports import Fresh
from controller.records import RelayRecord, RelayState, StandingDocument
from controller.requests import StartRelay, StopRelay
from controller.streams.group_delay import GroupDelays, Use, bounds_of
from controller.streams.relay import RelayTimed
from controller.streams.relay_documents import end_of, start_of, stream_topic
from protocol.messages import BroadcastClass, Occurrence
from protocol.topics import TopicName, parse_topic
from protocol.units import Now, SharedMs

PREPARE_MS: Final = 10_000
"""How long before its start a planned relay's feed is pulled: time to try each of its URLs."""
REOPEN_MS: Final = (1_000, 2_000, 5_000, 10_000, 30_000)
"""Waits before a relay whose worker ended by itself is opened anew; the last one repeats."""
RUNNING_MAX: Final = 32
"""Relays that one process carries; each costs about 2% of a core."""
REMEMBERED_MAX: Final = 50
LEFT_MS_MIN: Final = 1_000
"""A relay with less time left is not begun."""
TIME_WAS_UP: Final = "its time was up"


class Trigger(StrEnum):
    """What moves a relay on."""

    FLOWS = "flows"
    ALARM = "alarm"
    OVER = "over"


TRANSITIONS: Final[Mapping[tuple[RelayState, Trigger], RelayState]] = {
    (RelayState.STARTING, Trigger.FLOWS): RelayState.ON_AIR,
    (RelayState.STARTING, Trigger.ALARM): RelayState.TROUBLED,
    (RelayState.STARTING, Trigger.OVER): RelayState.ENDED,
    (RelayState.ON_AIR, Trigger.FLOWS): RelayState.ON_AIR,
    (RelayState.ON_AIR, Trigger.ALARM): RelayState.TROUBLED,
    (RelayState.ON_AIR, Trigger.OVER): RelayState.ENDED,
    (RelayState.TROUBLED, Trigger.FLOWS): RelayState.ON_AIR,
    (RelayState.TROUBLED, Trigger.ALARM): RelayState.TROUBLED,
    (RelayState.TROUBLED, Trigger.OVER): RelayState.ENDED,
}


class RelayDesk:
    """Every relay that runs or ran lately."""

    def __init__(
        self, *, site: Site, notary: Notary, standing: Standing, ledger: Ledger, fresh: Fresh, delays: GroupDelays
    ) -> None:
        self._site = site
        self._delays = delays
        self._notary = notary
        self._standing = standing
        self._ledger = ledger
        self._fresh = fresh
        self._relays: dict[str, RelayRecord] = {}
        self._reopen: dict[str, tuple[SharedMs, RelayRecord]] = {}
        self._failures: dict[tuple[str, str], int] = {}
        self._interrupted: list[RelayRecord] = []
        self._planned_at_version = -1
        self._planned_feeds: list[tuple[str, Occurrence]] = []

    def restore(self, records: Iterable[RelayRecord]) -> None:
        """What ran when the last process stopped is ended and begun anew at the next look."""
        for record in sorted(records, key=lambda each: each.starts_at_ms):
            self._relays[record.stream] = record
            self._delays.restore(record.area, Use.RELAY, record.wanted_delay_ms)
            if record.state is not RelayState.ENDED:
                self._interrupted.append(record)

    def site_changed(self, site: Site) -> None:
        """The configuration was read again."""
        self._site = site
        self._delays.rebound(bounds_of(site.relay, site.voice))

    @property
    def records(self) -> list[RelayRecord]:
        """All, the latest first."""
        return sorted(self._relays.values(), key=lambda relay: relay.starts_at_ms, reverse=True)

    @property
    def running(self) -> list[RelayRecord]:
        """Those that have not ended."""
        return [relay for relay in self._relays.values() if relay.state is not RelayState.ENDED]

    def next_at_ms(self, now_ms: SharedMs) -> SharedMs | None:
        """When something is due: an end, a beginning, a new attempt."""
        times = [SharedMs(relay.ends_at_ms) for relay in self.running] if self._relays else []
        times += [at_ms for at_ms, _ in self._reopen.values()]
        if self._delays.next_at_ms is not None:
            times.append(self._delays.next_at_ms)
        planned = self._planned()
        known = self._known_occurrences() if planned else set()
        for _, occurrence in planned:
            if occurrence.id not in known and self._is_ahead(occurrence, now_ms):
                times.append(SharedMs(occurrence.start_at_ms - PREPARE_MS))
        return min(times) if times else None

    def start(self, request: StartRelay, ticket: int, now: Now) -> list[Effect]:
        """Relay a feed now; raises RequestError, or SigningError when no key may sign it."""
        site = self._site
        if request.area not in site.tree:
            known = ", ".join(area.id for area in site.tree.areas)
            what = f"the area {request.area!r} is not known; known areas: {known}"
            raise RequestError(RequestCode.UNKNOWN_AREA, what)
        if request.feed not in site.feeds:
            known = ", ".join(site.feeds) or "none; add one under feeds"
            what = f"the feed {request.feed!r} is not known; known feeds: {known}"
            raise RequestError(RequestCode.UNKNOWN_FEED, what)
        if request.broadcast_class is BroadcastClass.EMERGENCY:
            raise RequestError(RequestCode.BAD_REQUEST, "a relay is routine or priority; raise an emergency instead")
        for relay in self.running:
            if (relay.area, relay.feed, relay.occurrence) == (request.area, request.feed, None):
                return [Answer(ticket=ticket, result=relay, is_new=False)]
        if len(self.running) >= RUNNING_MAX:
            raise RequestError(RequestCode.TOO_MANY, f"{len(self.running)} relays run already; stop one first")
        for stream, (_, waiting) in list(self._reopen.items()):
            if (waiting.area, waiting.feed, waiting.occurrence) == (request.area, request.feed, None):
                del self._reopen[stream]  # begun by hand now, not a second time by itself
        wanted = RelayRecord(
            stream="",
            area=request.area,
            feed=request.feed,
            title=site.feeds[request.feed].title,
            broadcast_class=request.broadcast_class,
            state=RelayState.STARTING,
            starts_at_ms=now.shared_ms,
            ends_at_ms=now.shared_ms + request.minutes * 60_000,
            chime_ms=site.announcement.chime_ms if request.chime else 0,
            over=request.over,
        )
        return self._open(wanted, now, ticket=ticket)

    def stop(self, request: StopRelay, ticket: int, now: Now) -> list[Effect]:
        """End a relay before its time, or give up one that waits to be begun anew; raises RequestError."""
        relay = self._relays.get(request.stream)
        if relay is None:
            running = ", ".join(f"{each.stream} ({each.title}, {each.area})" for each in self.running) or "none"
            raise RequestError(
                RequestCode.UNKNOWN_STREAM, f"the stream {request.stream!r} is not known; running now: {running}"
            )
        if relay.state is RelayState.ENDED:
            if self._reopen.pop(relay.stream, None) is None:
                raise RequestError(RequestCode.ALREADY_OVER, f"the relay {relay.stream} has ended: {relay.reason}")
            given_up = msgspec.structs.replace(relay, reason="stopped by request", stopped=True)
            self._relays[relay.stream] = given_up
            return [*self._ledger.commit([given_up]), Answer(ticket=ticket, result=given_up)]
        effects = self._end(relay, now, reason="stopped by request", stopped=True)
        return [*effects, Answer(ticket=ticket, result=self._relays[relay.stream])]

    def flows(self, stream: str) -> list[Effect]:
        """A worker says that sound flows, for the first time or again."""
        relay = self._relays.get(stream)
        if relay is None or relay.state is RelayState.ENDED:
            return []
        self._failures.pop((relay.area, relay.feed), None)
        return self._moved(relay, Trigger.FLOWS, "", Level.INFO)

    def timed(self, stream: str, news: RelayTimed) -> list[Effect]:
        """A worker says which epoch it has begun, and with which delay."""
        self._delays.epoch_begun(stream, news.epoch, news.delay_ms)
        relay = self._relays.get(stream)
        if relay is None or relay.delay_ms == news.delay_ms:
            return []
        self._relays[stream] = timed = msgspec.structs.replace(relay, delay_ms=news.delay_ms)
        facts: dict[str, str | int | float] = {"stream": stream, "delay_ms": news.delay_ms}
        return [Note(level=Level.INFO, what="relay_delayed", facts=facts), *self._ledger.commit([timed])]

    def alarm(self, stream: str, reason: str) -> list[Effect]:
        """A worker says what is wrong with its feed; it goes on trying."""
        relay = self._relays.get(stream)
        if relay is None or relay.state is RelayState.ENDED:
            return []
        return self._moved(relay, Trigger.ALARM, reason, Level.WARNING)

    def worker_ended(self, stream: str, reason: str, now: Now) -> list[Effect]:
        """A worker is gone; where its relay should still run, it is begun anew after a wait that grows."""
        relay = self._relays.get(stream)
        if relay is None or relay.state is RelayState.ENDED:
            return []
        if now.shared_ms + LEFT_MS_MIN >= relay.ends_at_ms:
            return self._end(relay, now, reason=TIME_WAS_UP)
        attempt = self._failures.get((relay.area, relay.feed), 0)
        self._failures[relay.area, relay.feed] = attempt + 1
        wait_ms = REOPEN_MS[min(attempt, len(REOPEN_MS) - 1)]
        self._reopen[stream] = SharedMs(now.shared_ms + wait_ms), relay
        return self._end(relay, now, reason=f"the worker ended: {reason}"[:200])

    def look(self, now: Now) -> list[Effect]:
        """What is due by now."""
        effects: list[Effect] = []
        interrupted, self._interrupted = self._interrupted, []
        for relay in interrupted:
            effects += self._end(relay, now, reason="the controller was started again")
            if relay.occurrence is None:
                effects += self._begin(relay, now)
        for relay in self.running:
            if now.shared_ms >= relay.ends_at_ms:
                effects += self._end(relay, now, reason=TIME_WAS_UP)
            elif relay.occurrence is not None and not self._is_still_planned(relay):
                effects += self._end(relay, now, reason="the programme was changed")
        for stream, (at_ms, relay) in list(self._reopen.items()):
            if now.shared_ms >= at_ms:
                del self._reopen[stream]
                if relay.occurrence is None or self._is_still_planned(relay):
                    effects += self._begin(relay, now)
        return effects + self._begin_planned(now) + self._follow_delays(now)

    def _follow_delays(self, now: Now) -> list[Effect]:
        """Tell running relays what delay their group would have, and keep it for the next one."""
        effects: list[Effect] = []
        for stream, delay_ms in self._delays.look(now.shared_ms):
            relay = self._relays.get(stream)
            if relay is None or relay.state is RelayState.ENDED:
                continue
            self._relays[stream] = told = msgspec.structs.replace(relay, wanted_delay_ms=delay_ms)
            facts: dict[str, str | int | float] = {"stream": stream, "area": relay.area, "delay_ms": delay_ms}
            effects.append(Note(level=Level.INFO, what="delay_wanted", facts=facts))
            effects += [DelayRelay(stream=stream, delay_ms=delay_ms), *self._ledger.commit([told])]
        return effects

    def _begin_planned(self, now: Now) -> list[Effect]:
        effects: list[Effect] = []
        planned = self._planned()
        known = self._known_occurrences() if planned else set()
        for area, occurrence in planned:
            end_ms = _ends_ms(occurrence)
            if occurrence.id in known or not occurrence.start_at_ms - PREPARE_MS <= now.shared_ms < end_ms:
                continue
            wanted = RelayRecord(
                stream="",
                area=area,
                feed=occurrence.feed or "",
                title=occurrence.title,
                broadcast_class=occurrence.broadcast_class,
                state=RelayState.STARTING,
                starts_at_ms=occurrence.start_at_ms,
                ends_at_ms=end_ms,
                occurrence=occurrence.id,
                chime_ms=occurrence.chime_ms,
                over=occurrence.over,
                before_upper=occurrence.before_upper,
            )
            effects += self._begin(wanted, now)
        return effects

    def _begin(self, wanted: RelayRecord, now: Now) -> list[Effect]:
        """Open without somebody who waits for an answer."""
        if now.shared_ms + LEFT_MS_MIN >= wanted.ends_at_ms or wanted.feed not in self._site.feeds:
            return []
        if wanted.area not in self._site.tree or len(self.running) >= RUNNING_MAX:
            return [Note(level=Level.ERROR, what="relay_not_begun", reason=f"{wanted.title} in {wanted.area}")]
        try:
            return self._open(wanted, now, ticket=None)
        except SigningError as error:
            self._reopen[self._fresh.stream_id()] = SharedMs(now.shared_ms + REOPEN_MS[-1]), wanted
            return [Note(level=Level.ERROR, what="relay_not_begun", reason=str(error))]

    def _open(self, wanted: RelayRecord, now: Now, *, ticket: int | None) -> list[Effect]:
        stream = self._fresh.stream_id()
        starts_at_ms = max(wanted.starts_at_ms, now.shared_ms)
        delay_ms = self._delays.wanted_ms(wanted.area, Use.RELAY)
        relay = msgspec.structs.replace(
            wanted,
            stream=stream,
            state=RelayState.STARTING,
            starts_at_ms=starts_at_ms,
            delay_ms=delay_ms,
            wanted_delay_ms=delay_ms,
            reason="",
            stopped=False,
            chime_ms=wanted.chime_ms if starts_at_ms == wanted.starts_at_ms else 0,  # what goes on was announced before
        )
        public_key = self._fresh.stream_key(stream)
        document = self._notary.sign(
            stream_topic(relay), lambda counter: start_of(relay, self._site, public_key, counter, now), now.shared_ms
        )
        self._relays[stream] = relay
        self._forget_old()
        feed = self._site.feeds[relay.feed]

        def go(later: Now) -> list[Effect]:
            kept = self._relays.get(stream)  # none: it ended before it was stored, and is forgotten since
            answer: list[Effect] = [] if ticket is None else [Answer(ticket=ticket, result=kept or relay)]
            if kept is None or kept.state is RelayState.ENDED:
                return answer
            self._delays.begun(stream, relay.area, Use.RELAY, self._site.nodes_below(relay.area))
            note = Note(level=Level.INFO, what="relay_opened", reason=relay.title, facts={"stream": stream})
            return [self._standing.put(document, later.shared_ms), OpenRelay(relay=relay, feed=feed), *answer, note]

        def refuse(reason: str, later: Now) -> list[Effect]:
            gone = msgspec.structs.replace(relay, state=RelayState.ENDED, reason=reason[:200])
            self._relays[stream] = gone
            if ticket is None:
                self._reopen[stream] = SharedMs(later.shared_ms + REOPEN_MS[-1]), wanted
                return [Note(level=Level.ERROR, what="relay_not_stored", reason=reason)]
            return [Answer(ticket=ticket, result=RequestError(RequestCode.NOT_STORED, f"not started: {reason}"))]

        return self._ledger.commit([document, relay], then=go, otherwise=refuse)

    def _end(self, relay: RelayRecord, now: Now, *, reason: str, stopped: bool = False) -> list[Effect]:
        """The worker stops at once; the end is published even where it cannot be kept."""
        after = TRANSITIONS[relay.state, Trigger.OVER]
        ended = msgspec.structs.replace(
            relay, state=after, reason=reason, stopped=stopped, ends_at_ms=min(relay.ends_at_ms, now.shared_ms)
        )
        self._relays[relay.stream] = ended
        self._delays.ended(relay.stream)
        effects: list[Effect] = [CloseRelay(stream=relay.stream)]
        effects.append(Note(level=Level.INFO, what="relay_ended", reason=reason, facts={"stream": relay.stream}))
        try:
            document: StandingDocument = self._notary.sign(
                stream_topic(ended), lambda counter: end_of(ended, self._site, counter, now), now.shared_ms
            )
        except SigningError as error:
            return [*effects, Note(level=Level.ERROR, what="relay_end_not_signed", reason=str(error))]

        def say(later: Now) -> list[Effect]:
            return [self._standing.put(document, later.shared_ms)]

        def say_unkept(why: str, later: Now) -> list[Effect]:
            return [*say(later), Note(level=Level.ERROR, what="relay_end_not_stored", reason=why)]

        return [*effects, *self._ledger.commit([document, ended], then=say, otherwise=say_unkept)]

    def _moved(self, relay: RelayRecord, trigger: Trigger, reason: str, level: Level) -> list[Effect]:
        moved = msgspec.structs.replace(relay, state=TRANSITIONS[relay.state, trigger], reason=reason[:200])
        if moved == relay:
            return []
        self._relays[relay.stream] = moved
        note = Note(level=level, what=f"relay_{moved.state.value}", reason=reason, facts={"stream": relay.stream})
        return [note, *self._ledger.commit([moved])]

    def _planned(self) -> list[tuple[str, Occurrence]]:
        """Area and occurrence of every planned relay, read from the standing plans when they have changed."""
        if self._planned_at_version != self._standing.version:
            self._planned_at_version = self._standing.version
            self._planned_feeds = [
                (parse_topic(topic_).fields["area"], each)
                for topic_ in self._standing.topics_of(TopicName.PLAN)
                for each in self._standing.planned_feeds(topic_)
            ]
        return self._planned_feeds

    def _is_still_planned(self, relay: RelayRecord) -> bool:
        return any(
            (area, each.id, each.feed) == (relay.area, relay.occurrence, relay.feed) for area, each in self._planned()
        )

    def _known_occurrences(self) -> set[str]:
        """Occurrences that run, will be tried again, or were stopped by hand."""
        waiting = {relay.occurrence for _, relay in self._reopen.values()}
        known = {relay.occurrence for relay in self.running} | waiting
        known |= {relay.occurrence for relay in self._relays.values() if relay.stopped}
        return {occurrence for occurrence in known if occurrence is not None}

    @staticmethod
    def _is_ahead(occurrence: Occurrence, now_ms: SharedMs) -> bool:
        return _ends_ms(occurrence) > now_ms + LEFT_MS_MIN

    def _forget_old(self) -> None:
        ended = [relay for relay in self._relays.values() if relay.state is RelayState.ENDED]
        ended.sort(key=lambda relay: relay.ends_at_ms)
        for relay in ended[: max(0, len(ended) - REMEMBERED_MAX)]:
            del self._relays[relay.stream]


def _ends_ms(occurrence: Occurrence) -> int:
    """When a planned relay is over: at the end of its time, or where its item expires."""
    ends_ms = occurrence.start_at_ms + occurrence.duration_ms
    return ends_ms if occurrence.valid_until_ms is None else min(ends_ms, occurrence.valid_until_ms)
