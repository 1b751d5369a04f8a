"""Thousands of light nodes on the real Mosquitto and the real controller of this machine: what one broker core bears.

Three runs, each on its own fresh broker and controller: 4,000 nodes on a live stream of ten messages a second and a
restart of the broker in the middle of it; 10,000 connected with status and emergency orders, then the same restart.
CPU of broker, controller and generator is told apart; all of them share the machine, so where the sum nears its cores
the figures are of all three together. Every node asks for the time beside its status, and verifies the answer.
Run: `./scripts/bench load`.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence

import msgspec
from rich.console import Console

from simulator.load.result import table_of
from simulator.load.run import LoadOptions, run_own

STREAM = LoadOptions(nodes=4_000, seconds=20.0, has_stream=True, has_restart=True, processes=2)
CONNECTED = LoadOptions(
    nodes=10_000, seconds=30.0, status_every_s=30.0, time_every_s=30.0, orders=5, has_restart=True, processes=2
)
RUNS = {"stream": STREAM, "connected": CONNECTED}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, help="other than 4,000 and 10,000")
    parser.add_argument("--only", choices=sorted(RUNS), help="one of the runs")
    parser.add_argument("--herd", type=float, help="seconds to spread reconnects over, other than nodes/300")
    parser.add_argument("--json", action="store_true", help="a line of JSON after each table")
    options = parser.parse_args(arguments)
    for name, wanted in RUNS.items():
        if options.only not in {None, name}:
            continue
        chosen = dataclasses.replace(wanted, nodes=options.nodes or wanted.nodes, herd_window_s=options.herd)
        result = run_own(chosen, say=lambda text: print(text, file=sys.stderr, flush=True))
        Console(width=120).print(table_of(result))
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the end")
        if options.json:
            print(msgspec.json.encode(result).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
