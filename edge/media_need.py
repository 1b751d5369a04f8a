"""What media the node must have, and the next file to fetch.

Decides order and repetition; it leaves the fetching and its bounds to the media store, and how many bytes a day may
take to `fetch_budget`.

Rules kept:
- what a standing emergency needs comes first, then the bodies of plans, then prepared clips, then the plan in the order
  of its starts; all but the last is urgent: it needs no budget, and for its sake what the plan needs last may go;
- one file at a time: a village's line is slow, and the first need is the most urgent; a large file of the plan comes in
  slices, so that what is urgent waits for one at most;
- after a failure a file waits: twice as long each time, with a jitter of its own, so that a fleet does not
  come back in step; a full disk or a file that is too large waits longest, for only a person can help.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge.assignment import Place
from edge.effects import Effect, FetchMedia
from edge.errors import MediaFailure
from edge.events import BodyFetched, MediaFailed, MediaFetched, Restored
from edge.fetch_budget import FetchBudget
from edge.player.arbiter import Reason
from protocol.plan import Fetchable, MediaReference
from protocol.units import NS_PER_MS, MonotonicNs, Now

RETRY_MS: Final = 2_000
"""The first wait after a failure."""
RETRY_MS_MAX: Final = 300_000
"""The longest wait while the server may come back or the file may yet be put there."""
HOPELESS_MS: Final = 900_000
"""The wait when trying again alone will not help: disk full, file larger than allowed."""
SLICE_BYTES: Final = 4 * 1024 * 1024
"""How much of a file of the plan comes at once: ten seconds of a good 4G line, a minute of a bad one."""
JITTER_PARTS: Final = 1_000
_HOPELESS: Final = frozenset({MediaFailure.DISK_FULL, MediaFailure.TOO_LARGE})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trouble:
    attempts: int
    again_at: MonotonicNs
    reason: str


class MediaNeed:
    """The media of one node."""

    def __init__(self, *, node: str) -> None:
        self._node = node
        self._present: set[str] = set()
        self._needed: tuple[Fetchable, ...] = ()
        self._urgent: frozenset[str] = frozenset()
        self._budget: Final = FetchBudget()
        self._is_used_up = False
        """Whether something waits for the next day's budget, which begins then, if anybody knows the time."""
        self._renews_at: MonotonicNs | None = None
        self._fetching: str | None = None
        self._troubles: dict[str, _Trouble] = {}

    @property
    def missing(self) -> int:
        """Needed files that are not on the disk."""
        return sum([reference.sha256 not in self._present for reference in self._needed])

    @property
    def troubled(self) -> dict[str, str]:
        """Needed files that could not be fetched, with the reason."""
        if not (self._troubles or self._is_used_up):
            return {}  # as nearly always, and asked for at every event
        found = {sha256: trouble.reason for sha256, trouble in self._troubles.items()}
        return {**dict.fromkeys(self._held(), Reason.FETCH_BUDGET.value), **found}

    @property
    def fetched_today(self) -> tuple[int, int] | None:
        """How many bytes have come today, and how many may; None without a budget."""
        limit_bytes = self._budget.limit_bytes
        return None if limit_bytes is None else (self._budget.fetched_bytes, limit_bytes)

    def has(self, sha256: str) -> bool:
        """Whether a file is on the disk."""
        return sha256 in self._present

    def lacks(self, sha256: str) -> Reason | None:
        """Why a file is not here; None when it is."""
        if sha256 in self._present:
            return None
        return Reason.FETCH_BUDGET if sha256 in self._held() else Reason.MEDIA_MISSING

    def restore(self, restored: Restored) -> None:
        """Take in what is on the disk at the start, and what had been fetched that day."""
        self._present = set(restored.media)
        self._budget.restore(restored)

    def require(self, urgent: Sequence[Fetchable], planned: Sequence[Fetchable], place: Place) -> None:
        """Take in what is needed now, the most urgent first, and what the place allows."""
        references = (*urgent, *planned)
        unique = {reference.sha256: reference for reference in reversed(references)}
        self._needed = tuple(dict.fromkeys(unique[reference.sha256] for reference in references))
        self._urgent = frozenset(reference.sha256 for reference in urgent)
        self._troubles = {sha256: trouble for sha256, trouble in self._troubles.items() if sha256 in unique}
        self._budget.use(place)

    def fetched(self, event: MediaFetched) -> None:
        """A file has arrived."""
        self._present.difference_update(event.evicted)
        self._present.add(event.sha256)
        self._troubles.pop(event.sha256, None)
        self._done(event)

    def body_fetched(self, event: BodyFetched) -> None:
        """A plan's body has arrived; it is no file here."""
        self._present.difference_update((*event.evicted, event.sha256))
        self._troubles.pop(event.sha256, None)
        self._done(event)

    def failed(self, event: MediaFailed, now: Now) -> None:
        """A file did not arrive, or only in part."""
        self._done(event)
        if event.reason is MediaFailure.WRONG_HASH:
            self._present.discard(event.sha256)  # one on the card, too, that has rotted
        if event.reason is not MediaFailure.PARTLY:
            self._wait(event.sha256, event.reason.value, now, is_hopeless=event.reason in _HOPELESS)

    def damaged(self, sha256: str, now: Now) -> None:
        """A file on the disk cannot be played: it is fetched again."""
        self._present.discard(sha256)
        self._wait(sha256, "damaged", now, is_hopeless=False)

    def hurry(self) -> None:
        """The network is back: what could not be reached is tried again at once."""
        self._troubles = {
            sha256: trouble
            for sha256, trouble in self._troubles.items()
            if trouble.reason != MediaFailure.UNREACHABLE.value
        }

    def next_fetch(self, now: Now) -> tuple[Effect, ...]:
        """The file to fetch now, if none is under way, and what is to be kept of the day's count."""
        if self._fetching is not None:
            return ()
        self._is_used_up, self._renews_at = False, None
        for reference in self._needed:
            trouble = self._troubles.get(reference.sha256)
            if self._is_here(reference) or (trouble is not None and trouble.again_at > now.monotonic_ns):
                continue
            if reference.sha256 in self._urgent:
                return (*self._budget.keep(), self._fetch(reference, None))
            left_bytes = self._budget.left_bytes(now)
            if left_bytes == 0:
                self._is_used_up, self._renews_at = True, self._budget.renews_at(now)
                break
            allowed_bytes = SLICE_BYTES if left_bytes is None else min(SLICE_BYTES, left_bytes)
            self._budget.reserve(min(allowed_bytes, reference.size_bytes))
            is_in_slices = allowed_bytes < reference.size_bytes
            return (*self._budget.keep(), self._fetch(reference, allowed_bytes if is_in_slices else None))
        return self._budget.keep()

    def next_deadline(self) -> MonotonicNs | None:
        """When a failed file is tried again, or the budget is new; None while one is under way."""
        if self._fetching is not None:
            return None
        waits = [trouble.again_at for trouble in self._troubles.values()]
        return min([*waits, *(() if self._renews_at is None else (self._renews_at,))], default=None)

    def _fetch(self, reference: Fetchable, bytes_max: int | None) -> FetchMedia:
        """Ask for a file; for what is urgent the plan's own files may go, those it needs last before the others."""
        self._fetching = reference.sha256
        if reference.sha256 not in self._urgent:
            keep = frozenset(each.sha256 for each in self._needed)
            return FetchMedia(reference=reference, keep=keep, bytes_max=bytes_max)
        spare = tuple(each.sha256 for each in reversed(self._needed) if each.sha256 not in self._urgent)
        return FetchMedia(reference=reference, keep=self._urgent, spare=spare, bytes_max=bytes_max)

    def _held(self) -> frozenset[str]:
        """What waits for the next day's budget."""
        if not self._is_used_up:
            return frozenset()
        waiting = (each.sha256 for each in self._needed if not self._is_here(each))
        return frozenset(sha256 for sha256 in waiting if sha256 not in self._urgent and sha256 not in self._troubles)

    def _is_here(self, reference: Fetchable) -> bool:
        """A body that is needed is never here, whatever stands on the disk under its hash."""
        return isinstance(reference, MediaReference) and reference.sha256 in self._present

    def _done(self, event: MediaFetched | BodyFetched | MediaFailed) -> None:
        if self._fetching == event.sha256:
            self._fetching = None
            self._budget.came(event.received_bytes)

    def _wait(self, sha256: str, reason: str, now: Now, *, is_hopeless: bool) -> None:
        before = self._troubles.get(sha256)
        attempts = 1 if before is None else before.attempts + 1
        bound_ms = min(RETRY_MS_MAX, RETRY_MS * 2 ** min(attempts - 1, 16))
        wait_ms = HOPELESS_MS if is_hopeless else bound_ms
        share = zlib.crc32(f"{self._node}:{sha256}:{attempts}".encode()) % JITTER_PARTS / JITTER_PARTS
        again_at = MonotonicNs(now.monotonic_ns + int(wait_ms * (0.5 + 0.5 * share)) * NS_PER_MS)
        self._troubles[sha256] = _Trouble(attempts=attempts, again_at=again_at, reason=reason)
