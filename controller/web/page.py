"""The first page: what stands, what sounds, how every cluster is. Read-only; Vietnamese first, English beside.

The page is whole without JavaScript (it reloads itself then); with it, only the part that changes is fetched again.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from pathlib import Path
from typing import Final

import jinja2
from aiohttp import web

from controller.errors import DatabaseError
from controller.ports import AiringQuestion
from controller.web.api import airing_of
from controller.web.console import CONSOLE, LISTENER, is_loopback
from controller.web.words import WORDS, fault_words, reason_words

AIRINGS_SHOWN: Final = 30
ENDED_SHOWN: Final = 5
_FOLDER: Final = Path(__file__).parent
_STATIC: Final = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
_DAY_S: Final = 86_400
_ENVIRONMENT: Final = web.AppKey("environment", jinja2.Environment)


def add_page(application: web.Application) -> None:
    """Add the page's routes."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["words"] = _words
    environment.filters["reason_words"] = reason_words
    environment.filters["fault_words"] = fault_words
    application[_ENVIRONMENT] = environment
    application.router.add_get("/", _page)
    application.router.add_get("/now", _now)
    for name in _STATIC:
        application.router.add_get(f"/static/{name}", _static)


async def _page(request: web.Request) -> web.Response:
    return await _render(request, "page.html")


async def _now(request: web.Request) -> web.Response:
    return await _render(request, "now.html")


async def _static(request: web.Request) -> web.StreamResponse:
    name = request.path.rsplit("/", 1)[1]
    headers = {"Content-Type": f"{_STATIC[name]}; charset=utf-8", "Cache-Control": "no-cache"}
    return web.FileResponse(_FOLDER / "static" / name, headers=headers)


async def _render(request: web.Request, template: str) -> web.Response:
    console = request.app[CONSOLE]
    status = console.status()
    zone = zoneinfo.ZoneInfo(status.time_zone)
    airings, airings_error = [], ""
    try:
        airings = [airing_of(row) for row in await console.airings(AiringQuestion(limit=AIRINGS_SHOWN))]
    except DatabaseError as error:
        airings_error = str(error)
    standing = [each for each in status.emergencies if each.is_standing]
    text = (
        request.app[_ENVIRONMENT]
        .get_template(template)
        .render(
            status=status,
            titles={node.id: node.title for node in status.nodes},
            standing=standing,
            ended=[each for each in status.emergencies if not each.is_standing][:ENDED_SHOWN],
            relays=[each for each in status.relays if each.state.value != "ended"],
            airings=airings,
            airings_error=airings_error,
            is_loopback=is_loopback(request.app[LISTENER].host),
            time=lambda at_ms: _time(at_ms, status.now_ms, zone),
            ago=lambda at_ms: _ago(at_ms, status.now_ms),
        )
    )
    return web.Response(text=text, content_type="text/html", charset="utf-8")


def _words(value: object) -> tuple[str, str]:
    """A value of the protocol in Vietnamese and English; itself where there is no word for it."""
    text = str(getattr(value, "value", value))
    return WORDS.get(text, (text, text))


def _time(at_ms: int | None, now_ms: int, zone: zoneinfo.ZoneInfo) -> str:
    if not at_ms:
        return "-"
    at = dt.datetime.fromtimestamp(at_ms / 1000, tz=zone)
    is_near = (
        abs(now_ms - at_ms) < _DAY_S * 500 and at.date() == dt.datetime.fromtimestamp(now_ms / 1000, tz=zone).date()
    )
    return at.strftime("%H:%M:%S") if is_near else at.strftime("%d/%m %H:%M")


def _ago(at_ms: int | None, now_ms: int) -> tuple[str, str]:
    if not at_ms:
        return "chưa thấy", "never"
    seconds = max(0, now_ms - at_ms) // 1000
    for size, vietnamese, english in ((_DAY_S, "ngày", "d"), (3600, "giờ", "h"), (60, "phút", "min")):
        if seconds >= size:
            return f"{seconds // size} {vietnamese} trước", f"{seconds // size} {english} ago"
    return f"{seconds} giây trước", f"{seconds} s ago"
