"""What 20 ms of sound cost the player: CPU with warm caches, and memory in the path that must be in time.

opuslib's wrapper class beside its function table, the whole way from a packet to int16 frames with and without
libopus, and the sound card's callback. `bytes at once` is what a step has allocated at its peak and given back, `kept`
how many of Python's memory blocks are left over after a thousand steps, `collections` how often the cyclic collector
ran in them. The figures stand in docs/decisions/0002-libopus-binding.md. Run: `./scripts/bench player_block`.
"""

from __future__ import annotations

import gc
import importlib
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from benchmarks.measure import print_table, quantile
from edge.adapters.card_feed import RUNAWAY_FRAMES, CardFeed
from edge.adapters.decoder import LibopusDecoder
from edge.player.mixer import Mixer
from edge.player.playout import Playout
from edge.player.ports import OpusDecoder, Samples
from edge.player.ring import Ring
from edge.player.stream_source import StreamSource
from protocol.stream import AudioPacket
from protocol.units import FRAME_SAMPLES, SAMPLE_RATE_HZ, SharedSample, shared_ns_of_sample

ROUNDS: Final = 2_000
WARM_UP_ROUNDS: Final = 16_000
"""Until the windows of what a stream counts are full (60 s): then nothing is kept any more."""
TRACED_ROUNDS: Final = 200
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


def _measure(name: str, step: Callable[[int], object]) -> dict[str, str]:
    for index in range(WARM_UP_ROUNDS):
        step(index)
    blocks, collections = sys.getallocatedblocks(), _collections()
    begun = time.process_time_ns()
    for index in range(ROUNDS):
        step(index)
    taken_ns, kept = time.process_time_ns() - begun, sys.getallocatedblocks() - blocks
    collected = _collections() - collections
    return {
        "step": name,
        "CPU µs": f"{taken_ns / ROUNDS / 1000:.1f}",
        "bytes at once": f"{_bytes_at_once(step):,.0f}",
        "kept per 1000": f"{1000 * kept / ROUNDS:.0f}",
        "collections per 1000": f"{1000 * collected / ROUNDS:.1f}",
    }


def _bytes_at_once(step: Callable[[int], object]) -> float:
    """The median over some steps of the most that Python and numpy have allocated within one."""
    peaks = []
    tracemalloc.start()
    for index in range(TRACED_ROUNDS):
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        step(index)
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    return quantile(peaks, 0.5)


def _collections() -> int:
    return sum(int(generation["collections"]) for generation in gc.get_stats())


def _frames(opuslib: Any) -> list[bytes]:  # noqa: ANN401 - opuslib publishes no types
    encoder = opuslib.Encoder(SAMPLE_RATE_HZ, 1, "audio")
    encoder.bitrate = BITRATE_BPS
    noise = np.random.default_rng(1).normal(0.0, 1500.0, 100 * FRAME_SAMPLES)
    sound = (8000 * np.sin(np.arange(len(noise)) * 0.05) + noise).astype(np.int16)
    parts = sound.reshape(-1, FRAME_SAMPLES)
    return [encoder.encode(part.tobytes(), FRAME_SAMPLES) for part in parts]


def _player(
    frames: list[bytes], decoder: OpusDecoder, *, ppm: float = 0.0, gain_db: float = 0.0
) -> Callable[[int], object]:
    """One 20 ms block of a stream that is in time; a packet every fifth block; a card whose second is `ppm` longer."""
    mixer, begins = Mixer(), SAMPLE_RATE_HZ
    playout = Playout(mixer)
    source = StreamSource(stream=STREAM, decoder=decoder, starts_at=SharedSample(begins))
    mixer.start("stream", source, from_sample=SharedSample(begins), gain_db=gain_db)
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
        at_ns = shared_ns_of_sample(SharedSample(begins + place + round(place * ppm * 1e-6)))
        rendered = playout.render(FRAME_SAMPLES, at_ns)
        place += FRAME_SAMPLES
        return rendered

    return step


def _callback() -> Callable[[int], object]:
    """The card takes a block that is ready; PyAudio gives the times in a dictionary."""
    times = {"output_buffer_dac_time": 7.05, "current_time": 7.0, "input_buffer_adc_time": 0.0}
    ring, block = Ring(8 * FRAME_SAMPLES), np.ones((FRAME_SAMPLES, 1), np.int16)
    feeds: list[CardFeed] = []

    def step(_index: int) -> object:
        if not feeds or feeds[0].frame >= RUNAWAY_FRAMES // 2:  # served faster than any card would, it would be paced
            feeds[:] = [CardFeed(ring=ring, wake=lambda _: None, is_paced=False, block_frames=FRAME_SAMPLES)]
            feeds[0].is_wake_pending = True
        ring.put(ring.next_frame, block)
        return feeds[0].serve(None, FRAME_SAMPLES, times, 0)

    return step


def main() -> None:
    """Print the table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # opuslib 3.0.1 compares integers by `is`
        opuslib = importlib.import_module("opuslib")
    frames = _frames(opuslib)
    wrapper, direct, into = opuslib.Decoder(SAMPLE_RATE_HZ, 1), LibopusDecoder(), np.zeros(FRAME_SAMPLES, np.float32)
    rows = [
        _measure("opuslib.Decoder.decode", lambda i: wrapper.decode(frames[i % 100], FRAME_SAMPLES)),
        _measure("opuslib.Decoder.decode_float", lambda i: wrapper.decode_float(frames[i % 100], FRAME_SAMPLES)),
        _measure("function table, float into numpy", lambda i: direct.decode(frames[i % 100], into)),
        _measure("function table, concealment", lambda _: direct.conceal(into)),
        _measure("whole player", _player(frames, LibopusDecoder())),
        _measure("whole player, card 50 ppm off", _player(frames, LibopusDecoder(), ppm=50.0)),
        _measure("the same, sound 18 dB above the ceiling", _player(frames, LibopusDecoder(), ppm=50.0, gain_db=30.0)),
        _measure("whole player without libopus", _player(frames, NoDecoder())),
        _measure("the same, card 50 ppm off", _player(frames, NoDecoder(), ppm=50.0)),
        _measure("the card's callback, with the ring", _callback()),
    ]
    print_table("20 ms of sound", rows)


if __name__ == "__main__":
    main()
