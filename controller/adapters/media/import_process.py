"""Takes recordings in by a process of its own each (`import_worker`), so that a hostile file ends no controller.

Blocks while it works: call it in a thread. What was imported before is found without a process. Rules kept: the work
ends after WORK_S_MAX whatever the file does; `close` ends what is under way, and nothing is left running.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

import msgspec

from controller.adapters.media.import_worker import Job, Line
from controller.adapters.media_import import Imported, ImportSettings, OnProgress, recalled
from controller.errors import MediaError
from controller.media.refusal import Refusal, RefusalCode, refusal
from protocol.messages import MediaReference

log = logging.getLogger("controller.media")

WORK_S_MAX: Final = 3_600.0
"""Wall time: the processor's own bound ends what computes, this what waits."""
COMMAND: Final = (sys.executable, "-m", "controller.adapters.media.import_worker")
LINE_BYTES_MAX: Final = 64 * 1024
_ERROR_BYTES: Final = 600


class ImportProcess:
    """`ports.ImportMedia`, and the same with everything that was measured."""

    def __init__(
        self,
        *,
        media_dir: Path,
        settings: ImportSettings,
        command: Sequence[str] = COMMAND,
        work_s_max: float = WORK_S_MAX,
    ) -> None:
        self._media_dir = media_dir
        self._settings = settings
        self._command = tuple(command)
        self._work_s_max = work_s_max
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._is_closed = False

    def __call__(self, path: Path) -> MediaReference:
        """See `ports.ImportMedia`."""
        return self.take_in(path).reference

    def use_settings(self, settings: ImportSettings) -> None:
        """From the next recording on."""
        self._settings = settings

    def take_in(self, source: Path, on_progress: OnProgress | None = None) -> Imported:
        """Raises MediaError, whose text names the file and what to do."""
        settings = self._settings
        found = self._recalled(source, settings)
        if found is None:
            found = self._worked(
                Job(source=str(source), media_dir=str(self._media_dir), settings=settings), on_progress
            )
        if isinstance(found, Refusal):
            raise MediaError(f"{source}: {found}", found)
        return found

    def close(self) -> None:
        """End what is under way; it is done again another time."""
        with self._lock:
            self._is_closed = True
            for process in self._running:
                process.kill()

    def _recalled(self, source: Path, settings: ImportSettings) -> Imported | Refusal | None:
        try:
            with source.open("rb") as file:
                found = recalled(file, media_dir=self._media_dir, settings=settings)
        except OSError as error:
            return refusal(RefusalCode.UNREADABLE, found=error.strerror or error)
        return None if isinstance(found, Path) else found

    def _worked(self, job: Job, on_progress: OnProgress | None) -> Imported | Refusal:
        with tempfile.TemporaryFile() as words:  # a pipe that nobody reads would stop whoever complains at length
            try:
                process = self._started(words)
            except OSError as error:
                return refusal(RefusalCode.STORE_FAILED, found=f"{self._command[0]}: {error.strerror or error}")
            if process is None:
                return refusal(RefusalCode.TOO_HARD, found="bộ điều khiển đang dừng · the controller is stopping")
            outcome = self._ended(process, job, on_progress)
            if outcome is not None:
                return outcome
            words.seek(max(0, words.seek(0, os.SEEK_END) - _ERROR_BYTES))
            told = words.read(_ERROR_BYTES).decode(errors="replace").strip()
        log.error("a recording's decoder ended with %d: %s: %s", process.returncode, job.source, told)
        return refusal(RefusalCode.TOO_HARD, found=f"mã kết thúc / exit code {process.returncode}")

    def _ended(
        self, process: subprocess.Popen[bytes], job: Job, on_progress: OnProgress | None
    ) -> Imported | Refusal | None:
        ending = threading.Timer(self._work_s_max, process.kill)
        ending.daemon = True
        ending.start()
        try:
            return self._read(process, job, on_progress)
        finally:
            ending.cancel()
            with self._lock:
                self._running.discard(process)

    def _started(self, words: IO[bytes]) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._is_closed:
                return None
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words
            )
            self._running.add(process)
            return process

    def _read(
        self, process: subprocess.Popen[bytes], job: Job, on_progress: OnProgress | None
    ) -> Imported | Refusal | None:
        """What it said last that counts; None where it ended without."""
        if process.stdin is None or process.stdout is None:
            raise AssertionError("the worker was started with two pipes")
        outcome: Imported | Refusal | None = None
        with process.stdin, process.stdout:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(msgspec.json.encode(job))
                process.stdin.close()
            try:
                while line := process.stdout.readline(LINE_BYTES_MAX):
                    said = msgspec.json.decode(line, type=Line)
                    if said.measured_ms is not None and on_progress is not None:
                        on_progress(said.measured_ms)
                    outcome = said.imported or said.refusal or outcome
            except msgspec.DecodeError:
                process.kill()  # whoever took that process over says nothing that counts
                outcome = None
            process.wait()
        return outcome
