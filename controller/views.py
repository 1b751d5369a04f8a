"""What people and programs are shown of the controller, as plain values; the answers of the API.

Made by the desk from what its rooms know at one instant. How it looks is the page's matter.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from controller.configuration.site import Site
from controller.nodes.fleet import NodeLife
from controller.orders.emergency import Count
from controller.records import EmergencyRecord, EmergencyState, RelayRecord, RelayState, SilenceRecord
from controller.streams.group_delay import StreamDelay
from protocol.messages import BroadcastClass, Reality, StreamHeard, Telemetry
from protocol.turns import Turns

_MEASURED: Final = (
    "level_dbfs",
    "amplifier",
    "sound_path",
    "lateness_ms_p99",
    "concealed_ms",
    "silent_ms",
    "clock_error_ms",
    "clock_source",
    "correction_ppm",
    "card_error_ms",
    "underruns",
    "reanchors",
    "streams",
    "media_missing",
    "reports_waiting",
    "plan_until_ms",
    "refused",
    "version",
)
"""What of a node's status is shown as it came."""


class SoundingView(Struct, frozen=True, kw_only=True):
    """What a node says it is sounding."""

    title: str
    source: str
    source_id: str
    broadcast_class: BroadcastClass
    since_ms: int


class NodeView(Struct, frozen=True, kw_only=True):
    """One cluster; `state` is "unknown" until something was heard of it, and while the broker is away."""

    id: str
    title: str
    area: str
    area_title: str
    state: str
    last_seen_ms: int | None = None
    sounding: SoundingView | None = None
    level_dbfs: float | None = None
    amplifier: str | None = None
    sound_path: str | None = None
    faults: tuple[str, ...] = ()
    lateness_ms_p99: float | None = None
    concealed_ms: int = 0
    clock_error_ms: float | None = None
    media_missing: int = 0
    reports_waiting: int = 0
    plan_until_ms: int | None = None
    refused: dict[str, int] = {}
    version: str = ""
    clock_source: str = ""
    correction_ppm: float | None = None
    card_error_ms: float | None = None
    silent_ms: int = 0
    underruns: int = 0
    reanchors: int = 0
    streams: tuple[StreamHeard, ...] = ()
    turn: int = 0


class EmergencyView(Struct, frozen=True, kw_only=True):
    """One emergency or drill with its nodes by name."""

    id: str
    area: str
    area_title: str
    title: str
    clip: str
    reality: Reality
    state: EmergencyState
    is_standing: bool
    raised_at_ms: int
    play_at_ms: int
    sounds_until_ms: int
    ended_at_ms: int | None
    reason: str
    sounding: tuple[str, ...]
    late: tuple[str, ...]
    finished: tuple[str, ...]
    waiting: tuple[str, ...]
    missed: tuple[str, ...]
    turns: Turns | None = None


class RelayView(Struct, frozen=True, kw_only=True):
    """One relay."""

    stream: str
    area: str
    area_title: str
    feed: str
    title: str
    broadcast_class: BroadcastClass
    state: RelayState
    starts_at_ms: int
    ends_at_ms: int
    is_planned: bool
    speaker: str = ""
    reason: str
    delay_ms: int | None = None
    delay: StreamDelay | None = None
    """What is known of it while it runs: the group's delay, lateness, and who is late."""


class SilenceView(Struct, frozen=True, kw_only=True):
    """One order to be silent that stands, or has just been released."""

    order: str
    area: str
    area_title: str
    node: str
    node_title: str
    reason: str
    by: str
    ordered_at_ms: int
    spares_emergencies: bool
    is_standing: bool


class BrokerView(Struct, frozen=True, kw_only=True):
    """Whether the broker can be reached, and if not, why."""

    is_connected: bool
    since_ms: int | None
    reason: str = ""


class StatusView(Struct, frozen=True, kw_only=True):
    """Everything that the page shows, but for the airing records."""

    controller: str
    time_zone: str
    now_ms: int
    broker: BrokerView
    nodes: tuple[NodeView, ...]
    emergencies: tuple[EmergencyView, ...]
    relays: tuple[RelayView, ...]
    silences: tuple[SilenceView, ...]
    warnings: tuple[str, ...]
    strangers: tuple[str, ...]
    refused: dict[str, int]


def node_view(site: Site, node: str, life: NodeLife, *, is_broker_connected: bool, clone: str = "") -> NodeView:
    """What is known of a node."""
    place = site.nodes[node]
    told = life.telemetry if is_broker_connected else None
    state = life.state.value if life.state is not None and is_broker_connected else "unknown"
    faults = [f"{fault}: {detail}" if detail else fault for fault, detail in life.reported_faults.items()]
    faults += [fault for fault in (told.faults if told else ()) if fault not in life.reported_faults]
    faults += [f"clone: {clone}"] if clone else []
    sounding = told.sounding if told else None
    return NodeView(
        id=node,
        title=place.title,
        area=place.area,
        area_title=site.tree.title(place.area),
        state=state,
        last_seen_ms=life.last_seen_ms,
        sounding=None
        if sounding is None
        else SoundingView(
            title=sounding.title,
            source=sounding.source.value,
            source_id=sounding.source_id,
            broadcast_class=sounding.broadcast_class,
            since_ms=sounding.since_ms,
        ),
        faults=tuple(faults),
        **_measured(told),
        turn=site.rounds.turn_of(node),
    )


def _measured(told: Telemetry | None) -> dict[str, Any]:
    """What a node measures of itself; nothing while nothing is heard of it."""
    return {} if told is None else {name: getattr(told, name) for name in _MEASURED}


def emergency_view(site: Site, record: EmergencyRecord, counted: Count, *, is_standing: bool) -> EmergencyView:
    """An emergency as it is now."""
    return EmergencyView(
        id=record.id,
        area=record.area,
        area_title=site.tree.title(record.area),
        title=record.title,
        clip=record.clip_id,
        reality=record.reality,
        state=record.state,
        is_standing=is_standing,
        raised_at_ms=record.raised_at_ms,
        play_at_ms=record.play_at_ms,
        sounds_until_ms=record.sounds_until_ms,
        ended_at_ms=record.ended_at_ms,
        reason=record.reason,
        sounding=counted.sounding,
        late=counted.late,
        finished=counted.finished,
        waiting=counted.waiting,
        missed=counted.missed,
        turns=record.turns,
    )


def relay_view(site: Site, record: RelayRecord, delay: StreamDelay | None) -> RelayView:
    """A relay as it is now."""
    return RelayView(
        stream=record.stream,
        area=record.area,
        area_title=site.tree.title(record.area),
        feed=record.feed,
        title=record.title,
        broadcast_class=record.broadcast_class,
        state=record.state,
        starts_at_ms=record.starts_at_ms,
        ends_at_ms=record.ends_at_ms,
        is_planned=record.occurrence is not None,
        reason=record.reason,
        speaker=record.speaker,
        delay_ms=record.delay_ms or None,
        delay=delay,
    )


def silence_view(site: Site, record: SilenceRecord) -> SilenceView:
    """An order to be silent as it is now."""
    node = site.nodes.get(record.node)
    return SilenceView(
        order=record.order,
        area=record.area,
        area_title=site.tree.title(record.area),
        node=record.node,
        node_title=node.title if node else "",
        reason=record.reason,
        by=record.by,
        ordered_at_ms=record.ordered_at_ms,
        spares_emergencies=record.spares_emergencies,
        is_standing=record.released_at_ms is None,
    )
