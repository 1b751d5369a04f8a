"""The signer's own record: one line of JSON for each request, signed or refused, before the answer is given.

What can make a pole sound is on the disk before it is signed. Files are bounded, the oldest go; where the disk takes
nothing more, only real emergencies and their all-clear are signed still, for a full disk must not silence a warning.
"""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any, Final

from controller.errors import ControllerError

_NAME: Final = "signed.jsonl"


class SigningLogError(ControllerError):
    """The record could not be written."""


class SigningLog:
    """The files of one signer; used from one thread. Raises SigningLogError when they cannot be opened."""

    def __init__(self, folder: Path, *, bytes_max: int, files_max: int) -> None:
        self._path = folder / _NAME
        self._bytes_max, self._files_max = bytes_max, files_max
        self._descriptor = -1
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._open()
        except OSError as error:
            raise SigningLogError(f"log_dir: {self._path} cannot be written: {error.strerror or error}") from error

    def write(self, facts: dict[str, Any], *, signed: bytes, is_synced: bool) -> None:
        """Add a line; `is_synced`: return when a power cut cannot take it back. Raises SigningLogError."""
        at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"at": at, **facts, "sha256": hashlib.sha256(signed).hexdigest()}, ensure_ascii=False)
        data = line.encode() + b"\n"
        try:
            self._append(data)
            if is_synced:
                os.fdatasync(self._descriptor)
        except OSError as error:
            raise SigningLogError(f"{self._path} cannot be written: {error.strerror or error}") from error

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _append(self, data: bytes) -> None:
        """A whole line or none: half of one would spoil the next."""
        if os.fstat(self._descriptor).st_size + len(data) > self._bytes_max:
            self._turn_over()
        before = os.fstat(self._descriptor).st_size
        if os.write(self._descriptor, data) != len(data):
            os.ftruncate(self._descriptor, before)
            raise OSError(errno.ENOSPC, "the disk is full")

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o600)

    def _turn_over(self) -> None:
        for number in range(self._files_max - 2, 0, -1):
            older = self._path.with_name(f"{_NAME}.{number}")
            if older.exists():
                older.replace(self._path.with_name(f"{_NAME}.{number + 1}"))
        self._path.replace(self._path.with_name(f"{_NAME}.1"))
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)
        self._open()
