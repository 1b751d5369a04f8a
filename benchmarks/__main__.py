"""`./scripts/bench [NAME ...] [--quick]`: runs benchmarks one after another, each in a process of its own."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One benchmark: its module, what it shows, and how it is run when there is little time."""

    module: str
    shows: str
    quick: tuple[str, ...] = ()


BENCHMARKS: Final = {
    "node": Benchmark(
        module="node_cost", shows="CPU and memory of a node beside snapclient, 60 s", quick=("--seconds", "15")
    ),
    "press": Benchmark(
        module="emergency_press",
        shows="first sound after the press of an emergency, with its parts, 200 presses (9 minutes)",
        quick=("--presses", "10"),
    ),
    "listeners": Benchmark(
        module="relay_listeners",
        shows="controller CPU of a relay with 1 and with 200 listeners, 3 minutes",
        quick=("--seconds", "5"),
    ),
    "player": Benchmark(
        module="player_block", shows="what 20 ms of sound cost the player, libopus by wrapper and directly"
    ),
    "simulator": Benchmark(
        module="simulator_core", shows="events and messages per second in virtual time", quick=("--quick",)
    ),
}


def main() -> int:
    """Run the named benchmarks, or all of them; exit status 1 when one failed."""
    lines = "\n".join(f"  {name:<11}{each.shows}" for name, each in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=f"Benchmarks, each beside its peer in the same run:\n\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which (default: all)")
    parser.add_argument("--quick", action="store_true", help="short runs: to see that they work, not to quote")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark is called {unknown[0]!r}; there are: {', '.join(BENCHMARKS)}")
    return run_all(options.names or list(BENCHMARKS), is_quick=options.quick)


def run_all(names: Sequence[str], *, is_quick: bool) -> int:
    """Run benchmarks by name; returns the exit status."""
    failed = []
    for name in names:
        benchmark = BENCHMARKS[name]
        sys.stdout.write(f"\n== {name}: {benchmark.shows}\n")
        sys.stdout.flush()
        command = [sys.executable, "-m", f"benchmarks.{benchmark.module}", *(benchmark.quick if is_quick else ())]
        if subprocess.run(command, check=False).returncode != 0:
            failed.append(name)
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
