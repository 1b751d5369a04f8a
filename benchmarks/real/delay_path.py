"""A TCP path that delays: what comes in on one loopback port goes out to another, later, in order.

A process of its own, so that it stands in the way of nobody. Each connection draws its own delays, each direction
by its own model; TCP keeps bytes in order, so a spike holds up what follows it. Delays are those of `player.md`, no
loss: below TCP it would be a delay too. `python -m benchmarks.real.delay_path --help`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from simulator.chance import Chance, stream_of
from simulator.network.delay import MOBILE, DelayModel

READ_BYTES: Final = 64 * 1024
WAITING_PIECES_MAX: Final = 4_096
"""More than a second of any stream; beyond it the sender is held back, as a full queue in a network would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathModel:
    """What a path does to bytes from a player (up) and to a player (down)."""

    up: DelayModel
    down: DelayModel


MODELS: Final = {
    "wired": PathModel(up=DelayModel(), down=DelayModel()),
    "mobile": PathModel(up=replace(MOBILE.up, loss_ppm=0), down=replace(MOBILE.down, loss_ppm=0)),
}
"""`wired` is this machine's loopback alone; both have a second process on their way."""


async def open_path(port: int, target: int, model: PathModel, seed: int) -> asyncio.Server:
    """Begin to relay from a port (0: a free one) to another."""
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        up, down = stream_of(seed, f"up {count}"), stream_of(seed, f"down {count}")
        far: asyncio.StreamWriter | None = None
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", target)
            for each in (writer, far):
                each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_pour(reader, far, model.up, up))
                tasks.create_task(_pour(far_reader, writer, model.down, down))
        except* OSError:
            pass
        finally:
            for end in (writer, far):
                if end is not None:
                    end.transport.abort()

    return await asyncio.start_server(serve, "127.0.0.1", port)


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, model: DelayModel, chance: Chance) -> None:
    """Read as it comes, write when it is due; ends the whole connection by an OSError at the end of either side."""
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(WAITING_PIECES_MAX)

    async def write() -> None:
        while True:
            due_s, piece = await waiting.get()
            if due_s > loop.time():
                await asyncio.sleep(due_s - loop.time())
            writer.write(piece)
            await writer.drain()

    writing = asyncio.create_task(write())
    try:
        while piece := await reader.read(READ_BYTES):
            await waiting.put((loop.time() + model.sample_ns(chance, 1) / 1e9, piece))
        message = "the connection has ended"
        raise ConnectionResetError(message)
    finally:
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await writing


def main(arguments: Sequence[str] | None = None) -> int:
    """Relay until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", type=int, required=True, help="loopback port that players connect to")
    parser.add_argument("--target", type=int, required=True, help="loopback port of the server")
    parser.add_argument("--model", choices=sorted(MODELS), required=True, help="which delays")
    parser.add_argument("--seed", type=int, default=1, help="of the delays' random numbers (default: 1)")
    options = parser.parse_args(arguments)

    async def relay() -> None:
        await (await open_path(options.listen, options.target, MODELS[options.model], options.seed)).serve_forever()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(relay())
    return 0


if __name__ == "__main__":
    sys.exit(main())
