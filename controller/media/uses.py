"""What still needs a recording: clips, programmes, bulletins, and documents that stand, each by its name; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from controller.configuration.site import Site
from controller.programmes.sources import items_of
from protocol.messages import MediaReference
from protocol.topics import parse_topic


def uses_of(sha256: str, *, site: Site, ready: Mapping[str, MediaReference], named_at: Iterable[str]) -> frozenset[str]:
    """Who needs it, as a sentence names them.

    `ready` says which source is which recording, by the source's key; `named_at` are the topics of standing documents
    (plans, emergencies, assignments) that name it.
    """
    sources = {key for key, reference in ready.items() if reference.sha256 == sha256}
    found = {f"clip {clip.id}" for clip in site.clips.values() if clip.file in sources}
    for programmes in site.programmes.values():
        for programme in programmes:
            if any(item.media == sha256 or item.file in sources for item in items_of(programme)):
                found.add(f"programme {programme.id} ({programme.area})")
    found |= {f"bulletin {bulletin.id}" for bulletin in site.bulletins.values() if bulletin.audio == sha256}
    return frozenset(found | {_named(topic) for topic in named_at})


def _named(topic: str) -> str:
    """A standing document as people call it: `plan xa-binh-minh`."""
    parsed = parse_topic(topic)
    return " ".join((parsed.name.value, *parsed.fields.values()))
