"""The tree of places: which areas lie above and below one another.

Levels are data: a tree may have two tiers or five. The tree is checked when it is made: ids are unique,
parents exist, nothing is its own ancestor, and no branch is deeper than an assignment can name.
Who may do what in an area is not decided here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from controller.errors import ConfigError

DEPTH_MAX: Final = 8
"""Most areas in one branch; the bound of `Assignment.areas`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """One place: its name, its level as people call it, and the area it lies in."""

    id: str
    title: str
    level: str
    parent: str | None = None


class AreaTree:
    """All places. Raises ConfigError when they are no tree."""

    def __init__(self, areas: Iterable[Area]) -> None:
        listed = tuple(areas)
        self._areas: Final[Mapping[str, Area]] = {area.id: area for area in listed}
        if len(self._areas) != len(listed):
            ids = [area.id for area in listed]
            message = f"areas: the id {next(each for each in ids if ids.count(each) > 1)!r} is given twice"
            raise ConfigError(message)
        self._chains: Final = {area.id: self._chain_of(area) for area in listed}

    @property
    def areas(self) -> tuple[Area, ...]:
        """Every area, in the order in which they were given."""
        return tuple(self._areas.values())

    def __contains__(self, area: object) -> bool:
        return area in self._areas

    def title(self, area: str) -> str:
        """What people call an area; its id where it is unknown."""
        known = self._areas.get(area)
        return known.title if known else area

    def chain(self, area: str) -> tuple[str, ...]:
        """From the area itself up to its root; empty where it is unknown."""
        return self._chains.get(area, ())

    def depth(self, area: str) -> int:
        """0 for a root, one more for each step down."""
        return len(self._chains[area]) - 1

    def below(self, area: str) -> frozenset[str]:
        """The area and everything in it."""
        return frozenset(each for each, chain in self._chains.items() if area in chain)

    def _chain_of(self, area: Area) -> tuple[str, ...]:
        chain = [area.id]
        while area.parent is not None:
            parent = self._areas.get(area.parent)
            if parent is None:
                message = (
                    f"areas: {area.id!r} lies in {area.parent!r}, which does not exist; "
                    f"known areas: {', '.join(sorted(self._areas))}"
                )
                raise ConfigError(message)
            if parent.id in chain:
                message = f"areas: {' in '.join([*chain, parent.id])}: an area cannot lie in itself"
                raise ConfigError(message)
            chain.append(parent.id)
            area = parent
        if len(chain) > DEPTH_MAX:
            message = f"areas: {' in '.join(chain)}: {len(chain)} levels; at most {DEPTH_MAX}"
            raise ConfigError(message)
        return tuple(chain)
