"""What a playlist holds, and what of it a programme can sound; pure.

M3U and XSPF name files and addresses of somebody's computer. A programme sounds what the controller has: so an entry is
looked up among the media, the feeds and the bulletins that are known, and told where it is none of them. Nothing is
fetched, no playlist within a playlist is opened. Items that we wrote ourselves go along as they are.

Rules kept: bounded before it is parsed and in entries; an entry that cannot be looked up is left out with the reason.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from controller.errors import ExchangeError
from controller.programmes.programme import ITEM_S_MAX, ITEMS_MAX, Item

PLAYLIST_BYTES_MAX: Final = 1024 * 1024
ENTRIES_MAX: Final = ITEMS_MAX
"""A programme has no more items."""
LOCATION_CHARACTERS_MAX: Final = 2048
TITLE_CHARACTERS_MAX: Final = 200
BULLETIN_URN: Final = "urn:x-loaxa:bulletin:"
TEXT_URN: Final = "urn:x-loaxa:text"
MEDIA_URN: Final = "urn:x-loaxa:media:"
_HASH: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry: where it is, what it is called, how long it is, and our own item where we wrote it."""

    location: str
    title: str | None = None
    duration_s: float | None = None
    item: Item | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What is known here: feeds by address, media hashes by name (of a file or a title), bulletins by id.

    `feed_s`: how long a feed is relayed whose entry does not say it.
    """

    feeds: Mapping[str, str] = field(default_factory=dict)
    media: Mapping[str, str] = field(default_factory=dict)
    bulletins: frozenset[str] = frozenset()
    feed_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPlaylist:
    """Items that can sound, and for each other entry why it cannot."""

    items: tuple[Item, ...]
    left_out: tuple[str, ...]


def require_size(data: bytes) -> None:
    """Raise ExchangeError where a playlist is too large to be looked at."""
    if len(data) > PLAYLIST_BYTES_MAX:
        raise ExchangeError(f"tệp quá lớn / the playlist has {len(data)} bytes; at most {PLAYLIST_BYTES_MAX}")


def require_count(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The entries. Raises ExchangeError where there are none, or more than a programme holds."""
    if not entries:
        raise ExchangeError("danh sách rỗng / the playlist is empty")
    if len(entries) > ENTRIES_MAX:
        raise ExchangeError(
            f"quá nhiều mục / the playlist has {len(entries)} entries; a programme at most {ENTRIES_MAX}"
        )
    return tuple(entries)


def entry_of(location: str, *, title: str | None, duration_s: float | None, item: Item | None = None) -> Entry:
    """An entry with bounds. Raises ExchangeError."""
    if not location or len(location) > LOCATION_CHARACTERS_MAX or _CONTROL.search(location):
        raise ExchangeError(f"{location[:60]!r}: địa chỉ không hợp lệ / no location of 1 to {LOCATION_CHARACTERS_MAX}")
    plain = _CONTROL.sub(" ", unicodedata.normalize("NFC", title or "")).strip()[:TITLE_CHARACTERS_MAX]
    length = duration_s if duration_s is not None and 0 < duration_s <= ITEM_S_MAX else None
    return Entry(location=location, title=plain or None, duration_s=length, item=item)


def own_item(text: str | None) -> Item | None:
    """An item that we wrote; None for anything else."""
    try:
        return None if not text else msgspec.json.decode(text.strip().encode(), type=Item)
    except (msgspec.MsgspecError, ValueError):
        return None


def own_text(item: Item) -> str:
    """An item as a line of plain ASCII, which every file carries."""
    return json.dumps(msgspec.to_builtins(item))


def items_of(entries: Sequence[Entry], sources: Sources) -> ReadPlaylist:
    """What a programme can sound of a playlist."""
    feeds = {address.rstrip("/"): feed for address, feed in sources.feeds.items()}
    media = {name_of(name): sha256 for name, sha256 in sources.media.items()}
    items: list[Item] = []
    left_out: list[str] = []
    for entry in entries:
        try:
            items.append(_item_of(entry, feeds=feeds, media=media, sources=sources))
        except (ExchangeError, ValueError) as error:
            left_out.append(f"{entry.title or entry.location}: {error}")
    return ReadPlaylist(items=tuple(items), left_out=tuple(left_out))


def location_of(item: Item, feeds: Mapping[str, str]) -> str:
    """Where an item is, for another program: the address of its feed, its file, or a name that only we know."""
    if item.feed is not None:
        return feeds.get(item.feed, f"urn:x-loaxa:feed:{item.feed}")
    if item.media is not None:
        return f"{MEDIA_URN}{item.media}"
    if item.bulletin is not None:
        return f"{BULLETIN_URN}{item.bulletin}"
    return item.file if item.file is not None else TEXT_URN


def name_of(location: str) -> str:
    """A file's name without folders and ending, as names are compared."""
    path = unquote(urlsplit(location).path) if "://" in location else location
    name = re.split(r"[/\\]", path)[-1]
    stem = name.rpartition(".")[0] or name
    return unicodedata.normalize("NFC", stem).casefold().strip()


def _item_of(entry: Entry, *, feeds: Mapping[str, str], media: Mapping[str, str], sources: Sources) -> Item:
    if entry.item is not None:
        return entry.item
    title = entry.title
    if entry.location.startswith(BULLETIN_URN):
        bulletin = entry.location.removeprefix(BULLETIN_URN)
        if bulletin not in sources.bulletins:
            raise ExchangeError(f"không có bản tin / there is no bulletin {bulletin[:40]!r}")
        return Item(bulletin=bulletin, title=title)
    feed = feeds.get(entry.location.rstrip("/"))
    if feed is not None:
        seconds = round(entry.duration_s) if entry.duration_s else sources.feed_s
        if not seconds:
            raise ExchangeError("không rõ tiếp âm bao lâu / how long is this feed relayed? The entry does not say it")
        return Item(feed=feed, duration_s=seconds, title=title)
    named = _HASH.search(entry.location.lower())
    if named is not None and named[0] in sources.media.values():
        return Item(media=named[0], title=title)
    for name in (name_of(entry.location), unicodedata.normalize("NFC", title or "").casefold()):
        if name and name in media:
            return Item(media=media[name], title=title)
    raise ExchangeError(
        f"{entry.location[:80]}: chưa có trong kho âm thanh, không phải nguồn tiếp âm / neither among the media nor a "
        "feed; add it first with `loaxa-controller media add`"
    )
