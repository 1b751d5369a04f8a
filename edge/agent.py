"""The pole's agent: `handle(event, now) -> effects` and `next_deadline()`, the whole node without a world.

Composes the rooms and carries what one of them found to those that must know: documents, streams and media
into candidates, candidates into the studio, records and faults into the outbox, all of it into the status. Each
decision is made in its own room; here is only what follows from what.

Rules kept:
- pure: the time comes in, effects go out; what a port answers comes back as an event;
- `_settle` makes everything follow from what is true now, so no event is forgotten; reports alone may do without;
- while the shared time is unknown nothing sounds but a real emergency that the broker hands out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from edge import events as happened
from edge.assignment import nowhere
from edge.clock.watch import ClockWatch, before_slewing, earliest
from edge.condition import Rooms
from edge.documents.documents import Documents, Outcome
from edge.documents.refusals import Refusals
from edge.effects import DiscardMedia, Effect, LogDecision, LogLevel, SpreadReconnects
from edge.errors import MediaFailure
from edge.events import Event
from edge.gpio.amplifier import AmplifierSettings
from edge.gpio.faults import Fault
from edge.gpio.inputs import StopButtonSettings
from edge.guard import Guard
from edge.hardware import Hardware
from edge.health import Health
from edge.media_need import MediaNeed
from edge.outbox import Outbox
from edge.player.arbiter import Reason
from edge.player.ports import Frames
from edge.player.proof import Hear, deaf
from edge.ports import Workshop
from edge.proof.desk import ProofDesk
from edge.proof.self_test import SelfTest
from edge.repertoire import Repertoire
from edge.silence.hush import Hush
from edge.streams import OpenPacket
from edge.studio import Outcome as StudioOutcome
from edge.studio import Studio
from edge.subscriptions import Subscriptions
from edge.telemetry import NO_MACHINE, Machine, StatusReporter, TelemetrySettings, make_state
from edge.voices import Voices
from protocol.envelope import Signer
from protocol.errors import Refusal
from protocol.keyring import Keyring, RootKeys
from protocol.messages import Acknowledgement, Assignment, HeardBy, Keyset, Readiness, Root, Silence
from protocol.opening import OPENER, Opener
from protocol.stream import unpack_audio
from protocol.topics import TopicName, parse_topic
from protocol.units import MonotonicNs, Now, SharedNs

SETTLE_ROUNDS_MAX: Final = 3
"""A damaged file makes something else due; that several are damaged at once may wait for the next event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """What an agent is made from. `session_epoch` is that of the will that the broker holds."""

    node: str
    root: RootKeys
    version: str
    session_epoch: int
    amplifier: AmplifierSettings
    telemetry: TelemetrySettings
    button: StopButtonSettings = field(default_factory=StopButtonSettings)
    machine: Machine = NO_MACHINE
    sensors: tuple[HeardBy, ...] = ()


