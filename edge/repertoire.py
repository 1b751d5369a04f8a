"""What could sound on this node: plans, streams and emergencies of the documents in force, as candidates.

Composes program and streams. It leaves to the studio which candidate sounds and to the media store the files;
it says which media all of this needs, the most urgent first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.documents.documents import Documents
from edge.guard import Accepted, Guard
from edge.player.arbiter import Reason
from edge.player.program import Program, emergency_candidate
from edge.ports import Workshop
from edge.streams import OpenPacket, Streams
from edge.untimed import Untimed
from protocol.candidate import Candidate
from protocol.messages import AllClear, AnyDocument, Emergency, Plan, StreamEnd, StreamStart
from protocol.plan import Fetchable
from protocol.units import NS_PER_MS, US_PER_MS, MonotonicNs, Now, SharedMs, SharedNs


class Repertoire:
    """Everything that one node could sound."""

    def __init__(self, *, guard: Guard, documents: Documents, workshop: Workshop, open_packet: OpenPacket) -> None:
        self.streams: Final = Streams(workshop.new_decoder, open_packet=open_packet)
        self.program: Final = Program()
        self._guard = guard
        self._documents = documents
        self._untimed = Untimed()
        self._sorted: _Sorted = _sorted_out(())

    def renew_streams(self, now_ms: SharedMs) -> None:
        """Make the live streams those of the documents in force, and forget those that are over."""
        self.streams.update(self._in_force().live, self._guard.place, now_ms)

    def renew_program(self, now_ms: SharedMs) -> tuple[tuple[Fetchable, ...], tuple[Fetchable, ...]]:
        """Make the program that of the plans in force; what is to be fetched, the urgent and the planned, in order."""
        self.program.replace(self._in_force().plans, self._guard.place, now_ms)
        standing = tuple(document.clip for document in self._standing(now_ms))
        fresh = (each for each in self.program.coming if (each.valid_until_ms or each.ends_at_ms) > each.starts_at_ms)
        planned = tuple(each.media for each in fresh if each.media is not None)
        return (*standing, *self._documents.bodies.needed, *self._guard.place.prepared_clips), planned

    def candidates(self, now: Now, horizon_ms: int) -> tuple[Candidate, ...]:
        """What touches the time from now to the horizon; only real emergencies while the shared time is unknown."""
        if not now.is_time_known:
            raised = [
                (each.document, self._guard.passed_ms(each.key_id))
                for each in self._documents.in_force
                if isinstance(each.document, Emergency)
            ]
            return self._untimed.candidates(raised, place=self._guard.place, now=now)
        self._untimed.forget()
        return (
            *(emergency_candidate(document, self._guard.place) for document in self._standing(now.shared_ms)),
            *self.program.window(now.shared_ms, horizon_ms),
            *self.streams.candidates(now.shared_ms),
        )

    def standing_emergencies(self, now: Now) -> list[str]:
        """The emergencies and drills that stand now, by name."""
        return [each.emergency for each in self._standing(now.shared_ms)]

    def why_gone(self, candidate: Candidate) -> Reason:
        """Why what was a candidate is none now."""
        if any(_ordered(document, candidate) for document in self._documents.taken_away):
            return Reason.REVOKED
        if candidate.stream is not None:
            return self.streams.why_gone(candidate)
        for document in self._in_force().all_clears:
            if document.emergency == candidate.source_id:
                return Reason.CORRECTION if document.correction else Reason.ALL_CLEAR
        return Reason.STOPPED

    def next_deadline(self, now: Now, horizon_ms: int) -> MonotonicNs | None:
        """When `candidates` will answer differently if nothing happens."""
        change_ms = self.streams.next_change_ms(now.shared_ms)
        start_ms = self.program.next_start_ms(now.shared_ms + horizon_ms)
        if start_ms is not None and (change_ms is None or start_ms - horizon_ms < change_ms):
            change_ms = SharedMs(start_ms - horizon_ms)
        return None if change_ms is None else now.monotonic_at(SharedNs(change_ms * NS_PER_MS))

    def _standing(self, now_ms: SharedMs) -> list[Emergency]:
        emergencies = self._in_force().emergencies
        heard_ms = now_ms - self._guard.place.emergency_aiming_delay_us // US_PER_MS
        return [each for each in emergencies if each.sounds_until_ms > heard_ms] if emergencies else []

    def _in_force(self) -> _Sorted:
        """Sorted out anew only when something has changed: this is asked at every event."""
        if self._sorted.accepted is not self._documents.in_force:
            self._sorted = _sorted_out(self._documents.in_force)
        return self._sorted


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sorted:
    """The documents in force by what they are, each kind in the order in which they came."""

    accepted: tuple[Accepted, ...]
    plans: tuple[Plan, ...]
    emergencies: tuple[Emergency, ...]
    all_clears: tuple[AllClear, ...]
    live: tuple[StreamStart | StreamEnd, ...]


def _sorted_out(accepted: tuple[Accepted, ...]) -> _Sorted:
    documents = [each.document for each in accepted]
    return _Sorted(
        accepted=accepted,
        plans=tuple(each for each in documents if isinstance(each, Plan)),
        emergencies=tuple(each for each in documents if isinstance(each, Emergency)),
        all_clears=tuple(each for each in documents if isinstance(each, AllClear)),
        live=tuple(each for each in documents if isinstance(each, (StreamStart, StreamEnd))),
    )


def _ordered(document: AnyDocument, candidate: Candidate) -> bool:
    """Whether a document is what let a candidate sound."""
    match document:
        case StreamStart():
            return document.stream == candidate.stream
        case Emergency():
            return document.emergency == candidate.source_id
        case Plan():
            return candidate.source_id in {occurrence.id for occurrence in document.occurrences}
        case _:
            return False
