"""How sure the pole's ears are: airings called heard that were not, and not heard that were, by noise and echo.

    python benchmarks/hearing.py [--airings 300]

Prints, for what the horn sends (speech of espeak-ng in Vietnamese, or chords) and what else there is to hear (white and
pink noise, another speaker), the share of silent horns that are called heard, and of sounding ones that are missed, by
how far they lie above or below the noise, with echoes of 0.6 s that are louder than the direct sound.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.proof.hearing import WINDOW_MS, Look, judge, look, window_of
from protocol.messages import HeardBy
from protocol.units import SAMPLE_RATE_HZ, SAMPLES_PER_MS

AIRING_MS: Final = 20_000
WINDOW: Final = WINDOW_MS * SAMPLES_PER_MS
ECHO_S: Final = 0.6
DELAY_MS: Final = 310
SNR_DB: Final = (0, -10, -15, -20)
NEWS: Final = (
    "Kính thưa bà con. Ủy ban nhân dân xã thông báo lịch tiêm chủng mở rộng tháng mười một tại trạm y tế xã, sáng thứ "
    "sáu. Đề nghị bà con đưa trẻ đến đúng giờ, mang theo sổ theo dõi và nước uống. Tiếp theo là tin về thủy lợi: nước "
    "sẽ về kênh chính từ ngày mười hai, bà con lấy nước theo lịch luân phiên của hợp tác xã."
)
WEATHER: Final = (
    "Dự báo thời tiết. Bão số mười hai đang tiến vào vùng biển phía đông, gió giật cấp mười, tàu thuyền khẩn trương "
    "vào nơi tránh trú. Các hồ chứa kiểm tra mực nước, báo cáo ngay về ban chỉ huy. Học sinh các cấp nghỉ học ngày "
    "mai. Bà con chằng chống nhà cửa, cắt tỉa cây xanh, không ra đường khi có gió lớn."
)
Signal = NDArray[np.float64]
Noise = Callable[[np.random.Generator, int], Signal]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--airings", type=int, default=300, help="airings of 20 s for each figure")
    airings = parser.parse_args().airings
    rng = np.random.default_rng(20261122)
    speech = [spoken(text, index) for index, text in enumerate((NEWS, WEATHER))]
    sent = {"speech": speech[0], "chords": chords(rng, 40)}
    noises: dict[str, Noise] = {
        "white": white,
        "pink": pink,
        "another speaker": lambda rng, n: piece(rng, speech[1], n),
    }
    began = time.process_time()
    windows = 0
    print(f"{airings} airings of {AIRING_MS // 1000} s each; echoes {ECHO_S} s, 3 dB above the direct sound")
    print(
        f"{'sends':8} {'beside':16} {'called heard':>13}   missed at SNR {' '.join(f'{snr:>4} dB' for snr in SNR_DB)}"
    )
    for name, signal in sent.items():
        for other, noise in noises.items():
            wrong = sum(is_heard(rng, signal, noise, None) for _ in range(airings))
            missed = [sum(not is_heard(rng, signal, noise, snr) for _ in range(airings)) for snr in SNR_DB]
            windows += (1 + len(SNR_DB)) * airings * (AIRING_MS // WINDOW_MS)
            shares = "  ".join(f"{100 * each / airings:5.1f} %" for each in missed)
            print(f"{name:8} {other:16} {100 * wrong / airings:11.2f} %                {shares}")
    print(
        f"{(time.process_time() - began) / windows * 1e3:.2f} ms of processor time a window of {WINDOW_MS} ms, all told"
    )
    return 0


def is_heard(rng: np.random.Generator, signal: Signal, noise: Noise, snr_db: float | None) -> bool:
    """One airing."""
    return bool(judge(looks_at(rng, signal, noise, snr_db), HeardBy.MICROPHONE).is_heard)


def looks_at(
    rng: np.random.Generator, signal: Signal, noise: Noise, snr_db: float | None, *, airing_ms: int = AIRING_MS
) -> list[Look]:
    """The windows of one airing of a piece of a signal; without `snr_db` the horn is silent."""
    count = airing_ms * SAMPLES_PER_MS
    margin = 2 * SAMPLE_RATE_HZ
    sent = piece(rng, signal, count + 2 * margin)
    came = level(noise(rng, len(sent)))
    if snr_db is not None:
        path = np.zeros(round((DELAY_MS / 1000 + ECHO_S) * SAMPLE_RATE_HZ))
        echo = rng.standard_normal(round(ECHO_S * SAMPLE_RATE_HZ))
        echo *= 10 ** (-3 * np.arange(len(echo)) / len(echo))
        at = DELAY_MS * SAMPLES_PER_MS
        path[at : at + len(echo)] = echo * np.sqrt(2.0 / (echo * echo).sum())
        path[at] += 1.0
        came = came + level(convolved(sent, path)[: len(sent)]) * 10 ** (snr_db / 20)
    sent16, came16 = as_int16(sent, 0.1), as_int16(came, 0.05)
    found = []
    for first in range(margin, margin + count - WINDOW + 1, WINDOW):
        begin, needed = window_of(first)
        found.append(look(sent16[begin : begin + needed], came16[first : first + WINDOW], first_sample=first))
    return found


def convolved(one: Signal, other: Signal) -> Signal:
    """By transforms: the echoes are long."""
    size = 1 << (len(one) + len(other)).bit_length()
    return np.asarray(np.fft.irfft(np.fft.rfft(one, size) * np.fft.rfft(other, size), size))


def level(samples: Signal) -> Signal:
    """At an RMS of one."""
    return np.asarray(samples / np.sqrt(np.mean(samples * samples) + 1e-20))


def as_int16(samples: Signal, rms: float) -> NDArray[np.int16]:
    """At an RMS below full scale, clipped as a converter does."""
    return np.asarray(np.clip(level(samples) * rms * 32_767, -32_768, 32_767), np.int16)


def white(rng: np.random.Generator, count: int) -> Signal:
    """Rain on a roof."""
    return rng.standard_normal(count)


def pink(rng: np.random.Generator, count: int) -> Signal:
    """A street."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequency = np.maximum(np.fft.rfftfreq(count, 1 / SAMPLE_RATE_HZ), 20.0)
    return np.asarray(np.fft.irfft(spectrum / np.sqrt(frequency), count))


