"""Decides which live voices are on the air: who may begin, what is signed for it, when it is over.

    (none) --asked for--> starting --something is said--> on_air
    starting, on_air --hung up | lost | silent | time is up | stopped | worker gone | restart--> ended

The start order goes out when somebody takes the microphone, so that poles listen before the first word; what is said is
the worker's work. Rules kept: in one area one person speaks at a time; who comes with a higher class is let in beside,
and each node decides by the one collision rule; a voice that ended is never begun anew by itself, for nobody would
know that they are on the air again; who spoke where, for how long and why it ended is on record.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from controller.configuration.site import Site
from controller.documents.notary import Notary
from controller.documents.standing import Standing
from controller.effects import Answer, CloseRelay, DelayRelay, Effect, Level, Note, OpenVoice
from controller.errors import RequestCode, RequestError, SigningError
from controller.ledger import Ledger
from controller.people.audit import Actor, Deed, act_of
from controller.ports import Fresh
from controller.records import RelayRecord, RelayState
from controller.requests import StartVoice, StopRelay
from controller.streams.group_delay import GroupDelays, Use
from controller.streams.relay import RelayEnded, RelayTimed
from controller.streams.relay_desk import TRANSITIONS, Trigger
from controller.streams.relay_documents import end_of, start_of, stream_topic
from protocol.messages import VOICE_STALL_MS, StreamStart
from protocol.priority import rank
from protocol.units import Now, SharedMs

SPEAKING_MAX: Final = 8
"""Microphones that one process carries: each costs about 5% of a core."""
REMEMBERED_MAX: Final = 50
TIME_WAS_UP: Final = "its time was up"


class VoiceDesk:
    """Every live voice that is on the air or was lately."""

    def __init__(
        self, *, site: Site, notary: Notary, standing: Standing, ledger: Ledger, fresh: Fresh, delays: GroupDelays
    ) -> None:
        self._site = site
        self._delays = delays
        self._notary = notary
        self._standing = standing
        self._ledger = ledger
        self._fresh = fresh
        self._voices: dict[str, RelayRecord] = {}
        self._interrupted: list[RelayRecord] = []

    def restore(self, records: Iterable[RelayRecord]) -> None:
        """Who spoke when the last process stopped is no longer heard."""
        for record in records:
            self._voices[record.stream] = record
            if record.wanted_delay_ms:
                self._delays.restore(record.area, Use.LIVE, record.wanted_delay_ms)
            if record.state is not RelayState.ENDED:
                self._interrupted.append(record)

    def site_changed(self, site: Site) -> None:
        """The configuration was read again."""
        self._site = site

    def __contains__(self, stream: object) -> bool:
        return stream in self._voices

    @property
    def records(self) -> list[RelayRecord]:
        """All, the latest first."""
        return sorted(self._voices.values(), key=lambda voice: voice.starts_at_ms, reverse=True)

    @property
    def running(self) -> list[RelayRecord]:
        """Those that have not ended."""
        return [voice for voice in self._voices.values() if voice.state is not RelayState.ENDED]

    @property
    def next_at_ms(self) -> SharedMs | None:
        """When a voice's time is up or it may come nearer, or now if one must be ended after a restart."""
        if self._interrupted:
            return SharedMs(0)
        times = [SharedMs(voice.ends_at_ms) for voice in self.running]
        near_at_ms = self._delays.near_at_ms
        return min(times if near_at_ms is None else [*times, near_at_ms], default=None)

    def start(self, request: StartVoice, by: Actor | None, ticket: int, now: Now) -> list[Effect]:
        """Let somebody speak to an area; raises RequestError, or SigningError when no key may sign it."""
        self._refuse_unfit(request)
        minutes_max = self._site.voice.minutes_max
        timing = self._site.emergency
        begins_ms = now.shared_ms + (timing.lead_ms + timing.warm_up_ms if request.chime else 0)
        wanted = RelayRecord(
            stream=self._fresh.stream_id(),
            area=request.area,
            feed="",
            title=request.title,
            broadcast_class=request.broadcast_class,
            reality=request.reality,
            state=RelayState.STARTING,
            starts_at_ms=begins_ms,
            ends_at_ms=now.shared_ms + min(request.minutes, minutes_max) * 60_000,
            speaker="?" if by is None else by.who,
            chime_ms=self._site.announcement.chime_ms if request.chime else 0,
            over=request.over,
            delay_ms=self._delays.wanted_ms(request.area, Use.LIVE),
        )
        public_key = self._fresh.stream_key(wanted.stream)
        document = self._notary.sign(
            stream_topic(wanted), lambda counter: self._start_of(wanted, public_key, counter, now), now.shared_ms
        )
        self._voices[wanted.stream] = wanted
        self._forget_old()

        def go(later: Now) -> list[Effect]:
            if self._voices[wanted.stream].state is RelayState.ENDED:
                return []
            note = Note(level=Level.INFO, what="voice_opened", reason=wanted.title, facts=_facts(wanted))
            put = self._standing.put(document, later.shared_ms)
            self._delays.begun(wanted.stream, wanted.area, Use.LIVE, self._site.nodes_below(wanted.area))
            return [put, OpenVoice(voice=wanted), Answer(ticket=ticket, result=wanted), note]

        def refuse(reason: str, _later: Now) -> list[Effect]:
            self._voices[wanted.stream] = msgspec.structs.replace(wanted, state=RelayState.ENDED, reason=reason[:200])
            return [Answer(ticket=ticket, result=RequestError(RequestCode.NOT_STORED, f"not started: {reason}"))]

        return self._ledger.commit([document, wanted], then=go, otherwise=refuse)

    def stop(self, request: StopRelay, ticket: int, now: Now) -> list[Effect]:
        """Take the microphone from somebody; raises RequestError."""
        voice = self._voices[request.stream]
        if voice.state is RelayState.ENDED:
            raise RequestError(RequestCode.ALREADY_OVER, f"the voice {voice.stream} has ended: {voice.reason}")
        effects = self._end(voice, now, reason="stopped by request", stopped=True)
        return [*effects, Answer(ticket=ticket, result=self._voices[voice.stream])]

    def flows(self, stream: str) -> list[Effect]:
        """The first word is on its way."""
        voice = self._voices[stream]
        if voice.state is not RelayState.STARTING:
            return []
        moved = msgspec.structs.replace(voice, state=TRANSITIONS[voice.state, Trigger.FLOWS])
        self._voices[stream] = moved
        note = Note(level=Level.INFO, what="voice_on_air", reason=voice.title, facts=_facts(voice))
        return [note, *self._ledger.commit([moved])]

    def timed(self, stream: str, news: RelayTimed, now: Now) -> list[Effect]:
        """The worker says which epoch it has begun, or that it has settled; so what poles report is understood."""
        settled_ms = now.shared_ms if news.is_settled else None
        self._delays.epoch_begun(stream, news.epoch, news.delay_ms, settled_ms=settled_ms)
        return []

    def worker_ended(self, stream: str, news: RelayEnded, now: Now) -> list[Effect]:
        """The speaker hung up, was lost, or said nothing."""
        voice = self._voices[stream]
        if voice.state is RelayState.ENDED:
            return []
        return self._end(voice, now, reason=news.reason, heard_until_ms=news.heard_until_ms)

    def look(self, now: Now) -> list[Effect]:
        """What is due by now."""
        effects: list[Effect] = []
        interrupted, self._interrupted = self._interrupted, []
        for voice in interrupted:
            effects += self._end(voice, now, reason="the controller was started again")
        for voice in self.running:
            if now.shared_ms >= voice.ends_at_ms:
                effects += self._end(voice, now, reason=TIME_WAS_UP)
        for stream, delay_ms in self._delays.nearer(now.shared_ms):
            facts: dict[str, str | int | float] = {"stream": stream, "delay_ms": delay_ms}
            effects += [
                Note(level=Level.INFO, what="voice_delayed", facts=facts),
                DelayRelay(stream=stream, delay_ms=delay_ms),
            ]
        return effects

    def _refuse_unfit(self, request: StartVoice) -> None:
        site = self._site
        if request.area not in site.tree:
            known = ", ".join(area.id for area in site.tree.areas)
            what = f"the area {request.area!r} is not known; known areas: {known}"
            raise RequestError(RequestCode.UNKNOWN_AREA, what)
        own = rank(request.broadcast_class, 0, 0, "", reality=request.reality)[:2]
        for voice in self.running:
            if voice.area == request.area and rank(voice.broadcast_class, 0, 0, "", reality=voice.reality)[:2] <= own:
                where = f"{voice.speaker} speaks in {site.tree.title(voice.area)} ({voice.title})"
                raise RequestError(RequestCode.CONFLICT, f"{where}; wait, or stop the stream {voice.stream}")
        if len(self.running) >= SPEAKING_MAX:
            raise RequestError(RequestCode.TOO_MANY, f"{len(self.running)} people speak already; wait for one to end")

    def _start_of(self, voice: RelayRecord, public_key: bytes, counter: int, now: Now) -> StreamStart:
        start = start_of(voice, self._site, public_key, counter, now)
        return msgspec.structs.replace(start, stall_ms_max=VOICE_STALL_MS)

    def _end(
        self,
        voice: RelayRecord,
        now: Now,
        *,
        reason: str,
        heard_until_ms: int = 0,
        stopped: bool = False,
    ) -> list[Effect]:
        """The worker stops at once; the end is published even where it cannot be kept."""
        tail_ms = self._tail_ms(voice, now, heard_until_ms, stopped=stopped)
        ended = msgspec.structs.replace(
            voice,
            state=TRANSITIONS[voice.state, Trigger.OVER],
            reason=reason[:200],
            stopped=stopped,
            wanted_delay_ms=self._delays.wanted_ms(voice.area, Use.LIVE),
            ends_at_ms=min(voice.ends_at_ms, now.shared_ms + tail_ms),
        )
        self._voices[voice.stream] = ended
        self._delays.ended(voice.stream)
        note = Note(level=Level.INFO, what="voice_ended", reason=reason, facts=_facts(voice))
        effects: list[Effect] = [CloseRelay(stream=voice.stream), note]
        lasted_s = max(0, now.shared_ms - voice.starts_at_ms) / 1000
        said = "spoke" if voice.state is RelayState.ON_AIR else "said nothing"
        act = act_of(
            Deed.VOICE_END,
            by=Actor(who=voice.speaker),
            at_ms=now.shared_ms,
            place=voice.area,
            detail=f"{voice.stream} {voice.title}: {said}, {lasted_s:.0f} s; {reason}",
        )
        try:
            document = self._notary.sign(
                stream_topic(ended), lambda counter: end_of(ended, self._site, counter, now), now.shared_ms
            )
        except SigningError as error:
            lost = Note(level=Level.ERROR, what="voice_end_not_signed", reason=str(error))
            return [*effects, lost, *self._ledger.commit([ended, act])]

        def say(later: Now) -> list[Effect]:
            return [self._standing.put(document, later.shared_ms)]

        def say_unkept(why: str, later: Now) -> list[Effect]:
            return [*say(later), Note(level=Level.ERROR, what="voice_end_not_stored", reason=why)]

        return [*effects, *self._ledger.commit([document, ended, act], then=say, otherwise=say_unkept)]

    def _tail_ms(self, voice: RelayRecord, now: Now, heard_until_ms: int, *, stopped: bool) -> int:
        """The last words are still on their way when a speaker hangs up; whoever is stopped falls silent at once."""
        settings = self._site.voice
        is_cut = stopped or voice.state is not RelayState.ON_AIR
        content_in_ms = voice.starts_at_ms + voice.chime_ms - now.shared_ms
        still_ms = heard_until_ms - now.shared_ms
        return 0 if is_cut else max(voice.delay_ms, settings.lead_in_ms, content_in_ms, still_ms)

    def _forget_old(self) -> None:
        ended = [voice for voice in self._voices.values() if voice.state is RelayState.ENDED]
        ended.sort(key=lambda voice: voice.ends_at_ms)
        for voice in ended[: max(0, len(ended) - REMEMBERED_MAX)]:
            del self._voices[voice.stream]


def _facts(voice: RelayRecord) -> dict[str, str | int | float]:
    return {"stream": voice.stream, "area": voice.area, "speaker": voice.speaker}
