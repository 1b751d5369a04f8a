"""Any sound file to what poles can keep: one levelled Ogg Opus file, mono 48 kHz, named by its content.

Duty: decode whatever ffmpeg reads, measure it, bring it to a level, encode it, put it into the store and say what it is
(`MediaReference`). Blocks while it works: call it in a thread. Leaves serving to the web, planning to the desk.
The level is the gated RMS of the whole file (`levelling.gated_level_of_powers`), met by one static gain of at most
GAIN_DB_MAX; the ceiling is -1 dBFS of samples before encoding. That is neither EBU R 128 loudness (K-weighted, LUFS)
nor true peak (dBTP): a bright file sounds louder than a dull one of the same figure.

Rules kept: the same file and settings give the same bytes; a file appears in the store whole or not at all, also
across a power cut; what was imported once is found again by the source's digest; a source can name no other file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import av
import av.error
import av.logging
import msgspec
import numpy as np

from controller.errors import MediaError
from controller.levelling import (
    GAIN_DB_MAX,
    GAIN_DB_MIN,
    GATE_DBFS,
    LOOKAHEAD_SAMPLES,
    SILENT_DBFS,
    Limiter,
    Samples,
    block_powers,
    gated_level_of_powers,
)
from protocol.adapters.durable_file import sync, write_durably
from protocol.messages import MediaReference
from protocol.units import FRAME_SAMPLES, SAMPLE_RATE_HZ, SAMPLES_PER_MS

SOURCE_BYTES_MAX: Final = 2 * 1024**3
"""An hour of 24-bit stereo at 96 kHz is 2.1 GB; more is not what a commune airs."""
_FORMAT_VERSION: Final = 1
"""Rises when the same source would give other bytes, so that what was imported before is made anew."""
_CONTAINERS: Final = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,eac3,flac,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpeg,mpegts,ogg,opus,"
    "tta,voc,w64,wav,wv"
)
"""ffmpeg's names of the containers that are taken: those that hold their sound themselves. Playlists and scripts (hls,
concat, dash, sdp) name other files or wait for more to come."""
_READ_BYTES: Final = 1024 * 1024


class ImportSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How files are taken in; part of what an import is remembered by."""

    level_dbfs: float = -20.0
    bitrate_bps: int = 64_000
    duration_s_max: int = 3600
    """An hour: the longest single item of a programme."""
    duration_ms_min: int = 200
    """Shorter is a click, and surely the wrong file."""


def media_path(media_dir: Path, sha256: str) -> Path:
    """Where the store keeps a file of this hash (`media_store` finds it there)."""
    return media_dir / "sha256" / sha256


def import_media(source: Path, *, media_dir: Path, settings: ImportSettings | None = None) -> MediaReference:
    """Take a sound file into the store; raises MediaError, whose text names the file and what to do."""
    chosen = settings or ImportSettings()
    try:
        with source.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not size:
                raise MediaError(f"{source} holds no sound: it is empty; copy it again")
            if size > SOURCE_BYTES_MAX:
                raise MediaError(f"{source} has {size} bytes; at most {SOURCE_BYTES_MAX} are taken: cut or compress it")
            digest = _digest_of_import(file, chosen)
            note = media_dir / "imported" / f"{digest}.json"
            known = _recall(note, media_dir)
            if known is None:
                known = _import(source, file, media_dir / f"import-{digest}.part", chosen)
                note.parent.mkdir(parents=True, exist_ok=True)
                write_durably(note, msgspec.json.encode(known), mode=0o644)
            return known
    except OSError as error:
        raise MediaError(f"{source} cannot be taken into the store {media_dir}: {error.strerror or error}") from error


