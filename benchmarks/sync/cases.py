"""What is measured: links, machines, sound cards and disturbances, put together as cases.

The 4G link is the one that the project measures with (see docs/player.md); the wired one is a village's fibre line, the
Wi-Fi one stands behind such a line. Loss is no model of its own: below MQTT there is TCP, for which it is lateness, and
that is what the spikes and stalls are. Crystals are given so that everything adds up: where one pole's machine runs
fast its card runs slow, and its neighbour's the other way round, so two poles at 50 ppm are 100 ppm apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from protocol.units import NS_PER_MS
from simulator.network.delay import DelayModel


class Side(StrEnum):
    """Which of two neighbours."""

    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkModel:
    """Both directions between a pole and the controller."""

    name: str
    up: DelayModel
    down: DelayModel


@dataclass(frozen=True, slots=True, kw_only=True)
class CardModel:
    """How a sound path tells its delay: wrong by up to `jitter_ns` either way with every block."""

    name: str
    jitter_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PoleModel:
    """One pole: its line, its two crystals (how much faster than true), how its card speaks.

    `sway_ppm` is how far its machine's crystal goes to and fro in SWAY_S, for instance as the sun comes and goes.
    `gnss_error_ns`: a receiver keeps its system clock, wrong by so much, and our pole is configured to go by that.
    """

    link: LinkModel
    machine_ppm: float
    card_ppm: float
    card: CardModel
    sway_ppm: float = 0.0
    gnss_error_ns: int | None = None


class Kind(StrEnum):
    """What can happen in between."""

    STALL = "stall"
    """The line carries nothing for a while; what waited comes then."""
    CUT = "cut"
    """The connections break; what was under way and what is sent meanwhile is lost."""
    BUSY = "busy"
    """The machine's program does not get to run: nothing is rendered and nothing read."""
    SET = "set"
    """The machine's system clock is set by `by_ms`; its monotonic clock is not."""
    SHARED_STEP = "shared_step"
    """The controller's clock, and with it shared time, is set by `by_ms`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """Something that happens `at_s` seconds after the first sound; `side` None is both poles, or the controller."""

    kind: Kind
    at_s: float
    lasts_s: float = 0.0
    by_ms: float = 0.0
    side: Side | None = None

    def is_of(self, side: Side) -> bool:
        """Whether a pole has it."""
        return self.side is None or self.side is side


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Two neighbours and what happens to them.

    Both have known the controller for `known_s` when the first sound is due. `has_gaps`: the line is away for longer
    than the delay covers, so sound must be lost.
    """

    name: str
    poles: Mapping[Side, PoleModel]
    disturbances: tuple[Disturbance, ...] = ()
    known_s: float = 3_600.0
    has_gaps: bool = False


SWAY_S: Final = 600.0
"""A cloud's shadow, a box that is opened: crystals follow in minutes."""
WIRED: Final = LinkModel(
    name="wired",
    up=DelayModel(fixed_ns=5 * NS_PER_MS, jitter_mean_ns=300_000),
    down=DelayModel(fixed_ns=5 * NS_PER_MS, jitter_mean_ns=300_000),
)
WIFI: Final = LinkModel(
    name="Wi-Fi",
    up=DelayModel(fixed_ns=6 * NS_PER_MS, jitter_mean_ns=2 * NS_PER_MS, spike_ppm=10_000, spike_mean_ns=30 * NS_PER_MS),
    down=DelayModel(
        fixed_ns=6 * NS_PER_MS, jitter_mean_ns=2 * NS_PER_MS, spike_ppm=10_000, spike_mean_ns=30 * NS_PER_MS
    ),
)
MOBILE: Final = LinkModel(
    name="4G",
    up=DelayModel(
        fixed_ns=18 * NS_PER_MS, jitter_mean_ns=12 * NS_PER_MS, spike_ppm=20_000, spike_mean_ns=120 * NS_PER_MS
    ),
    down=DelayModel(
        fixed_ns=12 * NS_PER_MS, jitter_mean_ns=6 * NS_PER_MS, spike_ppm=20_000, spike_mean_ns=120 * NS_PER_MS
    ),
)
ALSA: Final = CardModel(name="ALSA", jitter_ns=300_000)
PULSE: Final = CardModel(name="PulseAudio", jitter_ns=600_000)


