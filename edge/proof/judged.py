"""Which planned items have a record, on disk with that record, so that none is lost in a power cut and none told twice.

An item is judged when a record says that it began, was missed or was refused. Whoever starts anew compares what the
plans say was due with what is judged: the rest fell into a time without power, without a trusted clock, or came with a
plan that was too late, and is put on record as missed, with that reason.

Rules kept:
- what is judged becomes durable in the very transaction of its record (`StoreReport.notes`), never before or after it;
- an item that ended at or before the floor counts as judged: that is where a node began to know anything, and it
  rises with what is put on record, KEPT_MS behind it, and further where more than JUDGED_MAX are known;
- nothing is judged while the time is not known; an item that still lasts is left to the studio;
- what a clock that was set has skipped is looked for SET_MS later: most are put right by then, and the item comes yet;
- what came with a plan is due only if it begins when the plan had been signed: nobody misses what nobody had planned;
- at most BATCH records are made in one go, those that ended first, so that a week's worth delays no emergency.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from typing import Final

from edge.clock.watch import ClockWatch
from edge.player.arbiter import Reason
from edge.player.proof import missed
from protocol.candidate import Candidate
from protocol.messages import AiringRecord, AiringState
from protocol.units import NS_PER_MS, MonotonicNs, Now, SharedMs

NOTE: Final = "judged"
"""The name of the note in the node's store."""
JUDGED_MAX: Final = 256
"""Items that are known one by one, 16 bytes each: more than a busy pole has in KEPT_MS."""
KEPT_MS: Final = 36 * 3600 * 1000
"""How long before the latest one items are known one by one; a plan is signed anew each day, so none is later."""
BATCH: Final = 64
"""Missed items put on record in one go; each is signed and stored, some 35 ms of a usual card."""
BATCH_WAIT_MS: Final = 2_000
"""Until the next ones: the card has stored those before."""
AHEAD_MS: Final = 60_000
"""A floor that lies further ahead than this of a trusted clock is that of a clock that was wrong."""
SET_MS: Final = 600_000
"""A clock that was set wrong is put right within minutes, once the controller or a time server is heard."""
_VERSION: Final = b"\x01"
_HEAD: Final = struct.Struct(">q")
_ITEM: Final = struct.Struct(">8sq")


class Judged:
    """What of the plans has a record. `note` is what must be stored with the next record."""

    def __init__(self) -> None:
        self._floor_ms: int | None = None
        self._ends_ms: dict[bytes, int] = {}
        self._booted_at = MonotonicNs(0)
        self._looked_at: tuple[Candidate, ...] | None = None
        self._known_since_ms: SharedMs | None = None
        self._lost: list[Candidate] = []
        self._is_new = False
        self._more_at: MonotonicNs | None = None
        self._clock: Final = ClockWatch()
        self._again_at: MonotonicNs | None = None

    def take_new(self) -> bool:
        """Whether a floor was laid just now, and the note must be stored without waiting for a record."""
        was_new, self._is_new = self._is_new, False
        return was_new

    @property
    def note(self) -> bytes:
        """What is judged, in at most 4 KiB."""
        items = sorted(self._ends_ms.items(), key=lambda each: each[1])
        return b"".join((_VERSION, _HEAD.pack(self._floor_ms or 0), *(_ITEM.pack(*item) for item in items)))

    def restore(self, note: bytes | None, now: Now) -> None:
        """Take in what was stored; damaged or of another version it says nothing, and the node begins anew."""
        self._booted_at = now.monotonic_ns
        size = 0 if note is None else len(note) - len(_VERSION) - _HEAD.size
        if note is None or note[:1] != _VERSION or size < 0 or size % _ITEM.size or size // _ITEM.size > JUDGED_MAX:
            return
        floor_ms = _HEAD.unpack_from(note, len(_VERSION))[0]
        self._floor_ms = floor_ms or None
        for key, ends_ms in _ITEM.iter_unpack(note[len(_VERSION) + _HEAD.size :]):
            self._ends_ms[key] = ends_ms

    def knows(self, key: str) -> bool:
        """Whether a planned item has a record."""
        return _short(key) in self._ends_ms

    def recorded(self, key: str, ends_ms: int) -> None:
        """A planned item has a record that says what became of it; it ends, or would have ended, at `ends_ms`."""
        self._ends_ms[_short(key)] = ends_ms
        floor_ms = max(self._floor_ms or 0, ends_ms - KEPT_MS)
        while len(self._ends_ms) > JUDGED_MAX:
            oldest = min(self._ends_ms, key=self._ends_ms.__getitem__)
            floor_ms = max(floor_ms, self._ends_ms.pop(oldest))
        self._floor_ms = floor_ms
        self._ends_ms = {short: ends for short, ends in self._ends_ms.items() if ends > floor_ms}

    def next_deadline(self) -> MonotonicNs | None:
        """When there is more to put on record, or what a clock has skipped is looked for."""
        return min((wait for wait in (self._more_at, self._again_at) if wait is not None), default=None)

    def settle(self, planned: tuple[Candidate, ...], now: Now) -> tuple[tuple[Candidate, AiringRecord], ...]:
        """What has ended, as the plans say, and has no record; looked for when plans or the time change.

        `planned` is all that the plans in force say, by its start; the same value as long as they have not changed.
        Each is to be given back by `recorded`. The studio must have settled before, so that it has told of its own.
        """
        was_set = self._clock.look(now)
        if not now.is_time_known:
            self._looked_at = self._known_since_ms = self._again_at = None
            return ()
        if was_set:
            is_set_anew, self._known_since_ms = self._known_since_ms is not None, now.shared_ms
            self._again_at = MonotonicNs(now.monotonic_ns + SET_MS * NS_PER_MS) if is_set_anew else None
        is_again = self._again_at is not None and now.monotonic_ns >= self._again_at
        if self._floor_ms is None or self._floor_ms > now.shared_ms + AHEAD_MS:
            self._floor_ms, self._is_new = now.shared_ms, True
        if planned is not self._looked_at or is_again:
            self._looked_at, self._again_at = planned, None if is_again else self._again_at
            known = {_short(each.key) for each in self._lost}
            self._lost += [each for each in self._unjudged(planned, now.shared_ms) if _short(each.key) not in known]
            self._lost.sort(key=lambda each: each.ends_at_ms)
        elif not self._lost or (self._more_at is not None and now.monotonic_ns < self._more_at):
            return ()
        batch, self._lost = self._lost[:BATCH], self._lost[BATCH:]
        self._more_at = MonotonicNs(now.monotonic_ns + BATCH_WAIT_MS * NS_PER_MS) if self._lost else None
        return tuple((each, missed(each, AiringState.MISSED, self._why(each, now), now)) for each in batch)

    def _unjudged(self, planned: Iterable[Candidate], now_ms: SharedMs) -> Iterator[Candidate]:
        floor_ms = self._floor_ms or 0
        for each in planned:
            if each.starts_at_ms > now_ms:
                break
            is_over = floor_ms < each.ends_at_ms <= now_ms and each.starts_at_ms >= each.planned_at_ms
            if is_over and _short(each.key) not in self._ends_ms:
                yield each

    def _why(self, candidate: Candidate, now: Now) -> Reason:
        """Off, if the item had begun before the node did; then what it did not know in time: the hour, or the plan."""
        if candidate.starts_at_ms < now.shared_at(self._booted_at) // NS_PER_MS:
            return Reason.POWER_OFF
        is_timed = self._known_since_ms is not None and candidate.ends_at_ms > self._known_since_ms
        return Reason.LATE_PLAN if is_timed else Reason.CLOCK_UNKNOWN


def _short(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()[:8]
