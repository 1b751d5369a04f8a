"""libopus through opuslib's ctypes functions, into buffers that are allocated once.

opuslib's own classes copy every frame through a Python list; its function table does not, so that is what is
used (docs/decisions/0002-libopus-binding.md). Every failure is a DecoderError. A frame that says of itself that it is
not 20 ms of one channel is refused before libopus sees it: a shorter one would leave the decoder at another place.
"""

from __future__ import annotations

import ctypes
import importlib
import warnings
from typing import Any, Final

from edge.errors import DecoderError, FrameFault
from edge.player.ports import Samples
from protocol.stream import FRAME_BYTES_MAX
from protocol.units import FRAME_SAMPLES, SAMPLE_RATE_HZ

_CHANNELS: Final = 1
_RESET_STATE: Final = 4028
"""OPUS_RESET_STATE (opus_defines.h)."""
_SILK_SAMPLES: Final = (480, 960, 1_920, 2_880)
_HYBRID_SAMPLES: Final = (480, 960)
_CELT_SAMPLES: Final = (120, 240, 480, 960)
_CONFIG_SAMPLES: Final = (*_SILK_SAMPLES * 3, *_HYBRID_SAMPLES * 2, *_CELT_SAMPLES * 4)
"""Length of a frame by its configuration number (RFC 6716, table 2), at 48 kHz."""
_STEREO_BIT: Final = 0x04
_COUNT_BITS: Final = 0x3F
_COUNT_IN_NEXT_BYTE: Final = 3
_FLOATS: Final = ctypes.POINTER(ctypes.c_float)


def _functions() -> Any:  # noqa: ANN401 - opuslib publishes no types
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # opuslib 3.0.1 compares integers by `is`; harmless here
            return importlib.import_module("opuslib.api.decoder")
    except Exception as error:  # opuslib raises a bare Exception when libopus is not installed
        raise DecoderError("libopus cannot be loaded; install the Debian package libopus0") from error


class LibopusDecoder:
    """One decoder state, freed with the object."""

    def __init__(self) -> None:
        self._state: Any = None
        self._opus = _functions()
        try:
            self._state = self._opus.create_state(SAMPLE_RATE_HZ, _CHANNELS)
        except Exception as error:  # opuslib.exceptions.OpusError is not importable without libopus
            raise DecoderError(f"libopus gives no decoder: {error}") from error
        self._decode = self._opus.libopus_decode_float
        self._into: Samples | None = None
        self._address: Any = None
        self._control = self._opus.libopus_ctl

    def __del__(self) -> None:
        if self._state is not None:
            self._opus.destroy(self._state)

    def decode(self, frame: bytes, into: Samples) -> None:
        """See `OpusDecoder.decode`."""
        if not 0 < len(frame) <= FRAME_BYTES_MAX:
            raise DecoderError(f"an Opus frame of {len(frame)} bytes; 1 to {FRAME_BYTES_MAX} are possible")
        _refuse_other_shape(frame)
        self._run(frame, len(frame), into)

    def conceal(self, into: Samples) -> None:
        """See `OpusDecoder.conceal`."""
        self._run(None, 0, into)

    def reset(self) -> None:
        """See `OpusDecoder.reset`."""
        self._control(self._state, _RESET_STATE)

    def _run(self, frame: bytes | None, length: int, into: Samples) -> None:
        if into is not self._into:  # a stream decodes into one buffer for ever; numpy's address costs 6 us
            self._into, self._address = into, into.ctypes.data_as(_FLOATS)
        got = self._decode(self._state, frame, length, self._address, FRAME_SAMPLES, 0)
        if got != FRAME_SAMPLES:
            raise DecoderError(f"libopus refuses a frame of {length} bytes (it gave {got})")


def _refuse_other_shape(frame: bytes) -> None:
    """Raise DecoderError for a frame whose first bytes (RFC 6716, 3.1 and 3.2) do not say 20 ms of one channel."""
    first = frame[0]
    if first & _STEREO_BIT:
        raise DecoderError("a stereo Opus frame; the agreement is mono", FrameFault.STEREO)
    parts = (1, 2, 2, 0)[first & 3]
    if first & 3 == _COUNT_IN_NEXT_BYTE and len(frame) > 1:
        parts = frame[1] & _COUNT_BITS
    samples = parts * _CONFIG_SAMPLES[first >> 3]
    if samples != FRAME_SAMPLES:
        raise DecoderError(
            f"an Opus frame of {samples} samples; the agreement is {FRAME_SAMPLES}", FrameFault.WRONG_DURATION
        )
