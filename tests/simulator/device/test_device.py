"""The bench on a node process: the whole sheet passes, and a device that is not there does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulator import cli
from simulator.demo.listener import read_pin_trace
from simulator.device.sheet import TITLES, Sheet, check, table_of

pytestmark = pytest.mark.alone

COMMAND = [sys.executable, "-m", "simulator.cli", "device", "--json"]


@pytest.mark.slow
def test_a_node_process_passes_every_check() -> None:
    done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=150, check=False)
    sheet = json.loads(done.stdout)
    assert [each["id"] for each in sheet["checks"] if not each["ok"]] == [], done.stdout
    assert {each["id"] for each in sheet["checks"]} == set(TITLES)
    assert done.returncode == 0


def test_a_sheet_with_a_failed_line_or_none_is_no_pass() -> None:
    good, bad = check("connects", ok=True, measured="1 s"), check("power", ok=False, measured="-")
    assert Sheet(target="x", checks=(good,)).ok
    assert not Sheet(target="x", checks=(good, bad)).ok
    assert not Sheet(target="x", checks=()).ok
    assert "không lắp" in str(table_of(Sheet(target="x", checks=(good, bad))).caption)


WIRED = """
import sys, time, pathlib
from gpiozero import Device
from simulator.device.relay_input import RelayInput
eye = RelayInput(22, pathlib.Path(sys.argv[1]))
pin = Device.pin_factory.pin(22)
for act in (pin.drive_low, pin.drive_high, pin.drive_low):
    time.sleep(0.02)  # longer than a bounce
    act()
eye.close()
"""
"""A bench's wire: gpiozero's own pins without hardware, chosen by its environment variable."""


def test_the_eye_on_the_relay_writes_what_the_contact_does(tmp_path: Path) -> None:
    trace = tmp_path / "pins.jsonl"
    environment = {**os.environ, "GPIOZERO_PIN_FACTORY": "mock"}
    subprocess.run([sys.executable, "-c", WIRED, str(trace)], env=environment, check=True, timeout=30)
    changes = read_pin_trace(trace)
    assert changes is not None
    assert [change.is_on for change in changes] == [True, False, True]


def test_a_real_device_needs_the_address_that_it_sees(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["device", "--target", "192.0.2.10"]) == 1
    assert "--listen ADDRESS is needed" in capsys.readouterr().err
