"""Where an item's sound comes from: a file of the site, a recording of the catalogue, or a text that is spoken; pure.

A source's `key` names it on the shelf of what is prepared (`site.MediaShelf`). A bulletin is its recording, or its
text; one that nobody has approved, that has run out, or that is not of this place or class has no source.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from controller.programmes.bulletin import Bulletin
from controller.programmes.programme import Item, Programme
from controller.programmes.speech import language_or_default
from protocol.messages import BroadcastClass

TEXT_KEYS: Final = "text:"
"""What the key of every spoken text begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource:
    """A file by its path on the controller."""

    path: str

    @property
    def key(self) -> str:
        """The path."""
        return self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSource:
    """A recording of the catalogue by its content."""

    sha256: str

    @property
    def key(self) -> str:
        """No path begins so."""
        return f"media:{self.sha256}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSource:
    """What is spoken, and in which language."""

    text: str
    language: str

    @property
    def key(self) -> str:
        """The same for the same text."""
        return f"{TEXT_KEYS}{self.language}:{hashlib.sha256(self.text.encode()).hexdigest()}"


Source = FileSource | MediaSource | TextSource
Bulletins = Mapping[str, Bulletin]
"""Those that are approved and not withdrawn, by id."""


def source_of(item: Item, bulletins: Bulletins) -> Source | None:
    """None for a feed, which is live, and for a bulletin that may not sound."""
    if item.file is not None:
        return FileSource(path=item.file)
    if item.media is not None:
        return MediaSource(sha256=item.media)
    if item.text is not None:
        return TextSource(text=item.text, language=language_or_default(item.language))
    bulletin = bulletins.get(item.bulletin) if item.bulletin is not None else None
    return None if bulletin is None else source_of_bulletin(bulletin)


def source_of_bulletin(bulletin: Bulletin) -> Source:
    """The recording where there is one."""
    if bulletin.audio is not None:
        return MediaSource(sha256=bulletin.audio)
    return TextSource(text=bulletin.text or "", language=bulletin.language)


def items_of(programme: Programme) -> Iterator[Item]:
    """All items, those of single dates too."""
    yield from programme.items
    for override in programme.overrides:
        yield from override.items or ()


def sources_of(programme: Programme, bulletins: Bulletins) -> Iterator[Source]:
    """What a programme's items sound from, as far as they may sound."""
    for item in items_of(programme):
        source = source_of(item, bulletins)
        if source is not None:
            yield source


def is_of_class(bulletin: Bulletin, broadcast_class: BroadcastClass) -> bool:
    """A routine bulletin gains no rank by the programme that it stands in."""
    return broadcast_class is BroadcastClass.ROUTINE or bulletin.broadcast_class is BroadcastClass.PRIORITY
