"""Media files through libsndfile, decoded as they are read, fetched into the page cache ahead of it.

Takes what the agreement allows: mono at 48 kHz (the store holds Ogg Opus). The kernel is asked to read the
whole file ahead when it is opened, so that a read on the way to the card does not wait for an SD card. Every
failure is a ClipError.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge.errors import ClipError
from edge.player.ports import Samples
from protocol.units import SAMPLE_RATE_HZ

READ_AHEAD_BYTES_MAX: Final = 64 * 1024 * 1024
"""Largest media file that the agreement allows; more is not asked of the page cache."""


class SoundFileReader:
    """One open file; reads are cheap when consecutive, a leap costs a seek."""

    def __init__(self, path: Path) -> None:
        import soundfile  # noqa: PLC0415 - libsndfile takes 15 ms and 5 MB to load; a node that only relays needs none

        self._path: Final = path
        self._error: Final = soundfile.LibsndfileError
        self._file: Any = None
        try:
            _read_ahead(path)
            self._file = soundfile.SoundFile(str(path))
        except OSError as error:
            raise ClipError(f"{path} cannot be opened: {error.strerror}") from error
        except (self._error, TypeError, ValueError) as error:
            raise ClipError(f"{path} is no sound file that libsndfile knows: {error}") from error
        if self._file.samplerate != SAMPLE_RATE_HZ or self._file.channels != 1:
            found = f"{self._file.channels} channels at {self._file.samplerate} Hz"
            self.close()
            raise ClipError(f"{path} has {found}; media are mono at {SAMPLE_RATE_HZ} Hz")
        self._samples: Final = int(self._file.frames)
        self._position = 0

    @property
    def samples(self) -> int:
        """See `ClipReader.samples`."""
        return self._samples

    def read(self, first: int, into: Samples) -> None:
        """See `ClipReader.read`; a file that ends before its header says is filled up with silence."""
        if self._file is None:
            raise ClipError(f"{self._path} is closed")
        try:
            if first != self._position:
                self._file.seek(first)
            self._position = first + len(into)
            got = self._file.buffer_read_into(into, dtype="float32") if into.flags.c_contiguous else None
        except (self._error, OSError, RuntimeError, ValueError) as error:
            raise ClipError(f"{self._path} cannot be read at sample {first}: {error}") from error
        if got is None:
            raise ClipError(f"{self._path}: samples are read into contiguous memory only")
        if not np.isfinite(into[:got]).all():
            raise ClipError(f"{self._path} holds what is no sound at sample {first}")
        into[got:] = 0.0

    def close(self) -> None:
        """See `ClipReader.close`."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _read_ahead(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.posix_fadvise(descriptor, 0, READ_AHEAD_BYTES_MAX, os.POSIX_FADV_WILLNEED)
    finally:
        os.close(descriptor)
