"""What the rules and the API of the media library share: the library, and where a recording belongs."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from controller.adapters.media.library import MediaLibrary
from controller.media.catalogue import MediaEntry, found_by
from controller.people.rights import Action, Question
from controller.people.sight import sounding_areas
from controller.web.parts import CONSOLE, VISITOR

LIBRARY: Final = web.AppKey("media_library", MediaLibrary)
_SEEN: Final[web.RequestKey[frozenset[str] | None]] = web.RequestKey("sounding_areas", frozenset)


async def area_of_entry(request: web.Request, action: Action) -> Question:
    """The area in which a recording is kept; what is not known is told as such, and no others are named beside it."""
    text = request.match_info["entry"]
    known = next((entry for entry in request.app[LIBRARY].entries if entry.id == text), None)
    return Question(action=action, areas=((known or seen_entry(request)).area,))


async def area_of_intake(request: web.Request, action: Action) -> Question:
    """The area for which a recording is on its way."""
    return Question(action=action, areas=(request.app[LIBRARY].intakes.intake(request.match_info["intake"]).area,))


def seen_entry(request: web.Request) -> MediaEntry:
    """The recording that the address names, among those that are seen; raises RequestError."""
    library, text = request.app[LIBRARY], request.match_info["entry"]
    seen = {entry.id: entry for entry in library.entries if is_seen(request, entry)}
    return found_by(seen, text)


def is_seen(request: web.Request, entry: MediaEntry) -> bool:
    """Recordings of an area are for everything in it, as what an upper station offers is."""
    return is_area_seen(request, entry.area)


def is_area_seen(request: web.Request, area: str) -> bool:
    """Whether sound of an area can reach what somebody sees."""
    if _SEEN not in request:  # once for each request: lists ask it of thousands
        request[_SEEN] = sounding_areas(request[VISITOR].principal, request.app[CONSOLE].desk.site.tree)
    seen = request[_SEEN]
    return seen is None or area in seen
