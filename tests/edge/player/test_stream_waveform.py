"""Real Opus through loss, disorder, delay and rubbish, held against the same frames decoded without any loss.

What is compared is the waveform: where real frames were in time, the samples are those of the undamaged decode at the
same place of the grid (after the decoder has converged), and nowhere does the sound click.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.adapters.decoder import LibopusDecoder
from edge.player.buffer import FRAMES_MAX
from edge.player.ports import Samples
from edge.player.stream_source import PRE_ROLL_FRAMES, StreamSource
from protocol.stream import AudioPacket
from protocol.units import FRAME_SAMPLES, SAMPLES_PER_MS, SharedSample
from tests.support.sound import ORIGIN, STREAM, instant
from tests.support.speech import encoded

FRAMES = 120
AHEAD = 200 * SAMPLES_PER_MS
"""Reading runs this far ahead of what sounds."""
CONVERGED_FRAMES = 7
"""So many real frames after a loss the decoder gives music (CELT) like one that lost nothing. Speech at this rate is
hybrid, and its long-term prediction may take until the next pause: there only the place is judged."""
RIGHT_RATIO = 10 ** (-24 / 20)
"""Error against sound within a frame, after convergence; a shift by one sample alone gives -18 dB and more."""
CLICK_RATIO = 1.3
"""A click is a bend of the waveform above all bends of the undamaged sound: 1.05 in 360 runs."""
LOUDER_MAX = 2.0
"""A decoder that comes back after a loss may be louder for a few frames: 1.55 in 360 runs; a limiter follows."""
KINDS = ["rubbish", "stereo", "short", "leap", "moved"]
BAD_FRAME = {"rubbish": b"\xfb\x41", "stereo": b"\xfc" + b"\x55" * 40, "short": b"\xf0" + b"\x55" * 40}


class NotingDecoder(LibopusDecoder):
    """libopus itself; remembers what it made of each frame."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[bytes, Samples] = {}

    def decode(self, frame: bytes, into: Samples) -> None:
        super().decode(frame, into)
        self.made[frame] = into.copy()


@dataclass(frozen=True, slots=True)
class Heard:
    """What a source gave: the samples, and for each whether it was decoded from a frame that was in time.

    `made` is what the decoder made of each frame when it sounded.
    """

    samples: Samples
    is_real: NDArray[np.bool_]
    made: dict[bytes, Samples]
    waiting_max: int


def packet_of(frames: tuple[bytes, ...], sequence: int, size: int, *, epoch: int = 1) -> AudioPacket:
    first = sequence * size * FRAME_SAMPLES
    return AudioPacket(
        stream=STREAM,
        epoch=epoch,
        sequence=sequence,
        first_sample=first,
        play_at_ns=instant(ORIGIN + first),
        frames=frames[sequence * size : (sequence + 1) * size],
    )


def play(
    arrivals: list[tuple[int, AudioPacket]],
    blocks: list[int],
    *,
    first: int = ORIGIN,
    count: int = FRAMES * FRAME_SAMPLES,
) -> tuple[Heard, StreamSource]:
    """Read from `first` on in blocks, each after what has arrived by then (`AHEAD` before it sounds)."""
    decoder = NotingDecoder()
    source = StreamSource(stream=STREAM, decoder=decoder, starts_at=SharedSample(ORIGIN))
    coming = sorted(arrivals, key=lambda each: each[0])
    samples, real, turn, place, waiting = [], [], 0, first, 0
    while place < first + count:
        while coming and coming[0][0] <= place - AHEAD:
            at, packet = coming.pop(0)
            source.push(packet, arrived_at_ns=instant(at))
        waiting = max(waiting, source.heard().buffer_ms)
        block = min(blocks[turn % len(blocks)], FRAME_SAMPLES - (place - ORIGIN) % FRAME_SAMPLES)  # one kind in each
        before = source.counters.real
        samples.append(source.read(SharedSample(place), block).copy())
        real.append(np.full(block, source.counters.real - before == block))
        place, turn = place + block, turn + 1
    return Heard(np.concatenate(samples), np.concatenate(real), decoder.made, waiting), source


