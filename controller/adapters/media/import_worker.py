"""The process in which a recording is decoded: one job in, its progress and outcome out, as lines of JSON.

What people send is decoded by ffmpeg's hundred decoders, any of which may have a fault. Here such a fault ends this
process and no other, the work takes no time from the desk's own, and memory, processor time and the size of files are
bounded. Started by `import_process`; standard input is one `Job`, standard output lines of `Line`.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from pathlib import Path
from typing import Final

import msgspec

from controller.adapters.media_import import Imported, ImportSettings, take_in
from controller.errors import MediaError
from controller.media.refusal import Refusal

MEMORY_BYTES_MAX: Final = 4 * 1024**3
"""Of addresses, not of memory: numerical libraries reserve much and use little."""
PROCESSOR_S_MAX: Final = 1_800
"""An hour of sound takes one to two minutes; a slow board ten times as long."""
FILE_BYTES_MAX: Final = 512 * 1024**2
"""Two hours of Opus at the highest rate are 115 MB; and before a file is refused as too large for poles."""
NICE: Final = 10
"""Behind the desk and everything live."""

OOM_SCORE: Final = 500
"""Where memory runs out this process goes, not the controller that it inherits its score from."""
_OOM: Final = Path("/proc/self/oom_score_adj")


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be taken in."""

    source: str
    media_dir: str
    settings: ImportSettings


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far it is, or what came of it."""

    measured_ms: int | None = None
    imported: Imported | None = None
    refusal: Refusal | None = None


def main() -> int:
    """Do one job."""
    for limit, bound in (
        (resource.RLIMIT_AS, MEMORY_BYTES_MAX),
        (resource.RLIMIT_CPU, PROCESSOR_S_MAX),
        (resource.RLIMIT_FSIZE, FILE_BYTES_MAX),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (bound, bound))
    os.nice(NICE)
    with contextlib.suppress(OSError):
        _OOM.write_text(f"{OOM_SCORE}\n")
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    try:
        made = take_in(
            Path(job.source),
            media_dir=Path(job.media_dir),
            settings=job.settings,
            on_progress=lambda measured_ms: _say(Line(measured_ms=measured_ms)),
        )
    except MediaError as error:
        _say(Line(refusal=error.refusal))
    else:
        _say(Line(imported=made))
    return 0


def _say(line: Line) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
