"""How far apart two neighbouring poles sound, beside Snapcast's method on the same lines and crystals: virtual time.

The product's clock, buffer, drift loop and ring run on emulated machines, ten minutes of sound for each case; what is
heard is read from the samples, the same figures are taken of the peer in the same run, and everything from the first
sound on counts. The figures in docs/player.md are written by

    python -m benchmarks.sync_virtual --starts 20 --document docs/player.md --plot docs/images/sync.png
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.sync.cases import CASES, Case
from benchmarks.sync.document import markdown_of, put_table
from benchmarks.sync.plot import draw
from benchmarks.sync.report import Compared, Starts, rows_of, start_rows_of
from benchmarks.sync.run import our_pole, peer_pole, run_case

MINUTES: Final = 10.0
MINUTES_MIN: Final = 0.2
PLOTTED: Final = ("wired, ±50 ppm", "4G, ±50 ppm")
STARTED: Final = (*PLOTTED, "Wi-Fi, ±50 ppm", "4G, ±50 ppm, just booted")
START_S: Final = 3.0
"""Long enough to hear whether both have begun."""
NOTE: Final = (
    "ms between neighbours; clock: of the two shared clocks alone (p95); first: at the first sound; aligned: seconds "
    "until within 1 ms for 10 s; ppm: largest correction over a second; lost: ms of sound, in pieces"
)


def run(cases: Sequence[Case], *, minutes: float, seed: int) -> list[Compared]:
    """Every case, for both."""
    return [
        Compared(
            case=case,
            ours=run_case(case, make=our_pole, lasts_s=60.0 * minutes, seed=seed),
            peers=run_case(case, make=peer_pole, lasts_s=60.0 * minutes, seed=seed),
        )
        for case in cases
    ]


def run_starts(count: int) -> list[Starts]:
    """The first sound of some cases, each with as many seeds."""
    return [
        Starts(
            case=case,
            system=system,
            first_ms=[run_case(case, make=make, lasts_s=START_S, seed=seed).first_ms for seed in range(1, count + 1)],
        )
        for case in CASES
        if case.name in STARTED
        for system, make in (("LoaXa", our_pole), ("Snapcast", peer_pole))
    ]


def parser() -> argparse.ArgumentParser:
    """What can be asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of sound in each case (10)")
    parser.add_argument("--seed", type=int, default=1, help="of every chance (1)")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--starts", type=int, default=0, help="also compare the first sound of so many seeds (0)")
    parser.add_argument("--plot", type=Path, help="write a picture (PNG; needs matplotlib)")
    parser.add_argument("--document", type=Path, help="put the table between its marks in this document")
    return parser


def main() -> None:
    """Run the cases, print the table, write what was asked for."""
    options = parser().parse_args()
    cases = [case for case in CASES if options.only in case.name]
    if not cases:
        parser().error(
            f"no case has {options.only!r} in its name; there are: " + "; ".join(case.name for case in CASES)
        )
    if options.minutes < MINUTES_MIN:
        parser().error(f"--minutes {options.minutes:g}: at least {MINUTES_MIN:g}, or nothing can be said")
    if options.document is not None and options.only:
        parser().error("--document wants every case: leave --only away")
    if options.plot is not None and importlib.util.find_spec("matplotlib") is None:
        parser().error("--plot needs matplotlib: run ./scripts/bench sync_virtual, which installs it, or leave it away")
    compared = run(cases, minutes=options.minutes, seed=options.seed)
    rows = rows_of(compared)
    print(f"Two neighbours, {options.minutes:g} virtual minutes, seed {options.seed}\n\n{markdown_of(rows)}\n{NOTE}")
    if options.document is not None:
        put_table(options.document, "sync_virtual", rows)
    if options.starts:
        start_rows = start_rows_of(run_starts(options.starts))
        print(f"\nThe first sound, ms between neighbours\n\n{markdown_of(start_rows)}")
        if options.document is not None:
            put_table(options.document, "sync_starts", start_rows)
    if options.plot is not None:
        draw([each for each in compared if each.case.name in PLOTTED] or compared, options.plot)


if __name__ == "__main__":
    main()
