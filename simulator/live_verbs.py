"""The verbs of `loaxa-sim` that work in wall-clock time, or on what a real pole has recorded.

Each verb says what it takes (`add_verbs`), runs, prints, and gives the command's exit status. What is heavy is
imported by the verb that needs it, so that `--help` stays quick.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console

STATUS_GOOD: Final = 0
STATUS_FAILED: Final = 1
SECONDS_MIN: Final = 1.0
LOAD_NODES_DEFAULT: Final = 200
STATUS_EVERY_S_DEFAULT: Final = 30.0
"""As a node's `telemetry.idle_interval_s`."""
TIME_EVERY_S_DEFAULT: Final = 30.0
"""A crystal that is 20 ppm off moves 0.6 ms in it."""

Commands = Any
"""What `argparse` gives for adding verbs; its class is private."""
Verb = Callable[[argparse.Namespace], int]


def add_verbs(commands: Commands) -> None:
    """Add the verbs; each leaves itself in the options as `verb`."""
    _add_load(commands)
    _add_fleet(commands)
    _add_replay(commands)
    _add_device(commands)


def refuse(text: object) -> int:
    """Tell what went wrong; the exit status of it."""
    sys.stderr.write(f"loaxa-sim: {text}\n")
    return STATUS_FAILED


def say(text: str) -> None:
    """Tell what is being done, beside what is printed."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def number_between(low: float, high: float, kind: type[int | float] = int) -> Callable[[str], float]:
    """A type for `argparse`: a number within bounds."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError as error:
            message = f"{text!r} is no number"
            raise argparse.ArgumentTypeError(message) from error
        if not low <= value <= high:
            message = f"{text} is not between {low:g} and {high:g}"
            raise argparse.ArgumentTypeError(message)
        return value

    return parse


def _add_load(commands: Commands) -> None:
    load = commands.add_parser(
        "load",
        help="thousands of light nodes on a real broker: stream, status, time, orders, restart",
        description="TLS connections with a certificate each; what arrives is counted, no sound is decoded. Starts its "
        "own broker and controller on this machine (--own, the default), or uses those that run here "
        "(--controller CONFIG). Other machines are refused.",
    )
    load.add_argument(
        "--nodes", type=number_between(1, 12_000), default=LOAD_NODES_DEFAULT, metavar="N", help="how many (200)"
    )
    load.add_argument(
        "--for",
        dest="seconds",
        type=number_between(SECONDS_MIN, 120, float),
        default=20.0,
        metavar="S",
        help="length of each measured phase, at most 120 (20)",
    )
    load.add_argument("--stream", action="store_true", help="relay a feed to everybody and count its packets")
    load.add_argument(
        "--status",
        nargs="?",
        type=number_between(1, 600, float),
        const=STATUS_EVERY_S_DEFAULT,
        metavar="S",
        help="every node says how it is each S seconds (30)",
    )
    load.add_argument(
        "--time",
        nargs="?",
        type=number_between(1, 600, float),
        const=TIME_EVERY_S_DEFAULT,
        metavar="S",
        help="every node asks for the time each S seconds (30) and verifies the answer",
    )
    load.add_argument(
        "--orders", type=number_between(0, 20), default=0, metavar="N", help="press N emergencies, count receptions"
    )
    load.add_argument("--restart", action="store_true", help="restart the broker; how soon all are back")
    load.add_argument("--processes", type=number_between(1, 4), metavar="N", help="of the generator (2,500 nodes each)")
    load.add_argument(
        "--rate", type=number_between(1, 1_000, float), default=300.0, metavar="N", help="first connects a second (300)"
    )
    load.add_argument(
        "--herd", type=number_between(1, 80, float), metavar="S", help="seconds to spread reconnects over (nodes/300)"
    )
    where = load.add_mutually_exclusive_group()
    where.add_argument("--controller", type=Path, metavar="CONFIG", help="of the controller that runs here")
    where.add_argument("--own", action="store_true", help="start broker, controller and station (the default)")
    load.add_argument("--json", action="store_true", help="print one line of JSON instead of the table")
    load.set_defaults(verb=_load)


def _load(options: argparse.Namespace) -> int:
    from controller.errors import ControllerError  # noqa: PLC0415 - see the module's text
    from simulator.bench_site import SiteError  # noqa: PLC0415 - as above
    from simulator.demo.broker import BrokerError  # noqa: PLC0415 - as above
    from simulator.demo.clips import ClipError  # noqa: PLC0415 - as above
    from simulator.demo.console import ConsoleError  # noqa: PLC0415 - as above
    from simulator.demo.processes import ChildError  # noqa: PLC0415 - as above
    from simulator.demo.station import StationError  # noqa: PLC0415 - as above
    from simulator.load.generator import GeneratorError  # noqa: PLC0415 - as above
    from simulator.load.identities import IdentityError  # noqa: PLC0415 - as above
    from simulator.load.result import table_of  # noqa: PLC0415 - as above
    from simulator.load.run import LoadOptions, run_against, run_own  # noqa: PLC0415 - as above
    from simulator.load.target import TargetError  # noqa: PLC0415 - as above

    wanted = LoadOptions(
        nodes=options.nodes,
        seconds=options.seconds,
        has_stream=options.stream,
        status_every_s=options.status,
        time_every_s=options.time,
        orders=options.orders,
        has_restart=options.restart,
        processes=options.processes,
        connections_per_s=options.rate,
        herd_window_s=options.herd,
    )
    expected = (
        BrokerError,
        ChildError,
        ClipError,
        ConsoleError,
        ControllerError,
        GeneratorError,
        IdentityError,
        SiteError,
        StationError,
        TargetError,
    )
    try:
        if options.controller is None:
            result = run_own(wanted, say=say)
        else:
            result = run_against(wanted, options.controller, say=say)
    except expected as error:
        return refuse(error)
    if options.json:
        sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    else:
        Console().print(table_of(result))
    return STATUS_GOOD if result.ok else STATUS_FAILED


