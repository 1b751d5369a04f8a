"""Writes a small file whole or not at all, so that a power cut at any line leaves the old one or the new one.

Temporary file beside it, fsync, rename, fsync of the folder. A private file is private from its first byte, also where
others may write to the folder: the temporary file is always a new one, never one that somebody has put there.
"""

from __future__ import annotations

import os
from pathlib import Path


def write_durably(path: Path, data: bytes, *, mode: int) -> None:
    """Replace `path` by a file with these bytes and this mode; raises OSError, and then nothing has changed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Make a file's bytes, or the names in a folder, survive a power cut; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
