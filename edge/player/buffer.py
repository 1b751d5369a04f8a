"""The jitter buffer: Opus frames by the grid sample at which they sound.

It takes frames in any order, twice, or too late, and holds a bounded number of them within a bounded time
ahead of their arrival. It decodes nothing and knows no sender: where a frame belongs on the grid is decided by
`stream_source`. A buffer that nobody reads (its stream is pre-empted) lets go of what has passed by itself.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from protocol.units import FRAME_SAMPLES, SAMPLE_RATE_HZ

AHEAD_SAMPLES_MAX: Final = 10 * SAMPLE_RATE_HZ
"""How far ahead of its arrival a frame may sound: ten times a relay's group delay; more is a wrong clock or index."""
FRAMES_MAX: Final = AHEAD_SAMPLES_MAX // FRAME_SAMPLES + 2
"""One frame for each place within reach (at most 1275 bytes each: 640 kB)."""


class Verdict(StrEnum):
    """What became of a frame; the names of the stream's counters."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    LATE = "late"
    TOO_EARLY = "too_early"


class Taken(NamedTuple):
    """A frame whose instant has come."""

    start: int
    epoch: int
    frame: bytes


class JitterBuffer:
    """Frames waiting for their instant; `_position`, where one was last asked for, is unknown until the first take."""

    def __init__(self) -> None:
        self._frames: dict[int, tuple[int, bytes]] = {}
        self._position: int | None = None

    def __len__(self) -> int:
        return len(self._frames)

    def judge(self, start: int, *, arrived_at: int) -> Verdict:
        """What would become of a frame that sounds from grid sample `start` and came when `arrived_at` sounded."""
        if start + FRAME_SAMPLES <= arrived_at or (self._position is not None and start <= self._position):
            return Verdict.LATE
        if start > arrived_at + AHEAD_SAMPLES_MAX:
            return Verdict.TOO_EARLY
        return Verdict.DUPLICATE if start in self._frames else Verdict.ACCEPTED

    def put(self, start: int, epoch: int, frame: bytes, *, arrived_at: int) -> Verdict:
        """Keep a frame of an epoch, if it is judged to be of use."""
        verdict = self.judge(start, arrived_at=arrived_at)
        if verdict is Verdict.ACCEPTED:
            self._frames[start] = (epoch, frame)
            self._drop_passed(arrived_at)
        return verdict

    def take(self, position: int) -> Taken | None:
        """The frame that covers `position`, removed; None when that frame is not here."""
        self._position = position
        start = position if position in self._frames else self._covering(position)
        if start is None:
            return None
        epoch, frame = self._frames.pop(start)
        return Taken(start, epoch, frame)

    def before(self, start: int, epoch: int, count: int) -> list[bytes]:
        """Up to `count` frames of an epoch that lead up to `start` without a gap, as far as they are still held."""
        found: list[bytes] = []
        for place in range(start - FRAME_SAMPLES, start - (count + 1) * FRAME_SAMPLES, -FRAME_SAMPLES):
            held = self._frames.get(place)
            if held is None or held[0] != epoch:
                break
            found.append(held[1])
        return found[::-1]

    @property
    def waiting(self) -> int:
        """How many frames wait for their instant; those that passed unread do not count."""
        position = self._position
        return len(self._frames) if position is None else sum(start > position for start in self._frames)

    def end_of(self, start: int) -> int:
        """Where a frame that begins at `start` ends: after 20 ms, or where one of another grid begins earlier."""
        end = start + FRAME_SAMPLES
        if end in self._frames:
            return end
        return min((place for place in self._frames if start < place < end), default=end)

    def drop_from(self, start: int) -> None:
        """Forget all frames that begin at `start` or later: another epoch sounds there."""
        self._frames = {place: frame for place, frame in self._frames.items() if place < start}

    def _covering(self, position: int) -> int | None:
        reach = range(position - FRAME_SAMPLES + 1, position)
        return max((start for start in self._frames if start in reach), default=None)

    def _drop_passed(self, arrived_at: int) -> None:
        """Drop what has passed unread; frames mostly stand in order, so this looks at one or two of them."""
        while (earliest := next(iter(self._frames))) + FRAME_SAMPLES <= arrived_at:
            del self._frames[earliest]
        while len(self._frames) > FRAMES_MAX:
            del self._frames[min(self._frames)]
