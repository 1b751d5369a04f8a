"""Values between samples: a windowed sinc as a polynomial of the place between two samples (Farrow structure).

`COEFFICIENTS[m, j]` is the share of sample `j - HALF` in the power `m` of the fraction, so that the value at `n + f`
is the sum over m of f**m * sum over j of COEFFICIENTS[m, j] * x[n + j - HALF], for f in -0.5..0.5. At f = 0 it is
the sample itself, exactly. `BlockFilter` runs several such filters over a stretch of samples at the price of one
small matrix product. It leaves to `resampler` which places are asked for, and to `limiter` what they mean.

Rules kept: no state; equal samples and places give equal values, to the last bit, on every processor and in blocks of
any size. Figures and what was rejected: docs/decisions/0023-resampler.md.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.player.ports import Samples

HALF: Final = 12
"""Samples on either side that take part: flat to 16 kHz, -0.2 dB at 20 kHz, where Opus ends."""
TAPS: Final = 2 * HALF + 1
KAISER_BETA: Final = 10.0
"""Images and distortion below -100 dB, which is below the steps of 16 bits."""
DEGREE: Final = 5
"""Of the polynomial: its error is -105 dB at 10 kHz; 7 gives -122 dB at a third more work (a 16-bit card has -98)."""
_FITTED_PLACES: Final = 64
_BLOCK: Final = 16
"""Outputs of one row of the matrix product; 8 and 32 take as long."""
_ROW: Final = _BLOCK + TAPS - 1
_ROWS_MAX: Final = 256
"""OpenBLAS starts threads, which spin, from a product of 262,144 steps on; this is 163,840."""


def _kernel(place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sinc under a Kaiser window of HALF samples on either side."""
    inside = np.maximum(0.0, 1.0 - np.square(place / HALF))
    window = np.i0(KAISER_BETA * np.sqrt(inside)) / np.i0(KAISER_BETA)
    shaped: NDArray[np.float64] = np.where(np.abs(place) < HALF, np.sinc(place) * window, 0.0)
    return shaped


def _coefficients() -> NDArray[np.float64]:
    """Least squares at Chebyshev places, held to the sample itself at the fraction 0."""
    fractions = 0.5 * np.cos(np.pi * (np.arange(_FITTED_PLACES) + 0.5) / _FITTED_PLACES)
    found = np.zeros((DEGREE + 1, TAPS))
    found[0, HALF] = 1.0
    powers = np.stack([fractions**power for power in range(1, DEGREE + 1)], axis=1)
    wanted = _kernel(np.arange(-HALF, HALF + 1)[None, :] - fractions[:, None]) - found[0]
    found[1:] = np.linalg.lstsq(powers, wanted, rcond=None)[0]
    return found


COEFFICIENTS: Final = _coefficients()
FIXED: Final = float(1 << 22)
"""Samples and taps are whole multiples of 1 / this while they are multiplied: sums of products are then exact in
float64, in whatever order a library, a processor or a block's size adds them. It is -132 dB, far below 16 bits."""


def taps_at(fraction: float) -> NDArray[np.float64]:
    """The filter that gives the value at a fixed fraction."""
    taps: NDArray[np.float64] = fraction ** np.arange(DEGREE + 1) @ COEFFICIENTS
    return taps


def fixed_of(samples: Samples) -> NDArray[np.float64]:
    """Samples as whole numbers, as `BlockFilter` takes them; with as much silence behind them as a row may reach."""
    fixed = np.zeros(len(samples) + _ROW)
    np.multiply(samples, FIXED, out=fixed[: len(samples)])
    np.rint(fixed, out=fixed)
    return fixed


class BlockFilter:
    """Some filters of TAPS taps at once: float64[filter, tap]."""

    def __init__(self, filters: NDArray[np.float64]) -> None:
        self.taps: Final[NDArray[np.float64]] = np.rint(filters * FIXED)
        self._bands: NDArray[np.float64] = np.zeros((len(filters), _ROW, _BLOCK))
        for place in range(_BLOCK):
            self._bands[:, place : place + TAPS, place] = self.taps

    def apply(self, fixed: NDArray[np.float64], count: int) -> NDArray[np.float64]:
        """float64[filter, n >= count], in units of 1 / FIXED**2: value k is made of samples k to k + TAPS - 1.

        `fixed` is `fixed_of` at least as many samples.
        """
        rows = -(-count // _BLOCK)
        if rows <= _ROWS_MAX:
            return self._product(fixed, rows)
        parts = [
            self._product(fixed[first * _BLOCK :], min(_ROWS_MAX, rows - first)) for first in range(0, rows, _ROWS_MAX)
        ]
        return np.concatenate(parts, axis=1)

    def _product(self, fixed: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
        step = fixed.strides[0]
        overlapping = np.lib.stride_tricks.as_strided(fixed, (rows, _ROW), (_BLOCK * step, step), writeable=False)
        products: NDArray[np.float64] = np.matmul(np.ascontiguousarray(overlapping), self._bands)
        return products.reshape(len(self._bands), rows * _BLOCK)
