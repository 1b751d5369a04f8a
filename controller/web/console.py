"""The console's listener: what page and API share.

Rules kept: it answers only under this machine's own names while it is bound to loopback, so that no web page from
elsewhere can reach it by a name of its own; every answer forbids foreign scripts and frames; errors are JSON for
programs, each with a stable code and what to do; bodies are small.
"""

from __future__ import annotations

import ipaddress
import logging
import urllib.parse
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from controller.config import ConsoleListenerConfig
from controller.dispatch import Desk
from controller.effects import Answer
from controller.errors import DatabaseError, RequestCode, RequestError
from controller.ports import AiringQuestion, AiringRow
from controller.requests import Request
from controller.views import StatusView

log = logging.getLogger(__name__)

BODY_BYTES_MAX: Final = 16 * 1024
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
STATUS_OF: Final = {
    RequestCode.UNKNOWN_AREA: 404,
    RequestCode.UNKNOWN_CLIP: 404,
    RequestCode.UNKNOWN_FEED: 404,
    RequestCode.UNKNOWN_EMERGENCY: 404,
    RequestCode.UNKNOWN_STREAM: 404,
    RequestCode.NOT_FOUND: 404,
    RequestCode.CLIP_NOT_READY: 409,
    RequestCode.WRONG_REALITY: 409,
    RequestCode.ALREADY_OVER: 409,
    RequestCode.REAL_STANDS: 409,
    RequestCode.TOO_MANY: 429,
    RequestCode.BAD_REQUEST: 400,
    RequestCode.NOT_ALLOWED: 401,
    RequestCode.NOT_STORED: 503,
    RequestCode.NOT_READY: 503,
    RequestCode.KEY_MISSING: 500,
}
_LOOPBACK_NAMES: Final = {"localhost", "127.0.0.1", "::1"}


class Console(Protocol):
    """What page and API need of the running controller."""

    @property
    def desk(self) -> Desk:
        """The desk, to be looked at."""

    def status(self) -> StatusView:
        """Everything at one instant."""

    async def ask(self, request: Request) -> Answer:
        """Put a request before the desk; raises RequestError."""

    async def airings(self, question: AiringQuestion) -> list[AiringRow]:
        """Stored records; raises DatabaseError."""


CONSOLE: Final = web.AppKey("console", Console)
TOKEN: Final = web.AppKey("token", str)
LISTENER: Final = web.AppKey("listener", ConsoleListenerConfig)


def console_application(console: Console, *, token: str, listener: ConsoleListenerConfig) -> web.Application:
    """An application with the shared rules; page and API add their routes."""
    application = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[_guarded])
    application[CONSOLE] = console
    application[TOKEN] = token
    application[LISTENER] = listener
    return application


def is_loopback(host: str) -> bool:
    """Whether a listener's host is this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def error_answer(code: RequestCode, message: str) -> web.Response:
    """`{"error": {"code", "message"}}` with the status that belongs to the code."""
    body = msgspec.json.encode({"error": {"code": code.value, "message": message}})
    headers = {"WWW-Authenticate": "Bearer"} if code is RequestCode.NOT_ALLOWED else None
    return web.Response(body=body, status=STATUS_OF[code], content_type="application/json", headers=headers)


@web.middleware
async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    answer = await _answered(request, handler)
    answer.headers.update(SECURITY_HEADERS)
    answer.headers.setdefault("Cache-Control", "no-store")
    return answer


async def _answered(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    if is_loopback(request.app[LISTENER].host) and _name_of(request.host) not in _LOOPBACK_NAMES:
        what = "this address answers only on the machine itself, as http://localhost"
        return error_answer(RequestCode.NOT_FOUND, what)
    try:
        return await handler(request)
    except RequestError as error:
        return error_answer(error.code, error.message)
    except DatabaseError as error:
        return error_answer(RequestCode.NOT_READY, str(error))
    except web.HTTPRequestEntityTooLarge:
        return error_answer(RequestCode.BAD_REQUEST, f"the body is larger than {BODY_BYTES_MAX} bytes")
    except web.HTTPMethodNotAllowed as error:
        what = f"{request.method} is not allowed here; allowed: {', '.join(sorted(error.allowed_methods))}"
        return error_answer(RequestCode.BAD_REQUEST, what)
    except web.HTTPNotFound:
        return error_answer(RequestCode.NOT_FOUND, f"there is nothing at {request.path[:200]}")


def _name_of(host: str) -> str:
    """The name in a Host header, without port and brackets; "" where it is none."""
    try:
        return urllib.parse.urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
