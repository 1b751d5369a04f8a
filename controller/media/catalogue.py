"""What the media library knows of each recording, and how its entry changes; pure.

    (nothing) --add--> kept
    kept    --remove--> removed: it can be brought back while its files are there
    removed --restore--> kept
    removed --purge--> purged: its files are gone, its entry stays
    purged  --add--> kept: the same recording was given again

Rules kept: an entry is one recording in one area; the file is shared by all entries of its content. Nothing is removed
that a plan, a clip, a programme, a bulletin or a standing emergency still needs, unless another entry keeps the same
content. Entries are never deleted: records of what sounded name recordings by their content, and the entry says what
that was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from controller.errors import RequestCode, RequestError
from controller.media.judgement import Loudness, Measured
from protocol.messages import MediaReference

ENTRIES_MAX: Final = 20_000
"""Held in memory, about 1.5 kB each: ten years of five recordings a day."""
DAY_MS: Final = 24 * 3600 * 1000
ID_DIGITS: Final = 16
Title = Annotated[str, Meta(min_length=1, max_length=200)]
Licence = Annotated[str, Meta(max_length=300)]


class EntryState(StrEnum):
    """The life of an entry."""

    KEPT = "kept"
    REMOVED = "removed"
    PURGED = "purged"


class OriginKind(StrEnum):
    """How a recording came."""

    UPLOAD = "upload"
    PULL = "pull"


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a recording came from, and the original that is kept beside it."""

    kind: OriginKind
    name: str
    sha256: str
    size_bytes: int


class MediaEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One recording in one area."""

    reference: MediaReference
    area: str
    title: str
    licence: str
    origin: Origin
    found: Measured
    made: Loudness
    gain_db: float
    added_by: str
    added_at_ms: int
    state: EntryState = EntryState.KEPT
    changed_by: str = ""
    changed_at_ms: int = 0

    @property
    def id(self) -> str:
        """Names it in commands and addresses."""
        return entry_id(self.reference.sha256, self.area)


TRANSITIONS: Final[Mapping[tuple[EntryState, str], EntryState]] = {
    (EntryState.KEPT, "remove"): EntryState.REMOVED,
    (EntryState.REMOVED, "restore"): EntryState.KEPT,
    (EntryState.REMOVED, "purge"): EntryState.PURGED,
    (EntryState.REMOVED, "add"): EntryState.KEPT,
    (EntryState.PURGED, "add"): EntryState.KEPT,
}
_TOLD: Final[Mapping[tuple[EntryState, str], str]] = {
    (EntryState.REMOVED, "remove"): "đã gỡ rồi · it is removed already",
    (EntryState.PURGED, "remove"): "đã xoá rồi · it is gone already",
    (EntryState.KEPT, "restore"): "vẫn còn, không cần khôi phục · it is there; there is nothing to bring back",
    (EntryState.PURGED, "restore"): "tệp đã bị xoá, hãy gửi lại · its files are gone; add the recording again",
}


def entry_id(sha256: str, area: str) -> str:
    """An entry's name."""
    return f"{sha256[:ID_DIGITS]}-{area}"


def changed(entry: MediaEntry, verb: str, *, by: str, at_ms: int) -> MediaEntry:
    """The entry after a change; raises RequestError for one that its state does not allow."""
    state = TRANSITIONS.get((entry.state, verb))
    if state is None:
        told = _TOLD.get((entry.state, verb), f"{entry.state}: {verb}")
        raise RequestError(RequestCode.CONFLICT, f"{entry.id} ({entry.title}): {told}")
    return msgspec.structs.replace(entry, state=state, changed_by=by, changed_at_ms=at_ms)


def require_unneeded(entry: MediaEntry, uses: Iterable[str], others: Iterable[MediaEntry]) -> None:
    """Raise RequestError where something needs the recording and no other entry keeps it."""
    if any(other.state is EntryState.KEPT and other.id != entry.id for other in others):
        return
    needed = sorted(uses)
    if needed:
        listed = "; ".join(needed[:5]) + (f"; +{len(needed) - 5}" if len(needed) > 5 else "")  # noqa: PLR2004 - a line
        what = f"{entry.id} ({entry.title}) còn được dùng · is still needed by: {listed}; take it out there first"
        raise RequestError(RequestCode.CONFLICT, what)


def is_due(entry: MediaEntry, *, now_ms: int, removed_days: int) -> bool:
    """Whether a removed entry's files may go."""
    return entry.state is EntryState.REMOVED and now_ms - entry.changed_at_ms >= removed_days * DAY_MS


def found_by(entries: Mapping[str, MediaEntry], text: str) -> MediaEntry:
    """The entry of an id, or of a beginning that only one has; raises RequestError."""
    if text in entries:
        return entries[text]
    beginning = text[:64].lower()
    found = [entry for name, entry in entries.items() if beginning and name.startswith(beginning)]
    found = found or [entry for entry in entries.values() if beginning and entry.reference.sha256 == beginning]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(sorted(entry.id for entry in found)[:5])
        what = f"{text[:64]!r} có nhiều bản thu · names more than one recording: {listed}"
        raise RequestError(RequestCode.BAD_REQUEST, what)
    what = f"không có bản thu {text[:64]!r} · there is no recording {text[:64]!r}; `media list` shows what there is"
    raise RequestError(RequestCode.NOT_FOUND, what)
