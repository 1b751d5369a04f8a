"""Ends connections on which nothing is asked, so that nobody holds a listener by saying nothing, or half of something.

For a listener that people use: a request that is whole may take its time, and a browser may keep its connection for a
while. A connection without a whole request is quiet, be its headers or its body still to come; it ends after a bound,
and where there are too many, those that have been quiet for longest end first. Leaves the handshake to the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from aiohttp.web_protocol import RequestHandler

LOOK_EVERY_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietLimits:
    """How long a connection may be quiet (longer than it is kept alive), and how many there may be."""

    quiet_s_max: float = 45.0
    connections_max: int = 1_000
    look_every_s: float = LOOK_EVERY_S


class QuietConnections:
    """Those of one application; hand it the server once that exists."""

    def __init__(self, application: web.Application, limits: QuietLimits) -> None:
        self.server: web.Server | None = None
        self._limits = limits
        self._asked: dict[RequestHandler, web.Request] = {}
        self._quiet_since_s: dict[RequestHandler, float] = {}
        application.middlewares.insert(0, self._noted())
        application.cleanup_ctx.append(self._watched)

    def _noted(self) -> Middleware:
        @web.middleware
        async def noted(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._asked[request.protocol] = request
            try:
                return await handler(request)
            finally:
                self._asked.pop(request.protocol, None)
                self._quiet_since_s.pop(request.protocol, None)

        return noted

    async def _watched(self, _application: web.Application) -> AsyncIterator[None]:
        watching = asyncio.create_task(self._watch(), name="quiet connections")
        yield
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._limits.look_every_s)
            if self.server is not None:
                self._end_quiet_ones(self.server, asyncio.get_running_loop().time())

    def _end_quiet_ones(self, server: web.Server, now_s: float) -> None:
        connections = server.connections
        self._quiet_since_s = {
            each: self._quiet_since_s.get(each, now_s) for each in connections if not self._is_answered(each)
        }
        spare = len(connections) - self._limits.connections_max
        longest = sorted(self._quiet_since_s, key=lambda each: self._quiet_since_s[each])
        for number, each in enumerate(longest):
            if number < spare or now_s - self._quiet_since_s[each] > self._limits.quiet_s_max:
                each.force_close()

    def _is_answered(self, connection: RequestHandler) -> bool:
        """Whether a whole request of it is being answered."""
        request = self._asked.get(connection)
        return request is not None and request.content.is_eof()
