"""A written programme becomes one that can be compiled: each item with its media and its length; pure.

Left out, and told elsewhere, is what cannot sound: a refused file, a bulletin that nobody has approved, that is of
another place or of a lower class than the programme. An item keeps its number, so that ids stay when others come or go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from controller.programmes.programme import (
    Item,
    Override,
    Programme,
    ReadyItem,
    ReadyOverride,
    ReadyProgramme,
    local_end_of,
)
from controller.programmes.sources import is_of_class, items_of, source_of

if TYPE_CHECKING:
    from controller.configuration.site import MediaShelf, Site


def ready_of(programme: Programme, *, shelf: MediaShelf, site: Site) -> ReadyProgramme:
    """The programme with the items that can sound.

    An item that is heard in turns lasts as long as its whole round; one with a chime begins with it.
    """
    nodes = site.nodes_below(programme.area) if any(item.in_turns for item in items_of(programme)) else ()

    def ready(items: Sequence[Item], title: str) -> tuple[ReadyItem, ...]:
        found = (
            _ready_item(programme, number, item, title, shelf=shelf, site=site, nodes=nodes)
            for number, item in enumerate(items)
        )
        return tuple(each for each in found if each is not None)

    def override_of(override: Override) -> ReadyOverride:
        title = override.title or programme.title
        other = override.items if override.items is not None or override.title is None else programme.items
        return ReadyOverride(begins=override.begins, items=None if other is None else ready(other, title))

    return ReadyProgramme(
        id=programme.id,
        title=programme.title,
        area=programme.area,
        broadcast_class=programme.broadcast_class,
        recurrence=programme.recurrence,
        items=ready(programme.items, programme.title),
        overrides={override.of: override_of(override) for override in programme.overrides},
        valid_from=programme.valid_from,
        valid_until=programme.valid_until,
        before_upper=programme.before_upper,
    )


def _ready_item(
    programme: Programme,
    number: int,
    item: Item,
    title: str,
    *,
    shelf: MediaShelf,
    site: Site,
    nodes: Sequence[str],
) -> ReadyItem | None:
    chime_ms = site.announcement.chime_ms if item.chime else 0
    valid_until = item.valid_until
    if item.feed is not None and item.duration_s is not None:
        feed = site.feeds.get(item.feed)
        if feed is None:
            return None
        return ReadyItem(
            title=item.title or feed.title,
            duration_ms=item.duration_s * 1000,
            feed=item.feed,
            chime_ms=chime_ms,
            over=item.over,
            number=number,
            valid_from=item.valid_from,
            valid_until=valid_until,
        )
    if item.bulletin is not None:
        bulletin = site.bulletins.get(item.bulletin)
        if bulletin is None or bulletin.area not in site.tree.chain(programme.area):
            return None
        if not is_of_class(bulletin, programme.broadcast_class):
            return None
        title, valid_until = bulletin.title, _earlier(valid_until, bulletin.valid_until)
    source = source_of(item, site.bulletins)
    media = shelf.ready.get(source.key) if source is not None else None
    if media is None:
        return None
    sound_ms = chime_ms + media.duration_ms
    turns = site.rounds.of(nodes, sound_ms=sound_ms) if item.in_turns else None
    return ReadyItem(
        title=item.title or title,
        duration_ms=sound_ms if turns is None else turns.round_ms,
        media=media,
        turns=turns,
        chime_ms=chime_ms,
        over=item.over,
        number=number,
        valid_from=item.valid_from,
        valid_until=valid_until,
    )


def _earlier(one: str | None, other: str) -> str:
    """Whichever ends first."""
    return other if one is None or local_end_of(other) < local_end_of(one) else one
