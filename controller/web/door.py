"""A listener that anybody may reach: its connections are few, short and begun in time.

Beside what the application bounds itself (bodies, requests), here: how long a handshake may take, how long a
connection may live whatever it does, and how many there are at one time. So nobody holds the door by saying nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from controller.errors import ConfigError
from controller.web.listeners import set_up

HANDSHAKE_S_MAX: Final = 10.0
"""A 4G line that stalls takes seconds; TLS needs two round trips."""
CONNECTION_S_MAX: Final = 30.0
"""One enrolment asks four small things."""
CONNECTIONS_MAX: Final = 512
LOOK_EVERY_S: Final = 2.0
BACKLOG: Final = 256


@contextlib.asynccontextmanager
async def open_door(
    application: web.Application, *, host: str, port: int, key: str, tls: ssl.SSLContext
) -> AsyncIterator[None]:
    """Serve an application until left; raises ConfigError that names the configuration's key."""
    runner = await set_up(application)
    if runner.server is None:
        raise ConfigError(f"{key}: the listener was not made")
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(
            runner.server, host, port, ssl=tls, ssl_handshake_timeout=HANDSHAKE_S_MAX, backlog=BACKLOG
        )
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(f"{key}: cannot listen on {host}:{port}: {error.strerror or error}") from error
    watching = asyncio.create_task(_end_long_ones(runner.server), name=f"connections of {key}")
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        server.close()
        await runner.cleanup()


async def _end_long_ones(server: web.Server) -> None:
    """End what has lived too long, and the oldest of too many."""
    loop = asyncio.get_running_loop()
    since_s: dict[RequestHandler, float] = {}
    while True:
        now_s = loop.time()
        since_s = {each: since_s.get(each, now_s) for each in server.connections}
        oldest = sorted(since_s, key=lambda each: since_s[each])
        spare = max(0, len(oldest) - CONNECTIONS_MAX)
        for number, each in enumerate(oldest):
            if number < spare or now_s - since_s[each] > CONNECTION_S_MAX:
                each.force_close()
        await asyncio.sleep(LOOK_EVERY_S)
