"""All targets under atheris, one after the other: `./scripts/test --fuzz SECONDS [TARGET ...]`.

Each target gets its share of the seconds in a process of its own, begins with real messages and with what earlier runs
found worth keeping (`build/fuzz/corpus`), and is ended by the first bytes that raise what is not declared, take longer
than ten seconds, or more than a gigabyte. Those bytes are kept in `build/fuzz/found`, and the command that tries
them again is printed. Exit status 0: nothing was found; 1: something was; 2: the command is wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.table import TARGETS
from tests.fuzz.target import BYTES_MAX, Target

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "build" / "fuzz"
INPUT_S_MAX = 10
MEMORY_MB_MAX = 1024
START_S_MAX = 120
"""Beyond its share: to import, to read its corpus, to write down what it found."""
TAIL_LINES = 30
NICE = 10
RAISED = "=== Uncaught Python exception: ==="
FINDS = ("crash-*", "timeout-*", "oom-*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one target."""

    name: str
    runs: int
    finds: tuple[Path, ...]
    tail: str
    is_broken: bool


def fuzz(target: Target, *, seconds: int, folder: Path) -> Outcome:
    """Try one target for so long; never longer than its share and START_S_MAX."""
    corpus, found = folder / "corpus" / target.name, folder / "found" / target.name
    for each in (corpus, found):
        each.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    before = set(_finds(found))
    command = [sys.executable, "-W", "ignore", "-m", "tests.fuzz.one", target.name]
    command += [f"-max_total_time={seconds}", f"-max_len={BYTES_MAX}", f"-timeout={INPUT_S_MAX}"]
    command += [f"-rss_limit_mb={MEMORY_MB_MAX}", f"-artifact_prefix={found}/", "-print_final_stats=1", str(corpus)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds + START_S_MAX,
            check=False,
            cwd=ROOT,
            preexec_fn=lambda: os.nice(NICE),
        )
        said, status = done.stdout + done.stderr, done.returncode
    except subprocess.TimeoutExpired as error:
        said, status = f"{error}: it did not end", 1
    finds = tuple(sorted(set(_finds(found)) - before))
    return Outcome(
        name=target.name,
        runs=_runs_of(said),
        finds=finds,
        tail=_told(said),
        is_broken=status != 0,
    )


def report(outcomes: Sequence[Outcome]) -> list[str]:
    """What a person reads: each target's line, and of each find what was raised and how to raise it again."""
    lines = [f"{each.name:<26} {each.runs:>9} inputs   {_verdict(each)}" for each in outcomes]
    for each in outcomes:
        if not each.is_broken:
            continue
        lines += ["", f"--- {each.name}", each.tail]
        lines += [f"again: {sys.executable} -m tests.fuzz.one {each.name} {find}" for find in each.finds]
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz what the arguments name; the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/test --fuzz", description="Fuzz the decoders of outside bytes.")
    parser.add_argument("seconds", type=int, help="for all targets together")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"one or more of: {', '.join(TARGETS)}")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where corpus and finds are kept")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.targets) - set(TARGETS))
    if unknown or options.seconds < 1:
        parser.error(f"no such target: {', '.join(unknown)}" if unknown else "seconds must be 1 or more")
    wanted = [TARGETS[name] for name in options.targets or TARGETS]
    share_s = max(1, options.seconds // len(wanted))
    outcomes = []
    for target in wanted:
        outcomes.append(fuzz(target, seconds=share_s, folder=options.folder.resolve()))
        print(report(outcomes[-1:])[0], flush=True)  # noqa: T201 - a command's product is what it prints
    found = [each for each in outcomes if each.is_broken]
    print("\n".join(report(found)) if found else f"nothing found in {share_s} s for each of {len(wanted)} targets")  # noqa: T201 - as above
    return 1 if found else 0


def _verdict(outcome: Outcome) -> str:
    if not outcome.is_broken:
        return "nothing found"
    return f"FOUND: {', '.join(str(find) for find in outcome.finds) or 'it could not run'}"


def _finds(folder: Path) -> list[Path]:
    return [path for pattern in FINDS for path in folder.glob(pattern)]


def _told(said: str) -> str:
    """What was raised and where; where nothing was, the last that was said."""
    raised = said.partition(RAISED)[2].partition("\n==")[0].strip()
    return raised or "\n".join(said.splitlines()[-TAIL_LINES:])


def _runs_of(said: str) -> int:
    counted = [
        line.rpartition(":")[2] for line in said.splitlines() if line.startswith("stat::number_of_executed_units")
    ]
    return int(counted[-1]) if counted else 0


if __name__ == "__main__":
    sys.exit(main())
