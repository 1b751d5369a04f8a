"""What the demo plays besides the station: prepared clips spoken in Vietnamese, and a playlist of two files.

Made once, at set-up, from Debian's packages: espeak-ng speaks, ffmpeg cuts. The attention tone is a siren
sweep, which correlation finds to the sample; a drill has another tone and says that it is one.
Leaves levelling and encoding to the controller, which imports these as it would an operator's files.
"""

from __future__ import annotations

import subprocess
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ: Final = 48_000
TOOL_S_MAX: Final = 30.0
SPEECH_WORDS_PER_MINUTE: Final = 170
_PAUSE_S: Final = 0.15
_TONE_LEVEL: Final = 0.35

FLOOD_TEXT: Final = "Thông báo khẩn. Nước lũ đang lên nhanh. Bà con di chuyển ngay đến nơi cao."
DRILL_TEXT: Final = "Diễn tập. Đây là diễn tập. Bà con không cần di chuyển."
_MUSIC: Final = Path("/usr/share/asterisk/moh/macroform-the_simplicity.wav")
_SPEECH: Final = Path("/usr/share/asterisk/sounds/en_US_f_Allison/demo-congrats.wav")


class ClipError(Exception):
    """A clip cannot be made: a package is missing or a tool failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoClips:
    """The files, int16 mono 48 kHz."""

    flood: Path
    drill: Path
    playlist: tuple[Path, Path]


def make_clips(folder: Path) -> DemoClips:
    """Make what is missing in `folder`; raises ClipError."""
    folder.mkdir(parents=True, exist_ok=True)
    made = DemoClips(
        flood=folder / "flood.wav",
        drill=folder / "drill.wav",
        playlist=(folder / "morning-music.wav", folder / "morning-news.wav"),
    )
    if not made.flood.exists():
        write_wav(made.flood, _announcement(FLOOD_TEXT, siren(begin_hz=600, end_hz=1400, seconds=1.0)))
    if not made.drill.exists():
        write_wav(made.drill, _announcement(DRILL_TEXT, siren(begin_hz=900, end_hz=450, seconds=0.6)))
    for source, target, begin_s, length_s in ((_MUSIC, made.playlist[0], 8, 6), (_SPEECH, made.playlist[1], 1, 5)):
        if not target.exists():
            _cut(source, target, begin_s=begin_s, length_s=length_s)
    return made


def siren(*, begin_hz: float, end_hz: float, seconds: float) -> NDArray[np.int16]:
    """A sweep with soft edges, int16[samples]."""
    time_s = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    turns = begin_hz * time_s + (end_hz - begin_hz) * time_s**2 / (2 * seconds)
    edge_s = 0.01
    envelope = np.minimum(1.0, np.minimum(time_s, seconds - time_s) / edge_s)
    return (np.sin(2 * np.pi * turns) * envelope * _TONE_LEVEL * 32767).astype(np.int16)


def read_wav(path: Path) -> NDArray[np.int16]:
    """The samples of an int16 mono 48 kHz file; raises ClipError for another kind."""
    with wave.open(str(path), "rb") as reader:
        if (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) != (1, 2, SAMPLE_RATE_HZ):
            message = f"{path} is not int16 mono at {SAMPLE_RATE_HZ} Hz"
            raise ClipError(message)
        return np.frombuffer(reader.readframes(reader.getnframes()), dtype=np.int16)


def write_wav(path: Path, samples: NDArray[np.int16]) -> None:
    """Write int16 mono 48 kHz, whole or not at all."""
    unfinished = path.with_suffix(".unfinished")
    with wave.open(str(unfinished), "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE_HZ)
        writer.writeframes(samples.tobytes())
    unfinished.replace(path)


def _announcement(text: str, tone: NDArray[np.int16]) -> NDArray[np.int16]:
    with tempfile.TemporaryDirectory() as folder:
        spoken, resampled = Path(folder) / "spoken.wav", Path(folder) / "speech.wav"
        _run(["espeak-ng", "-v", "vi", "-s", str(SPEECH_WORDS_PER_MINUTE), "-w", str(spoken), text])
        _cut(spoken, resampled, begin_s=0, length_s=30)
        pause = np.zeros(int(_PAUSE_S * SAMPLE_RATE_HZ), dtype=np.int16)
        return np.concatenate((tone, pause, read_wav(resampled)))


def _cut(source: Path, target: Path, *, begin_s: float, length_s: float) -> None:
    unfinished = target.with_suffix(".unfinished.wav")
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-ss", str(begin_s), "-t", str(length_s)]
    command += ["-i", str(source), "-ar", str(SAMPLE_RATE_HZ), "-ac", "1", "-c:a", "pcm_s16le", str(unfinished)]
    _run(command)
    unfinished.replace(target)


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, timeout=TOOL_S_MAX, capture_output=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        message = f"{command[0]} is not installed; run ./scripts/setup"
        raise ClipError(message) from error
    except subprocess.CalledProcessError as error:
        message = f"{command[0]} failed: {error.stderr.decode(errors='replace').strip()[-300:]}"
        raise ClipError(message) from error
    except subprocess.TimeoutExpired as error:
        message = f"{command[0]} took longer than {TOOL_S_MAX:.0f} s"
        raise ClipError(message) from error
