"""Asks a signer process for signatures over its Unix socket; what the desk sees is an ordinary `Sign`.

Rules kept: an answer is awaited for a bounded time, for the desk waits with it; a signer that did not answer is not
asked again for a while, so that a thousand documents do not wait a thousand times; what it signed is verified before
it is used; it may be stopped, replaced and started at any moment, and is then found again by itself.
"""

from __future__ import annotations

import functools
import socket
import threading
import time
from collections.abc import Callable
from typing import Final

from controller.errors import SigningError
from controller.keys.signer_frames import ANSWER_BYTES_MAX, HEAD, SigningRequest, parse_answer, request_frame
from protocol.envelope import verify_signature
from protocol.errors import Refusal

ANSWER_S_MAX: Final = 1.0
"""A signature takes a millisecond; a hardware module some tens."""
CLIENTS_MAX: Final = 8
"""Sockets that one process asks; usually one."""
REST_S: Final = 2.0
"""How long a signer that did not answer in time is left alone."""


class SignerClient:
    """The signer at a socket, for all keys that it has; used from any thread. See `client_of`."""

    def __init__(self, path: str, *, answer_s_max: float = ANSWER_S_MAX, rest_s: float = REST_S) -> None:
        self._path = path
        self._answer_s_max, self._rest_s = answer_s_max, rest_s
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._rests_until_s = 0.0

    def signer_of(self, key_id: str, public_key: bytes) -> Callable[[bytes], bytes]:
        """The `Sign` of one key, which must be the one that the keyset names."""

        def sign(data: bytes) -> bytes:
            signature = self.sign(key_id, data)
            try:
                verify_signature(public_key, signature, data)
            except Refusal as refusal:
                message = f"the signer at {self._path} has another key under the name {key_id} than the keyset"
                raise SigningError(message) from refusal
            return signature

        return sign

    def sign(self, key_id: str, data: bytes) -> bytes:
        """A signature; raises SigningError when the signer refuses, is away, or does not answer."""
        frame = request_frame(SigningRequest(key_id=key_id, data=data))
        with self._lock:
            answer = parse_answer(self._ask(frame))
        if not answer.signature:
            raise SigningError(f"the signer refuses: {answer.reason}")
        return answer.signature

    def __del__(self) -> None:
        """The socket goes with the last one who could ask."""
        self._drop()

    def _ask(self, frame: bytes) -> bytes:
        if time.monotonic() < self._rests_until_s:
            raise SigningError(self._away("it did not answer a moment ago"))
        for is_last in (self._socket is None, True):  # a socket of before may be one whose signer has been restarted
            try:
                return self._exchange(frame)
            except TimeoutError as error:
                self._drop()
                self._rests_until_s = time.monotonic() + self._rest_s
                raise SigningError(self._away(f"no answer within {self._answer_s_max:g} s")) from error
            except OSError as error:
                self._drop()
                if is_last:
                    raise SigningError(self._away(error.strerror or str(error))) from error
        raise AssertionError("the last attempt returns or raises")

    def _exchange(self, frame: bytes) -> bytes:
        if self._socket is None:
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            made.settimeout(self._answer_s_max)
            self._socket = made
            made.connect(self._path)
        self._socket.sendall(frame)
        (size,) = HEAD.unpack(self._receive(HEAD.size))
        if size > ANSWER_BYTES_MAX:
            raise ConnectionError("an answer that is too large")
        return self._receive(size)

    def _receive(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            assert self._socket is not None, "there is a connection"  # noqa: S101 - our own invariant
            part = self._socket.recv(size - len(data))
            if not part:
                raise ConnectionError("it hung up")
            data += part
        return bytes(data)

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _away(self, why: str) -> str:
        return f"the signer at {self._path} is away ({why}); look at: systemctl status loaxa-signer"


@functools.lru_cache(maxsize=CLIENTS_MAX)
def client_of(path: str) -> SignerClient:
    """This process's one client of a socket: many keys, and keys that are read again, share a connection."""
    return SignerClient(path)
