"""Child processes of the demo: each with its own group and log, none outliving the demo.

Duty: start, watch, start again, stop. Whoever supervises calls `Children.watch` a few times a second from the
thread that started them: Linux ties "die with the parent" (PR_SET_PDEATHSIG) to that thread, and a child whose
starter has ended is killed at once. Leaves to the caller what a child is for.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

STOP_S_MAX: Final = 8.0
"""A controller or node that was asked to end has this long to say good-bye before it is killed."""
RESTART_PAUSE_S: Final = 1.0
RESTARTS_MAX: Final = 20
"""A child that dies more often than this in one demo is broken, not unlucky."""
_POLL_S: Final = 0.02
_UNLESS_ORPHANED: Final = '[ "$PPID" = "$1" ] || exit 125; shift; exec "$@"'
"""A parent that died before the child could ask to die with it is no parent any more."""


class ChildError(Exception):
    """A child cannot be started, or died too often; the text names its log."""


@dataclass(slots=True, kw_only=True)
class Child:
    """One process to keep running."""

    name: str
    command: list[str]
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    working_folder: Path | None = None
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    start_again_at: float | None = None

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.folder / f"{self.name}.log"

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self.process.pid if self.process is not None and self.process.poll() is None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildEnded:
    """A child ended that nobody had asked to."""

    name: str
    how: str


class Children:
    """The demo's processes, in the order in which they were started; stopped in reverse."""

    def __init__(
        self, log_folder: Path, *, restart_pause_s: float = RESTART_PAUSE_S, stop_s: float = STOP_S_MAX
    ) -> None:
        self._log_folder = log_folder
        self._stop_s = stop_s
        self._restart_pause_s = restart_pause_s
        self._children: dict[str, Child] = {}
        log_folder.mkdir(parents=True, exist_ok=True)

    def start(
        self,
        name: str,
        command: list[str],
        environment: dict[str, str] | None = None,
        working_folder: Path | None = None,
    ) -> Child:
        """Start a child and watch it from now on; raises ChildError."""
        child = Child(
            name=name,
            command=command,
            folder=self._log_folder,
            environment=environment or {},
            working_folder=working_folder,
        )
        child.log.write_bytes(b"")
        self._children[name] = child
        _launch(child)
        return child

    def __getitem__(self, name: str) -> Child:
        return self._children[name]

    def pids(self) -> dict[str, int]:
        """The process ids of those that run."""
        running = {child.name: child.pid for child in self._children.values()}
        return {name: pid for name, pid in running.items() if pid is not None}

    def restarts(self) -> dict[str, int]:
        """How often each child had to be started again, without those that never had."""
        return {child.name: child.restarts for child in self._children.values() if child.restarts}

    def watch(self) -> list[ChildEnded]:
        """Notice who ended and start them again after a pause; raises ChildError for one that keeps dying."""
        ended = []
        for child in self._children.values():
            if child.process is not None and child.process.poll() is not None:
                ended.append(ChildEnded(name=child.name, how=how_it_ended(child.process.returncode)))
                child.process = None
                child.start_again_at = time.monotonic() + self._restart_pause_s
            if child.start_again_at is not None and time.monotonic() >= child.start_again_at:
                child.start_again_at = None
                child.restarts += 1
                if child.restarts > RESTARTS_MAX:
                    message = f"{child.name} ended {child.restarts} times; see {child.log}\n{last_lines(child.log)}"
                    raise ChildError(message)
                _launch(child)
        return ended

    def stop_one(self, name: str) -> None:
        """Ask one child to end, and forget it."""
        child = self._children.pop(name, None)
        if child is not None:
            _ask(child)
            _await_end([child], self._stop_s)

    def stop(self) -> None:
        """Ask all to end, last started first, then kill what is left with its group."""
        children = list(reversed(self._children.values()))
        for child in children:
            _ask(child)
        _await_end(children, self._stop_s)
        self._children.clear()


def how_it_ended(returncode: int) -> str:
    """An exit status in words."""
    if returncode < 0:
        return f"killed by {signal.Signals(-returncode).name}"
    return f"ended with status {returncode}"


def last_lines(log: Path, count: int = 8) -> str:
    """The end of a log, for an error that a person reads."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-count:])
    except OSError as error:
        return f"(no log: {error})"


def _launch(child: Child) -> None:
    with child.log.open("ab") as log:
        try:
            child.process = subprocess.Popen(
                [
                    "setpriv",
                    "--pdeathsig",
                    "KILL",
                    "sh",
                    "-c",
                    _UNLESS_ORPHANED,
                    "sh",
                    str(os.getpid()),
                    *child.command,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **child.environment},
                cwd=child.working_folder,
                start_new_session=True,
            )
        except OSError as error:
            message = f"cannot start {child.name} ({child.command[0]}): {error}"
            raise ChildError(message) from error


def _ask(child: Child) -> None:
    child.start_again_at = None
    if child.pid is not None:
        _signal_group(child, signal.SIGCONT)
        _signal_group(child, signal.SIGTERM)


def _await_end(children: list[Child], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(child.pid is not None for child in children) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    for child in children:
        _signal_group(child, signal.SIGKILL)
        if child.process is not None:
            child.process.wait()


def _signal_group(child: Child, number: signal.Signals) -> None:
    if child.process is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, number)
