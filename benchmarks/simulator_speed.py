"""How fast a simulated province runs, against what is asked of it.

    python -m benchmarks.simulator_speed            # both cases, short
    python -m benchmarks.simulator_speed --whole    # 1,000 poles for 7 days, 32 poles with full audio for 10 minutes

Silent: every decision is the product's own and every signature is real, two sessions a day of two items each on every
pole, all airing records signed, stored and acknowledged; nothing is rendered but a probe after each decision. Status
is sent when something changes and once a day, unless `--status-s` says otherwise: a real node's 30 s are 20 million
messages a week, and are measured beside it. Full: the card pulls every sample, all of it is read by the ear.

Seconds are of this process's CPU (one core); the wall clock is shown beside them.
"""

from __future__ import annotations

import argparse
import gc
import resource
import time
from dataclasses import dataclass

import msgspec

from edge.config import EdgeConfig
from protocol.units import NS_PER_S, SAMPLES_PER_MS
from simulator.collector import collect_rarely
from simulator.commune import Province, ProvinceSettings
from simulator.pole.parts import PoleSettings, ProbeSettings, SoundMode
from simulator.pole.sound_card import SimulatedCardSettings
from simulator.runs.usual import COMMUNE, FEED, FLOOD, MEDIA, usual_commune
from simulator.services.controller import ControllerSettings
from simulator.world import DEFAULT_START_NS

DAY_S = 86_400
TARGET_SILENT_S = 60.0
TARGET_FULL = 20.0
LARGE_CARD = SimulatedCardSettings(block_frames=120 * SAMPLES_PER_MS, ahead_frames=480 * SAMPLES_PER_MS)
"""Larger blocks than a pole's own: fewer, and the same samples."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run took."""

    cpu_s: float
    wall_s: float
    simulated_s: float
    events: int


def settings(poles: int, *, status_s: int, pole: PoleSettings, hours: int = 0) -> ProvinceSettings:
    """A usual commune whose nodes send a status so often; the world begins so many hours after 05:00."""
    edge = EdgeConfig(node="N0001")
    telemetry = msgspec.structs.replace(edge.telemetry, idle_interval_s=status_s, on_air_interval_s=max(5, status_s))
    return ProvinceSettings(
        controller=usual_commune(poles=poles, villages=10 if poles > 100 else 2),  # noqa: PLR2004 - a hundred a village
        media=MEDIA,
        edge=msgspec.structs.replace(edge, telemetry=telemetry),
        pole=pole,
        start_ns=DEFAULT_START_NS + hours * 3_600 * NS_PER_S,
        controller_machine=ControllerSettings(lost_after_ms=max(100, 3 * status_s) * 1000),
    )


def timed(place: Province, seconds: float) -> Run:
    """Let time pass, with the collector told that what is there stays."""
    gc.collect()
    gc.freeze()
    events, cpu_s, wall_s = place.world.events_run, time.process_time(), time.perf_counter()
    place.run_for(seconds)
    run = Run(time.process_time() - cpu_s, time.perf_counter() - wall_s, seconds, place.world.events_run - events)
    gc.unfreeze()
    return run


def silent(poles: int, days: float, status_s: int) -> None:
    """Silent poles for days; then says what a thousand for a week would take."""
    began_s = time.process_time()
    quiet = PoleSettings(probe=ProbeSettings(every_ns=0))
    place = Province(settings(poles, status_s=status_s, pole=quiet), seed=1)
    place.run_for(120)
    start_s = time.process_time() - began_s
    run = timed(place, days * DAY_S)
    airings = len(place.controller.database.airings)
    whole_s = (run.cpu_s / (poles * days)) * 7_000 + start_s / poles * 1_000
    print(
        f"silent, {poles} poles x {days:g} days, status each {status_s} s: "
        f"{run.cpu_s:.1f} s CPU ({run.wall_s:.1f} s wall) + {start_s:.1f} s start, {run.events:,} events, "
        f"{airings:,} records stored, {1000 * run.cpu_s / poles / days:.2f} ms a pole and day, "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB"
    )
    print(f"    1,000 poles x 7 days: {whole_s:.0f} s (target {TARGET_SILENT_S:.0f} s)")


def full(poles: int, seconds: float, what: str, card: SimulatedCardSettings) -> None:
    """Poles that render and are heard, sample by sample."""
    pole, hours = PoleSettings(sound=SoundMode.FULL, card=card), 0 if what == "programme" else 6
    place = Province(settings(poles, status_s=30, pole=pole, hours=hours), seed=1)
    if what == "programme":
        place.run_until(place.instant("05:31:05"))
    else:
        place.run_for(60)
        asked = place.press(COMMUNE, FLOOD) if what == "emergency" else place.relay(COMMUNE, FEED, minutes=60)
        place.run_for(10)
        assert asked.answer is not None  # noqa: S101 - a benchmark of silence would be worth nothing
    run = timed(place, seconds)
    heard = sum(bool(pole.ear.sounds) or pole.ear.current is not None for pole in place.poles.values())
    block_ms = card.block_frames // SAMPLES_PER_MS
    print(
        f"full, {poles} poles, {what}, blocks of {block_ms} ms: {run.simulated_s / run.cpu_s:.1f}x real time "
        f"(target {TARGET_FULL:.0f}x), {run.cpu_s:.1f} s CPU for {run.simulated_s:.0f} s, {heard} poles heard"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whole", action="store_true", help="the sizes that are asked for; takes minutes")
    parser.add_argument("--status-s", type=int, default=DAY_S, help="seconds between two statuses of a silent pole")
    options = parser.parse_args()
    collect_rarely()
    poles, days, seconds = (1_000, 7.0, 600.0) if options.whole else (100, 7.0, 60.0)
    silent(poles, days, options.status_s)
    silent(50, 0.25, 30)
    for what in ("programme", "emergency", "relay"):
        full(32, min(seconds, 400.0), what, LARGE_CARD)
    full(32, min(seconds, 400.0), "programme", SimulatedCardSettings())
    print(f"seconds of CPU on one core; true time is counted in ns, {NS_PER_S:,} a second")


if __name__ == "__main__":
    main()
