"""`signer CONFIG`: a small process that holds the keys and nothing else, behind a Unix socket.

It parses no media, talks to no network and has no database; the controller, which does all of that, asks it for each
signature. Who asks is known from the kernel (SO_PEERCRED), what is asked is judged by `keys.signing_policy`, and each
request stands in the signer's own record before it is answered.

Rules kept: only listed users are answered; connections, frames and waits are bounded; a request that cannot be read
costs its connection; SIGTERM ends it after the answer that is being given, and nothing is lost by it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pwd
import signal
import socket
import stat
import struct
import time
from dataclasses import asdict
from pathlib import Path
from typing import Final

from controller.adapters.keys.signing_keys import open_signer
from controller.adapters.keys.signing_log import SigningLog, SigningLogError
from controller.errors import ConfigError, ControllerError, KeyFileError, SigningError
from controller.keys.signer_config import SignerConfig, parse_signer_config, scope_of
from controller.keys.signer_frames import (
    HEAD,
    REQUEST_BYTES_MAX,
    SigningAnswer,
    SigningRequest,
    answer_frame,
    parse_request,
)
from controller.keys.signing_policy import Judged, SigningPolicy
from protocol.configuration import SETTINGS_BYTES_MAX
from protocol.envelope import Signer
from protocol.errors import Refusal
from protocol.messages import OperationalKey

log = logging.getLogger("signer")

CONNECTIONS_MAX: Final = 8
"""A controller needs one; a second is being replaced, others are a person's at the machine."""
FRAME_S_MAX: Final = 2.0
"""A frame that has begun must end by then; between frames a client may be silent for ever."""
_PEER: Final = struct.Struct("3i")
_SOCKET_MODE: Final = 0o660
"""The folder's mode and group say who reaches it; who is answered is looked at besides."""


