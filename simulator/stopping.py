"""How a command is stopped: Ctrl-C, SIGTERM or a closed terminal becomes one exception in the main thread.

What a command does about it, and with what exit status it ends, is its own affair. The first signal counts; later ones
are taken for impatience and wait for the stopping, which has a bound.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Final

STATUS_INTERRUPTED: Final = 130
"""The exit status of what was stopped before it had a verdict, as shells give it."""
_NUMBERS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopAsked(BaseException):
    """Ctrl-C, SIGTERM or a closed terminal."""


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """The first signal raises StopAsked in the main thread."""
    is_asked = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal is_asked
        if not is_asked:
            is_asked = True
            raise StopAsked

    before = {number: signal.signal(number, stop) for number in _NUMBERS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def stopping_waits() -> Iterator[None]:
    """A signal that comes now is heard afterwards: for calls into libraries that an exception would leave half done."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _NUMBERS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def stopped_by_its_parent() -> None:
    """For a worker process: a terminal's signals are its parent's affair, which then ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _NUMBERS)
