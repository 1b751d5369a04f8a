"""How many bytes of media the node's SIM may still fetch today; the count outlives a restart and a power cut.

Decides how much of the next file may come, and when there is more. It leaves to `media_need` what is free of it.

Rules kept:
- bytes are counted before they come: what may arrive next is reserved on the disk, and set right when it has, so that
  a power cut costs the place at most one reservation and gives it nothing;
- a day is the place's local one; while nobody knows the time the last one goes on;
- without a budget nothing is counted and nothing written.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from edge.assignment import Place
from edge.effects import Effect, KeepNote
from edge.events import Restored
from protocol.air_time import local_day
from protocol.codec import cbor_decode, cbor_encode
from protocol.document import Counter, Milliseconds
from protocol.errors import Refusal
from protocol.units import NS_PER_MS, MonotonicNs, Now, SharedNs

NOTE: Final = "fetched"
"""Under which name the store keeps the count."""


class Fetched(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was fetched in the local day that began then; as it stands in the note."""

    day_begins_ms: Milliseconds = 0
    bytes: Counter = 0


class FetchBudget:
    """The budget of one node."""

    def __init__(self) -> None:
        self.limit_bytes: int | None = None
        self._time_zone = "UTC"
        self._fetched = Fetched()
        self._reserved_bytes = 0
        self._kept: Fetched | None = None
        """What the disk was last told."""

    def use(self, place: Place) -> None:
        """The place allows so much."""
        self.limit_bytes, self._time_zone = place.fetch_bytes_a_day_max, place.time_zone

    def restore(self, restored: Restored) -> None:
        """Take in the count that was kept; without one that can be read the day begins anew."""
        try:
            self._fetched = cbor_decode(restored.note(NOTE), Fetched)
        except Refusal:
            self._fetched = Fetched()
        self._kept = self._fetched

    def left_bytes(self, now: Now) -> int | None:
        """How much may still come today; None: as much as there is."""
        if self.limit_bytes is None:
            return None
        self._roll(now)
        return max(0, self.limit_bytes - self._fetched.bytes)

    @property
    def fetched_bytes(self) -> int:
        """How much has come today, as far as it counts."""
        return self._fetched.bytes

    def reserve(self, wanted_bytes: int) -> None:
        """So much may come next."""
        self._reserved_bytes = 0 if self.limit_bytes is None else wanted_bytes

    def came(self, received_bytes: int) -> None:
        """So much of what was reserved has come."""
        if self._reserved_bytes:
            self._reserved_bytes = 0
            self._fetched = Fetched(
                day_begins_ms=self._fetched.day_begins_ms, bytes=self._fetched.bytes + received_bytes
            )

    def keep(self) -> tuple[Effect, ...]:
        """What the disk is to know now."""
        if self.limit_bytes is None:
            return ()
        counted = Fetched(day_begins_ms=self._fetched.day_begins_ms, bytes=self._fetched.bytes + self._reserved_bytes)
        if counted == self._kept:
            return ()
        self._kept = counted
        return (KeepNote(name=NOTE, payload=cbor_encode(counted)),)

    def renews_at(self, now: Now) -> MonotonicNs | None:
        """When the next day begins; None while nobody knows the time."""
        if not now.is_time_known:
            return None
        _, midnight_ms = local_day(self._time_zone, now.shared_ms)
        return now.monotonic_at(SharedNs(midnight_ms * NS_PER_MS))

    def _roll(self, now: Now) -> None:
        if not now.is_time_known:
            return
        begins_ms, _ = local_day(self._time_zone, now.shared_ms)
        if begins_ms != self._fetched.day_begins_ms:
            self._fetched = Fetched(day_begins_ms=begins_ms)
