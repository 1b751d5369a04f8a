"""The independent witness: one thread reads what every node wrote to its sound path, and stamps it on arrival.

The nodes write raw int16 mono 48 kHz into a FIFO each (ALSA's `file` over `null`); this side holds the FIFOs
open, so that a node never waits for a reader and its restart is only a pause. Kept in memory, bounded by
`keep_s`; what is older is forgotten. It believes nothing that a node says.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import select
import stat
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from protocol.units import NS_PER_S, SAMPLE_RATE_HZ, SharedNs
from simulator.demo.capture import Capture
from simulator.demo.clips import write_wav
from simulator.demo.evidence import PinChange

READ_BYTES: Final = 1 << 16
PIPE_BYTES: Final = 1 << 20
"""Ten seconds of sound: a listener held up by the machine loses nothing."""
KEEP_S_DEFAULT: Final = 300.0
LEVEL_S: Final = 0.5
_SAMPLE_BYTES: Final = 2
_POLL_MS: Final = 100
_LEVEL_FLOOR_DBFS: Final = -90.0
_F_SETPIPE_SZ: Final = 1031
_STOP_S_MAX: Final = 2.0


class Listener:
    """Reads the FIFOs of all nodes from `start` to `stop`."""

    def __init__(self, fifos: Mapping[str, Path], *, keep_s: float = KEEP_S_DEFAULT) -> None:
        self._fifos = dict(fifos)
        self._keep_ns = int(keep_s * NS_PER_S)
        self._chunks: dict[str, deque[tuple[int, bytes]]] = {node: deque() for node in self._fifos}
        self._odd: dict[str, bytes] = dict.fromkeys(self._fifos, b"")
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read, name="listener", daemon=True)

    def start(self) -> None:
        """Make the FIFOs and begin to read."""
        for fifo in self._fifos.values():
            fifo.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                fifo.unlink()
            os.mkfifo(fifo, mode=0o600)
        self._thread.start()

    def stop(self) -> None:
        """Stop reading and remove the FIFOs."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_S_MAX)
        for fifo in self._fifos.values():
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISFIFO(fifo.stat().st_mode):
                    fifo.unlink()

    def capture(self, node: str) -> Capture:
        """All that is kept of one node until now."""
        with self._lock:
            chunks = list(self._chunks[node])
        return Capture.from_chunks(chunks)

    def captures(self) -> dict[str, Capture]:
        """As `capture`, of every node."""
        return {node: self.capture(node) for node in self._fifos}

    def level_dbfs(self, node: str) -> float | None:
        """RMS of the last half second; None when nothing came."""
        since_ns = time.time_ns() - int(LEVEL_S * NS_PER_S)
        with self._lock:
            recent = []
            for stamp, data in reversed(self._chunks[node]):
                if stamp < since_ns:
                    break
                recent.append(data)
        if not recent:
            return None
        samples = np.frombuffer(b"".join(recent), dtype="<i2").astype(np.float64)
        mean = float((samples**2).mean()) / 32768**2
        return round(10 * math.log10(mean), 1) if mean > 0 else _LEVEL_FLOOR_DBFS

    def save(self, folder: Path) -> None:
        """Write what is kept as WAV files, with the arrival of each chunk beside them as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        for node, capture in self.captures().items():
            write_wav(folder / f"{node}.wav", capture.samples)
            arrivals = {"ends": capture.ends.tolist(), "stamps_ns": capture.stamps_ns.tolist()}
            (folder / f"{node}.json").write_text(json.dumps(arrivals))

    def _read(self) -> None:
        poll = select.poll()
        node_of: dict[int, str] = {}
        for node, fifo in self._fifos.items():
            # Open for both: without a writer there is no end of file, and without a reader no SIGPIPE for a node.
            descriptor = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
            with contextlib.suppress(OSError):
                fcntl.fcntl(descriptor, _F_SETPIPE_SZ, PIPE_BYTES)
            node_of[descriptor] = node
            poll.register(descriptor, select.POLLIN)
        try:
            while not self._stopping.is_set():
                for descriptor, _ in poll.poll(_POLL_MS):
                    with contextlib.suppress(BlockingIOError):
                        self._take(node_of[descriptor], os.read(descriptor, READ_BYTES))
        finally:
            for descriptor in node_of:
                os.close(descriptor)

    def _take(self, node: str, data: bytes) -> None:
        stamp_ns = time.time_ns()
        data = self._odd[node] + data
        whole = len(data) // _SAMPLE_BYTES * _SAMPLE_BYTES
        self._odd[node] = data[whole:]
        with self._lock:
            chunks = self._chunks[node]
            if whole:
                chunks.append((stamp_ns, data[:whole]))
            while chunks and chunks[0][0] < stamp_ns - self._keep_ns:
                chunks.popleft()


def read_pin_trace(path: Path) -> list[PinChange] | None:
    """The changes of the relay pin; None when there is no trace or it is not one: missing evidence."""
    try:
        entries = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        return [PinChange(at_ns=SharedNs(int(entry["shared_ns"])), is_on=bool(entry["level"])) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def alsa_configuration(fifo: Path, *, device: str) -> str:
    """An ALSA device that writes every sample into `fifo`, through the path that a real card would take.

    PortAudio 19.6 insists on a device named `default`; it is one that swallows what it gets.
    """
    return f"""pcm.{device} {{
  type plug
  slave {{
    pcm {{
      type file
      slave.pcm {{ type null }}
      file "{fifo}"
      format raw
      perm 384
    }}
    format S16_LE
    rate {SAMPLE_RATE_HZ}
    channels 1
  }}
}}
pcm.default {{ type null }}
"""
