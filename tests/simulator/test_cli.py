"""The command `loaxa-sim`: what it refuses, what it prints, and that a stopped demo leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simulator import cli

COMMAND = [sys.executable, "-m", "simulator.cli"]
UP_S_MAX = 90.0
DOWN_S_MAX = 40.0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["demo", "--for", "10"], "--for takes 45 to 600 seconds"),
        (["demo", "--json"], "--json needs --for"),
        (["demo", "--for", "x"], "invalid float value"),
        ([], "COMMAND"),
    ],
)
def test_a_wrong_use_says_what_is_right(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["demo", "--help"])
    text = capsys.readouterr().out
    assert all(option in text for option in ("--for", "--json", "--dir", "--keep"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.lengthy), signal.SIGTERM])
def test_a_stopped_demo_leaves_no_process_no_port_and_no_pipe(tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "a demo"
    with subprocess.Popen(
        [*COMMAND, "demo", "--dir", str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stderr is not None
        lines = []
        deadline = time.monotonic() + UP_S_MAX
        for line in demo.stderr:
            lines.append(line)
            if line.startswith("Ready") or time.monotonic() > deadline:
                break
        assert lines[-1].startswith("Ready"), "".join(lines)
        second = subprocess.run(
            [*COMMAND, "demo", "--for", "60", "--dir", str(folder)],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        demo.send_signal(number)
        demo.stderr.read()
        assert demo.wait(DOWN_S_MAX) == 0
    assert second.returncode == 1
    assert "another demo runs in" in second.stderr
    assert processes_that_name(str(folder)) == []
    assert not list(folder.glob("nodes/*/sound.pcm"))


@pytest.mark.slow
@pytest.mark.alone
def test_the_main_job_is_good_and_prints_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "demo", "--for", "45", "--json", "--dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    (line,) = done.stdout.splitlines()
    verdict = json.loads(line)
    assert verdict["reasons"] == []
    assert done.returncode == 0
    assert {found["node"] for found in verdict["nodes"]} == {"N001", "N002", "N003"}
    assert all(found["first_sound_ms"]["emergency"] < 900 for found in verdict["nodes"])
    assert verdict["spread_ms"]["p50"] < 5


def processes_that_name(text: str) -> list[str]:
    """Command lines in which a text stands."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if text in command:
                found.append(command)
    return found


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "bad_hours"], "did you mean bad_hour?"),
        (["check", "xyz"], "`loaxa-sim scenarios` lists the library"),
        (["run", "bad_hour", "--junit", "nowhere/j.xml"], "there is no folder nowhere; make it"),
        (["run", "bad_hour", "--html", "."], "is a folder: name a file in it"),
        (["shrink", "bad_hour", "--seed", "1", "--out", "nowhere/s.yaml"], "there is no folder nowhere; make it"),
        (["run", "--log", "x.log"], "name one, and leave --seeds out"),
        (["replay", "pyproject.toml"], "give a flight-*.lxf"),
    ],
)
def test_what_cannot_be_done_is_told_at_once_and_what_to_do(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 1
    told = capsys.readouterr().err
    assert says in told
    assert len(told.splitlines()) == 1
