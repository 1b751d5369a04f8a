"""Raises, repeats and ends emergencies and drills.

Rules kept here: a second press for the same area and clip returns the one that stands. A drill never touches a
real emergency that stands above, in or below its area. Whatever is published is durable first; where the
database cannot keep it, a warning still goes out and a loud note says that it is not on record, for a full disk is no
reason to be silent in a flood. The identical bytes are repeated each second until every node that can be reached
has answered, or REPEAT_MS is over; then the retained one stands. The same for the all-clear.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from controller.configuration.site import MediaShelf, Site
from controller.documents.notary import CLOCK_TOLERANCE_MS, Notary
from controller.documents.standing import Standing, publication
from controller.effects import Answer, Effect, Level, Note
from controller.errors import RequestCode, RequestError
from controller.ledger import Ledger
from controller.orders.emergency import (
    NodeAnswer,
    Trigger,
    all_clear_of,
    count,
    document_of,
    is_standing,
    step,
    with_report,
)
from controller.ports import Fresh
from controller.records import Change, CounterUsed, EmergencyRecord, EmergencyState, StandingDocument, StoredReport
from controller.requests import EndEmergency, RaiseEmergency
from protocol.messages import AiringRecord, AiringState, MediaReference, Reality, SourceKind
from protocol.topics import TopicName, topic
from protocol.turns import Turns, shift_ms
from protocol.units import Now, SharedMs

REPEAT_EVERY_MS: Final = 1_000
REPEAT_MS: Final = 30_000
"""How long the identical bytes are repeated at most."""
STANDING_MAX: Final = 64
"""More at one time is a mistake of a program, not a disaster."""
REMEMBERED_MAX: Final = 50
"""Ended emergencies that are still shown and counted."""


@dataclass(slots=True)
class _Case:
    record: EmergencyRecord
    answers: Mapping[str, NodeAnswer] = field(default_factory=dict)
    repeat_at_ms: SharedMs | None = None
    repeat_until_ms: int = 0


class EmergencyDesk:
    """Every emergency that stands or stood lately."""

    def __init__(
        self, *, site: Site, shelf: MediaShelf, notary: Notary, standing: Standing, ledger: Ledger, fresh: Fresh
    ) -> None:
        self._site = site
        self._shelf = shelf
        self._notary = notary
        self._standing = standing
        self._ledger = ledger
        self._fresh = fresh
        self._cases: dict[str, _Case] = {}

    def restore(self, records: Iterable[EmergencyRecord], reports: Iterable[StoredReport], now_ms: SharedMs) -> None:
        """Go on where the last process stopped: those that stand are repeated for a while again."""
        for record in records:
            case = _Case(record)
            if is_standing(record):
                case.repeat_at_ms, case.repeat_until_ms = now_ms, now_ms + REPEAT_MS
            self._cases[record.id] = case
        for report in reports:
            case_ = self._case_of(report.record)
            if case_ and isinstance(report.record, AiringRecord):
                case_.answers = with_report(case_.answers, report.node, report.record)

    def site_changed(self, site: Site) -> None:
        """The configuration was read again; what stands goes on as it was raised."""
        self._site = site

    @property
    def records(self) -> list[tuple[EmergencyRecord, Mapping[str, NodeAnswer]]]:
        """All, the latest first, with what nodes have answered."""
        cases = sorted(self._cases.values(), key=lambda case: case.record.raised_at_ms, reverse=True)
        return [(case.record, case.answers) for case in cases]

    @property
    def is_repeating(self) -> bool:
        """Whether anything is still being repeated, for which `look` must know who can be reached."""
        return any(case.repeat_at_ms is not None for case in self._cases.values())

    @property
    def next_at_ms(self) -> SharedMs | None:
        """When something is due: a repetition, or the end of one's time."""
        if not self._cases:
            return None
        times = [case.repeat_at_ms for case in self._cases.values() if case.repeat_at_ms is not None]
        times += [SharedMs(case.record.sounds_until_ms) for case in self._cases.values() if is_standing(case.record)]
        return min(times) if times else None

    def start(self, request: RaiseEmergency, ticket: int, now: Now) -> list[Effect]:
        """Raise one; raises RequestError, or SigningError when no key may sign it."""
        clip = self._clip_for(request)
        chime_ms = self._chime_ms_for(request)
        turns = self._turns_for(request, chime_ms + clip.duration_ms)
        same = self._overlapping(request)
        asked = (request.clip, request.reality, turns)
        if same is not None and (same.record.clip_id, same.record.reality, same.record.turns) == asked:
            return [Answer(ticket=ticket, result=same.record, is_new=False)]
        record = self._new_record(request, clip, turns, chime_ms, now)
        changes: list[Change] = []
        before: list[StandingDocument] = []
        replaced = None
        if same is not None:
            reason = f"replaced by {record.title}"
            replaced = step(same.record, Trigger.REPLACE, now_ms=now.shared_ms, reason=reason)
            before.append(self._sign_all_clear(replaced, now))
            changes += [replaced, _counter_of(before[0])]
        document = self._notary.sign(
            topic(TopicName.EMERGENCY, area=record.area),
            lambda counter: document_of(
                record, issuer=self._site.controller, counter=counter, not_before_ms=_since(now)
            ),
            now.shared_ms,
        )
        if same is not None and replaced is not None:
            same.record, same.repeat_at_ms = replaced, None
        case = _Case(record, repeat_until_ms=now.shared_ms + REPEAT_MS)
        self._cases[record.id] = case
        self._forget_old()
        return self._say(case, document, [*changes, document, record], ticket, before)

    def end(self, request: EndEmergency, ticket: int, now: Now) -> list[Effect]:
        """All-clear or correction; raises RequestError."""
        case = self._named(request.emergency)
        trigger = Trigger.CORRECT if request.correction else Trigger.CLEAR
        ended = step(case.record, trigger, now_ms=now.shared_ms, reason=request.reason)
        document = self._sign_all_clear(ended, now)
        case.record = ended
        case.repeat_until_ms = now.shared_ms + REPEAT_MS
        case.repeat_at_ms = None
        return self._say(case, document, [document, ended], ticket, [])

    def heard(self, node: str, report: AiringRecord, now: Now) -> list[Effect]:
        """A node's stored report; counts where it is about an emergency known here."""
        case = self._case_of(report)
        if case is None:
            return []
        case.answers = with_report(case.answers, node, report)
        if report.state is AiringState.STARTED and case.record.state is EmergencyState.RAISED:
            case.record = step(case.record, Trigger.ANSWERED, now_ms=now.shared_ms)
            return self._ledger.commit([case.record])
        return []

    def look(self, now: Now, *, reachable: frozenset[str]) -> list[Effect]:
        """What is due by now."""
        effects: list[Effect] = []
        for case in self._cases.values():
            if is_standing(case.record) and now.shared_ms >= case.record.sounds_until_ms:
                case.record = step(case.record, Trigger.RUN_OUT, now_ms=now.shared_ms, reason="its time was up")
                case.repeat_at_ms = None
                effects += self._ledger.commit([case.record])
                effects.append(_note("emergency_expired", case.record))
            elif case.repeat_at_ms is not None and now.shared_ms >= case.repeat_at_ms:
                effects += self._repeat(case, now, reachable)
        return effects

    def _repeat(self, case: _Case, now: Now, reachable: frozenset[str]) -> list[Effect]:
        if now.shared_ms >= case.repeat_until_ms or not self._is_waited_for(case, now, reachable):
            case.repeat_at_ms = None
            return []
        case.repeat_at_ms = SharedMs(now.shared_ms + REPEAT_EVERY_MS)
        return list(self._standing.repeat(topic(TopicName.EMERGENCY, area=case.record.area), now.shared_ms))

    @staticmethod
    def _is_waited_for(case: _Case, now: Now, reachable: frozenset[str]) -> bool:
        counted = count(case.record, case.answers, now_ms=now.shared_ms)
        silent = set(case.record.expected) - set(case.answers)
        still = {*counted.sounding, *counted.late}
        return bool((silent if is_standing(case.record) else still) & reachable)

    def _say(
        self,
        case: _Case,
        document: StandingDocument,
        changes: list[Change],
        ticket: int,
        before: list[StandingDocument],
    ) -> list[Effect]:
        """Keep, then publish and answer; publish all the same when it cannot be kept."""
        record = case.record

        def say(now: Now) -> list[Effect]:
            case.repeat_at_ms = SharedMs(now.shared_ms + REPEAT_EVERY_MS)
            earlier = [publication(each, now.shared_ms) for each in before]
            return [
                *earlier,
                self._standing.put(document, now.shared_ms),
                Answer(ticket=ticket, result=record),
                _note(f"emergency_{record.state.value}", record),
            ]

        def say_unkept(reason: str, now: Now) -> list[Effect]:
            lost = Note(level=Level.ERROR, what="emergency_not_on_record", reason=reason, facts={"id": record.id})
            return [*say(now), lost]

        return self._ledger.commit(changes, then=say, otherwise=say_unkept)

    def _clip_for(self, request: RaiseEmergency) -> MediaReference:
        site = self._site
        if request.area not in site.tree:
            known = ", ".join(area.id for area in site.tree.areas)
            raise RequestError(
                RequestCode.UNKNOWN_AREA, f"the area {request.area!r} is not known; known areas: {known}"
            )
        clip = site.clips.get(request.clip)
        if clip is None:
            known = ", ".join(site.clips) or "none; add one under clips"
            raise RequestError(
                RequestCode.UNKNOWN_CLIP, f"the clip {request.clip!r} is not known; known clips: {known}"
            )
        if clip.reality is not request.reality:
            fitting = ", ".join(each.id for each in site.clips.values() if each.reality is request.reality) or "none"
            raise RequestError(
                RequestCode.WRONG_REALITY,
                f"the clip {clip.id!r} is made for {clip.reality.value}, and this is {request.reality.value}; "
                f"clips for {request.reality.value}: {fitting}",
            )
        if request.minutes > site.emergency.minutes_max:
            raise RequestError(
                RequestCode.BAD_REQUEST,
                f"{request.minutes} minutes; at most {site.emergency.minutes_max} (emergency.minutes_max)",
            )
        media = self._shelf.ready.get(clip.file)
        if media is None:
            why = self._shelf.refused.get(clip.file, "it is still being prepared; try again in a few seconds")
            raise RequestError(RequestCode.CLIP_NOT_READY, f"the clip {clip.id!r} cannot be played: {why}")
        return media

    def _overlapping(self, request: RaiseEmergency) -> _Case | None:
        """What stands in the very area; raises RequestError where a drill would touch something real."""
        tree = self._site.tree
        standing = [case for case in self._cases.values() if is_standing(case.record)]
        if request.reality is Reality.DRILL:
            near = tree.below(request.area) | set(tree.chain(request.area))
            for case in standing:
                if case.record.reality is Reality.REAL and case.record.area in near:
                    raise RequestError(
                        RequestCode.REAL_STANDS,
                        f"a real emergency stands in {case.record.area} ({case.record.title}); drill when it is over",
                    )
        same = [case for case in standing if case.record.area == request.area]
        if not same and len(standing) >= STANDING_MAX:
            raise RequestError(RequestCode.TOO_MANY, f"{len(standing)} emergencies stand already; end one first")
        return same[0] if same else None

    def _chime_ms_for(self, request: RaiseEmergency) -> int:
        """How long the attention signal before each repetition is."""
        own_ms = self._site.clips[request.clip].chime_ms
        usual_ms = self._site.emergency.chime_ms if own_ms is None else own_ms
        return usual_ms if request.chime else 0

    def _turns_for(self, request: RaiseEmergency, sound_ms: int) -> Turns | None:
        """The round that is asked for; none where all nodes of the area have one turn. Raises RequestError."""
        if not request.in_turns:
            return None
        turns = self._site.rounds.of(self._site.nodes_below(request.area), sound_ms=sound_ms)
        if turns is not None and turns.round_ms > request.minutes * 60_000:
            what = f"a round of {turns.count} turns takes {turns.round_ms / 60_000:.1f} minutes"
            raise RequestError(RequestCode.BAD_REQUEST, f"{what}; give it as long, or raise it everywhere at once")
        return turns

    def _new_record(
        self, request: RaiseEmergency, clip: MediaReference, turns: Turns | None, chime_ms: int, now: Now
    ) -> EmergencyRecord:
        site, timing = self._site, self._site.emergency
        play_at_ms = now.shared_ms + timing.lead_ms + timing.warm_up_ms
        nodes = site.nodes_below(request.area)
        shifts_ms = {node: shift_ms(turns, site.rounds.turn_of(node)) for node in nodes}
        return EmergencyRecord(
            id=self._fresh.emergency_id(),
            area=request.area,
            title=self._site.clips[request.clip].title,
            clip_id=request.clip,
            clip=clip,
            reality=request.reality,
            state=EmergencyState.RAISED,
            raised_at_ms=now.shared_ms,
            play_at_ms=play_at_ms,
            repeat_every_ms=turns.round_ms if turns else chime_ms + clip.duration_ms + timing.repeat_pause_ms,
            sounds_until_ms=play_at_ms + request.minutes * 60_000,
            expected=nodes,
            turns=turns,
            chime_ms=chime_ms,
            shifts_ms={node: shift for node, shift in shifts_ms.items() if shift},
        )

    def _sign_all_clear(self, record: EmergencyRecord, now: Now) -> StandingDocument:
        return self._notary.sign(
            topic(TopicName.EMERGENCY, area=record.area),
            lambda counter: all_clear_of(
                record, issuer=self._site.controller, counter=counter, not_before_ms=_since(now)
            ),
            now.shared_ms,
        )

    def _named(self, emergency: str) -> _Case:
        standing = {case.record.id: case for case in self._cases.values() if is_standing(case.record)}
        if not emergency and len(standing) == 1:
            return next(iter(standing.values()))
        case = self._cases.get(emergency)
        if case is None:
            listed = "; ".join(
                f"{each.record.id} {each.record.title} ({each.record.area})" for each in standing.values()
            )
            what = f"the emergency {emergency!r} is not known" if emergency else "say which emergency"
            raise RequestError(RequestCode.UNKNOWN_EMERGENCY, f"{what}; standing now: {listed or 'none'}")
        return case

    def _case_of(self, report: object) -> _Case | None:
        if isinstance(report, AiringRecord) and report.source is SourceKind.EMERGENCY:
            return self._cases.get(report.source_id)
        return None

    def _forget_old(self) -> None:
        ended = [case.record for case in self._cases.values() if not is_standing(case.record)]
        ended.sort(key=lambda record: record.raised_at_ms)
        for record in ended[: max(0, len(ended) - REMEMBERED_MAX)]:
            del self._cases[record.id]


def _counter_of(document: StandingDocument) -> CounterUsed:
    return CounterUsed(key_id=document.key_id, topic=document.topic, counter=document.counter)


def _since(now: Now) -> int:
    return now.shared_ms - CLOCK_TOLERANCE_MS


def _note(what: str, record: EmergencyRecord) -> Note:
    facts: dict[str, str | int | float] = {"id": record.id, "area": record.area, "reality": record.reality.value}
    return Note(level=Level.WARNING, what=what, reason=record.reason or record.title, facts=facts)
