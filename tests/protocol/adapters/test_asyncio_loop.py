"""A node on a real loop: its deadlines are kept, and its bugs come out."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

from protocol.adapters.asyncio_loop import LoopDriver
from protocol.units import MonotonicNs, Now, SharedNs
from tests.support.waiting import until


class Alarm:
    """A node that wants to be woken a while after each "set", and tells when it was."""

    def __init__(self, after_ms: int) -> None:
        self.after_ns = after_ms * 1_000_000
        self.deadline: MonotonicNs | None = None

    def handle(self, event: str, now: Now) -> Sequence[str]:
        if event == "set":
            self.deadline = MonotonicNs(now.monotonic_ns + self.after_ns)
        if event == "break":
            raise RuntimeError("a bug in the node")
        if event == "wake" and self.deadline is not None and now.monotonic_ns >= self.deadline:
            self.deadline = None
            return ["rang"]
        return []

    def next_deadline(self) -> MonotonicNs | None:
        return self.deadline


async def test_a_deadline_is_kept() -> None:
    rang: list[float] = []
    driver: LoopDriver[str, str] = LoopDriver(
        node=Alarm(50), execute=lambda _effect: rang.append(time.monotonic()), wake_event="wake"
    )
    started = time.monotonic()
    driver.post("set")
    await until(lambda: rang)
    driver.close()
    assert 0.05 <= rang[0] - started < 0.5


async def test_what_another_thread_asks_for_is_done_after_what_it_posted() -> None:
    done: list[str] = []
    driver: LoopDriver[str, str] = LoopDriver(node=Alarm(0), execute=done.append, wake_event="wake")

    def from_elsewhere() -> None:
        driver.post_from_thread("set")
        driver.call_from_thread(lambda: done.append("called"))

    thread = threading.Thread(target=from_elsewhere)
    thread.start()
    thread.join()
    await until(lambda: len(done) == 2)
    driver.close()
    assert done == ["called", "rang"]


async def test_a_closed_driver_takes_no_events_and_rings_no_more() -> None:
    done: list[str] = []
    driver: LoopDriver[str, str] = LoopDriver(node=Alarm(1), execute=done.append, wake_event="wake")
    driver.post("set")
    driver.close()
    driver.post("set")
    await asyncio.sleep(0.02)
    assert done == []
    assert driver.failure.cancelled()


async def test_a_node_is_woken_when_shared_time_is_set_and_not_when_it_is_slewed() -> None:
    set_by_ns = [0]
    rang: list[int] = []

    def read_clock() -> Now:
        monotonic_ns = time.monotonic_ns()
        return Now(monotonic_ns=MonotonicNs(monotonic_ns), shared_ns=SharedNs(10**18 + monotonic_ns + set_by_ns[0]))

    class Counting(Alarm):
        def handle(self, event: str, now: Now) -> Sequence[str]:
            assert event == "wake"
            rang.append(now.shared_ns)
            return []

    driver: LoopDriver[str, str] = LoopDriver(
        node=Counting(0), execute=lambda _: None, wake_event="wake", read_clock=read_clock, clock_watch_s=0.01
    )
    for _ in range(20):
        set_by_ns[0] += 1_000_000
        await asyncio.sleep(0.01)
    assert not rang
    set_by_ns[0] -= 3_600_000_000_000
    await until(lambda: rang)
    await asyncio.sleep(0.05)
    assert len(rang) == 1
    driver.close()


async def test_a_bug_comes_out_and_ends_it() -> None:
    done: list[str] = []
    driver: LoopDriver[str, str] = LoopDriver(node=Alarm(1), execute=done.append, wake_event="wake")
    driver.post("break")
    with pytest.raises(RuntimeError, match="a bug in the node"):
        await asyncio.wait_for(driver.failure, 1)
    driver.post("set")
    await asyncio.sleep(0.02)
    assert done == []


async def test_events_from_other_threads_are_taken_on_the_loop() -> None:
    names: list[str] = []
    driver: LoopDriver[str, str] = LoopDriver(
        node=Alarm(1), execute=lambda _effect: names.append(threading.current_thread().name), wake_event="wake"
    )
    thread = threading.Thread(target=driver.post_from_thread, args=("set",))
    thread.start()
    await until(lambda: names)
    thread.join()
    driver.close()
    assert names == ["MainThread"]
