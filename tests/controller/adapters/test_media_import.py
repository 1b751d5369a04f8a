"""Taking files into the store: any format to one levelled Ogg Opus, the same bytes each time, clear refusals.

Loudness of what was made is measured by pyloudnorm, an implementation of BS.1770 that is not the product's.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile
from numpy.typing import NDArray

from controller.adapters.media_import import ImportSettings, import_media, media_path, take_in
from controller.adapters.media_store import MediaStore
from controller.errors import MediaError
from controller.media.refusal import RefusalCode
from protocol.messages import MediaReference
from tests.support.recordings import find, noise, tone, write_wav

MUSIC = Path("/usr/share/asterisk/moh/manolo_camp-morning_coffee.wav")


@pytest.fixture(scope="module")
def excerpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of music, stereo at 44.1 kHz."""
    path = tmp_path_factory.mktemp("excerpt") / "music.wav"
    ffmpeg("-ss", "5", "-t", "10", "-i", str(MUSIC), "-ar", "44100", "-ac", "2", str(path))
    return path


def ffmpeg(*arguments: str) -> None:
    subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-y", *arguments], check=True, timeout=30)


def stored(reference: MediaReference, media_dir: Path) -> NDArray[np.float32]:
    path = media_path(media_dir, reference.sha256)
    data = path.read_bytes()
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (reference.sha256, reference.size_bytes)
    sound, rate_hz = soundfile.read(str(path), dtype="float32")
    assert (rate_hz, sound.ndim) == (48_000, 1)
    return np.asarray(sound, np.float32)


def loudness(sound: NDArray[np.float32]) -> float:
    return float(pyloudnorm.Meter(48_000).integrated_loudness(sound.astype(np.float64)))


def true_peak_dbtp(sound: NDArray[np.float32]) -> float:
    """Four times as many samples, by the spectrum: exact for what is whole in a window."""
    spectrum = np.fft.rfft(sound.astype(np.float64))
    return float(20 * np.log10(np.abs(np.fft.irfft(spectrum, 4 * len(sound)) * 4).max()))


@pytest.mark.parametrize("suffix", ["wav", "mp3", "m4a", "ogg", "flac", "opus"])
def test_any_format_becomes_the_same_sound(excerpt: Path, tmp_path: Path, suffix: str) -> None:
    source = tmp_path / f"source.{suffix}"
    ffmpeg("-i", str(excerpt), str(source))
    reference = import_media(source, media_dir=tmp_path / "media")
    sound = stored(reference, tmp_path / "media")
    assert reference.duration_ms == pytest.approx(10_000, abs=80), "MP3 and AAC pad"
    assert len(sound) == reference.duration_ms * 48
    assert loudness(sound) == pytest.approx(-20.0, abs=0.4)
    original, _rate = soundfile.read(str(MUSIC), dtype="float32", start=5 * 8000, stop=15 * 8000)
    wide = np.asarray(np.interp(np.arange(480_000) / 6, np.arange(80_000), original), np.float32)
    found = find(sound[4_800:-4_800], wide)
    assert found.likeness > 0.9
    if suffix in {"wav", "flac"}:
        assert reference.duration_ms == 10_000
        assert found.at_s == pytest.approx(0.1, abs=0.0003), "the codec's delay is trimmed away"


def test_the_store_finds_it(excerpt: Path, tmp_path: Path) -> None:
    reference = import_media(excerpt, media_dir=tmp_path / "media")
    assert MediaStore(tmp_path).path_of(reference.sha256) == media_path(tmp_path / "media", reference.sha256)


def test_the_same_file_gives_the_same_bytes_and_is_remembered(excerpt: Path, tmp_path: Path) -> None:
    first = import_media(excerpt, media_dir=tmp_path / "one")
    assert import_media(excerpt, media_dir=tmp_path / "two") == first
    path = media_path(tmp_path / "one", first.sha256)
    made_ns = path.stat().st_mtime_ns
    assert import_media(excerpt, media_dir=tmp_path / "one") == first
    assert path.stat().st_mtime_ns == made_ns, "nothing was made anew"
    path.unlink()
    assert import_media(excerpt, media_dir=tmp_path / "one") == first, "what is lost is made again"
    other = import_media(excerpt, media_dir=tmp_path / "one", settings=ImportSettings(loudness_lufs=-24.0))
    assert other.sha256 != first.sha256
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("dbfs", [-38.0, -20.0, -3.0])
def test_every_level_becomes_the_target(tmp_path: Path, dbfs: float) -> None:
    source = write_wav(tmp_path / "tone.wav", tone(440, 3.0, dbfs))
    sound = stored(import_media(source, media_dir=tmp_path), tmp_path)
    assert loudness(sound) == pytest.approx(-20.0, abs=0.4)


