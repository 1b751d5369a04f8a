"""Media for nodes: `/media/sha256/<hash>` and nothing else, over mutual TLS.

A file never changes under its hash, so it may be kept for ever. Ranges let a node resume what a lost line cut off. The
bodies of standing plans are media too: they come from the desk, all others from the store.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import web

from controller.ports import MediaFiles
from protocol.enrolment import REQUEST_BYTES_MAX

IMMUTABLE: Final = "public, max-age=31536000, immutable"
BodyOf = Callable[[str], bytes | None]
FILES: Final = web.AppKey("files", MediaFiles)
BODY_OF: web.AppKey[BodyOf] = web.AppKey("body_of")


def _no_body(_: str) -> bytes | None:
    return None


def media_application(files: MediaFiles, body_of: BodyOf = _no_body) -> web.Application:
    """The nodes' listener; `body_of` gives the body of a standing plan."""
    application = web.Application(client_max_size=REQUEST_BYTES_MAX)
    application[FILES] = files
    application[BODY_OF] = body_of
    application.router.add_get("/media/sha256/{sha256}", _media)
    return application


async def _media(request: web.Request) -> web.StreamResponse:
    sha256 = request.match_info["sha256"]
    body = request.app[BODY_OF](sha256)
    if body is not None:
        return _piece(request, body, sha256)
    path = request.app[FILES].path_of(sha256)
    if path is None:
        raise web.HTTPNotFound(text="there is no medium of this hash\n")
    return web.FileResponse(
        path, headers={"Content-Type": "audio/ogg", "Cache-Control": IMMUTABLE, "ETag": f'"{sha256}"'}
    )


def _piece(request: web.Request, body: bytes, sha256: str) -> web.Response:
    """A body, or the part of it that a Range asks for."""
    headers = {"Content-Type": "application/cbor", "Cache-Control": IMMUTABLE, "ETag": f'"{sha256}"'}
    try:
        wanted = request.http_range
    except ValueError:
        wanted = slice(len(body), None)
    first, after, _ = wanted.indices(len(body))
    if "Range" not in request.headers:
        return web.Response(body=body, headers=headers)
    if first >= after:
        headers["Content-Range"] = f"bytes */{len(body)}"
        return web.Response(status=web.HTTPRequestRangeNotSatisfiable.status_code, headers=headers)
    headers["Content-Range"] = f"bytes {first}-{after - 1}/{len(body)}"
    return web.Response(status=web.HTTPPartialContent.status_code, body=body[first:after], headers=headers)
