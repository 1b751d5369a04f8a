"""CPU and memory of one node while it plays Opus, beside Snapcast's client on the same audio in the same run.

Both take the same station programme: the node through controller, TLS broker, signatures and PortAudio into
ALSA; snapclient from a snapserver that is fed with the same feed, Opus as well, into /dev/null (its `file`
player), as its maintainers measure it. Run: `./scripts/bench node_cost`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.commune import await_true, commune
from benchmarks.measure import ProcessWatch, Usage, print_table
from simulator.demo.broker import free_port
from simulator.demo.station import answers

SETTLE_S = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to measure (default: 60)")
    seconds = parser.parse_args(arguments).seconds
    with commune(node_count=1) as world, snapcast(world.station.urls["mp3"]) as snapclient:
        world.start_relay("station")
        await_true(lambda: world.hears("N001"), "sound on the node")
        time.sleep(SETTLE_S)
        watches = [ProcessWatch([world.pid("N001")]), ProcessWatch([snapclient.pid])]
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


@contextmanager
def snapcast(url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A snapserver that sends the feed at `url` as Opus, and one snapclient that plays it; yields the client."""
    with tempfile.TemporaryDirectory(prefix="loaxa-snapcast-") as folder:
        ports = {name: free_port() for name in ("stream", "tcp", "http")}
        configuration = Path(folder) / "snapserver.conf"
        decode = f"-nostdin -loglevel error -i {url} -f s16le -ar 48000 -ac 2 -"
        source = f"process:///usr/bin/ffmpeg?name=station&sampleformat=48000:16:2&codec=opus&params={_escaped(decode)}"
        configuration.write_text(
            f"[server]\ndatadir = {folder}\n[http]\nenabled = true\nport = {ports['http']}\n"
            f"bind_to_address = 127.0.0.1\n[tcp]\nenabled = true\nport = {ports['tcp']}\n"
            f"bind_to_address = 127.0.0.1\n[stream]\nport = {ports['stream']}\nbind_to_address = 127.0.0.1\n"
            f"source = {source}\n[logging]\nsink = null\n"
        )
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        server = subprocess.Popen(["snapserver", "-c", str(configuration)], **quiet)  # type: ignore[call-overload] # the same three for both
        await_true(lambda: answers(ports["stream"]), "the snapserver")
        client_command = ["snapclient", "-h", "127.0.0.1", "-p", str(ports["stream"]), "--mixer", "none"]
        client_command += ["--player", "file:filename=/dev/null", "--logsink", "null"]
        client = subprocess.Popen(client_command, **quiet)  # type: ignore[call-overload] # as above
        try:
            yield client
        finally:
            for process in (client, server):
                process.terminate()
                process.wait(10)


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace(" ", "%20").replace(":", "%3A").replace("?", "%3F").replace("&", "%26")


if __name__ == "__main__":
    sys.exit(main())
