"""A place drawn from the seed: its tree of areas, its poles with their policies, and what is planned for them.

What a scenario writes by hand is one history; here the configuration itself is chance, so that a rule which holds only
for tidy programmes is found out. Everything drawn is valid as the controller checks it. Half of what is planned lies in
the time that is simulated, much of it close to the edges of quiet hours, where mistakes live.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Final, TypeVar

from msgspec import Meta, Struct

from controller.configuration.config import (
    WEEKDAYS,
    AreaConfig,
    ClipConfig,
    Config,
    FeedConfig,
    ItemConfig,
    NodeConfig,
    ProgrammeConfig,
    QuietHoursConfig,
)
from controller.configuration.policy import AirTimeConfig, VolumeCapConfig
from controller.programmes.programme import Recurrence
from protocol.messages import BroadcastClass, Over
from simulator.chance import Chance, stream_of
from simulator.runs.usual import EMERGENCY, FEED_URL, HTTP, TRUST
from simulator.services.media_server import Recording, recording

T = TypeVar("T")

ROOT: Final = "tinh"
"""The area above all others, for steps that name one."""
FLOOD: Final = "flood"
FLOOD_FILE: Final = "clips/flood.wav"
_SUFFIX: Final = ".mp3"
_DAY_MINUTES: Final = 24 * 60
_PRESENT: Final = 600_000
"""Parts per million of programmes that begin while the simulation runs."""
_AT_AN_EDGE: Final = 300_000
_RARE: Final = 150_000
_SELDOM: Final = 300_000
_RULES: Final = (
    "FREQ=DAILY",
    "FREQ=DAILY;INTERVAL=2",
    "FREQ=WEEKLY;BYDAY=MO,WE,FR,SA",
    "FREQ=MONTHLY;BYMONTHDAY=7,10,24,28,31",
    "RSCALE=X-VIETNAMESE;FREQ=MONTHLY;BYMONTHDAY=1,15,19,25",
)
_EVEN: Final = 500_000


class Drawn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much is drawn; one of `time_zones`, and one of `starts` in place of the scenario's own `start`."""

    poles_max: Annotated[int, Meta(ge=1, le=100)] = 3
    programmes_max: Annotated[int, Meta(ge=1, le=40)] = 12
    time_zones: Annotated[tuple[str, ...], Meta(min_length=1, max_length=16)] = ("Asia/Ho_Chi_Minh",)
    starts: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d \d\d:\d\d\Z")], ...], Meta(max_length=16)
    ] = ()


class Place(Struct, frozen=True, kw_only=True):
    """What one seed gives: the controller's configuration, what its files are, and when it begins."""

    config: Config
    media: dict[str, Recording]
    start: str


def draw(drawn: Drawn, *, seed: int, start: str, minutes: float) -> Place:
    """The place of a seed, for a simulation that begins at `start` by its wall clock and lasts so long."""
    chance = stream_of(seed, "drawn")
    begin = _one_of(chance, drawn.starts or (start,))
    files = {FLOOD_FILE: recording(FLOOD, duration_ms=chance.within(4, 20) * 1_000)}
    areas = _areas(chance)
    nodes = tuple(_node(chance, number, areas) for number in range(1, chance.within(1, drawn.poles_max) + 1))
    clock = dt.datetime.fromisoformat(begin)
    programmes = tuple(
        _programme(chance, number, areas=_heard_at(areas, nodes), nodes=nodes, clock=clock, minutes=int(minutes))
        for number in range(1, chance.within(1, drawn.programmes_max) + 1)
    )
    for programme in programmes:  # each item is a sound of its own, so that an ear can tell which one it heard
        for item in programme.items:
            if item.file is not None:
                files[item.file] = recording(item.file.removesuffix(_SUFFIX), duration_ms=_length_s(chance) * 1_000)
    config = Config(
        controller="controller1",
        trust=TRUST,
        database="sqlite:///controller.sqlite",
        state_dir="state",
        http=HTTP,
        time_zone=_one_of(chance, drawn.time_zones),
        areas=areas,
        nodes=nodes,
        feeds=(FeedConfig(id="vov1", title="VOV1", urls=(FEED_URL,)),),
        clips=(ClipConfig(id=FLOOD, title="Lũ khẩn cấp", file=FLOOD_FILE),),
        programmes=programmes,
        emergency=EMERGENCY,
    )
    return Place(config=config, media=files, start=begin)