def _add_fleet(commands: Commands) -> None:
    fleet = commands.add_parser(
        "fleet",
        help="hundreds of real agents in one process, on a real broker and controller",
        description="For demonstrations and tests of the page: its address is printed. Runs until Ctrl-C or --for.",
    )
    fleet.add_argument("--nodes", type=number_between(1, 500), default=200, metavar="N", help="how many (200)")
    fleet.add_argument("--for", dest="seconds", type=number_between(1, 3_600, float), metavar="S", help="end by itself")
    fleet.add_argument("--stream", action="store_true", help="relay a stand-in station to all of them")
    fleet.add_argument("--emergency", action="store_true", help="raise an emergency once all are ready")
    fleet.add_argument("--json", action="store_true", help="print one line of JSON at the end")
    fleet.set_defaults(verb=_fleet)


def _fleet(options: argparse.Namespace) -> int:
    from simulator.fleet.command import EXPECTED_ERRORS, show_fleet  # noqa: PLC0415 - see the module's text

    try:
        found = show_fleet(
            nodes=options.nodes,
            seconds=options.seconds,
            has_stream=options.stream,
            has_emergency=options.emergency,
            say=say,
        )
    except EXPECTED_ERRORS as error:
        return refuse(error)
    line = msgspec.json.encode(found).decode()
    sys.stdout.write(
        (line if options.json else f"ready {found.ready}, sounding {found.sounding} of {found.nodes}") + "\n"
    )
    return STATUS_GOOD if found.ready == found.nodes else STATUS_FAILED


def _add_replay(commands: Commands) -> None:
    replay = commands.add_parser(
        "replay",
        help="the flight recording of a real pole, decided again by this version",
        description="Replays a pole's log (flight-*.lxf, or the folder state_dir/flight) through the agent of this "
        "version and says where it decides otherwise. Exit status 1 if it does anywhere.",
    )
    replay.add_argument("log", type=Path, metavar="LOG", help="a file or the folder of them")
    replay.add_argument("--json", action="store_true", help="print one line of JSON instead")
    replay.add_argument(
        "--last", type=number_between(0, 10_000), default=200, metavar="N", help="lines of the timeline (200)"
    )
    replay.set_defaults(verb=_replay)


def _replay(options: argparse.Namespace) -> int:
    from simulator.replay import ReplayError, read_log, replay  # noqa: PLC0415 - see the module's text

    try:
        found = replay(read_log(options.log))
    except ReplayError as error:
        return refuse(error)
    if options.json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return STATUS_FAILED if found.differing else STATUS_GOOD
    lines = found.timeline[max(0, len(found.timeline) - options.last) :]
    if len(lines) < len(found.timeline):
        lines.insert(0, f"({len(found.timeline) - options.last} earlier lines; --last shows more)")
    for gap in found.gaps:
        lines.append(f"not in the log: {gap}")
    for each in found.differences:
        lines += [f"{each.at}  DIFFERS at {each.event}", f"    then: {each.recorded}", f"    now:  {each.replayed}"]
    lines.append(
        f"{found.node} {found.version}: {found.runs} runs, {found.turns} turns compared, {found.settling} settling, "
        f"{found.packets} packets; {found.differing} turns differ"
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return STATUS_FAILED if found.differing else STATUS_GOOD


def _add_device(commands: Commands) -> None:
    device = commands.add_parser(
        "device",
        help="a device on the bench: a pass/fail sheet for the technician",
        description="Starts a broker and a controller for one device, and checks what it does: sound by line-in, relay "
        "by a GPIO input of this machine. Without --target the device is a node process on this machine.",
    )
    device.add_argument("--target", default="process", metavar="HOST", help="the device's address (a process here)")
    device.add_argument("--listen", default="127.0.0.1", metavar="ADDRESS", help="this machine, as the device sees it")
    device.add_argument("--line-in", default="default", metavar="PCM", help="ALSA capture device (default)")
    device.add_argument(
        "--relay-input", type=number_between(0, 27), metavar="PIN", help="GPIO (BCM) that the relay's contact closes"
    )
    device.add_argument("--json", action="store_true", help="print one line of JSON instead of the sheet")
    device.set_defaults(verb=_device)


def _device(options: argparse.Namespace) -> int:
    import tempfile  # noqa: PLC0415 - see the module's text

    from simulator.device.bench import PROCESS, BenchOptions  # noqa: PLC0415 - as above
    from simulator.device.command import EXPECTED_ERRORS  # noqa: PLC0415 - as above
    from simulator.device.run import run_bench  # noqa: PLC0415 - as above
    from simulator.device.sheet import table_of  # noqa: PLC0415 - as above

    if options.target != PROCESS and options.listen == "127.0.0.1":
        return refuse("--listen ADDRESS is needed: this machine's address on the bench's network, for the device")
    bench = BenchOptions(
        target=options.target, listen=options.listen, line_in=options.line_in, relay_input=options.relay_input
    )
    try:
        with tempfile.TemporaryDirectory(prefix="loaxa-device-", ignore_cleanup_errors=True) as folder:
            sheet = run_bench(Path(folder), bench, say=say)
    except EXPECTED_ERRORS as error:
        return refuse(error)
    if options.json:
        sys.stdout.write(msgspec.json.encode(sheet).decode() + "\n")
    else:
        Console().print(table_of(sheet))
    return STATUS_GOOD if sheet.ok else STATUS_FAILED
