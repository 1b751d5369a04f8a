"""The page with two hundred real agents behind it: every cluster is there, it fits, and it follows an emergency."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from simulator.bench_site import CLIP, COMMUNE
from simulator.fleet.run import running_fleet
from tests.support.page_measures import CHROMIUM, DESK, PHONE

pytestmark = pytest.mark.alone

NODES = 200
SOUND_S_MAX = 45.0


@pytest.mark.slow
async def test_two_hundred_clusters_are_all_shown_and_followed(tmp_path: Path) -> None:
    complaints: list[str] = []
    async with (
        running_fleet(tmp_path, nodes=NODES, has_stream=False, say=lambda _: None) as fleet,
        async_playwright() as playwright,
    ):
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
        page = await browser.new_page(viewport=DESK)  # type: ignore[arg-type] # a mapping of the two
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        begin_s = time.monotonic()
        await page.goto(fleet.address)
        assert await page.get_by_role("rowheader", name="Cụm loa N").count() == NODES
        assert time.monotonic() - begin_s < 10
        await asyncio.to_thread(fleet.console.start_emergency, area=COMMUNE, clip=CLIP, minutes=5)
        await page.wait_for_selector(".banner.real", timeout=10_000)
        deadline_s = time.monotonic() + SOUND_S_MAX
        while fleet.sounding() < NODES:
            assert time.monotonic() < deadline_s, f"{fleet.sounding()} of {NODES} amplifiers are on"
            await asyncio.sleep(0.2)
        while await page.locator(".sounding.emergency").count() < NODES:
            assert time.monotonic() < deadline_s, "the page does not show every node sounding"
            await asyncio.sleep(0.5)
        for viewport in (DESK, PHONE):
            await page.set_viewport_size(viewport)  # type: ignore[arg-type] # as above
            assert await page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
            await page.screenshot(path=tmp_path / f"fleet-{viewport['width']}.png")
        await browser.close()
    assert complaints == []
