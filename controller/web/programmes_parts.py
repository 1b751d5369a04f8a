"""What rules and APIs of programmes and bulletins share: the desks, whose a paper is, and what a body may be."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from controller.adapters.programme_office import BulletinDesk, PaperDesk, ProgrammeDesk
from controller.adapters.speech import SpokenMedia
from controller.errors import RequestCode, RequestError
from controller.people.rights import Action, Question
from controller.web.media_parts import is_area_seen
from controller.web.parts import CONSOLE

PROGRAMMES: Final = web.AppKey("programmes", ProgrammeDesk)
BULLETINS: Final = web.AppKey("bulletins", BulletinDesk)
SPOKEN: Final = web.AppKey("spoken", SpokenMedia)
PAPER_BYTES_MAX: Final = 512 * 1024
"""A programme of many texts; what is larger is no programme."""
VERSIONS_MAX: Final = 10**9
"""No paper has so many; a number beyond it is none."""
T = TypeVar("T", bound=msgspec.Struct)


async def area_of_programme(request: web.Request, action: Action) -> Question:
    """The area that a programme is for; one that is not known is of none."""
    name = request.match_info["name"]
    own = next((each for each in request.app[CONSOLE].desk.site.own if each.id == name), None)
    return Question(action=action, areas=(own.area,)) if own else await _area_of(request, PROGRAMMES, action)


async def area_of_bulletin(request: web.Request, action: Action) -> Question:
    """The area that a bulletin is for."""
    return await _area_of(request, BULLETINS, action)


async def _area_of(request: web.Request, desk: web.AppKey[Any], action: Action) -> Question:
    held: PaperDesk[Any] = request.app[desk]
    head = await held.store.head(request.match_info["name"][:40])
    return Question(action=action, areas=() if head is None else (head.paper.area,))


async def body_of(request: web.Request, kind: type[T]) -> T:
    """The body as JSON; raises RequestError for one that is too large or says what it may not."""
    data = await bytes_of(request, PAPER_BYTES_MAX)
    try:
        return msgspec.json.decode(data or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        fields = ", ".join(field.encode_name for field in msgspec.structs.fields(kind))
        raise RequestError(RequestCode.BAD_REQUEST, f"{error}; the body is JSON with {fields}") from error


async def bytes_of(request: web.Request, bytes_max: int) -> bytes:
    """The body, which may be larger than a form; raises RequestError."""
    found = bytearray()
    async for piece in request.content.iter_any():
        found += piece
        if len(found) > bytes_max:
            raise RequestError(RequestCode.BAD_REQUEST, f"the body is larger than {bytes_max} bytes")
    return bytes(found)


def require_seen(request: web.Request, area: str, name: str) -> None:
    """Raise RequestError where somebody asks for what is of a place that they do not see."""
    if not is_area_seen(request, area):
        raise RequestError(RequestCode.NOT_FOUND, f"không có {name!r} / {name!r} is not known; list what there is")


def require_area_said(request: web.Request, area: str) -> None:
    """Raise RequestError where the body is of another area than the one whose rights were asked."""
    if request.query.get("area") != area:
        raise RequestError(
            RequestCode.BAD_REQUEST, f"area: the address says ?area=…, and the body {area!r}: say the same"
        )


def whole_of(request: web.Request, name: str, *, is_needed: bool = False) -> int | None:
    """A number in the query; raises RequestError."""
    text = request.query.get(name)
    if text is None and not is_needed:
        return None
    return _whole(text or "", f"?{name}=…")


def number_of(request: web.Request) -> int:
    """The version in the path; raises RequestError."""
    return _whole(request.match_info["number"], "the version")


def _whole(text: str, what: str) -> int:
    if not (text.isdecimal() and text.isascii()) or len(text) > len(str(VERSIONS_MAX)):
        raise RequestError(RequestCode.BAD_REQUEST, f"{what}: write a whole number, as the list shows it")
    return int(text)


def json_of(value: Any, status: int = 200) -> web.Response:  # noqa: ANN401 - any view
    """An answer."""
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")
