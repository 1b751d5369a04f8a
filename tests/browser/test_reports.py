"""The report's page in Debian's Chromium: on a telephone and on a desk, with figures and without any."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser

from controller.reporting.questions import Tallies, TallyAnswer, TallyQuestion
from tests.support.controller_console import WorldConsole, served_place
from tests.support.controller_desk import DeskWorld
from tests.support.page_measures import DESK, MEASURE_CONTRAST, PHONE
from tests.support.pki import DevelopmentKeys
from tests.support.report_world import answer_of, commune_places

pytestmark = pytest.mark.alone


class FixedTallies:
    """Counts that are always the same."""

    def __init__(self, answer: TallyAnswer) -> None:
        self.answered = answer
        self.asked: list[TallyQuestion] = []

    async def answer(self, question: TallyQuestion) -> TallyAnswer:
        self.asked.append(question)
        return self.answered


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
async def test_a_month_fits_the_screen_and_leads_on(
    browser: Browser, pki: DevelopmentKeys, tmp_path: Path, viewport: dict[str, int]
) -> None:
    world = DeskWorld(pki, **commune_places())
    world.begin()
    tallies: Tallies = FixedTallies(answer_of(world.desk.site, counted_share=0.43))
    async with served_place(WorldConsole(world), tallies=tallies) as place:
        page = await browser.new_page(viewport=viewport)  # type: ignore[arg-type] # a plain mapping
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        address = place.address.replace("localhost", "127.0.0.1")
        await page.goto(f"{address}/reports?area=xa&month=2026-11")
        await page.screenshot(path=tmp_path / "report.png", full_page=True)
        text = " ".join((await page.inner_text("main")).split())
        for words in (
            "Xã Bình Minh, 15/10/2026",
            "14/11/2026",
            "4.960",
            "98,2 %",
            "đã xong 43,0 %",
            "Cột loa 2 thôn Hạ",
        ):
            assert words in text
        assert await page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        assert await page.evaluate(MEASURE_CONTRAST) == []
        await page.get_by_role("link", name="Thôn Đoài").first.click()
        assert await page.input_value("#area") == "thon-1"
        assert await page.input_value("#from") == "2026-10-15"
        await page.select_option("#class", "emergency")
        await page.get_by_role("button", name="Xem").click()
        assert "class=emergency" in page.url
        assert complaints == []
        await page.close()


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
async def test_without_any_record_it_says_so(
    browser: Browser, pki: DevelopmentKeys, tmp_path: Path, viewport: dict[str, int]
) -> None:
    world = DeskWorld(pki)
    world.begin()
    async with served_place(WorldConsole(world)) as place:
        page = await browser.new_page(viewport=viewport)  # type: ignore[arg-type] # a plain mapping
        await page.goto(f"{place.address.replace('localhost', '127.0.0.1')}/reports")
        await page.screenshot(path=tmp_path / "empty.png", full_page=True)
        text = await page.inner_text("main")
        assert "Không có lượt phát nào trong kỳ này" in text
        assert "Không có cụm loa nào bỏ lỡ" in text
        assert await page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        await page.close()
