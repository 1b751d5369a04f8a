"""Ways to a time service and a node's crystal, as numbers: what the clock's filter is tried with, quick and seeded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.clock_sync import TimeSample, sample_of
from protocol.units import NS_PER_MS, NS_PER_S, MonotonicNs, SharedNs
from simulator.chance import Chance, stream_of
from simulator.network.delay import MOBILE, DelayModel

T0_NS: Final = 1_800_000_000 * NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """There and back."""

    up: DelayModel
    down: DelayModel


WIRED: Final = Way(
    up=DelayModel(fixed_ns=200_000, jitter_mean_ns=50_000), down=DelayModel(fixed_ns=200_000, jitter_mean_ns=50_000)
)
WIFI: Final = Way(
    up=DelayModel(fixed_ns=NS_PER_MS, jitter_mean_ns=NS_PER_MS, spike_ppm=20_000, spike_mean_ns=20 * NS_PER_MS),
    down=DelayModel(fixed_ns=NS_PER_MS, jitter_mean_ns=NS_PER_MS, spike_ppm=20_000, spike_mean_ns=20 * NS_PER_MS),
)
FOUR_G: Final = Way(up=MOBILE.up, down=MOBILE.down)
LOPSIDED: Final = Way(
    up=DelayModel(fixed_ns=5 * NS_PER_MS, jitter_mean_ns=80 * NS_PER_MS, jitter_shape=1),
    down=DelayModel(fixed_ns=5 * NS_PER_MS),
)
"""A queue on the way there alone."""
WAYS: Final = {"wired": WIRED, "wifi": WIFI, "4g": FOUR_G, "lopsided": LOPSIDED}


class Traveller:
    """A node that asks: true time passes with `wait`, its raw clock runs by its crystal."""

    def __init__(self, way: Way, *, ppb: int, seed: int) -> None:
        self.way = way
        self.ppb = ppb
        self.shift_ns = 0
        """By how much the service's clock is set wrong."""
        self.held_up_ns = (0, 0)
        """What somebody adds to the way there and back."""
        self._chance: Chance = stream_of(seed, "way")
        self._true_ns = 0
        self._raw_ns = 7 * NS_PER_S

    @property
    def raw_ns(self) -> MonotonicNs:
        """What the raw clock reads."""
        return MonotonicNs(self._raw_ns)

    @property
    def true_offset_ns(self) -> int:
        """What a filter should know now."""
        return T0_NS + self._true_ns + self.shift_ns - self._raw_ns

    def wait(self, ns: int) -> None:
        """Let true time pass."""
        self._true_ns += ns
        self._raw_ns += ns + ns * self.ppb // 1_000_000_000

    def burst(self, samples: int = 8) -> list[TimeSample]:
        """Ask so many times, one after the other."""
        return [self.ask() for _ in range(samples)]

    def ask(self) -> TimeSample:
        """One exchange."""
        sent = self.raw_ns
        self.wait(self.way.up.sample_ns(self._chance, 1) + self.held_up_ns[0])
        told = SharedNs(T0_NS + self._true_ns + self.shift_ns)
        self.wait(self.way.down.sample_ns(self._chance, 1) + self.held_up_ns[1])
        return sample_of(sent=sent, arrived=told, left=told, received=self.raw_ns)
