"""How far two neighbours sound apart, in real processes, beside Snapcast in the same run.

Two `loaxa-edge` with controller and TLS broker, and two `snapclient` with Debian's snapserver, take the same station
through TCP paths with the same delays; one of each pair has a clock that is wrong by some ppm (libfaketime). What
they play is stamped by one reader with one clock. For every second the difference of the neighbours is measured by
correlation of what they sounded; seconds in which this machine held up the reader are rejected and counted.
Run: `./scripts/bench sync_real [--minutes 10] [--case mobile+50] [--json FILE]`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from benchmarks.commune import BenchmarkError, Changes, Commune, await_true, commune
from benchmarks.measure import print_table
from benchmarks.real.judgement import ALIGNED_MS, Judgement, judge
from benchmarks.real.programme import write_programme
from benchmarks.real.snapcast import snapclient_command, snapserver
from simulator.demo.broker import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulator.demo.processes import Children
    from simulator.demo.site import DemoSite

POLES: Final = ("N001", "N002")
PEERS: Final = ("snap1", "snap2")
FAKETIME: Final = "/usr/lib/{machine}/faketime/libfaketimeMT.so.1"
MACHINES: Final = ("x86_64-linux-gnu", "aarch64-linux-gnu")
MINUTES_MIN: Final = 0.4
"""Ten seconds are let pass at the beginning; of fewer than ten more a quantile says nothing."""
REJECTED_SHARE_MAX: Final = 0.5
"""What is left of a case is no picture of it when the machine spoilt more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A network, and by how much the clock of the second of each pair is wrong."""

    name: str
    model: str
    ppm: int


CASES: Final = {
    case.name: case
    for case in (
        Case(name="wired", model="wired", ppm=0),
        Case(name="wired+50", model="wired", ppm=50),
        Case(name="mobile", model="mobile", ppm=0),
        Case(name="mobile+50", model="mobile", ppm=50),
    )
}
DEFAULT_CASES: Final = ("wired", "wired+50", "mobile+50")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a case gave: both pairs, where our nodes had their time from, and how wrong they said that it may be."""

    case: Case
    ours: Judgement
    peer: Judgement
    source: str
    stated_errors_ms: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Our p95 to the peer's."""
        return self.ours.p95_ms / self.peer.p95_ms


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2.0, help="how long each case lasts (default: 2)")
    parser.add_argument(
        "--acquainted", type=float, default=60.0, help="seconds that all run before our relay begins (default: 60)"
    )
    parser.add_argument(
        "--case", action="append", choices=sorted(CASES), help=f"which (default: {', '.join(DEFAULT_CASES)})"
    )
    parser.add_argument(
        "--time",
        choices=("exchange", "system"),
        default="exchange",
        help="where our nodes take the time from (default: exchange)",
    )
    parser.add_argument("--json", type=Path, help="write all figures, second by second, into this file")
    parser.add_argument("--keep", type=Path, help="keep what was heard, and the nodes' logs, in this new folder")
    options = parser.parse_args(arguments)
    if options.minutes < MINUTES_MIN or options.acquainted < 0:
        parser.error(f"--minutes takes {MINUTES_MIN} or more, --acquainted no negative number")
    if options.keep is not None and options.keep.exists():
        parser.error(f"{options.keep} is there already; name a new folder")
    results = []
    for name in options.case or DEFAULT_CASES:
        try:
            results.append(_measure_named(name, options))
        except BenchmarkError as error:
            sys.stderr.write(f"{name}: {error}\n")
            return 1
    rows = [row for result in results for row in _rows(result)]
    print_table(
        f"Difference of two neighbours, real processes, {options.minutes:g} min a case", rows, note=_note(results)
    )
    if options.json is not None:
        figures = [{"ratio_p95": result.ratio, **asdict(result)} for result in results]
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    spoilt = [each.case.name for each in results if each.ours.rejected_share > REJECTED_SHARE_MAX]
    if spoilt:
        sys.stderr.write(
            f"{', '.join(spoilt)}: the machine spoilt more than half of it; measure again when it is idle\n"
        )
    return 1 if spoilt else 0


def _measure_named(name: str, options: argparse.Namespace) -> Result:
    return measure(
        CASES[name],
        minutes=options.minutes,
        acquainted_s=options.acquainted,
        source=options.time,
        keep=options.keep,
    )


def measure(case: Case, *, minutes: float, acquainted_s: float, source: str, keep: Path | None = None) -> Result:
    """Run one case; raises BenchmarkError when a player is not heard."""
    with tempfile.TemporaryDirectory(prefix="loaxa-sync-") as temporary:
        folder = Path(temporary) if keep is None else keep / case.name
        folder.mkdir(parents=True, exist_ok=keep is None)
        programme = folder / "programme.wav"
        write_programme(programme)
        ports = {name: free_port() for name in ("broker", "time", "snapserver")}
        changes = Changes(
            programme=programme,
            is_heard=False,
            before_start=lambda site, children: _prepare(site, children, case, ports, folder, source),
            environment_of=lambda node: _clock_of(POLES.index(node), case),
        )
        with commune(node_count=2, changes=changes) as world:
            with _peers(world, case, ports["snapserver"], folder):
                time.sleep(acquainted_s)  # both systems learn their servers before anything is measured
                since_ns = time.monotonic_ns()
                world.start_relay("station")
                await_true(lambda: all(_is_heard(folder, name) for name in (*POLES, *PEERS)), "sound of all four")
                time.sleep(60.0 * minutes)  # the reader stamps meanwhile; this is how long
                errors_ms = _clock_errors(world)
            world.children.stop_one("reader")
            if keep is not None:
                shutil.copytree(world.site.logs, folder / "logs")
        ours, peer = (judge(folder, names, since_ns=since_ns) for names in (POLES, PEERS))
        return Result(case=case, ours=ours, peer=peer, source=source, stated_errors_ms=errors_ms)