def test_true_peaks_stay_below_the_bound_after_encoding(excerpt: Path, tmp_path: Path) -> None:
    """Music at -10 LUFS has to be limited, and the codec's own peaks come on top."""
    target = ImportSettings(loudness_lufs=-12.0)
    made = take_in(excerpt, media_dir=tmp_path, settings=target)
    sound = stored(made.reference, tmp_path)
    assert true_peak_dbtp(sound) <= -1.0 + 0.05
    assert made.made.true_peak_dbtp <= -1.0
    assert made.made.true_peak_dbtp == pytest.approx(true_peak_dbtp(sound), abs=0.3)
    assert loudness(sound) == pytest.approx(-12.0, abs=0.6)
    assert len(made.waveform) == 800
    assert max(made.waveform) > 200


def test_rare_peaks_cost_no_loudness(tmp_path: Path) -> None:
    samples = noise(4.0, -45.0)
    samples[::48_000] = 0.99
    sound = stored(import_media(write_wav(tmp_path / "clicks.wav", samples), media_dir=tmp_path), tmp_path)
    assert true_peak_dbtp(sound) <= -0.9
    assert loudness(sound) == pytest.approx(-20.0, abs=0.4)


def test_what_cannot_be_brought_below_the_peak_is_refused(excerpt: Path, tmp_path: Path) -> None:
    """The round of ceilings ends: a bound that nothing meets is an answer, no endless loop."""
    with pytest.raises(MediaError) as refused:
        import_media(excerpt, media_dir=tmp_path, settings=ImportSettings(true_peak_dbtp_max=-130.0))
    assert refused.value.refusal.code is RefusalCode.CANNOT_LEVEL
    assert not list(tmp_path.rglob("*.part"))


def stereo(path: Path, left: NDArray[np.float32], right: NDArray[np.float32]) -> None:
    soundfile.write(path, np.stack([left, right], axis=1), 48_000)


def test_what_was_found_is_told(tmp_path: Path) -> None:
    told: list[int] = []
    source = write_wav(tmp_path / "long.wav", tone(440, 35.0, -30.0))
    found = take_in(source, media_dir=tmp_path / "m", on_progress=told.append)
    assert told == [10_000, 20_000, 30_000]
    assert found.found.duration_ms == 35_000
    assert found.found.loudness.integrated_lufs + found.gain_db == pytest.approx(-20.0, abs=0.3)
    assert found.found.quiet_share < 0.02
    assert (found.found.clipped_share, found.found.cancelled_db) == (0.0, 0.0)


def test_two_sides_are_heard_as_their_mean(tmp_path: Path) -> None:
    left = noise(3.0, -25.0)
    stereo(tmp_path / "left.wav", left, np.zeros_like(left))
    found = take_in(tmp_path / "left.wav", media_dir=tmp_path / "m")
    assert found.found.cancelled_db == pytest.approx(3.0, abs=0.1), "one side alone, halved"
    assert loudness(stored(found.reference, tmp_path / "m")) == pytest.approx(-20.0, abs=0.4)


