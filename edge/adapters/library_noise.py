"""Keeps the sound libraries' own chatter out of a technician's log.

Looking for devices, ALSA reports each one that a machine does not have, and JACK that it is not running: forty
lines on stderr of which none is a fault. Their error handlers are replaced by one that logs at debug level. What
PortAudio itself prints when a device fails goes on to stderr: it is rare, and then it matters.
"""

from __future__ import annotations

import ctypes
import logging
from typing import Any, Final

_LOG: Final = logging.getLogger(__name__)
_ALSA_HANDLER: Final = ctypes.CFUNCTYPE(
    None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p
)
_JACK_HANDLER: Final = ctypes.CFUNCTYPE(None, ctypes.c_char_p)


def _text(words: bytes | None) -> str:
    return (words or b"").decode(errors="replace").strip()


def _take_alsa(_file: bytes, _line: int, function: bytes, _error: int, words: bytes) -> None:
    _LOG.debug("ALSA %s: %s", _text(function), _text(words))


def _take_jack(words: bytes) -> None:
    _LOG.debug("JACK: %s", _text(words))


_TAKEN: Final[tuple[tuple[str, tuple[str, ...], Any], ...]] = (
    ("libasound.so.2", ("snd_lib_error_set_handler",), _ALSA_HANDLER(_take_alsa)),
    ("libjack.so.0", ("jack_set_error_function", "jack_set_info_function"), _JACK_HANDLER(_take_jack)),
)
"""Library, setters, handler; the handlers live as long as the module, for the libraries keep their addresses."""


def quiet_sound_libraries() -> None:
    """Send ALSA's and JACK's messages to our log; a library that is not there says nothing anyway."""
    for library, setters, handler in _TAKEN:
        try:
            loaded = ctypes.CDLL(library)
            for setter in setters:
                getattr(loaded, setter)(handler)
        except (OSError, AttributeError):
            _LOG.debug("%s is not here, or has no handler to replace", library)
