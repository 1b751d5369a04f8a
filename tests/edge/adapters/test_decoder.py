"""libopus behind its port: what it takes, what it refuses, and that nothing else ever comes out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.adapters.decoder import LibopusDecoder
from edge.errors import DecoderError
from protocol.units import FRAME_SAMPLES
from tests.support.opus import tone_frames


def _decoded(frames: list[bytes]) -> np.ndarray:
    decoder, into, parts = LibopusDecoder(), np.zeros(FRAME_SAMPLES, np.float32), []
    for frame in frames:
        decoder.decode(frame, into)
        parts.append(into.copy())
    return np.concatenate(parts)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_tone_comes_back_as_loud_as_it_went_in_also_from_a_stereo_frame(channels: int) -> None:
    out = _decoded(tone_frames(6, channels=channels))[2 * FRAME_SAMPLES :]
    assert float(np.sqrt(np.mean(out**2))) == pytest.approx(10_000 / 32768 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize("samples", [120, 240, 480, 1_920, 2_880])
def test_a_frame_of_another_duration_is_refused(samples: int) -> None:
    with pytest.raises(DecoderError):
        _decoded(tone_frames(1, samples=samples))


@pytest.mark.parametrize("frame", [b"", bytes(1_276), b"\xff", b"\x03", b"\xff" * 40])
def test_what_is_no_opus_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(DecoderError):
        _decoded([frame])


@given(st.lists(st.binary(max_size=200), max_size=20))
@settings(deadline=None, max_examples=50)
def test_no_bytes_raise_anything_but_a_decoder_error_and_the_decoder_stays_of_use(frames: list[bytes]) -> None:
    decoder, into = LibopusDecoder(), np.zeros(FRAME_SAMPLES, np.float32)
    for frame in frames:
        try:
            decoder.decode(frame, into)
        except DecoderError:
            decoder.conceal(into)
        assert np.isfinite(into).all()
    decoder.reset()
    for frame in tone_frames(4):
        decoder.decode(frame, into)
    assert float(np.abs(into).max()) > 0.2


def test_concealment_goes_on_with_the_sound_and_a_reset_forgets_it() -> None:
    decoder, into = LibopusDecoder(), np.zeros(FRAME_SAMPLES, np.float32)
    for frame in tone_frames(4):
        decoder.decode(frame, into)
    decoder.conceal(into)
    assert float(np.sqrt(np.mean(into**2))) > 0.05
    decoder.reset()
    decoder.conceal(into)
    assert not into.any()
