"""What `loaxa-edge check` and `show` say of the pole's ears: whether each sensor gives anything, and the reference.

`check` opens the input for half a second, beside a running node if need be; it keeps nothing of what it hears.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import numpy as np

from edge.adapters.current_meter import CurrentMeter
from edge.adapters.ear import sensors_of
from edge.config import HearingConfig
from edge.errors import HearingError
from edge.events import Restored
from edge.player.level import dbfs_of_power
from edge.proof import verdict
from edge.proof.self_test import REFERENCE
from protocol.messages import HeardBy

LISTEN_S_MAX: Final = 8.0
"""A sound server that is started on demand takes two seconds."""
LISTEN_FRAMES: Final = 24_000
"""Half a second."""


def check_lines(config: HearingConfig) -> list[tuple[bool, str]]:
    """Whether each sensor of a configuration gives anything, in words; nothing without sensors."""
    lines = [_input(config)] if config.device is not None else []
    if config.current is not None:
        try:
            amperes = CurrentMeter(Path(config.current), amperes_per_volt=config.amperes_per_volt).read()
        except HearingError as error:
            lines.append((False, f"hearing: {error}"))
        else:
            lines.append((True, f"hearing: the amplifier takes {amperes:.3f} A now"))
    return lines


def show_lines(config: HearingConfig, restored: Restored) -> list[str]:
    """What listens, and the reference of the self-test."""
    sensors = sensors_of(config)
    if not sensors:
        return ["ears: none; what people hear is not on record (hearing in docs/configuration.md)"]
    names = ", ".join(each.value for each in sensors)
    reference = verdict.decode(restored.note(REFERENCE) or None)
    if reference is None:
        return [f"ears: {names}; no reference yet: loaxa-edge self-test --take-reference when all horns sound"]
    heard = [f"{each.by.value} {each.level_dbfs:.1f} dBFS after {each.delay_ms:.0f} ms" for each in reference.sensors]
    if HeardBy.CURRENT in sensors and reference.rise_amperes is not None:
        heard.append(f"current {reference.rise_amperes:.2f} A")
    return [f"ears: {names}; reference: {', '.join(heard)}"]


def _input(config: HearingConfig) -> tuple[bool, str]:
    command = [sys.executable, "-m", "edge.adapters.microphone_process", str(config.device), str(len(config.channels))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # noqa: S603 - our own module, no shell
        ends = threading.Timer(LISTEN_S_MAX, process.kill)
        ends.start()
        output, errors = process.stdout, process.stderr
        wanted = LISTEN_FRAMES * len(config.channels) * 2
        heard = b"" if output is None else output.read(wanted)
        ends.cancel()
        process.kill()
        detail = "" if errors is None else errors.read(400).decode("utf-8", "replace").strip()
    if len(heard) < wanted:
        return (
            False,
            f"hearing: {detail or f'{config.device!r} gave no sound in {LISTEN_S_MAX:.0f} s; see hearing.device'}",
        )
    frames = np.frombuffer(heard, np.int16).reshape(-1, len(config.channels)) / 32_768.0
    levels = [
        f"{channel} {dbfs_of_power(float(np.var(frames[:, place]))):.0f} dBFS"
        for place, channel in enumerate(config.channels)
    ]
    return True, f"hearing: {', '.join(levels)} now"
