"""HTTP to a station: one cancellable connection, its headers, redirects and status, the beginning of its body.

Duty: `open_body` gives a readable body or a `FeedError` that names what is wrong; `Canceller` lets another thread
end whatever these connections wait for at once. Leaves finding sound in the bytes to `feed_reader`.
Rules kept: every wait is bounded; only http and https; SHOUTcast's "ICY 200 OK" is taken for the HTTP answer that
it means; at most REDIRECTS_MAX redirects and no other scheme by them.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from controller.streams.feed_watch import AlarmKind, FeedError

CONNECT_S_MAX: Final = 5.0
"""Connection and TLS: a station that needs longer will not carry live sound either."""
READ_S_MAX: Final = 30.0
"""Longest wait for a byte; the watch over the feed gives up sooner, this ends a forgotten thread. Icecast answers only
when it has 4 KiB, which is 7 s of AAC silence."""
REDIRECTS_MAX: Final = 5
SNIFF_BYTES: Final = 512
"""How much of the body is looked at before it is taken for sound; a page says what it is within this."""
_USER_AGENT: Final = "LoaXa/0.1"
_REDIRECTS: Final = frozenset(
    {
        HTTPStatus.MOVED_PERMANENTLY,
        HTTPStatus.FOUND,
        HTTPStatus.SEE_OTHER,
        HTTPStatus.TEMPORARY_REDIRECT,
        HTTPStatus.PERMANENT_REDIRECT,
    }
)
_PAGE_BEGINNINGS: Final = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<body")


class CancelledError(Exception):
    """The owner does not want this feed any more."""


class Canceller:
    """Ends, from any thread, what the connections that know it wait for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._event = threading.Event()

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._event.is_set()

    def cancel(self) -> None:
        """End every wait now and every later one at once."""
        self._event.set()
        with self._lock:
            for waiting in self._sockets:
                _shut(waiting)

    def check(self) -> None:
        """Raise CancelledError once cancelled."""
        if self._event.is_set():
            raise CancelledError

    def wait(self, seconds: float) -> None:
        """Let time pass; raises CancelledError at once when cancelled."""
        self._event.wait(seconds)
        self.check()

    def add(self, waiting: socket.socket) -> None:
        """Learn of a socket whose waits may have to be ended."""
        with self._lock:
            self._sockets.add(waiting)
        if self._event.is_set():
            _shut(waiting)
        self.check()

    def remove(self, waiting: socket.socket) -> None:
        """Forget a socket."""
        with self._lock:
            self._sockets.discard(waiting)


