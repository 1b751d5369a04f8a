"""The first page in Debian's Chromium, on a telephone and on a desk."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser

from controller.events import BrokerLost, MessageReceived, RelayNews
from controller.requests import EndEmergency, RaiseEmergency, StartRelay
from controller.streams.feed_watch import AlarmKind
from controller.streams.relay import RelayAlarm, RelayStarted
from protocol.codec import json_encode
from protocol.messages import (
    AiringState,
    BroadcastClass,
    FaultRecord,
    NowSounding,
    Reality,
    SourceKind,
    Telemetry,
)
from protocol.topics import TopicName, topic
from tests.support.controller_console import WorldConsole, served
from tests.support.controller_desk import DeskWorld, airing
from tests.support.page_measures import DESK, MEASURE_CONTRAST, PHONE, opened
from tests.support.pki import DevelopmentKeys

pytestmark = pytest.mark.alone


@pytest.fixture
def world(pki: DevelopmentKeys) -> DeskWorld:
    made = DeskWorld(pki)
    made.begin()
    return made


def tell(world: DeskWorld, node: str, title: str | None, level_dbfs: float | None) -> None:
    sounding = None
    if title is not None:
        sounding = NowSounding(
            source=SourceKind.STREAM,
            source_id="0" * 16,
            title=title,
            broadcast_class=BroadcastClass.ROUTINE,
            since_ms=world.now.shared_ms,
        )
    said = Telemetry(node=node, at_ms=world.now.shared_ms, sounding=sounding, level_dbfs=level_dbfs)
    world.post(MessageReceived(topic=topic(TopicName.TELEMETRY, node=node), payload=json_encode(said)))


def busy(world: DeskWorld) -> None:
    """An evening in the commune: a relay with trouble, one node lost, a fault, a real emergency, a past drill."""
    for node in ("N001", "N002"):
        world.birth(node)
    drill = world.ask(RaiseEmergency(area="doai", clip="drill", reality=Reality.DRILL)).result
    world.ask(EndEmergency(emergency=drill.id, reason="diễn tập xong"))  # type: ignore[union-attr] # it was not refused
    relay = world.ask(StartRelay(area="dong", feed="vov1")).result
    stream = relay.stream  # type: ignore[union-attr] # it was not refused
    url = "http://station.example/vov1.m3u8"
    world.post(RelayNews(stream=stream, news=RelayStarted(url=url, play_at_ms=world.now.shared_ms)))
    alarm = RelayAlarm(kind=AlarmKind.SILENT, url=url, detail="không có tiếng trong 20 giây", at_ms=world.now.shared_ms)
    world.post(RelayNews(stream=stream, news=alarm))
    emergency = world.ask(RaiseEmergency(area="xa", clip="flood")).result
    for node, late_ms in (("N001", 4), ("N002", 8_000)):
        at_ms = emergency.play_at_ms + late_ms  # type: ignore[union-attr] # it was not refused
        world.report(node, 1, airing(emergency.id, AiringState.STARTED, at_ms))  # type: ignore[union-attr] # it was not refused
    world.report("N002", 2, FaultRecord(fault="sound_card", active=True, detail="không mở được thiết bị", at_ms=1))
    world.advance(40_000)
    tell(world, "N001", "Lũ khẩn cấp", -18.4)
    tell(world, "N002", "Lũ khẩn cấp", -21.0)


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
async def test_a_busy_evening_fits_the_screen(
    browser: Browser, world: DeskWorld, tmp_path: Path, viewport: dict[str, int]
) -> None:
    busy(world)
    async with served(WorldConsole(world)) as address:
        page, complaints = await opened(browser, address, viewport)
        await page.screenshot(path=tmp_path / "page.png", full_page=True)
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= viewport["width"]
        for name in ("Cụm loa N001", "Cụm loa N002", "Cụm loa N003"):
            assert await page.get_by_role("rowheader", name=name).is_visible()
        text = await page.inner_text("main")
        assert "ĐANG PHÁT KHẨN CẤP" in text
        assert "không có tiếng trong 20 giây" in text
        assert "hỏng đường âm thanh sound card: không mở được thiết bị" in text
        assert "đài phát im lặng the station is silent: không có tiếng" in text
        assert await page.evaluate(MEASURE_CONTRAST) == []
        assert await page.get_attribute("#banners", "aria-live") == "assertive"
        await page.close()
    assert complaints == []


async def test_a_drill_does_not_look_like_the_real_thing(browser: Browser, world: DeskWorld, tmp_path: Path) -> None:
    world.ask(RaiseEmergency(area="xa", clip="drill", reality=Reality.DRILL))
    async with served(WorldConsole(world)) as address:
        page, complaints = await opened(browser, address, DESK)
        await page.screenshot(path=tmp_path / "drill.png")
        drill = await page.inner_text(".banner")
        drill_colour = await page.evaluate("getComputedStyle(document.querySelector('.banner')).backgroundColor")
        assert "DIỄN TẬP" in drill
        assert "KHẨN CẤP" not in drill
        world.ask(RaiseEmergency(area="xa", clip="flood"))
        await page.wait_for_selector(".banner.real", timeout=8_000)
        colour = await page.evaluate("getComputedStyle(document.querySelector('.banner')).backgroundColor")
        assert colour != drill_colour
        await page.close()
    assert complaints == []


async def test_it_follows_what_happens_and_says_when_it_cannot(browser: Browser, world: DeskWorld) -> None:
    world.birth("N001")
    async with served(WorldConsole(world)) as address:
        page, _ = await opened(browser, address, PHONE)
        assert await page.is_hidden("#connection")
        tell(world, "N001", "Thời sự VOV1", -20.0)
        await page.wait_for_selector("text=Thời sự VOV1", timeout=8_000)
        world.post(BrokerLost(reason="nothing listens at localhost:8883: is the broker running?"))
        await page.wait_for_selector(".banner.trouble", timeout=8_000)
    await page.wait_for_selector("#connection:not([hidden])", timeout=10_000)
    await page.close()


async def test_it_is_whole_without_javascript_and_without_nodes(browser: Browser, pki: DevelopmentKeys) -> None:
    world = DeskWorld(pki, nodes=[], programmes=[])
    world.begin()
    async with served(WorldConsole(world)) as address:
        context = await browser.new_context(java_script_enabled=False, viewport=PHONE)  # type: ignore[arg-type] # a plain mapping
        page = await context.new_page()
        await page.goto(address)
        text = await page.inner_text("main")
        for empty in ("Chưa có cụm loa nào", "Không có nguồn nào", "Chưa có bản ghi nào"):
            assert empty in text
        assert "chỉ mở được trên máy này" in await page.inner_text("header")
        await context.close()


async def test_a_title_from_outside_is_text_and_nothing_else(browser: Browser, world: DeskWorld) -> None:
    world.birth("N001")
    tell(world, "N001", "<img src=x onerror=document.title='taken'>", -20.0)
    async with served(WorldConsole(world)) as address:
        page, complaints = await opened(browser, address, DESK)
        assert "onerror" in await page.inner_text("main")
        assert await page.title() == "LoaXa – controller1"  # noqa: RUF001 - the page's own dash
        async with aiohttp.ClientSession() as session, session.get(address) as answer:
            assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        await page.close()
    assert complaints == []
