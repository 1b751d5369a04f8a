"""Pulls one recording over HTTP into a file: bounded, resumed where a line broke off, never from inside the network.

Each address is judged before it is asked (`PullRules`), each name's addresses when it is looked up, and once more the
very address that a socket is opened for, whatever a library on the way has made of the name; redirects are followed one
by one and judged anew. What comes is kept as it comes, nothing is unpacked. Leaves what is written down of it, and when
to begin, to the library.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urljoin

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import AddrInfoType

from controller.media.addresses import ForbiddenAddressError, PullRules
from controller.media.refusal import Refusal, RefusalCode, refusal

REDIRECTS_MAX: Final = 5
CONNECT_S_MAX: Final = 15.0
SILENCE_S_MAX: Final = 30.0
ANSWER_S_MAX: Final = 60.0
"""From the question to the first byte of the body: names, handshakes; a source may say "go on" without end."""
TOTAL_S_MAX: Final = 3_600.0
"""Of one attempt: 2 GB at 5 Mbit/s."""
ATTEMPTS_MAX: Final = 6
RETRY_S: Final = 2.0
"""The wait after the first attempt that broke off; twice as long each time."""
PIECE_BYTES: Final = 256 * 1024
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(slots=True, kw_only=True)
class PullState:
    """How far a pull is: bytes that are there, how many there will be (0: not said), and of which version."""

    received_bytes: int = 0
    size_bytes: int = 0
    etag: str = ""


class PullRefusedError(Exception):
    """It cannot be pulled; the refusal says why."""

    def __init__(self, why: Refusal) -> None:
        super().__init__(str(why))
        self.refusal: Final = why


class _BrokenOffError(Exception):
    """The line was lost, or the server is busy: worth another attempt."""


Write = Callable[[bytes, int], Awaitable[None]]
"""Told some bytes and where they belong."""


class Puller:
    """Pulls by the rules of one site."""

    def __init__(
        self, rules: PullRules, *, bytes_max: int, retry_s: float = RETRY_S, answer_s: float = ANSWER_S_MAX
    ) -> None:
        self._rules = rules
        self._bytes_max = bytes_max
        self._retry_s = retry_s
        self._answer_s = answer_s

    def use_rules(self, rules: PullRules) -> None:
        """From the next pull on."""
        self._rules = rules

    async def pull(self, url: str, state: PullState, write: Write) -> None:
        """Gather everything, from `state.received_bytes` on; raises PullRefusedError."""
        rules = self._rules
        judge = _JudgingResolver(rules)
        connector = aiohttp.TCPConnector(resolver=judge, limit=1, use_dns_cache=False, socket_factory=judge.open_socket)
        timeout = aiohttp.ClientTimeout(total=TOTAL_S_MAX, sock_connect=CONNECT_S_MAX, sock_read=SILENCE_S_MAX)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, trust_env=False, auto_decompress=False
        ) as session:
            for attempt in range(ATTEMPTS_MAX):
                broken = await self._tried(session, url, rules, state, write)
                if broken is None:
                    return
                if attempt + 1 == ATTEMPTS_MAX:
                    told = str(broken)[:200] or type(broken).__name__
                    raise PullRefusedError(refusal(RefusalCode.UNREACHABLE, found=told)) from broken
                await asyncio.sleep(self._retry_s * 2**attempt)

    async def _tried(
        self, session: aiohttp.ClientSession, url: str, rules: PullRules, state: PullState, write: Write
    ) -> Exception | None:
        """Why another attempt may help; None where everything is there. Raises PullRefusedError."""
        try:
            await self._attempt(session, url, rules, state, write)
        except (_BrokenOffError, aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            forbidden = _forbidden_below(error)
            if forbidden is not None:
                raise PullRefusedError(refusal(RefusalCode.ADDRESS_FORBIDDEN, found=forbidden)) from error
            return error
        return None

    async def _attempt(
        self, session: aiohttp.ClientSession, url: str, rules: PullRules, state: PullState, write: Write
    ) -> None:
        at, before = url, ""
        for _ in range(REDIRECTS_MAX + 1):
            rules.checked(at, before=before)
            async with asyncio.timeout(self._answer_s):
                asked = await session.get(at, headers=_headers(state), allow_redirects=False)
            async with asked as answer:
                if answer.status not in _REDIRECTS:
                    return await self._body(answer, state, write)
                before, at = at, urljoin(at, answer.headers.get("Location", ""))
        raise PullRefusedError(refusal(RefusalCode.UNREACHABLE, found=f"more than {REDIRECTS_MAX} redirects"))

    async def _body(self, answer: aiohttp.ClientResponse, state: PullState, write: Write) -> None:
        self._judge(answer, state)
        length = answer.content_length
        if length is not None:
            state.size_bytes = state.received_bytes + length
            self._require_size(state.size_bytes)
        async for piece in answer.content.iter_chunked(PIECE_BYTES):
            self._require_size(state.received_bytes + len(piece))
            await write(piece, state.received_bytes)
            state.received_bytes += len(piece)
        if state.size_bytes and state.received_bytes < state.size_bytes:
            raise _BrokenOffError(f"{state.received_bytes} of {state.size_bytes} bytes arrived")
        if not state.received_bytes:
            raise PullRefusedError(refusal(RefusalCode.EMPTY))
        state.size_bytes = state.received_bytes

    def _judge(self, answer: aiohttp.ClientResponse, state: PullState) -> None:
        status, told = answer.status, f"{answer.status} {answer.reason}"
        if status == HTTPStatus.PARTIAL_CONTENT:
            if not answer.headers.get("Content-Range", "").startswith(f"bytes {state.received_bytes}-"):
                state.received_bytes, state.etag = 0, ""
                raise _BrokenOffError("the server sent another range than was asked for")
            return
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            state.received_bytes, state.etag = 0, ""
            raise _BrokenOffError(told)
        if status in _AGAIN:
            raise _BrokenOffError(told)
        if status != HTTPStatus.OK:
            raise PullRefusedError(refusal(RefusalCode.UNREACHABLE, found=told))
        state.received_bytes = 0
        etag = answer.headers.get("ETag", "")
        state.etag = etag[:200] if not etag.startswith("W/") else ""

    def _require_size(self, size: int) -> None:
        if size > self._bytes_max:
            raise PullRefusedError(refusal(RefusalCode.TOO_LARGE, found=size, limit=self._bytes_max))


def _headers(state: PullState) -> dict[str, str]:
    """What is there is not asked for again, where the source can say that it is still the same."""
    plain = {"User-Agent": "LoaXa/0.1", "Accept-Encoding": "identity", "Accept": "audio/*, */*;q=0.5"}
    if not state.received_bytes or not state.etag:
        state.received_bytes = 0
        return plain
    return {**plain, "Range": f"bytes={state.received_bytes}-", "If-Range": state.etag}


def _forbidden_below(error: BaseException | None) -> ForbiddenAddressError | None:
    """What the resolver said, where the library has put its own error around it."""
    while error is not None:
        if isinstance(error, ForbiddenAddressError):
            return error
        error = error.__cause__ or error.__context__
    return None


class _ForbiddenSocketError(OSError):
    """No socket is opened to such an address; its cause says why."""


class _JudgingResolver(AbstractResolver):
    """Looks names up, leaves of their addresses those that may be asked, and opens sockets to no others."""

    def __init__(self, rules: PullRules) -> None:
        self._rules = rules
        self._resolver = aiohttp.ThreadedResolver()
        self._judged: set[str] = set()

    def open_socket(self, address: AddrInfoType) -> socket.socket:
        """A socket for an address that was looked up here, or that may be asked as it is written."""
        family, kind, protocol, _, (host, *_) = address
        if str(host) not in self._judged:
            try:
                self._rules.require(str(host), str(host))
            except ForbiddenAddressError as error:
                raise _ForbiddenSocketError(str(error)) from error
        return socket.socket(family, kind, protocol)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """See `AbstractResolver.resolve`."""
        found = await self._resolver.resolve(host, port, family)
        allowed = [each for each in found if self._rules.allows(host, each["host"])]
        if found and not allowed:
            self._rules.require(host, found[0]["host"])
        self._judged |= {each["host"] for each in allowed}
        return allowed

    async def close(self) -> None:
        """See `AbstractResolver.close`."""
        await self._resolver.close()
