"""What can go wrong on a bench for reasons that a text explains."""

from __future__ import annotations

from typing import Final

from controller.errors import ControllerError
from simulator.bench_site import SiteError
from simulator.demo.broker import BrokerError
from simulator.demo.clips import ClipError
from simulator.demo.console import ConsoleError
from simulator.demo.processes import ChildError
from simulator.device.bench import BenchError

EXPECTED_ERRORS: Final = (BenchError, BrokerError, ChildError, ClipError, ConsoleError, ControllerError, SiteError)
