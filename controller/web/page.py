"""The first page: what stands, what sounds, how every cluster is. Read-only; Vietnamese first, English beside.

The page is whole without JavaScript (it reloads itself then); with it, only the part that changes is fetched again.
Each sees the places in which they may see.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from controller.errors import DatabaseError
from controller.people.sight import seen_areas, status_for
from controller.ports import AiringQuestion
from controller.web.api import airing_of
from controller.web.parts import CONSOLE, VISITOR
from controller.web.render import FOLDER, render

AIRINGS_SHOWN: Final = 30
ENDED_SHOWN: Final = 5
_STATIC: Final = {
    "page.css": "text/css",
    "forms.css": "text/css",
    "page.js": "text/javascript",
    "passkey.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


def add_page(application: web.Application) -> None:
    """Add the page's routes."""
    application.router.add_get("/", _page)
    application.router.add_get("/now", _now)
    application.router.add_get("/static/{name}", _static)


async def _page(request: web.Request) -> web.Response:
    return await _render(request, "page.html")


async def _now(request: web.Request) -> web.Response:
    return await _render(request, "now.html")


async def _static(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    if name not in _STATIC:
        raise web.HTTPNotFound
    headers = {"Content-Type": f"{_STATIC[name]}; charset=utf-8", "Cache-Control": "no-cache"}
    return web.FileResponse(FOLDER / "static" / name, headers=headers)


async def _render(request: web.Request, template: str) -> web.Response:
    console, principal = request.app[CONSOLE], request[VISITOR].principal
    tree = console.desk.site.tree
    status = status_for(principal, console.status(), tree)
    is_partial_sight = seen_areas(principal, tree) is not None
    question = AiringQuestion(
        limit=AIRINGS_SHOWN, nodes=tuple(node.id for node in status.nodes) if is_partial_sight else None
    )
    airings, airings_error = [], ""
    try:
        airings = [airing_of(row) for row in await console.airings(question)]
    except DatabaseError as error:
        airings_error = str(error)
    return render(
        request,
        template,
        now_ms=status.now_ms,
        state=status,
        titles={node.id: node.title for node in status.nodes},
        standing=[each for each in status.emergencies if each.is_standing],
        ended=[each for each in status.emergencies if not each.is_standing][:ENDED_SHOWN],
        relays=[each for each in status.relays if each.state.value != "ended"],
        airings=airings,
        airings_error=airings_error,
    )
