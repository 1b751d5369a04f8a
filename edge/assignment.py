"""What a node is: where it stands in the tree of places, how loud it may be, when it must be quiet.

A `Place` is derived from the last accepted assignment; before the first one it is nowhere: no area is its
own, so nothing is addressed to it, and the quiet hours are the default ones. It leaves verification to the
guard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.house_rules import HouseRules
from protocol.identity import EVERYONE, area_audience, node_audience
from protocol.messages import AirTime, Assignment, BroadcastClass, MediaReference, QuietHours, VolumeCap
from protocol.topics import TopicName, topic

DEFAULT_QUIET_HOURS: Final = QuietHours()
"""21:00 to 05:30 until the first assignment says otherwise."""
DEFAULT_TIME_ZONE: Final = "Asia/Ho_Chi_Minh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One node's place and limits; `areas` runs from its own area up to the root of the tree."""

    node: str
    title: str = ""
    areas: tuple[str, ...] = ()
    time_zone: str = DEFAULT_TIME_ZONE
    quiet_hours: QuietHours | None = DEFAULT_QUIET_HOURS
    gain_db: float = 0.0
    emergency_gain_db: float = 0.0
    prepared_clips: tuple[MediaReference, ...] = ()
    turn: int = 0
    aiming_delay_us: int = 0
    emergency_aiming_delay_us: int = 0
    self_test_minute: int | None = None
    air_time: AirTime | None = None
    volume_caps: tuple[VolumeCap, ...] = ()
    fetch_bytes_a_day_max: int | None = None

    @property
    def house_rules(self) -> HouseRules:
        """What is laid down here, as far as it is a question of time and loudness."""
        return HouseRules(
            time_zone=self.time_zone,
            quiet_hours=self.quiet_hours,
            air_time=self.air_time,
            volume_caps=self.volume_caps,
        )

    @property
    def is_assigned(self) -> bool:
        """Whether an assignment has been accepted."""
        return bool(self.areas)

    @property
    def audiences(self) -> frozenset[str]:
        """The audiences that this node belongs to."""
        return frozenset({EVERYONE, node_audience(self.node), *(area_audience(area) for area in self.areas)})

    def parents(self, area: str) -> tuple[str, ...]:
        """An area and what is above it, as far as this node knows the tree: its own chain."""
        if area in self.areas:
            return self.areas[self.areas.index(area) :]
        return (area,)

    def depth(self, area: str) -> int:
        """How far an area of the chain is below the root (0); a place outside it counts as deepest."""
        if area in self.areas:
            return len(self.areas) - 1 - self.areas.index(area)
        return len(self.areas)

    def aim_us(self, broadcast_class: BroadcastClass) -> int:
        """By how much later than others this cluster sounds a class, in microseconds."""
        is_emergency = broadcast_class is BroadcastClass.EMERGENCY
        return self.emergency_aiming_delay_us if is_emergency else self.aiming_delay_us

    def document_topics(self) -> tuple[str, ...]:
        """What is written for this node's areas: silences first, then emergencies, plans, stream starts."""
        names = (TopicName.AREA_SILENCE, TopicName.EMERGENCY, TopicName.PLAN)
        plain = tuple(topic(name, area=area) for name in names for area in self.areas)
        return plain + tuple(topic(TopicName.STREAM, area=area, stream="+") for area in self.areas)


def nowhere(node: str) -> Place:
    """The place of a node that no assignment has reached yet."""
    return Place(node=node)


def place_of(assignment: Assignment) -> Place:
    """The place that an accepted assignment gives."""
    return Place(
        node=assignment.node,
        title=assignment.title,
        areas=assignment.areas,
        time_zone=assignment.time_zone,
        quiet_hours=assignment.quiet_hours,
        gain_db=assignment.gain_db,
        emergency_gain_db=assignment.emergency_gain_db,
        prepared_clips=assignment.prepared_clips,
        turn=assignment.turn,
        aiming_delay_us=assignment.aiming_delay_us,
        emergency_aiming_delay_us=assignment.emergency_aiming_delay_us,
        self_test_minute=assignment.self_test_minute,
        air_time=assignment.air_time,
        volume_caps=assignment.volume_caps,
        fetch_bytes_a_day_max=assignment.fetch_bytes_a_day_max,
    )
