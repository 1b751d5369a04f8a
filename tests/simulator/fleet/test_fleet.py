"""Real agents in one process on a real broker and controller: ready, sounding together, gone in good order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.bench_site import CLIP, COMMUNE
from simulator.fleet.run import Fleet, running_fleet
from simulator.fleet.wall import WallWorld

pytestmark = pytest.mark.alone

NODES = 8
SOUND_S_MAX = 15.0


async def until(condition: Callable[[], bool]) -> None:
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + SOUND_S_MAX
    while not await asyncio.to_thread(condition):
        assert loop.time() < deadline_s, "it did not come"
        await asyncio.sleep(0.05)


def started(fleet: Fleet) -> set[str]:
    return {airing["node"] for airing in fleet.console.airings() if airing.get("state") == "started"}


async def test_every_node_is_ready_and_an_emergency_powers_every_amplifier(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, nodes=NODES, has_stream=False, say=lambda _: None) as fleet:
        assert await asyncio.to_thread(fleet.ready) == NODES
        assert fleet.sounding() == 0
        emergency = await asyncio.to_thread(fleet.console.start_emergency, area=COMMUNE, clip=CLIP, minutes=5)
        await until(lambda: fleet.sounding() == NODES)
        await until(lambda: started(fleet) == {member.name for member in fleet.members})
        await asyncio.to_thread(fleet.console.all_clear, emergency, reason="thử")
        await until(lambda: fleet.sounding() == 0)


async def test_a_world_on_the_wall_keeps_its_order_and_never_runs_ahead() -> None:
    wall = WallWorld()
    world, seen = wall.world, []
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    begin_ns = world.now_ns
    world.after(60_000_000, lambda: done.set_result(world.now_ns))
    world.after(20_000_000, lambda: seen.append(world.now_ns - begin_ns))
    wall.arm()
    at_ns = await asyncio.wait_for(done, 5)
    wall.close()
    assert seen == [20_000_000]
    assert at_ns - begin_ns == 60_000_000


@pytest.mark.slow
async def test_a_stream_powers_everybody(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, nodes=NODES, has_stream=True, say=lambda _: None) as fleet:
        await until(lambda: fleet.sounding() == NODES)