def _prepare(
    site: DemoSite, children: Children, case: Case, ports: Mapping[str, int], folder: Path, source: str
) -> None:
    """Nodes are told the paths' ports for the broker's; the reader makes and opens all FIFOs before anything plays."""
    settings = yaml.safe_load(site.controller_configuration.read_text())
    settings["enrolment"] |= {"broker_port": ports["broker"], "broker_time_port": ports["time"]}
    site.controller_configuration.write_text(yaml.safe_dump(settings, allow_unicode=True, sort_keys=False))
    _start_path(children, "path-to-broker", case, listen=ports["broker"], target=site.ports.broker)
    _start_path(children, "path-to-time", case, listen=ports["time"], target=site.ports.time)
    for name in POLES:
        file = site.node_folder(name) / "edge.yaml"
        # libfaketime leaves waits for a lock with a time limit (Python's sem_clockwait) alone, which then do not end:
        # of a node's threads only the recorder's has one.
        changed = {"recorder": {"bytes_max": 0}, "clock": {"source": source, "believes": "any"}}
        file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | changed))
    ears = [f"{name}:1:{site.fifo(name)}" for name in POLES] + [f"{name}:2:{folder / name}.fifo" for name in PEERS]
    children.start("reader", [sys.executable, "-m", "benchmarks.real.reader", str(folder), *ears])
    await_true((folder / "ready").exists, "the reader")


def _start_path(children: Children, name: str, case: Case, *, listen: int, target: int) -> None:
    command = [sys.executable, "-m", "benchmarks.real.delay_path", "--model", case.model]
    children.start(name, [*command, "--listen", str(listen), "--target", str(target)])


@contextmanager
def _peers(world: Commune, case: Case, port: int, folder: Path) -> Iterator[None]:
    with snapserver(world.station.urls["mp3"]) as target:
        _start_path(world.children, "path-to-snapserver", case, listen=port, target=target)
        for number, name in enumerate(PEERS):
            command = snapclient_command(port, folder / f"{name}.fifo", instance=number + 1)
            world.children.start(name, command, dict(_clock_of(number, case)))
        try:
            yield
        finally:
            for name in PEERS:
                world.children.stop_one(name)


def _clock_of(number: int, case: Case) -> Mapping[str, str]:
    """The environment that makes the clocks of the second of a pair run fast; the first has this machine's."""
    if number == 0 or case.ppm == 0:
        return {}
    found = [
        FAKETIME.format(machine=machine) for machine in MACHINES if Path(FAKETIME.format(machine=machine)).exists()
    ]
    if not found:
        message = "libfaketime is missing: apt-get install faketime"
        raise BenchmarkError(message)
    return {"LD_PRELOAD": found[0], "FAKETIME": f"+0 x{1 + case.ppm / 1e6:.6f}"}


def _is_heard(folder: Path, name: str) -> bool:
    file = folder / f"{name}.pcm"
    return file.exists() and file.stat().st_size > 0


def _clock_errors(world: Commune) -> tuple[float, ...]:
    """How wrong the nodes' time may be by their own word, in milliseconds."""
    return tuple(float(node["clock_error_ms"]) for node in world.console.nodes() if node["clock_error_ms"] is not None)


def _rows(result: Result) -> list[dict[str, str]]:
    return [
        _row(result.case, "ours", result.ours, f"{result.ratio:.2f}"),
        _row(result.case, "Snapcast", result.peer, ""),
    ]


def _row(case: Case, who: str, judged: Judgement, ratio: str) -> dict[str, str]:
    return {
        "case": case.name,
        "pair": who,
        "p50": f"{judged.p50_ms:.3f}",
        "p95": f"{judged.p95_ms:.3f}",
        "p99.9": f"{judged.p999_ms:.3f}",
        "medians' p95": f"{judged.p95_of_medians_ms:.3f}",
        "first": "-" if judged.first_ms is None else f"{judged.first_ms:+.2f}",
        "in step s": "never" if judged.aligned_after_s is None else f"{judged.aligned_after_s:.1f}",
        "seconds": f"{judged.measured}",
        "rejected %": f"{100 * judged.rejected_share:.1f}",
        "unheard": f"{judged.unheard}",
        "ratio": ratio,
    }


def _note(results: Sequence[Result]) -> str:
    clocks = "; ".join(
        f"{each.case.name}: {each.source}, error by its own word {max(each.stated_errors_ms, default=0):.1f} ms at most"
        for each in results
    )
    return (
        "Milliseconds between the two of a pair, second by second, by the earliest arrivals. +50: the clock of the "
        "second runs 50 ppm fast. in step: from the first sound of both (Snapcast's is heard before: from the start of "
        f"our relay on) until within {ALIGNED_MS:g} ms for 3 s. ratio: p95 to Snapcast's, whose filter needs four "
        "minutes to show its error of a drifting clock. mobile: 18 ms up, 12 ms down, gamma jitter of mean 12 and 6 "
        f"ms, 2 % spikes of mean 120 ms. Our nodes' time: {clocks}"
    )


if __name__ == "__main__":
    sys.exit(main())
