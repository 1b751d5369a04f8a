"""The node's media files on a simulated card: `edge.adapters.media` with its promises, in virtual time.

One file at a time; what has arrived of one stays as `.part` and is gone on from where it ended; a file is whole only
under its own hash, after sync, rename and sync of the names. Room is made by evicting what was used longest ago and
nothing needs. What it leaves to the agent, its bounds and its failures are those of the real one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from edge.adapters.media import REQUESTS_MAX, SILENCE_S_MAX
from edge.adapters.media_files import PART
from edge.effects import FetchMedia
from edge.errors import MediaFailure
from edge.events import BodyFetched, Event, MediaFailed, MediaFetched
from protocol.plan import BodyReference, Fetchable
from protocol.units import NS_PER_S
from simulator.network.network import Host
from simulator.pole.disk import Disk, DiskError
from simulator.services.media_server import FOLD_BYTES, MediaServer, folded
from simulator.world import Timer, World

FOLDER: Final = "media/"
_SILENCE_NS: Final = int(SILENCE_S_MAX * NS_PER_S)
_GONE: Final = (404, 410)
_RANGE: Final = 416


class SimulatedMediaStore:
    """The port `MediaStore` on one card; `post` takes an event in."""

    def __init__(
        self,
        world: World,
        disk: Disk,
        host: Host,
        server: MediaServer,
        *,
        bytes_max: int,
        free_bytes_min: int,
        post: Callable[[Event], None],
    ) -> None:
        self._world = world
        self._disk = disk
        self._host = host
        self._server = server
        self._bytes_max = bytes_max
        self._free_bytes_min = free_bytes_min
        self._post = post
        self._waiting: deque[FetchMedia] = deque()
        self._download: _Download | None = None
        self._used: dict[str, int] = {}
        self._uses = 0

    def present(self) -> frozenset[str]:
        """See `MediaStore.present`."""
        return frozenset(name.removeprefix(FOLDER) for name in self._files() if not name.endswith(PART))

    def fetch(self, effect: FetchMedia) -> None:
        """See `MediaStore.fetch`."""
        if len(self._waiting) >= REQUESTS_MAX:
            self._fail_later(effect.reference, MediaFailure.UNREACHABLE, f"{REQUESTS_MAX} requests are waiting")
            return
        self._waiting.append(effect)
        if self._download is None:
            self._begin()

    def discard(self, sha256: str) -> None:
        """See `MediaStore.discard`; a card that refuses keeps the file."""
        if not self._disk.is_read_only:
            self._disk.remove(FOLDER + sha256)

    def free_bytes(self) -> int:
        """See `MediaStore.free_bytes`."""
        return self._disk.free_bytes

    def close(self) -> None:
        """See `MediaStore.close`; also when the process or its machine has died."""
        self._waiting.clear()
        if self._download is not None:
            self._download.leave()
            self._download = None

    def content(self, sha256: str) -> bytes:
        """The folded bytes of a file that is whole, empty when there is none; it counts as used now."""
        self._uses += 1
        self._used[sha256] = self._uses
        return self._disk.read(FOLDER + sha256)

    def _files(self) -> list[str]:
        return [name for name in self._disk.names() if name.startswith(FOLDER)]

    def _begin(self) -> None:
        while self._waiting and self._download is None:
            effect = self._waiting.popleft()
            reference = effect.reference
            if self._disk.exists(FOLDER + reference.sha256):
                self._world.after(0, self._tell, reference, (), 0)
                continue
            try:
                evicted = self._make_room(reference, effect.keep | {reference.sha256}, effect.spare)
            except DiskError as error:
                self._fail_later(reference, MediaFailure.DISK_FULL, str(error))
                continue
            if evicted is not None:
                self._download = _Download(self, self._world, self._disk, effect, evicted)
                first = len(self._disk.read(self._download.part))
                end = None if self._download.room is None else first + self._download.room
                self._server.request(self._host, reference.sha256, first, self._download, end=end)

    def ended(
        self, reference: Fetchable, failure: MediaFailure | None, detail: str, evicted: tuple[str, ...], received: int
    ) -> None:
        """A download is over, well or not, after so many bytes."""
        self._download = None
        if failure is None:
            self._tell(reference, evicted, received)
        else:
            sha256 = reference.sha256
            self._post(MediaFailed(sha256=sha256, reason=failure, detail=detail[:200], received_bytes=received))
        if self._download is None:
            self._begin()

    def _tell(self, reference: Fetchable, evicted: tuple[str, ...], received: int) -> None:
        """A file is here; a plan's body is handed over and not kept."""
        if not isinstance(reference, BodyReference):
            self._post(MediaFetched(sha256=reference.sha256, evicted=evicted, received_bytes=received))
            return
        name, sha256 = FOLDER + reference.sha256, reference.sha256
        is_good = self._disk.read(name) == folded(sha256, reference.size_bytes)
        if not self._disk.is_read_only:
            self._disk.remove(name)
        if is_good:
            content = self._server.body(sha256)
            self._post(BodyFetched(sha256=sha256, content=content, evicted=evicted, received_bytes=received))
        else:
            detail = "the body was damaged; it is fetched again"
            self._post(MediaFailed(sha256=sha256, reason=MediaFailure.WRONG_HASH, detail=detail))

    def _make_room(self, reference: Fetchable, keep: frozenset[str], spare: tuple[str, ...]) -> tuple[str, ...] | None:
        """What had to go; None when it cannot fit, which was told. Raises DiskError."""
        if reference.size_bytes > self._bytes_max:
            detail = f"{reference.size_bytes} bytes; media.bytes_max is {self._bytes_max}"
            self._fail_later(reference, MediaFailure.TOO_LARGE, detail)
            return None
        for name in self._files():
            if name.endswith(PART) and name.removeprefix(FOLDER).removesuffix(PART) not in keep.union(spare):
                self._disk.remove(name)
        sizes = {name: len(self._disk.read(name)) * FOLD_BYTES for name in self._files()}
        kept = {FOLDER + name for name in keep.union(spare)}
        idle = [name for name in sizes if name not in kept and not name.endswith(PART)]
        idle.sort(key=lambda name: self._used.get(name.removeprefix(FOLDER), 0))
        idle += [each for name in spare for each in (FOLDER + name, FOLDER + name + PART) if each in sizes]
        evicted: list[str] = []
        used_bytes = sum(sizes.values())
        while (
            used_bytes + reference.size_bytes > self._bytes_max
            or self._disk.free_bytes - reference.size_bytes < self._free_bytes_min
        ):
            if not idle:
                detail = f"no room for {reference.size_bytes} bytes; everything here is needed"
                self._fail_later(reference, MediaFailure.DISK_FULL, detail)
                return None
            name = idle.pop(0)
            self._disk.remove(name)
            used_bytes -= sizes[name]
            evicted.append(name.removeprefix(FOLDER))
        return tuple(name for name in evicted if not name.endswith(PART))

    def _fail_later(self, reference: Fetchable, reason: MediaFailure, detail: str) -> None:
        failed = MediaFailed(sha256=reference.sha256, reason=reason, detail=detail[:200])
        self._world.after(0, self._post, failed)


