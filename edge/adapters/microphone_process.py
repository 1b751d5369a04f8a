"""A process of its own that opens a sound input through PortAudio and writes what it hears to its standard output.

    python -m edge.adapters.microphone_process DEVICE CHANNELS

Apart from the node, because PortAudio's calls must not run beside each other and may hang in a driver: a microphone
must never keep the horn from sounding. Ends when nobody reads any more, or when its input is gone; what is wrong goes
to the standard error output, in one line. Writes int16, 48 kHz, interleaved, in pieces of 0.1 s, and keeps nothing.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, Final

from edge.adapters.library_noise import quiet_sound_libraries

SAMPLE_RATE_HZ: Final = 48_000
DEVICE_FRAMES: Final = 960
"""What the device is asked for at a time; it sets how late its sound comes, which references of a horn hold."""
PIECE_FRAMES: Final = 4_800
"""Written at a time: 0.1 s, as the node takes it up. Each write wakes the node, which waits for a whole piece."""
DEFAULT: Final = "default"
"""The device that the system calls its own."""


def main(arguments: list[str]) -> int:
    """Listen until the reader is gone."""
    device, channels = arguments[0], int(arguments[1])
    out = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no sound
    try:
        quiet_sound_libraries()
        library: Any = importlib.import_module("pyaudio")
        session = library.PyAudio()
        stream = session.open(
            rate=SAMPLE_RATE_HZ,
            channels=channels,
            format=library.paInt16,
            input=True,
            input_device_index=_index(session, device, channels),
            frames_per_buffer=DEVICE_FRAMES,
        )
        while True:
            os.write(out, stream.read(PIECE_FRAMES, exception_on_overflow=False))
    except BrokenPipeError:
        return 0
    except (OSError, ValueError, ImportError, LookupError) as error:
        sys.stderr.write(f"sound input {device!r} with {channels} channels: {error}\n")
        return 1


def _index(session: Any, device: str, channels: int) -> int | None:  # noqa: ANN401 - PyAudio has no types
    """The input of that very name, else the only one whose name contains it; None is PortAudio's own choice."""
    if device == DEFAULT:
        return None
    names: dict[int, str] = {}
    for index in range(session.get_device_count()):
        try:
            information = session.get_device_info_by_index(index)
        except (OSError, UnicodeDecodeError):
            continue  # what cannot be described cannot be asked for by name
        if information["maxInputChannels"] >= channels:
            names[index] = str(information["name"])
    exact = [index for index, name in names.items() if name == device]
    partial = [index for index, name in names.items() if device in name]
    if exact or len(partial) == 1:
        return (exact or partial)[0]
    known = ", ".join(repr(name) for name in names.values()) or "none at all"
    raise LookupError(f"no such input, or several; found: {known}. Name one of them in hearing.device")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
