"""The demo's technician: fetches a one-time claim for each node from the running controller, puts it on its card."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from simulator.demo.console import Console, ConsoleError
from simulator.demo.site import DemoSite

READY_S_MAX: Final = 30.0
"""A controller that starts reads media and makes its tables first."""
_POLL_S: Final = 0.1


def claim_places(site: DemoSite, console: Console, *, say: Callable[[str], None] = lambda _: None) -> None:
    """Put a claim on the card of each node that has no identity yet; raises ConsoleError."""
    for node in site.nodes:
        if site.is_enrolled(node.name):
            continue
        file = site.boot_file(node.name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_claim(console, node.name))
        say(f"Claim code for {node.name} on its boot partition")


def _claim(console: Console, node: str) -> str:
    """A claim as soon as the controller answers; it has just been started."""
    deadline = time.monotonic() + READY_S_MAX
    while True:
        try:
            return console.claim(node)
        except ConsoleError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_POLL_S)