def _length_s(chance: Chance) -> int:
    """Evenly over the orders of magnitude from some seconds to twenty minutes."""
    power = chance.within(2, 10)
    return min(1_200, chance.within(1 << power, (1 << (power + 1)) - 1))


def _areas(chance: Chance) -> tuple[AreaConfig, ...]:
    """A province with one to three communes, some of which have villages."""
    found = [AreaConfig(id=ROOT, title="Tỉnh", level="province")]
    for commune in range(1, chance.within(1, 3) + 1):
        name = f"xa-{commune}"
        found.append(AreaConfig(id=name, title=f"Xã {commune}", level="commune", parent=ROOT))
        for village in range(1, chance.within(0, 2) + 1):
            place = f"{name}-thon-{village}"
            found.append(AreaConfig(id=place, title=f"Thôn {village}", level="village", parent=name))
    return tuple(found)


def _heard_at(areas: tuple[AreaConfig, ...], nodes: tuple[NodeConfig, ...]) -> tuple[str, ...]:
    """The areas that some pole stands in: what is planned elsewhere nobody plays."""
    parents = {area.id: area.parent for area in areas}
    found: list[str] = []
    for node in nodes:
        place: str | None = node.area
        while place is not None:
            found.append(place)
            place = parents[place]
    return tuple(dict.fromkeys(found))


def _node(chance: Chance, number: int, areas: tuple[AreaConfig, ...]) -> NodeConfig:
    return NodeConfig(
        id=f"N{number:04d}",
        title=f"Cụm loa {number}",
        area=_one_of(chance, areas[1:]).id,
        report_key="0" * 60 + format(number, "04x"),
        quiet_hours=_quiet_hours(chance),
        air_time=_air_time(chance) if chance.happens(_SELDOM) else None,
        volume_caps=_volume_caps(chance) if chance.happens(_SELDOM) else (),
        fetch_bytes_a_day_max=1 << chance.within(19, 25) if chance.happens(_RARE) else None,
        gain_db=float(chance.within(-12, 0)),
        aiming_delay_ms=float(chance.within(5, 40)) if chance.happens(_RARE) else 0.0,
    )


def _quiet_hours(chance: Chance) -> QuietHoursConfig:
    """The usual ones, or any that leave at least an hour for sound."""
    if chance.happens(_SELDOM):
        return QuietHoursConfig()
    begin = chance.within(0, _DAY_MINUTES - 1)
    end = begin + chance.within(1, _DAY_MINUTES - 60)
    return QuietHoursConfig(begin=_clock(begin), end=_clock(end))


def _air_time(chance: Chance) -> AirTimeConfig:
    """At least one limit, from a few minutes to what nobody reaches."""
    limits = [None if chance.happens(_EVEN) else 1 << chance.within(1, 7) for _ in range(2)]
    sessions = chance.within(1, 4) if chance.happens(_EVEN) or limits == [None, None] else None
    return AirTimeConfig(
        session_minutes_max=limits[0],
        minutes_a_day_max=limits[1],
        sessions_a_day_max=sessions,
        pause_minutes=chance.within(1, 20),
    )


def _volume_caps(chance: Chance) -> tuple[VolumeCapConfig, ...]:
    """One to three spans of the day, or the whole of it."""
    return tuple(
        VolumeCapConfig(
            gain_db_max=float(chance.within(-24, 0)),
            begin=_clock(chance.within(0, _DAY_MINUTES - 1)),
            end=_clock(chance.within(0, _DAY_MINUTES - 1)),
        )
        for _ in range(chance.within(1, 3))
    )