def bend(samples: Samples) -> float:
    """The sharpest bend of a waveform that begins and ends in silence."""
    padded = np.concatenate((np.zeros(2, np.float32), samples))
    return float(np.abs(np.diff(padded, 2)).max())


def assert_in_place(heard: Heard, frames: tuple[bytes, ...], clean: Samples, *, converges: bool) -> int:
    """Every real frame stands, bit by bit, at its own place of the grid once the fade is over.

    What follows CONVERGED_FRAMES of them is that of the undamaged decode; returns how many were held against that one.
    """
    judged, row = 0, 0
    for index in range(len(heard.samples) // FRAME_SAMPLES):
        here = slice(index * FRAME_SAMPLES, (index + 1) * FRAME_SAMPLES)
        row = row + 1 if heard.is_real[here].all() else 0
        if row > 1:
            assert np.array_equal(heard.samples[here], heard.made[frames[index]]), index
        if row > CONVERGED_FRAMES and converges:
            wrong, right = _rms(heard.samples[here] - clean[here]), _rms(clean[here])
            assert wrong <= max(RIGHT_RATIO * right, 1e-3), (index, wrong, right)
            judged += 1
    return judged


def _rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(samples**2)))


def fate_of_packets(frames: tuple[bytes, ...], size: int, seed: int, *, hurry: bool) -> list[tuple[int, AudioPacket]]:
    """(grid sample of arrival, packet): delayed by anything up to 1.4 s of one that there is, lost, twice, damaged."""
    chance = np.random.default_rng(seed)
    arrivals = [(ORIGIN - 60_000, packet_of(frames, 0, size))]  # the first one anchors all that come
    bad, last = float(chance.choice((0.0, 0.05, 0.4))), ""
    for sequence in range(FRAMES // size):
        packet = packet_of(frames, sequence, size)
        kind = str(chance.choice(KINDS)) if chance.random() < bad else "good"
        if kind == last == "moved":  # three of them in a row would be right, and the others wrong
            kind = "good"
        last = kind
        if kind in BAD_FRAME:
            packet = replace(packet, frames=(BAD_FRAME[kind], *packet.frames[1:]))
        elif kind == "leap":
            packet = replace(packet, first_sample=packet.first_sample + 2**40)
        elif kind == "moved":
            packet = replace(packet, play_at_ns=instant(ORIGIN + packet.first_sample + 777))
        sent = ORIGIN + sequence * size * FRAME_SAMPLES - 1_000 * SAMPLES_PER_MS
        delay_ms = int(chance.integers(0, 780 if hurry else 1_400))
        copies = int(chance.choice((1, 1, 1, 1, 0, 2, 3)))
        arrivals += [(sent + (delay_ms + 90 * copy) * SAMPLES_PER_MS, packet) for copy in range(copies)]
    return arrivals


@given(
    kind=st.sampled_from(["speech", "music"]),
    size=st.sampled_from([1, 2, 5]),
    seed=st.integers(0, 2**32),
    hurry=st.booleans(),
    blocks=st.lists(st.integers(100, 2_000), min_size=1, max_size=5),
)
@settings(max_examples=40, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # a seed shrinks to nothing
def test_whatever_happens_to_the_packets_what_is_real_is_in_its_place_and_nothing_clicks(
    kind: str, size: int, seed: int, hurry: bool, blocks: list[int]
) -> None:
    frames, clean = encoded(kind, FRAMES)
    heard, source = play(fate_of_packets(frames, size, seed, hurry=hurry), blocks)
    assert np.isfinite(heard.samples).all()
    assert float(np.abs(heard.samples).max()) <= LOUDER_MAX * float(np.abs(clean).max())
    assert bend(heard.samples) <= CLICK_RATIO * bend(clean)
    assert heard.waiting_max <= FRAMES_MAX * 20
    counted = source.counters
    assert counted.real + counted.concealed + counted.silent == len(heard.samples)
    assert_in_place(heard, frames, clean, converges=kind == "music")


@pytest.mark.parametrize("kind", ["speech", "music"])
@pytest.mark.parametrize("frame_loss", [0.0, 0.02, 0.1])
def test_after_a_loss_the_decoder_comes_back_to_what_all_others_play(kind: str, frame_loss: float) -> None:
    frames, clean = encoded(kind, FRAMES)
    lost = np.random.default_rng(7).random(FRAMES) < frame_loss
    heard, _ = play(
        [(ORIGIN - 48_000, packet_of(frames, place, 1)) for place in range(FRAMES) if not lost[place]], [960]
    )
    judged = assert_in_place(heard, frames, clean, converges=kind == "music" or not frame_loss)
    assert judged >= (FRAMES - CONVERGED_FRAMES if not frame_loss else 20 if kind == "music" else 0)
    assert bend(heard.samples) <= CLICK_RATIO * bend(clean)
    if not frame_loss:
        assert np.array_equal(heard.samples[720:], clean[720:])


@pytest.mark.parametrize("kind", ["speech", "music"])
def test_a_pole_that_joins_in_the_middle_sounds_like_its_neighbours_from_its_first_frames_on(kind: str) -> None:
    """It decodes what led up to it; without that the first frames are another sound."""
    frames, clean = encoded(kind, FRAMES)
    wrong = {0: 0.0, PRE_ROLL_FRAMES: 0.0}
    for held in wrong:
        for place in range(20, 100, 8):
            at = place * FRAME_SAMPLES + 333
            arrivals = [(ORIGIN, packet_of(frames, each, 1)) for each in range(place - held, 100)]
            heard, _ = play(arrivals, [960], first=ORIGIN + at, count=5 * FRAME_SAMPLES)
            here = slice(720, 2_880)
            wrong[held] += _rms(heard.samples[here] - clean[at:][here]) / _rms(clean[at:][here]) / 10
    assert wrong[PRE_ROLL_FRAMES] < {"speech": 0.7, "music": 0.2}[kind] * wrong[0]


GOLDEN = Path(__file__).with_name("golden_conceal.json")
ENVELOPE_MS = 5
NEAR_DB = 2
"""Other versions and builds of libopus guess a little differently; a fade that is missing differs by 6 dB and more."""
GOLDEN_LOSSES = {"one frame": 1, "three frames": 3, "five frames": 5, "half a second": 25}
GOLDEN_FROM, GOLDEN_FRAMES = 70, 36


def envelope(samples: Samples) -> list[int]:
    """Level of each 5 ms in whole dB below full scale, -70 at the least."""
    parts = samples.reshape(-1, ENVELOPE_MS * SAMPLES_PER_MS)
    return [round(float(level)) for level in 10 * np.log10(np.maximum(np.mean(parts**2, axis=1), 1e-7))]


def test_conceal_and_return_sound_as_they_did_when_the_golden_envelopes_were_made() -> None:
    """The golden file is compared by level, not by digest; without the file this test writes it, and fails."""
    measured: dict[str, list[int]] = {}
    for kind in ("speech", "music"):
        frames, _ = encoded(kind, FRAMES)
        for name, lost in GOLDEN_LOSSES.items():
            here = range(GOLDEN_FROM + 4, GOLDEN_FROM + 4 + lost)
            arrivals = [(ORIGIN - 48_000, packet_of(frames, each, 1)) for each in range(FRAMES) if each not in here]
            heard, source = play(arrivals, [960])
            assert source.counters.concealed == min(lost, 5) * FRAME_SAMPLES
            begin = GOLDEN_FROM * FRAME_SAMPLES
            measured[f"{kind}, {name}"] = envelope(heard.samples[begin : begin + GOLDEN_FRAMES * FRAME_SAMPLES])
    if not GOLDEN.exists():
        GOLDEN.write_text(json.dumps(measured, indent=None, separators=(",", ":")).replace("],", "],\n") + "\n")
        pytest.fail(f"{GOLDEN.name} was missing and has been written; look at it, then run again")
    golden = json.loads(GOLDEN.read_text())
    assert golden.keys() == measured.keys()
    for name, levels in measured.items():
        far = [
            (place * ENVELOPE_MS, was, now)
            for place, (was, now) in enumerate(zip(golden[name], levels, strict=True))
            if abs(was - now) > NEAR_DB
        ]
        assert not far, (name, far)
