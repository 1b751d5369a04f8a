"""The witness keeps what each player wrote, and when, and notices when it was not served itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.commune import await_true
from benchmarks.real.difference import Heard

PATIENCE_S = 20.0


def test_what_is_written_is_kept_with_its_arrival_and_stereo_by_its_first_channel(tmp_path: Path) -> None:
    fifos = {"mono": tmp_path / "mono.fifo", "stereo": tmp_path / "stereo.fifo"}
    players = [f"mono:1:{fifos['mono']}", f"stereo:2:{fifos['stereo']}"]
    reader = subprocess.Popen([sys.executable, "-m", "benchmarks.real.reader", str(tmp_path), *players])
    try:
        await_true((tmp_path / "ready").exists, "the FIFOs are open", seconds=PATIENCE_S)
        sound = np.arange(1, 4801, dtype=np.int16)
        mono, stereo = (os.open(fifo, os.O_WRONLY) for fifo in fifos.values())
        before_ns = time.monotonic_ns()
        os.write(mono, sound.tobytes())
        os.write(mono, sound.tobytes()[:1])  # half a sample: its other half may come later
        os.write(stereo, np.repeat(sound, 2).tobytes())
        for descriptor in (mono, stereo):
            os.close(descriptor)
        reader.send_signal(signal.SIGSTOP)
        time.sleep(0.05)  # that long it is not served
        reader.send_signal(signal.SIGCONT)
        reader.terminate()
        assert reader.wait(PATIENCE_S) == 0
    finally:
        reader.kill()
        reader.wait(PATIENCE_S)
    for name in fifos:
        heard = Heard.load(tmp_path, name)
        assert heard.samples.tolist() == sound.tolist()
        assert before_ns <= heard.stamps_ns[0] <= time.monotonic_ns()
    disturbed = np.fromfile(tmp_path / "disturbed", np.int64).reshape(-1, 2)
    assert (disturbed[:, 1] - disturbed[:, 0]).max() >= 40_000_000