def _programme(
    chance: Chance,
    number: int,
    *,
    areas: tuple[str, ...],
    nodes: tuple[NodeConfig, ...],
    clock: dt.datetime,
    minutes: int,
) -> ProgrammeConfig:
    is_priority = chance.happens(_SELDOM)
    begin = _begin(chance, nodes, clock, minutes)
    days = tuple(day for day in WEEKDAYS if chance.happens(_EVEN)) or WEEKDAYS[-1:]
    recurrence = _recurrence(chance, begin, clock) if chance.happens(_SELDOM) else None
    return ProgrammeConfig(
        id=f"p{number}",
        title=f"Chương trình {number}",
        area=_one_of(chance, areas),
        at=begin if recurrence is None else None,
        days=days if recurrence is None and chance.happens(_SELDOM) else None,
        recurrence=recurrence,
        broadcast_class=BroadcastClass.PRIORITY if is_priority else BroadcastClass.ROUTINE,
        before_upper=is_priority and chance.happens(_SELDOM),
        items=tuple(_item(chance, f"p{number}-{index}", clock, minutes) for index in range(chance.within(1, 3))),
    )


def _recurrence(chance: Chance, begin: str, clock: dt.datetime) -> Recurrence:
    """RFC 5545 text that began years ago: daily, every other day, weekly, by lunar dates; a date more, a date less."""
    time = begin.replace(":", "").ljust(6, "0")
    rule = _one_of(chance, _RULES)
    lines = [f"DTSTART:20220103T{time}", f"RRULE:{rule}"]
    if chance.happens(_SELDOM):
        extra = clock + dt.timedelta(minutes=chance.within(1, _DAY_MINUTES))
        lines.append(f"RDATE:{extra:%Y%m%dT%H%M}00")
    if chance.happens(_SELDOM):
        lines.append(f"EXDATE:{clock + dt.timedelta(days=chance.within(0, 3)):%Y%m%d}T{time}")
    return Recurrence(rules="\n".join(lines))


def _begin(chance: Chance, nodes: tuple[NodeConfig, ...], clock: dt.datetime, minutes: int) -> str:
    second = chance.within(0, 59) if chance.happens(_SELDOM) else 0
    edges = [
        edge for node in nodes if not isinstance(node.quiet_hours, str)
        for edge in (node.quiet_hours.begin, node.quiet_hours.end)
    ]  # fmt: skip
    if edges and chance.happens(_AT_AN_EDGE):
        hours, edge_minutes = (int(part) for part in _one_of(chance, edges).split(":"))
        return _clock(hours * 60 + edge_minutes - chance.within(0, 10), second)
    if chance.happens(_PRESENT):
        return _clock(clock.hour * 60 + clock.minute + chance.within(0, minutes), second)
    return _clock(chance.within(0, _DAY_MINUTES - 1), second)


def _item(chance: Chance, name: str, clock: dt.datetime, minutes: int) -> ItemConfig:
    valid_until = None
    if chance.happens(_SELDOM):
        valid_until = (clock + dt.timedelta(minutes=chance.within(1, minutes))).isoformat(timespec="minutes")
    over = Over.DUCK if chance.happens(_RARE) else Over.REPLACE
    has_chime = chance.happens(_RARE)
    if chance.happens(_RARE):
        return ItemConfig(
            feed="vov1", duration_s=chance.within(30, 900), chime=has_chime, over=over, valid_until=valid_until
        )
    return ItemConfig(file=name + _SUFFIX, chime=has_chime, over=over, valid_until=valid_until)


def _one_of(chance: Chance, options: Sequence[T]) -> T:
    return options[chance.within(0, len(options) - 1)]


def _clock(minute: int, second: int = 0) -> str:
    hours, minutes = divmod(minute % _DAY_MINUTES, 60)
    return f"{hours:02d}:{minutes:02d}" + (f":{second:02d}" if second else "")
