"""Runs scenarios: one seed, many seeds on several cores, and the search for the smallest plan that still fails.

A run builds the province of its seed, lets the steps and faults happen, goes on until the last of them has settled, and
has every checker and expectation judge. Nothing but scenario and seed decides what comes out; so a failure is told
with the command that shows it again.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
import time
import zoneinfo
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import BinaryIO, Final

import msgspec

from edge.agent import Agent
from protocol.clock_filter import ClockFilter
from protocol.units import NS_PER_S
from simulator.checkers.evidence import Evidence, Violation
from simulator.checkers.table import CHECKERS
from simulator.commune import Province
from simulator.evidence.witness import Witness
from simulator.faults.faults import Fault, FaultBounds, FaultPlan, generate_faults
from simulator.runs.expectations import Run, unmet
from simulator.runs.scenario import Scenario, load_scenario, province_of, with_plan
from simulator.runs.shrink import Shrunk, shrink
from simulator.runs.stage import Stage
from simulator.services.database import SimulatedDatabase
from simulator.stopping import stopped_by_its_parent, stopping_waits

_MS_PER_MINUTE: Final = 60_000
_AFTER_NS: Final = 10 * NS_PER_S
"""A run lasts this much longer than the last trouble."""
AHEAD: Final = 4
"""Runs for each worker that wait for it, so that none is idle and a million are not in memory at once."""
CRASH: Final = "crash"
"""The name under which an exception of the product counts as a violation."""


class RunnerError(Exception):
    """Runs could not be carried out; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One run of one scenario; small, so that it travels between processes. `took_s` is processor time."""

    name: str
    seed: int
    violations: tuple[Violation, ...]
    digest: str
    simulated_s: float
    took_s: float
    events: int
    plan: FaultPlan
    time_zone: str

    @property
    def is_good(self) -> bool:
        """Whether nothing was found."""
        return not self.violations

    def line(self, violation: Violation) -> str:
        """One finding in one line with the command that replays it."""
        return (
            f"{self.name} seed {self.seed}: {violation.checker} at {clock_of(violation.at_ns, self.time_zone)} "
            f"{violation.pole or 'everybody'}: {violation.evidence} "
            f"[loaxa-sim run {self.name} --seed {self.seed}]"
        )


@dataclass(slots=True, kw_only=True)
class Performance:
    """A run with everything that it left behind, for reports and tests."""

    verdict: Verdict
    scenario: Scenario
    province: Province
    evidence: Evidence
    stage: Stage = field(repr=False)


def clock_of(true_ns: int, time_zone: str) -> str:
    """The wall clock of the place at a true instant, to the tenth of a second."""
    moment = dt.datetime.fromtimestamp(true_ns // NS_PER_S, tz=zoneinfo.ZoneInfo(time_zone))
    return f"{moment:%Y-%m-%d %H:%M:%S}.{true_ns % NS_PER_S // 100_000_000}"


def perform(
    name: str,
    scenario: Scenario,
    *,
    seed: int,
    sink: BinaryIO | None = None,
    agents: Mapping[str, type[Agent]] | None = None,
    filters: Mapping[str, type[ClockFilter]] | None = None,
    new_database: Callable[[], SimulatedDatabase] = SimulatedDatabase,
) -> Performance:
    """Run one scenario with one seed; what the product raises ends the run and is a finding.

    `agents` and `filters` plant another agent or clock filter in the poles that they name, which is how checkers are
    tried; `new_database` makes what the controller keeps everything in.
    """
    began_s = time.process_time()
    settings = province_of(scenario, seed=seed)
    poles = dict(settings.poles)
    for node, agent in (agents or {}).items():
        poles[node] = replace(poles[node], new_agent=agent)
    for node, clock_filter in (filters or {}).items():
        poles[node] = replace(poles[node], new_filter=clock_filter)
    machine = replace(settings.controller_machine, new_database=new_database)
    settings = replace(settings, poles=poles, controller_machine=machine)
    province = Province(settings, seed=seed, sink=sink)
    witness = Witness(province, settle_ns=scenario.settle_s * NS_PER_S)
    stage = Stage(scenario, province, witness)
    plan = fault_plan(scenario, stage, seed=seed)
    stage.suffer(plan)
    violations: list[Violation] = []
    try:
        province.run_for(scenario.minutes * 60)
        while (settled_ns := _settled_ns(witness)) > province.world.now_ns:
            province.run_until(settled_ns)
    except Exception as error:  # noqa: BLE001 - whatever the product raises in a simulated world is the finding
        what = f"{type(error).__name__}: {error}"
        violations.append(Violation(checker=CRASH, at_ns=province.world.now_ns, pole="", evidence=what))
    evidence = witness.finish()
    for checker in CHECKERS.values():
        if checker.name not in scenario.without:
            violations += checker.judge(evidence)
    run = Run(scenario=scenario, province=province, stage=stage, witness=witness, evidence=evidence)
    violations += unmet(run)
    verdict = Verdict(
        name=name,
        seed=seed,
        violations=tuple(sorted(violations, key=lambda each: each.at_ns)),
        digest=province.digest,
        simulated_s=(province.world.now_ns - province.world.start_ns) / NS_PER_S,
        took_s=time.process_time() - began_s,
        events=province.world.events_run,
        plan=plan,
        time_zone=province.config.time_zone,
    )
    return Performance(verdict=verdict, scenario=scenario, province=province, evidence=evidence, stage=stage)


def fault_plan(scenario: Scenario, stage: Stage, *, seed: int) -> FaultPlan:
    """The faults of a seed: those that the scenario lists, or those that it has drawn."""
    if scenario.plan is not None:
        return scenario.plan
    wanted = scenario.faults
    if wanted is None:
        return FaultPlan()
    bounds = FaultBounds(
        horizon_ms=int(wanted.minutes * _MS_PER_MINUTE),
        count_min=wanted.count_min,
        count_max=wanted.count_max,
        kinds=wanted.kinds,
        targets={
            room: tuple(target for target in targets if not wanted.targets or target in wanted.targets)
            for room, targets in stage.faults.targets.items()
        },
    )
    after_ms = int(wanted.after_minutes * _MS_PER_MINUTE)
    return FaultPlan(
        faults=tuple(
            Fault(at_ms=fault.at_ms + after_ms, kind=fault.kind, target=fault.target, parameters=fault.parameters)
            for fault in generate_faults(seed, bounds).faults
        )
    )


def run_one(name_or_path: str, seed: int) -> Verdict:
    """One run, as a worker process does it."""
    name, scenario = load_scenario(name_or_path)
    return replace(perform(name, scenario, seed=seed).verdict, name=name_or_path)


def run_many(work: Sequence[tuple[str, int]], *, jobs: int) -> Iterator[Verdict]:
    """Every scenario and seed, `jobs` at a time, in the order in which they end; leaving early ends what still runs.

    Raises RunnerError when the machine ends a worker.
    """
    if jobs <= 1 or len(work) <= 1:
        yield from (run_one(name, seed) for name, seed in work)
        return
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(max_workers=min(jobs, len(work)), initializer=stopped_by_its_parent)
    try:
        waiting, running = iter(work), set[Future[Verdict]]()
        while True:
            with stopping_waits():  # the first ones start processes and threads
                running |= {pool.submit(run_one, *each) for each in islice(waiting, AHEAD * jobs - len(running))}
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (each.result() for each in done)
    except BrokenExecutor as error:
        message = "a worker process was ended from outside, perhaps for want of memory: try fewer --jobs"
        raise RunnerError(message) from error
    except BaseException:
        for worker in set(multiprocessing.active_children()) - others:
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def shrink_run(
    name: str,
    scenario: Scenario,
    *,
    seed: int,
    say: Callable[[str], None] = lambda _: None,
    agents: Mapping[str, type[Agent]] | None = None,
) -> tuple[Shrunk, Verdict]:
    """The smallest plan with which a checker that now fails still does; raises ValueError when none does."""
    whole = perform(name, scenario, seed=seed, agents=agents).verdict
    failing = {violation.checker for violation in whole.violations}
    if not failing:
        message = f"{name} with seed {seed} does not fail: there is nothing to shrink"
        raise ValueError(message)
    say(f"{len(whole.plan.faults)} faults; failing: {', '.join(sorted(failing))}")

    def fails(plan: FaultPlan) -> bool:
        found = perform(name, with_plan(scenario, plan), seed=seed, agents=agents).verdict
        say(f"{len(plan.faults)} faults: {'fails' if found.violations else 'passes'}")
        return any(violation.checker in failing for violation in found.violations)

    shrunk = shrink(whole.plan, fails)
    return shrunk, perform(name, with_plan(scenario, shrunk.plan), seed=seed, agents=agents).verdict


def scenario_yaml(scenario: Scenario) -> str:
    """A scenario as YAML that reads back as itself."""
    return msgspec.yaml.encode(scenario).decode()


def _settled_ns(witness: Witness) -> int:
    """When the last trouble so far is over, and a little more; steps may bring further ones."""
    return witness.settled_ns + _AFTER_NS if witness.settled_ns else 0
