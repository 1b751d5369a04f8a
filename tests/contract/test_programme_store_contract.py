"""Programmes and bulletins on SQLite and on a real PostgreSQL: every version is kept, nothing is overwritten."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
import sqlalchemy as sa

from controller.adapters.database import SqlDatabase
from controller.adapters.people.store import PeopleStore
from controller.adapters.programme_store import PROGRAMME_VERSIONS, BulletinStore, HeadQuestion, programme_store
from controller.errors import ConflictError, DatabaseError
from controller.people.audit import Actor, act_of
from controller.programmes.bulletin import Bulletin, Decision, Verdict
from controller.programmes.programme import Item, Programme, weekly
from controller.programmes.versions import Change, Version, added, edited, removed, restored

AN = Actor(who="an")
MORNING = Programme(
    id="morning",
    title="Buổi sáng",
    area="xa",
    items=(Item(text="Chào bà con", language="vi"), Item(feed="vov1", duration_s=900)),
    recurrence=weekly("05:30", ("mon", "sat")),
)
FLOOD = Bulletin(id="flood", title="Nước lên", area="xa", text="Nước lên nhanh", valid_until="2026-12-01")


async def test_each_version_is_kept_and_the_latest_stands(database: SqlDatabase) -> None:
    store = programme_store(database)
    assert await store.standing() == []
    first = added(None, MORNING, by=AN, at_ms=1)
    await store.keep([(first, None)], [act_of("programme_add", by=AN, at_ms=1)])
    changed = msgspec.structs.replace(MORNING, title="Sáng sớm")
    second = edited(first, changed, read=1, by=AN, at_ms=2)
    assert second is not None
    await store.keep([(second, None)], [])
    assert (await store.head("morning")) == second
    assert await store.versions("morning") == [first, second]
    assert await store.version("morning", 1) == first
    assert await store.version("morning", 3) is None
    third = removed(second, "morning", read=2, by=AN, at_ms=3)
    await store.keep([(third, None)], [])
    assert await store.standing() == []
    assert await store.heads(HeadQuestion()) == []
    assert await store.heads(HeadQuestion(is_archived_too=True, areas=["xa"])) == [third]
    fourth = restored(await store.versions("morning"), "morning", to=None, by=AN, at_ms=4)
    await store.keep([(fourth, None)], [])
    assert (fourth.paper, fourth.restores, fourth.is_archived) == (changed, 2, False)
    assert await store.standing() == [fourth]
    assert await store.count() == 1
    assert [each.entry.act.what for each in await PeopleStore(database).audit_latest(limit=5)] == ["programme_add"]


async def test_of_two_who_change_one_version_one_is_told(database: SqlDatabase) -> None:
    store = programme_store(database)
    first = added(None, MORNING, by=AN, at_ms=1)
    await store.keep([(first, None)], [])
    with pytest.raises(ConflictError):
        await store.keep([(first, None)], [])

    async def rename(title: str) -> bool:
        made = edited(first, msgspec.structs.replace(MORNING, title=title), read=1, by=AN, at_ms=2)
        assert made is not None
        try:
            await store.keep([(made, None)], [act_of("programme_edit", by=AN, at_ms=2)])
        except ConflictError:
            return False
        return True

    assert sorted(await asyncio.gather(rename("a"), rename("b"))) == [False, True]
    assert len(await store.versions("morning")) == 2
    assert len(await PeopleStore(database).audit_latest(limit=5)) == 1


async def test_a_commit_is_kept_whole_or_not_at_all(database: SqlDatabase) -> None:
    store = programme_store(database)
    good = added(None, MORNING, by=AN, at_ms=1)
    bad = Version(number=1, at_ms=2**70, who="an", change=Change.ADDED, paper=msgspec.structs.replace(MORNING, id="b"))
    with pytest.raises(DatabaseError):
        await store.keep([(good, None), (bad, None)], [act_of("programme_add", by=AN, at_ms=1)])
    assert await store.count() == 0
    assert await PeopleStore(database).audit_latest(limit=5) == []


async def test_lists_come_by_area_and_in_pages(database: SqlDatabase) -> None:
    store = programme_store(database)
    made = [
        added(None, msgspec.structs.replace(MORNING, id=f"p{number}", area=area), by=AN, at_ms=1)
        for number, area in enumerate(("xa", "dong", "xa", "doai"))
    ]
    await store.keep([(each, None) for each in made], [])
    assert [each.paper.id for each in await store.heads(HeadQuestion(limit=2))] == ["p0", "p1"]
    assert [each.paper.id for each in await store.heads(HeadQuestion(after="p1"))] == ["p2", "p3"]
    assert [each.paper.id for each in await store.heads(HeadQuestion(areas=["xa"]))] == ["p0", "p2"]
    assert await store.heads(HeadQuestion(areas=[])) == []


async def test_decisions_are_about_the_latest_version(database: SqlDatabase) -> None:
    store = BulletinStore(database)
    first = added(None, FLOOD, by=AN, at_ms=1)
    await store.keep([(first, 100)], [])
    approved = Decision(number=1, who="binh", at_ms=2, verdict=Verdict.APPROVED)
    await store.decide("flood", approved, [act_of("bulletin_approve", by=Actor(who="binh"), at_ms=2)])
    assert await store.decisions() == {"flood": [approved]}
    taken = Decision(number=1, who="chi", at_ms=3, verdict=Verdict.TAKEN_BACK, reason="sai giờ")
    await store.decide("flood", taken, [])
    assert await store.decisions(["flood"]) == {"flood": [taken]}
    second = edited(first, msgspec.structs.replace(FLOOD, title="Nước rút"), read=1, by=AN, at_ms=4)
    assert second is not None
    await store.keep([(second, 100)], [])
    with pytest.raises(ConflictError):
        await store.decide("flood", approved, [])
    assert [each.number for each in await store.standing(not_ended_by_ms=99)] == [2]
    assert await store.standing(not_ended_by_ms=100) == []


async def test_what_was_changed_by_hand_is_named(database: SqlDatabase) -> None:
    store = programme_store(database)
    await store.keep([(added(None, MORNING, by=AN, at_ms=1), None)], [])
    async with database.connection() as connection, connection.begin():
        await connection.execute(sa.update(PROGRAMME_VERSIONS).values(body="{}"))
    with pytest.raises(DatabaseError, match="'morning', version 1, was changed by hand"):
        await store.standing()
