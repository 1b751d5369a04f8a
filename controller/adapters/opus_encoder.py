"""One Opus encoder on libopus: mono 48 kHz, 20 ms, application audio, no in-band error correction.

Duty: `OpusEncoder.encode` turns a frame of samples into one Opus frame, through libopus' C interface and
buffers that are allocated once. Errors of the library become `EncoderError`.
In-band FEC stays off: on TCP loss is lateness, and it would push music from CELT to hybrid.
"""

from __future__ import annotations

import ctypes
import weakref
from typing import Final

import numpy as np
import opuslib
import opuslib.api
import opuslib.api.ctl
import opuslib.api.encoder

from controller.errors import ControllerError
from controller.levelling import Samples
from controller.stamping import CODEC_DELAY_SAMPLES
from protocol.stream import FRAME_BYTES_MAX
from protocol.units import FRAME_SAMPLES, SAMPLE_RATE_HZ

COMPLEXITY: Final = 9
"""Of 0 to 10: one below the best halves no quality that a horn loudspeaker can show."""

_encode_float = opuslib.api.libopus.opus_encode_float
_encode_float.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_int32)
_encode_float.restype = ctypes.c_int32


class EncoderError(ControllerError):
    """Libopus refuses to encode: a broken installation, or a frame of the wrong length."""


class OpusEncoder:
    """The encoder of one stream, at `bitrate_bps`; not for use by two threads at once."""

    def __init__(self, bitrate_bps: int) -> None:
        try:
            self._state = opuslib.api.encoder.create_state(SAMPLE_RATE_HZ, 1, opuslib.APPLICATION_AUDIO)
            self._finish = weakref.finalize(self, opuslib.api.encoder.destroy, self._state)
            opuslib.api.encoder.encoder_ctl(self._state, opuslib.api.ctl.set_bitrate, bitrate_bps)
            opuslib.api.encoder.encoder_ctl(self._state, opuslib.api.ctl.set_complexity, COMPLEXITY)
            opuslib.api.encoder.encoder_ctl(self._state, opuslib.api.ctl.set_inband_fec, 0)
            look_ahead = opuslib.api.encoder.encoder_ctl(self._state, opuslib.api.ctl.get_lookahead)
        except opuslib.OpusError as error:
            raise EncoderError(f"libopus gives no encoder ({error}); reinstall the Debian package libopus0") from error
        if look_ahead != CODEC_DELAY_SAMPLES:
            raise EncoderError(f"libopus delays by {look_ahead} samples; {CODEC_DELAY_SAMPLES} are stamped away")
        self._frame = ctypes.create_string_buffer(FRAME_BYTES_MAX)

    def encode(self, samples: Samples) -> bytes:
        """One frame, float32[960] at full scale 1, to one Opus frame; raises EncoderError."""
        if samples.shape != (FRAME_SAMPLES,):
            raise EncoderError(f"a frame has {FRAME_SAMPLES} samples, not {samples.shape}")
        block = np.ascontiguousarray(samples, np.float32)
        length = _encode_float(self._state, block.ctypes.data, FRAME_SAMPLES, self._frame, FRAME_BYTES_MAX)
        if length < 1:
            raise EncoderError(f"libopus could not encode a frame: error {length}")
        return self._frame.raw[:length]

    def close(self) -> None:
        """Give the encoder's memory back now."""
        self._finish()
