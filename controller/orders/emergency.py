"""The life of one emergency or drill, and what is known of each node that should sound it.

    raised --a node has started--> sounding
    raised, sounding --all-clear--> all_clear | --correction--> corrected | --time is up--> expired
    raised, sounding --another clip in the same area--> replaced

The four ends are final: a new press makes a new emergency. What a node answered is read from its signed reports
only; a node that has said nothing in time is missed, by name. Publishing and keeping is `emergency_desk`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from controller.errors import RequestCode, RequestError
from controller.records import EmergencyRecord, EmergencyState
from protocol.identity import area_audience
from protocol.messages import AiringRecord, AiringState, AllClear, BroadcastClass, Emergency
from protocol.units import SharedMs

LATE_MS: Final = 2_000
"""A node that starts this long after the first sample was due has joined late; the rest started together."""
MISSED_MS: Final = 30_000
"""A node that has not answered so long after the press is missed until it does."""


class Trigger(StrEnum):
    """What moves an emergency on."""

    ANSWERED = "answered"
    CLEAR = "clear"
    CORRECT = "correct"
    RUN_OUT = "run_out"
    REPLACE = "replace"


TRANSITIONS: Final[Mapping[tuple[EmergencyState, Trigger], EmergencyState]] = {
    (EmergencyState.RAISED, Trigger.ANSWERED): EmergencyState.SOUNDING,
    (EmergencyState.RAISED, Trigger.CLEAR): EmergencyState.ALL_CLEAR,
    (EmergencyState.RAISED, Trigger.CORRECT): EmergencyState.CORRECTED,
    (EmergencyState.RAISED, Trigger.RUN_OUT): EmergencyState.EXPIRED,
    (EmergencyState.RAISED, Trigger.REPLACE): EmergencyState.REPLACED,
    (EmergencyState.SOUNDING, Trigger.ANSWERED): EmergencyState.SOUNDING,
    (EmergencyState.SOUNDING, Trigger.CLEAR): EmergencyState.ALL_CLEAR,
    (EmergencyState.SOUNDING, Trigger.CORRECT): EmergencyState.CORRECTED,
    (EmergencyState.SOUNDING, Trigger.RUN_OUT): EmergencyState.EXPIRED,
    (EmergencyState.SOUNDING, Trigger.REPLACE): EmergencyState.REPLACED,
}
STANDING_STATES: Final = frozenset({EmergencyState.RAISED, EmergencyState.SOUNDING})


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAnswer:
    """What a node has reported of an emergency; the last step it told."""

    state: AiringState
    started_at_ms: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """The nodes of an emergency by name. Each expected node stands in exactly one of the five."""

    sounding: tuple[str, ...]
    late: tuple[str, ...]
    finished: tuple[str, ...]
    waiting: tuple[str, ...]
    missed: tuple[str, ...]

    @property
    def answered(self) -> int:
        """How many nodes have started."""
        return len(self.sounding) + len(self.late) + len(self.finished)


def step(record: EmergencyRecord, trigger: Trigger, *, now_ms: SharedMs, reason: str = "") -> EmergencyRecord:
    """The record after a trigger; raises RequestError(ALREADY_OVER) where the table has no such step."""
    after = TRANSITIONS.get((record.state, trigger))
    if after is None:
        raise RequestError(
            RequestCode.ALREADY_OVER,
            f"{record.title} ({record.id}) is over already ({record.state.value}); raise a new one if it is needed",
        )
    if after in STANDING_STATES:
        return msgspec.structs.replace(record, state=after)
    return msgspec.structs.replace(record, state=after, ended_at_ms=now_ms, reason=reason)


def is_standing(record: EmergencyRecord) -> bool:
    """Whether it has not ended."""
    return record.state in STANDING_STATES


def with_report(answers: Mapping[str, NodeAnswer], node: str, report: AiringRecord) -> dict[str, NodeAnswer]:
    """The answers with one more report: its state is the latest, and the earliest start counts."""
    before = answers.get(node)
    starts = [before.started_at_ms] if before and before.started_at_ms is not None else []
    if report.state is AiringState.STARTED:
        starts.append(report.at_ms)
    answer = NodeAnswer(state=report.state, started_at_ms=min(starts) if starts else None, reason=report.reason)
    return {**answers, node: answer}


def count(record: EmergencyRecord, answers: Mapping[str, NodeAnswer], *, now_ms: SharedMs) -> Count:
    """Who sounds, who joined late, who has finished, who is waited for, who missed it; each judged by its own turn."""
    groups: dict[str, list[str]] = {"sounding": [], "late": [], "finished": [], "waiting": [], "missed": []}
    for node in record.expected:
        answer = answers.get(node)
        shift_ms = record.shifts_ms.get(node, 0)
        is_judged = not is_standing(record) or now_ms >= record.raised_at_ms + MISSED_MS + shift_ms
        if answer is None:
            group = "missed" if is_judged else "waiting"
        elif answer.started_at_ms is None:
            group = "missed"
        elif answer.state is AiringState.FINISHED:
            group = "finished"
        else:
            due_ms = record.play_at_ms + shift_ms
            group = "late" if answer.started_at_ms > due_ms + LATE_MS else "sounding"
        groups[group].append(node)
    return Count(**{name: tuple(names) for name, names in groups.items()})


def document_of(record: EmergencyRecord, *, issuer: str, counter: int, not_before_ms: int) -> Emergency:
    """What is signed when it is raised."""
    return Emergency(
        id=f"raise.{record.id}",
        issuer=issuer,
        audience=area_audience(record.area),
        counter=counter,
        not_before_ms=not_before_ms,
        expires_at_ms=record.sounds_until_ms,
        broadcast_class=BroadcastClass.EMERGENCY,
        reality=record.reality,
        emergency=record.id,
        area=record.area,
        title=record.title,
        clip=record.clip,
        play_at_ms=record.play_at_ms,
        repeat_every_ms=record.repeat_every_ms,
        sounds_until_ms=record.sounds_until_ms,
        turns=record.turns,
        chime_ms=record.chime_ms,
    )


def all_clear_of(record: EmergencyRecord, *, issuer: str, counter: int, not_before_ms: int) -> AllClear:
    """What is signed when it ends by a person's hand or another emergency."""
    return AllClear(
        id=f"clear.{record.id}",
        issuer=issuer,
        audience=area_audience(record.area),
        counter=counter,
        not_before_ms=not_before_ms,
        expires_at_ms=record.sounds_until_ms,
        broadcast_class=BroadcastClass.EMERGENCY,
        reality=record.reality,
        emergency=record.id,
        area=record.area,
        reason=record.reason,
        correction=record.state is EmergencyState.CORRECTED,
    )
