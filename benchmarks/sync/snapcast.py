"""The peer's published method: Snapcast's clock and playout, written anew from its description.

From its README and its documents of the protocol: the client asks for the time on the media connection, at first fifty
times in a row, then once a second; half the difference of the two ways is a sample, and the median of the last 200
samples is what lies between the two clocks. A chunk sounds when it is as old as the buffer (1 s); how far the sound
is from that ("age") is watched by medians over the last 20, 100 and 500 blocks, and single frames are dropped or
doubled, 500 ppm at most. Where a median is too far off it starts again from the right place. The figures of these
rules are its defaults.
No line of it was taken over; what differs is told in docs/player.md.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from protocol.units import NS_PER_S, SAMPLE_RATE_HZ

CLOCK_SAMPLES: Final = 200
FIRST_QUESTIONS: Final = 50
QUESTION_NS: Final = NS_PER_S
CLOCK_FORGOTTEN_NS: Final = 60 * NS_PER_S
BUFFER_US: Final = 1_000_000
SOFT_US: Final = 100
"""Below this the sound is left alone."""
SOFT_SINGLE_US: Final = 50
"""The last blocks and this one must agree with the median in sign, by so much."""
SOFT_SHARE_A_US: Final = 0.5e-6
"""Correction for each microsecond of the median."""
SOFT_SHARE_MAX: Final = 500e-6
HARD_SINGLE_US: Final = 500
HARD_US: Final = ((500, 2_000), (100, 5_000), (20, 50_000))
"""Blocks of a median and from where on it means a new start; the block at hand must be off by HARD_SINGLE_US too."""
LOST_US: Final = 500_000
MEDIANS_NS: Final = NS_PER_S
"""The two longer medians are taken anew once a second."""


class MedianClock:
    """Server time minus the machine's, by the median."""

    def __init__(self) -> None:
        self._samples: deque[int] = deque(maxlen=CLOCK_SAMPLES)
        self._asked_ns = 0
        self.offset_ns = 0

    @property
    def is_known(self) -> bool:
        """Whether the first questions have been answered."""
        return len(self._samples) >= FIRST_QUESTIONS

    def observe(self, offset_ns: int, at_ns: int) -> None:
        """An exchange said this."""
        if at_ns - self._asked_ns > CLOCK_FORGOTTEN_NS:
            self._samples.clear()
        self._asked_ns = at_ns
        self._samples.append(offset_ns)
        self.offset_ns = sorted(self._samples)[len(self._samples) // 2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What one pull gave: after `silent` frames, `frames` frames that cover `covered` grid samples from `place` on."""

    silent: int
    frames: int
    place: int
    covered: int


class MedianPlayer:
    """Decides which samples a pull gets. Places are samples of the stream's own timeline."""

    def __init__(self) -> None:
        self.restarts = 0
        self._chunks: deque[tuple[int, int]] = deque()
        """From where to where each chunk goes that is still to sound."""
        self._is_restarting = True
        self._ages_us: deque[int] = deque(maxlen=HARD_US[0][0])
        self._medians_us = {blocks: 0 for blocks, _ in HARD_US}
        self._medians_at_ns = 0
        self._correction = 0.0
        self._since_correction = 0.0

    def put(self, place: int, samples: int) -> None:
        """A chunk came; they come in order."""
        self._chunks.append((place, place + samples))

    def pull(self, frames: int, *, server_ns: int, delay_us: int) -> Block:
        """The next `frames` frames, heard after `delay_us`, when the server's clock is believed to read `server_ns`."""
        due = (server_ns + (delay_us - BUFFER_US) * 1_000) * SAMPLE_RATE_HZ // NS_PER_S
        if self._is_restarting:
            return self._restart(frames, due)
        wanted = frames + self._due_correction(frames)
        place, covered = self._read(wanted)
        if covered < wanted:
            self._begin_restart()
            return Block(silent=frames, frames=0, place=0, covered=0)
        self._judge((due - place) * 1_000_000 // SAMPLE_RATE_HZ, server_ns)
        return Block(silent=0, frames=frames, place=place, covered=covered)

    def _read(self, samples: int) -> tuple[int, int]:
        """Take so many samples of the next chunks: from where on, and how many there were."""
        place, got = (self._chunks[0][0] if self._chunks else 0), 0
        while self._chunks and got < samples:
            begin, end = self._chunks.popleft()
            n = min(samples - got, end - begin)
            got += n
            if begin + n < end:
                self._chunks.appendleft((begin + n, end))
        return place, got

    def _restart(self, frames: int, due: int) -> Block:
        """Sound goes on, or begins, at the very sample that is due; before it comes silence."""
        while self._chunks and self._chunks[0][1] <= due:
            self._chunks.popleft()
        if self._chunks and self._chunks[0][0] < due:
            self._chunks.appendleft((due, self._chunks.popleft()[1]))
        silent = min(frames, self._chunks[0][0] - due) if self._chunks else frames
        if silent == frames:
            return Block(silent=frames, frames=0, place=0, covered=0)
        place, covered = self._read(frames - silent)
        self._is_restarting = False
        return Block(silent=frames - covered, frames=covered, place=place, covered=covered)

    def _begin_restart(self) -> None:
        self._is_restarting = True
        self.restarts += 1
        self._ages_us.clear()
        self._correction = 0.0

    def _due_correction(self, frames: int) -> int:
        """Frames to be dropped (positive) or doubled in this pull."""
        if not self._correction:
            return 0
        self._since_correction += frames
        every = 1.0 / abs(self._correction)
        if self._since_correction < every:
            return 0
        count, self._since_correction = divmod(self._since_correction, every)
        return int(count) if self._correction > 0 else -int(count)

    def _judge(self, age_us: int, server_ns: int) -> None:
        """Whether to go on, to correct, or to start again."""
        is_far = abs(age_us) > LOST_US or any(
            len(self._ages_us) >= blocks and abs(self._medians_us[blocks]) > far_us and abs(age_us) > HARD_SINGLE_US
            for blocks, far_us in HARD_US
        )
        if is_far:
            self._begin_restart()
            return
        self._correction = self._soft_correction(age_us)
        self._ages_us.append(age_us)
        shortest = HARD_US[-1][0]
        self._medians_us[shortest] = self._median_us(shortest)
        if server_ns - self._medians_at_ns >= MEDIANS_NS:
            self._medians_at_ns = server_ns
            for blocks, _ in HARD_US[:-1]:
                self._medians_us[blocks] = self._median_us(blocks)

    def _soft_correction(self, age_us: int) -> float:
        (_, _), (middle, _), (shortest, _) = HARD_US
        median_us = self._medians_us[middle]
        sign = 1 if median_us > 0 else -1
        agrees = min(sign * self._medians_us[shortest], sign * age_us) > SOFT_SINGLE_US
        if len(self._ages_us) < middle or abs(median_us) <= SOFT_US or not agrees:
            return 0.0
        return sign * min(SOFT_SHARE_A_US * abs(median_us), SOFT_SHARE_MAX)

    def _median_us(self, blocks: int) -> int:
        last = sorted(list(self._ages_us)[-blocks:])
        return last[len(last) // 2]
