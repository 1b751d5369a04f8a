"""The places, clusters, feeds, clips and programmes that the desk works for.

Made from the configuration and the media that is in the store by now; pure. A programme is compiled only
when each of its files is prepared or refused, so that its items do not move while files are still being read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from controller.areas import Area, AreaTree
from controller.config import (
    WEEKDAYS,
    ClipConfig,
    Config,
    EmergencyConfig,
    FeedConfig,
    NodeConfig,
    ProgrammeConfig,
    QuietHoursConfig,
    RelayConfig,
)
from controller.planner import Item, Programme, second_of_day
from protocol.messages import MediaReference, QuietHours

LOST_AFTER_MS: Final = 100_000
"""Three idle telemetry intervals of 30 s and the will delay of 15 s fit in it; domain.md: within 100 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What one controller serves."""

    controller: str
    time_zone: str
    tree: AreaTree
    nodes: Mapping[str, NodeConfig]
    feeds: Mapping[str, FeedConfig]
    clips: Mapping[str, ClipConfig]
    programmes: tuple[ProgrammeConfig, ...]
    emergency: EmergencyConfig
    relay: RelayConfig
    lost_after_ms: int = LOST_AFTER_MS

    def nodes_below(self, area: str) -> tuple[str, ...]:
        """Names of the nodes in an area or anything within it."""
        below = self.tree.below(area)
        return tuple(node.id for node in self.nodes.values() if node.area in below)

    @property
    def media_paths(self) -> tuple[str, ...]:
        """Every source file that is needed, emergency clips first."""
        paths = [clip.file for clip in self.clips.values()]
        paths += [item.file for programme in self.programmes for item in programme.items if item.file]
        return tuple(dict.fromkeys(paths))


@dataclass(slots=True)
class MediaShelf:
    """Which source files are in the store, and which were refused and why."""

    ready: dict[str, MediaReference]
    refused: dict[str, str]

    def is_settled(self, programme: ProgrammeConfig) -> bool:
        """Whether each of a programme's files is prepared or refused."""
        return all(
            item.file in self.ready or item.file in self.refused for item in programme.items if item.file is not None
        )


def site_of(config: Config) -> Site:
    """The site of a checked configuration."""
    return Site(
        controller=config.controller,
        time_zone=config.time_zone,
        tree=AreaTree(
            Area(id=area.id, title=area.title, level=area.level, parent=area.parent) for area in config.areas
        ),
        nodes={node.id: node for node in config.nodes},
        feeds={feed.id: feed for feed in config.feeds},
        clips={clip.id: clip for clip in config.clips},
        programmes=config.programmes,
        emergency=config.emergency,
        relay=config.relay,
    )


def with_report_keys(site: Site, keys: Mapping[str, str]) -> Site:
    """The site with other report keys for some of its nodes."""
    known = {node: key for node, key in keys.items() if node in site.nodes}
    changed = {node: msgspec.structs.replace(site.nodes[node], report_key=key) for node, key in known.items()}
    return replace(site, nodes={**site.nodes, **changed}) if changed else site


def programme_of(programme: ProgrammeConfig, *, shelf: MediaShelf, feeds: Mapping[str, FeedConfig]) -> Programme:
    """A programme with the items that can sound; refused files are left out and told elsewhere."""
    items = []
    for item in programme.items:
        if item.feed is not None and item.duration_s is not None:
            title = item.title or feeds[item.feed].title
            items.append(Item(title=title, duration_ms=item.duration_s * 1000, feed=item.feed))
        elif item.file in shelf.ready:
            media = shelf.ready[item.file]
            items.append(Item(title=item.title or programme.title, duration_ms=media.duration_ms, media=media))
    return Programme(
        id=programme.id,
        title=programme.title,
        area=programme.area,
        broadcast_class=programme.broadcast_class,
        second_of_day=second_of_day(programme.at),
        weekdays=frozenset(WEEKDAYS.index(day) for day in programme.days),
        items=tuple(items),
    )


def quiet_hours_of(node: NodeConfig) -> QuietHours | None:
    """A node's quiet hours as its assignment says them."""
    match node.quiet_hours:
        case QuietHoursConfig(begin=begin, end=end):
            return QuietHours(begin_minute=second_of_day(begin) // 60, end_minute=second_of_day(end) // 60)
        case _:
            return None
