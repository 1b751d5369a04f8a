"""The driver: order of effects, one timer, and what happens when something in it is broken."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from protocol.driver import Driver
from protocol.units import MonotonicNs, Now, SharedNs


class Echo:
    """A node that answers each event with effects from a table, and wants to be woken at `deadline`."""

    def __init__(self, answers: dict[str, list[str]]) -> None:
        self.answers = answers
        self.deadline: MonotonicNs | None = None
        self.seen: list[tuple[str, int]] = []

    def handle(self, event: str, now: Now) -> Sequence[str]:
        self.seen.append((event, now.monotonic_ns))
        return self.answers.get(event, [])

    def next_deadline(self) -> MonotonicNs | None:
        return self.deadline


class Bench:
    """A driver on a clock that is turned by hand."""

    def __init__(self, node: Echo) -> None:
        self.node = node
        self.time_ns = 100
        self.done: list[str] = []
        self.armed: list[int | None] = []
        self.driver: Driver[str, str] = Driver(
            node=node, read_clock=self.read_clock, execute=self.execute, arm=self.armed.append, wake_event="wake"
        )

    def read_clock(self) -> Now:
        return Now(monotonic_ns=MonotonicNs(self.time_ns), shared_ns=SharedNs(self.time_ns))

    def execute(self, effect: str) -> None:
        self.done.append(effect)
        if effect.startswith("post "):
            self.driver.post(effect.removeprefix("post "))
        if effect == "break":
            raise RuntimeError("an effect is broken")


def test_effects_run_in_order_and_what_they_cause_comes_after() -> None:
    bench = Bench(Echo({"a": ["1", "post b", "2"], "b": ["3"]}))
    bench.driver.post("a")
    assert bench.done == ["1", "post b", "2", "3"]
    assert [event for event, _ in bench.node.seen] == ["a", "b"]


def test_the_timer_is_armed_only_when_the_deadline_changes() -> None:
    bench = Bench(Echo({}))
    for deadline in (None, 200, 200, 300, None, None):
        bench.node.deadline = None if deadline is None else MonotonicNs(deadline)
        bench.driver.post("a")
    assert bench.armed == [200, 300, None]


def test_after_ringing_the_timer_is_armed_again_even_for_the_same_deadline() -> None:
    bench = Bench(Echo({}))
    bench.node.deadline = MonotonicNs(200)
    bench.driver.post("a")
    bench.time_ns = 199
    bench.driver.wake()
    assert bench.node.seen[-1] == ("wake", 199)
    assert bench.armed == [200, 200], "a timer that rang early would otherwise be the last"


def test_a_broken_effect_ends_the_driver() -> None:
    bench = Bench(Echo({"a": ["post b", "break", "never"], "b": ["3"]}))
    bench.node.deadline = MonotonicNs(200)
    with pytest.raises(RuntimeError, match="broken"):
        bench.driver.post("a")
    assert bench.armed == [None]
    bench.driver.post("b")
    bench.driver.wake()
    assert bench.done == ["post b", "break"]
