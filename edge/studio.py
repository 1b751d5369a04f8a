"""The studio: turns the arbiter's decisions into voices, amplifier power, card and records.

Composes arbiter, amplifier, playout and proof; each of them decides its own subject. It leaves to the agent
what could sound at all, and to the card when samples are asked for (`render`).

Rules kept:
- a grant is made `LEAD_MS` ahead, so that a planned item begins on its exact sample on a warm amplifier;
- the amplifier is demanded only for a granted session, and samples are zero until it is warm;
- where silence is ordered the amplifier goes off with the last session, without its hold;
- whoever is granted late joins in step, once the amplifier is warm; behind a chime the content is whole all the same;
- while a live voice has the air or comes to it, little is rendered ahead; whatever else sounds, the usual lead is kept;
- how one sound follows another stands in one table (`player.switching`); both sides of a change are told ahead, for
  the same instant of the grid;
- a card that does not run for `CARD_PATIENCE_MS` ends the sessions and so releases the amplifier; it stays
  wanted, and when it comes back what is due then joins in step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from edge.effects import Effect, LogDecision, LogLevel, PowerAmplifier, ReachAhead, StartCard, StopCard
from edge.errors import ClipError
from edge.gpio.amplifier import Amplifier, AmplifierSettings
from edge.guard import Guard
from edge.player.arbiter import Arbiter, Reason, Session, SessionEvent, SessionState
from edge.player.playout import Playout
from edge.player.ports import Frames
from edge.player.proof import Hear, Proof, deaf
from edge.player.switching import Switch, between
from edge.player.voice import VoiceStatistics
from edge.voices import Voices
from protocol.candidate import Candidate, order
from protocol.messages import AiringRecord, HeardBy
from protocol.slots import Slot, follower, predecessor, slots_of
from protocol.units import (
    NS_PER_MS,
    NS_PER_S,
    SAMPLE_RATE_HZ,
    MonotonicNs,
    Now,
    SharedMs,
    SharedNs,
)

CARD_LEAD_MS: Final = 1_500
"""How long before its first sample a session is granted: PortAudio opens a card in 0.1 to 1 s on a Raspberry Pi."""
POWER_SLACK_MS: Final = 50
"""The amplifier is demanded this much before its warm-up must begin, so that a late timer costs no sample."""
STOP_AHEAD_MS: Final = 400
"""A known end is told to the playout this much ahead: more than is ever rendered ahead of the card."""
CARD_PATIENCE_MS: Final = 3_000
"""How long an amplifier may be powered for a card that does not run."""


@dataclass(slots=True)
class Outcome:
    """What followed from one settling: effects to run, records to keep, each with the planned item that it settles."""

    effects: list[Effect] = field(default_factory=list)
    records: list[tuple[AiringRecord, tuple[str, SharedMs] | None]] = field(default_factory=list)
    damaged: list[tuple[str, str]] = field(default_factory=list)


class Studio:
    """The air of one node. `lacks` says why a file is not on the disk, `hear` what the pole's ears heard."""

    def __init__(
        self,
        *,
        guard: Guard,
        voices: Voices,
        settings: AmplifierSettings,
        lacks: Callable[[str], Reason | None],
        hear: Hear = deaf,
    ) -> None:
        self.amplifier = Amplifier(settings)
        self.playout: Playout = voices.playout
        self.card_path = ""
        self._guard = guard
        self._voices = voices
        self._settings = settings
        self.horizon_ms: Final = max(CARD_LEAD_MS, settings.warm_up_ms + POWER_SLACK_MS) + STOP_AHEAD_MS
        """How far ahead candidates must be given to `settle`."""
        self._lacks = lacks
        self._arbiter = Arbiter()
        self._proof = Proof(has_media=lambda sha256: lacks(sha256) is None, hear=hear)
        self._is_card_wanted = False
        self._is_card_running = False
        self._is_card_near = False
        self._card_waits_since: MonotonicNs | None = None
        self._change_ms: SharedMs | None = None

    def expect(self, near_ms: Mapping[HeardBy, float]) -> None:
        """Take for heard only what comes as late as at installation."""
        self._proof.near_ms = near_ms

    @property
    def on_air(self) -> tuple[Candidate, SharedMs] | None:
        """What sounds now, and since when; of speech and the bed below it the speech."""
        sounding = [each.slot.candidate for each in self._arbiter.sessions if each.state is SessionState.ON_AIR]
        candidate = min(sounding, key=order, default=None)
        since_ms = None if candidate is None else self._proof.since_ms(candidate)
        return None if candidate is None or since_ms is None else (candidate, since_ms)

    @property
    def heard(self) -> VoiceStatistics:
        """What has come of all voices since the process began."""
        return self._voices.heard

    @property
    def voices_open(self) -> int:
        """How many voices hold a source."""
        return len(self._voices)

    def render(self, frames: int, at_ns: SharedNs) -> Frames:
        """The next frames for the card (int16[frames, 1]); zeros until the amplifier is warm."""
        rendered = self.playout.render(frames, at_ns)
        warm_ns = self.amplifier.sound_from
        if warm_ns is None:
            rendered[:] = 0
        elif at_ns < warm_ns:
            rendered[: (warm_ns - at_ns) * SAMPLE_RATE_HZ // NS_PER_S + 1] = 0
        return rendered

    def card_started(self, path: str) -> None:
        """The card runs."""
        self._is_card_running, self._card_waits_since, self.card_path = True, None, path

    def card_failed(self, now: Now) -> None:
        """The card does not run; its adapter goes on trying while it is wanted."""
        self._is_card_running = False
        if self._card_waits_since is None:
            self._card_waits_since = now.monotonic_ns

    def next_deadline(self, now: Now) -> MonotonicNs | None:
        """When `settle` must be called at the latest."""
        waits = [self.amplifier.next_deadline(), self._guard.house.next_deadline()]
        if self._change_ms is not None:
            waits.append(now.monotonic_at(SharedNs(self._change_ms * NS_PER_MS)))
        if self._card_waits_since is not None:
            waits.append(MonotonicNs(self._card_waits_since + CARD_PATIENCE_MS * NS_PER_MS))
        return min([wait for wait in waits if wait is not None and wait > now.monotonic_ns], default=None)

    def settle(self, candidates: Sequence[Candidate], now: Now, *, gone: Callable[[Candidate], Reason]) -> Outcome:
        """Make what sounds follow from what is due now."""
        outcome = Outcome()
        now_ms = now.shared_ms
        self._guard.house.notice(now)
        rules_change_ms = self._guard.house.next_change_ms(candidates, now_ms)
        changes_ms = () if rules_change_ms is None else (rules_change_ms,)
        if not candidates and self._is_idle:
            for record in self._proof.overdue(now):
                self._record(outcome, record)
            self._change_ms = self._next_change_ms(candidates, changes_ms, now_ms)
            return outcome
        wanted = slots_of(
            candidates,
            blocked=self._content_blocked,
            now_ms=now_ms,
            horizon_ms=self.horizon_ms,
            changes_ms=changes_ms,
        )
        if wanted:
            self._open_card(outcome, now, is_near=any(each.candidate.is_voice for each in wanted))
        slots = () if self._hardware_blocked(now) else wanted
        decision = self._arbiter.decide(
            slots, candidates, blocked=lambda each, at_ms: self._blocked(each, at_ms, now), gone=gone, now_ms=now_ms
        )
        left = [session.slot for session, _ in decision.ended if self._voices.is_heard(session.key, now_ms)]
        comes = next((each.candidate for each in slots if self._comes_now(each, now_ms)), None)
        for session, reason in decision.ended:
            self._end(outcome, session, reason, now, comes=comes)
        owner = next((each for each in slots if each.from_ms <= now_ms < each.until_ms and not each.bed), None)
        for candidate, reason in decision.denied:
            lost_to = owner.candidate.source_id if owner is not None and reason is Reason.PRE_EMPTED else ""
            self._record(outcome, self._proof.denied(candidate, reason, now, lost_to=lost_to))
        for record in self._proof.overdue(now):
            self._record(outcome, record)
        self._power(outcome, now)
        if not wanted:
            self._close_card(outcome)
        for session in self._arbiter.sessions:
            self._advance(outcome, session, slots, left, now)
        self._voices.close_ended(is_rendering=self._is_card_running)
        outcome.effects += self._guard.house.heard(self._sounding(), now)
        self._change_ms = self._next_change_ms(candidates, changes_ms, now_ms)
        return outcome

    def fall_silent(self, reason: Reason, now: Now) -> Outcome:
        """End everything at once: the process ends, or the amplifier's pin is lost."""
        outcome = Outcome()
        for session, why in self._arbiter.end_all(reason):
            self._end(outcome, session, why, now)
        outcome.effects += self._guard.house.heard((), now)
        return outcome

    def switch_off(self, now: Now) -> tuple[Effect, ...]:
        """Power and card off for good, whatever state they are in."""
        self.amplifier.fail(now)
        return (PowerAmplifier(on=False), StopCard())

    def _sounding(self) -> list[tuple[Candidate, SharedMs]]:
        """What is on air, speech and the bed below it, each since when."""
        on_air = [each.slot.candidate for each in self._arbiter.sessions if each.state is SessionState.ON_AIR]
        since = [(candidate, self._proof.since_ms(candidate)) for candidate in on_air]
        return [(candidate, since_ms) for candidate, since_ms in since if since_ms is not None]

    @property
    def _is_idle(self) -> bool:
        """Whether nothing sounds, is about to, or has just ceased: as a pole is for most of its life."""
        amplifier = self.amplifier
        is_off = not (self._is_card_wanted or amplifier.is_powered or amplifier.is_blocked)
        return is_off and not self._arbiter.has_sessions and not len(self._voices)

    def _blocked(self, candidate: Candidate, at_ms: SharedMs, now: Now) -> Reason | None:
        return self._content_blocked(candidate, at_ms) or self._hardware_blocked(now)

    def _content_blocked(self, candidate: Candidate, at_ms: SharedMs) -> Reason | None:
        forbidden = self._guard.blocks(candidate, at_ms)
        if forbidden is not None:
            return forbidden
        if candidate.is_planned_relay:
            return Reason.NO_STREAM
        return None if candidate.media is None else self._lacks(candidate.media.sha256)

    def _hardware_blocked(self, now: Now) -> Reason | None:
        if self.amplifier.is_blocked:
            return Reason.AMPLIFIER_FAILED
        since = self._card_waits_since
        if since is not None and now.monotonic_ns - since >= CARD_PATIENCE_MS * NS_PER_MS:
            return Reason.CARD_FAILED
        return None

    def _open_card(self, outcome: Outcome, now: Now, *, is_near: bool) -> None:
        """Have the card run, near while somebody speaks live, for what is rendered cannot wait for a word."""
        if not self._is_card_wanted:
            self._is_card_wanted = True
            self._card_waits_since = now.monotonic_ns
            outcome.effects.append(StartCard(is_near=is_near))
        elif is_near is not self._is_card_near:
            outcome.effects.append(ReachAhead(is_near=is_near))
        self._is_card_near = is_near

    def _close_card(self, outcome: Outcome) -> None:
        """Once the amplifier has no power: in the same turn, for nothing else may happen until the next item."""
        if self._is_card_wanted and not self.amplifier.is_powered:
            self._is_card_wanted = self._is_card_running = False
            self._card_waits_since = None
            outcome.effects.append(StopCard())

    def _power(self, outcome: Outcome, now: Now) -> None:
        ahead_ms = self._settings.warm_up_ms + POWER_SLACK_MS
        demanding = [each for each in self._arbiter.sessions if each.slot.from_ms - ahead_ms <= now.shared_ms]
        is_cut = not demanding and self._guard.silences.is_silencing and self.amplifier.cut(now)
        if self.amplifier.update(is_demanded=bool(demanding), now=now) or is_cut:
            is_on = self.amplifier.is_powered
            outcome.effects.append(PowerAmplifier(on=is_on))
            outcome.effects.append(LogDecision(decision="amplifier", fields=(("powered", is_on),)))
        if self.amplifier.is_powered:
            for session in demanding:
                session.move(SessionEvent.DEMANDED)

    def _comes_now(self, slot: Slot, now_ms: SharedMs) -> bool:
        """Whether a slot has the air from now on, and had it not before."""
        return slot.from_ms <= now_ms and not self._voices.is_heard(slot.candidate.key, now_ms)

    def _advance(
        self, outcome: Outcome, session: Session, slots: Sequence[Slot], left: Sequence[Slot], now: Now
    ) -> None:
        """Give a session its voice, tell a known end, and note when its sound begins."""
        slot = session.slot
        candidate = slot.candidate
        try:
            begins_ms = self._voices.ensure(
                slot,
                sound_from=self.amplifier.sound_from,
                gain_db=self._guard.gain_db(candidate, max(slot.from_ms, now.shared_ms)),
                in_ms=self._entrance(slot, slots, left, now.shared_ms).in_ms,
                now=now,
            )
        except ClipError as error:
            if candidate.media is not None:
                outcome.damaged.append((candidate.media.sha256, str(error)))
            return
        self._keep_loudness(session, now.shared_ms)
        failure = self._voices.failure(session.key)
        if failure is not None and candidate.media is not None:
            outcome.damaged.append((candidate.media.sha256, failure))
        if slot.until_ms - now.shared_ms <= STOP_AHEAD_MS:
            comes = follower(slot, slots)
            self._voices.leave_at(session.key, slot.until_ms, between(candidate, comes, slot.until_ms), comes)
        is_begun = session.state is SessionState.WARMING and self._is_card_running and now.shared_ms >= begins_ms
        if is_begun and session.move(SessionEvent.AIRED):
            self._begin(outcome, candidate, begins_ms, now)

    def _keep_loudness(self, session: Session, now_ms: SharedMs) -> None:
        """Tell a change of what a voice may be, ahead if a volume cap makes it, at once if a new assignment does."""
        candidate, at_ms = session.slot.candidate, SharedMs(max(now_ms, session.slot.from_ms))
        change_ms = self._guard.house.next_volume_change_ms(at_ms)
        if change_ms is not None and change_ms - now_ms <= STOP_AHEAD_MS:
            at_ms = change_ms
        self._voices.change_gain(session.key, self._guard.gain_db(candidate, at_ms), from_ms=at_ms)

    @staticmethod
    def _entrance(slot: Slot, slots: Sequence[Slot], left: Sequence[Slot], now_ms: SharedMs) -> Switch:
        """How a slot begins after what it follows, which may have left the air just now."""
        leaving = predecessor(slot, slots)
        if leaving is None and slot.from_ms <= now_ms and left and not slot.bed:
            leaving = left[0].candidate
        return between(leaving, slot.candidate, slot.from_ms)

    def _end(
        self, outcome: Outcome, session: Session, reason: Reason, now: Now, *, comes: Candidate | None = None
    ) -> None:
        begun_ms = self._voices.begun_ms(session.key)
        candidate = session.slot.candidate
        out_ms = between(candidate, comes, now.shared_ms).out_ms
        statistics = self._voices.stop(session.key, now_ms=now.shared_ms, out_ms=out_ms)
        is_warm = self.amplifier.sound_from is not None
        if begun_ms is not None and is_warm and self._proof.since_ms(candidate) is None:
            # the card holds its first samples, which nobody can take back: it will be heard, if briefly
            self._begin(outcome, candidate, begun_ms, now)
        lost_to = comes.source_id if comes is not None and reason is Reason.PRE_EMPTED else ""
        breaks = self.playout.reanchors
        self._record(outcome, self._proof.ended(candidate, reason, statistics, now, lost_to=lost_to, breaks=breaks))

    def _begin(self, outcome: Outcome, candidate: Candidate, begins_ms: SharedMs, now: Now) -> None:
        gain_db, breaks = self._guard.gain_db(candidate, begins_ms), self.playout.reanchors
        self._record(outcome, self._proof.started(candidate, begins_ms, now, gain_db=gain_db, breaks=breaks))

    def _record(self, outcome: Outcome, record: AiringRecord | None) -> None:
        if record is None:
            return
        outcome.records.append((record, self._proof.take_judged(record)))
        level = LogLevel.INFO if record.reason != Reason.CARD_FAILED else LogLevel.WARNING
        fields: tuple[tuple[str, str | int | float | bool], ...] = (
            ("airing", record.airing),
            ("title", record.title),
            ("class", record.broadcast_class.value),
            ("reason", record.reason),
            ("audible_ms", record.audible_ms),
        )
        outcome.effects.append(LogDecision(decision=f"airing {record.state.value}", fields=fields, level=level))

    def _next_change_ms(
        self, candidates: Sequence[Candidate], changes_ms: tuple[SharedMs, ...], now_ms: SharedMs
    ) -> SharedMs | None:
        ahead_ms = self._settings.warm_up_ms + POWER_SLACK_MS
        horizon_ms = self.horizon_ms
        instants: list[int] = [*changes_ms]
        for candidate in candidates:
            starts_ms, ends_ms = candidate.starts_at_ms, candidate.ends_at_ms
            instants += [starts_ms, starts_ms - ahead_ms, ends_ms, ends_ms - STOP_AHEAD_MS]
            instants += [starts_ms - horizon_ms, starts_ms - STOP_AHEAD_MS]
        instants += [change - STOP_AHEAD_MS for change in changes_ms]
        instants += [begins_ms for begins_ms in self._voices.begins_ms() if begins_ms > now_ms]
        overdue_ms = self._proof.next_change_ms()
        if overdue_ms is not None:
            instants.append(overdue_ms)
        change_ms = min([instant for instant in instants if instant > now_ms], default=None)
        return None if change_ms is None else SharedMs(change_ms)
