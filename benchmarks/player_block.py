"""What 20 ms of sound cost the player, in microseconds of CPU with warm caches.

opuslib's wrapper class beside its function table, and the whole way from a packet to int16 frames with and without
libopus. The figures stand in docs/decisions/0002-libopus-binding.md. Run with `python -m benchmarks.player_block`.
"""

from __future__ import annotations

import importlib
import time
import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from edge.adapters.decoder import LibopusDecoder
from edge.player.mixer import Mixer
from edge.player.playout import Playout
from edge.player.ports import OpusDecoder, Samples
from edge.player.stream_source import StreamSource
from protocol.stream import AudioPacket
from protocol.units import FRAME_SAMPLES, SAMPLE_RATE_HZ, SharedSample, shared_ns_of_sample

ROUNDS: Final = 2_000
WARM_UP_ROUNDS: Final = 200
FRAMES_A_PACKET: Final = 5
BITRATE_BPS: Final = 64_000
STREAM: Final = "00" * 8


class NoDecoder:
    """Decodes nothing: what is left is the player."""

    def decode(self, frame: bytes, into: Samples) -> None:
        """Leave the buffer as it is."""

    def conceal(self, into: Samples) -> None:
        """Leave the buffer as it is."""

    def reset(self) -> None:
        """Nothing to forget."""


def _measure(name: str, step: Callable[[int], object]) -> None:
    for index in range(WARM_UP_ROUNDS):
        step(index)
    begun = time.process_time_ns()
    for index in range(ROUNDS):
        step(index)
    print(f"{name:48} {(time.process_time_ns() - begun) / ROUNDS / 1000:6.1f} µs")


def _frames(opuslib: Any) -> list[bytes]:  # noqa: ANN401 - opuslib publishes no types
    encoder = opuslib.Encoder(SAMPLE_RATE_HZ, 1, "audio")
    encoder.bitrate = BITRATE_BPS
    noise = np.random.default_rng(1).normal(0.0, 1500.0, 100 * FRAME_SAMPLES)
    sound = (8000 * np.sin(np.arange(len(noise)) * 0.05) + noise).astype(np.int16)
    parts = sound.reshape(-1, FRAME_SAMPLES)
    return [encoder.encode(part.tobytes(), FRAME_SAMPLES) for part in parts]


def _player(frames: list[bytes], decoder: OpusDecoder) -> Callable[[int], object]:
    """One 20 ms block of a stream that is in time; a packet every fifth block."""
    mixer, begins = Mixer(), SAMPLE_RATE_HZ
    playout = Playout(mixer)
    source = StreamSource(stream=STREAM, decoder=decoder, starts_at=SharedSample(begins))
    mixer.start("stream", source, from_sample=SharedSample(begins))
    place = 0

    def step(_index: int) -> object:
        nonlocal place
        if place % (FRAMES_A_PACKET * FRAME_SAMPLES) == 0:
            packet = AudioPacket(
                stream=STREAM,
                epoch=1,
                sequence=place,
                first_sample=place,
                play_at_ns=shared_ns_of_sample(SharedSample(begins + place)),
                frames=tuple(frames[:FRAMES_A_PACKET]),
            )
            source.push(packet, arrived_at_ns=shared_ns_of_sample(SharedSample(place)))
        rendered = playout.render(FRAME_SAMPLES, shared_ns_of_sample(SharedSample(begins + place)))
        place += FRAME_SAMPLES
        return rendered

    return step


def main() -> None:
    """Print the table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # opuslib 3.0.1 compares integers by `is`
        opuslib = importlib.import_module("opuslib")
    frames = _frames(opuslib)
    wrapper, direct, into = opuslib.Decoder(SAMPLE_RATE_HZ, 1), LibopusDecoder(), np.zeros(FRAME_SAMPLES, np.float32)
    _measure("opuslib.Decoder.decode", lambda i: wrapper.decode(frames[i % 100], FRAME_SAMPLES))
    _measure("opuslib.Decoder.decode_float", lambda i: wrapper.decode_float(frames[i % 100], FRAME_SAMPLES))
    _measure("function table, float into numpy", lambda i: direct.decode(frames[i % 100], into))
    _measure("function table, concealment", lambda _: direct.conceal(into))
    _measure("whole player", _player(frames, LibopusDecoder()))
    _measure("whole player without libopus", _player(frames, NoDecoder()))


if __name__ == "__main__":
    main()
