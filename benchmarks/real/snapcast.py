"""Debian's Snapcast as a peer: a snapserver fed with the same feed as our controller, and snapclients.

Clients write into a file or FIFO by Snapcast's own `file` player, as its maintainers measure it. All listen on free
ports of loopback and leave nothing behind.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.commune import await_true
from simulator.demo.broker import free_port
from simulator.demo.station import answers


@contextmanager
def snapserver(url: str, *, codec: str = "opus") -> Iterator[int]:
    """A snapserver that sends the feed at `url`, with its own defaults otherwise; yields its stream port."""
    with tempfile.TemporaryDirectory(prefix="loaxa-snapcast-") as folder:
        ports = {name: free_port() for name in ("stream", "tcp", "http")}
        configuration = Path(folder) / "snapserver.conf"
        decode = f"-nostdin -loglevel error -i {url} -f s16le -ar 48000 -ac 2 -"
        source = f"process:///usr/bin/ffmpeg?name=station&sampleformat=48000:16:2&codec={codec}"
        configuration.write_text(
            f"[server]\ndatadir = {folder}\n[http]\nenabled = true\nport = {ports['http']}\n"
            f"bind_to_address = 127.0.0.1\n[tcp]\nenabled = true\nport = {ports['tcp']}\n"
            f"bind_to_address = 127.0.0.1\n[stream]\nport = {ports['stream']}\nbind_to_address = 127.0.0.1\n"
            f"source = {source}&params={_escaped(decode)}\n[logging]\nsink = null\n"
        )
        with _running(["snapserver", "-c", str(configuration)]):
            await_true(lambda: answers(ports["stream"]), "the snapserver")
            yield ports["stream"]


def snapclient_command(port: int, target: Path, *, instance: int = 1) -> list[str]:
    """A client of the server, or of a path to it, at `port`; it plays stereo of 16 bits into `target`."""
    command = ["snapclient", "-h", "127.0.0.1", "-p", str(port), "--mixer", "none", "--logsink", "null"]
    return [*command, "-i", str(instance), "--hostID", f"bench{instance}", "--player", f"file:filename={target}"]


@contextmanager
def snapclient(port: int, target: Path = Path("/dev/null")) -> Iterator[subprocess.Popen[bytes]]:
    """One client; yields its process."""
    with _running(snapclient_command(port, target)) as process:
        yield process


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace(" ", "%20").replace(":", "%3A").replace("?", "%3F").replace("&", "%26")
