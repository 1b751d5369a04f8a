"""A path delays each way by its own model, and keeps the order of what it carries."""

from __future__ import annotations

import asyncio
import contextlib
import time

from benchmarks.real.delay_path import MODELS, PathModel, open_path
from simulator.network.delay import NS_PER_MS, DelayModel
from tests.support.waiting import until

PIECES = 40
UNEVEN = PathModel(
    up=DelayModel(fixed_ns=30 * NS_PER_MS, jitter_mean_ns=5 * NS_PER_MS), down=DelayModel(fixed_ns=20 * NS_PER_MS)
)


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1024):
            writer.write(data)
    writer.close()


async def _through(model: PathModel) -> tuple[float, bytes]:
    """How long the first byte took there and back, and everything that came back."""
    echo = await asyncio.start_server(_echo, "127.0.0.1", 0)
    path = await open_path(0, echo.sockets[0].getsockname()[1], model, seed=5)
    reader, writer = await asyncio.open_connection("127.0.0.1", path.sockets[0].getsockname()[1])
    begun = time.monotonic()
    writer.write(b"\0")
    came = await reader.readexactly(1)
    took_s = time.monotonic() - begun
    for number in range(1, PIECES):
        writer.write(bytes([number]))
        await asyncio.sleep(0)
    came += await reader.readexactly(PIECES - 1)
    writer.close()
    await writer.wait_closed()
    await until(lambda: len(asyncio.all_tasks()) == 1, seconds=5.0, what="both ends of the path close")
    path.close()
    echo.close()
    return took_s, came


async def test_both_ways_are_delayed_and_order_is_kept() -> None:
    took_s, came = await _through(UNEVEN)
    assert took_s >= 0.05
    assert came == bytes(range(PIECES))


async def test_a_wired_path_adds_nothing_but_itself() -> None:
    assert MODELS["wired"].up.fixed_ns == 0
    took_s, came = await _through(MODELS["wired"])
    assert took_s < 0.05
    assert came == bytes(range(PIECES))
