"""PortAudio through PyAudio: finds a device by name and opens it with a callback.

All calls may block (a FIFO without a reader, a hanging driver), so they belong on a thread of their own; the
stream's callback comes on PortAudio's. Every failure is a SoundError that says what to do.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from edge.adapters.alsa_default import why_port_audio_would_abort
from edge.adapters.library_noise import quiet_sound_libraries
from edge.errors import SoundError
from edge.player.ports import CHANNELS
from protocol.units import SAMPLE_RATE_HZ

DEVICES_SHOWN_MAX: Final = 12
"""Names in an error's text; a desktop has thirty, a node two."""

Callback = Callable[[None, int, dict[str, float], int], tuple[bytes, int]]
"""PyAudio's stream callback: no input, frames, times, flags -> int16 bytes, whether to go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedDevice:
    """What was opened: its name, whether it is the fallback, and PortAudio's figure for its output latency."""

    name: str
    is_fallback: bool
    latency_s: float


class PortAudioOutput:
    """One PortAudio library session with at most one open stream."""

    def __init__(self) -> None:
        self._library: Any = None
        self._session: Any = None
        self._stream: Any = None
        self._must_look_again = False

    def open(self, *, device: str | None, fallback: str | None, block_frames: int, callback: Callback) -> OpenedDevice:
        """Open `device` (None: PortAudio's default), or else `fallback`, and let it pull. Raises SoundError."""
        if self._session is None:
            self._begin()
        index, name, is_fallback = self._find(device, fallback)
        self._must_look_again = is_fallback
        try:
            self._stream = self._session.open(
                rate=SAMPLE_RATE_HZ,
                channels=CHANNELS,
                format=self._library.paInt16,
                output=True,
                output_device_index=index,
                frames_per_buffer=block_frames,
                stream_callback=callback,
            )
            latency_s = float(self._stream.get_output_latency())
        except (OSError, ValueError) as error:
            raise SoundError(f"sound device {name!r} cannot be opened: {error}; is it in use?") from error
        return OpenedDevice(name=name, is_fallback=is_fallback, latency_s=latency_s)

    def find(self, device: str | None, fallback: str | None) -> tuple[str, bool]:
        """The name of the device that `open` would take, and whether it is the fallback. Raises SoundError."""
        if self._session is None:
            self._begin()
        _, name, is_fallback = self._find(device, fallback)
        return name, is_fallback

    @property
    def is_ended(self) -> bool:
        """Whether PortAudio's thread has given the open stream up, as it does when its device is gone; never blocks."""
        stream = self._stream
        try:
            return stream is not None and not stream.is_active()
        except OSError:
            return True

    def close(self, *, is_broken: bool) -> None:
        """Close the stream; after a failure also the session, so that devices are looked for anew."""
        stream, self._stream = self._stream, None
        if stream is not None:
            try:
                stream.close()
            except OSError:
                is_broken = True
        if self._session is not None and (is_broken or self._must_look_again):
            self._session.terminate()
            self._session = None

    def _begin(self) -> None:
        quiet_sound_libraries()
        refusal = why_port_audio_would_abort()
        if refusal:
            raise SoundError(refusal)
        try:
            self._library = importlib.import_module("pyaudio")
            self._session = self._library.PyAudio()
        except (ImportError, OSError) as error:
            raise SoundError(f"PortAudio cannot be loaded: {error}; install libportaudio2 and PyAudio") from error

    def _find(self, device: str | None, fallback: str | None) -> tuple[int, str, bool]:
        names = self._output_names()
        wanted = device if device is not None else self._default_name()
        index = _match(names, wanted)
        if index is not None:
            return index, names[index], False
        index = _match(names, fallback)
        if index is not None:
            return index, names[index], True
        known = ", ".join(repr(name) for name in list(names.values())[:DEVICES_SHOWN_MAX]) or "none at all"
        asked = " or ".join(repr(name) for name in (device, fallback) if name is not None) or "a default device"
        raise SoundError(f"no sound device {asked}; found: {known}. Name one of them in sound.device")

    def _output_names(self) -> dict[int, str]:
        found = {}
        for index in range(self._session.get_device_count()):
            try:
                information = self._session.get_device_info_by_index(index)
            except (OSError, UnicodeDecodeError):
                continue  # a device that cannot be described cannot be asked for by name
            if information["maxOutputChannels"] >= CHANNELS:
                found[index] = str(information["name"])
        return found

    def _default_name(self) -> str | None:
        try:
            return str(self._session.get_default_output_device_info()["name"])
        except OSError:
            return None


def _match(names: dict[int, str], wanted: str | None) -> int | None:
    """The device of that very name, else the only one whose name contains it."""
    if not wanted:
        return None
    exact = [index for index, name in names.items() if name == wanted]
    partial = [index for index, name in names.items() if wanted in name]
    return exact[0] if exact else partial[0] if len(partial) == 1 else None
