"""What media the node must have, and the next file to fetch.

Decides order and repetition; it leaves the fetching, its bounds and what may be evicted to the media store.

Rules kept:
- what a standing emergency needs comes first, then the bodies of plans, then prepared clips, then the plan in the order
  of its starts;
- one file at a time: a village's line is slow, and the first need is the most urgent;
- after a failure a file waits: twice as long each time, with a jitter of its own, so that a fleet does not
  come back in step; a full disk or a file that is too large waits longest, for only a person can help.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from edge.effects import FetchMedia
from edge.errors import MediaFailure
from protocol.plan import Fetchable, MediaReference
from protocol.units import NS_PER_MS, MonotonicNs, Now

RETRY_MS: Final = 2_000
"""The first wait after a failure."""
RETRY_MS_MAX: Final = 300_000
"""The longest wait while the server may come back or the file may yet be put there."""
HOPELESS_MS: Final = 900_000
"""The wait when trying again alone will not help: disk full, file larger than allowed."""
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
        self._fetching: str | None = None
        self._troubles: dict[str, _Trouble] = {}

    @property
    def missing(self) -> int:
        """Needed files that are not on the disk."""
        return sum([reference.sha256 not in self._present for reference in self._needed])

    @property
    def troubled(self) -> dict[str, str]:
        """Needed files that could not be fetched, with the reason."""
        return {sha256: trouble.reason for sha256, trouble in self._troubles.items()}

    def has(self, sha256: str) -> bool:
        """Whether a file is on the disk."""
        return sha256 in self._present

    def restore(self, present: Iterable[str]) -> None:
        """Take in what is on the disk at the start."""
        self._present = set(present)

    def require(self, references: Sequence[Fetchable]) -> None:
        """Take in what is needed now, the most urgent first."""
        unique = {reference.sha256: reference for reference in reversed(references)}
        self._needed = tuple(dict.fromkeys(unique[reference.sha256] for reference in references))
        self._troubles = {sha256: trouble for sha256, trouble in self._troubles.items() if sha256 in unique}

    def fetched(self, sha256: str, evicted: Iterable[str]) -> None:
        """A file has arrived."""
        self._present.difference_update(evicted)
        self._present.add(sha256)
        self._troubles.pop(sha256, None)
        self._done(sha256)

    def body_fetched(self, sha256: str, evicted: Iterable[str]) -> None:
        """A plan's body has arrived; it is no file here."""
        self._present.difference_update((*evicted, sha256))
        self._troubles.pop(sha256, None)
        self._done(sha256)

    def failed(self, sha256: str, reason: MediaFailure, now: Now) -> None:
        """A file did not arrive."""
        self._done(sha256)
        self._wait(sha256, reason.value, now, is_hopeless=reason in _HOPELESS)

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

    def next_fetch(self, now: Now) -> FetchMedia | None:
        """The file to fetch now, if none is under way."""
        if self._fetching is not None:
            return None
        for reference in self._needed:
            trouble = self._troubles.get(reference.sha256)
            if self._is_here(reference) or (trouble is not None and trouble.again_at > now.monotonic_ns):
                continue
            self._fetching = reference.sha256
            return FetchMedia(reference=reference, keep=frozenset(each.sha256 for each in self._needed))
        return None

    def next_deadline(self) -> MonotonicNs | None:
        """When a failed file is tried again; None while one is under way."""
        if self._fetching is not None or not self._troubles:
            return None
        return min((trouble.again_at for trouble in self._troubles.values()), default=None)

    def _is_here(self, reference: Fetchable) -> bool:
        """A body that is needed is never here, whatever stands on the disk under its hash."""
        return isinstance(reference, MediaReference) and reference.sha256 in self._present

    def _done(self, sha256: str) -> None:
        if self._fetching == sha256:
            self._fetching = None

    def _wait(self, sha256: str, reason: str, now: Now, *, is_hopeless: bool) -> None:
        before = self._troubles.get(sha256)
        attempts = 1 if before is None else before.attempts + 1
        bound_ms = min(RETRY_MS_MAX, RETRY_MS * 2 ** min(attempts - 1, 16))
        wait_ms = HOPELESS_MS if is_hopeless else bound_ms
        share = zlib.crc32(f"{self._node}:{sha256}:{attempts}".encode()) % JITTER_PARTS / JITTER_PARTS
        again_at = MonotonicNs(now.monotonic_ns + int(wait_ms * (0.5 + 0.5 * share)) * NS_PER_MS)
        self._troubles[sha256] = _Trouble(attempts=attempts, again_at=again_at, reason=reason)
