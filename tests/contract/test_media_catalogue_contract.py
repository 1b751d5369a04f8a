"""The media catalogue on SQLite and on a real PostgreSQL: what is kept comes back the same, all of it or nothing."""

from __future__ import annotations

import msgspec
import pytest

from controller.adapters.database import SqlDatabase
from controller.adapters.media.catalogue_store import CatalogueStore
from controller.errors import DatabaseError
from controller.media.catalogue import EntryState, MediaEntry, Origin, OriginKind, changed
from controller.media.judgement import Loudness, Measured
from controller.people.audit import Actor, act_of
from protocol.messages import MediaReference

LOUDNESS = Loudness(integrated_lufs=-23.25, range_lu=5.5, true_peak_dbtp=-2.0)
ENTRY = MediaEntry(
    reference=MediaReference(sha256="ab" * 32, size_bytes=8_000, duration_ms=1_000),
    area="xa-binh-minh",
    title="Bản tin Đường Lâm",
    licence="của xã",
    origin=Origin(kind=OriginKind.UPLOAD, name="bản tin.wav", sha256="cd" * 32, size_bytes=2**31),
    found=Measured(duration_ms=1_000, loudness=LOUDNESS, quiet_share=0.1, clipped_share=0.0, cancelled_db=3.01),
    made=LOUDNESS,
    gain_db=3.25,
    added_by="lan",
    added_at_ms=1_795_000_000_000,
)
OTHER = msgspec.structs.replace(ENTRY, area="xa-khac", added_at_ms=1_795_000_000_001)
ACT = act_of("media", by=Actor(who="lan"), at_ms=1, place="xa-binh-minh", detail="added")


async def test_what_is_kept_comes_back_the_newest_first(database: SqlDatabase) -> None:
    store = CatalogueStore(database)
    assert await store.load() == ()
    await store.commit([ENTRY], waveforms={ENTRY.id: bytes(range(256))}, acts=[ACT])
    await store.commit([OTHER])
    assert await CatalogueStore(database).load() == (OTHER, ENTRY)
    assert await store.waveform(ENTRY.id) == bytes(range(256))
    assert await store.waveform(OTHER.id) == b""
    assert await store.waveform("nothing") == b""


async def test_a_change_keeps_the_outline(database: SqlDatabase) -> None:
    store = CatalogueStore(database)
    await store.commit([ENTRY], waveforms={ENTRY.id: b"\x00\xff"})
    removed = changed(ENTRY, "remove", by="minh", at_ms=7)
    await store.commit([removed])
    [found] = await store.load()
    assert (found.state, found.changed_by, found.changed_at_ms) == (EntryState.REMOVED, "minh", 7)
    assert await store.waveform(ENTRY.id) == b"\x00\xff"


async def test_a_change_and_its_act_are_kept_together_or_not_at_all(database: SqlDatabase) -> None:
    store = CatalogueStore(database)
    with pytest.raises(DatabaseError):
        await store.commit([ENTRY, msgspec.structs.replace(OTHER, added_at_ms=2**70)], acts=[ACT])
    assert await store.load() == ()
    async with database.connection() as connection:
        assert (await connection.exec_driver_sql("SELECT count(*) FROM audit")).scalar() == 0