def test_sound_that_changes_its_rate_on_the_way_is_followed(tmp_path: Path) -> None:
    """Two Ogg files one behind the other are one file to its players."""
    for name, rate in (("a", "48000"), ("b", "24000")):
        write_wav(tmp_path / f"{name}.wav", tone(440, 2.0))
        ffmpeg("-i", str(tmp_path / f"{name}.wav"), "-c:a", "flac", "-ar", rate, str(tmp_path / f"{name}.ogg"))
    chained = tmp_path / "chained.ogg"
    chained.write_bytes((tmp_path / "a.ogg").read_bytes() + (tmp_path / "b.ogg").read_bytes())
    found = take_in(chained, media_dir=tmp_path / "m")
    assert found.reference.duration_ms == pytest.approx(4_000, abs=60)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("turned", RefusalCode.OUT_OF_PHASE),
        ("clipped", RefusalCode.CLIPPED),
        ("clipped and turned down", RefusalCode.CLIPPED),
        ("left running", RefusalCode.MOSTLY_SILENT),
        ("too quiet", RefusalCode.SILENT),
    ],
)
def test_what_nobody_would_want_to_hear_is_refused(tmp_path: Path, name: str, code: RefusalCode) -> None:
    speech = noise(3.0, -12.0) * np.hanning(144_000).astype(np.float32)
    source = tmp_path / "x.wav"
    match name:
        case "turned":
            stereo(source, speech, -speech)
        case "clipped":
            write_wav(source, np.clip(speech * 8, -1, 1))
        case "clipped and turned down":
            write_wav(source, np.clip(speech * 8, -1, 1) * np.float32(0.4))
        case "left running":
            write_wav(source, np.concatenate([speech, np.zeros(48_000 * 12, np.float32)]))
        case _:
            write_wav(source, speech * np.float32(10 ** (-45 / 20)))
    with pytest.raises(MediaError) as refused:
        import_media(source, media_dir=tmp_path / "m")
    assert refused.value.refusal.code is code
    assert " · " in str(refused.value)


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("silent.wav", lambda path: write_wav(path, np.zeros(96_000, np.float32)), "is silent"),
        ("hiss.wav", lambda path: write_wav(path, noise(2.0, -70.0)), "is silent"),
        ("click.wav", lambda path: write_wav(path, tone(440, 0.1)), "lasts 100 ms"),
        ("letter.txt", lambda path: path.write_text("Kính gửi bà con\n" * 500), "no sound"),
        ("page.html", lambda path: path.write_text("<html></html>"), "no sound"),
        ("empty.mp3", lambda path: path.write_bytes(b""), "no sound"),
        ("cut.m4a", lambda path: path.write_bytes(b"\0\0\0\x20ftypM4A " + b"\0" * 400), "no sound"),
        (
            "list.m3u8",
            lambda path: path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nreal.ts\n"),
            "no sound",
        ),
        ("list.ffconcat", lambda path: path.write_text("ffconcat version 1.0\nfile 'real.ts'\n"), "no sound"),
        ("folder", lambda path: path.mkdir(), "directory"),
        ("missing.wav", lambda path: path, "No such file"),
    ],
)
def test_a_refusal_names_the_file_and_the_reason(
    tmp_path: Path, name: str, make: Callable[[Path], object], reason: str
) -> None:
    write_wav(tmp_path / "real.wav", tone(440, 9.0))
    ffmpeg("-i", str(tmp_path / "real.wav"), "-c:a", "aac", str(tmp_path / "real.ts"))
    make(tmp_path / name)
    with pytest.raises(MediaError, match=reason) as refusal:
        import_media(tmp_path / name, media_dir=tmp_path / "media")
    assert str(tmp_path / name) in str(refusal.value)
    assert not list(tmp_path.glob("media/sha256/*"))
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("rate_hz", [1, 4_000_000_000])
def test_a_header_that_would_make_hours_of_one_block_is_refused(tmp_path: Path, rate_hz: int) -> None:
    data = bytearray(write_wav(tmp_path / "tone.wav", tone(440, 1.0)).read_bytes())
    data[24:28] = rate_hz.to_bytes(4, "little")
    (tmp_path / "bomb.wav").write_bytes(data)
    with pytest.raises(MediaError) as refused:
        import_media(tmp_path / "bomb.wav", media_dir=tmp_path / "m")
    assert refused.value.refusal.code is RefusalCode.NOT_AUDIO


@pytest.mark.parametrize("channels", [9, 11, 16, 24])
def test_a_mixing_desk_s_recording_is_refused(tmp_path: Path, channels: int) -> None:
    soundfile.write(tmp_path / "many.wav", np.repeat(tone(440, 1.0)[:, None], channels, axis=1), 48_000)
    with pytest.raises(MediaError, match=f"{channels} channels, at most 8"):
        import_media(tmp_path / "many.wav", media_dir=tmp_path / "m")


@pytest.mark.parametrize("channels", [3, 6, 8])
def test_more_than_two_channels_are_heard(tmp_path: Path, channels: int) -> None:
    soundfile.write(tmp_path / "many.wav", np.repeat(tone(440, 1.0)[:, None], channels, axis=1), 48_000)
    reference = import_media(tmp_path / "many.wav", media_dir=tmp_path / "m")
    assert loudness(stored(reference, tmp_path / "m")) == pytest.approx(-20.0, abs=0.4)


def test_a_file_that_is_too_long_is_refused(excerpt: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"longer than 0\.15 min"):
        import_media(excerpt, media_dir=tmp_path, settings=ImportSettings(duration_s_max=9))


def test_a_damaged_middle_does_not_lose_the_rest(excerpt: Path, tmp_path: Path) -> None:
    source = tmp_path / "damaged.mp3"
    ffmpeg("-i", str(excerpt), str(source))
    data = bytearray(source.read_bytes())
    data[60_000:60_400] = b"\0" * 400
    source.write_bytes(data)
    assert import_media(source, media_dir=tmp_path / "media").duration_ms == pytest.approx(10_000, abs=150)


def test_a_store_that_cannot_be_written_is_told(excerpt: Path, tmp_path: Path) -> None:
    (tmp_path / "media").write_text("a file where the folder should be")
    with pytest.raises(MediaError, match="cannot be taken into the store"):
        import_media(excerpt, media_dir=tmp_path / "media")
