"""How commands find the controller that runs on this machine: a locked file in its state folder.

The lock belongs to the process and ends with it, whatever ends it, so that a number in the file never means another
process. Beside the number stands which keyset and which root are in force, for whoever has just installed another.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from controller.errors import ControllerError

_NAME: Final = "controller.running"
_BYTES_MAX: Final = 1_024
_ATTEMPTS: Final = 5
_ATTEMPT_S: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A controller that runs: its process, and what it signs by."""

    pid: int
    keyset: int
    root: int


class RunningMark:
    """This process's mark. Without the lock (another controller has this state folder) it says nothing."""

    def __init__(self, descriptor: int, *, is_held: bool) -> None:
        self._descriptor = descriptor
        self.is_held: Final = is_held

    def write(self, *, keyset: int, root: int) -> None:
        """Say what is in force."""
        if self.is_held:
            data = msgspec.json.encode(Running(pid=os.getpid(), keyset=keyset, root=root))
            os.pwrite(self._descriptor, data.ljust(_BYTES_MAX // 8), 0)


@contextlib.contextmanager
def running_mark(state_dir: Path) -> Iterator[RunningMark]:
    """Hold the mark; raises ControllerError when its file cannot be made."""
    path = state_dir / _NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise ControllerError(f"state_dir: {path} cannot be made: {error.strerror or error}") from error
    try:
        yield RunningMark(descriptor, is_held=_lock(descriptor))
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Take the lock; a command that looks at this very moment has it for an instant."""
    for _ in range(_ATTEMPTS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(_ATTEMPT_S)
        else:
            return True
    return False


def who_runs(state_dir: Path) -> Running | None:
    """The controller that has this state folder, if one runs now; raises ControllerError when that cannot be seen."""
    path = state_dir / _NAME
    try:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return msgspec.json.decode(file.read(_BYTES_MAX), type=Running)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ControllerError(f"{path} cannot be read: {error.strerror or error}; run this as its user") from error
    except msgspec.DecodeError as error:
        raise ControllerError(f"{path} is not yet written; try again in a second") from error
    return None


def have_it_read_again(running: Running) -> None:
    """Tell it to read its configuration and keys again; raises ControllerError."""
    try:
        os.kill(running.pid, signal.SIGHUP)
    except OSError as error:
        raise ControllerError(
            f"the controller (process {running.pid}) cannot be told: {error.strerror or error}; run this as its user, "
            "or: systemctl reload loaxa-controller"
        ) from error
