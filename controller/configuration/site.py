"""The places, clusters, feeds, clips, programmes and bulletins that the desk works for.

Made from the configuration, the database's programmes and the media that is in the store by now; pure. A programme is
compiled only when each of its sources is prepared or refused, so that its items do not move while they are being read.
The configuration's programmes are the site's own: one of the database that has the same id does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from controller.areas import Area, AreaTree
from controller.configuration.config import (
    AnnouncementConfig,
    ClipConfig,
    Config,
    EmergencyConfig,
    FeedConfig,
    NodeConfig,
    QuietHoursConfig,
    RelayConfig,
    VoiceConfig,
)
from controller.configuration.policies import NO_POLICIES, Policies, policies_of
from controller.programmes.bulletin import Bulletin
from controller.programmes.holidays import VIET_NAM, Holidays
from controller.programmes.programme import Programme
from controller.programmes.sources import FileSource, Source, items_of, sources_of
from controller.streams.rounds import ALL_AT_ONCE, Rounds, rounds_of
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
    own: tuple[Programme, ...]
    """The configuration's programmes."""
    programmes: Mapping[str, tuple[Programme, ...]]
    """All programmes by their area."""
    emergency: EmergencyConfig
    relay: RelayConfig
    announcement: AnnouncementConfig
    voice: VoiceConfig
    bulletins: Mapping[str, Bulletin] = field(default_factory=dict)
    """Those that may sound, by id."""
    shadowed: tuple[str, ...] = ()
    """Programmes of the database whose id the configuration gives to one of its own."""
    holidays: Holidays = VIET_NAM
    rounds: Rounds = ALL_AT_ONCE
    policies: Policies = NO_POLICIES
    lost_after_ms: int = LOST_AFTER_MS

    def nodes_below(self, area: str) -> tuple[str, ...]:
        """Names of the nodes in an area or anything within it."""
        below = self.tree.below(area)
        return tuple(node.id for node in self.nodes.values() if node.area in below)

    def programmes_of(self, area: str) -> tuple[Programme, ...]:
        """The programmes of one area."""
        return self.programmes.get(area, ())

    @property
    def sources(self) -> Iterator[Source]:
        """Everything that is to be prepared, emergency clips first; some of it more than once."""
        yield from (FileSource(path=clip.file) for clip in self.clips.values())
        for programmes in self.programmes.values():
            for programme in programmes:
                yield from self.sources_of(programme)

    def sources_of(self, programme: Programme) -> Iterator[Source]:
        """What a programme's items sound from, as far as they may sound."""
        return sources_of(programme, self.bulletins)

    @property
    def media_paths(self) -> tuple[str, ...]:
        """Every source file that is needed, emergency clips first."""
        return tuple(dict.fromkeys(source.path for source in self.sources if isinstance(source, FileSource)))


@dataclass(slots=True)
class MediaShelf:
    """Which sources are in the store, and which were refused and why, by their keys."""

    ready: dict[str, MediaReference]
    refused: dict[str, str]

    def unsettled(self, sources: Iterable[Source]) -> Iterator[str]:
        """The keys of those that are neither prepared nor refused yet."""
        keys = (source.key for source in sources)
        return (key for key in keys if key not in self.ready and key not in self.refused)


def site_of(config: Config) -> Site:
    """The site of a checked configuration."""
    tree = AreaTree(Area(id=area.id, title=area.title, level=area.level, parent=area.parent) for area in config.areas)
    own = tuple(programme.written for programme in config.programmes)
    return Site(
        controller=config.controller,
        time_zone=config.time_zone,
        tree=tree,
        nodes={node.id: node for node in config.nodes},
        feeds={feed.id: feed for feed in config.feeds},
        clips={clip.id: clip for clip in config.clips},
        own=own,
        programmes=_by_area(own),
        emergency=config.emergency,
        relay=config.relay,
        announcement=config.announcement,
        holidays=config.holidays.calendar,
        rounds=rounds_of(config, tree),
        policies=policies_of(config, tree),
        voice=config.voice,
    )


def with_report_keys(site: Site, keys: Mapping[str, str]) -> Site:
    """The site with other report keys for some of its nodes."""
    known = {node: key for node, key in keys.items() if node in site.nodes}
    changed = {node: msgspec.structs.replace(site.nodes[node], report_key=key) for node, key in known.items()}
    return replace(site, nodes={**site.nodes, **changed}) if changed else site


def with_stored(site: Site, programmes: Iterable[Programme], bulletins: Mapping[str, Bulletin]) -> Site:
    """The site with the database's programmes beside its own, and with the bulletins that may sound."""
    own = {programme.id for programme in site.own}
    stored = tuple(programmes)
    shadowed = tuple(programme.id for programme in stored if programme.id in own)
    beside = tuple(programme for programme in stored if programme.id not in own)
    return replace(site, programmes=_by_area((*site.own, *beside)), bulletins=bulletins, shadowed=shadowed)


def with_changed(
    site: Site, programmes: Mapping[str, Programme | None], bulletins: Mapping[str, Bulletin | None]
) -> tuple[Site, frozenset[str]]:
    """The site with some of its stored programmes and bulletins exchanged or gone, and whose plans that concerns."""
    own = {programme.id for programme in site.own}
    changed = {name: programme for name, programme in programmes.items() if name not in own}
    areas = {area for area, held in site.programmes.items() if any(programme.id in changed for programme in held)}
    areas |= {programme.area for programme in changed.values() if programme is not None}
    by_area = dict(site.programmes)
    for area in areas:
        kept = [programme for programme in by_area.get(area, ()) if programme.id not in changed]
        new = [each for each in changed.values() if each is not None and each.area == area]
        by_area[area] = tuple(kept + new)
    known = {name: each for name, each in site.bulletins.items() if name not in bulletins}
    known |= {name: each for name, each in bulletins.items() if each is not None}
    for area, held in by_area.items():
        if any(item.bulletin in bulletins for programme in held for item in items_of(programme) if item.bulletin):
            areas.add(area)
    return replace(site, programmes=by_area, bulletins=known), frozenset(areas)


def _by_area(programmes: Iterable[Programme]) -> dict[str, tuple[Programme, ...]]:
    found: dict[str, list[Programme]] = {}
    for programme in programmes:
        found.setdefault(programme.area, []).append(programme)
    return {area: tuple(held) for area, held in found.items()}


def quiet_hours_of(node: NodeConfig) -> QuietHours | None:
    """A node's quiet hours as its assignment says them."""
    match node.quiet_hours:
        case QuietHoursConfig(begin=begin, end=end):
            return QuietHours(begin_minute=minute_of_day(begin), end_minute=minute_of_day(end))
        case _:
            return None


def minute_of_day(text: str) -> int:
    """Minutes after midnight of a checked `HH:MM` or `HH:MM:SS`."""
    hours, minutes = text.split(":")[:2]
    return int(hours) * 60 + int(minutes)
