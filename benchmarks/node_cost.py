"""CPU and memory of one node while it plays Opus, beside Snapcast's client on the same audio in the same run.

Both take the same station programme: the node through controller, TLS broker, signatures and PortAudio into
ALSA; snapclient from a snapserver that is fed with the same feed, Opus as well, into /dev/null (its `file`
player), as its maintainers measure it. The node has the service's environment (`systemd/loaxa-edge.service`), compiled
modules, and has been started anew since it enrolled, for that is how poles run. Run: `./scripts/bench node_cost`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import yaml

from benchmarks.commune import Changes, await_true, commune
from benchmarks.measure import ProcessWatch, Usage, print_table
from benchmarks.real.snapcast import snapclient, snapserver
from simulator.demo.site import DemoSite

SETTLE_S: Final = 5.0
UNIT: Final = Path(__file__).parent.parent / "systemd" / "loaxa-edge.service"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to measure (default: 60)")
    parser.add_argument("--frames", type=int, help="relay.frames_per_packet, if not as shipped")
    options = parser.parse_args(arguments)
    seconds = options.seconds
    changes = Changes(
        before_start=lambda site, _: _packets_of(site, options.frames), environment_of=lambda _: as_on_a_pole()
    )
    with (
        commune(node_count=1, changes=changes) as world,
        snapserver(world.station.urls["mp3"]) as port,
        snapclient(port) as peer_process,
    ):
        world.start_anew("N001")
        world.start_relay("station")
        await_true(lambda: world.hears("N001"), "sound on the node")
        time.sleep(SETTLE_S)
        watches = [ProcessWatch([world.pid("N001")]), ProcessWatch([peer_process.pid])]
        time.sleep(seconds)
        node, peer = [watch.read() for watch in watches]
        if not world.hears("N001"):
            sys.stderr.write("the node fell silent while it was measured\n")
            return 1
    print_table(
        f"One listener, {seconds:.0f} s of Opus at 48 kHz",
        [_row("loaxa-edge", node), _row("snapclient", peer)],
        note=f"CPU ratio {node.cpu_s / peer.cpu_s:.2f} (target <= 2), node {node.resident_mib:.0f} MiB (target <= 60)",
    )
    return 0


def as_on_a_pole() -> dict[str, str]:
    """What the service sets; and the compiled modules that pip leaves beside the source are used, or made."""
    lines = [line for line in UNIT.read_text().splitlines() if line.startswith("Environment=")]
    settings = [setting.partition("=") for line in lines for setting in line.removeprefix("Environment=").split()]
    return {"PYTHONDONTWRITEBYTECODE": "", **{name: value for name, _, value in settings}}


def _packets_of(site: DemoSite, frames: int | None) -> None:
    """Have the relay put so many frames into a packet."""
    if frames is None:
        return
    path = site.controller_configuration
    settings = yaml.safe_load(path.read_text())
    settings["relay"] = {**settings.get("relay", {}), "frames_per_packet": frames}
    path.write_text(yaml.safe_dump(settings, allow_unicode=True, sort_keys=False))


def _row(name: str, usage: Usage) -> dict[str, str]:
    return {
        "process": name,
        "CPU ms per s of audio": f"{1000 * usage.cpu_s / usage.wall_s:.1f}",
        "% of a core": f"{usage.cpu_percent:.2f}",
        "RSS MiB": f"{usage.resident_mib:.1f}",
        "PSS MiB": f"{usage.proportional_mib:.1f}",
    }


if __name__ == "__main__":
    sys.exit(main())
