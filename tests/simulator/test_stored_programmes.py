"""What people keep in the database sounds on the poles: database, desk, planner, signed plan, agent, horn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controller.adapters.database import open_database
from controller.adapters.programme_office import BulletinDesk, ProgrammeDesk
from controller.events import MediaPrepared, ProgrammesChanged
from controller.people.audit import Actor
from controller.programmes.bulletin import Bulletin
from controller.programmes.programme import Item, Programme, Recurrence
from controller.programmes.sources import MediaSource
from protocol.units import NS_PER_MS, NS_PER_S
from simulator.commune import Province
from simulator.runs.usual import COMMUNE, MEDIA
from tests.simulator.test_commune import LISTENED, NEWS, province, sounds

RECORDED = MEDIA["news.mp3"].reference
WATER = Bulletin(id="water", title="Cắt nước", area=COMMUNE, audio=RECORDED.sha256, valid_until="2099-01-01")
OFTEN = Programme(
    id="often",
    title="Tin ngắn",
    area=COMMUNE,
    items=(Item(bulletin="water"),),
    recurrence=Recurrence(rules="DTSTART:20200101T061000\nRRULE:FREQ=DAILY;BYHOUR=6;BYMINUTE=10,20,30"),
)


class Office:
    """Both desks over a simulated controller, which hears of changes as the real process does."""

    def __init__(self, place: Province) -> None:
        self._place = place

    def tell(self, programmes: Mapping[str, Programme | None], bulletins: Mapping[str, Bulletin | None]) -> None:
        process = self._place.controller._process
        assert process is not None
        process.driver.post(ProgrammesChanged(programmes=programmes, bulletins=bulletins))
        process.driver.post(MediaPrepared(path=MediaSource(sha256=RECORDED.sha256).key, media=RECORDED))

    async def open(self, folder: Path) -> tuple[ProgrammeDesk, BulletinDesk]:
        database = await open_database(f"sqlite:///{folder}/c.sqlite")
        controller, world = self._place.controller, self._place.world
        self._close = database.close
        parts: dict[str, Any] = {
            "site": lambda: controller.desk.site,
            "tell": self.tell,
            "is_recorded": lambda sha256, _areas: sha256 == RECORDED.sha256,
            "clock": lambda: world.now_ns // NS_PER_MS,
        }
        return ProgrammeDesk(database, **parts), BulletinDesk(database, **parts)

    async def close(self) -> None:
        await self._close()


async def test_an_approved_bulletin_of_the_database_sounds_and_a_withdrawn_one_does_not(tmp_path: Path) -> None:
    place = province(pole=LISTENED, poles=2, begins_at_hour=6)
    place.run_for(60)
    office = Office(place)
    programmes, bulletins = await office.open(tmp_path)
    try:
        await bulletins.add(WATER, by=Actor(who="an"))
        await programmes.add(OFTEN, by=Actor(who="an"))
        place.run_until(place.instant("06:19:30"))
        assert all(not sounds(place, name, NEWS) for name in place.poles), "nobody has approved it"
        await bulletins.decide("water", read=1, is_approved=True, reason="", by=Actor(who="binh"))
        due_ns = place.instant("06:20")
        place.run_until(due_ns + 20 * NS_PER_S)
        for name in place.poles:
            [news] = sounds(place, name, NEWS)
            assert abs(news.begins_ns - due_ns) < NS_PER_MS
        await bulletins.remove("water", read=1, by=Actor(who="an"))
        place.run_until(place.instant("06:31"))
        assert all(len(sounds(place, name, NEWS)) == 1 for name in place.poles), "it was withdrawn"
    finally:
        await office.close()
