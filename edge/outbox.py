"""What the node puts on record: numbered, chained, signed, and kept until the controller says it has it.

Leaves the disk to the store, the wire to the broker, and what is worth a record to its callers.

Rules kept:
- numbers rise by one; each report carries the digest of the one before it, so a lost or altered one shows;
- a report is sent only after it is on the disk, and forgotten only after a signed acknowledgement covers it;
- what the disk refuses is sent all the same, as a loose report: outside the chain, under a number that no other life
  of this node gives, so that a number is never given twice. It is offered to the disk again and again;
- it is sent again after each connect and while it goes unanswered, a bounded number at a time; a new report takes
  those before it along, for a controller that was away would take them for lost;
- past REPORTS_MAX the oldest records of airings and self-tests go first, and a fault says so; those of faults stay.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from edge.effects import Effect, ForgetReports, Publish, StoreReport
from edge.events import Event, MessageReceived, ReportStored, Restored
from edge.player.proof import after_power_cut
from protocol.codec import cbor_decode
from protocol.envelope import Signer, open_sealed, seal
from protocol.messages import LOOSE_FROM, AiringRecord, AiringState, FaultRecord, Record, Report
from protocol.topics import TOPICS, TopicName, topic
from protocol.units import NS_PER_MS, MonotonicNs, Now

REPORTS_MAX: Final = 8_000
"""A month without a controller of a pole that airs 130 items a day; 7 MB of memory and disk (benchmarks/journal.py)."""
WINDOW: Final = 32
"""Reports sent in one go; an acknowledgement of them lets the next go out."""
RESEND_MS: Final = 15_000
"""An unanswered window is sent again after this, doubling up to RESEND_MS_MAX, and up to as much again later: a
programme ends on a thousand poles at once, and if they all sent again at once, the broker's queue to the controller
would overflow each time at the same place."""
RESEND_MS_MAX: Final = 120_000
SHARES: Final = 1_000
_LOOSE_BYTES: Final = 6
"""Of a loose number, after LOOSE_FROM: two of 2,000 are the same once in 100 million times."""


@dataclass(slots=True)
class _Waiting:
    payload: bytes
    is_stored: bool
    is_asked: bool = False
    """The disk has been asked to keep it and has not answered."""
    sent_at: MonotonicNs | None = None
    has_note: bool = False


class Outbox:
    """The reports of one node."""

    def __init__(self, *, node: str, signer: Signer, reports_max: int = REPORTS_MAX) -> None:
        self.dropped = 0
        self._reports_max = reports_max
        self._node = node
        self._signer = signer
        self._topic = topic(TopicName.REPORT, node=node)
        self._answers = topic(TopicName.ACKNOWLEDGEMENT, node=node)
        self._waiting: dict[int, _Waiting] = {}
        self._last_number = 0
        self._last_sha256 = bytes(32)
        self._durable: tuple[int, bytes] = (0, bytes(32))
        """Number and digest of the last report of the chain that is on the disk."""
        self._loose_given = 0
        self._note: tuple[str, bytes] | None = None
        """The newest; a report that the disk refused takes it along, for what it says of others is on record too."""
        self._open_airing: AiringRecord | None = None
        self._cut_short: AiringRecord | None = None
        """An airing that the end of the run before left open, until its end is on record."""
        self._booted_at = MonotonicNs(0)
        self._is_connected = False
        self._resend_at: MonotonicNs | None = None
        self._resend_ms = RESEND_MS

    @property
    def waiting(self) -> int:
        """Reports that the controller has not acknowledged."""
        return len(self._waiting)

    def alone_is_told(self, event: Event) -> bool:
        """Whether an event is about reports and nothing else: one is on the disk, or the controller has some."""
        if isinstance(event, MessageReceived):
            return event.topic == self._answers
        return isinstance(event, ReportStored)

    def next_deadline(self) -> MonotonicNs | None:
        """When an unanswered window is sent again."""
        return self._resend_at

    def restore(self, restored: Restored, now: Now) -> None:
        """Take in what was waiting when the process ended.

        After a store that was lost the last number is not known: numbers go on from the clock, so that none is given
        twice, and the controller sees the gap.
        """
        self._last_number = now.shared_ms if restored.is_chain_lost else restored.last_number
        self._last_sha256 = restored.last_sha256
        self._open_airing = self._cut_short = restored.open_airing
        self._booted_at = now.monotonic_ns
        for report in restored.reports:
            self._waiting[report.number] = _Waiting(report.payload, is_stored=True)
        self._durable = self._last_number, self._last_sha256

    def append(self, record: Record, *, note: tuple[str, bytes] | None = None) -> list[Effect]:
        """Number, chain and sign a record; it is sent once it is stored, in one step with the note."""
        effects: list[Effect] = []
        if isinstance(record, AiringRecord) and record.state is AiringState.STARTED and self._cut_short is not None:
            effects += self._end_cut_short(record.at_ms, record.clock_error_ms)
        self._note_open(record)
        number = self._last_number + 1
        payload = self._seal(record, number, self._last_sha256)
        self._last_number, self._last_sha256 = number, hashlib.sha256(payload).digest()
        self._waiting[number] = _Waiting(payload, is_stored=False)
        if note is not None:
            self._note = note
            self._waiting[number].has_note = True
        effects.append(self._store(number))
        dropped = self._drop_excess()
        if dropped:
            effects.append(ForgetReports(numbers=dropped))
            self.dropped += len(dropped)
        return effects

    def stored(self, number: int, now: Now) -> list[Effect]:
        """A report is durable; older ones that are not have failed, and the disk takes them again now."""
        waiting = self._waiting.get(number)
        if waiting is None:
            return []
        waiting.is_stored, waiting.is_asked = True, False
        if self._durable[0] < number < LOOSE_FROM:
            self._durable = number, hashlib.sha256(waiting.payload).digest()
        if self._is_unanswered_long(now):
            self._resend_ms = RESEND_MS
            self._forget_sending()
        return [*self._store_refused(), *self._send(now)]

    def connected(self, now: Now) -> list[Effect]:
        """The broker is there: what waits goes out again."""
        self._is_connected = True
        self._resend_ms = RESEND_MS
        self._forget_sending()
        return self._send(now)

    def disconnected(self) -> None:
        """The broker is gone."""
        self._is_connected = False
        self._resend_at = None

    def acknowledged(self, stored_number: int, loose: Iterable[int], now: Now) -> list[Effect]:
        """The controller has stored everything up to a number, and these loose ones."""
        stored_loose = frozenset(loose)
        known = tuple(number for number in self._waiting if number <= stored_number or number in stored_loose)
        for number in known:
            del self._waiting[number]
        if not known:
            return []
        self._resend_ms = RESEND_MS
        self._resend_at = None
        return [ForgetReports(numbers=known), *self._send(now)]

    def wake(self, now: Now) -> list[Effect]:
        """Send again what has gone unanswered, and try again to store what could not be stored."""
        if self._cut_short is not None and now.is_time_known:
            booted_ms = now.shared_at(self._booted_at) // NS_PER_MS
            return [*self._end_cut_short(booted_ms, now.error_ns / NS_PER_MS), *self.wake(now)]
        if self._resend_at is None or now.monotonic_ns < self._resend_at:
            return []
        self._resend_at = None
        self._resend_ms = min(2 * self._resend_ms, RESEND_MS_MAX)
        self._forget_sending()
        return [*self._store_refused(), *self._send(now)]

    def store_failed(self, number: int, now: Now) -> list[Effect]:
        """Storing a report failed; it is tried again with the next resend, and sent without."""
        waiting = self._waiting.get(number)
        if waiting is not None:
            waiting.is_asked = False
        self._loosen(now)
        effects = self._send(now)
        if self._resend_at is None:
            self._resend_at = self._later(now)
        return effects

    def _end_cut_short(self, latest_ms: int, error_ms: float) -> list[Effect]:
        """Put on record that an airing ended with the run before, as soon as there is a time to give."""
        started, self._cut_short = self._cut_short, None
        return [] if started is None else self.append(after_power_cut(started, latest_ms, error_ms))

    def _later(self, now: Now) -> MonotonicNs:
        """When to send again: up to twice the wait later, by the node's own share, which differs each time."""
        share = zlib.crc32(f"{self._node}:{self._last_number}:{self._resend_ms}".encode()) % SHARES
        return MonotonicNs(now.monotonic_ns + self._resend_ms * NS_PER_MS * (SHARES + share) // SHARES)

    def _is_unanswered_long(self, now: Now) -> bool:
        """Whether older reports may never have arrived: nobody listened at the broker when they were sent."""
        return any(
            waiting.sent_at is not None and now.monotonic_ns - waiting.sent_at >= RESEND_MS * NS_PER_MS
            for waiting in self._waiting.values()
        )

    def _send(self, now: Now) -> list[Effect]:
        if not self._is_connected:
            return []
        row = TOPICS[TopicName.REPORT]
        effects: list[Effect] = []
        for number, waiting in list(self._waiting.items())[:WINDOW]:
            # after a durable successor its number cannot be given again, whether it is stored itself or not
            may_go = waiting.is_stored or number < self._durable[0] or number >= LOOSE_FROM
            if may_go and waiting.sent_at is None:
                waiting.sent_at = now.monotonic_ns
                effects.append(Publish(topic=self._topic, payload=waiting.payload, qos=row.qos, retain=row.retain))
        if self._waiting and self._resend_at is None:
            self._resend_at = self._later(now)
        return effects

    def _store(self, number: int) -> StoreReport:
        waiting = self._waiting[number]
        waiting.is_asked = True
        chain_number, chain_sha256 = self._durable
        if chain_number < number < LOOSE_FROM:
            chain_number, chain_sha256 = number, hashlib.sha256(waiting.payload).digest()
        return StoreReport(
            number=number,
            payload=waiting.payload,
            chain_number=chain_number,
            sha256=chain_sha256,
            open_airing=self._open_airing,
            note=self._note if waiting.has_note else None,
        )

    def _store_refused(self) -> list[Effect]:
        """Offer the disk again what it refused."""
        refused = [number for number, each in self._waiting.items() if not (each.is_stored or each.is_asked)]
        return [self._store(number) for number in refused[:WINDOW]]

    def _loosen(self, now: Now) -> None:
        """Take the chain's end back to what is durable: what the disk has refused of it goes out as loose reports.

        Only once nothing of it is under way to the disk any more, for that might yet become durable in the chain.
        """
        end = [number for number in self._waiting if self._durable[0] < number < LOOSE_FROM]
        if not end or any(self._waiting[number].is_asked for number in end):
            return
        for number in end:
            report = self._opened(self._waiting.pop(number).payload)
            loose = self._loose_number(now)
            payload = self._seal(report.record, loose, bytes(32))
            self._waiting[loose] = _Waiting(payload, is_stored=False)
        self._last_number, self._last_sha256 = self._durable

    def _loose_number(self, now: Now) -> int:
        """One that this node gives once in all its lives, without remembering any: by its clocks, to the nanosecond."""
        self._loose_given += 1
        seed = f"{self._node}:{now.shared_ns}:{now.monotonic_ns}:{self._loose_given}".encode()
        return LOOSE_FROM + int.from_bytes(hashlib.sha256(seed).digest()[:_LOOSE_BYTES])

    def _seal(self, record: Record, number: int, previous_sha256: bytes) -> bytes:
        report = Report(node=self._node, number=number, previous_sha256=previous_sha256, record=record)
        return seal(report, signer=self._signer, topic=self._topic)

    def _opened(self, payload: bytes) -> Report:
        report: Report = cbor_decode(open_sealed(payload, topic=self._topic).payload, Report)
        return report

    def _note_open(self, record: Record) -> None:
        """Keep which airing has begun and not ended, so that a power cut in it can be put on record."""
        if not isinstance(record, AiringRecord):
            return
        if record.state is AiringState.STARTED:
            self._open_airing = record
        elif self._open_airing is not None and record.airing == self._open_airing.airing:
            self._open_airing = None

    def _forget_sending(self) -> None:
        for waiting in self._waiting.values():
            waiting.sent_at = None

    def _drop_excess(self) -> tuple[int, ...]:
        excess = len(self._waiting) - self._reports_max
        if excess <= 0:
            return ()
        # looked at only here: opening thousands of reports would delay each start
        may_go = (
            number
            for number, waiting in self._waiting.items()
            if not isinstance(self._opened(waiting.payload).record, FaultRecord)
        )
        dropped = tuple(islice(may_go, excess))
        for number in dropped:
            del self._waiting[number]
        return dropped
