"""Delay, lateness and clocks in Debian's Chromium: who is late is named, on a telephone and on a desk."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser

from controller.events import MessageReceived, RelayNews
from controller.requests import StartRelay
from controller.streams.relay import RelayStarted, RelayTimed
from protocol.codec import json_encode
from protocol.messages import StreamHeard, Telemetry
from protocol.topics import TopicName, topic
from tests.support.controller_console import WorldConsole, served
from tests.support.controller_desk import DeskWorld
from tests.support.page_measures import DESK, MEASURE_CONTRAST, PHONE, opened
from tests.support.pki import DevelopmentKeys

pytestmark = pytest.mark.alone
EPOCH = 7
LEFT_EDGES = "row => [...document.querySelector(row).children].map(cell => cell.getBoundingClientRect().left)"


@pytest.fixture
def evening(pki: DevelopmentKeys) -> DeskWorld:
    """A relay to a whole commune: one pole well, one late on a bad line, one whose clock is unknown."""
    world = DeskWorld(pki)
    world.begin()
    for node in ("N001", "N002"):
        world.birth(node)
    relay = world.ask(StartRelay(area="xa", feed="vov1")).result
    stream = relay.stream  # type: ignore[union-attr] # it was not refused
    world.post(
        RelayNews(stream=stream, news=RelayStarted(url="http://station.example/", play_at_ms=world.now.shared_ms))
    )
    world.post(RelayNews(stream=stream, news=RelayTimed(epoch=EPOCH, delay_ms=1_000)))
    for _ in range(3):
        tell(world, "N001", stream, network_ms=260.0)
        tell(world, "N002", stream, network_ms=2_950.0, faults={"late": 314})
        world.advance(5_000)
    return world


def tell(world: DeskWorld, node: str, stream: str, *, network_ms: float, faults: dict[str, int] | None = None) -> None:
    late = network_ms - 1_000
    heard = StreamHeard(
        stream=stream,
        epoch=EPOCH,
        packets=3_000,
        lateness_ms_p50=late - 180,
        lateness_ms_p95=late - 90,
        lateness_ms_p99=late - 20,
        lateness_ms_p999=late,
        ahead_ms=141.5,
        buffer_ms=840,
        faults=faults or {},
    )
    said = Telemetry(
        node=node,
        at_ms=world.now.shared_ms,
        level_dbfs=-18.4,
        amplifier="on",
        clock_error_ms=0.31 if node == "N001" else 24.0,
        clock_source="exchange",
        correction_ppm=-21.4,
        card_error_ms=0.012,
        concealed_ms=260,
        silent_ms=1_840,
        underruns=1,
        reanchors=2,
        streams=(heard,),
    )
    world.post(MessageReceived(topic=topic(TopicName.TELEMETRY, node=node), payload=json_encode(said)))


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
async def test_a_relays_delay_and_who_is_late_are_on_the_first_page(
    browser: Browser, evening: DeskWorld, tmp_path: Path, viewport: dict[str, int]
) -> None:
    async with served(WorldConsole(evening)) as address:
        page, complaints = await opened(browser, address, viewport)
        await page.screenshot(path=tmp_path / "page.png", full_page=True)
        assert await page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        text = await page.inner_text("section[aria-labelledby=relays-title]")
        for words in ("1000 ms", "muộn 2072 ms", "Đến muộn: Late: Cụm loa N002 (N002)", "Không chờ:"):
            assert words in " ".join(text.split())
        assert await page.evaluate(MEASURE_CONTRAST) == []
        await page.close()
    assert complaints == []


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
async def test_every_figure_of_every_cluster_fits_the_screen(
    browser: Browser, evening: DeskWorld, tmp_path: Path, viewport: dict[str, int]
) -> None:
    async with served(WorldConsole(evening)) as address:
        page, complaints = await opened(browser, f"{address}/measures", viewport)
        await page.screenshot(path=tmp_path / "measures.png", full_page=True)
        assert await page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        text = " ".join((await page.inner_text("main")).split())
        for figures in (
            "-920, -830, -760, -740 ms",
            "±0.31 ms",
            "142 ms / 840 ms",
            "260 ms / 1840 ms",
            "đến muộn late 314",
        ):
            assert figures in text
        for figures in ("-21.4 ppm / 0.012 ms", "1 / 2"):
            assert figures in text
        assert await page.locator(".bad", has_text="1770, 1860, 1930, 1950").count() == 1
        assert await page.locator(".bad", has_text="±24.00").count() == 1
        if viewport is DESK:
            assert await page.evaluate(LEFT_EDGES, "thead tr") == await page.evaluate(LEFT_EDGES, "tbody tr")
        assert await page.evaluate(MEASURE_CONTRAST) == []
        tell(evening, "N001", evening.desk.status(evening.now).relays[0].stream, network_ms=333.0)
        await page.wait_for_selector("text=-667", timeout=8_000)
        await page.close()
    assert complaints == []
