"""A socket in the node's state folder by which a person on the pole asks the running node for a self-test.

One line of JSON asks, one answers, and the connection is over. Only the service's own user and root may connect (the
socket's mode), only one question is open at a time, and all that it can make the node do is what the node may do by
itself: quiet hours, ordered silence and an emergency come first.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from edge.effects import AnswerSelfTest
from edge.errors import HearingError
from edge.events import SelfTestAsked
from protocol.messages import SelfTestRecord

log = logging.getLogger("edge.control")

FILE: Final = "control.sock"
LINE_BYTES_MAX: Final = 4_096
ANSWER_S_MAX: Final = 40.0
"""A self-test lasts some 8 s, and 10 s more if the ears do not answer."""
ASK_S_MAX: Final = 5.0


class SelfTestQuestion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="self-test"):
    """The one question."""

    takes_reference: bool = False


class ControlSocket:
    """The socket of one running node; lives on its loop."""

    def __init__(self, state_dir: str, *, post: Callable[[SelfTestAsked], None]) -> None:
        self._path: Final = Path(state_dir) / FILE
        self._post = post
        self._server: asyncio.Server | None = None
        self._open: dict[int, asyncio.Future[SelfTestRecord]] = {}
        self._tickets = 0

    async def start(self) -> None:
        """Listen; a node that cannot goes on without."""
        try:
            self._path.unlink(missing_ok=True)
            before = os.umask(0o177)
            try:
                self._server = await asyncio.start_unix_server(self._serve, path=self._path, limit=LINE_BYTES_MAX)
            finally:
                os.umask(before)
        except OSError as error:
            log.warning("%s cannot be opened (%s): loaxa-edge self-test will not work", self._path, error)

    def answer(self, effect: AnswerSelfTest) -> None:
        """Give the answer to whoever asked, if they still wait."""
        waiting = self._open.get(effect.ticket)
        if waiting is not None and not waiting.done():
            waiting.set_result(effect.record)

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for waiting in self._open.values():
            waiting.cancel()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await asyncio.wait_for(reader.readline(), ASK_S_MAX)
            question = msgspec.json.decode(line, type=SelfTestQuestion)
            record = await self._ask(question)
            writer.write(msgspec.json.encode(record) + b"\n")
            await writer.drain()
        except (TimeoutError, asyncio.CancelledError, ValueError, OSError, msgspec.MsgspecError) as error:
            log.warning("a question at %s got no answer: %s", self._path, error or type(error).__name__)
        finally:
            writer.close()

    async def _ask(self, question: SelfTestQuestion) -> SelfTestRecord:
        self._tickets += 1
        ticket = self._tickets
        self._open[ticket] = asyncio.get_running_loop().create_future()
        try:
            self._post(SelfTestAsked(ticket=ticket, takes_reference=question.takes_reference))
            return await asyncio.wait_for(self._open[ticket], ANSWER_S_MAX)
        finally:
            del self._open[ticket]


def ask_for_self_test(state_dir: Path, *, takes_reference: bool) -> SelfTestRecord:
    """Ask the node that runs with a state folder; waits for the answer. Raises HearingError."""
    path = state_dir / FILE
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(ANSWER_S_MAX + ASK_S_MAX)
            line.connect(str(path))
            line.sendall(msgspec.json.encode(SelfTestQuestion(takes_reference=takes_reference)) + b"\n")
            with line.makefile("rb") as file:
                answer = file.readline(LINE_BYTES_MAX)
        return msgspec.json.decode(answer, type=SelfTestRecord)
    except PermissionError as error:
        raise HearingError(f"{path}: {error.strerror}; ask as root (sudo)") from error
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise HearingError(f"no node runs with {state_dir}: start it first (systemctl start loaxa-edge)") from error
    except (OSError, msgspec.MsgspecError) as error:
        raise HearingError(f"the node did not answer ({error}): see journalctl -u loaxa-edge") from error
