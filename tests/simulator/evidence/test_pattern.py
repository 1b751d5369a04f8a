"""Sound that says what it is, and the ear that reads it."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.errors import ClipError, DecoderError
from protocol.units import FRAME_SAMPLES, NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ, SAMPLES_PER_MS
from simulator.evidence import pattern
from simulator.evidence.ear import Ear, Sound
from simulator.evidence.pattern import Tags
from simulator.pole.box import Mains, Relay
from simulator.pole.sound_card import Heard
from simulator.pole.workshop import FRAME_BYTES, SyntheticClip, SyntheticDecoder, synthetic_frame
from simulator.services.media_server import FOLD_BYTES, folded, recording
from simulator.world import World

PLACES = st.integers(0, 2**30 * SAMPLES_PER_MS)


def sound(tag: int, first: int, count: int, *, gain: float = 1.0) -> NDArray[np.int16]:
    samples = np.zeros(count, np.float32)
    pattern.fill(tag, first, samples)
    scaled: NDArray[np.int16] = np.rint(samples * gain * 32767).astype(np.int16)
    return scaled


@settings(max_examples=200)
@given(st.integers(1, pattern.TAGS_MAX - 1), PLACES, st.floats(0.01, 4.0), st.integers(0, 100))
def test_what_is_written_is_read_at_any_place_and_loudness(tag: int, first: int, gain: float, start: int) -> None:
    reading = pattern.read(sound(tag, first, 300, gain=gain), start)
    assert reading == pattern.Reading(tag=tag, first=first)


@given(st.binary(min_size=400, max_size=400))
def test_other_sound_gives_hardly_ever_a_reading_and_silence_none(noise: bytes) -> None:
    pattern.read(np.frombuffer(noise, np.int16))
    assert pattern.read(np.zeros(300, np.int16)) is None


def test_two_sources_at_once_give_none() -> None:
    assert pattern.read(sound(1, 0, 300) + sound(2, 480, 300)) is None


@given(PLACES)
def test_a_frame_decodes_to_its_place_and_what_is_guessed_is_half_as_loud(first: int) -> None:
    decoder, into = SyntheticDecoder(), np.zeros(FRAME_SAMPLES, np.float32)
    frame = synthetic_frame(7, first)
    assert len(frame) == FRAME_BYTES
    decoder.decode(frame, into)
    assert pattern.read(np.rint(into * 32767).astype(np.int16)) == pattern.Reading(tag=7, first=first)
    loud = float(np.abs(into).max())
    decoder.conceal(into)
    guessed = pattern.read(np.rint(into * 32767).astype(np.int16))
    assert guessed == pattern.Reading(tag=7, first=first + FRAME_SAMPLES)
    assert float(np.abs(into).max()) == pytest.approx(loud / 2)
    with pytest.raises(DecoderError):
        decoder.decode(b"no frame", into)


def test_a_damaged_file_fails_where_it_is_damaged() -> None:
    news = recording("news", duration_ms=60_000, tag=3)
    content = bytearray(folded(news.sha256, news.size_bytes))
    content[len(content) // 2] ^= 1
    clip = SyntheticClip(news, bytes(content))
    into = np.zeros(480, np.float32)
    clip.read(0, into)
    with pytest.raises(ClipError, match="cannot be read"):
        clip.read((len(content) // 2) * FOLD_BYTES * clip.samples // news.size_bytes, into)
    with pytest.raises(ClipError, match="no sound file"):
        SyntheticClip(news, bytes(len(content)))
    clip.close()
    with pytest.raises(ClipError, match="closed"):
        clip.read(0, into)


class Listening:
    """An ear at a card whose blocks a test makes."""

    def __init__(self) -> None:
        self.world = World(seed=1, start_ns=0)
        self.tags = Tags()
        self.relay = Relay(self.world, "N001", Mains(self.world))
        self.ear = Ear(self.world, "N001", self.tags, self.relay)
        self.news = self.tags.tag("media:news")
        self.flood = self.tags.tag("media:flood")

    def hear(self, *blocks: NDArray[np.int16]) -> None:
        """Blocks one after another from now on; time passes with them."""
        heard: deque[Heard] = deque()
        at_ns = self.world.now_ns
        for block in blocks:
            heard.append(Heard(at_true_ns=at_ns, samples=block, is_gap=False))
            at_ns += len(block) * NS_PER_S // SAMPLE_RATE_HZ
        self.world.run_until(at_ns)
        self.ear.gather(heard)
        assert not heard


def test_blocks_of_one_source_are_one_sound_with_its_origin() -> None:
    listening = Listening()
    listening.relay.drive(on=True)
    listening.world.run_for(NS_PER_S)
    begin_ns = listening.world.now_ns
    quiet = np.zeros(480, np.int16)
    blocks = [sound(listening.news, 48_000 + index * 1920, 1920) for index in range(10)]
    listening.hear(np.concatenate((quiet, blocks[0])), *blocks[1:], np.zeros(1920, np.int16))
    (heard,) = listening.ear.sounds
    assert heard.source == "media:news"
    assert heard.begins_ns == begin_ns + 10 * NS_PER_MS
    assert heard.ends_ns == begin_ns + 410 * NS_PER_MS
    assert heard.origin_ns == begin_ns + 10 * NS_PER_MS - NS_PER_S
    assert heard.is_powered
    assert listening.ear.current is None


def test_another_source_a_leap_and_a_lost_supply_are_other_sounds() -> None:
    listening = Listening()
    told: list[Sound] = []
    listening.ear.watch.append(told.append)
    listening.hear(
        sound(listening.news, 0, 4_800),
        sound(listening.flood, 0, 4_800),
        sound(listening.flood, 96_000, 4_800),
        np.zeros(480, np.int16),
    )
    assert [each.source for each in told] == ["media:news", "media:flood", "media:flood"]
    assert not any(each.is_powered for each in told)
    listening.relay.drive(on=True)
    listening.hear(sound(listening.news, 0, 48_000), np.zeros(480, np.int16))
    powers = [each.is_powered for each in told[3:]]
    assert powers[0] is False
    assert powers[-1] is True
    assert sum(each.ends_ns - each.begins_ns for each in told[3:]) == NS_PER_S


def test_tags_are_given_once_for_each_name() -> None:
    tags = Tags()
    assert [tags.tag("a"), tags.tag("b"), tags.tag("a")] == [1, 2, 1]
    assert (tags.name(2), tags.name(77)) == ("b", "?")
