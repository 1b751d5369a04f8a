"""The audit page: who did what, where, from which address; newest first, page by page, for those who may read it."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from controller.people.rights import Action, areas_of
from controller.web.parts import CONSOLE, STORE, VISITOR
from controller.web.render import render

ENTRIES_SHOWN: Final = 100
_DIGITS_MAX: Final = 18


def add_audit_page(application: web.Application) -> None:
    """Add the route."""
    application.router.add_get("/audit", _page)


async def _page(request: web.Request) -> web.Response:
    who = request.query.get("who", "").strip()[:64]
    before = request.query.get("before", "")
    is_number = before.isdecimal() and len(before) <= _DIGITS_MAX
    entries = await request.app[STORE].audit_latest(
        limit=ENTRIES_SHOWN,
        before=int(before) if is_number else None,
        who=who or None,
        places=_places(request),
    )
    return render(
        request,
        "audit.html",
        entries=[stored.entry for stored in entries],
        who=who,
        is_last=len(entries) < ENTRIES_SHOWN,
    )


def _places(request: web.Request) -> list[str] | None:
    """The areas whose entries the caller may read; None is all, those without an area among them."""
    top = areas_of(request[VISITOR].principal, Action.READ_AUDIT)
    if top is None:
        return None
    tree = request.app[CONSOLE].desk.site.tree
    return sorted({each for area in top if area in tree for each in tree.below(area)})
