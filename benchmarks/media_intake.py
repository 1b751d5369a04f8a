"""Taking recordings in: loudness and true peak of what poles get, and processor time, beside ffmpeg's loudnorm.

Ours: measured, levelled and limited, encoded, measured again as it is decoded. The peer: `ffmpeg -af loudnorm` in its
two passes (the first one's figures given to the second), to the same loudness and true peak, encoded by the same
libopus at the same rate. What either made is judged by pyloudnorm and by its spectrum at eight times the
rate, which are neither's. Material is made here: speech by espeak-ng, speech that is quiet with loud clicks, noise in
bursts. CPU time of this process and its children. Run: `./scripts/bench media_intake`.
"""

from __future__ import annotations

import json
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pyloudnorm
import soundfile
from numpy.typing import NDArray

from benchmarks.measure import print_table
from controller.adapters.media_import import ImportSettings, media_path, take_in

TARGET: Final = ImportSettings()
RATE: Final = 48_000
MINUTES: Final = 2
TEXT: Final = (
    "Kính thưa bà con nhân dân. Sáng mai, trạm y tế xã tổ chức tiêm phòng cho trẻ em tại nhà văn hoá thôn. "
    "Đề nghị các gia đình đưa các cháu đến đúng giờ, mang theo sổ tiêm. "
)
OVERSAMPLED: Final = 8
WINDOW: Final = 1 << 18


def speech() -> NDArray[np.float32]:
    """A reader, without a pause between the sentences."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run(["espeak-ng", "-v", "vi", "-w", file.name, TEXT], check=True)
        sound, rate = soundfile.read(file.name, dtype="float32")
    places = np.arange(int(len(sound) * RATE / rate)) * rate / RATE
    wide = np.interp(places, np.arange(len(sound)), sound)
    count = MINUTES * 60 * RATE
    return np.resize(wide, count).astype(np.float32) * np.float32(0.25)


def clicking() -> NDArray[np.float32]:
    """The same, 24 dB quieter, on a table that somebody knocks on."""
    made = speech() * np.float32(0.06)
    made[:: 3 * RATE] = 0.95
    made[1 :: 3 * RATE] = -0.95
    return made


def bursts() -> NDArray[np.float32]:
    """Noise that comes and goes."""
    noise = np.random.default_rng(1).standard_normal(MINUTES * 60 * RATE)
    envelope = 0.02 + 0.18 * (np.sin(np.arange(len(noise)) / RATE * 2) > 0)
    return (noise * envelope).astype(np.float32)


def ours(source: Path, folder: Path) -> Path:
    """The product's own way."""
    return media_path(folder, take_in(source, media_dir=folder, settings=TARGET).reference.sha256)


def loudnorm(source: Path, folder: Path) -> Path:
    """What ffmpeg's documentation recommends for files."""
    wanted = f"loudnorm=I={TARGET.loudness_lufs}:TP={TARGET.true_peak_dbtp_max}:LRA=20"
    start = ["ffmpeg", "-nostdin", "-hide_banner", "-y", "-i", str(source)]
    first = [*start, "-ac", "1", "-af", f"{wanted}:print_format=json", "-f", "null", "-"]
    told = subprocess.run(first, check=True, capture_output=True, text=True).stderr
    found = json.loads(told[told.rindex("{") :])
    given = {"I": "input_i", "TP": "input_tp", "LRA": "input_lra", "thresh": "input_thresh"}
    more = "".join(f":measured_{name}={found[key]}" for name, key in given.items())
    made = folder / "loudnorm.opus"
    second = [
        *start,
        "-ac",
        "1",
        "-af",
        f"{wanted}{more}:offset={found['target_offset']}:linear=true",
        "-ar",
        str(RATE),
    ]
    encoded = ["-c:a", "libopus", "-b:a", str(TARGET.bitrate_bps), "-application", "audio", str(made)]
    subprocess.run([*second, *encoded], check=True, capture_output=True)
    return made


def judged(path: Path) -> tuple[float, float]:
    """Loudness and true peak."""
    sound, _ = soundfile.read(path, dtype="float64")
    peak = 0.0
    for begin in range(0, len(sound), WINDOW // 2):
        piece = sound[begin : begin + WINDOW]
        faded = piece * np.hanning(len(piece)) ** 0.1 if len(piece) > 1 else piece
        wide = np.fft.irfft(np.fft.rfft(faded), OVERSAMPLED * len(piece)) * OVERSAMPLED
        peak = max(peak, float(np.abs(wide).max()))
    return float(pyloudnorm.Meter(RATE).integrated_loudness(sound)), 20 * np.log10(peak)


def cpu_s() -> float:
    """Of this process and its ended children."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def main() -> None:
    """Print the table."""
    ways: dict[str, Callable[[Path, Path], Path]] = {"ours": ours, "ffmpeg loudnorm": loudnorm}
    rows = []
    for name, make in (("speech", speech), ("quiet, with clicks", clicking), ("noise in bursts", bursts)):
        with tempfile.TemporaryDirectory() as text:
            folder = Path(text)
            soundfile.write(folder / "source.wav", make(), RATE)
            before, _ = judged(folder / "source.wav")
            for way, take in ways.items():
                begun_s = cpu_s()
                made = take(folder / "source.wav", folder)
                took_s = cpu_s() - begun_s
                lufs, dbtp = judged(made)
                rows.append(
                    {
                        "material": name,
                        "by": way,
                        "LUFS before": f"{before:.1f}",
                        "LUFS after": f"{lufs:.2f}",
                        "dBTP after": f"{dbtp:.2f}",
                        "CPU s a minute": f"{took_s / MINUTES:.2f}",
                        "kB a minute": f"{made.stat().st_size / 1000 / MINUTES:.0f}",
                    }
                )
    print_table(f"to {TARGET.loudness_lufs:g} LUFS, at most {TARGET.true_peak_dbtp_max:g} dBTP", rows)


if __name__ == "__main__":
    main()
