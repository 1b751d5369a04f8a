"""How much of a recording is clipped, from its samples at the rate in which they came; pure.

A clipped wave has flat tops: several samples in a row at the highest level that the recording reaches. A file made
lossy after that has ripples in place of flat tops, at full scale or above. Resampling would hide both, so this looks
before it. Rules kept: a quiet, coarsely quantised recording is not clipped (few of its blocks reach the highest
level); nor is a float recording above full scale, which only has to be turned down.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

BLOCK: Final = 1024
"""Samples that are judged together: 21 ms at 48 kHz."""
FLAT_SAMPLES: Final = 4
"""So many in a row at one level: a sine of 100 Hz at 48 kHz has none within FLAT_PARTS."""
FLAT_PARTS: Final = 3e-5
"""One step of 16 bits at full scale."""
AT_THE_TOP: Final = 0.98
"""A block that reaches this much of the highest level is at the top of the scale that it was recorded with."""
FULL_SCALE: Final = 0.9995
FLAT_LEVEL_MIN: Final = 10 ** (-30 / 20)
"""Below this flat tops are the steps of a coarse quantisation, not of clipping."""
ACTIVE: Final = 10 ** (-50 / 20)
"""A block with no sample above -50 dBFS is a pause and counts for nothing."""


class ClippingMeter:
    """Takes float32[channel, sample] in multiples of BLOCK (what is left over at the end is not judged)."""

    def __init__(self, *, is_float: bool = False) -> None:
        self._is_float = is_float
        self._tops: list[NDArray[np.float32]] = []
        self._flats: list[NDArray[np.bool_]] = []
        self._overs: list[NDArray[np.bool_]] = []

    def take(self, samples: NDArray[np.float32]) -> None:
        """The next samples."""
        count = samples.shape[1] // BLOCK
        if not count:
            return
        blocks = samples[:, : count * BLOCK].reshape(samples.shape[0], count, BLOCK)
        for signed in (blocks, -blocks):
            top = signed.max(axis=2)
            self._tops.append(top.max(axis=0))
            flat = _has_run(signed >= (top - np.abs(top) * np.float32(FLAT_PARTS) * 2)[:, :, None])
            flat &= top >= top.max(axis=0) * np.float32(AT_THE_TOP)
            self._flats.append(np.asarray(flat.any(axis=0)))
            self._overs.append(np.asarray(_has_run(signed >= np.float32(FULL_SCALE)).any(axis=0)))

    @property
    def share(self) -> float:
        """Clipped blocks among those in which something sounds."""
        if not self._tops:
            return 0.0
        rising, falling = (np.concatenate(self._tops[sign::2]) for sign in (0, 1))
        clipped = np.zeros(len(rising), bool)
        for sign, tops in enumerate((rising, falling)):
            flats, overs = (np.concatenate(each[sign::2]) for each in (self._flats, self._overs))
            clipped |= flats & (tops >= max(FLAT_LEVEL_MIN, tops.max() * AT_THE_TOP))
            if not self._is_float:
                clipped |= overs
        active = np.maximum(rising, falling) > ACTIVE
        return float((clipped & active).sum() / max(1, int(active.sum())))


def _has_run(hits: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each block (last axis) holds FLAT_SAMPLES hits in a row."""
    runs = hits[..., FLAT_SAMPLES - 1 :].copy()
    for shift in range(FLAT_SAMPLES - 1):
        runs &= hits[..., shift : shift - FLAT_SAMPLES + 1]
    return np.asarray(runs.any(axis=-1))
