"""Rounds: which zone speaks when, where zones speak one after another; pure.

A node's turn is its own (`nodes[].turn`), or that of the nearest area above it that has one (`areas[].turn`), or the
first. A round of an area has as many turns as the highest one in it asks for, each as long as the sound and the pause
that its last echo needs. Where all nodes of an area have one turn there is nothing to take in turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from controller.areas import AreaTree
from controller.configuration.config import Config
from protocol.turns import ROUND_MS_MAX, Turns


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """The turns of one site's nodes, those of the first turn left out, and the pause behind each turn."""

    turns: Mapping[str, int] = field(default_factory=dict)
    gap_ms: int = 0

    def turn_of(self, node: str) -> int:
        """A node's turn."""
        return self.turns.get(node, 0)

    def of(self, nodes: Iterable[str], *, sound_ms: int) -> Turns | None:
        """The round in which these nodes sound something; None where they have one turn, or it took over a day."""
        taken = {self.turn_of(node) for node in nodes}
        if len(taken) < 2:  # noqa: PLR2004 - one after another takes two
            return None
        length_ms = sound_ms + self.gap_ms
        count = max(taken) + 1
        return Turns(count=count, length_ms=length_ms) if count * length_ms <= ROUND_MS_MAX else None


ALL_AT_ONCE: Final = Rounds()


def rounds_of(config: Config, tree: AreaTree) -> Rounds:
    """The turns that a configuration gives."""
    of_area = {area.id: area.turn for area in config.areas if area.turn is not None}
    turns: dict[str, int] = {}
    for node in config.nodes:
        above = (of_area[area] for area in tree.chain(node.area) if area in of_area)
        turn = node.turn if node.turn is not None else next(above, 0)
        if turn:
            turns[node.id] = turn
    return Rounds(turns=turns, gap_ms=config.turns.gap_ms)
