"""The command `loaxa-sim`: the main job on one machine, as real processes, with an independent listener."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from controller.errors import ControllerError
from simulator.demo.broker import BrokerError
from simulator.demo.clips import ClipError
from simulator.demo.processes import ChildError
from simulator.demo.show import run_show
from simulator.demo.station import StationError
from simulator.demo.table import Display, LiveDisplay, PlainDisplay
from simulator.demo.timeline import SECONDS_MIN
from simulator.demo.town import TownError
from simulator.demo.verdict import FIRST_STAGES, Verdict
from simulator.demo.week import run_week
from simulator.live_verbs import add_verbs as add_live_verbs
from simulator.runs.cli import add_verbs as add_scenario_verbs
from simulator.stopping import STATUS_INTERRUPTED, StopAsked, stopped_by_signals

STATUS_GOOD: Final = 0
STATUS_FAILED: Final = 1
SECONDS_MAX: Final = 600
"""Captures of a longer run would not fit memory; without --for the demo runs until it is stopped."""

_EXPECTED_ERRORS: Final = (BrokerError, ChildError, ClipError, ControllerError, StationError, TownError)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if "verb" in options:
        return _run_verb(options)
    if options.is_week:
        if options.seconds is not None or options.json or options.keep:
            options.refuse("--week takes neither --for nor --json nor --keep: it has its own length and tells it")
        return _week(options.dir / "week")
    if options.seconds is not None and not SECONDS_MIN <= options.seconds <= SECONDS_MAX:
        options.refuse(f"--for takes {SECONDS_MIN} to {SECONDS_MAX} seconds")
    if options.json and options.seconds is None:
        options.refuse("--json needs --for: the line is printed at the end")
    return _demo(options.dir, seconds=options.seconds, is_json=options.json, keep=options.keep)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="loaxa-sim", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="station, broker, controller and three nodes; live table until Ctrl-C",
        description="Runs the main job: relay, playlist, relay, emergency, all-clear. Ctrl-C leaves nothing behind.",
    )
    demo.set_defaults(refuse=demo.error)
    demo.add_argument(
        "--for",
        dest="seconds",
        type=float,
        metavar="S",
        help=f"end by itself after S seconds ({SECONDS_MIN} to {SECONDS_MAX}), and judge what was heard",
    )
    demo.add_argument("--json", action="store_true", help="print one line of JSON at the end (with --for)")
    demo.add_argument("--dir", type=Path, default=Path(".demo"), metavar="DIR", help="working folder (.demo)")
    demo.add_argument("--keep", action="store_true", help="keep the last run's state, and this run's captures as WAV")
    demo.add_argument(
        "--week",
        dest="is_week",
        action="store_true",
        help="một tuần không có máy chủ · a week without broker and controller, in a minute; then its reports",
    )
    add_live_verbs(commands)
    add_scenario_verbs(commands)
    return parser


def _run_verb(options: argparse.Namespace) -> int:
    """Run a verb of `live_verbs`; whatever stops it, it leaves nothing behind."""
    try:
        with stopped_by_signals():
            status: int = options.verb(options)
    except StopAsked:
        return STATUS_INTERRUPTED
    return status


def _demo(folder: Path, *, seconds: float | None, is_json: bool, keep: bool) -> int:
    terminal = Console()
    is_live = terminal.is_terminal and not is_json
    display: Display = LiveDisplay(terminal) if is_live else PlainDisplay(sys.stderr)
    try:
        with stopped_by_signals():
            verdict = run_show(folder, seconds=seconds, display=display, keep=keep)
    except StopAsked:
        return STATUS_INTERRUPTED if seconds is not None else STATUS_GOOD
    except _EXPECTED_ERRORS as error:
        print(f"loaxa-sim: {error}", file=sys.stderr)
        return STATUS_FAILED
    if is_json:
        print(msgspec.json.encode(verdict).decode(), flush=True)
    else:
        terminal.print(_report(verdict))
        for reason in verdict.reasons:
            print(f"not good enough: {reason}")
    return STATUS_GOOD if verdict.ok else STATUS_FAILED


def _week(folder: Path) -> int:
    """The compressed week; whatever stops it, it leaves nothing running."""
    try:
        with stopped_by_signals():
            week = run_week(folder, say=lambda line: print(line, flush=True))
    except StopAsked:
        return STATUS_INTERRUPTED
    except _EXPECTED_ERRORS as error:
        print(f"loaxa-sim: {error}", file=sys.stderr)
        return STATUS_FAILED
    return STATUS_GOOD if week.verdict.is_good else STATUS_FAILED


def _report(verdict: Verdict) -> Table:
    table = Table(title=f"{verdict.seconds:g} s; spread p50 {verdict.spread_ms.p50} ms, max {verdict.spread_ms.max} ms")
    heads = (
        "node",
        *(f"first sound: {stage}, ms" for stage in FIRST_STAGES),
        "sounded, s",
        "gaps",
        "concealed",
        "dBFS",
        "clicks",
    )
    for head in heads:
        table.add_column(head, justify="right")
    for found in verdict.nodes:
        cells = (
            found.node,
            *(found.first_sound_ms.get(stage) for stage in FIRST_STAGES),
            found.seconds_sounded,
            found.gaps,
            found.concealed_frames,
            found.level_dbfs,
            found.relay_transitions,
        )
        table.add_row(*(str(cell) for cell in cells))
    return table


if __name__ == "__main__":
    sys.exit(main())
