"""What `loaxa-sim fleet` does: brings a fleet up, lets it be looked at, says how it was."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from controller.errors import ControllerError
from simulator.bench_site import CLIP, COMMUNE, SiteError
from simulator.demo.broker import BrokerError
from simulator.demo.clips import ClipError
from simulator.demo.console import ConsoleError
from simulator.demo.processes import ChildError
from simulator.demo.station import StationError
from simulator.fleet.run import FleetError, running_fleet

EXPECTED_ERRORS: Final = (
    BrokerError,
    ChildError,
    ClipError,
    ConsoleError,
    ControllerError,
    FleetError,
    SiteError,
    StationError,
)
EMERGENCY_MINUTES: Final = 30
_LOOK_S: Final = 1.0


class FleetFound(msgspec.Struct, frozen=True, kw_only=True):
    """How a fleet was at its end."""

    nodes: int
    ready: int
    sounding: int
    seconds: float


def show_fleet(
    *, nodes: int, seconds: float | None, has_stream: bool, has_emergency: bool, say: Callable[[str], None]
) -> FleetFound:
    """Run a fleet for some seconds, or until it is stopped from outside."""
    with tempfile.TemporaryDirectory(prefix="loaxa-fleet-", ignore_cleanup_errors=True) as folder:
        return asyncio.run(
            _show(Path(folder), nodes, seconds, has_stream=has_stream, has_emergency=has_emergency, say=say)
        )


async def _show(
    folder: Path,
    nodes: int,
    seconds: float | None,
    *,
    has_stream: bool,
    has_emergency: bool,
    say: Callable[[str], None],
) -> FleetFound:
    async with running_fleet(folder, nodes=nodes, has_stream=has_stream, say=say) as fleet:
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        say(f"ready: {nodes} nodes. The page: {fleet.address}   token: {folder / 'api.token'}")
        if has_emergency:
            await asyncio.to_thread(fleet.console.start_emergency, area=COMMUNE, clip=CLIP, minutes=EMERGENCY_MINUTES)
        while seconds is None or loop.time() - begin_s < seconds:
            fleet.children.watch()
            for member in fleet.members:
                if member.failure.done():
                    member.failure.result()
            await asyncio.sleep(_LOOK_S)
        return FleetFound(
            nodes=nodes,
            ready=await asyncio.to_thread(fleet.ready),
            sounding=fleet.sounding(),
            seconds=round(loop.time() - begin_s, 1),
        )
