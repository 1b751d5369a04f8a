"""What goes wrong, and when: a seeded plan of faults as data.

A plan is a list of faults; each names its instant, its kind, its target and its whole-number parameters, and ends
by itself (`for_ms`), so any entry may be removed and what is left is a valid plan: that is what `shrink` needs.
The table below is the one list of kinds: which part of the world each belongs to, and the bounds of its parameters.
Who applies a fault to which fake is `fault_ports`' affair; who judges what followed are the checkers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import msgspec

from simulator.chance import Chance, stream_of

_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
ENTRIES_MAX: Final = 10_000
"""More faults than this in one plan find nothing that fewer would not."""


class FaultError(ValueError):
    """A fault plan that cannot be meant; the text names the entry."""


class Room(StrEnum):
    """The parts of the world that faults happen to; each has its own kinds of target."""

    CLOCK = "clock"
    NETWORK = "network"
    BROKER = "broker"
    CARD = "card"
    PINS = "pins"
    STORAGE = "storage"
    NODE = "node"
    MEDIA = "media"
    CONTROLLER = "controller"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """One row: the room, and for each parameter its least and greatest value."""

    room: Room
    says: str
    parameters: dict[str, tuple[int, int]] = field(default_factory=dict)


_SHORT: Final = (100, 10 * _MINUTE_MS)
_LONG: Final = (_MINUTE_MS, 2 * _DAY_MS)
_ALONE: Final = (_HOUR_MS, 14 * _DAY_MS)

KINDS: Final[dict[str, FaultKind]] = {
    "clock_step": FaultKind(
        room=Room.CLOCK, says="the system clock is set wrong", parameters={"by_ms": (-7_200_000, 7_200_000)}
    ),
    "clock_drift": FaultKind(
        room=Room.CLOCK,
        says="the crystal's rate changes with its temperature",
        parameters={"ppb": (-100_000, 100_000), "for_ms": _LONG},
    ),
    "clock_unsynchronised": FaultKind(room=Room.CLOCK, says="no time server for a while", parameters={"for_ms": _LONG}),
    "network_cut": FaultKind(room=Room.NETWORK, says="nothing passes", parameters={"for_ms": (100, 3 * _DAY_MS)}),
    "network_reset": FaultKind(room=Room.NETWORK, says="the modem restarts: connections are reset"),
    "network_half_open": FaultKind(room=Room.NETWORK, says="the operator's NAT forgets the connections"),
    "network_slow": FaultKind(
        room=Room.NETWORK,
        says="a crowded cell: longer delays, more loss, less bandwidth",
        parameters={"delay_ms": (50, 2_000), "loss_ppm": (0, 200_000), "kbps": (32, 2_000), "for_ms": _LONG},
    ),
    "network_cap": FaultKind(
        room=Room.NETWORK, says="the SIM's volume is spent until it is renewed", parameters={"for_ms": _LONG}
    ),
    "broker_restart": FaultKind(
        room=Room.BROKER, says="an orderly stop and start", parameters={"for_ms": (100, 10 * _MINUTE_MS)}
    ),
    "broker_kill": FaultKind(
        room=Room.BROKER, says="killed: what was not saved is lost", parameters={"for_ms": (100, 10 * _MINUTE_MS)}
    ),
    "broker_power_loss": FaultKind(
        room=Room.BROKER,
        says="its machine is dead; with `loses_disk` 1 what it had saved is gone too",
        parameters={"for_ms": (1_000, _HOUR_MS), "loses_disk": (0, 1)},
    ),
    "card_underrun": FaultKind(room=Room.CARD, says="the card starves", parameters={"for_ms": (5, 2_000)}),
    "card_unplugged": FaultKind(room=Room.CARD, says="the card is gone, then back", parameters={"for_ms": _SHORT}),
    "card_drift": FaultKind(
        room=Room.CARD, says="the card's own crystal moves", parameters={"ppb": (-200_000, 200_000)}
    ),
    "pins_stuck": FaultKind(
        room=Room.PINS, says="the relay's contact sticks", parameters={"level": (0, 1), "for_ms": _LONG}
    ),
    "pins_mains": FaultKind(room=Room.PINS, says="no mains: the amplifier is dead", parameters={"for_ms": _LONG}),
    "horn_dead": FaultKind(
        room=Room.PINS, says="a horn's wire is cut or its coil burnt: power and no sound", parameters={"for_ms": _LONG}
    ),
    "pins_door": FaultKind(room=Room.PINS, says="the box is opened", parameters={"for_ms": _SHORT}),
    "pins_button": FaultKind(room=Room.PINS, says="somebody presses the button", parameters={"for_ms": (20, 10_000)}),
    "storage_full": FaultKind(room=Room.STORAGE, says="no room left on the SD card", parameters={"for_ms": _LONG}),
    "storage_slow": FaultKind(
        room=Room.STORAGE, says="each write takes long", parameters={"delay_ms": (50, 30_000), "for_ms": _SHORT}
    ),
    "storage_read_only": FaultKind(
        room=Room.STORAGE, says="the file system turned read-only", parameters={"for_ms": _LONG}
    ),
    "storage_worn": FaultKind(
        room=Room.STORAGE, says="a share of the files comes back damaged", parameters={"ppm": (1, 100_000)}
    ),
    "node_power_cut": FaultKind(
        room=Room.NODE,
        says="power is gone, in the middle of write `at_write` from now if there is one, and comes back",
        parameters={"at_write": (0, 20), "for_ms": (1_000, 8 * _HOUR_MS), "rtc_is_dead": (0, 1)},
    ),
    "node_restart": FaultKind(room=Room.NODE, says="the agent's process is killed and started again"),
    "media_down": FaultKind(room=Room.MEDIA, says="the media server refuses", parameters={"for_ms": _LONG}),
    "media_slow": FaultKind(
        room=Room.MEDIA, says="the media server crawls", parameters={"kbps": (1, 64), "for_ms": _LONG}
    ),
    "media_corrupt": FaultKind(
        room=Room.MEDIA, says="the media server's bytes are not what was asked for", parameters={"for_ms": _LONG}
    ),
    "controller_restart": FaultKind(
        room=Room.CONTROLLER, says="the controller is away", parameters={"for_ms": (1_000, 2 * _HOUR_MS)}
    ),
    "site_away": FaultKind(
        room=Room.CONTROLLER,
        says="broker, controller and media server are gone together: every pole is alone",
        parameters={"for_ms": _ALONE},
    ),
    "controller_clock": FaultKind(
        room=Room.CONTROLLER, says="the controller's clock is set wrong", parameters={"by_ms": (-60_000, 60_000)}
    ),
}


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that goes wrong, `at_ms` after the scenario's beginning."""

    at_ms: int
    kind: str
    target: str
    parameters: dict[str, int] = {}

    @property
    def room(self) -> Room:
        """Where it happens."""
        return KINDS[self.kind].room

    @property
    def ends_at_ms(self) -> int:
        """When it is over; an instant for what has no duration."""
        return self.at_ms + self.parameters.get("for_ms", 0)


class FaultPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Faults in the order in which they happen."""

    faults: tuple[Fault, ...] = ()

    def without(self, indices: frozenset[int]) -> FaultPlan:
        """The plan less some entries; always valid."""
        return FaultPlan(faults=tuple(fault for index, fault in enumerate(self.faults) if index not in indices))


class FaultBounds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a generated plan may contain.

    `targets` names the things of each room that may be hit; a room without targets has no faults. `kinds` narrows the
    kinds (empty: all of the rooms that have targets). The last fault is over at `horizon_ms`, so that recovery can
    be judged after it.
    """

    horizon_ms: int
    count_max: int
    targets: dict[Room, tuple[str, ...]]
    kinds: tuple[str, ...] = ()
    count_min: int = 0


def generate_faults(seed: int, bounds: FaultBounds) -> FaultPlan:
    """The plan of a seed; raises FaultError for bounds that allow nothing.

    Durations are drawn evenly over their orders of magnitude, since short and long faults find different mistakes.
    """
    kinds = [
        name
        for name, kind in KINDS.items()
        if bounds.targets.get(kind.room) and (not bounds.kinds or name in bounds.kinds)
    ]
    if not kinds or bounds.horizon_ms <= 0 or not 0 <= bounds.count_min <= bounds.count_max <= ENTRIES_MAX:
        message = "the bounds of the faults allow nothing: give targets, kinds, a horizon and a count"
        raise FaultError(message)
    chance = stream_of(seed, "faults")
    faults = []
    for _ in range(chance.within(bounds.count_min, bounds.count_max)):
        name = kinds[chance.within(0, len(kinds) - 1)]
        kind = KINDS[name]
        targets = bounds.targets[kind.room]
        target = targets[chance.within(0, len(targets) - 1)]
        parameters = {
            parameter: _draw_duration(chance, *span) if parameter == "for_ms" else chance.within(*span)
            for parameter, span in kind.parameters.items()
        }
        at_ms = chance.within(0, bounds.horizon_ms - 1)
        if "for_ms" in parameters:
            parameters["for_ms"] = max(1, min(parameters["for_ms"], bounds.horizon_ms - at_ms))
        faults.append(Fault(at_ms=at_ms, kind=name, target=target, parameters=parameters))
    faults.sort(key=lambda fault: fault.at_ms)
    return FaultPlan(faults=tuple(faults))


def _draw_duration(chance: Chance, least: int, most: int) -> int:
    """Evenly over the powers of two between the bounds, then evenly within one."""
    power = chance.within(least.bit_length(), most.bit_length())
    return min(max(chance.within(1 << (power - 1), (1 << power) - 1), least), most)


def check_faults(plan: FaultPlan) -> None:
    """Raise FaultError for a kind or parameter that does not exist, is missing, or lies out of its bounds.

    A duration may be shorter than its bound: shrinking shortens it.
    """
    if len(plan.faults) > ENTRIES_MAX:
        message = f"{len(plan.faults)} faults are more than {ENTRIES_MAX}"
        raise FaultError(message)
    for index, fault in enumerate(plan.faults):
        kind = KINDS.get(fault.kind)
        if kind is None:
            message = f"fault {index}: there is no kind {fault.kind!r}; the kinds are {', '.join(KINDS)}"
            raise FaultError(message)
        if fault.at_ms < 0 or set(fault.parameters) != set(kind.parameters):
            message = (
                f"fault {index} ({fault.kind}) needs at_ms >= 0 and exactly these parameters: {list(kind.parameters)}"
            )
            raise FaultError(message)
        for parameter, (least, most) in kind.parameters.items():
            allowed_from = 1 if parameter == "for_ms" else least
            if not allowed_from <= fault.parameters[parameter] <= most:
                message = f"fault {index} ({fault.kind}): {parameter} must be from {allowed_from} to {most}"
                raise FaultError(message)


def encode_faults(plan: FaultPlan) -> bytes:
    """Canonical JSON: equal plans are equal bytes."""
    return msgspec.json.encode(plan, order="deterministic")


def decode_faults(data: bytes) -> FaultPlan:
    """Read a plan and check it; raises FaultError."""
    try:
        plan = msgspec.json.decode(data, type=FaultPlan)
    except msgspec.MsgspecError as error:
        message = f"this is not a fault plan: {error}"
        raise FaultError(message) from error
    check_faults(plan)
    return plan
