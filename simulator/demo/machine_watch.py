"""Looks at what the kernel knows of the demo's processes: how long each was ready to run and had no processor.

One thread reads `/proc/PID/task/*/schedstat` (time on a processor, time waited for one, in nanoseconds) twenty times
a second. It notes too how late it was itself beyond what this process waited: a virtual machine that is stopped from
outside counts for nobody in it. Nothing here asks the product. Leaves the meaning to `disturbance`.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Mapping
from typing import Final

from protocol.units import NS_PER_S, SharedNs
from simulator.demo.disturbance import KEEP_S_DEFAULT, Disturbance, Part, Waits

PERIOD_S: Final = 0.05
"""About what a node bears; what is waited across a look counts in full at its end."""
MACHINE: Final = "the machine"
"""Under this name stands how late the watch itself was."""
_LINE_BYTES: Final = 128
"""Three numbers of 64 bits in text."""
_STOP_S_MAX: Final = 2.0


class MachineWatch:
    """Watches from `start` to `stop` the processes that it was last told to `follow`."""

    def __init__(self, *, keep_s: float = KEEP_S_DEFAULT) -> None:
        self._waits = Waits(keep_s=keep_s)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._followed: dict[str, tuple[int, Part]] = {}
        self._seen: dict[str, tuple[int, dict[str, int]]] = {}
        self._thread = threading.Thread(target=self._look, name="machine-watch", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_S_MAX)

    def follow(self, processes: Mapping[str, tuple[int, Part]]) -> None:
        """Watch these from now on: process id and part by name."""
        with self._lock:
            self._followed = dict(processes)

    def between(self, begin_ns: SharedNs, end_ns: SharedNs) -> list[Disturbance]:
        """What was held up so that it may be heard in an interval; see `Waits.between`."""
        with self._lock:
            return self._waits.between(begin_ns, end_ns)

    def _look(self) -> None:
        looked_ns, due_s = time.time_ns(), time.monotonic() + PERIOD_S
        while not self._stopping.wait(max(0.0, due_s - time.monotonic())):
            late_ns = int((time.monotonic() - due_s) * NS_PER_S)
            due_s = time.monotonic() + PERIOD_S
            now_ns = time.time_ns()
            with self._lock:
                stood_ns = max(0, late_ns - self._waited(MACHINE, os.getpid()))
                self._waits.note(MACHINE, Part.MACHINE, begin_ns=looked_ns, end_ns=now_ns, waited_ns=stood_ns)
                for name, (process, part) in self._followed.items():
                    waited_ns = self._waited(name, process)
                    self._waits.note(name, part, begin_ns=looked_ns, end_ns=now_ns, waited_ns=waited_ns)
            looked_ns = now_ns

    def _waited(self, name: str, process: int) -> int:
        """How long the threads of a process have waited since the last look, together."""
        now = waited_by_thread(process)
        before_process, before = self._seen.get(name, (0, {}))
        self._seen[name] = process, now
        if before_process != process:
            self._waits.forget(name)
            return 0
        return sum(waited_ns - before.get(thread, 0) for thread, waited_ns in now.items())


def waited_by_thread(process: int) -> dict[str, int]:
    """Nanoseconds that each thread of a process has waited for a processor; empty when it is gone."""
    found = {}
    folder = f"/proc/{process}/task"
    with contextlib.suppress(OSError):
        for thread in os.listdir(folder):  # noqa: PTH208 - twenty times a second: names, not paths
            with contextlib.suppress(OSError, ValueError, IndexError):
                descriptor = os.open(f"{folder}/{thread}/schedstat", os.O_RDONLY)
                try:
                    found[thread] = int(os.read(descriptor, _LINE_BYTES).split()[1])
                finally:
                    os.close(descriptor)
    return found