def _import(source: Path, file: BinaryIO, part: Path, settings: ImportSettings) -> MediaReference:
    """Make the file as `part`, which a broken-off import leaves for the next one to overwrite, and keep it."""
    av.logging.set_level(av.logging.PANIC)
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        samples, level = _measure(source, file, settings)
        gain_db = max(GAIN_DB_MIN, min(GAIN_DB_MAX, settings.level_dbfs - level))
        _encode(_levelled(file, samples, 10.0 ** (gain_db / 20.0)), part, settings)
        with part.open("rb") as made:
            sha256 = hashlib.file_digest(made, "sha256").hexdigest()
            size = os.fstat(made.fileno()).st_size
        made_ms = -(-samples // SAMPLES_PER_MS)
        plain = {"sha256": sha256, "size_bytes": size, "duration_ms": made_ms}
        reference = msgspec.convert(plain, MediaReference)
        _keep(part, media_path(part.parent, sha256))
    except av.error.FFmpegError as error:
        reason = f"{source} is no sound file that can be read ({error.strerror}): give MP3, WAV, FLAC or AAC"
        raise MediaError(reason) from error
    except msgspec.ValidationError as error:
        raise MediaError(f"{source} cannot be carried to the poles ({error}): cut it into parts") from error
    finally:
        part.unlink(missing_ok=True)
    return reference


def _measure(source: Path, file: BinaryIO, settings: ImportSettings) -> tuple[int, float]:
    """How many samples there are and their gated level in dBFS."""
    powers, samples = [], 0
    for block in _decode(file):
        samples += len(block)
        if samples > settings.duration_s_max * SAMPLE_RATE_HZ:
            limit_min = settings.duration_s_max / 60
            raise MediaError(f"{source} lasts longer than {limit_min:g} min: cut it into parts")
        powers.append(block_powers(block))
    if not samples:
        raise MediaError(f"{source} holds no sound: give MP3, WAV, FLAC or AAC")
    if samples < settings.duration_ms_min * SAMPLES_PER_MS:
        made_ms = samples / SAMPLES_PER_MS
        raise MediaError(
            f"{source} lasts {made_ms:.0f} ms; at least {settings.duration_ms_min} ms: is it the right file?"
        )
    level = gated_level_of_powers(np.concatenate(powers))
    if level <= SILENT_DBFS:
        raise MediaError(f"{source} is silent: nothing in it exceeds {GATE_DBFS:g} dBFS; record it again, louder")
    return samples, level


def _decode(file: BinaryIO) -> Iterator[Samples]:
    """The file's first audio stream as blocks of 20 ms (the last one shorter), mono 48 kHz."""
    file.seek(0)
    # Nothing but the open file may be read.
    options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "none"}
    with av.open(_Source(file), mode="r", options=options) as container:
        if not container.streams.audio:
            return
        resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ, frame_size=FRAME_SAMPLES)
        stream = container.streams.audio[0]
        for frame in _frames(container, stream):
            for block in resampler.resample(frame):
                samples: Samples = block.to_ndarray().reshape(-1).astype(np.float32, copy=False)
                yield samples


def _frames(container: Any, stream: Any) -> Iterator[Any]:  # noqa: ANN401 - PyAV has its own types
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.error.FFmpegError:
            continue  # one damaged packet does not make a file unfit; a file of them is found to be silent or short
    yield None  # lets the resampler give what it holds


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


def _levelled(file: BinaryIO, samples: int, gain: float) -> Iterator[Samples]:
    """The file again, levelled and limited, in frames of 20 ms; ends with `samples` rounded up to a millisecond."""
    limiter, left = Limiter(), -(-samples // SAMPLES_PER_MS) * SAMPLES_PER_MS
    skip = LOOKAHEAD_SAMPLES
    for block in _padded(file, samples):
        limited = limiter.process(block * np.float32(gain))[skip:][:left]
        skip, left = 0, left - len(limited)
        if len(limited):
            yield limited


def _padded(file: BinaryIO, samples: int) -> Iterator[Samples]:
    seen = 0
    for block in _decode(file):
        seen += len(block)
        yield np.pad(block, (0, -len(block) % SAMPLES_PER_MS)) if len(block) % SAMPLES_PER_MS else block
        if seen >= samples:
            break
    yield np.zeros(LOOKAHEAD_SAMPLES, np.float32)


def _encode(blocks: Iterator[Samples], path: Path, settings: ImportSettings) -> None:
    # bitexact: no random serial number, no version in the comment, so the same source gives the same bytes.
    with av.open(str(path), mode="w", format="ogg", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libopus", rate=SAMPLE_RATE_HZ, layout="mono", options={"application": "audio"})
        stream.bit_rate = settings.bitrate_bps
        stream.codec_context.format = "flt"
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        position = 0
        for block in blocks:
            frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="flt", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, position
            position += len(block)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _digest_of_import(file: BinaryIO, settings: ImportSettings) -> str:
    digest = hashlib.sha256(msgspec.json.encode([_FORMAT_VERSION, settings]))
    while piece := file.read(_READ_BYTES):
        digest.update(piece)
    return digest.hexdigest()


def _recall(note: Path, media_dir: Path) -> MediaReference | None:
    try:
        known = msgspec.json.decode(note.read_bytes(), type=MediaReference)
        if media_path(media_dir, known.sha256).stat().st_size == known.size_bytes:
            return known
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return None


def _keep(made: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    sync(made)
    made.replace(target)
    sync(target.parent)
