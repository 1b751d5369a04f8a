"""A site of any size that a command starts by itself: keys, broker, controller with its configuration.

For load, fleets and the bench of a device. One commune with villages of equal size; nobody has quiet hours, so that
it works at any hour of the day. The broker's configuration is the demo's, but for the address it listens on and for
the log line of each connection, which would be measured too.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from simulator.demo.broker import BrokerFiles, await_broker, free_port, write_broker_files
from simulator.demo.clips import DemoClips, make_clips
from simulator.demo.console import Console, ConsoleError
from simulator.demo.processes import Children, last_lines
from simulator.demo.site import NO_PORTS, DemoSite

CONTROLLER: Final = "controller1"
COMMUNE: Final = "xa-binh-minh"
FEED: Final = "station"
CLIP: Final = "flood"
LOOPBACK: Final = "127.0.0.1"
CONTROLLER_S_MAX: Final = 180.0
"""Ten thousand nodes of YAML, and as many assignments to sign and store, take a controller a minute."""
_POLL_S: Final = 0.25


class SiteError(Exception):
    """The site does not come up; the text shows the end of the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePlan:
    """What is to be written. `report_keys` names the nodes, in the order of their villages."""

    report_keys: Mapping[str, str]
    feed_url: str | None = None
    nodes_a_village: int = 100
    listen: str = LOOPBACK
    programmes: Sequence[dict[str, Any]] = field(default_factory=tuple)

    def village(self, index: int) -> str:
        """Where the node with this index stands."""
        return f"thon-{index // self.nodes_a_village:03d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSite:
    """What was written."""

    folder: Path
    broker: BrokerFiles
    console: Console
    console_port: int
    media_port: int
    clips: DemoClips
    area: str = COMMUNE


def write_site(folder: Path, plan: SitePlan) -> BenchSite:
    """Write the configurations; keys were made in `folder/pki` before. Raises ClipError."""
    clips = make_clips(folder / "clips")
    site = BenchSite(
        folder=folder,
        broker=BrokerFiles(
            folder=folder / "broker",
            pki=folder / "pki",
            port=free_port(),
            time_port=free_port(),
            services_port=free_port(),
        ),
        console_port=(console_port := free_port()),
        media_port=free_port(),
        console=Console(port=console_port, token_file=folder / "api.token"),
        clips=clips,
    )
    write_broker_files(site.broker, controllers=(CONTROLLER,), listen=plan.listen)
    text = site.broker.configuration.read_text()
    text = text.replace("connection_messages true", "connection_messages false").replace("log_type notice\n", "")
    site.broker.configuration.write_text(text)
    token_file = folder / "api.token"
    token_file.touch(mode=0o600)
    token_file.write_text(secrets.token_urlsafe(24) + "\n")
    write_controller(site, plan)
    return site


def write_controller(site: BenchSite, plan: SitePlan) -> None:
    """Write the controller's configuration; it reads it when it starts."""
    (site.folder / "controller.yaml").write_text("".join(_lines(_controller(site, plan))))


def start_site(site: BenchSite, children: Children) -> None:
    """Start broker and controller; returns when both answer. Raises BrokerError, ChildError or SiteError."""
    children.start("broker", site.broker.command)
    if site.broker.pki.joinpath("controller.pem").exists():
        await_broker(site.broker)
    start_controller(site, children)


def start_controller(site: BenchSite, children: Children) -> None:
    """Start the controller; returns when it answers."""
    command = DemoSite(folder=site.folder, ports=NO_PORTS).controller_command()
    children.start("controller", command)
    deadline_s = time.monotonic() + CONTROLLER_S_MAX
    while True:
        try:
            site.console.airings(limit=1)
        except ConsoleError as error:
            if time.monotonic() > deadline_s:
                log = children["controller"].log
                raise SiteError(f"the controller does not answer ({error}); {log}:\n{last_lines(log)}") from error
            children.watch()
            time.sleep(_POLL_S)
        else:
            return


def _controller(site: BenchSite, plan: SitePlan) -> dict[str, Any]:
    names = list(plan.report_keys)
    villages = dict.fromkeys(plan.village(index) for index in range(len(names)))
    return {
        "controller": CONTROLLER,
        "broker": {"host": "localhost", "port": site.broker.services_port},
        "trust": {
            "ca": "pki/ca.pem",
            "certificate": "pki/controller.pem",
            "private_key": "pki/controller.key",
            "keyset": "pki/keyset.cose",
            "root_keys": "pki/root_keys.json",
            "signing_keys": [{"key_id": key, "path": f"pki/{key}.key"} for key in ("operations-1", "drill-1")],
        },
        "database": "sqlite:///controller.sqlite",
        "state_dir": "state",
        "http": {
            "nodes": {
                "host": plan.listen,
                "port": site.media_port,
                "certificate": "pki/server.pem",
                "private_key": "pki/server.key",
            },
            "console": {"port": site.console_port, "token_file": "api.token"},
        },
        "feeds": [{"id": FEED, "title": "Đài thử", "urls": [plan.feed_url]}] if plan.feed_url else [],
        "emergency": {"chime_ms": 0},  # what is heard is compared with the clip from its first sample on
        "clips": [{"id": CLIP, "title": "Lũ khẩn cấp", "file": str(site.clips.flood)}],
        "programmes": list(plan.programmes),
        "areas": [
            {"id": COMMUNE, "title": "Xã Bình Minh", "level": "commune"},
            *(
                {"id": village, "title": f"Thôn {number}", "level": "village", "parent": COMMUNE}
                for number, village in enumerate(villages, start=1)
            ),
        ],
        "nodes": [
            {
                "id": name,
                "title": f"Cụm loa {name}",
                "area": plan.village(index),
                "report_key": report_key,
                "quiet_hours": "none",
            }
            for index, (name, report_key) in enumerate(plan.report_keys.items())
        ],
    }


def _lines(document: dict[str, Any]) -> Iterator[str]:
    """YAML, one entry of a list a line: JSON is YAML, and a hundred times as quick to write."""
    for key, value in document.items():
        if isinstance(value, list) and value:
            yield f"{key}:\n"
            yield from (f"  - {json.dumps(entry, ensure_ascii=False)}\n" for entry in value)
        else:
            yield f"{key}: {json.dumps(value, ensure_ascii=False)}\n"
