"""libopus behind its port: what it takes, what it refuses, and that nothing else ever comes out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.adapters.decoder import LibopusDecoder
from edge.errors import DecoderError, FrameFault
from protocol.units import FRAME_SAMPLES
from tests.support.opus import tone_frames


def _decoded(frames: list[bytes]) -> np.ndarray:
    decoder, into, parts = LibopusDecoder(), np.zeros(FRAME_SAMPLES, np.float32), []
    for frame in frames:
        decoder.decode(frame, into)
        parts.append(into.copy())
    return np.concatenate(parts)


def test_a_tone_comes_back_as_loud_as_it_went_in() -> None:
    out = _decoded(tone_frames(6))[2 * FRAME_SAMPLES :]
    assert float(np.sqrt(np.mean(out**2))) == pytest.approx(10_000 / 32768 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize("samples", [120, 240, 480, 1_920, 2_880])
def test_a_frame_of_another_duration_is_refused_by_that_name_and_the_decoder_stays_in_its_place(samples: int) -> None:
    odd, frames = tone_frames(1, samples=samples)[0], tone_frames(8)
    decoder, into = LibopusDecoder(), np.zeros(FRAME_SAMPLES, np.float32)
    for frame in frames[:7]:
        decoder.decode(frame, into)
        with pytest.raises(DecoderError) as refused:
            decoder.decode(odd, into)
        assert refused.value.fault is FrameFault.WRONG_DURATION
    decoder.decode(frames[7], into)
    assert np.array_equal(into, _decoded(frames)[7 * FRAME_SAMPLES :])


def test_a_stereo_frame_is_refused_by_that_name() -> None:
    with pytest.raises(DecoderError) as refused:
        _decoded(tone_frames(1, channels=2))
    assert refused.value.fault is FrameFault.STEREO


def test_20_ms_may_come_in_several_parts() -> None:
    """Code 1 and code 3 of RFC 6716, 3.2: two parts of 10 ms in one frame."""
    decoder, into = LibopusDecoder(), np.zeros(FRAME_SAMPLES, np.float32)
    halves = tone_frames(2, samples=480)
    for packed in (_packed(halves, code=1), _packed(halves, code=3)):
        decoder.decode(packed, into)
    assert float(np.abs(into).max()) > 0.1


def _packed(halves: list[bytes], *, code: int) -> bytes:
    """Two parts of one size as one frame, the shorter padded inside (a range coder reads zeros past its end)."""
    size = max(len(half) for half in halves)
    bodies = b"".join(half[1:].ljust(size, b"\0") for half in halves)
    head = bytes([halves[0][0] & ~3 | code])
    return head + (bytes([2]) if code == 3 else b"") + bodies


@pytest.mark.parametrize("frame", [b"", bytes(1_276), b"\x03\x41\xff", b"\xfb\x41", b"\x0a\xff"])
def test_what_is_no_opus_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(DecoderError):
        _decoded([frame])


@pytest.mark.parametrize("toc", [8 | 0, 0xF8, 0x78])
def test_a_frame_of_its_first_byte_alone_is_a_pause_that_the_sender_left_out(toc: int) -> None:
    """DTX (RFC 6716, 3.1 and RFC 7587): nothing to decode is no fault, and it is 20 ms long."""
    decoder, into = LibopusDecoder(), np.ones(FRAME_SAMPLES, np.float32)
    decoder.decode(bytes([toc]), into)
    assert not into.any()
    for frame in tone_frames(6):
        decoder.decode(frame, into)
    decoder.decode(bytes([toc]), into)
    assert np.isfinite(into).all()


@given(st.lists(st.binary(max_size=200), max_size=20))
@settings(max_examples=50)
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
