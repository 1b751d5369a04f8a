"""Puts what a person or a program asked of the desk on record, in the very commit that carries it out.

Kept here: an act is stored with its consequence or not at all; what was refused, and what changed nothing because it
stood already, is on record too. Who may ask was decided before; who asked stands in the event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeGuard

from controller.effects import Answer, Commit, Effect
from controller.errors import RequestError
from controller.ledger import Ledger
from controller.people.audit import Act, Actor, Deed, Outcome, act_of
from controller.records import Change, EmergencyRecord, RelayRecord, StandingDocument
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
from protocol.messages import Reality


def on_record(
    effects: Sequence[Effect], request: Request, *, by: Actor | None, ledger: Ledger, at_ms: int, asked_area: str
) -> list[Effect]:
    """The effects of a request, its act added to the commit that carries it out, or committed by itself."""
    if by is None:
        return list(effects)
    answered = next((each.result for each in effects if isinstance(each, Answer)), None)
    if isinstance(answered, RequestError):
        act = _act(request, by, at_ms, place=asked_area, outcome=Outcome.REFUSED, detail=answered.code.value)
        return [*effects, *ledger.commit([act])]
    for index, effect in enumerate(effects):
        subject = _subject_of(effect)
        if isinstance(effect, Commit) and subject is not None:
            place = asked_area if isinstance(subject, StandingDocument) else subject.area
            act = _act(request, by, at_ms, place=place, detail=_detail(request, subject))
            return [*effects[:index], replace(effect, changes=(*effect.changes, act)), *effects[index + 1 :]]
    place = answered.area if answered else asked_area
    return [*effects, *ledger.commit([_act(request, by, at_ms, place=place, detail="it stood already")])]


def _subject_of(effect: Effect) -> EmergencyRecord | RelayRecord | StandingDocument | None:
    """What a commit is about; of several the last, for the first may be one that was replaced."""
    if not isinstance(effect, Commit):
        return None
    found = [each for each in effect.changes if isinstance(each, EmergencyRecord | RelayRecord)]
    if found:
        return found[-1]
    return next((each for each in effect.changes if _is_silence(each)), None)


def _is_silence(change: Change) -> TypeGuard[StandingDocument]:
    return isinstance(change, StandingDocument) and change.topic.endswith("/silence")


def _act(
    request: Request, by: Actor, at_ms: int, *, place: str, outcome: Outcome = Outcome.DONE, detail: str = ""
) -> Act:
    return act_of(_deed(request), by=by, at_ms=at_ms, place=place, outcome=outcome, detail=detail)


def _deed(request: Request) -> Deed:
    match request:
        case RaiseEmergency(reality=reality):
            return Deed.DRILL if reality is Reality.DRILL else Deed.EMERGENCY
        case EndEmergency(correction=correction):
            return Deed.CORRECTION if correction else Deed.ALL_CLEAR
        case StartRelay():
            return Deed.RELAY_START
        case StartVoice():
            return Deed.VOICE
        case StopRelay():
            return Deed.RELAY_STOP
        case StartSilence():
            return Deed.SILENCE
        case EndSilence():
            return Deed.SILENCE_RELEASE


def _detail(request: Request, subject: EmergencyRecord | RelayRecord | StandingDocument) -> str:
    if isinstance(request, StartSilence | EndSilence) or isinstance(subject, StandingDocument):
        node, reason = getattr(request, "node", ""), getattr(request, "reason", "")
        return ": ".join(each for each in (node, reason) if each)
    name = subject.id if isinstance(subject, EmergencyRecord) else subject.stream
    why = f": {request.reason}" if isinstance(request, EndEmergency) and request.reason else ""
    minutes = f", {request.minutes} min" if isinstance(request, RaiseEmergency | StartRelay | StartVoice) else ""
    turns = ", in turns" if isinstance(subject, EmergencyRecord) and subject.turns is not None else ""
    return f"{name} {subject.title}{minutes}{turns}{why}"
