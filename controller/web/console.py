"""The console's listener: the rules that page and API share.

Rules kept: it answers only under its own names, so that no web page from elsewhere can reach it by a name of its own;
every answer forbids foreign scripts and frames; errors are JSON for programs and a page for people, each with what to
do; bodies are small. Who may do what is `access` with its table.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from controller.configuration.config import ConsoleListenerConfig
from controller.errors import ConflictError, DatabaseError, RequestCode, RequestError
from controller.web.access import access, host_of
from controller.web.listeners import is_loopback
from controller.web.parts import ACCOUNT, CONSOLE, GATE, OFFICE, RECORDER, SETTINGS, STORE, Console, ConsoleSettings
from controller.web.people_parts import PeopleParts
from controller.web.render import add_templates, error_page
from controller.web.rules import API
from controller.web.status_codes import STATUS_OF

BODY_BYTES_MAX: Final = 16 * 1024
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": (
        "camera=(), geolocation=(), microphone=(), payment=(), usb=(), publickey-credentials-get=(self), "
        "publickey-credentials-create=(self)"
    ),
}
TRANSPORT_SECURITY: Final = "max-age=31536000"
_LOOPBACK_NAMES: Final = {"localhost", "127.0.0.1", "::1"}


def console_application(console: Console, *, settings: ConsoleSettings, people: PeopleParts) -> web.Application:
    """An application with the shared rules; page and API add their routes."""
    application = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[_guarded, access])
    application[CONSOLE] = console
    application[SETTINGS] = settings
    application[GATE] = people.gate
    application[ACCOUNT] = people.account
    application[OFFICE] = people.office
    application[STORE] = people.store
    application[RECORDER] = people.recorder
    add_templates(application)
    return application


def error_answer(code: RequestCode, message: str) -> web.Response:
    """`{"error": {"code", "message"}}` with the status that belongs to the code."""
    body = msgspec.json.encode({"error": {"code": code.value, "message": message}})
    headers = {"WWW-Authenticate": "Bearer"} if code is RequestCode.NOT_ALLOWED else None
    return web.Response(body=body, status=STATUS_OF[code], content_type="application/json", headers=headers)


@web.middleware
async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    answer = await _answered(request, handler)
    answer.headers.update(SECURITY_HEADERS)
    if request.secure:
        answer.headers["Strict-Transport-Security"] = TRANSPORT_SECURITY
    answer.headers.setdefault("Cache-Control", "no-store")
    return answer


async def _answered(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    listener = request.app[SETTINGS].listener
    names = _names_of(listener)
    if _name_of(request.host) not in names:
        what = f"this address answers only under its own names: {', '.join(sorted(names))}"
        return error_answer(RequestCode.NOT_FOUND, what)
    try:
        _require_plain(request)
        return await handler(request)
    except RequestError as error:
        return _error(request, error.code, error.message)
    except ConflictError as error:
        return _error(request, RequestCode.CONFLICT, str(error))
    except DatabaseError as error:
        return _error(request, RequestCode.NOT_READY, str(error))
    except web.HTTPRequestEntityTooLarge:
        return _error(request, RequestCode.BAD_REQUEST, f"lớn quá / the body is larger than {BODY_BYTES_MAX} bytes")
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        what = f"không làm cách này được / {request.method} is not allowed here; allowed: {allowed}"
        return _error(request, RequestCode.BAD_REQUEST, what)
    except web.HTTPNotFound:
        return _error(request, RequestCode.NOT_FOUND, f"không có trang này / there is nothing at {request.path[:200]}")


def _require_plain(request: web.Request) -> None:
    """Raise RequestError for what two readers may read differently, and for what would have to be unpacked."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise RequestError(RequestCode.BAD_REQUEST, "send the body as it is, without Content-Encoding")
    twice = sorted({name for name in request.query if len(request.query.getall(name)) > 1})
    if twice:
        what = f"{', '.join(twice)[:100]}: có hai lần trong địa chỉ / stands twice in the address: say it once"
        raise RequestError(RequestCode.BAD_REQUEST, what)


def _error(request: web.Request, code: RequestCode, message: str) -> web.Response:
    """A page where a browser asked for one, JSON for everybody else."""
    wants_page = "text/html" in request.headers.get("Accept", "") and not request.path.startswith(API)
    if wants_page:
        return error_page(request, message, STATUS_OF[code])
    return error_answer(code, message)


def _names_of(listener: ConsoleListenerConfig) -> frozenset[str]:
    """The names under which the console answers."""
    own = {host_of(listener)} if listener.origin else set()
    return frozenset(own | (_LOOPBACK_NAMES if is_loopback(listener.host) else set()))


def _name_of(host: str) -> str:
    """The name in a Host header, without port and brackets; "" where it is none."""
    try:
        return urllib.parse.urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
