"""Sound files read by ffmpeg: one open file in, float32 blocks at 48 kHz out, mono or the two sides of stereo.

Duty: `decoded` for what poles will hear (mono), `decoded_sides` for judging (both sides, and the samples before
resampling). Blocks while it works. Rules kept: nothing but the open file is read, whatever it names; one damaged
packet does not make a file unfit; parameters that change on the way (chained Ogg, damaged MP3) are followed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

import av
import av.error
import av.logging
import numpy as np
from numpy.typing import NDArray

from protocol.units import SAMPLE_RATE_HZ, SAMPLES_PER_MS

Sides: TypeAlias = NDArray[np.float32]
"""float32[side, sample], one or two sides, full scale is 1."""
BLOCK_SAMPLES: Final = 100 * SAMPLES_PER_MS
"""Of what is decoded; the last block is shorter."""
NATIVE_SAMPLES: Final = 16_384
"""Of what is looked at before resampling."""
RATE_HZ_MIN: Final = 2_000
"""Below telephones. A header that says 1 Hz would make hours of one block."""
RATE_HZ_MAX: Final = 768_000
CHANNELS_MAX: Final = 8
"""Of more, swresample knows no way to stereo."""
_CONTAINERS: Final = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,eac3,flac,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpeg,mpegts,ogg,opus,"
    "tta,voc,w64,wav,wv"
)
"""ffmpeg's names of the containers that are taken: those that hold their sound themselves. Playlists and scripts (hls,
concat, dash, sdp) name other files or wait for more to come."""
_OPTIONS: Final = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "none"}
OnNative = Callable[[Sides, bool], None]
"""Told the samples as they came, and whether they are floats that may exceed full scale unharmed."""


def decoded(file: BinaryIO) -> Iterator[NDArray[np.float32]]:
    """The first audio stream, mixed to mono: float32[sample]; raises av.error.FFmpegError, ValueError."""
    for sides in _decoded(file, None):
        yield mono_of(sides)


def decoded_sides(file: BinaryIO, on_native: OnNative) -> Iterator[Sides]:
    """The first audio stream's sides, and each of its samples before resampling told to `on_native`."""
    yield from _decoded(file, on_native)


def mono_of(sides: Sides) -> NDArray[np.float32]:
    """What one horn plays of them."""
    mixed: NDArray[np.float32] = sides[0] if len(sides) == 1 else sides.mean(axis=0, dtype=np.float32)
    return mixed


def quieted() -> None:
    """The words of ffmpeg go nowhere; its errors come as exceptions."""
    av.logging.set_level(av.logging.PANIC)


def first_fault(path: Path) -> str | None:
    """Why a file cannot be played, from its beginning; the whole file is judged when it is taken in."""
    if not path.is_file():
        return "there is no such file"
    try:
        with path.open("rb") as file:
            return None if next(decoded(file), None) is not None else "there is no sound in it"
    except (OSError, ValueError, av.error.FFmpegError) as error:
        return f"it cannot be decoded ({getattr(error, 'strerror', None) or error}); give MP3, WAV, FLAC or AAC"


def _decoded(file: BinaryIO, on_native: OnNative | None) -> Iterator[Sides]:
    file.seek(0)
    with av.open(_Source(file), mode="r", options=_OPTIONS) as container:
        if not container.streams.audio:
            return
        stream = container.streams.audio[0]
        is_float = stream.codec_context.name.startswith("pcm_f")
        key: tuple[Any, ...] = ()
        wide, native = _Resampler(), _Resampler()
        for frame in _frames(container, stream):
            now = (frame.rate, frame.layout.name, frame.format.name)
            if now != key:
                if not RATE_HZ_MIN <= frame.rate <= RATE_HZ_MAX:
                    raise ValueError(f"{frame.rate} samples a second")
                if frame.layout.nb_channels > CHANNELS_MAX:
                    raise ValueError(f"{frame.layout.nb_channels} channels, at most {CHANNELS_MAX}")
                yield from wide.blocks(None)
                layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
                wide = _Resampler(format="flt", layout=layout, rate=SAMPLE_RATE_HZ, frame_size=BLOCK_SAMPLES)
                native = _Resampler(format="flt", layout=frame.layout.name, rate=frame.rate, frame_size=NATIVE_SAMPLES)
                key = now
            if on_native is not None:
                for samples in native.blocks(frame):
                    on_native(samples, is_float)
            yield from wide.blocks(frame)
        yield from wide.blocks(None)
        if on_native is not None:
            for samples in native.blocks(None):
                on_native(samples, is_float)


class _Resampler:
    """ffmpeg's resampler for frames of one kind; of no kind yet it holds nothing.

    What it gives is packed, all sides in one plane: from eight planes on PyAV 18 reads beyond a frame and crashes.
    """

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - PyAV's own
        self._resampler = av.AudioResampler(**settings) if settings else None

    def blocks(self, frame: Any) -> Iterator[Sides]:  # noqa: ANN401 - PyAV has its own types
        if self._resampler is None:
            return
        for block in self._resampler.resample(frame):
            packed = block.to_ndarray().reshape(-1, block.layout.nb_channels)
            samples: Sides = np.ascontiguousarray(packed.T, dtype=np.float32)
            yield np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)


def _frames(container: Any, stream: Any) -> Iterator[Any]:  # noqa: ANN401 - PyAV has its own types
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.error.FFmpegError:
            continue  # one damaged packet does not make a file unfit; a file of them is found to be silent or short


class _Source:
    """A file as PyAV reads it: ffmpeg may seek to where nothing is, which is an answer and no exception."""

    def __init__(self, file: BinaryIO) -> None:
        self.read: Final = file.read
        self.tell: Final = file.tell
        self._seek = file.seek

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """The new place, or -1."""
        try:
            return self._seek(offset, whence)
        except (OSError, ValueError):
            return -1
