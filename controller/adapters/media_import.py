"""Any sound file to what poles can keep: one levelled Ogg Opus file, mono 48 kHz, named by its content.

Duty: decode whatever ffmpeg reads, measure it, refuse what cannot be aired, bring the rest to one loudness, encode
it, put it into the store and say what it is. Blocks while it works: call it in a thread, or in a process of its own
(`media.import_process`). Leaves serving to the web, planning to the desk, the catalogue to the library.
Loudness is that of EBU R 128, of the one channel that a horn plays, before and after encoding; true peak is at most
-1 dBTP after encoding.

Rules kept: the same file and settings give the same bytes; a file appears in the store whole or not at all, also
across a power cut; what was imported once is found again by the source's digest; a source can name no other file.
"""

from __future__ import annotations

import hashlib
import math
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

import av.error
import msgspec

from controller.adapters.media.decoding import Sides, decoded_sides, mono_of, quieted
from controller.adapters.media.encoding import Encoded, Target, encode_levelled
from controller.adapters.media.loudness import NOTHING_DB, LoudnessMeter
from controller.errors import MediaError
from controller.media.clipping import ClippingMeter
from controller.media.judgement import Limits, Loudness, Measured, judge, too_long
from controller.media.media_config import MediaConfig
from controller.media.refusal import Refusal, RefusalCode, refusal
from protocol.adapters.durable_file import sync, write_durably
from protocol.messages import MediaReference
from protocol.units import SAMPLE_RATE_HZ, SAMPLES_PER_MS

SOURCE_BYTES_MAX: Final = 2 * 1024**3
"""An hour of 24-bit stereo at 96 kHz is 2.1 GB; more is not what a commune airs."""
_FORMAT_VERSION: Final = 2
"""Rises when the same source would give other bytes, so that what was imported before is made anew."""
_READ_BYTES: Final = 1024 * 1024
_TOLD_EVERY_MS: Final = 10_000
"""Of sound: how often the work's progress is told."""
OnProgress = Callable[[int], None]
"""Told how many milliseconds of the source have been measured so far."""


class ImportSettings(Target, frozen=True, kw_only=True):
    """How files are taken in; part of what an import is remembered by."""

    duration_s_max: int = Limits().duration_s_max
    duration_ms_min: int = Limits().duration_ms_min

    @property
    def limits(self) -> Limits:
        """What a recording must be."""
        return Limits(duration_s_max=self.duration_s_max, duration_ms_min=self.duration_ms_min)


def import_settings(config: MediaConfig) -> ImportSettings:
    """As the configuration says."""
    return ImportSettings(
        loudness_lufs=config.loudness_lufs,
        bitrate_bps=config.bitrate_bps,
        duration_s_max=config.minutes_max * 60,
    )


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a source: what poles fetch, what was found in the source, and what was made of it."""

    reference: MediaReference
    found: Measured
    made: Loudness
    gain_db: float
    waveform: bytes


def media_path(media_dir: Path, sha256: str) -> Path:
    """Where the store keeps a file of this hash (`media_store` finds it there)."""
    return media_dir / "sha256" / sha256


def import_media(source: Path, *, media_dir: Path, settings: ImportSettings | None = None) -> MediaReference:
    """Take a sound file into the store; raises MediaError, whose text names the file and what to do."""
    return take_in(source, media_dir=media_dir, settings=settings).reference


def take_in(
    source: Path, *, media_dir: Path, settings: ImportSettings | None = None, on_progress: OnProgress | None = None
) -> Imported:
    """The same, with everything that was measured."""
    chosen = settings or ImportSettings()
    try:
        file = source.open("rb")
    except OSError as error:
        unreadable = refusal(RefusalCode.UNREADABLE, found=error.strerror or error)
        raise MediaError(f"{source}: {unreadable}", unreadable) from error
    found = _taken_in(file, media_dir, chosen, on_progress or _untold)
    if isinstance(found, Refusal):
        raise MediaError(f"{source}: {found}", found)
    return found


def _taken_in(file: BinaryIO, media_dir: Path, settings: ImportSettings, on_progress: OnProgress) -> Imported | Refusal:
    try:
        with file:
            known = recalled(file, media_dir=media_dir, settings=settings)
            if isinstance(known, Imported | Refusal):
                return known
            name = f"import-{known.stem[:16]}-{os.getpid()}-{threading.get_ident()}.part"
            made = _import(file, media_dir / name, settings, on_progress)
            if isinstance(made, Imported):
                known.parent.mkdir(parents=True, exist_ok=True)
                write_durably(known, msgspec.json.encode(made), mode=0o644)
            return made
    except OSError as error:
        return refusal(RefusalCode.STORE_FAILED, found=f"{media_dir}: {error.strerror or error}")


def recalled(file: BinaryIO, *, media_dir: Path, settings: ImportSettings) -> Imported | Refusal | Path:
    """What an earlier import made of the same source, or why it is no source; else where its note will stand."""
    size = os.fstat(file.fileno()).st_size
    if not size:
        return refusal(RefusalCode.EMPTY)
    if size > SOURCE_BYTES_MAX:
        return refusal(RefusalCode.TOO_LARGE, found=size, limit=SOURCE_BYTES_MAX)
    note = media_dir / "imported" / f"{_digest_of_import(file, settings)}.json"
    try:
        known = msgspec.json.decode(note.read_bytes(), type=Imported)
        reference = known.reference
        if media_path(media_dir, reference.sha256).stat().st_size == reference.size_bytes:
            return known
    except (FileNotFoundError, msgspec.DecodeError):
        return note
    return note


def _import(file: BinaryIO, part: Path, settings: ImportSettings, on_progress: OnProgress) -> Imported | Refusal:
    """Make the file as `part`, nobody else's, and keep it; a power cut leaves it for the library to remove."""
    quieted()
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        measured = _measure(file, settings.limits, on_progress)
        if isinstance(measured, Refusal):
            return measured
        found, samples = measured
        made = encode_levelled(file, part, samples=samples, loudness=found.loudness, target=settings)
        return made if isinstance(made, Refusal) else _kept(part, made, found)
    except (av.error.FFmpegError, ValueError) as error:
        return refusal(RefusalCode.NOT_AUDIO, found=getattr(error, "strerror", None) or error)
    finally:
        part.unlink(missing_ok=True)


