"""A path delays each way by its own model, and keeps the order of what it carries."""

from __future__ import annotations

import asyncio
import contextlib
import time

from benchmarks.real.delay_path import MODELS, PathModel, relay
from simulator.delay import NS_PER_MS, DelayModel
from simulator.demo.broker import free_port
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
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    port = free_port()
    path = asyncio.create_task(relay(port, server.sockets[0].getsockname()[1], model, seed=5))
    try:
        writers: list[asyncio.StreamWriter] = []

        async def connected() -> bool:
            with contextlib.suppress(OSError):
                writers.append((opened := await asyncio.open_connection("127.0.0.1", port))[1])
                readers.append(opened[0])
            return bool(writers)

        readers: list[asyncio.StreamReader] = []
        while not await connected():
            assert not path.done()
            await asyncio.sleep(0.01)
        begun = time.monotonic()
        writers[0].write(b"\0")
        came = await readers[0].readexactly(1)
        took_s = time.monotonic() - begun
        for number in range(1, PIECES):
            writers[0].write(bytes([number]))
            await asyncio.sleep(0)
        came += await readers[0].readexactly(PIECES - 1)
        writers[0].close()
        return took_s, came
    finally:
        path.cancel()
        server.close()
        with contextlib.suppress(asyncio.CancelledError):
            await path


async def test_both_ways_are_delayed_and_order_is_kept() -> None:
    took_s, came = await _through(UNEVEN)
    assert took_s >= 0.05
    assert came == bytes(range(PIECES))


async def test_a_wired_path_adds_nothing_but_itself() -> None:
    assert MODELS["wired"].up.fixed_ns == 0
    took_s, came = await _through(MODELS["wired"])
    assert took_s < 0.05
    assert came == bytes(range(PIECES))
