"""What each node's places lay down for it: air time, volume caps, fetch budget; pure.

Rules kept: air time and fetch budget are the node's own, or those of the nearest area above it that has any (`none`
there says that those further up do not hold); of volume caps each one holds, its own and those of every area above it,
the quieter first where there are more than an assignment carries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from controller.areas import AreaTree
from controller.configuration.config import AreaConfig, Config, NodeConfig
from controller.configuration.policy import AirTimeConfig, VolumeCapConfig
from protocol.messages import AirTime, VolumeCap
from protocol.policy import VOLUME_CAPS_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is laid down for one node, as its assignment says it."""

    air_time: AirTime | None = None
    volume_caps: tuple[VolumeCap, ...] = ()
    fetch_bytes_a_day_max: int | None = None


NO_POLICY: Final = Policy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """Those of one site's nodes; of whom nothing is laid down is left out."""

    nodes: Mapping[str, Policy] = field(default_factory=dict)

    def of(self, node: str) -> Policy:
        """A node's."""
        return self.nodes.get(node, NO_POLICY)


NO_POLICIES: Final = Policies()


def policies_of(config: Config, tree: AreaTree) -> Policies:
    """What a configuration lays down."""
    areas = {area.id: area for area in config.areas}
    found = {
        node.id: _policy((node, *(areas[area] for area in tree.chain(node.area) if area in areas)))
        for node in config.nodes
    }
    return Policies(nodes={node: policy for node, policy in found.items() if policy != NO_POLICY})


def _policy(places: tuple[NodeConfig | AreaConfig, ...]) -> Policy:
    """Of a node and the areas above it, the nearest first."""
    budgets = (place.fetch_bytes_a_day_max for place in places if place.fetch_bytes_a_day_max is not None)
    budget = next(budgets, "none")
    return Policy(
        air_time=next(_air_times(places), None),
        volume_caps=_caps([cap for place in places for cap in place.volume_caps]),
        fetch_bytes_a_day_max=budget if isinstance(budget, int) else None,
    )


def _air_times(places: tuple[NodeConfig | AreaConfig, ...]) -> Iterator[AirTime | None]:
    for place in places:
        match place.air_time:
            case AirTimeConfig() as said:
                yield AirTime(
                    session_minutes_max=said.session_minutes_max,
                    sessions_a_day_max=said.sessions_a_day_max,
                    minutes_a_day_max=said.minutes_a_day_max,
                    pause_minutes=said.pause_minutes,
                )
            case "none":
                yield None


def _caps(said: list[VolumeCapConfig]) -> tuple[VolumeCap, ...]:
    caps = (
        VolumeCap(gain_db_max=cap.gain_db_max, begin_minute=_minute(cap.begin), end_minute=_minute(cap.end))
        for cap in said
    )
    quietest_first = sorted(dict.fromkeys(caps), key=lambda cap: (cap.gain_db_max, cap.begin_minute, cap.end_minute))
    return tuple(quietest_first[:VOLUME_CAPS_MAX])


def _minute(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)
