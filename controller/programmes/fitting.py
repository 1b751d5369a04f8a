"""What a programme or a bulletin must be to the place that it is for; pure.

Each fault is one sentence with where it stands; `require_*` tells all of them at once. Types and bounds were the
model's; what is prepared by now is the shelf's subject. A programme that is kept in the database names no file of the
controller: whoever may write programmes need not be able to read its disk.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from controller.configuration.site import Site
from controller.errors import RequestCode, RequestError
from controller.programmes.bulletin import Bulletin
from controller.programmes.programme import Item, Programme
from controller.programmes.sources import is_of_class

PAPERS_MAX: Final = 100_000
"""Programmes of a province: 3,000 communes with thirty each; archived ones count."""
AREA_PROGRAMMES_MAX: Final = 200
"""Standing ones of one area."""
_DAY_S: Final = 24 * 3600
_LISTED_MAX: Final = 20
_FAULTS_MAX: Final = 10
Recorded = Callable[[str, Sequence[str]], bool]
"""Whether the recording of a hash is in the library for one of some areas: a place and those above it."""


def require_programme(
    programme: Programme, *, site: Site, bulletins: Mapping[str, Bulletin], is_recorded: Recorded
) -> None:
    """Raise RequestError with what does not fit. `bulletins` are those that it names, approved or not."""
    require_area(programme.area, site)
    if any(each.id == programme.id for each in site.own):
        what = "nằm trong tệp cấu hình / stands in the configuration file: change it there, or choose another id"
        raise RequestError(RequestCode.CONFLICT, f"chương trình {programme.id!r} {what}")
    faults = itertools.chain(
        feed_faults(programme, site.feeds.keys(), site.announcement.chime_ms),
        _source_faults(programme, site, bulletins, is_recorded),
    )
    _require_none(faults)


def require_bulletin(bulletin: Bulletin, *, site: Site, is_recorded: Recorded) -> None:
    """Raise RequestError with what does not fit."""
    require_area(bulletin.area, site)
    if bulletin.audio is not None and not is_recorded(bulletin.audio, site.tree.chain(bulletin.area)):
        _require_none([f"audio: {_unrecorded(bulletin.audio)}"])


def require_area(area: str, site: Site) -> None:
    """Raise RequestError for an area that is not known."""
    if area not in site.tree:
        known = {each.id for each in site.tree.areas}
        raise RequestError(RequestCode.UNKNOWN_AREA, f"area: {unknown(area, known)}")


def require_same_area(before: str, after: str, what: str) -> None:
    """Raise RequestError where something would move to another place: its rights are those of its area."""
    if before != after:
        told = f"{what} thuộc địa bàn {before} / belongs to {before}"
        raise RequestError(RequestCode.BAD_REQUEST, f"{told}; for {after} make another one, and remove this")


def feed_faults(programme: Programme, known_feeds: AbstractSet[str], chime_ms: int) -> Iterator[str]:
    """Feeds that are not there, and times that do not fit."""
    for path, items in _lists(programme):
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


def _source_faults(
    programme: Programme, site: Site, bulletins: Mapping[str, Bulletin], is_recorded: Recorded
) -> Iterator[str]:
    chain = site.tree.chain(programme.area)
    for path, items in _lists(programme):
        for index, item in enumerate(items):
            at = f"{path}[{index}]"
            if item.file is not None:
                yield f"{at}: file: a file of the controller is named in its configuration only; upload it, name media"
            if item.media is not None and not is_recorded(item.media, chain):
                yield f"{at}: media: {_unrecorded(item.media)}"
            if item.bulletin is not None:
                yield from (f"{at}: bulletin: {fault}" for fault in _bulletin_faults(programme, item, bulletins, chain))


def _bulletin_faults(
    programme: Programme, item: Item, bulletins: Mapping[str, Bulletin], chain: Sequence[str]
) -> Iterator[str]:
    bulletin = bulletins.get(item.bulletin or "")
    if bulletin is None:
        yield f"{item.bulletin!r} is not known; write it first: loaxa-controller bulletin add"
    elif bulletin.area not in chain:
        yield f"{bulletin.id!r} is of {bulletin.area}, which is neither {programme.area} nor above it"
    elif not is_of_class(bulletin, programme.broadcast_class):
        yield f"{bulletin.id!r} is routine and gains no rank by a programme of priority"


def _lists(programme: Programme) -> Iterator[tuple[str, Sequence[Item]]]:
    yield "items", programme.items
    for override in programme.overrides:
        yield f"overrides[{override.of}].items", override.items or ()


def _unrecorded(sha256: str) -> str:
    return f"there is no recording {sha256[:16]}… for this place; upload it first: loaxa-controller media add"


def _require_none(faults: Iterator[str] | Sequence[str]) -> None:
    found = list(itertools.islice(faults, _FAULTS_MAX))
    if found:
        raise RequestError(RequestCode.BAD_REQUEST, "; ".join(found))
