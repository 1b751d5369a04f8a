"""Media files by their hash: fetched over HTTPS with the node's certificate, verified, kept within bounds.

One worker thread, one file at a time. What has arrived of a file stays in `.part` and is resumed by Range after
a lost line, a restart or a power cut. A file is whole only under its own hash, after fsync, rename and fsync of
the folder. A plan's body is given to the agent and not kept. It leaves to the agent what is needed and when to try
again; every failure is a MediaFailed event.

Rules kept: never more bytes than the reference says, nor than were asked for at once; room is made first, by evicting
what was used longest ago and nothing needs; the free space that the store and the log live from is never touched. Cards
forget: when nothing is asked for, every file is read once a day, and one that has another hash by now goes and is told.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import queue
import re
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from edge.adapters.media_files import PartFile, has_hash, make_room, remove_old_parts
from edge.effects import FetchMedia
from edge.errors import MediaError, MediaFailure
from edge.events import BodyFetched, Event, MediaFailed, MediaFetched
from protocol.adapters.durable_file import sync
from protocol.identity import SHA256_PATTERN
from protocol.plan import BodyReference, Fetchable, MediaReference

REQUESTS_MAX: Final = 16
"""Requests waiting for the worker; the agent asks for one file at a time."""
SILENCE_S_MAX: Final = 15.0
"""How long a server may say nothing: a village's 4G link stalls for ten seconds and comes back."""
CHUNK_BYTES: Final = 64 * 1024
CLOSE_S_MAX: Final = 3.0
CHECKED_EVERY_S: Final = 24 * 3600.0
"""How often each file is read: a clip that has rotted must be found before the night in which it is needed."""
CHECK_PAUSE_S: Final = 0.05
"""At most 20 MB a second of a card that gives 40."""
CHECKED_FIRST_S: Final = 60.0
"""How long after the start: the node has other things to read then."""
_LOOK: Final = FetchMedia(reference=MediaReference(sha256="0" * 64, size_bytes=1, duration_ms=1), keep=frozenset())
"""Asks for nothing, so that the worker looks what time it is."""
_NAME: Final = re.compile(SHA256_PATTERN)
_GONE: Final = (http.client.NOT_FOUND, http.client.GONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSettings:
    """Where files come from and how much room they may take. `context` is the node's TLS identity."""

    url: str
    folder: Path
    bytes_max: int
    free_bytes_min: int
    context: ssl.SSLContext


class HttpsMediaStore:
    """The media of one node behind the port `MediaStore`. `post` takes an event in, from any thread."""

    def __init__(self, settings: MediaSettings, *, post: Callable[[Event], None]) -> None:
        self._settings = settings
        self._context = settings.context
        self._post = post
        self._requests: queue.Queue[FetchMedia | None] = queue.Queue(REQUESTS_MAX)
        self._is_closing = threading.Event()
        self._connection: http.client.HTTPSConnection | None = None
        self._check_at_s = time.monotonic() + CHECKED_FIRST_S
        self._unchecked: list[str] = []
        self._received_bytes = 0
        """What has come for the request that is being done."""
        settings.folder.mkdir(parents=True, exist_ok=True)
        self._thread = threading.Thread(target=self._work, name="media", daemon=True)
        self._thread.start()

    def use_context(self, context: ssl.SSLContext) -> None:
        """From the next connection on, show another certificate."""
        self._context = context

    def path(self, sha256: str) -> Path:
        """Where a file of this hash stands when it is whole."""
        return self._settings.folder / sha256

    def present(self) -> frozenset[str]:
        """See `MediaStore.present`."""
        return present_in(self._settings.folder)

    def fetch(self, effect: FetchMedia) -> None:
        """See `MediaStore.fetch`."""
        try:
            self._requests.put_nowait(effect)
        except queue.Full:
            detail = f"{REQUESTS_MAX} requests are waiting"
            self._post(MediaFailed(sha256=effect.reference.sha256, reason=MediaFailure.UNREACHABLE, detail=detail))

    def discard(self, sha256: str) -> None:
        """See `MediaStore.discard`."""
        with contextlib.suppress(OSError):
            self.path(sha256).unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """See `MediaStore.free_bytes`."""
        try:
            found = os.statvfs(self._settings.folder)
        except OSError:
            return 0
        return found.f_bavail * found.f_frsize

    def close(self) -> None:
        """See `MediaStore.close`."""
        self._is_closing.set()
        with contextlib.suppress(queue.Full):
            self._requests.put_nowait(None)
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.close()
        self._thread.join(CLOSE_S_MAX)

    def check_soon(self) -> None:
        """Read every file now instead of at its time of the day."""
        self._check_at_s = time.monotonic()
        self._requests.put(_LOOK)

    def _work(self) -> None:
        while (effect := self._next()) is not None and not self._is_closing.is_set():
            if effect is _LOOK:
                continue
            reference, self._received_bytes = effect.reference, 0
            try:
                evicted = self._fetch(effect)
            except MediaError as error:
                self._fail(reference, error.reason, error.detail)
            except OSError as error:
                self._fail(reference, MediaFailure.DISK_FULL, f"{self._settings.folder}: {error}")
            else:
                self._tell(reference, evicted)

    def _next(self) -> FetchMedia | None:
        """What is asked for; files are read while nothing is."""
        while True:
            if not self._unchecked and time.monotonic() >= self._check_at_s:
                self._check_at_s = time.monotonic() + CHECKED_EVERY_S
                self._unchecked = sorted(self.present())
            try:
                wait_s = max(0.0, self._check_at_s - time.monotonic())
                return self._requests.get(block=not self._unchecked, timeout=wait_s)
            except queue.Empty:
                if self._unchecked:
                    self._check(self._unchecked.pop())

    def _check(self, sha256: str) -> None:
        path = self.path(sha256)
        with contextlib.suppress(OSError):  # it has gone meanwhile, or the card refuses: playing it will tell
            is_whole = has_hash(path, sha256, should_stop=self._has_other_work)
            if is_whole is None:
                self._unchecked.append(sha256)
            if is_whole is not False:
                return
            path.unlink(missing_ok=True)
            sync(self._settings.folder)
            detail = "the file on the card was damaged; it is fetched again"
            self._post(MediaFailed(sha256=sha256, reason=MediaFailure.WRONG_HASH, detail=detail))

    def _has_other_work(self) -> bool:
        """Between two blocks of a file that is only checked: a pause, so that whatever plays can read its own."""
        return self._is_closing.wait(CHECK_PAUSE_S) or not self._requests.empty()

    def _tell(self, reference: Fetchable, evicted: tuple[str, ...]) -> None:
        """A file is here. A plan's body is handed over and not kept: it will stand in the store, beside its plan."""
        if not isinstance(reference, BodyReference):
            self._post(MediaFetched(sha256=reference.sha256, evicted=evicted, received_bytes=self._received_bytes))
            return
        path = self.path(reference.sha256)
        try:
            content = path.read_bytes()
            path.unlink()
        except OSError as error:
            self._fail(reference, MediaFailure.UNREACHABLE, f"{path}: {error}")
            return
        if hashlib.sha256(content).hexdigest() != reference.sha256:  # it has lain here since a power cut
            self._fail(reference, MediaFailure.WRONG_HASH, f"{path} was damaged; it is fetched again")
            return
        received_bytes = self._received_bytes
        self._post(
            BodyFetched(sha256=reference.sha256, content=content, evicted=evicted, received_bytes=received_bytes)
        )

    def _fail(self, reference: Fetchable, reason: MediaFailure, detail: str) -> None:
        if not self._is_closing.is_set():
            received_bytes = self._received_bytes
            self._post(
                MediaFailed(sha256=reference.sha256, reason=reason, detail=detail[:200], received_bytes=received_bytes)
            )

    def _fetch(self, effect: FetchMedia) -> tuple[str, ...]:
        reference, keep = effect.reference, effect.keep
        if self.path(reference.sha256).exists():
            return ()
        folder = self._settings.folder
        remove_old_parts(folder, keep=keep | {reference.sha256, *effect.spare})
        part = PartFile(folder / f"{reference.sha256}.part", size_bytes=reference.size_bytes)
        evicted = make_room(
            folder,
            needed_bytes=reference.size_bytes - part.length,
            file_bytes=reference.size_bytes,
            bytes_max=self._settings.bytes_max,
            free_bytes_min=self._settings.free_bytes_min,
            keep=keep | {reference.sha256},
            spare=effect.spare,
        )
        if part.length < reference.size_bytes:
            self._download(reference, part, effect.bytes_max)
        part.finish(self.path(reference.sha256), sha256=reference.sha256)
        sync(folder)
        return evicted

    def _download(self, reference: Fetchable, part: PartFile, bytes_max: int | None) -> None:
        parts = urlsplit(self._settings.url)
        self._connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=SILENCE_S_MAX, context=self._context
        )
        path = f"{parts.path.rstrip('/')}/media/sha256/{reference.sha256}"
        until = "" if bytes_max is None else str(part.length + bytes_max - 1)
        headers = {"Range": f"bytes={part.length}-{until}"} if part.length or until else {}
        try:
            self._connection.request("GET", path, headers=headers)
            response = self._connection.getresponse()
            self._judge(response, part, is_slice=bytes_max is not None)
            self._copy(response, part, bytes_max)
        except (OSError, http.client.HTTPException, ValueError) as error:
            detail = f"{self._settings.url}: {str(error) or type(error).__name__}"
            raise MediaError(MediaFailure.UNREACHABLE, detail) from error
        finally:
            self._connection.close()
            self._connection = None
        if part.length != reference.size_bytes:
            is_slice = bytes_max is not None and self._received_bytes >= bytes_max
            if is_slice:
                part.sync()
            reason = MediaFailure.PARTLY if is_slice else MediaFailure.UNREACHABLE
            raise MediaError(reason, f"{part.length} of {reference.size_bytes} bytes arrived; the rest follows")

    def _judge(self, response: http.client.HTTPResponse, part: PartFile, *, is_slice: bool) -> None:
        match response.status:
            case http.client.OK if is_slice:
                raise MediaError(MediaFailure.UNREACHABLE, f"{self._settings.url} gives a file whole or not at all")
            case http.client.OK:
                part.restart()
            case http.client.PARTIAL_CONTENT:
                start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
                if start is None or int(start[1]) != part.length:
                    part.restart()
                    raise MediaError(MediaFailure.UNREACHABLE, "the server sent another range than was asked for")
            case http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.restart()
                raise MediaError(MediaFailure.WRONG_HASH, "the server's file is shorter than the plan says")
            case status if status in _GONE:
                raise MediaError(MediaFailure.NOT_FOUND, f"{self._settings.url} does not have the file")
            case status:
                raise MediaError(MediaFailure.UNREACHABLE, f"{self._settings.url} answers {status} {response.reason}")

    def _copy(self, response: http.client.HTTPResponse, part: PartFile, bytes_max: int | None) -> None:
        """Take in what comes; of a whole file also what should not come, which `part` refuses."""
        while bytes_max is None or self._received_bytes < bytes_max:
            room = CHUNK_BYTES if bytes_max is None else min(CHUNK_BYTES, bytes_max - self._received_bytes)
            chunk = response.read1(room)
            if not chunk:
                return
            self._received_bytes += len(chunk)
            if self._is_closing.is_set():
                raise MediaError(MediaFailure.UNREACHABLE, "the node is stopping")
            try:
                part.append(chunk)
            except OSError as error:
                raise MediaError(MediaFailure.DISK_FULL, f"{self._settings.folder}: {error}") from error


def media_folder(state_folder: Path) -> Path:
    """Where media files stand."""
    return state_folder / "media"


def present_in(folder: Path) -> frozenset[str]:
    """Hashes of the files that are whole in a media folder."""
    try:
        return frozenset(entry.name for entry in folder.iterdir() if _NAME.match(entry.name))
    except OSError:
        return frozenset()
