"""A judged recording becomes Ogg Opus of one loudness: levelled, limited, encoded, and measured again as poles hear it.

Two passes at least: the gain comes from the first measurement; what was encoded is decoded and measured, and made
again with a lower ceiling where the codec's own peaks exceed the bound, or a corrected gain where the limiter took
loudness away. Rules kept: the same file and settings give the same bytes; true peak after encoding is never above the
bound: what cannot be brought there is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import av
import msgspec
import numpy as np
from numpy.typing import NDArray

from controller.adapters.media.decoding import decoded
from controller.adapters.media.loudness import LoudnessMeter
from controller.media.judgement import Loudness
from controller.media.refusal import Refusal, RefusalCode, refusal
from controller.media.waveform import WaveformMeter
from controller.streams.levelling import LOOKAHEAD_SAMPLES, Limiter
from protocol.units import SAMPLE_RATE_HZ, SAMPLES_PER_MS

TOLERANCE_LU: Final = 0.3
"""EBU R 128 allows 0.5 LU between programmes, 1 LU live."""
CODEC_ROOM_DB: Final = 0.2
"""The first ceiling lies so far below the bound: between samples and through the codec peaks rise."""
ROUNDS_MAX: Final = 6
MAKE_UP_DB_MAX: Final = 12.0
"""How much more gain a limited recording may get. Knocks on a table count into its loudness, and the limiter takes them
away; beyond this the sound itself would be squashed, and stays a little quieter."""
STEP_MS: Final = 10
"""Of a waveform before it is drawn together."""


class Encoded(msgspec.Struct, frozen=True, kw_only=True):
    """What was made: its length, loudness and outline, and the gain that it took."""

    duration_ms: int
    loudness: Loudness
    gain_db: float
    waveform: bytes


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What every file is brought to."""

    loudness_lufs: float = -20.0
    true_peak_dbtp_max: float = -1.0
    bitrate_bps: int = 64_000


def encode_levelled(
    file: BinaryIO, part: Path, *, samples: int, loudness: Loudness, target: Target
) -> Encoded | Refusal:
    """Write `part`, with so many samples of the file rounded up to a millisecond; raises av.error.FFmpegError."""
    first_db = target.loudness_lufs - loudness.integrated_lufs
    gain_db, ceiling_db = first_db, target.true_peak_dbtp_max - CODEC_ROOM_DB
    length = -(-samples // SAMPLES_PER_MS) * SAMPLES_PER_MS
    for _ in range(ROUNDS_MAX):
        blocks = _levelled(file, samples, length, 10.0 ** (gain_db / 20.0), Limiter(ceiling_db))
        _encode(blocks, part, target.bitrate_bps)
        made, waveform = _measured(part)
        over_db = made.true_peak_dbtp - target.true_peak_dbtp_max
        off_lu = target.loudness_lufs - made.integrated_lufs
        next_db = min(first_db + MAKE_UP_DB_MAX, gain_db + off_lu)
        is_level = abs(off_lu) <= TOLERANCE_LU or abs(next_db - gain_db) <= TOLERANCE_LU
        if over_db <= 0 and is_level:
            return Encoded(
                duration_ms=length // SAMPLES_PER_MS, loudness=made, gain_db=round(gain_db, 2), waveform=waveform
            )
        if over_db > 0:
            ceiling_db -= over_db + CODEC_ROOM_DB
        if not is_level:
            gain_db = next_db
    return refusal(RefusalCode.CANNOT_LEVEL, found=f"{made.true_peak_dbtp:.1f}", limit=f"{target.true_peak_dbtp_max:g}")


def _measured(part: Path) -> tuple[Loudness, bytes]:
    meter, outline = LoudnessMeter(), WaveformMeter(STEP_MS * SAMPLES_PER_MS)
    with part.open("rb") as made:
        for block in decoded(made):
            meter.take(block)
            outline.take(block)
    return meter.finish(), outline.points()


def _levelled(
    file: BinaryIO, samples: int, length: int, gain: float, limiter: Limiter
) -> Iterator[NDArray[np.float32]]:
    """The file again, levelled and limited; ends with `length` samples."""
    skip, left = LOOKAHEAD_SAMPLES, length
    for block in _padded(file, samples):
        limited = limiter.process(block * np.float32(gain))[skip:][:left]
        skip, left = 0, left - len(limited)
        if len(limited):
            yield limited


def _padded(file: BinaryIO, samples: int) -> Iterator[NDArray[np.float32]]:
    """Whole milliseconds, and behind them silence that pushes the last of them through the limiter."""
    seen, left = 0, np.zeros(0, np.float32)
    for block in decoded(file):
        seen += len(block)
        joined = np.concatenate((left, block)) if len(left) else block
        whole = len(joined) // SAMPLES_PER_MS * SAMPLES_PER_MS
        left = joined[whole:]
        if whole:
            yield joined[:whole]
        if seen >= samples:
            break
    yield np.pad(left, (0, -len(left) % SAMPLES_PER_MS + LOOKAHEAD_SAMPLES))


def _encode(blocks: Iterator[NDArray[np.float32]], path: Path, bitrate_bps: int) -> None:
    # bitexact: no random serial number, no version in the comment, so the same source gives the same bytes.
    with av.open(str(path), mode="w", format="ogg", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libopus", rate=SAMPLE_RATE_HZ, layout="mono", options={"application": "audio"})
        stream.bit_rate = bitrate_bps
        stream.codec_context.format = "flt"
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        position = 0
        for block in blocks:
            frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="flt", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, position
            position += len(block)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
