"""What still needs a recording: clips, programmes, bulletins and plans, each by its name; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from controller.programmes.sources import items_of
from controller.site import Site
from protocol.messages import MediaReference, Plan


def uses_of(
    sha256: str,
    *,
    site: Site,
    ready: Mapping[str, MediaReference],
    plans: Iterable[Plan],
) -> frozenset[str]:
    """Who needs it, as a sentence names them. `ready` says which source is which recording, by the source's key."""
    sources = {key for key, reference in ready.items() if reference.sha256 == sha256}
    found = {f"clip {clip.id}" for clip in site.clips.values() if clip.file in sources}
    for programmes in site.programmes.values():
        for programme in programmes:
            items = tuple(items_of(programme))
            if any(item.media == sha256 or item.file in sources for item in items):
                found.add(f"programme {programme.id} ({programme.area})")
    found |= {f"bulletin {bulletin.id}" for bulletin in site.bulletins.values() if bulletin.audio == sha256}
    for plan in plans:
        if any(each.media is not None and each.media.sha256 == sha256 for each in plan.occurrences):
            found.add(f"plan {plan.area}")
    return frozenset(found)
