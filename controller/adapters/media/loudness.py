"""Loudness by EBU R 128 (ITU-R BS.1770, EBU Tech 3341 and 3342): ffmpeg's own meter, fed with what was decoded.

Duty: integrated loudness, loudness range and true peak of one mono channel, and how much of its time is quiet. One
channel counts once: the same sound as two equal channels measures 3 LU more, but a horn plays one.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Final

import av
import av.error
import av.filter
import numpy as np
from numpy.typing import NDArray

from controller.media.judgement import QUIET_BELOW_LU, Loudness
from protocol.units import SAMPLE_RATE_HZ

NOTHING_LUFS: Final = -70.0
"""What is measured where no block passes the absolute gate."""
NOTHING_DB: Final = -120.0
_KEY: Final = "lavfi.r128."
_TIME_BASE: Final = Fraction(1, SAMPLE_RATE_HZ)


class LoudnessMeter:
    """One recording's meter: `take` its samples, then `finish`, once."""

    def __init__(self) -> None:
        graph = av.filter.Graph()
        self._source = graph.add_abuffer(sample_rate=SAMPLE_RATE_HZ, format="flt", layout="mono", time_base=_TIME_BASE)
        meter = graph.add("ebur128", "peak=true:metadata=1:framelog=quiet")
        self._sink = graph.add("abuffersink")
        self._source.link_to(meter)
        meter.link_to(self._sink)
        graph.configure()
        self._graph = graph
        self._position = 0
        self._last: dict[str, str] = {}
        self._moments: list[float] = []

    def take(self, samples: NDArray[np.float32]) -> None:
        """The next samples: float32[sample], mono at 48 kHz."""
        if not len(samples):
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples).reshape(1, -1), format="flt", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE_HZ, self._position, _TIME_BASE
        self._position += len(samples)
        self._source.push(frame)
        self._pull()

    def finish(self) -> Loudness:
        """The figures of everything taken."""
        self._source.push(None)
        self._pull()
        peak = float(self._last.get(f"{_KEY}true_peak", "0"))
        return Loudness(
            integrated_lufs=float(self._last.get(f"{_KEY}I", NOTHING_LUFS)),
            range_lu=float(self._last.get(f"{_KEY}LRA", "0")),
            true_peak_dbtp=round(max(NOTHING_DB, 20 * math.log10(peak)), 2) if peak > 0 else NOTHING_DB,
        )

    def quiet_share(self, integrated_lufs: float) -> float:
        """How much of the time the momentary loudness (400 ms) lies QUIET_BELOW_LU below the whole, or more."""
        if not self._moments:
            return 0.0
        moments = np.asarray(self._moments)
        return 1.0 - float((moments >= integrated_lufs - QUIET_BELOW_LU).mean())  # ffmpeg says nan for no power at all

    def _pull(self) -> None:
        while True:
            try:
                frame: Any = self._sink.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            found = frame.metadata
            if f"{_KEY}I" in found:
                self._last = found
                self._moments.append(float(found[f"{_KEY}M"]))
