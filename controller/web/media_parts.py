"""What the rules and the API of the media library share: the library, and where a recording belongs."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from controller.adapters.media.library import MediaLibrary
from controller.media.catalogue import MediaEntry
from controller.people.rights import Action, Question
from controller.people.sight import sounding_areas
from controller.web.parts import CONSOLE, VISITOR

LIBRARY: Final = web.AppKey("media_library", MediaLibrary)


async def area_of_entry(request: web.Request, action: Action) -> Question:
    """The area in which a recording is kept; what is not known is told as such."""
    return Question(action=action, areas=(request.app[LIBRARY].entry(request.match_info["entry"]).area,))


async def area_of_intake(request: web.Request, action: Action) -> Question:
    """The area for which a recording is on its way."""
    return Question(action=action, areas=(request.app[LIBRARY].intakes.intake(request.match_info["intake"]).area,))


def is_seen(request: web.Request, entry: MediaEntry) -> bool:
    """Recordings of an area are for everything in it, as what an upper station offers is."""
    return is_area_seen(request, entry.area)


def is_area_seen(request: web.Request, area: str) -> bool:
    """Whether sound of an area can reach what somebody sees."""
    seen = sounding_areas(request[VISITOR].principal, request.app[CONSOLE].desk.site.tree)
    return seen is None or area in seen
