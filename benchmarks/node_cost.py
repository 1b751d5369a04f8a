"""CPU and memory of one node while it plays Opus, beside Snapcast's client on the same audio in the same run.

Both take the same station programme: the node through controller, TLS broker, signatures and PortAudio into
ALSA; snapclient from a snapserver that is fed with the same feed, Opus as well, into /dev/null (its `file`
player), as its maintainers measure it. Run: `./scripts/bench node_cost`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from benchmarks.commune import await_true, commune
from benchmarks.measure import ProcessWatch, Usage, print_table
from benchmarks.real.snapcast import snapclient, snapserver

SETTLE_S = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to measure (default: 60)")
    seconds = parser.parse_args(arguments).seconds
    with (
        commune(node_count=1) as world,
        snapserver(world.station.urls["mp3"]) as port,
        snapclient(port) as peer_process,
    ):
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
