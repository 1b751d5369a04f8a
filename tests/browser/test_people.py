"""People in Debian's Chromium: the way in, a second factor, passkeys, and an emergency on a telephone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pyotp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from controller.people.audit import Actor, Deed, Outcome
from controller.people.rights import Grant, Role
from tests.support.controller_console import Place, WorldConsole, served_place
from tests.support.controller_desk import DeskWorld
from tests.support.page_measures import DESK, MEASURE_CONTRAST, PHONE
from tests.support.pki import DevelopmentKeys

pytestmark = pytest.mark.alone

PASSWORD = "một mật khẩu rất dài"
SYSTEM = Actor(who="system")
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest_asyncio.fixture
async def place(pki: DevelopmentKeys) -> AsyncIterator[Place]:
    world = DeskWorld(pki)
    world.begin()
    async with served_place(WorldConsole(world)) as made:
        yield made


async def added(place: Place, name: str, title: str, *grants: Grant) -> None:
    stored = await place.people.gate._passwords.hash(PASSWORD)
    await place.people.office.add_with_password(name, title, grants, stored, by=SYSTEM)


@asynccontextmanager
async def opened(browser: Browser, viewport: dict[str, int]) -> AsyncIterator[tuple[Page, list[str]]]:
    complaints: list[str] = []
    context = await browser.new_context(viewport=viewport)  # type: ignore[arg-type] # a mapping of the two
    page = await context.new_page()
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.set_default_timeout(10_000)
    yield page, complaints
    await context.close()


async def log_in(page: Page, place: Place, name: str) -> None:
    await page.goto(f"{place.address}/login")
    await page.get_by_label("Tên đăng nhập").fill(name)
    await page.get_by_label("Mật khẩu").fill(PASSWORD)
    await page.get_by_role("button", name="Đăng nhập Log in").click()


async def set_up_totp(page: Page, place: Place) -> pyotp.TOTP:
    """From the account page; gives the telephone's program."""
    await page.goto(f"{place.address}/account/totp")
    totp = pyotp.TOTP((await page.inner_text("code.key")).replace(" ", ""))
    await page.get_by_label("Mã 6 số").fill(totp.at(place.clock() // 1000))
    await page.get_by_label("Mật khẩu hiện tại").fill(PASSWORD)
    await page.get_by_role("button", name="Xác nhận").click()
    await page.wait_for_selector(".codes li")
    return totp


async def is_in_order(page: Page, width: int) -> None:
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    assert await page.evaluate(MEASURE_CONTRAST) == []
    unlabelled = """() => [...document.querySelectorAll('input:not([type=hidden]), select, button, a')]
      .filter(e => e.offsetParent && !(e.labels?.length || e.innerText?.trim() || e.getAttribute('aria-label')))
      .map(e => e.outerHTML)"""
    assert await page.evaluate(unlabelled) == []


async def test_an_administrator_comes_in_and_invites_somebody(browser: Browser, place: Place, tmp_path: Path) -> None:
    await added(place, "chi.mai", "Chị Mai", Grant(role=Role.ADMINISTRATOR), Grant(role=Role.AUDITOR))
    async with opened(browser, DESK) as (page, complaints):
        await page.goto(f"{place.address}/people")
        assert "/login" in page.url
        await page.screenshot(path=tmp_path / "login-desk.png")
        await page.get_by_label("Tên đăng nhập").fill("chi.mai")
        await page.get_by_label("Mật khẩu").fill(PASSWORD)
        await page.get_by_role("button", name="Đăng nhập Log in").click()
        await page.wait_for_url("**/account?need=factor*")
        await set_up_totp(page, place)
        await page.screenshot(path=tmp_path / "codes.png", full_page=True)
        await page.goto(f"{place.address}/people")
        assert "/prove" in page.url
        await page.screenshot(path=tmp_path / "prove.png", full_page=True)
        place.clock.ahead_ms = 60_000
        await page.goto(f"{place.address}/account")
        await page.screenshot(path=tmp_path / "account.png", full_page=True)
        await is_in_order(page, DESK["width"])
    assert complaints == []


@pytest.mark.slow
async def test_a_passkey_logs_in_and_proves(browser: Browser, place: Place, tmp_path: Path) -> None:
    await added(place, "anh.nam", "Anh Nam", Grant(role=Role.ADMINISTRATOR), Grant(role=Role.AUDITOR))
    async with opened(browser, PHONE) as (page, complaints):
        session = await page.context.new_cdp_session(page)
        await session.send("WebAuthn.enable")
        made: Any = await session.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
        await log_in(page, place, "anh.nam")
        await page.goto(f"{place.address}/account")
        await page.get_by_label("Tên cho khoá mới").fill("Điện thoại của Nam")
        await page.locator("#passkey-password").fill(PASSWORD)
        await page.get_by_role("button", name="Thêm khoá truy cập").click()
        await page.wait_for_selector("#passkey-codes .codes li")
        await page.screenshot(path=tmp_path / "passkey-codes.png", full_page=True)
        await page.get_by_role("link", name="Đã ghi lại").click()
        assert "Điện thoại của Nam" in await page.inner_text("main")
        await page.locator("header").get_by_role("button").click()
        await page.goto(f"{place.address}/login?next=/people")
        await page.screenshot(path=tmp_path / "login-phone.png", full_page=True)
        await page.get_by_role("button", name="Dùng khoá truy cập").click()
        await page.wait_for_url(f"{place.address}/people")
        await page.screenshot(path=tmp_path / "people-phone.png", full_page=True)
        await is_in_order(page, PHONE["width"])
        await page.get_by_label("Tên đăng nhập").fill("co.lan")
        await page.get_by_label("Họ tên").fill("Cô Lan")
        await page.get_by_label("Vai trò").select_option("operator@xa")
        await page.get_by_role("button", name="Tạo lời mời").click()
        code = await page.inner_text("code.key")
        await page.screenshot(path=tmp_path / "invited-phone.png", full_page=True)
        await page.goto(f"{place.address}/people/co.lan")
        await page.screenshot(path=tmp_path / "person-phone.png", full_page=True)
        place.clock.ahead_ms = 11 * 60_000
        await page.goto(f"{place.address}/people")
        assert "/prove" in page.url
        await page.screenshot(path=tmp_path / "prove-phone.png", full_page=True)
        await page.get_by_role("button", name="Dùng khoá truy cập").click()
        await page.wait_for_url(f"{place.address}/people")
        await page.goto(f"{place.address}/audit")
        await page.screenshot(path=tmp_path / "audit-phone.png", full_page=True)
        await is_in_order(page, PHONE["width"])
        await page.set_viewport_size(DESK)  # type: ignore[arg-type] # a mapping of the two
        await page.screenshot(path=tmp_path / "audit-desk.png", full_page=True)
        credentials: Any = await session.send("WebAuthn.getCredentials", {"authenticatorId": made["authenticatorId"]})
        assert credentials["credentials"][0]["signCount"] >= 3
    assert complaints == []
    async with opened(browser, PHONE) as (page, _):
        await page.goto(f"{place.address}/invite")
        await page.get_by_label("Tên đăng nhập").fill("co.lan")
        await page.get_by_label("Mã lời mời").fill(code.upper().replace("-", " "))
        await page.get_by_label("Mật khẩu mới").fill(PASSWORD)
        await page.get_by_role("button", name="Bắt đầu").click()
        await page.wait_for_url("**/account?need=factor")
        assert "vận hành" in await page.inner_text("main")
    deeds = [stored.entry.act for stored in await place.people.store.audit_latest(limit=100)]
    assert {Deed.LOGIN, Deed.STEP_UP, Deed.PEOPLE, Deed.ACCOUNT, Deed.LOGOUT} <= {act.what for act in deeds}
    assert not [act for act in deeds if act.outcome is Outcome.REFUSED]


@pytest.mark.slow
async def test_an_emergency_on_a_telephone(browser: Browser, place: Place, tmp_path: Path) -> None:
    await added(place, "lan", "Cô Lan", Grant(role=Role.OPERATOR, area="xa"))
    for node in ("N001", "N002"):
        place.world.birth(node)
    async with opened(browser, PHONE) as (page, complaints):
        await log_in(page, place, "lan")
        totp = await set_up_totp(page, place)
        await page.goto(f"{place.address}/emergency?reality=drill")
        await page.screenshot(path=tmp_path / "emergency-drill.png", full_page=True)
        await page.get_by_role("button", name="Tiếp tục").click()
        await page.screenshot(path=tmp_path / "confirm-drill.png", full_page=True)
        assert "/emergency/confirm" in page.url, "a drill asks for no second factor"
        drill_colour = await page.evaluate("getComputedStyle(document.querySelector('.banner')).backgroundColor")
        await page.goto(f"{place.address}/emergency")
        await page.screenshot(path=tmp_path / "emergency-real.png", full_page=True)
        await is_in_order(page, PHONE["width"])
        await page.get_by_text("Lũ khẩn cấp").click()
        await page.get_by_role("button", name="Tiếp tục").click()
        assert "/prove" in page.url, "a real one does"
        place.clock.ahead_ms = 30_000
        await page.get_by_label("Mã 6 số trên điện thoại").fill(totp.at(place.clock() // 1000))
        await page.get_by_role("button", name="Xác nhận").click()
        await page.wait_for_url("**/emergency/confirm*")
        await page.screenshot(path=tmp_path / "confirm-real.png", full_page=True)
        await is_in_order(page, PHONE["width"])
        colour = await page.evaluate("getComputedStyle(document.querySelector('.banner')).backgroundColor")
        assert colour != drill_colour
        await page.get_by_role("button", name="PHÁT KHẨN CẤP NGAY").click()
        await page.wait_for_selector("#now .banner.real")
        await page.screenshot(path=tmp_path / "standing.png", full_page=True)
        await is_in_order(page, PHONE["width"])
        await page.set_viewport_size(DESK)  # type: ignore[arg-type] # a mapping of the two
        await page.screenshot(path=tmp_path / "standing-desk.png", full_page=True)
        await page.get_by_role("button", name="BÁO YÊN").click()
        await page.wait_for_function("document.querySelector('#now .banner') === null")
    assert complaints == []
    assert [(act.who, act.what, act.place) for act in place.acts] == [
        ("lan", Deed.EMERGENCY, "xa"),
        ("lan", Deed.ALL_CLEAR, "xa"),
    ]


async def test_the_headers_forbid_frames_and_foreign_scripts(place: Place) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{place.address}/login") as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("__Host-loaxa-device=")
        for word in ("Secure", "HttpOnly", "SameSite=Strict", "Path=/"):
            assert word in cookie
        text = await answer.text()
    assert "<style" not in text
    assert "onclick" not in text


@pytest.mark.parametrize("path", ["/account", "/people", "/audit", "/emergency", "/emergency/confirm", "/prove"])
async def test_who_is_not_logged_in_is_sent_to_log_in(place: Place, path: str) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{place.address}{path}", allow_redirects=False) as answer,
    ):
        assert (answer.status, answer.headers["Location"].partition("?")[0]) == (303, "/login")
