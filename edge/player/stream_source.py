"""A live stream as a source: verified packets in, continuous sound out.

Duty: puts frames on the grid by their sample index, decodes them in order, and bridges what is missing. Which
streams are listened to, and whether a packet is genuine, was decided before (`guard`).

Rules kept:
- The first packet of an epoch anchors it; later ones must agree within ANCHOR_TOLERANCE_SAMPLES, or
  REANCHOR_PACKETS in a row with each other: one odd packet moves nothing. A higher epoch takes over at its own first
  sample; lower ones are refused.
- What is missing at its instant is concealed by Opus for CONCEAL_SAMPLES_MAX with a fade, then it is silence; the
  timeline stays. Sound comes back with a fade of RETURN_SAMPLES.
- Who begins to read in the middle first decodes what led up to it, as far as it is still held: from its first sample
  on, a pole that joins sounds like its neighbours.
- A frame that the decoder refuses counts as missing. Nothing that a packet holds makes a read fail.
- The waveform never jumps: where unrelated sound follows, the last value decays under it (`_carry`).
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np

from edge.errors import DecoderError
from edge.player.buffer import AHEAD_SAMPLES_MAX, JitterBuffer, Verdict
from edge.player.lateness import LatenessWindow
from edge.player.ports import OpusDecoder, Samples
from edge.player.source import SourceCounters
from protocol.stream import AudioPacket
from protocol.telemetry import StreamHeard
from protocol.units import (
    FRAME_MS,
    FRAME_SAMPLES,
    NS_PER_US,
    SAMPLE_RATE_HZ,
    SAMPLES_PER_MS,
    SharedNs,
    SharedSample,
    sample_of_shared_ns,
)

CONCEAL_SAMPLES_MAX: Final = 100 * SAMPLES_PER_MS
"""Opus concealment is believable for 60 to 100 ms; longer it hums."""
RETURN_SAMPLES: Final = 15 * SAMPLES_PER_MS
"""Fade when sound comes back after a loss, or a sender starts anew."""
PRE_ROLL_FRAMES: Final = 4
"""A decoder that begins anew has converged after 80 ms (RFC 7845, 4.6)."""
ANCHOR_TOLERANCE_SAMPLES: Final = SAMPLES_PER_MS
"""Senders round play times; more than a millisecond apart they mean different timelines."""
REANCHOR_PACKETS: Final = 3
"""So many packets in a row that agree on another timeline are right, and the first packet was wrong."""
AHEAD_READ_SAMPLES_MAX: Final = SAMPLE_RATE_HZ
"""Nobody renders more than a second ahead of the card; more is a clock that was set."""
AHEAD_LET_GO: Final = 64
"""The part of the peak that is let go at each packet: half of it is gone after some 45."""
OFF_GRID: Final = "off_grid"
OLD_EPOCH: Final = "old_epoch"
OTHER_STREAM: Final = "other_stream"
_STEPS: Final = np.arange(1, FRAME_SAMPLES + 1, dtype=np.float32)


class StreamSource:
    """One stream; `starts_at` is when its first sound is due, against which a stall is counted.

    Where a cluster is aimed it is read `aim_samples` after its instants, so what arrives has as much longer to come.
    `faults` counts packets and frames that were of no use, by reason.
    """

    def __init__(self, *, stream: str, decoder: OpusDecoder, starts_at: SharedSample, aim_samples: int = 0) -> None:
        self.stream: Final = stream
        self.counters = SourceCounters()
        self.faults: Counter[str] = Counter()
        self._decoder = decoder
        self._aim_samples: Final = aim_samples
        self._buffer = JitterBuffer()
        self._heard_until = int(starts_at)
        self._epoch = -1
        self._origin = 0
        self._other_origin = 0
        self._other_sequence = 0
        self._other_packets = 0
        self._lateness = LatenessWindow()
        self._lateness_epoch = -1
        self._ahead_samples = 0
        self._next: int | None = None
        self._out = np.zeros(FRAME_SAMPLES, np.float32)
        self._frame = np.zeros(FRAME_SAMPLES, np.float32)
        self._frame_start = 0
        self._frame_end = 0
        self._frame_epoch = -1
        self._is_real = False
        self._is_guess = False
        self._missing_samples = CONCEAL_SAMPLES_MAX
        self._gain = 0.0
        self._carry = 0.0
        self._carry_samples = 0

    def push(self, packet: AudioPacket, *, arrived_at_ns: SharedNs) -> None:
        """Take in a verified packet that arrived at a shared instant; what cannot be used is counted by reason."""
        origin = sample_of_shared_ns(packet.play_at_ns) - packet.first_sample
        is_new = packet.epoch > self._epoch
        if packet.stream != self.stream:
            self.faults[OTHER_STREAM] += 1
        elif packet.epoch < self._epoch:
            self.faults[OLD_EPOCH] += 1
        elif not is_new and not self._is_anchored(origin, packet):
            self.faults[OFF_GRID] += 1
        else:
            self._note_arrival(packet, arrived_at_ns)
            start = (origin if is_new else self._origin) + packet.first_sample
            here = SharedSample(sample_of_shared_ns(arrived_at_ns) - self._aim_samples)
            for frame in packet.frames:
                self._put(packet.epoch, start, frame, here)
                start += FRAME_SAMPLES
            if is_new and packet.epoch == self._epoch:
                self._origin = origin

    def read(self, first: SharedSample, count: int) -> Samples:
        """See `Source.read`."""
        if len(self._out) < count:
            self._out = np.zeros(count, np.float32)
        if first != self._next:
            self._leap(first)
        position, filled = int(first), 0
        while filled < count:
            if position >= self._frame_end:
                self._advance(position)
            n = min(count - filled, self._frame_end - position)
            offset = position - self._frame_start
            self._out[filled : filled + n] = self._frame[offset : offset + n]
            self._count(n)
            position, filled = position + n, filled + n
        self._next = position
        return self._out[:count]

    def stalled_ms(self, at: SharedSample) -> int:
        """For how long nothing has been there to sound at `at`; 0 while the sender is in time."""
        return max(0, at - self._heard_until) // SAMPLES_PER_MS

    def heard(self) -> StreamHeard:
        """How the stream reaches us, for the status."""
        lateness = self._lateness
        return StreamHeard(
            stream=self.stream,
            epoch=max(0, self._lateness_epoch),
            packets=len(lateness),
            lateness_ms_p50=lateness.quantile_ms(0.5),
            lateness_ms_p95=lateness.quantile_ms(0.95),
            lateness_ms_p99=lateness.quantile_ms(0.99),
            lateness_ms_p999=lateness.quantile_ms(0.999),
            ahead_ms=self._ahead_samples / SAMPLES_PER_MS,
            buffer_ms=self._buffer.waiting * FRAME_MS,
            faults=dict(self.faults),
        )

    def _is_anchored(self, origin: int, packet: AudioPacket) -> bool:
        """Whether a packet is on the epoch's timeline, or has just made another one believed."""
        if abs(origin - self._origin) <= ANCHOR_TOLERANCE_SAMPLES:
            self._other_packets = 0
            return True
        if not self._other_packets or abs(origin - self._other_origin) > ANCHOR_TOLERANCE_SAMPLES:
            self._other_packets = 1
        elif packet.sequence > self._other_sequence:  # copies of one packet are one witness
            self._other_packets += 1
        self._other_origin, self._other_sequence = origin, packet.sequence
        if self._other_packets < REANCHOR_PACKETS:
            return False
        self._origin, self._other_packets = origin, 0
        self._buffer.drop_from(origin + packet.first_sample)
        self._heard_until = min(self._heard_until, origin + packet.first_sample)
        return True

    def _note_arrival(self, packet: AudioPacket, arrived_at_ns: SharedNs) -> None:
        """Keep how late it came, and how far ahead of what is heard now the player reads (the peak, slowly let go).

        An epoch all of whose packets come too late never takes over, yet its lateness is what must be known.
        """
        arrived_at = sample_of_shared_ns(arrived_at_ns)
        if sample_of_shared_ns(packet.play_at_ns) > arrived_at + AHEAD_SAMPLES_MAX:
            return
        if packet.epoch > self._lateness_epoch:
            self._lateness.clear()
            self._lateness_epoch = packet.epoch
        self._lateness.add((arrived_at_ns - packet.play_at_ns) // NS_PER_US)
        if self._next is not None:
            ahead = min(self._next - arrived_at, AHEAD_READ_SAMPLES_MAX)
            self._ahead_samples = max(ahead, self._ahead_samples - self._ahead_samples // AHEAD_LET_GO, 0)

    def _put(self, epoch: int, start: int, frame: bytes, arrived_at: SharedSample) -> None:
        if epoch > self._epoch and self._buffer.judge(start, arrived_at=arrived_at) in _TAKES_OVER:
            self._buffer.drop_from(start)
            self._epoch, self._heard_until = epoch, start
        verdict = self._buffer.put(start, epoch, frame, arrived_at=arrived_at)
        if verdict is Verdict.ACCEPTED:
            self._heard_until = max(self._heard_until, start + FRAME_SAMPLES)
        else:
            self.faults[verdict.value] += 1

    def _leap(self, position: SharedSample) -> None:
        """Reading goes on somewhere else: begin anew there, from silence."""
        self._frame.fill(0.0)
        self._frame_start = self._frame_end = int(position)
        self._frame_epoch, self._missing_samples = -1, CONCEAL_SAMPLES_MAX
        self._gain, self._carry_samples = 0.0, 0

    def _advance(self, position: int) -> None:
        """Make `_frame` cover `position`: by the frame that belongs there, by concealment, or by silence."""
        last_value = float(self._frame[self._frame_end - self._frame_start - 1])
        continues_at = self._frame_start + FRAME_SAMPLES
        taken = self._buffer.take(position)
        if taken is not None:
            if taken.epoch != self._frame_epoch or taken.start != continues_at:
                self._decoder.reset()
                for frame in self._buffer.before(taken.start, taken.epoch, PRE_ROLL_FRAMES):
                    self._decode(frame)
                self._gain, self._carry, self._carry_samples = 0.0, last_value, RETURN_SAMPLES
            if not self._decode(taken.frame):
                taken = None
        self._is_real = taken is not None
        self._frame_start = taken.start if taken is not None else position
        self._frame_end = self._buffer.end_of(self._frame_start)
        if taken is None:
            self._bridge()
        else:
            self._frame_epoch, self._missing_samples = taken.epoch, 0
        self._shape(position - self._frame_start, self._frame_end - self._frame_start)

    def _decode(self, frame: bytes) -> bool:
        try:
            self._decoder.decode(frame, self._frame)
        except DecoderError as error:
            self.faults[error.fault.value] += 1
            return False
        return True

    def _bridge(self) -> None:
        """Fill `_frame` with a guess, or with silence once the guesses were too many or have faded out."""
        self._is_guess = self._missing_samples < CONCEAL_SAMPLES_MAX and self._gain > 0.0
        if self._is_guess:
            self._decoder.conceal(self._frame)
        else:
            self._frame.fill(0.0)
            self._gain = 0.0
        self._missing_samples += self._frame_end - self._frame_start

    def _shape(self, begin: int, end: int) -> None:
        """Fade `_frame[begin:end]`: up while real sound is back, down while it is guessed; let the carry decay."""
        samples, steps = self._frame[begin:end], _STEPS[: end - begin]
        if self._is_real and self._gain < 1.0:
            ramp = np.minimum(self._gain + steps / RETURN_SAMPLES, 1.0)
            samples *= ramp
            self._gain = float(ramp[-1])
        elif not self._is_real and self._gain > 0.0:
            ramp = np.maximum(self._gain - steps / CONCEAL_SAMPLES_MAX, 0.0)
            samples *= ramp
            self._gain = float(ramp[-1])
        if self._carry_samples:
            n = min(len(samples), self._carry_samples)
            samples[:n] += self._carry * (self._carry_samples - steps[:n]) / RETURN_SAMPLES
            self._carry_samples -= n

    def _count(self, samples: int) -> None:
        if self._is_real:
            self.counters.real += samples
        elif self._is_guess:
            self.counters.concealed += samples
        else:
            self.counters.silent += samples


_TAKES_OVER: Final = frozenset({Verdict.ACCEPTED, Verdict.DUPLICATE})
"""A new epoch's frame may stand where one of the old epoch stood."""
