"""A node outlives any ALSA configuration: what PortAudio would abort on is a fault with a name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

OPEN = """
from edge.adapters.port_audio import PortAudioOutput
from edge.errors import SoundError
output = PortAudioOutput()
try:
    print("found", output.find("horn", None)[0])
except SoundError as error:
    print("refused", error)
output.close(is_broken=True)
"""
HORN = "pcm.horn { type null }\n"


def opened(configuration: Path) -> str:
    """What a process says that looks for the device `horn`; it must not die of it."""
    ended = subprocess.run(
        [sys.executable, "-c", OPEN],
        env={**os.environ, "ALSA_CONFIG_PATH": str(configuration), "JACK_NO_START_SERVER": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("text", [HORN, ""])
def test_a_configuration_without_a_default_is_refused_and_says_what_to_add(tmp_path: Path, text: str) -> None:
    configuration = tmp_path / "asound.conf"
    configuration.write_text(text)
    said = opened(configuration)
    assert said.startswith("refused")
    assert "pcm.default" in said


def test_a_configuration_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert opened(tmp_path / "absent.conf").startswith("refused")


@pytest.mark.parametrize(
    "default",
    [
        "pcm.default { type null }",
        'pcm.default "horn"',
        "pcm.default { type hw card 7 }",
        "pcm.dmix { type hw card 7 }",
    ],
)
def test_a_default_of_any_kind_will_do(tmp_path: Path, default: str) -> None:
    configuration = tmp_path / "asound.conf"
    configuration.write_text(f"{HORN}{default}\n")
    assert opened(configuration).strip() == "found horn"


def test_a_device_that_cannot_be_opened_spares_portaudio_too(tmp_path: Path) -> None:
    configuration = tmp_path / "asound.conf"
    configuration.write_text(f"{HORN}pcm.other {{ type hw card 7 }}\n")
    assert opened(configuration).strip() == "found horn"


def test_a_configuration_that_is_broken_is_portaudios_own_error(tmp_path: Path) -> None:
    configuration = tmp_path / "asound.conf"
    configuration.write_text("pcm.horn { type null\n")
    assert "PortAudio cannot be loaded" in opened(configuration)
