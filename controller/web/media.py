"""Media for nodes: `/media/sha256/<hash>` and nothing else, over mutual TLS.

A file never changes under its hash, so it may be kept for ever. Ranges let a node resume what a lost line cut off.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from controller.ports import MediaFiles
from protocol.enrolment import REQUEST_BYTES_MAX

IMMUTABLE: Final = "public, max-age=31536000, immutable"
FILES: Final = web.AppKey("files", MediaFiles)


def media_application(files: MediaFiles) -> web.Application:
    """The nodes' listener."""
    application = web.Application(client_max_size=REQUEST_BYTES_MAX)
    application[FILES] = files
    application.router.add_get("/media/sha256/{sha256}", _media)
    return application


async def _media(request: web.Request) -> web.StreamResponse:
    sha256 = request.match_info["sha256"]
    path = request.app[FILES].path_of(sha256)
    if path is None:
        raise web.HTTPNotFound(text="there is no medium of this hash\n")
    return web.FileResponse(
        path, headers={"Content-Type": "audio/ogg", "Cache-Control": IMMUTABLE, "ETag": f'"{sha256}"'}
    )
