"""One Opus encoder on libopus: mono 48 kHz, 20 ms, application audio, no in-band error correction.

Duty: `OpusEncoder.encode` turns a frame of samples into one Opus frame, through libopus' C interface and
buffers that are allocated once. Errors of the library become `EncoderError`.
In-band FEC stays off: on TCP loss is lateness, and it would push music from CELT to hybrid.
"""

from __future__ import annotations

import ctypes
import importlib
import warnings
import weakref
from typing import Any, Final

import numpy as np

from controller.errors import ControllerError
from controller.streams.levelling import Samples
from controller.streams.stamping import CODEC_DELAY_SAMPLES
from protocol.stream import FRAME_BYTES_MAX
from protocol.units import FRAME_SAMPLES, SAMPLE_RATE_HZ

COMPLEXITY: Final = 9
"""Of 0 to 10: one below the best halves no quality that a horn loudspeaker can show."""
_APPLICATION_AUDIO: Final = 2049
"""OPUS_APPLICATION_AUDIO (opus_defines.h)."""
_MONO: Final = 1


class EncoderError(ControllerError):
    """Libopus refuses to encode: a broken installation, or a frame of the wrong length."""


def _library() -> tuple[Any, Any, Any]:
    """The functions of libopus, of its encoder, and its controls."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # opuslib 3.0.1 compares integers by `is`; harmless here
            encoder = importlib.import_module("opuslib.api.encoder")
            controls = importlib.import_module("opuslib.api.ctl")
            functions = importlib.import_module("opuslib.api").libopus
    except Exception as error:  # opuslib raises a bare Exception when libopus is not installed
        raise EncoderError("libopus cannot be loaded; install the Debian package libopus0") from error
    encode = functions.opus_encode_float
    encode.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_int32)
    encode.restype = ctypes.c_int32
    return encode, encoder, controls


class OpusEncoder:
    """The encoder of one stream, at `bitrate_bps`; not for use by two threads at once."""

    def __init__(self, bitrate_bps: int) -> None:
        self._encode, encoder, controls = _library()
        try:
            self._state = encoder.create_state(SAMPLE_RATE_HZ, _MONO, _APPLICATION_AUDIO)
            self._finish = weakref.finalize(self, encoder.destroy, self._state)
            encoder.encoder_ctl(self._state, controls.set_bitrate, bitrate_bps)
            encoder.encoder_ctl(self._state, controls.set_complexity, COMPLEXITY)
            encoder.encoder_ctl(self._state, controls.set_inband_fec, 0)
            look_ahead = encoder.encoder_ctl(self._state, controls.get_lookahead)
        except Exception as error:  # opuslib.OpusError is not importable without libopus
            raise EncoderError(f"libopus gives no encoder: {error}") from error
        if look_ahead != CODEC_DELAY_SAMPLES:
            raise EncoderError(f"libopus delays by {look_ahead} samples; {CODEC_DELAY_SAMPLES} are stamped away")
        self._frame = ctypes.create_string_buffer(FRAME_BYTES_MAX)

    def encode(self, samples: Samples) -> bytes:
        """One frame, float32[960] at full scale 1, to one Opus frame; raises EncoderError."""
        if samples.shape != (FRAME_SAMPLES,):
            raise EncoderError(f"a frame has {FRAME_SAMPLES} samples, not {samples.shape}")
        block = np.ascontiguousarray(samples, np.float32)
        length = self._encode(self._state, block.ctypes.data, FRAME_SAMPLES, self._frame, FRAME_BYTES_MAX)
        if length < 1:
            raise EncoderError(f"libopus could not encode a frame: error {length}")
        return self._frame.raw[:length]

    def close(self) -> None:
        """Give the encoder's memory back now."""
        self._finish()
