"""Clips from real files: sample-exact seeks, and an error of ours for whatever is wrong with a file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge.adapters.clip_reader import SoundFileReader
from edge.errors import ClipError

SECONDS = 3


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clip.opus"
    noise = np.random.default_rng(1).normal(0.0, 0.1, SECONDS * 48_000)
    soundfile.write(path, noise, 48_000, format="OGG", subtype="OPUS")
    return path


def _read(reader: SoundFileReader, first: int, count: int) -> np.ndarray:
    into = np.zeros(count, np.float32)
    reader.read(first, into)
    return into


def test_a_clip_has_its_length_and_every_part_is_the_same_however_it_is_reached(clip: Path) -> None:
    reader = SoundFileReader(clip)
    assert reader.samples == SECONDS * 48_000
    whole = _read(reader, 0, reader.samples)
    assert float(np.sqrt(np.mean(whole**2))) > 0.05
    for first in (100_000, 960, 0, 143_000, 1):
        assert np.allclose(_read(reader, first, 900), whole[first : first + 900], atol=1e-6)
    reader.close()


def test_reading_in_blocks_is_reading_at_once(clip: Path) -> None:
    reader = SoundFileReader(clip)
    whole = _read(reader, 0, 48_000)
    blocks = np.concatenate([_read(reader, first, 1_600) for first in range(0, 48_000, 1_600)])
    assert np.allclose(blocks, whole, atol=1e-6)
    reader.close()


def test_a_missing_file_a_text_and_an_empty_file_are_refused_with_their_path(tmp_path: Path) -> None:
    text, empty = tmp_path / "text.opus", tmp_path / "empty.opus"
    text.write_text("Kính thưa bà con\n" * 100)
    empty.touch()
    for path in (tmp_path / "missing.opus", text, empty, tmp_path):
        with pytest.raises(ClipError, match=path.name):
            SoundFileReader(path)


def test_stereo_or_another_rate_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.zeros((480, 2)), 44_100)
    with pytest.raises(ClipError, match="2 channels at 44100 Hz"):
        SoundFileReader(path)


def test_a_file_that_was_cut_ends_in_silence_and_never_in_another_exception(clip: Path, tmp_path: Path) -> None:
    whole = clip.read_bytes()
    for part in (2, 3, 5):
        path = tmp_path / f"cut{part}.opus"
        path.write_bytes(whole[: len(whole) // part])
        try:
            reader = SoundFileReader(path)
            out = _read(reader, 0, SECONDS * 48_000)
        except ClipError:
            continue
        assert not out[-4_800:].any()
        assert np.isfinite(out).all()
        reader.close()


def test_damage_in_the_middle_is_silence_or_a_clip_error(clip: Path, tmp_path: Path) -> None:
    data = bytearray(clip.read_bytes())
    data[len(data) // 3 : len(data) // 2] = os.urandom(len(data) // 2 - len(data) // 3)
    path = tmp_path / "damaged.opus"
    path.write_bytes(data)
    try:
        reader = SoundFileReader(path)
        out = _read(reader, 0, reader.samples)
    except ClipError:
        return
    assert np.isfinite(out).all()
    reader.close()


def test_a_closed_reader_says_so_and_no_descriptor_is_left(clip: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    reader = SoundFileReader(clip)
    reader.close()
    reader.close()
    with pytest.raises(ClipError, match="closed"):
        _read(reader, 0, 10)
    for _ in range(20):
        with pytest.raises(ClipError):
            SoundFileReader(clip.parent / "missing.opus")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
