"""The emulated connection: in order whatever happens, late after a stall, empty after a cut."""

from __future__ import annotations

from benchmarks.sync.cases import MOBILE, Kind
from benchmarks.sync.line import Line, Outage
from protocol.units import NS_PER_MS, NS_PER_S
from simulator.world import World

EVERY_NS = 5 * NS_PER_MS
SENT = 2_000


def arrivals(*outages: tuple[Kind, float, float]) -> tuple[World, list[tuple[int, int]]]:
    """Number and true instant of every message of ten seconds that came."""
    world = World(seed=3)
    begun_ns = world.now_ns
    away = tuple(
        Outage(kind=kind, begins_ns=begun_ns + round(at * NS_PER_S), ends_ns=begun_ns + round(until * NS_PER_S))
        for kind, at, until in outages
    )
    line, got = Line(world, "here", MOBILE, away), []

    def send(number: int) -> None:
        line.up.send(lambda: got.append((number, world.now_ns - begun_ns)))

    for number in range(SENT):
        world.at(begun_ns + number * EVERY_NS, send, number)
    world.run_for(20 * NS_PER_S)
    return world, got


def test_all_comes_in_order_and_late() -> None:
    _, got = arrivals()
    assert [number for number, _ in got] == list(range(SENT))
    late = [at - number * EVERY_NS for number, at in got]
    assert min(late) >= MOBILE.up.fixed_ns
    assert max(late) > 100 * NS_PER_MS


def test_a_stall_lets_all_wait_and_loses_nothing() -> None:
    _, got = arrivals((Kind.STALL, 2.0, 3.0))
    assert [number for number, _ in got] == list(range(SENT))
    assert not [at for _, at in got if 2 * NS_PER_S < at < 3 * NS_PER_S]


def test_a_cut_loses_what_is_under_way_and_sent_meanwhile() -> None:
    _, got = arrivals((Kind.CUT, 2.0, 7.0))
    lost = set(range(SENT)) - {number for number, _ in got}
    assert set(range(400, 1_400)) <= lost
    assert {number for number in lost if number < 400} >= {399, 398}
    assert max(lost) == 1_399
    assert not [at for _, at in got if 2 * NS_PER_S < at < 7 * NS_PER_S]
