"""The listener hears exactly what a program writes through ALSA's real path, and when."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from protocol.units import NS_PER_MS, SharedNs
from simulator.demo.clips import read_wav
from simulator.demo.listener import Listener, alsa_configuration, read_pin_trace

WAIT_S_MAX = 10.0
PLAYER = """
import sys, time, numpy, pyaudio
audio = pyaudio.PyAudio()
names = [audio.get_device_info_by_index(index)["name"] for index in range(audio.get_device_count())]
pole = names.index("pole")
stream = audio.open(48000, 1, pyaudio.paInt16, output=True, output_device_index=pole, frames_per_buffer=960)
begin = time.monotonic()
for number in range(50):
    stream.write((numpy.arange(number * 960, (number + 1) * 960) % 32768).astype(numpy.int16).tobytes())
    time.sleep(max(0.0, begin + 0.02 * (number + 1) - time.monotonic()))
stream.stop_stream()
stream.close()
"""


def test_every_sample_through_portaudio_and_alsa_is_heard_in_time(tmp_path: Path) -> None:
    fifo = tmp_path / "a pole" / "sound.pcm"
    listener = Listener({"N001": fifo})
    listener.start()
    try:
        (fifo.parent / "alsa.conf").write_text(alsa_configuration(fifo, device="pole"))
        begin_ns = time.time_ns()
        subprocess.run(
            [sys.executable, "-c", PLAYER],
            check=True,
            timeout=30,
            capture_output=True,
            cwd=fifo.parent,
            env={**os.environ, "ALSA_CONFIG_PATH": "alsa.conf"},
        )
        end_ns = time.time_ns()
        deadline = time.monotonic() + WAIT_S_MAX
        while len(listener.capture("N001").samples) < 48_000 and time.monotonic() < deadline:
            time.sleep(0.02)
        capture = listener.capture("N001")
        listener.save(tmp_path / "captures")
    finally:
        listener.stop()
    expected = (np.arange(48_000) % 32768).astype(np.int16)
    assert np.array_equal(capture.samples, expected)
    assert begin_ns < capture.stamps_ns[0] <= capture.stamps_ns[-1] < end_ns
    (segment,) = capture.segments()
    length_ms = (capture.time_of(47_999, segment) - capture.time_of(0, segment)) / NS_PER_MS
    assert abs(length_ms - 1000) < 30
    assert not fifo.exists()
    assert np.array_equal(read_wav(tmp_path / "captures" / "N001.wav"), expected)


def test_what_is_older_than_the_bound_is_forgotten(tmp_path: Path) -> None:
    fifo = tmp_path / "sound.pcm"
    listener = Listener({"N001": fifo}, keep_s=0.05)
    listener.start()
    try:
        deadline = time.monotonic() + WAIT_S_MAX
        with fifo.open("wb", buffering=0) as writer:
            while time.monotonic() < deadline:
                writer.write(bytes(1920))
                time.sleep(0.02)
                if len(listener.capture("N001").samples) and time.monotonic() > deadline - WAIT_S_MAX + 0.5:
                    break
        assert 0 < len(listener.capture("N001").samples) <= 960 * 6
    finally:
        listener.stop()


def test_level_of_silence_and_of_nothing(tmp_path: Path) -> None:
    fifo = tmp_path / "sound.pcm"
    listener = Listener({"N001": fifo})
    listener.start()
    try:
        assert listener.level_dbfs("N001") is None
        with fifo.open("wb", buffering=0) as writer:
            writer.write(bytes(9600))
            deadline = time.monotonic() + WAIT_S_MAX
            while listener.level_dbfs("N001") is None and time.monotonic() < deadline:
                time.sleep(0.01)
        assert listener.level_dbfs("N001") == -90.0
    finally:
        listener.stop()


def test_a_pin_trace_that_is_missing_or_broken_is_no_evidence(tmp_path: Path) -> None:
    path = tmp_path / "pins.jsonl"
    assert read_pin_trace(path) is None
    lines = [{"shared_ns": 5, "pin": 17, "level": 1}, {"shared_ns": 9, "pin": 17, "level": 0}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    trace = read_pin_trace(path)
    assert trace is not None
    assert [(change.at_ns, change.is_on) for change in trace] == [(SharedNs(5), True), (SharedNs(9), False)]
    path.write_text(path.read_text() + '{"shared_ns": 1')
    assert read_pin_trace(path) is None