def _measure(file: BinaryIO, limits: Limits, on_progress: OnProgress) -> tuple[Measured, int] | Refusal:
    """The source's figures and how many samples it has at 48 kHz."""
    meter, clipping, samples = LoudnessMeter(), _Clipping(), 0
    power, power_of_sides, told_ms = 0.0, 0.0, 0
    for sides in decoded_sides(file, clipping.take):
        mono = mono_of(sides)
        meter.take(mono)
        samples += len(mono)
        power += float((mono.astype(float) ** 2).sum())
        power_of_sides += float((sides.astype(float) ** 2).mean(axis=0).sum())
        if samples > limits.duration_s_max * SAMPLE_RATE_HZ:
            return too_long(limits)
        if samples // SAMPLES_PER_MS - told_ms >= _TOLD_EVERY_MS:
            told_ms = samples // SAMPLES_PER_MS
            on_progress(told_ms)
    if not samples:
        return refusal(RefusalCode.NOT_AUDIO, found="không có âm thanh / there is no sound in it")
    loudness = meter.finish()
    measured = Measured(
        duration_ms=samples // SAMPLES_PER_MS,
        loudness=loudness,
        quiet_share=round(meter.quiet_share(loudness.integrated_lufs), 4),
        clipped_share=round(clipping.share, 4),
        cancelled_db=round(_cancelled_db(power, power_of_sides), 2),
    )
    return judge(measured, limits) or (measured, samples)


class _Clipping:
    """A meter that is made when the first samples say what they are."""

    def __init__(self) -> None:
        self._meters: dict[tuple[int, bool], ClippingMeter] = {}

    def take(self, samples: Sides, is_float: bool) -> None:
        key = (len(samples), is_float)
        self._meters.setdefault(key, ClippingMeter(is_float=is_float)).take(samples)

    @property
    def share(self) -> float:
        return max((meter.share for meter in self._meters.values()), default=0.0)


def _cancelled_db(power: float, power_of_sides: float) -> float:
    """How much weaker the mono mix is than a side is in the mean."""
    if power_of_sides <= 0.0:
        return 0.0
    return min(-NOTHING_DB, 10.0 * math.log10(power_of_sides / max(power, power_of_sides * 1e-12)))


def _kept(part: Path, made: Encoded, found: Measured) -> Imported | Refusal:
    with part.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = os.fstat(file.fileno()).st_size
    plain = {"sha256": sha256, "size_bytes": size, "duration_ms": made.duration_ms}
    try:
        reference = msgspec.convert(plain, MediaReference)
    except msgspec.ValidationError as error:
        return refusal(RefusalCode.TOO_LARGE, found=f"{size} ({error})", limit="64 MiB")
    target = media_path(part.parent, sha256)
    target.parent.mkdir(parents=True, exist_ok=True)
    sync(part)
    part.replace(target)
    sync(target.parent)
    return Imported(reference=reference, found=found, made=made.loudness, gain_db=made.gain_db, waveform=made.waveform)


def _digest_of_import(file: BinaryIO, settings: ImportSettings) -> str:
    digest = hashlib.sha256(msgspec.json.encode([_FORMAT_VERSION, settings]))
    while piece := file.read(_READ_BYTES):
        digest.update(piece)
    return digest.hexdigest()


def _untold(_measured_ms: int) -> None:
    """Nobody asked."""