def neighbours(
    left: LinkModel,
    right: LinkModel,
    ppm: float,
    *,
    card: CardModel = ALSA,
    sway_ppm: float = 0.0,
    gnss_error_ns: int | None = None,
) -> Mapping[Side, PoleModel]:
    """Two poles whose crystals, and receivers, err in opposite directions."""
    other_error_ns = None if gnss_error_ns is None else -gnss_error_ns
    return {
        Side.LEFT: PoleModel(
            link=left, machine_ppm=ppm, card_ppm=-ppm, card=card, sway_ppm=sway_ppm, gnss_error_ns=gnss_error_ns
        ),
        Side.RIGHT: PoleModel(
            link=right, machine_ppm=-ppm, card_ppm=ppm, card=card, sway_ppm=-sway_ppm, gnss_error_ns=other_error_ns
        ),
    }


def _stalls() -> tuple[Disturbance, ...]:
    """0.5 s without a packet, which the delay covers, each half minute in turn; once 3 s, which it does not."""
    sides = (Side.LEFT, Side.RIGHT)
    short = (
        Disturbance(kind=Kind.STALL, at_s=20.0 + 30.0 * index, lasts_s=0.5, side=sides[index % 2])
        for index in range(18)
    )
    return (*short, Disturbance(kind=Kind.STALL, at_s=305.0, lasts_s=3.0, side=Side.LEFT))


def _cuts() -> tuple[Disturbance, ...]:
    """5 s without a connection: first one pole, then the other."""
    return (
        Disturbance(kind=Kind.CUT, at_s=200.0, lasts_s=5.0, side=Side.LEFT),
        Disturbance(kind=Kind.CUT, at_s=400.0, lasts_s=5.0, side=Side.RIGHT),
    )


_SET: Final = (
    Disturbance(kind=Kind.SET, at_s=200.0, by_ms=7_200_000.0, side=Side.LEFT),
    Disturbance(kind=Kind.SET, at_s=400.0, by_ms=-250.0, side=Side.RIGHT),
)
_SHARED_STEP: Final = (Disturbance(kind=Kind.SHARED_STEP, at_s=300.0, by_ms=40.0),)
_BUSY: Final = tuple(
    Disturbance(kind=Kind.BUSY, at_s=40.0 + 60.0 * index, lasts_s=0.1, side=(Side.LEFT, Side.RIGHT)[index % 2])
    for index in range(9)
)

CASES: Final = (
    Case(name="wired, true crystals", poles=neighbours(WIRED, WIRED, 0.0)),
    Case(name="wired, ±20 ppm", poles=neighbours(WIRED, WIRED, 20.0)),
    Case(name="wired, ±50 ppm", poles=neighbours(WIRED, WIRED, 50.0)),
    Case(name="wired, ±50 ppm, PulseAudio", poles=neighbours(WIRED, WIRED, 50.0, card=PULSE)),
    Case(name="wired, ±50 ppm, sun and shade", poles=neighbours(WIRED, WIRED, 50.0, sway_ppm=3.0)),
    Case(name="Wi-Fi, ±20 ppm", poles=neighbours(WIFI, WIFI, 20.0)),
    Case(name="Wi-Fi, ±50 ppm", poles=neighbours(WIFI, WIFI, 50.0)),
    Case(name="4G, ±20 ppm", poles=neighbours(MOBILE, MOBILE, 20.0)),
    Case(name="4G, ±50 ppm", poles=neighbours(MOBILE, MOBILE, 50.0)),
    Case(name="4G, ±50 ppm, just booted", poles=neighbours(MOBILE, MOBILE, 50.0), known_s=30.0),
    Case(name="wired and 4G, ±50 ppm", poles=neighbours(WIRED, MOBILE, 50.0)),
    Case(name="wired and 4G, ±50 ppm, GNSS", poles=neighbours(WIRED, MOBILE, 50.0, gnss_error_ns=50_000)),
    Case(name="wired, ±50 ppm, machine busy", poles=neighbours(WIRED, WIRED, 50.0), disturbances=_BUSY),
    Case(name="wired, ±50 ppm, clocks set", poles=neighbours(WIRED, WIRED, 50.0), disturbances=_SET),
    Case(name="wired, ±50 ppm, shared step", poles=neighbours(WIRED, WIRED, 50.0), disturbances=_SHARED_STEP),
    Case(name="4G, ±50 ppm, stalls", poles=neighbours(MOBILE, MOBILE, 50.0), disturbances=_stalls(), has_gaps=True),
    Case(name="4G, ±50 ppm, 5 s cuts", poles=neighbours(MOBILE, MOBILE, 50.0), disturbances=_cuts(), has_gaps=True),
)
