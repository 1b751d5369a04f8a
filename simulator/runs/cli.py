"""The verbs of `loaxa-sim` on simulated provinces: run, shrink, check, scenarios.

`add_verbs` says what they take; what is heavy is imported by the verb that needs it. Findings go to standard output,
progress to standard error; the exit status is 0 when nothing was found, 1 when something was, 2 for bad usage, 130 when
it was stopped with nothing found so far.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from simulator.stopping import STATUS_INTERRUPTED, StopAsked

if TYPE_CHECKING:
    from simulator.runs.runner import Performance, Verdict
    from simulator.runs.scenario import Scenario

STATUS_GOOD: Final = 0
STATUS_FAILED: Final = 1
SEEDS_MAX: Final = 1_000_000
JOBS_MAX: Final = 64
FINDINGS_SHOWN: Final = 100
"""Lines: what is broken for good is found in every run."""
LIBRARY: Final = "all"
Commands = Any
"""What `argparse` gives for adding verbs; its class is private."""


def add_verbs(commands: Commands) -> None:
    """Add the verbs; each leaves itself in the options as `verb`."""
    run = commands.add_parser(
        "run",
        help="run scenarios of a simulated province",
        description="Runs scenarios (names of the library, files; none or `all`: the whole library) and has every "
        "checker judge. The same seed gives the same run. A finding is one line with the command that shows it again. "
        "Scenarios by name have all the seeds; over the whole library they are dealt out: cheap scenarios and those "
        "that draw faults have most, each has some.",
    )
    run.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="name, file, or all (all)")
    run.add_argument("--seed", type=_whole(0, 2**63), default=1, metavar="N", help="first seed (1)")
    run.add_argument("--seeds", type=_whole(1, SEEDS_MAX), default=1, metavar="N", help="how many seeds (1)")
    run.add_argument("--each", action="store_true", help="the whole library with all the seeds for each scenario")
    run.add_argument(
        "--jobs", type=_whole(1, JOBS_MAX), default=_cores(), metavar="N", help="processes at a time (one a core)"
    )
    run.add_argument("--junit", type=Path, metavar="FILE", help="write the verdicts as JUnit XML")
    run.add_argument("--html", type=Path, metavar="FILE", help="write the first failing run, or the first, as a page")
    run.add_argument("--log", type=Path, metavar="FILE", help="write what happened, line by line (one run only)")
    run.add_argument("--timeline", action="store_true", help="print what each pole sounded (one run only)")
    run.set_defaults(verb=_run)
    smaller = commands.add_parser(
        "shrink", help="find the smallest fault plan that still fails", description="Writes a scenario that replays it."
    )
    smaller.add_argument("scenario", metavar="SCENARIO")
    smaller.add_argument("--seed", type=_whole(0, 2**63), required=True, metavar="N")
    smaller.add_argument("--out", type=Path, metavar="FILE", help="where to (SCENARIO-seedN.yaml)")
    smaller.set_defaults(verb=_shrink)
    listed = commands.add_parser("scenarios", help="list the scenarios of the library", description="One line each.")
    listed.set_defaults(verb=_scenarios)
    check = commands.add_parser(
        "check", help="check a scenario's file without running it", description="Names the first fault with its path."
    )
    check.add_argument("scenarios", nargs="+", metavar="SCENARIO")
    check.set_defaults(verb=_check)


def _run(options: argparse.Namespace) -> int:
    from simulator.runs.scenario import ScenarioError, library, load_scenario  # noqa: PLC0415 - heavy

    trouble = next(filter(None, map(_unwritable, (options.junit, options.html, options.log))), None)
    if trouble is not None:
        return _refuse(trouble)
    asked: list[str] = options.scenarios or [LIBRARY]
    names = dict.fromkeys(name for each in asked for name in (library() if each == LIBRARY else (each,)))
    try:
        loaded = {name: load_scenario(name)[1] for name in names}
    except ScenarioError as error:
        return _refuse(error)
    is_single = len(loaded) == 1 and options.seeds == 1
    if (options.log or options.timeline) and not is_single:
        return _refuse("--log and --timeline are for one scenario and one seed: name one, and leave --seeds out")
    if is_single:
        ((name, scenario),) = loaded.items()
        return _run_single(options, name, scenario)
    return _run_many(options, loaded, is_dealt=LIBRARY in asked and not options.each)


def _run_many(options: argparse.Namespace, loaded: dict[str, Scenario], *, is_dealt: bool) -> int:
    """What was stopped tells what it has seen so far."""
    from simulator.runs.dealing import cost_ms, deal, in_turn  # noqa: PLC0415 - heavy
    from simulator.runs.progress import Progress  # noqa: PLC0415 - heavy
    from simulator.runs.runner import RunnerError, perform, run_many  # noqa: PLC0415 - heavy

    counts = deal(loaded, options.seeds) if is_dealt else dict.fromkeys(loaded, options.seeds)
    work = in_turn(counts, first_seed=options.seed)
    costs = {name: cost_ms(scenario) for name, scenario in loaded.items()}
    progress = Progress(len(work), sum(costs[name] for name, _ in work), to=sys.stderr)
    verdicts: list[Verdict] = []
    status = STATUS_GOOD
    try:
        for verdict in run_many(work, jobs=options.jobs):
            verdicts.append(verdict)
            progress.show(cost=costs[verdict.name], is_good=verdict.is_good)
    except StopAsked:
        status = STATUS_INTERRUPTED
        progress.end()
        _say(f"stopped: {len(verdicts)} of {len(work)} runs have ended")
    except RunnerError as error:
        status = STATUS_FAILED
        progress.end()
        _say(f"loaxa-sim: {error}; {len(verdicts)} of {len(work)} runs have ended")
    progress.end()
    verdicts.sort(key=lambda each: (each.name, each.seed))
    if options.html and verdicts:
        shown = next((each for each in verdicts if not each.is_good), verdicts[0])
        _write_html(options.html, perform(shown.name, loaded[shown.name], seed=shown.seed))
    return _finish(options, verdicts) or status


def _run_single(options: argparse.Namespace, name: str, scenario: Scenario) -> int:
    from simulator.collector import collect_rarely  # noqa: PLC0415 - as the others, beside what it is for
    from simulator.evidence.report import timeline  # noqa: PLC0415 - heavy
    from simulator.runs.runner import perform  # noqa: PLC0415 - heavy

    collect_rarely()
    try:
        sink = None if options.log is None else options.log.open("wb")
    except OSError as error:
        return _refuse(error)
    performance = perform(name, scenario, seed=options.seed, sink=sink)
    performance.province.world.log.flush()
    if sink is not None:
        sink.close()
    if options.timeline:
        sys.stdout.write(timeline(performance))
    if options.html:
        _write_html(options.html, performance)
    return _finish(options, [performance.verdict])


def _finish(options: argparse.Namespace, verdicts: Sequence[Verdict]) -> int:
    from simulator.evidence.report import junit, summary  # noqa: PLC0415 - heavy

    if options.junit:
        options.junit.write_text(junit(verdicts), encoding="utf-8")
    lines = [verdict.line(violation) for verdict in verdicts for violation in verdict.violations]
    sys.stdout.writelines(line + "\n" for line in lines[:FINDINGS_SHOWN])
    if len(lines) > FINDINGS_SHOWN:
        sys.stdout.write(f"and {len(lines) - FINDINGS_SHOWN} more findings: --junit FILE holds all of them\n")
    sys.stdout.write(summary(verdicts))
    if len(verdicts) == 1:
        sys.stdout.write(f"log digest {verdicts[0].digest}\n")
    return status_of(verdicts)


def status_of(verdicts: Sequence[Verdict]) -> int:
    """The exit status that runs call for."""
    return STATUS_GOOD if all(verdict.is_good for verdict in verdicts) else STATUS_FAILED


def _shrink(options: argparse.Namespace) -> int:
    from simulator.runs.runner import scenario_yaml, shrink_run  # noqa: PLC0415 - heavy
    from simulator.runs.scenario import ScenarioError, load_scenario, with_plan  # noqa: PLC0415 - heavy

    trouble = None if options.out is None else _unwritable(options.out)
    if trouble is not None:
        return _refuse(trouble)
    try:
        name, scenario = load_scenario(options.scenario)
        shrunk, verdict = shrink_run(name, scenario, seed=options.seed, say=_say)
    except (ScenarioError, ValueError) as error:
        return _refuse(error)
    out: Path = options.out or Path(f"{name}-seed{options.seed}.yaml")
    out.write_text(scenario_yaml(with_plan(scenario, shrunk.plan)), encoding="utf-8")
    whole = "the smallest" if shrunk.is_minimal else "the smallest found in the runs that a search may take"
    sys.stdout.write(f"{len(shrunk.plan.faults)} faults, {whole}, after {shrunk.runs} runs; written to {out}\n")
    for fault in shrunk.plan.faults:
        sys.stdout.write(f"  {fault.at_ms / 60_000:8.2f} min  {fault.kind} {fault.target} {fault.parameters}\n")
    for violation in verdict.violations:
        sys.stdout.write(verdict.line(violation).split(" [")[0] + f" [loaxa-sim run {out} --seed {options.seed}]\n")
    return STATUS_FAILED


def _scenarios(_: argparse.Namespace) -> int:
    from simulator.runs.scenario import library, load_scenario  # noqa: PLC0415 - heavy

    for name in library():
        scenario = load_scenario(name)[1]
        sys.stdout.write(f"{name:<20} {scenario.title_vi} / {scenario.title}\n")
    return STATUS_GOOD


def _check(options: argparse.Namespace) -> int:
    from simulator.commune import Province, ProvinceError  # noqa: PLC0415 - heavy
    from simulator.runs.scenario import ScenarioError, load_scenario, province_of  # noqa: PLC0415 - heavy

    status = STATUS_GOOD
    for asked in options.scenarios:
        try:
            name, scenario = load_scenario(asked)
            Province(province_of(scenario, seed=1), seed=1)
        except (ScenarioError, ProvinceError) as error:
            status = _refuse(error)
        else:
            sys.stdout.write(f"{name}: good, {scenario.minutes:g} minutes, {len(scenario.steps)} steps\n")
    return status


def _write_html(path: Path, performance: Performance) -> None:
    from simulator.evidence.report_html import page  # noqa: PLC0415 - heavy

    path.write_text(page(performance), encoding="utf-8")
    _say(f"report: {path}")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _refuse(text: object) -> int:
    _say(f"loaxa-sim: {text}")
    return STATUS_FAILED


def _unwritable(path: Path | None) -> str | None:
    """Why nothing can be written there, told before a run of many minutes and not after it; None where it can."""
    if path is None:
        return None
    if path.is_dir():
        return f"{path} is a folder: name a file in it"
    if not path.parent.is_dir():
        return f"{path} cannot be written: there is no folder {path.parent}; make it, or name another"
    place = path if path.exists() else path.parent
    return None if os.access(place, os.W_OK) else f"{path} cannot be written: this account may not; name another place"


def _cores() -> int:
    """What this process may use of the machine."""
    return min(JOBS_MAX, len(os.sched_getaffinity(0)))


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdigit() or not low <= int(text) <= high:
            message = f"{text!r} is no whole number from {low} to {high}"
            raise argparse.ArgumentTypeError(message)
        return int(text)

    return parse
