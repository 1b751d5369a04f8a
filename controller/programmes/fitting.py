"""What a programme or a bulletin must be to the place that it is for; pure.

Each fault is one sentence with where it stands. Types and bounds were the model's; what is prepared by now is the
shelf's subject.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from controller.programmes.programme import Item, Programme

_DAY_S: Final = 24 * 3600
_LISTED_MAX: Final = 20


def feed_faults(programme: Programme, known_feeds: AbstractSet[str], chime_ms: int) -> Iterator[str]:
    """Feeds that are not there, and times that do not fit."""
    lists: list[tuple[str, Sequence[Item]]] = [("items", programme.items)]
    lists += [(f"overrides[{override.of}].items", override.items or ()) for override in programme.overrides]
    for path, items in lists:
        if sum(item.duration_s or 0 for item in items) > _DAY_S:
            yield f"{path}: together longer than a day"
        for index, item in enumerate(items):
            if item.feed is not None and item.feed not in known_feeds:
                yield f"{path}[{index}]: feed: {unknown(item.feed, known_feeds)}"
            if item.feed is not None and item.chime and chime_ms >= (item.duration_s or 0) * 1000:
                yield f"{path}[{index}]: duration_s: no longer than announcement.chime_ms; more, or no chime"


def unknown(name: str, known: AbstractSet[str]) -> str:
    """A name that is none, with those that are."""
    listed = sorted(known)
    more = f" and {len(listed) - _LISTED_MAX} more" if len(listed) > _LISTED_MAX else ""
    return f"{name!r} is not known; known: {', '.join(listed[:_LISTED_MAX]) or 'none'}{more}"
