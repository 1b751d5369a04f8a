"""Whether PortAudio survives the ALSA configuration: 19.6 aborts the whole process where it knows no `default`.

Looking for devices, PortAudio sets those named `default` and `dmix` aside, and an assertion takes it for granted that
one of them, or a device that cannot be opened, was among them. A node must not die of a file in /etc, start again and
die again: it is to say so and go on silent. So the configuration is asked first, as PortAudio reads it; only where it
has neither name does a process of its own try what PortAudio makes of it. Leaves opening to `port_audio`.
"""

from __future__ import annotations

import ctypes
import logging
import subprocess
import sys
from typing import Final

_LOG: Final = logging.getLogger(__name__)
TRIAL_S_MAX: Final = 20.0
"""Python and PortAudio on a busy single-board computer; who needs longer hangs in a driver."""
_SET_ASIDE: Final = (b"pcm.default", b"pcm.dmix")
_TRIAL: Final = "import pyaudio; pyaudio.PyAudio().terminate()"


def why_port_audio_would_abort() -> str:
    """What is wrong with ALSA's configuration and what to do; empty when PortAudio may be begun. May block."""
    if _has_what_is_set_aside():
        return ""
    try:
        trial = subprocess.run(  # noqa: S603 - this very Python and a text of our own
            [sys.executable, "-c", _TRIAL],
            timeout=TRIAL_S_MAX,
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        outcome = str(error)
    else:
        if trial.returncode >= 0:
            return ""
        outcome = f"PortAudio aborts with signal {-trial.returncode}"
    return (
        f"ALSA's configuration has no device named default ({outcome}): add one to /etc/asound.conf, or to the file "
        "that ALSA_CONFIG_PATH names; pcm.default { type null } is enough"
    )


def _has_what_is_set_aside() -> bool:
    """Whether the configuration names a device that PortAudio sets aside; True where it cannot be read at all.

    What cannot be read PortAudio answers with an error, and so it does where there is no ALSA.
    """
    try:
        alsa = ctypes.CDLL("libasound.so.2")
        if alsa.snd_config_update() < 0:
            return True
        top = ctypes.c_void_p.in_dll(alsa, "snd_config")
    except (OSError, AttributeError, ValueError) as error:
        _LOG.debug("ALSA's configuration cannot be asked: %s", error)
        return True
    search = alsa.snd_config_search
    search.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p)]
    return any(search(top, name, ctypes.byref(ctypes.c_void_p())) >= 0 for name in _SET_ASIDE)
