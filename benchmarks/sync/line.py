"""One TCP connection between a pole and the controller, in virtual time: late, in order, sometimes away.

What is sent first arrives first, so one late message holds up those behind it, as TCP does. A stall lets everything
wait; a cut loses what is under way and what is sent meanwhile (nobody keeps sound or questions about the time for
later). Messages take no bandwidth: neither sound nor questions of the time fill any of these lines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.sync.cases import Kind, LinkModel
from simulator.network.delay import DelayModel
from simulator.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A while, in true time, in which a line is away."""

    kind: Kind
    begins_ns: int
    ends_ns: int


class _Direction:
    def __init__(self, world: World, name: str, model: DelayModel, outages: tuple[Outage, ...]) -> None:
        self._world = world
        self._name: Final = name
        self._model: Final = model
        self._outages: Final = outages
        self._arrived_ns = 0

    def send(self, action: Callable[..., object], *arguments: object) -> None:
        """Let `action(*arguments)` happen at the other end."""
        leaves_ns = self._world.now_ns
        for outage in self._outages:
            if outage.begins_ns <= leaves_ns < outage.ends_ns:
                if outage.kind is Kind.CUT:
                    return
                leaves_ns = outage.ends_ns
        arrives_ns = leaves_ns + self._model.sample_ns(self._world.chance(self._name), 1)
        for outage in self._outages:
            if leaves_ns < outage.begins_ns < arrives_ns:
                if outage.kind is Kind.CUT:
                    return
                arrives_ns += outage.ends_ns - outage.begins_ns
        self._arrived_ns = arrives_ns = max(arrives_ns, self._arrived_ns)
        self._world.at(arrives_ns, action, *arguments)


class Line:
    """A connection; a pole has one for sound and one for the time, over the same link."""

    def __init__(self, world: World, name: str, model: LinkModel, outages: tuple[Outage, ...]) -> None:
        self.up: Final = _Direction(world, f"{name} up", model.up, outages)
        self.down: Final = _Direction(world, f"{name} down", model.down, outages)
