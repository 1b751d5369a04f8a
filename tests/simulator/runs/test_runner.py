"""Runs replay themselves, shrink, and are told in lines, XML and pages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from simulator.cli import main
from simulator.evidence.report import junit, timeline
from simulator.evidence.report_html import page
from simulator.runs import runner
from simulator.runs.runner import Performance, perform, run_many, scenario_yaml
from simulator.runs.scenario import load_scenario, parse_scenario, with_plan
from tests.support.faulty_agents import Sulking
from tests.support.waiting import until_blocking

FAILING = """
title: Nobody can hear this
title_vi: Không ai nghe được
start: 2026-03-04 05:00
minutes: 6
settle_s: 60
commune: {poles: 2, villages: 1}
expect:
  - {that: silent, at: "05:00", until: "05:03"}
  - {that: sounds, at: "05:02", source: "media:nothing", poles: [N0002]}
"""
COUNT = 12
ROOT = Path(__file__).parents[3]


def workers_of(parent: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for tasks in Path(f"/proc/{parent}/task").glob("*/children"):
        found += [int(each) for each in tasks.read_text(encoding="ascii").split()]
    return found


@pytest.fixture(scope="module")
def failed() -> Performance:
    return perform("failing", parse_scenario(FAILING, name="failing.yaml"), seed=4)


def test_a_failing_run_says_in_one_line_what_when_where_and_how_to_see_it_again(failed: Performance) -> None:
    (violation,) = failed.verdict.violations
    line = failed.verdict.line(violation)
    assert "\n" not in line
    for part in ("failing", "seed 4", "expect", "2026-03-04 05:02:00", "N0002", "[loaxa-sim run failing --seed 4]"):
        assert part in line


def test_reports_name_every_pole_and_finding(failed: Performance) -> None:
    for text in (timeline(failed), page(failed)):
        assert "Không ai nghe được" in text
        assert "Nobody can hear this" in text
        assert "media:nothing" in text
        for pole in failed.evidence.poles:
            assert pole in text
    assert "http" not in page(failed)


def test_junit_counts_what_failed(failed: Performance) -> None:
    root = ET.fromstring(junit([failed.verdict]))  # noqa: S314 - our own text
    suite = root.find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("type") == "expect"


HERE: dict[str, str] = {"PYTHONHASHSEED": "0", "TZ": "UTC"}
ANOTHER_MACHINE: dict[str, str] = {
    "PYTHONHASHSEED": "4242",
    "TZ": "America/St_Johns",
    "LC_ALL": "C",
    # A processor without wide vectors and fused multiplication rounds where it is not told to.
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX2_Usable,-FMA_Usable",
    "OPENBLAS_CORETYPE": "Nehalem",
    "OPENBLAS_NUM_THREADS": "1",
}


@pytest.mark.parametrize("name", ["bad_hour", "slow_chain", "neighbours"])
def test_the_same_seed_is_the_same_run_on_another_machine(name: str, tmp_path: Path) -> None:
    def digest(machine: dict[str, str], folder: Path) -> str:
        command = [sys.executable, "-W", "ignore", "-m", "simulator.cli", "run", name, "--seed", "7"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **machine}
        run = subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120, check=True
        )
        return run.stdout.splitlines()[-1]

    first = digest(HERE, ROOT)
    assert first.startswith("log digest ")
    assert first == digest(ANOTHER_MACHINE, tmp_path)


def test_another_seed_is_another_run() -> None:
    scenario = load_scenario("bad_hour")[1]
    assert perform("bad_hour", scenario, seed=1).verdict.digest != perform("bad_hour", scenario, seed=2).verdict.digest


def test_several_processes_find_what_one_finds() -> None:
    work = [("drill_and_real", 1), ("plain_password", 2)]
    one, two = ({each.name: each.digest for each in run_many(work, jobs=jobs)} for jobs in (1, 2))
    assert one == two


def test_a_plan_shrinks_to_the_fault_that_matters() -> None:
    scenario = load_scenario("bad_hour")[1]

    def fails(seed: int) -> bool:
        found = perform("bad_hour", scenario, seed=seed, agents={"N0002": Sulking}).verdict.violations
        return any(each.checker == "recovery" for each in found)

    seed = next(seed for seed in range(1, COUNT) if fails(seed))
    shrunk, verdict = runner.shrink_run("bad_hour", scenario, seed=seed, agents={"N0002": Sulking})
    assert shrunk.is_minimal
    assert len(shrunk.plan.faults) == 1
    replayed = parse_scenario(scenario_yaml(with_plan(scenario, shrunk.plan)), name="small.yaml")
    again = perform("bad_hour", replayed, seed=seed, agents={"N0002": Sulking}).verdict
    assert again.digest == verdict.digest


def test_what_does_not_fail_cannot_be_shrunk() -> None:
    with pytest.raises(ValueError, match="does not fail"):
        runner.shrink_run("plain_password", load_scenario("plain_password")[1], seed=1)


def test_the_command_writes_its_reports_and_says_how_it_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = tmp_path / "failing.yaml"
    failing.write_text(FAILING, encoding="utf-8")
    files = [f"--{kind}={tmp_path / kind}" for kind in ("junit", "html", "log")]
    assert main(["run", str(failing), *files, "--timeline"]) == 1
    assert "media:nothing" in capsys.readouterr().out
    for kind in ("junit", "html", "log"):
        assert (tmp_path / kind).stat().st_size
    assert main(["run", "plain_password", "drill_and_real", "--seeds", "2"]) == 0
    assert "4 runs, 0 with findings" in capsys.readouterr().out


def test_a_run_that_is_stopped_tells_what_it_has_seen(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "simulator.cli", "run", "bad_hour", "--seeds", "1000000", "--jobs", "2"]
    junit = tmp_path / "junit.xml"
    with subprocess.Popen([*command, "--junit", str(junit)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        until_blocking(lambda: len(workers_of(run.pid)) == 2, seconds=60)
        workers = workers_of(run.pid)
        run.send_signal(signal.SIGINT)
        out, told = run.communicate(timeout=60)
    assert run.returncode == 130, told
    assert b"of 1000000 runs have ended" in told
    assert b"0 with findings" in out
    assert junit.exists()
    assert not [each for each in workers if Path(f"/proc/{each}").exists()]


def test_what_is_broken_for_good_is_told_once_and_not_a_thousand_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = tmp_path / "failing.yaml"
    failing.write_text(FAILING.replace("minutes: 6", "minutes: 3"), encoding="utf-8")
    assert main(["run", str(failing), "--seeds", "101", "--jobs", "2"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert sum("media:nothing" in line for line in told) == 100
    assert "and 1 more findings" in told[100]
    assert "FOUND by seeds 1, 2, 3" in told[101]


def test_check_and_scenarios_need_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(FAILING + "colour: red\n", encoding="utf-8")
    assert main(["check", "flood"]) == 0
    assert main(["check", str(broken)]) == 1
    assert "unknown key colour" in capsys.readouterr().err
    assert main(["scenarios"]) == 0
    assert "flood" in capsys.readouterr().out
