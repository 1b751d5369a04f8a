"""Media files on the disk: the part that has arrived, the whole file, and room for it.

Only the media store's worker uses it. A `.part` never counts as a file; it becomes one by its hash alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from edge.errors import MediaError, MediaFailure

PART: Final = ".part"
_READ_BYTES: Final = 1024 * 1024


class PartFile:
    """What has arrived of one file; never longer than `size_bytes`."""

    def __init__(self, path: Path, *, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = size_bytes
        self.length = path.stat().st_size if path.exists() else 0
        if self.length > size_bytes:
            self.restart()

    def restart(self) -> None:
        """Forget what has arrived."""
        self._path.unlink(missing_ok=True)
        self.length = 0

    def append(self, chunk: bytes) -> None:
        """Add what follows; raises MediaError(TOO_LARGE) beyond the size that the plan named, OSError by the disk."""
        if self.length + len(chunk) > self._size_bytes:
            self.restart()
            raise MediaError(MediaFailure.TOO_LARGE, f"the server's file is larger than {self._size_bytes} bytes")
        with self._path.open("ab") as file:
            file.write(chunk)
        self.length += len(chunk)

    def sync(self) -> None:
        """Make durable what has arrived: it has cost bytes of somebody's SIM."""
        with self._path.open("rb+") as file:
            os.fsync(file.fileno())

    def finish(self, whole: Path, *, sha256: str) -> None:
        """Verify, make durable, and give it its name; raises MediaError(WRONG_HASH) and forgets it then."""
        digest = hashlib.sha256()
        with self._path.open("rb+") as file:
            while block := file.read(_READ_BYTES):
                digest.update(block)
            os.fsync(file.fileno())
        if digest.hexdigest() != sha256:
            self.restart()
            raise MediaError(MediaFailure.WRONG_HASH, "what arrived has another hash than the plan says")
        self._path.rename(whole)


def make_room(
    folder: Path,
    *,
    needed_bytes: int,
    file_bytes: int,
    bytes_max: int,
    free_bytes_min: int,
    keep: frozenset[str],
    spare: Sequence[str] = (),
) -> tuple[str, ...]:
    """Evict what was used longest ago and is not in `keep` until the file fits; returns what had to go.

    What is `spare` goes behind all that, its first before its last, and what has come of such files too. Raises
    MediaError(TOO_LARGE) when it can never fit, MediaError(DISK_FULL) when nothing more may go.
    """
    if file_bytes > bytes_max:
        raise MediaError(MediaFailure.TOO_LARGE, f"{file_bytes} bytes; media.bytes_max is {bytes_max}")
    files = [(entry.name, entry.stat()) for entry in folder.iterdir() if entry.is_file()]
    used_bytes = sum(status.st_size for _, status in files)
    sizes = {name: status.st_size for name, status in files}
    oldest_first = sorted(files, key=lambda file: (file[1].st_mtime_ns, file[0]))
    idle = [name for name, _ in oldest_first if name not in keep and PART not in name and name not in spare]
    idle += [each for name in spare for each in (name, f"{name}{PART}") if name not in keep and each in sizes]
    evicted: list[str] = []
    while used_bytes + needed_bytes > bytes_max or _free_bytes(folder) - needed_bytes < free_bytes_min:
        if not idle:
            raise MediaError(
                MediaFailure.DISK_FULL,
                f"no room for {needed_bytes} bytes: {used_bytes} of {bytes_max} used, {_free_bytes(folder)} free, of "
                f"which {free_bytes_min} stay free; everything here is needed",
            )
        name = idle.pop(0)
        folder.joinpath(name).unlink(missing_ok=True)
        used_bytes -= sizes[name]
        evicted.append(name)
    return tuple(name for name in evicted if PART not in name)


def has_hash(path: Path, sha256: str, *, should_stop: Callable[[], bool]) -> bool | None:
    """Whether a file still is what its name says; None when it was told to stop before it knew.

    `should_stop` is asked between two blocks, and may take its time. Raises OSError by the disk.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
            if should_stop():
                return None
    return digest.hexdigest() == sha256


def remove_old_parts(folder: Path, *, keep: frozenset[str]) -> None:
    """Remove parts of files that nothing needs any more."""
    for path in folder.glob(f"*{PART}"):
        if path.name.removesuffix(PART) not in keep:
            path.unlink(missing_ok=True)


def mark_used(path: Path) -> None:
    """Note that a file was played now, so that it is evicted after others; a read-only disk is no fault."""
    with contextlib.suppress(OSError):
        os.utime(path)


def _free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