class Body(io.RawIOBase):
    """The body of an answer, readable in whatever pieces come; not seekable."""

    def __init__(
        self,
        *,
        url: str,
        connection: HTTPConnection,
        waiting: socket.socket,
        answer: HTTPResponse,
        canceller: Canceller,
    ) -> None:
        super().__init__()
        self.url: Final = url
        """Where the body really came from, after redirects."""
        self.content_type: Final = (answer.getheader("Content-Type") or "").partition(";")[0].strip().lower()
        self._connection = connection
        self._socket = waiting
        self._answer = answer
        self._canceller = canceller
        self._sniffed = b""

    def readable(self) -> bool:
        """Always: that is what it is for."""
        return True

    def sniff(self) -> bytes:
        """The first bytes, up to SNIFF_BYTES; they are read again afterwards."""
        while len(self._sniffed) < SNIFF_BYTES:
            piece = self._receive(SNIFF_BYTES - len(self._sniffed))
            if not piece:
                break
            self._sniffed += piece
        return self._sniffed

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, as soon as there are any; empty at the end. Raises FeedError."""
        if self._sniffed:
            size = len(self._sniffed) if size < 0 else size
            piece, self._sniffed = self._sniffed[:size], self._sniffed[size:]
            return piece
        return self._receive(size)

    def close(self) -> None:
        """Hang up."""
        self._canceller.remove(self._socket)
        _hang_up(self._connection, self._answer)
        super().close()

    def _receive(self, size: int) -> bytes:
        self._canceller.check()
        try:
            piece: bytes = self._answer.read1(size)
        except TimeoutError as error:
            raise FeedError(AlarmKind.STALLED, f"no data for {READ_S_MAX:g} s from {self.url}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._canceller.check()
            raise FeedError(AlarmKind.STALLED, f"the connection to {self.url} broke: {error}") from error
        self._canceller.check()
        return piece


def open_body(url: str, headers: Mapping[str, str], canceller: Canceller) -> Body:
    """Ask for a URL; raises FeedError (unreachable, http_status) or CancelledError."""
    for _hop in range(REDIRECTS_MAX + 1):
        canceller.check()
        connection = _connection_to(url)
        waiting = _connect(connection, url)
        answer: HTTPResponse | None = None
        try:
            waiting.settimeout(READ_S_MAX)
            canceller.add(waiting)
            answer = _ask(connection, url, headers, canceller)
            location = answer.getheader("Location")
            if answer.status not in _REDIRECTS or location is None:
                _require_ok(answer, url)
                return Body(url=url, connection=connection, waiting=waiting, answer=answer, canceller=canceller)
        except BaseException:
            canceller.remove(waiting)
            _hang_up(connection, answer)
            raise
        canceller.remove(waiting)
        _hang_up(connection, answer)
        url = urljoin(url, location)
    raise FeedError(AlarmKind.HTTP_STATUS, f"more than {REDIRECTS_MAX} redirects, last to {url}")


def is_page(body: Body) -> bool:
    """Whether a body is a page for people, by its type and its beginning."""
    beginning = body.sniff().lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return beginning.startswith(_PAGE_BEGINNINGS)


def _connection_to(url: str) -> HTTPConnection:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise FeedError(AlarmKind.UNREACHABLE, f"{url} is no address: {error}") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise FeedError(AlarmKind.UNREACHABLE, f"{url} is no http or https address")
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(host, port, timeout=CONNECT_S_MAX)
    connection.response_class = _Answer
    return connection


def _connect(connection: HTTPConnection, url: str) -> socket.socket:
    try:
        connection.connect()
    except (OSError, ValueError) as error:
        raise _unreachable(url, error) from error
    # The library forgets the socket when the answer will end with the connection, as a stream's does.
    waiting: socket.socket = connection.sock
    return waiting


def _ask(connection: HTTPConnection, url: str, headers: Mapping[str, str], canceller: Canceller) -> HTTPResponse:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("GET", target, headers={"User-Agent": _USER_AGENT, "Accept": "*/*", **headers})
        return connection.getresponse()
    except (OSError, http.client.HTTPException, ValueError) as error:
        canceller.check()
        raise _unreachable(url, error) from error


def _hang_up(connection: HTTPConnection, answer: HTTPResponse | None) -> None:
    if answer is not None:
        answer.close()
    connection.close()


def _unreachable(url: str, error: Exception) -> FeedError:
    return FeedError(AlarmKind.UNREACHABLE, f"{url} cannot be reached: {error!r}")


def _require_ok(answer: HTTPResponse, url: str) -> None:
    if answer.status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
        raise FeedError(AlarmKind.HTTP_STATUS, f"{url} answers {answer.status} {answer.reason}")


def _shut(waiting: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the far end, or the reader itself, may have closed it already
        waiting.shutdown(socket.SHUT_RDWR)


class _Answer(HTTPResponse):
    """An answer whose first line may be SHOUTcast's."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(sock, *arguments, **options)
        self.fp = _IcyTolerant(self.fp.detach())


class _IcyTolerant(io.BufferedReader):
    """Reads "ICY 200 OK" as "HTTP/1.0 200 OK"; all else as it is."""

    is_first = True

    def readline(self, size: int | None = -1, /) -> bytes:
        """One line of the head."""
        line = super().readline(size)
        if self.is_first and line.startswith(b"ICY "):
            line = b"HTTP/1.0 " + line[len(b"ICY ") :]
        self.is_first = False
        return line
