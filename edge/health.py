"""What is wrong, on record: raises and clears faults, and puts each change into the outbox and the log.

The faults themselves are kept by `gpio.faults`, the records by `outbox`. Faults that are a state of another
room (media that do not arrive, reports that had to go, a clock that is unknown, plans that are over) are watched here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from edge.effects import Effect, LogDecision, LogLevel
from edge.errors import MediaFailure
from edge.gpio.amplifier import Amplifier, AmplifierState
from edge.gpio.faults import Fault, Faults
from edge.media_need import MediaNeed
from edge.outbox import Outbox
from protocol.messages import FaultRecord
from protocol.units import NS_PER_MS, MonotonicNs, Now, SharedMs, SharedNs

FREE_BYTES_LOW: Final = 16 * 1024 * 1024
"""Less room than this on the card is as good as none: the system's own logs grow by as much in an hour."""
TAKEN_OVER: Final = "taken over"
"""What every broker says with reason code 0x8E (MQTT 5, 4.13): somebody else has connected under this name."""
TAKEN_OVER_MS: Final = 1_800_000
"""Two that share a name throw each other out within a minute or two; half an hour without it is peace."""
PLANLESS_MS: Final = 600_000
"""A node that was just assigned, or has come back after weeks, has its plan within seconds."""


class Health:
    """The health of one node."""

    def __init__(self, *, outbox: Outbox, media: MediaNeed) -> None:
        self.faults: Final = Faults()
        self._outbox = outbox
        self._media = media
        self._dropped = 0
        self.taken_over = 0
        """How often somebody else took the connection, in this run."""
        self._taken_over_at: MonotonicNs | None = None
        self._planless_since: MonotonicNs | None = None
        self._look_at: MonotonicNs | None = None

    def next_deadline(self) -> MonotonicNs | None:
        """When the plans are over, or have been for so long that somebody must know."""
        return self._look_at

    def fault(self, fault: Fault, detail: str, now: Now) -> list[Effect]:
        """Something is wrong; nothing follows if that is known already."""
        return self._report(self.faults.raise_fault(fault, detail, now.shared_ms))

    def cleared(self, fault: Fault, now: Now) -> list[Effect]:
        """Something is right again; nothing follows if it was not wrong."""
        if not self.faults.is_active(fault):
            return []
        return self._report(self.faults.clear(fault, "right again", now.shared_ms))

    def disconnected(self, reason: str, now: Now) -> list[Effect]:
        """The connection has ended; by the broker's words, perhaps because another has come under our name."""
        if TAKEN_OVER not in reason:
            return []
        self.taken_over += 1
        self._taken_over_at = now.monotonic_ns
        return self.fault(Fault.TAKEN_OVER, "another unit has connected under this node's name and certificate", now)

    def cut_off(self, last_number: int, now: Now) -> list[Effect]:
        """The run before did not end in good order: what it neither stored nor sent is lost, uncounted."""
        detail = f"the run before ended suddenly: what it noted after report {last_number} and had not sent is lost"
        record = FaultRecord(fault=Fault.CUT_OFF.value, active=False, detail=detail, at_ms=now.shared_ms)
        log = LogDecision(decision="cut off", fields=(("last_number", last_number),), level=LogLevel.WARNING)
        return [log, *self._outbox.append(record)]

    def watch(self, amplifier: Amplifier, free_bytes: int | None, now: Now) -> list[Effect]:
        """Raise and clear what follows from the state of other rooms; `free_bytes` None: not measured yet."""
        troubled = self._media.troubled
        effects = self._watch_room(free_bytes, troubled, now)
        since = self._taken_over_at
        if since is not None and now.monotonic_ns - since >= TAKEN_OVER_MS * NS_PER_MS:
            self._taken_over_at = None
            effects += self.cleared(Fault.TAKEN_OVER, now)
        if amplifier.state is AmplifierState.ON:
            effects += self.cleared(Fault.AMPLIFIER, now)
        if now.is_time_known:
            effects += self.cleared(Fault.CLOCK_UNKNOWN, now)
        else:
            effects += self.fault(Fault.CLOCK_UNKNOWN, "the clock is wrong: wait for NTP, or set it", now)
        troubles = {why for why in troubled.values() if why != MediaFailure.UNREACHABLE.value}
        if troubles:
            effects += self.fault(Fault.MEDIA, f"files that did not arrive: {', '.join(sorted(troubles))}", now)
        else:
            effects += self.cleared(Fault.MEDIA, now)
        if self._outbox.dropped > self._dropped:
            self._dropped = self._outbox.dropped
            detail = f"the {self._dropped} oldest airing records had to go: nobody has taken them for long"
            effects += self.fault(Fault.REPORTS_DROPPED, detail, now)
        elif self._outbox.waiting == 0:
            effects += self.cleared(Fault.REPORTS_DROPPED, now)
        return effects

    def watch_plans(self, until_ms: SharedMs | None, now: Now, *, is_assigned: bool) -> list[Effect]:
        """A pole that is to sound and has no plan is silent and looks well: somebody must know.

        `until_ms` is how far the plan that ends first reaches; None: there is none.
        """
        if not is_assigned or not now.is_time_known:
            self._planless_since = self._look_at = None
            return []
        if until_ms is not None and until_ms > now.shared_ms:
            self._planless_since, self._look_at = None, now.monotonic_at(SharedNs(until_ms * NS_PER_MS))
            return self.cleared(Fault.PLAN_ENDED, now)
        if self._planless_since is None:
            self._planless_since = now.monotonic_ns
        due_at = MonotonicNs(self._planless_since + PLANLESS_MS * NS_PER_MS)
        self._look_at = None if now.monotonic_ns >= due_at else due_at
        if self._look_at is not None:
            return []
        what = "no plan has come" if until_ms is None else "a plan of this place, or of one above it, has ended"
        return self.fault(Fault.PLAN_ENDED, f"{what}: what it should say will not sound until a newer one comes", now)

    def _watch_room(self, free_bytes: int | None, troubled: Mapping[str, str], now: Now) -> list[Effect]:
        if free_bytes is not None and free_bytes < FREE_BYTES_LOW:
            detail = f"{free_bytes} bytes are free on the card: counters and reports live on what is reserved for them"
            return self.fault(Fault.DISK_FULL, detail, now)
        if MediaFailure.DISK_FULL.value in troubled.values():
            return self.fault(Fault.DISK_FULL, "files that are needed find no room", now)
        return self.cleared(Fault.DISK_FULL, now)

    def _report(self, record: FaultRecord | None) -> list[Effect]:
        if record is None:
            return []
        log = LogDecision(
            decision="fault" if record.active else "fault over",
            fields=(("fault", record.fault), ("detail", record.detail)),
            level=LogLevel.ERROR if record.active else LogLevel.INFO,
        )
        return [log, *self._outbox.append(record)]
