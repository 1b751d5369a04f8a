"""The encoder: frames that libopus decodes back, at the bitrate, with the delay that is stamped away."""

from __future__ import annotations

import numpy as np
import pytest

from controller.adapters.relay.opus_encoder import EncoderError, OpusEncoder
from controller.streams.stamping import CODEC_DELAY_SAMPLES
from tests.support.recordings import decode_opus, find, tone

SWEPT = np.concatenate([tone(frequency, 0.1) for frequency in range(300, 3300, 100)])


def encoded(bitrate_bps: int) -> list[bytes]:
    encoder = OpusEncoder(bitrate_bps)
    frames = [encoder.encode(frame) for frame in SWEPT.reshape(-1, 960)]
    encoder.close()
    return frames


def test_what_is_encoded_decodes_to_the_same_later_by_the_codecs_delay() -> None:
    sound = decode_opus(encoded(64_000))
    found = find(sound[CODEC_DELAY_SAMPLES + 4_800 : -4_800], SWEPT)
    assert found.likeness > 0.98
    assert found.at_s == pytest.approx(0.1, abs=0.0003)


@pytest.mark.parametrize("bitrate_bps", [24_000, 64_000])
def test_the_bitrate_is_kept(bitrate_bps: int) -> None:
    frames = encoded(bitrate_bps)
    made_bps = sum(map(len, frames)) * 8 / (len(frames) * 0.02)
    assert made_bps < bitrate_bps * 1.25


def test_a_frame_of_the_wrong_length_is_refused() -> None:
    encoder = OpusEncoder(64_000)
    with pytest.raises(EncoderError, match="960"):
        encoder.encode(np.zeros(480, np.float32))
    encoder.close()
    encoder.close()
