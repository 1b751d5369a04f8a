"""The page of measures: how each cluster hears, how sure it is of the time, how it keeps step. Vietnamese first.

For the technician who asks why one horn stutters or lags behind its neighbour. Read-only; what the figures mean and
from where on they are bad stands on the page itself, and in docs/operations.md.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from controller.people.sight import status_for
from controller.views import NodeView
from controller.web.parts import CONSOLE, VISITOR
from controller.web.render import render
from protocol.messages import StreamHeard

CLOCK_BAD_MS: Final = 10.0
"""Neighbours whose clocks differ by this much are heard as two."""
CARD_BAD_MS: Final = 5.0
"""More behind or ahead of its instant than this is heard beside a neighbour."""
CORRECTION_BAD_PPM: Final = 400.0
"""Near the bound of what a player may correct: a sound card that is out of its tolerance."""


def add_measures_page(application: web.Application) -> None:
    """Add the routes."""
    application.router.add_get("/measures", _page)
    application.router.add_get("/measures/now", _now)


async def _page(request: web.Request) -> web.Response:
    return _render(request, "measures.html")


async def _now(request: web.Request) -> web.Response:
    return _render(request, "measures_now.html")


def _render(request: web.Request, template: str) -> web.Response:
    console = request.app[CONSOLE]
    status = status_for(request[VISITOR].principal, console.status(), console.desk.site.tree)
    return render(
        request,
        template,
        now_ms=status.now_ms,
        state=status,
        rows=[(node, heard) for node in status.nodes for heard in (node.streams or (None,))],
        stream_titles={each.stream: each.title for each in status.relays},
        is_late=is_late,
        bad=bad_figures,
    )


def is_late(heard: StreamHeard) -> bool:
    """Whether more than one packet in a hundred comes too late to be heard."""
    return heard.lateness_ms_p99 + heard.ahead_ms > 0


def bad_figures(node: NodeView) -> frozenset[str]:
    """Which of a node's figures are heard by its neighbours."""
    found = {
        "clock": node.amplifier is not None and (node.clock_error_ms is None or node.clock_error_ms > CLOCK_BAD_MS),
        "card": abs(node.card_error_ms or 0.0) > CARD_BAD_MS,
        "correction": abs(node.correction_ppm or 0.0) > CORRECTION_BAD_PPM,
    }
    return frozenset(name for name, is_bad in found.items() if is_bad)