class Agent:
    """One node."""

    def __init__(
        self,
        *,
        settings: AgentSettings,
        signer: Signer,
        workshop: Workshop,
        open_packet: OpenPacket = unpack_audio,
        opener: Opener = OPENER,
        hear: Hear = deaf,
    ) -> None:
        node = settings.node
        self.media: Final = MediaNeed(node=node)
        self.outbox: Final = Outbox(node=node, signer=signer)
        self._settings = settings
        self._guard = Guard(place=nowhere(node), root=settings.root, opener=opener, box=settings.machine.box)
        self._documents = Documents(self._guard, opener)
        self._repertoire = Repertoire(
            guard=self._guard, documents=self._documents, workshop=workshop, open_packet=open_packet
        )
        self._health = Health(outbox=self.outbox, media=self.media)
        self._studio = Studio(
            guard=self._guard,
            voices=Voices(workshop=workshop, stream_source=self._repertoire.streams.source),
            settings=settings.amplifier,
            lacks=self.media.lacks,
            hear=hear,
        )
        hardware = Hardware(studio=self._studio, health=self._health)
        birth = make_state(node, Readiness.INIT, settings.session_epoch, settings.version, settings.machine)
        self._reporter = StatusReporter(birth=birth, settings=settings.telemetry)
        self._hush = Hush(
            settings=settings.button,
            silences=self._guard.silences,
            health=self._health,
            standing=self._repertoire.standing_emergencies,
        )
        self._rooms = Rooms(
            birth=birth,
            guard=self._guard,
            health=self._health,
            media=self.media,
            outbox=self.outbox,
            repertoire=self._repertoire,
            studio=self._studio,
        )
        self._proof = ProofDesk(
            outbox=self.outbox,
            health=self._health,
            guard=self._guard,
            self_test=SelfTest(node=node, sensors=settings.sensors),
            is_busy=self._is_busy,
            expect=self._studio.expect,
        )
        self._subscriptions = Subscriptions()
        self._clock_watch = ClockWatch()
        self._refusals = Refusals(count=self._guard.count)
        self._measured: happened.Measured | None = None
        self._is_stale = True
        self._is_stopped = False
        self._must_hush = False
        self._was_time_known = False
        self._deadline: MonotonicNs | None = None
        self._handlers: Final = self._table(hardware)

    @property
    def sizes(self) -> dict[str, int]:
        """How much is remembered, by name, for whoever watches that nothing grows."""
        return {
            "documents": len(self._documents.in_force),
            "reports": self.outbox.waiting,
            "voices": self._studio.voices_open,
        }

    @property
    def amplifier_state(self) -> str:
        """Off, warming, on or holding."""
        return self._studio.amplifier.state.value

    @property
    def keyring(self) -> Keyring:
        """The keys in force."""
        return self._guard.keyring

    def render(self, frames: int, at_ns: SharedNs) -> Frames:
        """What the sound card plays (int16[frames, 1]), of which the first frame is heard at `at_ns`."""
        return self._studio.render(frames, at_ns)

    def next_deadline(self) -> MonotonicNs | None:
        """When to send Wake at the latest."""
        return None if self._is_stopped else earliest(self._deadline, self.outbox.next_deadline())

    def handle(self, event: Event, now: Now) -> list[Effect]:
        """Take in one event and say what to do about it, in order."""
        if self._is_stopped:
            return self.outbox.stored(event.number, now) if isinstance(event, happened.ReportStored) else []
        if isinstance(event, happened.StopRequested):
            return self._stop(now)
        if isinstance(event, happened.Measured):
            self._measured = event  # for the next status; nothing follows from it
            return []
        if isinstance(event, happened.MessageReceived):
            effects = self._message(event, now)
            if self._must_hush:
                self._must_hush = False
                return [*self._settle(now), *effects]  # the amplifier first, then the disk
            if not effects:
                return []
        else:
            effects = self._handlers[type(event)](event, now)
        is_for_outbox = self.outbox.alone_is_told(event) and self._is_well(now)
        return [*effects, *(self.outbox.wake(now) if is_for_outbox else self._settle(now))]

    def _table(self, hardware: Hardware) -> dict[type[Event], Callable[[Any, Now], list[Effect]]]:
        """Who takes in which event."""
        return {
            happened.Booted: self._booted,
            happened.Connected: self._connected,
            happened.Disconnected: self._disconnected,
            happened.DocumentStored: self._stored,
            happened.ReportStored: self._stored,
            happened.DocumentStoreFailed: self._not_stored,
            happened.ReportStoreFailed: self._not_stored,
            happened.MediaFetched: self._media,
            happened.MediaFailed: self._media,
            happened.BodyFetched: self._body,
            happened.Flooded: self._refusals.flooded,
            happened.CardStarted: hardware.told,
            happened.CardFailed: hardware.told,
            happened.AmplifierFailed: hardware.told,
            happened.ButtonFound: self._hush.told,
            happened.ButtonMoved: self._hush.told,
            happened.ButtonFailed: self._hush.told,
            happened.SelfTestAsked: self._proof.told,
            happened.SelfTestMeasured: self._proof.told,
            happened.Wake: lambda *_: [],
        }

    def _stored(self, event: happened.DocumentStored | happened.ReportStored, now: Now) -> list[Effect]:
        effects = self._health.cleared(Fault.STORE, now)
        if isinstance(event, happened.ReportStored):
            return effects + self.outbox.stored(event.number, now)
        return effects + self._follow(self._documents.stored(event, now), now)

    def _not_stored(self, event: happened.DocumentStoreFailed | happened.ReportStoreFailed, now: Now) -> list[Effect]:
        effects = self._health.fault(Fault.STORE, event.detail, now)
        if isinstance(event, happened.ReportStoreFailed):
            return [*effects, *self.outbox.store_failed(event.number, now)]
        return effects + self._follow(self._documents.store_failed(event, now), now)

    def _message(self, event: happened.MessageReceived, now: Now) -> list[Effect]:
        """Empty when nothing follows from the message, as from most audio packets."""
        try:
            parsed = parse_topic(event.topic)
            if parsed.name is TopicName.AUDIO:
                can_sound = self._repertoire.streams.receive(parsed.fields["stream"], event.topic, event.payload, now)
                return [_log("stream arrives", stream=parsed.fields["stream"])] if can_sound else []
            return self._follow(self._documents.receive(event.topic, event.payload, now), now)
        except Refusal as refusal:
            self._clock_watch.refused(refusal.reason)
            return [*self._refusals.told(event.topic, refusal, now)]

    def _follow(self, outcome: Outcome, now: Now) -> list[Effect]:
        effects = list(outcome.effects)
        self._is_stale = self._is_stale or outcome.needs_body
        for document in outcome.came:
            self._is_stale = self._is_stale or not isinstance(document, Acknowledgement)
            match document:
                case Acknowledgement():
                    effects += self.outbox.acknowledged(document.stored_number, document.loose, now)
                case Silence():
                    self._must_hush = True
                case Root() | Keyset():
                    self._subscriptions.refresh()
                case Assignment():
                    self._subscriptions.refresh()
                    effects.append(SpreadReconnects(herd_window_s=document.herd_window_s))
        return effects

    def _booted(self, event: happened.Booted, now: Now) -> list[Effect]:
        restored = event.restored
        self.media.restore(restored)
        self._proof.restore(restored, now)
        self._was_time_known = now.is_time_known
        version, reports, media = self._settings.version, len(restored.reports), len(restored.media)
        effects = [_log("booted", version=version, reports=reports, media=media), *self._guard.house.restore(restored)]
        effects += self._follow(self._documents.restore(restored.documents, restored.counters, now), now)
        if restored.damage:
            effects += self._health.fault(Fault.STORE_DAMAGED, restored.damage, now)
        if restored.was_cut_off:
            effects += self._health.cut_off(restored.last_number, now)
        return effects

    def _connected(self, event: happened.Connected, now: Now) -> list[Effect]:
        if event.session_present:
            self._subscriptions.refresh()
        self._reporter.connected(now)
        self.media.hurry()
        return [_log("connected", incarnation=event.incarnation), *self.outbox.connected(now)]

    def _disconnected(self, event: happened.Disconnected, now: Now) -> list[Effect]:
        self._reporter.disconnected()
        self.outbox.disconnected()
        log = _log("disconnected", LogLevel.WARNING, reason=event.reason)
        return [log, *self._health.disconnected(event.reason, now)]

    def _media(self, event: happened.MediaFetched | happened.MediaFailed, now: Now) -> list[Effect]:
        self._is_stale = True
        if isinstance(event, happened.MediaFetched):
            self.media.fetched(event)
            return [_log("media fetched", sha256=event.sha256, evicted=len(event.evicted))]
        self.media.failed(event, now)
        level = LogLevel.DEBUG if event.reason is MediaFailure.PARTLY else LogLevel.WARNING
        return [_log("media not fetched", level, sha256=event.sha256, reason=event.reason.value, detail=event.detail)]

    def _body(self, event: happened.BodyFetched, now: Now) -> list[Effect]:
        self._is_stale = True
        self.media.body_fetched(event)
        return self._follow(self._documents.body_fetched(event, now), now)

    def _stop(self, now: Now) -> list[Effect]:
        self._is_stopped = True
        silent = self._studio.fall_silent(Reason.SHUT_DOWN, now)
        effects = [*self._studio.switch_off(now), *silent.effects, *self._proof.keep(silent.records, now)]
        return [*effects, *self._reporter.birth(Readiness.DISCONNECTED), _log("stopped")]

    def _settle(self, now: Now) -> list[Effect]:
        """Make everything follow from what is true now."""
        effects = self._notice_clock(now)
        effects += self._follow(self._documents.wake(now), now)
        effects += self._renew(now)
        self._hush.settle(now)
        effects += self._play(now)
        effects += self._proof.settle(self._repertoire.program.planned, now)
        effects += self._hush.tell(now)
        effects += self.media.next_fetch(now)
        effects += self.outbox.wake(now)
        free_bytes = None if self._measured is None else self._measured.disk_free_bytes
        effects += self._health.watch(self._studio.amplifier, free_bytes, now)
        until_ms, is_assigned = self._repertoire.program.until_ms, self._guard.place.is_assigned
        effects += self._health.watch_plans(until_ms, now, is_assigned=is_assigned)
        effects += self._subscriptions.update(
            place=self._guard.place,
            has_keyset=self._guard.has_keyset,
            audio_topics=self._repertoire.streams.audio_topics(),
        )
        effects += self._show(now)
        self._deadline = self._next_deadline(now)
        return effects

    def _renew(self, now: Now) -> list[Effect]:
        purged = self._documents.purge(now)
        self._repertoire.renew_streams(now.shared_ms)
        if self._is_stale:
            self._is_stale = False
            self.media.require(*self._repertoire.renew_program(now.shared_ms), self._guard.place)
        return list(purged)

    def _play(self, now: Now) -> list[Effect]:
        """Settle the air; again if a file turned out to be damaged, for then something else is due."""
        effects: list[Effect] = []
        gone = self._repertoire.why_gone if now.is_time_known else lambda _: Reason.CLOCK_UNKNOWN
        for _ in range(SETTLE_ROUNDS_MAX):
            candidates = (*self._repertoire.candidates(now, self._studio.horizon_ms), *self._proof.candidates())
            outcome = self._studio.settle(candidates, now, gone=gone)
            effects += self._keep(outcome, now)
            if not outcome.damaged:
                break
        return effects

    def _is_well(self, now: Now) -> bool:
        """Whether nothing is due and nothing wrong: what tells the outbox alone then changes nothing else."""
        is_due = self._deadline is not None and now.monotonic_ns >= self._deadline
        return not is_due and now.is_time_known and self._was_time_known and not self._health.faults.active

    def _is_busy(self, now: Now, ahead_ms: int) -> bool:
        return self._studio.on_air is not None or bool(self._repertoire.candidates(now, ahead_ms))

    def _show(self, now: Now) -> list[Effect]:
        is_ready = self._guard.has_keyset and self._guard.place.is_assigned
        on_air = self._studio.on_air
        shown = (on_air, self._health.faults.active, self._studio.amplifier.is_powered)
        births = self._reporter.birth(Readiness.READY if is_ready else Readiness.INIT)
        telemetry = partial(self._rooms.telemetry, self._measured, now)
        return [*births, *self._reporter.status(shown, telemetry, now, is_on_air=on_air is not None)]

    def _keep(self, outcome: StudioOutcome, now: Now) -> list[Effect]:
        effects = [*outcome.effects, *self._proof.keep(outcome.records, now)]
        for sha256, detail in outcome.damaged:
            self.media.damaged(sha256, now)
            effects.append(DiscardMedia(sha256=sha256))
            effects.append(_log("media damaged", LogLevel.ERROR, sha256=sha256, detail=detail))
        return effects

    def _notice_clock(self, now: Now) -> list[Effect]:
        """What was restored or refused while the clock was wrong is judged when it is right."""
        if self._clock_watch.look(now):
            self._is_stale = True
            if self._clock_watch.take_refused():
                self._subscriptions.refresh()
        has_come = now.is_time_known and not self._was_time_known
        self._was_time_known = now.is_time_known
        return self._follow(self._documents.judge_parked(now), now) if has_come else []

    def _next_deadline(self, now: Now) -> MonotonicNs | None:
        """When others than the outbox have something due, earlier if far. That a clock was set the rim notices."""
        return earliest(
            self.media.next_deadline(),
            self._documents.next_deadline(),
            self._reporter.next_deadline(),
            self._hush.next_deadline(),
            self._proof.next_deadline(now),
            self._health.next_deadline(),
            before_slewing(self._studio.next_deadline(now), now),
            before_slewing(self._repertoire.next_deadline(now, self._studio.horizon_ms), now),
        )


def _log(decision: str, level: LogLevel = LogLevel.INFO, **fields: str | float | bool) -> LogDecision:
    return LogDecision(decision=decision, fields=tuple(fields.items()), level=level)
