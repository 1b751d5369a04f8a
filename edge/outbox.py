"""What the node puts on record: numbered, chained, signed, and kept until the controller says it has it.

Leaves the disk to the store, the wire to the broker, and what is worth a record to its callers.

Rules kept:
- numbers rise by one; each report carries the digest of the one before it, so a lost or altered one shows;
- a report is sent only after it is on the disk, and forgotten only after a signed acknowledgement covers it;
- it is sent again after each connect and while it goes unanswered, a bounded number at a time; a new report takes
  those before it along, for a controller that was away would take them for lost;
- past REPORTS_MAX the oldest airing records go first, and a fault says so; fault records stay.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import Final

from edge.effects import Effect, ForgetReports, Publish, StoreReport
from edge.events import Restored
from protocol.codec import cbor_decode
from protocol.envelope import Signer, open_sealed, seal
from protocol.messages import AiringRecord, AiringState, FaultRecord, Report
from protocol.topics import TOPICS, TopicName, topic
from protocol.units import NS_PER_MS, MonotonicNs, Now

REPORTS_MAX: Final = 2_000
"""About two weeks of a busy pole without a controller; 1 MB of memory and disk."""
WINDOW: Final = 32
"""Reports sent in one go; an acknowledgement of them lets the next go out."""
RESEND_MS: Final = 15_000
"""An unanswered window is sent again after this, doubling up to RESEND_MS_MAX, and up to as much again later: a
programme ends on a thousand poles at once, and if they all sent again at once, the broker's queue to the controller
would overflow each time at the same place."""
RESEND_MS_MAX: Final = 120_000
SHARES: Final = 1_000


@dataclass(slots=True)
class _Waiting:
    payload: bytes
    is_stored: bool
    is_airing: bool
    sent_at: MonotonicNs | None = None


class Outbox:
    """The reports of one node."""

    def __init__(self, *, node: str, signer: Signer) -> None:
        self.dropped = 0
        self._node = node
        self._signer = signer
        self._topic = topic(TopicName.REPORT, node=node)
        self._waiting: dict[int, _Waiting] = {}
        self._last_number = 0
        self._last_sha256 = bytes(32)
        self._open_airing: AiringRecord | None = None
        self._is_connected = False
        self._resend_at: MonotonicNs | None = None
        self._resend_ms = RESEND_MS

    @property
    def waiting(self) -> int:
        """Reports that the controller has not acknowledged."""
        return len(self._waiting)

    def next_deadline(self) -> MonotonicNs | None:
        """When an unanswered window is sent again."""
        return self._resend_at

    def restore(self, restored: Restored, now: Now) -> None:
        """Take in what was waiting when the process ended.

        After a damaged store the last number is not known: numbers go on from the clock, so that none is given
        twice, and the controller sees the gap.
        """
        self._last_number = now.shared_ms if restored.damage else restored.last_number
        self._last_sha256 = restored.last_sha256
        self._open_airing = restored.open_airing
        for report in restored.reports:
            self._waiting[report.number] = _Waiting(
                report.payload, is_stored=True, is_airing=_is_airing(report.payload, self._topic)
            )
            if report.number > self._last_number:  # an older one was stored after it, when the disk was right again
                self._last_number, self._last_sha256 = report.number, hashlib.sha256(report.payload).digest()

    def append(self, record: AiringRecord | FaultRecord) -> list[Effect]:
        """Number, chain and sign a record; it is sent once it is stored."""
        self._note_open(record)
        number = self._last_number + 1
        report = Report(node=self._node, number=number, previous_sha256=self._last_sha256, record=record)
        payload = seal(report, signer=self._signer, topic=self._topic)
        self._last_number, self._last_sha256 = number, hashlib.sha256(payload).digest()
        self._waiting[number] = _Waiting(payload, is_stored=False, is_airing=isinstance(record, AiringRecord))
        effects: list[Effect] = [self._store(number)]
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
        waiting.is_stored = True
        if self._is_unanswered_long(now):
            self._resend_ms = RESEND_MS
            self._forget_sending()
        failed = [each for each, older in self._waiting.items() if each < number and not older.is_stored]
        return [*(self._store(each) for each in failed[:WINDOW]), *self._send(now)]

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

    def acknowledged(self, stored_number: int, now: Now) -> list[Effect]:
        """The controller has stored everything up to a number."""
        known = tuple(number for number in self._waiting if number <= stored_number)
        for number in known:
            del self._waiting[number]
        if not known:
            return []
        self._resend_ms = RESEND_MS
        self._resend_at = None
        return [ForgetReports(numbers=known), *self._send(now)]

    def wake(self, now: Now) -> list[Effect]:
        """Send again what has gone unanswered, and try again to store what could not be stored."""
        if self._resend_at is None or now.monotonic_ns < self._resend_at:
            return []
        self._resend_at = None
        self._resend_ms = min(2 * self._resend_ms, RESEND_MS_MAX)
        self._forget_sending()
        unstored = [number for number, waiting in self._waiting.items() if not waiting.is_stored]
        return [*(self._store(number) for number in unstored[:WINDOW]), *self._send(now)]

    def store_failed(self, now: Now) -> None:
        """Storing a report failed; it is tried again with the next resend."""
        if self._resend_at is None:
            self._resend_at = self._later(now)

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
        for waiting in list(self._waiting.values())[:WINDOW]:
            if not waiting.is_stored:
                break
            if waiting.sent_at is None:
                waiting.sent_at = now.monotonic_ns
                effects.append(Publish(topic=self._topic, payload=waiting.payload, qos=row.qos, retain=row.retain))
        if self._waiting and self._resend_at is None:
            self._resend_at = self._later(now)
        return effects

    def _store(self, number: int) -> StoreReport:
        payload = self._waiting[number].payload
        return StoreReport(
            number=number,
            payload=payload,
            sha256=hashlib.sha256(payload).digest(),
            open_airing=self._open_airing,
        )

    def _note_open(self, record: AiringRecord | FaultRecord) -> None:
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
        excess = len(self._waiting) - REPORTS_MAX
        if excess <= 0:
            return ()
        dropped = tuple(number for number, waiting in self._waiting.items() if waiting.is_airing)[:excess]
        for number in dropped:
            del self._waiting[number]
        return dropped


def _is_airing(payload: bytes, report_topic: str) -> bool:
    """Whether a restored report of our own carries an airing record."""
    report: Report = cbor_decode(open_sealed(payload, topic=report_topic).payload, Report)
    return isinstance(report.record, AiringRecord)
