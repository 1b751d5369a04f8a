"""What was allowed, when and where: the signed documents of a run, as the permits and postings that checkers ask for.

The witness hands over each document when the controller has made it durable; who obeyed it is the checkers' affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from edge.player.chime import chime_of
from protocol.messages import (
    AllClear,
    AnyDocument,
    Assignment,
    BroadcastClass,
    Emergency,
    Occurrence,
    Plan,
    Silence,
    SilenceRelease,
    SourceKind,
    StreamEnd,
    StreamStart,
)
from protocol.units import NS_PER_MS
from simulator.checkers.evidence import Due, Evidence, Hush, Permit, Posting
from simulator.evidence.signals import source_of


class Notary:
    """Writes into `evidence`; `names` are those of media by their hash."""

    def __init__(self, evidence: Evidence, names: Mapping[str, str]) -> None:
        self._evidence = evidence
        self._names = names
        self._now_ns = evidence.begins_ns

    def take(self, document: AnyDocument, now_ns: int) -> None:
        """The controller has made this document durable at `now_ns`."""
        self._now_ns = now_ns
        match document:
            case Plan():
                self._planned(document)
            case StreamStart():
                self._allow(
                    Permit(
                        source=f"stream:{document.stream}",
                        id=document.stream,
                        key=f"stream:{document.stream}",
                        kind=SourceKind.STREAM,
                        area=document.area,
                        broadcast_class=document.broadcast_class,
                        reality=document.reality,
                        begins_ns=document.starts_at_ms * NS_PER_MS,
                        ends_ns=document.ends_at_ms * NS_PER_MS,
                        issued_ns=self._now_ns,
                        over=document.over,
                    ),
                    chime_ms=document.chime_ms,
                )
            case StreamEnd() | AllClear():
                self._withdraw(document.stream if isinstance(document, StreamEnd) else document.emergency)
            case Emergency():
                self._raised(document)
            case Silence():
                self._hushed(document)
            case SilenceRelease():
                for hush in self._evidence.hushes:
                    if hush.order == document.order and hush.ends_ns is None:
                        hush.ends_ns = now_ns
            case Assignment():
                self._posted(document)

    def _allow(self, permit: Permit, *, chime_ms: int) -> list[Permit]:
        """Permit something and its attention signal; returns both."""
        allowed = [replace(permit, lead_ns=chime_ms * NS_PER_MS)]
        if chime_ms:
            allowed.append(_signal_of(permit, chime_ms * NS_PER_MS))
        for new in allowed:
            if not any(_is_same(each, new) for each in self._evidence.permits):
                self._evidence.permits.append(new)
        return allowed

    def _withdraw(self, name: str) -> None:
        for permit in self._evidence.permits:
            if permit.id == name and permit.withdrawn_ns is None:
                permit.withdrawn_ns = self._now_ns

    def _planned(self, plan: Plan) -> None:
        """A plan replaces the one before it: what it does not repeat, and was still to come, is withdrawn."""
        now_ns = self._now_ns
        named = set()
        self._note_dues(plan)
        for occurrence in plan.occurrences:
            if occurrence.media is None:
                continue
            begins_ns = occurrence.start_at_ms * NS_PER_MS
            permit = Permit(
                source=self._names.get(occurrence.media.sha256, f"unknown:{occurrence.media.sha256[:8]}"),
                id=occurrence.id,
                key=f"plan:{plan.area}:{occurrence.id}",
                kind=SourceKind.MEDIA,
                area=plan.area,
                broadcast_class=occurrence.broadcast_class,
                reality=plan.reality,
                begins_ns=begins_ns,
                ends_ns=begins_ns + occurrence.duration_ms * NS_PER_MS,
                issued_ns=now_ns,
                sha256=occurrence.media.sha256,
                duration_ns=_sounds_ms(occurrence) * NS_PER_MS,
                turns=occurrence.turns,
                over=occurrence.over,
                before_upper=occurrence.before_upper,
                valid_until_ns=_instant_ns(occurrence.valid_until_ms),
            )
            for each in self._allow(permit, chime_ms=occurrence.chime_ms):
                named.add((each.key, each.source, each.begins_ns))
        for permit in self._evidence.permits:
            is_of_plan = permit.kind is SourceKind.MEDIA and permit.area == plan.area and permit.ends_ns > now_ns
            is_covered = permit.begins_ns < plan.covers_until_ms * NS_PER_MS
            is_repeated = (permit.key, permit.source, permit.begins_ns) in named
            if is_of_plan and is_covered and not is_repeated and permit.withdrawn_ns is None:
                permit.withdrawn_ns = now_ns

    def _note_dues(self, plan: Plan) -> None:
        """What the poles of an area owe sound or a record for; what a newer plan leaves out they owe no more."""
        known = {(due.id, due.begins_ns): due for due in self._evidence.dues if due.area == plan.area}
        named = set()
        for occurrence in plan.occurrences:
            begins_ns = occurrence.start_at_ms * NS_PER_MS
            place = (occurrence.id, begins_ns)
            named.add(place)
            if place not in known and occurrence.start_at_ms < plan.covers_until_ms:
                due = Due(
                    id=occurrence.id,
                    area=plan.area,
                    begins_ns=begins_ns,
                    ends_ns=begins_ns + occurrence.duration_ms * NS_PER_MS,
                    issued_ns=self._now_ns,
                    is_relay=occurrence.media is None,
                )
                self._evidence.dues.append(due)
        for place, due in known.items():
            if place not in named and due.ends_ns > self._now_ns and due.withdrawn_ns is None:
                due.withdrawn_ns = self._now_ns

    def _raised(self, document: Emergency) -> None:
        for permit in self._evidence.permits:
            is_replaced = permit.kind is SourceKind.EMERGENCY and permit.area == document.area
            if is_replaced and permit.id != document.emergency and permit.withdrawn_ns is None:
                permit.withdrawn_ns = self._now_ns
        self._allow(
            Permit(
                source=self._names.get(document.clip.sha256, f"unknown:{document.clip.sha256[:8]}"),
                id=document.emergency,
                key=f"emergency:{document.emergency}",
                kind=SourceKind.EMERGENCY,
                area=document.area,
                broadcast_class=BroadcastClass.EMERGENCY,
                reality=document.reality,
                begins_ns=document.play_at_ms * NS_PER_MS,
                ends_ns=document.sounds_until_ms * NS_PER_MS,
                issued_ns=self._now_ns,
                sha256=document.clip.sha256,
                repeat_every_ns=document.repeat_every_ms * NS_PER_MS,
                duration_ns=document.clip.duration_ms * NS_PER_MS,
                turns=document.turns,
            ),
            chime_ms=document.chime_ms,
        )

    def _hushed(self, document: Silence) -> None:
        """An order stands until its release, or until another order takes its topic; signed again it is the same."""
        hushes = self._evidence.hushes
        if any(each.order == document.order for each in hushes):
            return
        for hush in hushes:
            if (hush.area, hush.node) == (document.area, document.node) and hush.ends_ns is None:
                hush.ends_ns = self._now_ns
        hushes.append(
            Hush(
                order=document.order,
                begins_ns=self._now_ns,
                area=document.area,
                node=document.node,
                spares_emergencies=document.spares_emergencies,
                spared_box=document.spared_box,
            )
        )

    def _posted(self, assignment: Assignment) -> None:
        known = self._evidence.postings.setdefault(assignment.node, [])
        posting = Posting(
            node=assignment.node,
            areas=assignment.areas,
            quiet_hours=assignment.quiet_hours,
            time_zone=assignment.time_zone,
            since_ns=self._now_ns,
            turn=assignment.turn,
            aiming_delay_us=assignment.aiming_delay_us,
            emergency_aiming_delay_us=assignment.emergency_aiming_delay_us,
            gain_db=assignment.gain_db,
            air_time=assignment.air_time,
            volume_caps=assignment.volume_caps,
            fetch_bytes_max=assignment.fetch_bytes_a_day_max,
            self_test_minute=assignment.self_test_minute,
        )
        if known:
            last = known[-1]
            if replace(posting, since_ns=last.since_ns) == last:
                return
            last.until_ns = posting.since_ns
        known.append(posting)


def _signal_of(permit: Permit, lead_ns: int) -> Permit:
    """Its attention signal: before it, or before each repetition of it."""
    source = source_of(chime_of(permit.broadcast_class, permit.reality))
    is_once = permit.repeat_every_ns is None
    ends_ns = permit.begins_ns + lead_ns if is_once and permit.turns is None else permit.ends_ns
    return replace(permit, source=source, ends_ns=ends_ns, duration_ns=lead_ns)


def _instant_ns(at_ms: int | None) -> int | None:
    return None if at_ms is None else at_ms * NS_PER_MS


def _sounds_ms(occurrence: Occurrence) -> int:
    """How long an item sounds on one pole."""
    if occurrence.turns is None or occurrence.media is None:
        return occurrence.duration_ms
    return occurrence.chime_ms + occurrence.media.duration_ms


def _is_same(one: Permit, other: Permit) -> bool:
    is_same = (one.key, one.source, one.begins_ns, one.area) == (other.key, other.source, other.begins_ns, other.area)
    return is_same and one.withdrawn_ns is None