class SignerService:
    """The keys, the policy and the record of one signer."""

    def __init__(self, config: SignerConfig, *, record: SigningLog) -> None:
        self._signers: dict[str, Signer] = {}
        self._record = record
        scopes: dict[str, OperationalKey] = {}
        for key in config.keys:
            try:
                signer, public_key = open_signer(key, None)
            except KeyFileError as error:
                raise ConfigError(f"keys.{key.key_id}: {error}") from error
            assert public_key is not None, "a key that is opened here has a public half"  # noqa: S101 - our invariant
            self._signers[key.key_id] = signer
            scopes[key.key_id] = scope_of(key, public_key)
        self._policy = SigningPolicy(
            scopes, areas=config.area_parents, emergencies_per_hour=config.emergencies_per_hour
        )

    def answer(self, request: SigningRequest, *, pid: int, uid: int) -> SigningAnswer:
        """Judge, put on record, sign."""
        who = {"pid": pid, "uid": uid, "key": request.key_id}
        try:
            judged = self._policy.judge(request.key_id, request.data, time.time_ns() // 1_000_000)
            self._put_on_record(judged, who, request)
            return SigningAnswer(signature=self._signers[request.key_id].sign(request.data))
        except (Refusal, ControllerError) as error:
            log.warning("refused to sign with %s for %d: %s", request.key_id, uid, error)
            self._note_refusal(who, request, str(error))
            return SigningAnswer(reason=str(error))

    def _put_on_record(self, judged: Judged, who: dict[str, object], request: SigningRequest) -> None:
        facts = {**who, "verdict": "signed", **asdict(judged)}
        try:
            self._record.write(facts, signed=request.data, is_synced=judged.can_sound)
        except SigningLogError as error:
            if not judged.is_urgent:
                raise
            log.error("signed without a record, because it is an emergency: %s", error)  # noqa: TRY400 - a sentence

    def _note_refusal(self, who: dict[str, object], request: SigningRequest, reason: str) -> None:
        try:
            self._record.write({**who, "verdict": "refused", "reason": reason}, signed=request.data, is_synced=False)
        except SigningLogError as error:
            log.error("%s", error)  # noqa: TRY400 - a sentence


class SignerServer:
    """The socket of a signer."""

    def __init__(self, service: SignerService, *, users: frozenset[int]) -> None:
        self._service = service
        self._users = users
        self._connections: set[asyncio.Task[None]] = set()

    async def listen(self, path: Path) -> asyncio.Server:
        """Begin to answer; raises ConfigError."""
        return await asyncio.start_unix_server(self._connected, sock=_bound(path), limit=REQUEST_BYTES_MAX)

    async def close(self) -> None:
        """Hang up."""
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a callback of the server is a task"  # noqa: S101 - our own invariant
        pid, uid, _ = _PEER.unpack(
            writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        )
        self._connections.add(task)
        try:
            if uid not in self._users or len(self._connections) > CONNECTIONS_MAX:
                log.warning("process %d of user %d is not answered", pid, uid)
                return
            await self._converse(reader, writer, pid=pid, uid=uid)
        except (SigningError, OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            log.info("process %d is gone: %s", pid, error or type(error).__name__)
        except asyncio.CancelledError:
            pass  # the signer ends
        finally:
            self._connections.discard(task)
            writer.close()

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, pid: int, uid: int
    ) -> None:
        while head := await reader.read(HEAD.size):
            async with asyncio.timeout(FRAME_S_MAX):
                head += await reader.readexactly(HEAD.size - len(head))
                (size,) = HEAD.unpack(head)
                if size > REQUEST_BYTES_MAX:
                    raise SigningError(f"a request of {size} bytes; at most {REQUEST_BYTES_MAX}")
                request = parse_request(await reader.readexactly(size))
                writer.write(answer_frame(self._service.answer(request, pid=pid, uid=uid)))
                await writer.drain()


def read_signer_config(path: Path) -> SignerConfig:
    """The configuration in a file; raises ConfigError."""
    try:
        with path.open("rb") as file:
            text = file.read(SETTINGS_BYTES_MAX + 1).decode()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    return parse_signer_config(text, name=str(path), folder=path.absolute().parent)


def check_signer(path: Path) -> str:
    """Whether a signer could start with this configuration; raises ConfigError."""
    config = read_signer_config(path)
    users_of(config)
    for key in config.keys:
        try:
            open_signer(key, None)
        except KeyFileError as error:
            raise ConfigError(f"keys.{key.key_id}: {error}") from error
    return f"{path}: good. {', '.join(key.key_id for key in config.keys)}"


def users_of(config: SignerConfig) -> frozenset[int]:
    """The numbers of the users who are answered; this process's own without `clients`. Raises ConfigError."""
    users = set()
    for name in config.clients:
        try:
            users.add(pwd.getpwnam(name).pw_uid)
        except KeyError as error:
            raise ConfigError(f"clients: there is no user {name!r} on this machine") from error
    return frozenset(users or {os.getuid()})


def run_signer(path: Path) -> None:
    """Sign until SIGTERM or SIGINT; raises ConfigError."""
    asyncio.run(_run(read_signer_config(path)))


async def _run(config: SignerConfig) -> None:
    try:
        record = SigningLog(Path(config.log_dir), bytes_max=config.log_bytes_max, files_max=config.log_files_max)
    except SigningLogError as error:
        raise ConfigError(str(error)) from error
    server = SignerServer(SignerService(config, record=record), users=users_of(config))
    listening = await server.listen(Path(config.socket))
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    log.info("signs with %s at %s", ", ".join(key.key_id for key in config.keys), config.socket)
    try:
        await told.wait()
    finally:
        listening.close()
        await server.close()
        record.close()


def _bound(path: Path) -> socket.socket:
    """The socket, with its mode from the first moment; what an ended signer left is replaced. Raises ConfigError."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o777 & ~_SOCKET_MODE)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
            path.unlink()
        bound.bind(str(path))
        bound.listen()
    except OSError as error:
        bound.close()
        raise ConfigError(f"socket: {path} cannot be listened at: {error.strerror or error}") from error
    finally:
        os.umask(mask)
    return bound
