"""The HTTP half of the stand-in station: a folder of HLS playlists and segments, with faults on request.

Duty: serve files the way a station's web server does, and misbehave per path the way such servers were seen
to: gone, a page of HTML in place of audio, a demand for a Referer, a body that stops in the middle.
Leaves making the files to ffmpeg (`station`). Loopback only.
"""

from __future__ import annotations

import threading
from enum import StrEnum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from pathlib import Path

_TYPES: Final = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".ts": "video/mp2t",
    ".mp3": "audio/mpeg",
    ".ogg": "application/ogg",
    ".wav": "audio/wav",
}
_HTML: Final = "<!DOCTYPE html><html><body><h1>Hệ thống đang bảo trì</h1></body></html>\n".encode() * 200
"""A maintenance page of a size that a careless probe could take for the beginning of audio."""
STOP_S_MAX: Final = 5.0
"""A thread of the server must have ended within this; its requests are short."""


class Fault(StrEnum):
    """The ways in which a station was seen to fail."""

    NONE = "none"
    GONE = "gone"
    """404, as after a mount or a path was renamed."""
    HTML = "html"
    """200 with a page in place of audio (pages of HLS only; Icecast has no such state)."""
    SILENT = "silent"
    """The transport works, the studio is dead."""
    STOPS_SENDING = "stops_sending"
    """The connection stays open and no bytes come."""
    NEEDS_REFERER = "needs_referer"
    """403 without a Referer header (HLS only)."""


class StationPages:
    """Serves `folder` on a free loopback port; `set_fault` concerns every path below one first level."""

    def __init__(self, folder: Path) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.folder = folder
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="station-pages")

    @property
    def url(self) -> str:
        """The root of the folder."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving; requests that hang on a fault are let go."""
        self._server.released.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(STOP_S_MAX)
        self._server.server_close()

    def set_fault(self, top: str, fault: Fault) -> None:
        """Misbehave on every path below `/{top}/` from the next request on."""
        self._server.faults[top] = fault
        if fault is not Fault.STOPS_SENDING:
            self._server.released.set()
            self._server.released = threading.Event()

    def requests_of(self, top: str) -> int:
        """How many requests were made below `/{top}/`: evidence that one pull serves all."""
        return self._server.requests.get(top, 0)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    folder: Path

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.faults: dict[str, Fault] = {}
        self.requests: dict[str, int] = {}
        self.released = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """A listener that hangs up is no error of the station."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        server = cast("_Server", self.server)
        path = self.path.partition("?")[0]
        top = path.strip("/").partition("/")[0]
        server.requests[top] = server.requests.get(top, 0) + 1
        fault = server.faults.get(top, Fault.NONE)
        if fault is Fault.GONE:
            self.send_error(HTTPStatus.NOT_FOUND)
        elif fault is Fault.NEEDS_REFERER and not self.headers.get("Referer"):
            self.send_error(HTTPStatus.FORBIDDEN, "no Referer")
        elif fault is Fault.HTML:
            self._answer(_HTML, "text/html; charset=utf-8")
        else:
            self._answer_file(server, path, stops=fault is Fault.STOPS_SENDING)

    def _answer_file(self, server: _Server, path: str, *, stops: bool) -> None:
        wanted = (server.folder / path.strip("/")).resolve()
        if not wanted.is_relative_to(server.folder.resolve()) or not wanted.is_file():
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        body, kind = wanted.read_bytes(), _TYPES.get(wanted.suffix, "application/octet-stream")
        if not stops:
            self._answer(body, kind)
            return
        released = server.released
        self._begin(len(body), kind)
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        released.wait(self.timeout)
        self.close_connection = True

    def _answer(self, body: bytes, kind: str) -> None:
        self._begin(len(body), kind)
        self.wfile.write(body)

    def _begin(self, length: int, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the base class gives
        """The station keeps no log."""
