"""The list of checkers by name."""

from __future__ import annotations

from typing import Final

from simulator.checkers.air_time import AIR_TIME
from simulator.checkers.emergency import EMERGENCY
from simulator.checkers.evidence import Checker
from simulator.checkers.fetch_budget import FETCH_BUDGET
from simulator.checkers.heard import HEARD
from simulator.checkers.items import ITEMS
from simulator.checkers.memory import MEMORY
from simulator.checkers.power import POWER
from simulator.checkers.priority import PRIORITY
from simulator.checkers.proof import PROOF
from simulator.checkers.punctual import PUNCTUAL
from simulator.checkers.quiet_hours import QUIET_HOURS
from simulator.checkers.recovery import RECOVERY
from simulator.checkers.self_tested import SELF_TESTED
from simulator.checkers.silenced import SILENCED
from simulator.checkers.skew import SKEW
from simulator.checkers.stale import STALE
from simulator.checkers.turns import TURNS
from simulator.checkers.unauthorised import UNAUTHORISED

CHECKERS: Final[dict[str, Checker]] = {
    checker.name: checker
    for checker in (
        UNAUTHORISED,
        QUIET_HOURS,
        STALE,
        AIR_TIME,
        FETCH_BUDGET,
        SILENCED,
        SKEW,
        TURNS,
        PUNCTUAL,
        PRIORITY,
        ITEMS,
        PROOF,
        HEARD,
        SELF_TESTED,
        POWER,
        EMERGENCY,
        RECOVERY,
        MEMORY,
    )
}
"""Each subject once, in the order in which a report shows them."""