class _Download:
    """One file on its way (`media_server.Receiver`)."""

    def __init__(
        self,
        store: SimulatedMediaStore,
        world: World,
        disk: Disk,
        effect: FetchMedia,
        evicted: tuple[str, ...],
    ) -> None:
        self.part: Final = f"{FOLDER}{effect.reference.sha256}{PART}"
        self.is_gone = False
        self._store = store
        self._world = world
        self._disk = disk
        self._reference = effect.reference
        self._evicted = evicted
        self.room = None if effect.bytes_max is None else max(1, effect.bytes_max // FOLD_BYTES)
        """How many folded bytes may still come; None is as many as there are."""
        self._received = 0
        self._patience: Timer = world.after(_SILENCE_NS, self._give_up)

    def leave(self) -> None:
        """Nobody waits any more."""
        self.is_gone = True
        self._world.cancel(self._patience)

    def refused(self, status: int, detail: str) -> None:
        """See `Receiver.refused`."""
        if status == _RANGE:
            self._disk.remove(self.part)
            self._end(MediaFailure.WRONG_HASH, detail)
        else:
            self._end(MediaFailure.NOT_FOUND if status in _GONE else MediaFailure.UNREACHABLE, detail)

    def arrived(self, chunk: bytes) -> None:
        """See `Receiver.arrived`."""
        self._world.cancel(self._patience)
        self._patience = self._world.after(_SILENCE_NS, self._give_up)
        taken = chunk if self.room is None else chunk[: self.room - self._received]
        self._received += len(taken)
        try:
            self._disk.append(self.part, taken, fold=FOLD_BYTES)
            if self._received == self.room and not self._is_whole():
                self._disk.sync(self.part)
                self._end(MediaFailure.PARTLY, "as much as was asked for; the rest follows")
        except DiskError as error:
            self._end(MediaFailure.DISK_FULL, str(error))

    def finished(self) -> None:
        """See `Receiver.finished`: verify, make durable, name."""
        if self.is_gone:
            return
        reference = self._reference
        try:
            if self._disk.read(self.part) != folded(reference.sha256, reference.size_bytes):
                self._disk.remove(self.part)
                self._end(MediaFailure.WRONG_HASH, "what arrived has another hash than the plan says")
                return
            self._disk.sync(self.part)
            self._disk.rename(self.part, FOLDER + reference.sha256)
            self._disk.sync()
        except DiskError as error:
            self._end(MediaFailure.DISK_FULL, str(error))
            return
        self._end(None, "")

    def _is_whole(self) -> bool:
        return len(self._disk.read(self.part)) * FOLD_BYTES >= self._reference.size_bytes

    def _give_up(self) -> None:
        self._end(MediaFailure.UNREACHABLE, "the server says nothing")

    def _end(self, failure: MediaFailure | None, detail: str) -> None:
        if not self.is_gone:
            self.leave()
            received = min(self._received * FOLD_BYTES, self._reference.size_bytes)
            self._store.ended(self._reference, failure, detail, self._evicted, received)
