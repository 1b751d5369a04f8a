"""What a recording must be to be aired: long and short enough, loud enough, whole; pure.

Judges figures that others measured: loudness by EBU R 128 (ITU-R BS.1770-5), the share of its time in which it is
silent or clipped, how far its channels cancel in the mono that a horn plays. Leaves decoding and measuring to the
adapters.
"""

from __future__ import annotations

from typing import Final

import msgspec

from controller.media.refusal import Refusal, RefusalCode, refusal

SILENT_LUFS: Final = -50.0
"""Quieter recordings are hum and hiss; brought to -20 LUFS that would be noise over a village."""
QUIET_BELOW_LU: Final = 30.0
"""A moment so far below the whole is a pause; speech in a room is heard down to there."""
QUIET_SHARE_MAX: Final = 0.7
"""Speech read slowly pauses for a third of its time; more than this is a recorder that was left running."""
CLIPPED_SHARE_MAX: Final = 0.4
"""Of the blocks of 20 ms in which something sounds: loud mastering clips a few in a hundred; speech that was driven
6 dB too far a third, and is understood; at 12 dB two thirds."""
CANCEL_DB_MAX: Final = 12.0
"""Two unrelated channels lose 3 dB in mono; one that is turned round loses all."""
DURATION_MS_MIN: Final = 400
"""R 128's gating block: of less there is no loudness."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a site asks of a recording."""

    duration_s_max: int = 3600
    """An hour: the longest single item of a programme."""
    duration_ms_min: int = DURATION_MS_MIN


class Loudness(msgspec.Struct, frozen=True, kw_only=True):
    """EBU R 128 of one mono channel: programme loudness, range, true peak."""

    integrated_lufs: float
    range_lu: float
    true_peak_dbtp: float


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in a recording, mixed to mono."""

    duration_ms: int
    loudness: Loudness
    quiet_share: float
    clipped_share: float
    cancelled_db: float


def judge(measured: Measured, limits: Limits) -> Refusal | None:
    """Why a recording is not taken; None where it is. A recording that is too long was not read to its end."""
    found, loudness = None, measured.loudness
    if measured.duration_ms < limits.duration_ms_min:
        found = refusal(RefusalCode.TOO_SHORT, found=measured.duration_ms, limit=limits.duration_ms_min)
    elif measured.cancelled_db > CANCEL_DB_MAX:
        found = refusal(RefusalCode.OUT_OF_PHASE, found=f"{measured.cancelled_db:.0f}", limit=f"{CANCEL_DB_MAX:.0f}")
    elif loudness.integrated_lufs <= SILENT_LUFS:
        found = refusal(RefusalCode.SILENT, found=f"{loudness.integrated_lufs:.0f}", limit=f"{SILENT_LUFS:.0f}")
    elif measured.quiet_share > QUIET_SHARE_MAX:
        found = refusal(
            RefusalCode.MOSTLY_SILENT, found=_percent(measured.quiet_share), limit=_percent(QUIET_SHARE_MAX)
        )
    elif measured.clipped_share > CLIPPED_SHARE_MAX:
        found = refusal(RefusalCode.CLIPPED, found=_percent(measured.clipped_share), limit=_percent(CLIPPED_SHARE_MAX))
    return found


def too_long(limits: Limits) -> Refusal:
    """Told as soon as more was read than is taken."""
    return refusal(RefusalCode.TOO_LONG, limit=f"{limits.duration_s_max / 60:g}")


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"
