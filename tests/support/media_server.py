"""A media server for tests: HTTPS with client certificates, ranges, and the faults that a real one has."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class MediaServer:
    """`files` by hash; `status` answers everything so; `cut_after` ends each answer after so many bytes.

    `knows_ranges`: without, it gives each file whole.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.status: int | None = None
        self.cut_after: int | None = None
        self.shifts_ranges = False
        self.knows_ranges = True
        self.ranges: list[str | None] = []
        self.port = 0

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"https://localhost:{self.port}"


@contextmanager
def media_server(pki: Path) -> Iterator[MediaServer]:
    """A running server with the keys of a development folder."""
    server = MediaServer()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "server.pem", pki / "server.key")
    context.load_verify_locations(pki / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, server)

        def log_message(self, *_: object) -> None:
            return

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.handle_error = lambda *_: None  # type: ignore[method-assign] # a client that goes away is a test's intent
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    server.port = httpd.server_address[1]
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def _answer(handler: BaseHTTPRequestHandler, server: MediaServer) -> None:
    asked = handler.headers.get("Range")
    server.ranges.append(asked)
    data = server.files.get(handler.path.removeprefix("/media/sha256/"))
    if server.status is not None or data is None:
        handler.send_error(server.status or 404)
        return
    asked = asked if server.knows_ranges else None
    begin, _, end = (asked or "bytes=0-").removeprefix("bytes=").partition("-")
    first = int(begin)
    if first >= len(data):
        handler.send_error(416)
        return
    body = data[first : int(end) + 1 if end else None]
    handler.send_response(206 if asked else 200)
    if asked:
        claimed = first + 1 if server.shifts_ranges else first
        handler.send_header("Content-Range", f"bytes {claimed}-{first + len(body) - 1}/{len(data)}")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body if server.cut_after is None else body[: server.cut_after])
