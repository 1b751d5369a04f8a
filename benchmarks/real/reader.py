"""The one witness: a process that reads what every player writes to its FIFO and stamps it on arrival.

Ours and the peer's are stamped by the same thread and the same clock (this machine's monotonic one, which nothing
fakes here), so what it takes from one player it takes from all. Kept on disk, for `benchmarks.real.difference` to
compare afterwards: nothing is computed while it listens. It also notes when it was not served itself: a wait of 2 ms
that lasted 7 ms. `python -m benchmarks.real.reader FOLDER NAME:CHANNELS:FIFO ...`
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

READ_BYTES: Final = 1 << 16
PIPE_BYTES: Final = 1 << 20
"""Five seconds of stereo: whoever is held up loses nothing."""
WAIT_MS: Final = 2
OVERSHOOT_NS: Final = 5_000_000
"""A wait of WAIT_MS that lasts longer by this is a disturbance of the measurement."""
_SAMPLE_BYTES: Final = 2
_F_SETPIPE_SZ: Final = 1031


@dataclass(slots=True, kw_only=True)
class _Ear:
    """One player's FIFO and what is kept of it: its first channel, and for each piece (arrival, samples before)."""

    channels: int
    samples: BinaryIO
    arrivals: BinaryIO
    count: int = 0
    left_over: bytes = b""

    def take(self, stamp_ns: int, data: bytes) -> None:
        data = self.left_over + data
        whole = len(data) // (_SAMPLE_BYTES * self.channels) * (_SAMPLE_BYTES * self.channels)
        self.left_over = data[whole:]
        if whole:
            first = np.frombuffer(data[:whole], "<i2")[:: self.channels]
            self.arrivals.write(np.array([stamp_ns, self.count], np.int64).tobytes())
            self.samples.write(first.tobytes())
            self.count += len(first)


def listen(folder: Path, players: Sequence[tuple[str, int, Path]]) -> None:
    """Read until SIGTERM; files appear in `folder`, `ready` when all FIFOs are open."""
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    poll = select.poll()
    ears: dict[int, _Ear] = {}
    with contextlib.ExitStack() as files:
        disturbed = files.enter_context((folder / "disturbed").open("wb"))
        for name, channels, fifo in players:
            fifo.parent.mkdir(parents=True, exist_ok=True)
            fifo.unlink(missing_ok=True)
            os.mkfifo(fifo, mode=0o600)
            # Open for both: without a writer there is no end of file, and a player never waits for a reader.
            descriptor = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
            with contextlib.suppress(OSError):
                fcntl.fcntl(descriptor, _F_SETPIPE_SZ, PIPE_BYTES)
            samples = files.enter_context((folder / f"{name}.pcm").open("wb"))
            arrivals = files.enter_context((folder / f"{name}.arrivals").open("wb"))
            ears[descriptor] = _Ear(channels=channels, samples=samples, arrivals=arrivals)
            poll.register(descriptor, select.POLLIN)
        (folder / "ready").touch()
        came: list[tuple[int, int]] = []
        now_ns = time.monotonic_ns()
        while came or not stopping:  # what was written before the end is still read
            came = poll.poll(WAIT_MS)
            before_ns, now_ns = now_ns, time.monotonic_ns()
            if now_ns - before_ns > WAIT_MS * 1_000_000 + OVERSHOOT_NS:
                disturbed.write(np.array([before_ns, now_ns], np.int64).tobytes())
            for descriptor, _ in came:
                with contextlib.suppress(BlockingIOError):
                    ears[descriptor].take(now_ns, os.read(descriptor, READ_BYTES))


def main(arguments: Sequence[str] | None = None) -> int:
    """Listen until the process is ended."""
    folder, *players = sys.argv[1:] if arguments is None else arguments
    parts = [player.split(":", 2) for player in players]
    listen(Path(folder), [(name, int(channels), Path(fifo)) for name, channels, fifo in parts])
    return 0


if __name__ == "__main__":
    sys.exit(main())
