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
    AnnouncementConfig,
    ClipConfig,
    Config,
    EmergencyConfig,
    FeedConfig,
    NodeConfig,
    ProgrammeConfig,
    QuietHoursConfig,
    RelayConfig,
    VoiceConfig,
)
from controller.planner import second_of_day
from controller.programmes.programme import ReadyItem, ReadyProgramme, weekly
from controller.rounds import ALL_AT_ONCE, Rounds, rounds_of
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
    announcement: AnnouncementConfig
    voice: VoiceConfig
    rounds: Rounds = ALL_AT_ONCE
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
    tree = AreaTree(Area(id=area.id, title=area.title, level=area.level, parent=area.parent) for area in config.areas)
    return Site(
        controller=config.controller,
        time_zone=config.time_zone,
        tree=tree,
        nodes={node.id: node for node in config.nodes},
        feeds={feed.id: feed for feed in config.feeds},
        clips={clip.id: clip for clip in config.clips},
        programmes=config.programmes,
        emergency=config.emergency,
        relay=config.relay,
        announcement=config.announcement,
        rounds=rounds_of(config, tree),
        voice=config.voice,
    )


def with_report_keys(site: Site, keys: Mapping[str, str]) -> Site:
    """The site with other report keys for some of its nodes."""
    known = {node: key for node, key in keys.items() if node in site.nodes}
    changed = {node: msgspec.structs.replace(site.nodes[node], report_key=key) for node, key in known.items()}
    return replace(site, nodes={**site.nodes, **changed}) if changed else site


def programme_of(programme: ProgrammeConfig, *, shelf: MediaShelf, site: Site) -> ReadyProgramme:
    """A programme with the items that can sound; refused files are left out and told elsewhere.

    An item that is heard in turns lasts as long as its whole round; one with a chime begins with it.
    """
    items = []
    nodes = site.nodes_below(programme.area) if any(item.in_turns for item in programme.items) else ()
    for item in programme.items:
        if item.feed is not None and item.duration_s is not None:
            title = item.title or site.feeds[item.feed].title
            chime_ms = site.announcement.chime_ms if item.chime else 0
            items.append(
                ReadyItem(
                    title=title,
                    duration_ms=item.duration_s * 1000,
                    feed=item.feed,
                    chime_ms=chime_ms,
                    over=item.over,
                )
            )
        elif item.file in shelf.ready:
            media = shelf.ready[item.file]
            chime_ms = site.announcement.chime_ms if item.chime else 0
            sound_ms = chime_ms + media.duration_ms
            turns = site.rounds.of(nodes, sound_ms=sound_ms) if item.in_turns else None
            items.append(
                ReadyItem(
                    title=item.title or programme.title,
                    duration_ms=sound_ms if turns is None else turns.round_ms,
                    media=media,
                    turns=turns,
                    chime_ms=chime_ms,
                    over=item.over,
                )
            )
    return ReadyProgramme(
        id=programme.id,
        title=programme.title,
        area=programme.area,
        broadcast_class=programme.broadcast_class,
        recurrence=weekly(programme.at, programme.days),
        items=tuple(items),
    )


def quiet_hours_of(node: NodeConfig) -> QuietHours | None:
    """A node's quiet hours as its assignment says them."""
    match node.quiet_hours:
        case QuietHoursConfig(begin=begin, end=end):
            return QuietHours(begin_minute=second_of_day(begin) // 60, end_minute=second_of_day(end) // 60)
        case _:
            return None
