"""What it costs a pole to hear itself: the process that opens the microphone, and what the node does with its sound.

Noise goes into a sound server of its own (PulseAudio's null sink, at the pace of its clock), whose monitor is the
microphone; beside it the same noise is told to the ears as what was rendered, in pieces of 80 ms as a node renders. The
node's share is this process's time while the ears are open, less its time while they are not. Run:
`./scripts/bench hearing_cost`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.commune import await_true
from benchmarks.measure import ProcessWatch, Usage, print_table
from edge.adapters.ear import SensorEars
from edge.config import HearingConfig
from edge.player.ports import Frames
from protocol.adapters.system_clock import read_now
from protocol.units import SAMPLE_RATE_HZ, Now, TimeSource

RENDERED_FRAMES: Final = 3_840
"""80 ms: half of `sound.ahead_ms`."""
SETTLE_S: Final = 4.0
"""The ears have opened their input, and compared for the first time."""
NOISE_S: Final = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to measure, each time (default: 30)")
    seconds = parser.parse_args(arguments).seconds
    noise = np.random.default_rng(1).normal(0.0, 3_000.0, NOISE_S * SAMPLE_RATE_HZ).astype(np.int16).reshape(-1, 1)
    with tempfile.TemporaryDirectory(prefix="loaxa-hearing-") as folder, _microphone(Path(folder), noise):
        ears = SensorEars(HearingConfig(device="ears"), read_now=_read_now, is_driven=lambda: True, post=lambda _: None)
        deaf, _ = _render(ears, noise, seconds)
        ears.start()
        try:
            _render(ears, noise, SETTLE_S)
            if not _children(os.getpid()) & _listeners():
                sys.stderr.write("the microphone's process did not stay: is PulseAudio's plugin for ALSA installed?\n")
                return 1
            hearing, microphone = _render(ears, noise, seconds)
        finally:
            ears.close()
    rows = [
        {"where": "in the node", "CPU ms per s of sound": f"{_ms_a_s(hearing) - _ms_a_s(deaf):.1f}", "RSS MiB": ""},
        {
            "where": "the microphone's process",
            "CPU ms per s of sound": f"{_ms_a_s(microphone):.1f}",
            "RSS MiB": f"{microphone.resident_mib:.1f} (PSS {microphone.proportional_mib:.1f})",
        },
    ]
    print_table(f"Hearing by one microphone, {seconds:.0f} s", rows)
    return 0


def _render(ears: SensorEars, noise: Frames, seconds: float) -> tuple[Usage, Usage]:
    """Tell the ears of sound for so long, in time; what this process and those that listen for it used meanwhile."""
    own, listeners = ProcessWatch([os.getpid()]), ProcessWatch(sorted(_children(os.getpid()) & _listeners()))
    begun_s = time.monotonic()
    for number in range(int(seconds * SAMPLE_RATE_HZ / RENDERED_FRAMES)):
        time.sleep(max(0.0, begun_s + number * RENDERED_FRAMES / SAMPLE_RATE_HZ - time.monotonic()))
        first = number * RENDERED_FRAMES % (len(noise) - RENDERED_FRAMES)
        ears.sent(noise[first : first + RENDERED_FRAMES], _read_now().shared_ns)
    return own.read(), listeners.read()


@contextmanager
def _microphone(folder: Path, noise: Frames) -> Iterator[None]:
    """A sound server that plays the noise again and again, and an ALSA input `ears` that hears it."""
    file, server = folder / "noise.raw", f"unix:{folder}/native"
    noise.tofile(file)
    (folder / "asound.conf").write_text(
        f'pcm.ears {{ type pulse server "{server}" device "horn.monitor" }}\npcm.default {{ type null }}\n'
    )
    os.environ.update(ALSA_CONFIG_PATH=str(folder / "asound.conf"), JACK_NO_START_SERVER="1")
    environment = {**os.environ, "PULSE_RUNTIME_PATH": str(folder), "HOME": str(folder)}
    command = [
        *("pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes"),
        *("-L", "module-null-sink sink_name=horn rate=48000 channels=1"),
        *("-L", f"module-native-protocol-unix socket={folder}/native auth-anonymous=1"),
    ]
    into_the_sink = f"pacat -s {server} -d horn --raw --format=s16le --rate=48000 --channels=1"
    player = f'while cat "{file}"; do :; done | {into_the_sink}'
    with _running(command, environment):
        await_true((folder / "native").exists, "PulseAudio")
        with _running(["sh", "-c", player], environment):
            yield


@contextmanager
def _running(command: list[str], environment: dict[str, str]) -> Iterator[None]:
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, env=environment, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def _children(pid: int) -> set[int]:
    """The processes that a process has started and that still run."""
    return {int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()}


def _listeners() -> set[int]:
    """All processes of this machine that are a microphone's."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"edge.adapters.microphone_process" in file.read_bytes().split(b"\0"):
                found.add(int(file.parent.name))
        except OSError:
            continue  # it has ended meanwhile
    return found


def _ms_a_s(usage: Usage) -> float:
    return 1000 * usage.cpu_s / usage.wall_s


def _read_now() -> Now:
    """This machine's clock, believed."""
    now = read_now()
    return Now(monotonic_ns=now.monotonic_ns, shared_ns=now.shared_ns, error_ns=0, source=TimeSource.SYSTEM)


if __name__ == "__main__":
    sys.exit(main())
