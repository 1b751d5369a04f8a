"""Media for nodes: `/media/sha256/<hash>` and nothing else, over mutual TLS.

A file never changes under its hash, so it may be kept for ever. Ranges let a node resume what a lost line cut off; the
bodies of standing plans, which are small, are given whole.
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
        headers = {"Content-Type": "application/cbor", "Cache-Control": IMMUTABLE, "ETag": f'"{sha256}"'}
        return web.Response(body=body, headers=headers)
    path = request.app[FILES].path_of(sha256)
    if path is None:
        raise web.HTTPNotFound(text="there is no medium of this hash\n")
    return web.FileResponse(
        path, headers={"Content-Type": "audio/ogg", "Cache-Control": IMMUTABLE, "ETag": f'"{sha256}"'}
    )
