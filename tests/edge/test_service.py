"""The node's service: what must hold of it on a pole, whatever else is changed in it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "systemd" / "loaxa-edge.service"


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        key, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def test_the_amplifier_is_switched_off_whatever_ended_the_process() -> None:
    assert settings()["ExecStopPost"] == ["/opt/loaxa/bin/loaxa-edge silence /etc/loaxa/edge.yaml"]


def test_a_hanging_process_is_ended_and_a_dead_one_comes_back_always() -> None:
    found = settings()
    assert found["Type"] == ["notify"]
    assert int(found["WatchdogSec"][0]) <= 30
    assert found["Restart"] == ["always"]
    assert found["StartLimitIntervalSec"] == ["0"]


def test_a_node_waits_for_no_network() -> None:
    found = settings()
    assert not any("network" in value for key in ("After", "Wants", "Requires") for value in found.get(key, []))


def test_the_node_is_not_root_and_reaches_only_sound_and_pins() -> None:
    found = settings()
    assert found["User"] == ["loaxa"]
    assert found["DevicePolicy"] == ["closed"]
    assert found["DeviceAllow"] == ["char-alsa rw", "char-gpiochip rw"]
    assert found["NoNewPrivileges"] == ["yes"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")
def test_systemd_understands_it() -> None:
    told = subprocess.run(["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True, check=False)
    complaints = [line for line in told.stderr.splitlines() if "loaxa-edge" in line and "not executable" not in line]
    assert complaints == []
