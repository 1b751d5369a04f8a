"""The watch over the machine, on real processes: who is kept from running is seen, who only sleeps is not."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from protocol.units import SharedNs
from simulator.demo.disturbance import Part
from simulator.demo.machine_watch import MachineWatch, waited_by_thread
from tests.support.waiting import until_blocking

pytestmark = pytest.mark.alone

SPIN = ["sh", "-c", "while :; do :; done"]


@contextmanager
def process(command: list[str]) -> Iterator[int]:
    """A process on the first processor that this one may use."""
    with subprocess.Popen(command) as started:
        try:
            os.sched_setaffinity(started.pid, {min(os.sched_getaffinity(0))})
            yield started.pid
        finally:
            started.kill()


@contextmanager
def watching() -> Iterator[MachineWatch]:
    watch = MachineWatch()
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


def seen(watch: MachineWatch, since_ns: int) -> set[str]:
    return {found.name for found in watch.between(SharedNs(since_ns), SharedNs(time.time_ns()))}


def test_who_shares_a_processor_waits_and_who_sleeps_does_not() -> None:
    with watching() as watch, ExitStack() as running:
        busy = [running.enter_context(process(SPIN)) for _ in range(3)]
        idle = running.enter_context(process(["sleep", "60"]))
        since_ns = time.time_ns()
        watch.follow({"busy": (busy[0], Part.NODE), "server": (busy[1], Part.SERVER), "idle": (idle, Part.NODE)})
        until_blocking(lambda: seen(watch, since_ns) >= {"busy", "server"}, what="two of three on one processor wait")
        assert "idle" not in seen(watch, since_ns)


def test_another_process_of_the_same_name_begins_at_nought() -> None:
    with watching() as watch, ExitStack() as running:
        spinning = [running.enter_context(process(SPIN)) for _ in range(3)]
        until_blocking(lambda: sum(waited_by_thread(spinning[0]).values()) > 200_000_000)
        watch.follow({"N001": (os.getpid(), Part.NODE)})
        until_blocking(lambda: "N001" in watch._seen)
        since_ns = time.time_ns()
        for each in spinning[1:]:
            os.kill(each, 9)
        watch.follow({"N001": (spinning[0], Part.SERVER)})
        until_blocking(lambda: watch._seen["N001"][0] == spinning[0])
        assert "N001" not in seen(watch, since_ns), "what it waited before it was watched is not counted"


def test_a_process_that_is_gone_waits_for_nothing() -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    assert waited_by_thread(ended.pid) == {}
    with watching() as watch:
        since_ns = time.time_ns()
        watch.follow({"N001": (ended.pid, Part.NODE)})
        until_blocking(lambda: "N001" in watch._seen)
        assert "N001" not in seen(watch, since_ns)
