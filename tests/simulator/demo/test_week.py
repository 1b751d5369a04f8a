"""The demo's week alone: what it plans is valid, when it lies, and (lengthy) the whole of it by the real command."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import zoneinfo
from pathlib import Path

import msgspec
import numpy as np
import pytest

from controller.configuration.check import faults_of
from simulator.cli import main
from simulator.demo.clips import write_wav
from simulator.demo.site import TIME_ZONE
from simulator.demo.week import begin_of, scenario_of, week_settings

ZONE = zoneinfo.ZoneInfo(TIME_ZONE)
NOW = dt.datetime(2026, 11, 22, 19, 8, 30, tzinfo=ZONE)


@pytest.fixture
def media(tmp_path: Path) -> dict[str, Path]:
    files = {name: tmp_path / f"{name}.wav" for name in ("anthem", "news", "song")}
    for path in files.values():
        write_wav(path, np.zeros(48_000, np.int16))
    return files


def test_the_week_ends_within_the_last_hour() -> None:
    begins = begin_of(NOW)
    assert begins == dt.datetime(2026, 11, 15, 18, 0, tzinfo=ZONE)


def test_what_the_week_plans_is_what_a_controller_takes(media: dict[str, Path]) -> None:
    scenario = scenario_of(week_settings(media), media, begin_of(NOW))
    keyed = [
        msgspec.structs.replace(node, report_key=f"{number:064x}")
        for number, node in enumerate(scenario.config.nodes, start=1)
    ]
    assert faults_of(msgspec.structs.replace(scenario.config, nodes=tuple(keyed))) == []
    assert scenario.start == "2026-11-15 18:00"
    assert {node.id for node in scenario.config.nodes} == {"N001", "N002", "N003"}


def test_the_week_has_its_own_length(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["demo", "--week", "--json"])
    assert "--week takes neither" in capsys.readouterr().err


@pytest.mark.lengthy
@pytest.mark.alone
def test_a_week_alone_and_its_reports_by_the_real_commands(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "simulator.cli", "demo", "--week", "--dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "giờ yên lặng · quiet hours" in done.stdout
    assert "missed (power_off)" in done.stdout
    assert "Bắt đầu đúng giờ (lệch ≤ 1 giây) (started within 1 s)                  100,0 %" in done.stdout
    assert (tmp_path / "week" / "bao-cao-tuan.pdf").read_bytes().startswith(b"%PDF")
