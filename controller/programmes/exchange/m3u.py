"""Playlists as M3U and M3U8 files, read and written; pure.

One location a line; what stands before it in a `#EXTINF` is its length and title. Our own item goes along in a comment
(`#LOAXA-ITEM:`), which other programs pass over.

Rules kept: UTF-8, or Vietnamese Windows' code page where a file is none; the playlist of a stream (HLS) is no list of
items and is refused, as a feed is what is meant.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

from controller.errors import ExchangeError
from controller.programmes.exchange.playlist import (
    Entry,
    entry_of,
    location_of,
    own_item,
    own_text,
    require_count,
    require_size,
)
from controller.programmes.programme import Item

OWN_LINE: Final = "#LOAXA-ITEM:"
CODE_PAGE: Final = "cp1258"
"""What programs of Vietnamese Windows write into a plain .m3u."""
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LENGTH: Final = re.compile(r"\s*(-?[0-9]{1,9}(?:\.[0-9]{1,6})?)")
_ATTRIBUTES: Final = re.compile(r'(?:\s+[A-Za-z0-9-]{1,40}="[^"]*")*\s*,')


def read_m3u(data: bytes) -> tuple[Entry, ...]:
    """The entries of a file. Raises ExchangeError."""
    require_size(data)
    entries: list[Entry] = []
    title: str | None = None
    length: float | None = None
    item: Item | None = None
    for line in (each.strip() for each in re.split(r"\r\n?|\n", _decoded(data))):
        if line.startswith("#EXT-X-"):
            raise ExchangeError("đây là luồng HLS / this is a stream's playlist (HLS): configure its address as a feed")
        if line.startswith("#EXTINF:"):
            length, title = _info_of(line.removeprefix("#EXTINF:"))
        elif line.startswith(OWN_LINE):
            item = own_item(line.removeprefix(OWN_LINE))
        elif line and not line.startswith("#"):
            entries.append(entry_of(line, title=title, duration_s=length, item=item))
            title, length, item = None, None, None
    return require_count(entries)


def write_m3u(
    items: Sequence[Item], *, title: str, feeds: Mapping[str, str], lengths_s: Mapping[int, float] | None = None
) -> bytes:
    """A file of items, UTF-8; `feeds`: addresses by name; `lengths_s`: by place, where they are known."""
    lines = ["#EXTM3U", "#EXTENC:UTF-8", f"#PLAYLIST:{_line_of(title)}"]
    for number, item in enumerate(items):
        seconds = item.duration_s or (lengths_s or {}).get(number)
        shown = -1 if seconds is None else math.ceil(seconds)
        lines.append(f"#EXTINF:{shown},{_line_of(item.title or title)}")
        lines.append(OWN_LINE + own_text(item))
        lines.append(_CONTROL.sub(" ", location_of(item, feeds)))
    return ("\n".join(lines) + "\n").encode()


def _decoded(data: bytes) -> str:
    if b"\0" in data:
        raise ExchangeError("không phải tệp M3U / this is no text, so no M3U; save it as UTF-8")
    for encoding in ("utf-8-sig", CODE_PAGE):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ExchangeError("không rõ bảng mã / the text is neither UTF-8 nor Windows-1258; save it as UTF-8 (.m3u8)")


def _info_of(text: str) -> tuple[float | None, str | None]:
    """Length in seconds (None: not known) and title of `123 key="value",Title`."""
    match = _LENGTH.match(text)
    rest = text[match.end() :] if match else text
    attributes = _ATTRIBUTES.match(rest)
    title = rest[attributes.end() :] if attributes else rest.partition(",")[2]
    seconds = float(match[1]) if match else -1.0
    return (seconds if seconds > 0 else None), title.strip() or None


def _line_of(text: str) -> str:
    """A text on one line; control characters are no text for other programs."""
    return " ".join(_CONTROL.sub(" ", text).split())
