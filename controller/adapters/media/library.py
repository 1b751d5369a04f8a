"""The media library of one controller: what comes in, what is kept, what is removed and brought back.

Joins the decisions of `controller.media` with their files (`IncomingFiles`), their table (`CatalogueStore`), the
process that decodes (`ImportProcess`) and pulls (`Puller`). One recording is judged at a time; the others wait in the
order in which they were whole. Rules kept: what is told as kept is durable, file before entry, entry with its act in
the audit log; a restart anywhere loses no whole recording and repeats none.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from pathlib import Path
from typing import Final

import msgspec

from controller.adapters.media.catalogue_store import CatalogueStore
from controller.adapters.media.intakes import Importing, Intakes
from controller.adapters.media.pull import RETRY_S
from controller.adapters.media_import import Imported, media_path
from controller.errors import RequestCode, RequestError
from controller.media.catalogue import (
    ENTRIES_MAX,
    EntryState,
    MediaEntry,
    Origin,
    changed,
    entry_id,
    found_by,
    is_due,
    require_unneeded,
)
from controller.media.intake import Intake
from controller.media.media_config import MediaConfig
from controller.people.audit import Actor, Deed, act_of
from protocol.messages import MediaReference

log = logging.getLogger("controller.media")

SWEEP_S: Final = 3_600.0
"""How often files of what was removed long ago are looked for."""
Uses = Callable[[str], Iterable[str]]
"""Who needs the recording of a hash, as sentences name them."""


class MediaLibrary:
    """What the API and the desk see of it."""

    def __init__(
        self,
        *,
        media_dir: Path,
        store: CatalogueStore,
        importing: Importing,
        config: MediaConfig,
        uses: Uses,
        clock: Callable[[], int],
        on_kept: Callable[[MediaReference], None] = lambda _: None,
        retry_s: float = RETRY_S,
    ) -> None:
        self._media_dir = media_dir
        self._store = store
        self._config = config
        self._uses = uses
        self._clock = clock
        self._on_kept = on_kept
        self._entries: dict[str, MediaEntry] = {}
        self.intakes = Intakes(
            media_dir=media_dir, importing=importing, config=config, clock=clock, keep=self._keep, retry_s=retry_s
        )

    async def open(self) -> None:
        """Take up what was known and what was on its way; raises DatabaseError, OSError."""
        self._entries = {entry.id: entry for entry in await self._store.load()}
        await self.intakes.open()
        needed = {entry.origin.sha256 for entry in self._entries.values() if entry.state is not EntryState.PURGED}
        needed |= {intake.source_sha256 for intake in self.intakes.all if not intake.is_finished}
        await asyncio.to_thread(self.intakes.files.drop_originals, needed)
        for entry in self._entries.values():
            if entry.state is EntryState.KEPT and not self.sound_path(entry).exists():
                log.error("the file of %s (%s) is gone: add the recording again", entry.id, entry.title)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work until left."""
        sweeping = asyncio.create_task(self._sweep_for_ever(), name="media sweep")
        try:
            async with self.intakes.running():
                yield
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)

    def reconfigure(self, config: MediaConfig) -> None:
        """From the next recording on."""
        self._config = config
        self.intakes.reconfigure(config)

    @property
    def entries(self) -> tuple[MediaEntry, ...]:
        """All of them, the newest first."""
        return tuple(sorted(self._entries.values(), key=lambda entry: entry.added_at_ms, reverse=True))

    def entry(self, text: str) -> MediaEntry:
        """One by its id, by a beginning of it, or by its hash; raises RequestError."""
        return found_by(self._entries, text)

    def reference(self, sha256: str) -> MediaReference | None:
        """What programmes and plans name, where the recording is kept."""
        kept = (each for each in self._of(sha256) if each.state is EntryState.KEPT)
        return next((entry.reference for entry in kept), None)

    def is_for(self, sha256: str, areas: Collection[str]) -> bool:
        """Whether a recording is kept for one of some areas."""
        return any(each.state is EntryState.KEPT and each.area in areas for each in self._of(sha256))

    def has_sound(self, sha256: str) -> bool:
        """Whether the store holds what poles fetch by this hash, from wherever it came."""
        return media_path(self._media_dir, sha256).is_file()

    def sound_path(self, entry: MediaEntry) -> Path:
        """What poles hear; it may be gone."""
        return media_path(self._media_dir, entry.reference.sha256)

    def original_path(self, entry: MediaEntry) -> Path:
        """What was given; it may be gone."""
        return self.intakes.files.original(entry.origin.sha256)

    async def waveform(self, entry: MediaEntry) -> bytes:
        """Its outline; raises DatabaseError."""
        return await self._store.waveform(entry.id)

    def uses_of(self, entry: MediaEntry) -> tuple[str, ...]:
        """Who needs it."""
        return tuple(sorted(self._uses(entry.reference.sha256)))

    async def remove(self, entry: MediaEntry, *, by: Actor) -> MediaEntry:
        """Take it out of the library; raises RequestError, DatabaseError."""
        after = changed(entry, "remove", by=by.who, at_ms=self._clock())
        require_unneeded(entry, self._uses(entry.reference.sha256), self._of(entry.reference.sha256))
        return await self._change(after, "removed", by)

    async def restore(self, entry: MediaEntry, *, by: Actor) -> MediaEntry:
        """Bring it back; raises RequestError, DatabaseError."""
        after = changed(entry, "restore", by=by.who, at_ms=self._clock())
        if not self.sound_path(entry).exists():
            what = f"{entry.id}: tệp không còn, hãy gửi lại · its file is gone; add the recording again"
            raise RequestError(RequestCode.CONFLICT, what)
        restored = await self._change(after, "restored", by)
        self._on_kept(restored.reference)
        return restored

    async def describe(self, entry: MediaEntry, *, title: str, licence: str, by: Actor) -> MediaEntry:
        """Mend what is said of it; raises DatabaseError."""
        after = msgspec.structs.replace(
            entry, title=title, licence=licence, changed_by=by.who, changed_at_ms=self._clock()
        )
        return await self._change(after, "described", by)

    async def sweep(self) -> int:
        """Let the files go of what was removed long enough ago; how many entries that were. Raises DatabaseError."""
        now_ms = self._clock()
        days = self._config.removed_days
        due = [entry for entry in self._entries.values() if is_due(entry, now_ms=now_ms, removed_days=days)]
        for entry in due:
            await self._change(changed(entry, "purge", by="system", at_ms=now_ms), "purged", Actor(who="system"))
        async with self.intakes.working:
            for entry in self._entries.values():
                has_files = self.sound_path(entry).exists() or self.original_path(entry).exists()
                if entry.state is EntryState.PURGED and has_files:
                    self._drop_files(entry)
        return len(due)

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                await self.sweep()
            except Exception:
                log.exception("the library was not swept; it is tried again in %.0f s", SWEEP_S)
            await asyncio.sleep(SWEEP_S)

    def _drop_files(self, entry: MediaEntry) -> None:
        others = [each for each in self._entries.values() if each.state is not EntryState.PURGED]
        sha256, original = entry.reference.sha256, entry.origin.sha256
        with contextlib.suppress(OSError):
            if not any(each.reference.sha256 == sha256 for each in others) and not tuple(self._uses(sha256)):
                self.sound_path(entry).unlink(missing_ok=True)
            if not any(each.origin.sha256 == original for each in others):
                self.original_path(entry).unlink(missing_ok=True)

    async def _keep(self, intake: Intake, made: Imported) -> tuple[str, bool]:
        """Enter what was made of an intake; its id, and whether it is new. Raises RequestError, DatabaseError."""
        known = self._entries.get(entry_id(made.reference.sha256, intake.area))
        if known is not None and known.state is EntryState.KEPT:
            return known.id, False
        if known is None and len(self._entries) >= ENTRIES_MAX:
            what = f"thư viện đã đầy ({ENTRIES_MAX}) · the library holds {ENTRIES_MAX} recordings and takes no more"
            raise RequestError(RequestCode.TOO_MANY, what)
        entry = _entry_of(intake, made, at_ms=self._clock())
        if known is not None:
            changed(known, "add", by=intake.by, at_ms=self._clock())
        await self._change(entry, "added", Actor(who=intake.by, address=intake.address), waveform=made.waveform)
        self._on_kept(entry.reference)
        return entry.id, True

    async def _change(self, entry: MediaEntry, verb: str, by: Actor, *, waveform: bytes | None = None) -> MediaEntry:
        """Keep an entry and its act in one commit; only then is it so."""
        detail = f"{verb} {entry.id}: {entry.title}"
        act = act_of(Deed.MEDIA, by=by, at_ms=self._clock(), place=entry.area, detail=detail)
        waveforms = {} if waveform is None else {entry.id: waveform}
        await self._store.commit([entry], waveforms=waveforms, acts=[act])
        self._entries[entry.id] = entry
        return entry

    def _of(self, sha256: str) -> tuple[MediaEntry, ...]:
        return tuple(entry for entry in self._entries.values() if entry.reference.sha256 == sha256)


def _entry_of(intake: Intake, made: Imported, *, at_ms: int) -> MediaEntry:
    origin = Origin(kind=intake.kind, name=intake.name, sha256=intake.source_sha256, size_bytes=intake.received_bytes)
    entry = MediaEntry(
        reference=made.reference,
        area=intake.area,
        title=intake.title,
        licence=intake.licence,
        origin=origin,
        found=made.found,
        made=made.made,
        gain_db=made.gain_db,
        added_by=intake.by,
        added_at_ms=at_ms,
    )
    return msgspec.structs.replace(entry, changed_by=intake.by, changed_at_ms=at_ms)