def piece(rng: np.random.Generator, signal: Signal, count: int) -> Signal:
    """From somewhere in a signal, which goes round."""
    first = int(rng.integers(len(signal)))
    return np.asarray(np.take(signal, np.arange(first, first + count), mode="wrap"))


def chords(rng: np.random.Generator, seconds: int) -> Signal:
    """Notes of an equal-tempered scale over three octaves, a new one each half second, each with its partials."""
    out = np.zeros(seconds * SAMPLE_RATE_HZ)
    held = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    for first in range(0, len(out) - SAMPLE_RATE_HZ, SAMPLE_RATE_HZ // 2):
        hz = 196.0 * 2 ** (rng.integers(36) / 12) * (1 + 0.003 * rng.standard_normal())
        for partial in range(1, 7):
            phase = rng.uniform(0, 2 * np.pi)
            out[first : first + len(held)] += (
                np.sin(2 * np.pi * hz * partial * held + phase) / partial * np.exp(-3 * held)
            )
    return out


def spoken(text: str, pitch: int) -> Signal:
    """By espeak-ng; ends the program where that is not installed."""
    if shutil.which("espeak-ng") is None:
        sys.exit("espeak-ng is not installed: apt install espeak-ng")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run(["espeak-ng", "-v", "vi", "-p", str(40 + 30 * pitch), "-w", str(path), text], check=True)
        with wave.open(str(path)) as file:
            rate = file.getframerate()
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float64)
    count = len(samples) * SAMPLE_RATE_HZ // rate
    return np.asarray(np.interp(np.arange(count) * rate / SAMPLE_RATE_HZ, np.arange(len(samples)), samples))


if __name__ == "__main__":
    sys.exit(main())
