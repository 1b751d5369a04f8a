"""Calls the API of the controller that runs on this machine, for the commands.

Every failure is an ApiError that says whether the controller is not running, refused, or answered something else.
"""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from controller.configuration.config import ConsoleListenerConfig
from controller.errors import ApiError

ANSWER_S_MAX: Final = 20.0
"""Longer than the controller itself waits for its database."""
ANSWER_BYTES_MAX: Final = 32 * 1024 * 1024
PIECE_BYTES: Final = 256 * 1024
_ALL: Final = ANSWER_BYTES_MAX
T = TypeVar("T")
_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - a listener on all addresses is asked on loopback


class RefusedError(ApiError):
    """The controller answers, and said no: asking again changes nothing."""


class ApiClient:
    """One controller's API with its token."""

    def __init__(self, listener: ConsoleListenerConfig, token: str, *, answer_s_max: float = ANSWER_S_MAX) -> None:
        self._listener = listener
        self._answer_s_max = answer_s_max
        self._host = _ANY.get(listener.host, listener.host)
        self._port = listener.port
        self._token = token
        self._name = urllib.parse.urlsplit(listener.origin).hostname or "localhost"

    def path_of(self, path: str, question: Mapping[str, str]) -> str:
        """A path with what is asked."""
        return f"{path}?{urllib.parse.urlencode(question)}"

    def socket_address(
        self, path: str, question: Mapping[str, str]
    ) -> tuple[str, dict[str, str], ssl.SSLContext | None]:
        """Where a WebSocket is opened, with which headers, and over which TLS; raises ApiError."""
        scheme = "wss" if self._listener.certificate else "ws"
        host = f"[{self._host}]" if ":" in self._host else self._host
        headers = {"Authorization": f"Bearer {self._token}", "Host": self._name}
        return f"{scheme}://{host}:{self._port}{self.path_of(path, question)}", headers, self._tls()

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer's JSON; raises ApiError."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        return self._asked(method, path, data, headers, lambda answer: self._checked(answer, answer.read(_ALL)))

    def post_bytes(self, path: str, data: bytes) -> dict[str, Any]:
        """The answer's JSON to a file; raises ApiError."""
        headers = {"Content-Type": "application/octet-stream"}
        return self._asked("POST", path, data, headers, lambda answer: self._checked(answer, answer.read(_ALL)))

    def send(self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]) -> http.client.HTTPMessage:
        """The headers of an answer whose body says nothing; raises ApiError, RefusedError."""

        def read(answer: http.client.HTTPResponse) -> http.client.HTTPMessage:
            body = answer.read(_ALL)
            if answer.status >= http.client.BAD_REQUEST and method != "HEAD":
                self._checked(answer, body)
            if answer.status >= http.client.BAD_REQUEST:
                raise RefusedError(f"the controller at {self._at} answered with status {answer.status}")
            return answer.headers

        return self._asked(method, path, data, headers, read)

    def download(self, path: str, write: Callable[[bytes], object]) -> None:
        """Hand over the bytes of a file as they come; raises ApiError, RefusedError."""

        def read(answer: http.client.HTTPResponse) -> None:
            if answer.status != http.client.OK:
                self._checked(answer, answer.read(_ALL))
            while piece := answer.read(PIECE_BYTES):
                write(piece)
            if answer.length:
                raise ApiError(f"the controller at {self._at} broke off; {answer.length} bytes are missing: try again")

        self._asked("GET", path, None, {}, read)

    @property
    def _at(self) -> str:
        return f"{'https' if self._listener.certificate else 'http'}://{self._host}:{self._port}"

    def _asked(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        read: Callable[[http.client.HTTPResponse], T],
    ) -> T:
        at, connection = self._at, self._connection()
        always = {"Authorization": f"Bearer {self._token}", "Host": self._name}
        try:
            connection.request(method, path, body=body, headers={**headers, **always})
            return read(connection.getresponse())
        except ConnectionRefusedError as error:
            raise ApiError(
                f"no controller answers at {at}; start it: loaxa-controller run CONFIG "
                "(or systemctl start loaxa-controller)"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(f"the controller at {at} does not answer: {error}") from error
        finally:
            connection.close()

    def _checked(self, answer: http.client.HTTPResponse, data: bytes) -> dict[str, Any]:
        return _checked(answer.status, data, self._at)

    def _connection(self) -> http.client.HTTPConnection:
        """Over TLS to exactly the certificate that the configuration names: no authority can stand in for it."""
        context = self._tls()
        if context is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._answer_s_max)
        return http.client.HTTPSConnection(self._host, self._port, timeout=self._answer_s_max, context=context)

    def _tls(self) -> ssl.SSLContext | None:
        if self._listener.certificate is None:
            return None
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.check_hostname = False  # this very certificate is asked for, whatever address it is reached by
            context.load_verify_locations(self._listener.certificate)
        except (OSError, ssl.SSLError) as error:
            raise ApiError(f"http.console.certificate: {self._listener.certificate} cannot be used: {error}") from error
        return context


def _checked(status: int, data: bytes, at: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise ApiError(f"what answers at {at} is no LoaXa controller (status {status}); check http.console") from error
    if not isinstance(value, dict):
        raise ApiError(f"what answers at {at} is no LoaXa controller; check http.console")
    if status >= http.client.BAD_REQUEST:
        refusal = value.get("error")
        message = refusal.get("message") if isinstance(refusal, dict) else None
        raise RefusedError(str(message or f"the controller at {at} answered with status {status}"))
    return value
