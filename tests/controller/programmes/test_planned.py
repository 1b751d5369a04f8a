"""Programmes of the database in the plans: what comes first, what waits for what, what is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest_asyncio

from controller.configuration.site import site_of, with_stored
from controller.events import SiteChanged
from controller.people.audit import Actor
from controller.planning.compile import COVERED_MS_MIN
from controller.programmes.programme import Item, Programme, weekly
from tests.support.controller_desk import config_of
from tests.support.pki import DevelopmentKeys
from tests.support.programme_bench import ProgrammeBench, programme_bench

AN = Actor(who="an")
NOON = Programme(
    id="noon", title="Tin trưa", area="xa", items=(Item(text="Kính chào bà con"),), recurrence=weekly("11:30")
)
VILLAGE = msgspec.structs.replace(NOON, id="dong", title="Tin thôn", area="dong", items=(Item(text="Chào thôn Đông"),))


@pytest_asyncio.fixture
async def bench(pki: DevelopmentKeys, tmp_path: Path) -> AsyncIterator[ProgrammeBench]:
    async with programme_bench(pki, tmp_path) as made:
        yield made


async def test_a_plan_waits_for_its_own_sounds_only(bench: ProgrammeBench) -> None:
    await bench.programmes.add(VILLAGE, by=AN)
    bench.is_silent = True
    await bench.programmes.add(NOON, by=AN)
    other = msgspec.structs.replace(VILLAGE, title="Tin thôn mới")
    await bench.programmes.edit(other, read=1, by=AN)
    assert "Tin trưa" not in bench.titles("xa")
    assert bench.titles("dong") == {"Tin thôn mới"}
    bench.prepare()
    assert "Tin trưa" in bench.titles("xa")


async def test_a_change_while_the_plan_is_being_stored_is_not_lost(bench: ProgrammeBench) -> None:
    await bench.programmes.add(NOON, by=AN)
    bench.world.is_holding = True
    await bench.programmes.edit(msgspec.structs.replace(NOON, title="Một"), read=1, by=AN)
    await bench.programmes.edit(msgspec.structs.replace(NOON, title="Hai"), read=2, by=AN)
    bench.world.release()
    assert "Hai" in bench.titles("xa")


async def test_plans_are_renewed_however_often_somebody_edits(bench: ProgrammeBench) -> None:
    await bench.programmes.add(NOON, by=AN)
    for number in range(1, 31):
        bench.world.advance(55 * 60_000)
        await bench.programmes.edit(msgspec.structs.replace(NOON, title=f"Tin {number}"), read=number, by=AN)
    for area in ("xa", "dong"):
        plan = bench.world.desk.plan(area)
        assert plan is not None
        assert plan.covers_until_ms - bench.world.now.shared_ms >= COVERED_MS_MIN


async def test_the_configurations_programme_counts_where_both_have_one_id(
    bench: ProgrammeBench, pki: DevelopmentKeys
) -> None:
    await bench.programmes.add(NOON, by=AN)
    own = [{"id": "noon", "title": "Của tệp", "area": "xa", "at": "11:30", "items": [{"file": "song.mp3"}]}]
    config = config_of(pki, programmes=own)
    standing = await bench.programmes.store.standing()
    bench.world.post(SiteChanged(site=with_stored(site_of(config), (each.paper for each in standing), {})))
    assert bench.titles("xa") == {"Của tệp"}
    assert any("noon stands in the configuration" in each for each in bench.world.desk.status(bench.world.now).warnings)
    await bench.programmes.remove("noon", read=1, by=AN)
    assert bench.titles("xa") == {"Của tệp"}


async def test_a_recording_that_is_gone_is_left_out_and_told(bench: ProgrammeBench) -> None:
    [sha256] = bench.library
    items = (Item(media=sha256, title="Dân ca"), Item(text="Hết"))
    await bench.programmes.add(msgspec.structs.replace(NOON, items=items), by=AN)
    ids = {each.title: each.id.rpartition(".")[2] for each in bench.occurrences("xa") if each.programme == "noon"}
    assert ids == {"Dân ca": "0", "Tin trưa": "1"}
    bench.library.clear()
    await bench.restart()
    kept = {each.title: each.id.rpartition(".")[2] for each in bench.occurrences("xa") if each.programme == "noon"}
    assert kept == {"Tin trưa": "1"}, "an item keeps its number when another goes"
    assert "the recording is gone" in bench.world.desk.status(bench.world.now).warnings
