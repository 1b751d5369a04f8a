"""The last stage before the card: never above full scale, no effect below the knee.

Above the knee the excess is bent by tanh, which meets the straight part with the same slope and reaches full
scale only in the limit; there is no memory, so equal input gives equal output on every pole. Programmes are
levelled to a true peak of -1 dBTP, so only sums of voices and positive gains ever reach the knee.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edge.player.ports import Frames, Samples

KNEE: Final = 10.0 ** (-1.0 / 20.0)
"""-1 dBFS: the peak to which programmes are levelled."""
_INT16_MAX: Final = 32767.0


def limit(samples: Samples) -> Samples:
    """Samples bent into -1.0..1.0; the same array, untouched, when none exceeds the knee."""
    if not samples.size or (float(samples.max()) <= KNEE and float(samples.min()) >= -KNEE):
        return samples
    size = np.abs(samples)
    bent = KNEE + (1.0 - KNEE) * np.tanh((size - KNEE) / (1.0 - KNEE))
    limited: Samples = np.where(size > KNEE, np.copysign(bent, samples), samples).astype(np.float32)
    return limited


def as_frames(samples: Samples) -> Frames:
    """float32[n] within -1.0..1.0 as int16[n, 1], rounded to nearest."""
    scaled = samples * np.float32(_INT16_MAX)
    np.rint(scaled, out=scaled)
    return scaled.astype(np.int16).reshape(-1, 1)
