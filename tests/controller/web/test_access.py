"""Who is let through to which route: the table against the routes, tokens, forms, places, and the gate behind it."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import aiohttp
import pyotp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from controller.adapters.enrolment_service import EnrolmentService
from controller.adapters.gate import Visit
from controller.adapters.passwords import PasswordCost, Passwords
from controller.audit import Actor, Deed, Outcome
from controller.config import ConsoleListenerConfig
from controller.errors import RequestError
from controller.people import PersonSet, PersonState
from controller.rights import Grant, Role
from controller.web.access import local_path
from controller.web.console_start import full_console
from controller.web.enrolment_api import add_enrolment_api
from controller.web.parts import Console, ConsoleSettings
from controller.web.rules import RULES
from tests.support.controller_console import FILE_TOKEN, LIMITS, TOKEN, Place, WorldConsole, served_place
from tests.support.controller_desk import DeskWorld
from tests.support.pki import DevelopmentKeys

PASSWORD = "một mật khẩu rất dài"
SYSTEM = Actor(who="system")
FLOOD = {"area": "dong", "clip": "flood", "minutes": "5", "reality": "real"}


class Hand:
    """A browser without scripts: keeps cookies, fills in forms."""

    def __init__(self, place: Place, session: aiohttp.ClientSession) -> None:
        self.place, self._session = place, session
        self.cookies: dict[str, str] = {}
        self.token = ""

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        return await self._call("GET", path, None, headers)

    async def post(
        self, path: str, *, token: str | None = None, headers: dict[str, str] | None = None, **form: Any
    ) -> tuple[int, str]:
        fields = {"form_token": self.token if token is None else token, **form}
        return await self._call("POST", path, aiohttp.FormData(fields), headers or {})

    async def log_in(self, name: str, password: str = PASSWORD) -> tuple[int, str]:
        await self.get("/login")
        return await self.post("/login", name=name, password=password, next="/account")

    async def _call(self, method: str, path: str, data: Any, headers: dict[str, str]) -> tuple[int, str]:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {"Accept": "text/html", **({"Cookie": cookie} if cookie else {}), **headers}
        url = f"{self.place.address}{path}"
        async with self._session.request(method, url, data=data, headers=sent, allow_redirects=False) as answer:
            for name, morsel in answer.cookies.items():
                self.cookies[name] = morsel.value
            text = await answer.text()
            found = re.search(r'name="form_token" value="([0-9a-f]+)"', text)
            self.token = found[1] if found else self.token
            return answer.status, answer.headers.get("Location") or text


@pytest_asyncio.fixture
async def place(pki: DevelopmentKeys) -> AsyncIterator[Place]:
    world = DeskWorld(pki)
    world.begin()
    async with served_place(WorldConsole(world)) as made:
        yield made


@pytest_asyncio.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as made:
        yield made


@pytest.fixture
def hand(place: Place, session: aiohttp.ClientSession) -> Hand:
    return Hand(place, session)


async def added(place: Place, name: str, *grants: Grant) -> None:
    stored = await place.people.gate._passwords.hash(PASSWORD)
    await place.people.office.add_with_password(name, name.title(), grants, stored, by=SYSTEM)


async def with_totp(hand: Hand) -> pyotp.TOTP:
    """Set up a second factor; the session is proven afterwards only by a code."""
    _, page = await hand.get("/account/totp")
    secret = re.search(r'class="key">([A-Z2-7 ]+)<', page)
    pending = re.search(r'name="pending" value="([0-9a-f]+)"', page)
    assert secret
    assert pending
    totp = pyotp.TOTP(secret[1].replace(" ", ""))
    code = totp.at(hand.place.clock() // 1000)
    status, _ = await hand.post("/account/totp", pending=pending[1], code=code, password=PASSWORD)
    assert status == 200
    return totp


async def prove(hand: Hand, totp: pyotp.TOTP) -> tuple[int, str]:
    hand.place.clock.ahead_ms += 30_000
    return await hand.post("/prove", code=totp.at(hand.place.clock() // 1000), next="/account")


async def refusals(place: Place) -> list[str]:
    log = await place.people.store.audit_latest(limit=100)
    return [each.entry.act.detail for each in log if each.entry.act.outcome is Outcome.REFUSED]


def application_of(place: Place) -> web.Application:
    """The console with every room that hangs routes on it."""
    console: Console = WorldConsole(place.world)
    listener = ConsoleListenerConfig(token_file="x")
    settings = ConsoleSettings(listener=listener, file_token=FILE_TOKEN, token=TOKEN, step_up_ms=1)
    application = full_console(console, settings=settings, people=place.people)
    add_enrolment_api(application, cast("EnrolmentService", None), url="")
    return application


async def test_every_route_has_a_rule_and_every_rule_a_route(place: Place) -> None:
    routes = {
        (route.method, route.resource.canonical)
        for route in application_of(place).router.routes()
        if route.method != "HEAD" and route.resource is not None
    }
    assert routes == set(RULES)


async def test_a_route_without_a_rule_is_refused(place: Place) -> None:
    async def secret(_request: web.Request) -> web.Response:
        return web.Response(text="secret")

    application = application_of(place)
    application.router.add_get("/secret", secret)
    async with TestClient(TestServer(application)) as client:
        answer = await client.get("/secret")
        assert (answer.status, await answer.text() == "secret") == (403, False)
        assert (await client.head("/")).status == 200


async def test_login_gives_one_answer_for_wrong_names_passwords_and_disabled(hand: Hand, place: Place) -> None:
    await added(place, "lan")
    await added(place, "off")
    await place.people.store.commit([PersonSet(name="off", state=PersonState.DISABLED)])
    said = set()
    for name, password in (("lan", "wrong"), ("nobody", PASSWORD), ("off", PASSWORD)):
        status, text = await hand.log_in(name, password)
        found = re.search(r'role="alert">([^<]+)<', text)
        assert found
        said.add((status, found[1]))
    assert len(said) == 1
    assert (await hand.log_in("lan"))[0] == 303
    assert (await hand.get("/account"))[0] == 200


async def test_an_unknown_name_costs_as_much_as_a_known_one() -> None:
    passwords = Passwords(PasswordCost(memory_kib=8192, passes=2, lanes=1))
    stored = await passwords.hash(PASSWORD)
    await passwords.check("warm up", "")
    spent = []
    for known in (stored, ""):
        begin_s = time.process_time()
        for _ in range(5):
            assert await passwords.check("wrong", known) == (False, None)
        spent.append(time.process_time() - begin_s)
    assert 0.5 < spent[0] / spent[1] < 2


async def test_a_dated_hash_is_made_anew_at_login(hand: Hand, place: Place) -> None:
    dated = await Passwords(PasswordCost(memory_kib=16, passes=2, lanes=1)).hash(PASSWORD)
    await place.people.office.add_with_password("lan", "Lan", [], dated, by=SYSTEM)
    assert (await hand.log_in("lan"))[0] == 303
    view = await place.people.store.person("lan")
    assert view is not None
    assert view.person.password_hash != dated
    assert (await hand.log_in("lan"))[0] == 303


async def test_guesses_wait_and_the_owner_at_a_known_device_does_not(
    place: Place, session: aiohttp.ClientSession
) -> None:
    await added(place, "lan")
    owner, thief = Hand(place, session), Hand(place, session)
    assert (await owner.log_in("lan"))[0] == 303
    statuses = [(await thief.log_in("lan", f"guess {number}"))[0] for number in range(6)]
    assert statuses[:3] == [401, 401, 401]
    assert set(statuses[3:]) == {429}
    assert (await owner.log_in("lan"))[0] == 303
    place.clock.ahead_ms += 3_700_000
    assert (await thief.log_in("lan", PASSWORD))[0] == 303


async def test_a_code_works_once_and_so_does_a_recovery_code(hand: Hand, place: Place) -> None:
    await added(place, "lan", Grant(role=Role.ADMINISTRATOR))
    await hand.log_in("lan")
    totp = await with_totp(hand)
    await hand.get("/account")
    status, text = await prove(hand, totp)
    assert (status, text) == (303, "/account")
    used = totp.at(place.clock() // 1000)
    status, _ = await hand.post("/prove", code=used, next="/")
    assert status == 401
    _, page = await hand.post("/account/recovery")
    codes = re.findall(r"<li><code>([a-z2-7-]+)</code>", page)
    assert len(codes) == 10
    place.clock.ahead_ms += 60_000
    assert (await hand.post("/prove", code=codes[0].upper().replace("-", " "), next="/"))[0] == 303
    assert (await hand.post("/prove", code=codes[0], next="/"))[0] == 401
    assert "recovery code used before" in await refusals(place)


async def test_the_password_alone_opens_nothing_where_there_is_a_second_factor(hand: Hand, place: Place) -> None:
    await added(place, "lan", Grant(role=Role.ADMINISTRATOR), Grant(role=Role.OPERATOR))
    await hand.log_in("lan")
    totp = await with_totp(hand)
    hand.cookies.pop("__Host-loaxa")
    assert (await hand.log_in("lan"))[1].startswith("/prove")
    for path in ("/account", "/people", "/emergency", "/"):
        assert (await hand.get(path))[1].startswith("/prove"), path
    before = hand.cookies["__Host-loaxa"]
    assert (await prove(hand, totp))[0] == 303
    assert hand.cookies["__Host-loaxa"] != before, "the session's id changes when it gains rights"
    assert (await hand.get("/people"))[0] == 200
    place.clock.ahead_ms += 601_000
    assert (await hand.get("/people"))[1].startswith("/prove?next=%2Fpeople")


async def test_sessions_end_idle_old_disabled_and_logged_out(hand: Hand, place: Place) -> None:
    await added(place, "lan")
    await hand.log_in("lan")
    place.clock.ahead_ms = LIMITS.idle_ms + 1
    assert (await hand.get("/account"))[0] == 303
    await hand.log_in("lan")
    for _ in range(13):
        place.clock.ahead_ms += LIMITS.idle_ms - 60_000
        status, _ = await hand.get("/account")
    assert status == 303, "no session is longer than its absolute limit"
    await hand.log_in("lan")
    stolen = dict(hand.cookies)
    await hand.get("/account")
    await hand.post("/logout")
    assert not hand.cookies["__Host-loaxa"]
    hand.cookies = stolen
    assert (await hand.get("/account"))[0] == 303
    await hand.log_in("lan")
    await place.people.store.commit([PersonSet(name="lan", state=PersonState.DISABLED)])
    assert (await hand.get("/account"))[0] == 303


async def test_a_form_from_elsewhere_changes_nothing(hand: Hand, place: Place) -> None:
    await added(place, "lan", Grant(role=Role.OPERATOR))
    await hand.log_in("lan")
    await hand.get("/emergency?reality=drill")
    drill = {**FLOOD, "clip": "drill", "reality": "drill"}
    for token, headers in (
        ("", {}),
        ("0" * 64, {}),
        (None, {"Origin": "https://evil.example"}),
        (None, {"Origin": "null"}),
        (None, {"Sec-Fetch-Site": "cross-site"}),
    ):
        status, _ = await hand.post("/emergency", token=token, headers=headers, **drill)
        assert status == 403
    assert place.world.desk.status(place.world.now).emergencies == ()
    assert len(await refusals(place)) == 5
    good = {"Origin": place.address, "Sec-Fetch-Site": "same-origin"}
    assert (await hand.post("/emergency", headers=good, **drill))[0] == 303
    assert len(place.world.desk.status(place.world.now).emergencies) == 1


async def test_a_role_ends_at_its_area(hand: Hand, place: Place) -> None:
    await added(place, "lan", Grant(role=Role.OPERATOR, area="dong"))
    await hand.log_in("lan")
    totp = await with_totp(hand)
    await prove(hand, totp)
    await hand.get("/emergency")
    for area in ("xa", "doai", "", "nowhere"):
        assert (await hand.post("/emergency", **{**FLOOD, "area": area}))[0] == 403
    assert place.acts == []
    assert (await hand.post("/emergency", **FLOOD))[0] == 303
    raised = place.world.desk.status(place.world.now).emergencies[0]
    assert (await hand.post(f"/emergency/{raised.id}/end", how="all-clear"))[0] == 303
    assert [act.what for act in place.acts] == [Deed.EMERGENCY, Deed.ALL_CLEAR]
    _, page = await hand.get("/")
    assert "Cụm loa N001" in page
    assert "Cụm loa N003" not in page
    assert (await hand.get("/people"))[0] == 403
    assert (await hand.get("/audit"))[0] == 403


async def test_an_administrator_of_a_place_reaches_nobody_beyond_it(hand: Hand, place: Place) -> None:
    await added(place, "mai", Grant(role=Role.ADMINISTRATOR, area="dong"))
    await added(place, "lan", Grant(role=Role.OPERATOR, area="dong"))
    await added(place, "nam", Grant(role=Role.VIEWER, area="xa"))
    await hand.log_in("mai")
    await prove(hand, await with_totp(hand))
    _, page = await hand.get("/people")
    assert "/people/lan" in page
    assert "/people/nam" not in page
    for path in ("roles", "disable", "reset"):
        assert (await hand.post(f"/people/nam/{path}"))[0] == 403
        assert (await hand.post(f"/people/mai/{path}"))[0] == 403, "not oneself"
    assert (await hand.post("/people/lan/roles", grant="operator@xa"))[0] == 403
    assert (await hand.post("/people/lan/roles", grant="operator"))[0] == 403, "everywhere is more than a place"
    assert (await hand.post("/people", name="new", title="New", grant="viewer@doai"))[0] == 403
    assert (await hand.post("/people/lan/roles", grant="viewer@dong"))[0] == 303
    assert (await hand.post("/people/lan/reset"))[0] == 200
    view = await place.people.store.person("lan")
    assert view is not None
    assert (view.grants, view.person.state) == ({Grant(role=Role.VIEWER, area="dong")}, PersonState.INVITED)


async def test_tokens_have_rights_and_an_end(place: Place, session: aiohttp.ClientSession) -> None:
    office = place.people.office
    await added(place, "lan", Grant(role=Role.OPERATOR, area="dong"))

    async def call(token: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        async with session.request(method, f"{place.address}/api/v1{path}", json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    plain = {"area": "dong", "clip": "flood"}
    everywhere = [Grant(role=Role.OPERATOR)]
    service = await office.add_token("đồng hồ", everywhere, days=1, acts_alone=False, person="", by=SYSTEM)
    status, answer = await call(service, "POST", "/emergencies", plain)
    assert (status, answer["error"]["code"]) == (403, "forbidden")
    assert "second factor" in answer["error"]["message"]
    drill = {"area": "dong", "clip": "drill", "reality": "drill"}
    assert (await call(service, "POST", "/emergencies", drill))[0] == 201
    own = await office.add_token("của lan", everywhere, days=1, acts_alone=True, person="lan", by=SYSTEM)
    assert (await call(own, "POST", "/emergencies", {**plain, "area": "xa"}))[0] == 403, "never more than its owner"
    assert (await call(own, "GET", "/nodes"))[0] == 403
    local = [Grant(role=Role.OPERATOR, area="dong")]
    own = await office.add_token("của lan", local, days=1, acts_alone=True, person="lan", by=SYSTEM)
    assert (await call(own, "POST", "/emergencies", plain))[0] == 201
    assert [each["id"] for each in (await call(own, "GET", "/nodes"))[1]["nodes"]] == ["N001", "N002"]
    assert {each.who for each in place.acts} >= {f"lan/{own[3:13]}"}
    await place.people.store.commit([PersonSet(name="lan", state=PersonState.DISABLED)])
    assert (await call(own, "GET", "/nodes"))[0] == 401
    place.clock.ahead_ms = 86_400_001
    assert (await call(service, "GET", "/nodes"))[0] == 401
    assert (await call(TOKEN, "GET", "/nodes"))[0] == 200
    for wrong in (service[:-1] + "x", "lx_0000000000_" + "a" * 43, "lx_", ""):
        assert (await call(wrong, "GET", "/nodes"))[0] == 401


async def test_a_cookie_opens_no_api_and_a_token_no_page(hand: Hand, place: Place) -> None:
    await added(place, "lan", Grant(role=Role.OPERATOR))
    await hand.log_in("lan")
    assert (await hand.get("/api/v1/nodes"))[0] == 401
    hand.cookies.clear()
    assert (await hand.get("/account", Authorization=f"Bearer {TOKEN}"))[0] == 303


async def test_an_invitation_is_good_once_and_for_three_days(hand: Hand, place: Place) -> None:
    office = place.people.office
    first = await office.invite("lan", "Cô Lan", [], by=SYSTEM)
    await hand.get("/invite")
    assert (await hand.post("/invite", name="lan", code="wrong", password=PASSWORD))[0] == 401
    assert (await hand.post("/invite", name="lan", code=first.code, password="short"))[0] == 400
    assert (await hand.post("/invite", name="LAN", code=first.code, password=PASSWORD))[0] == 303
    place.clock.ahead_ms += 60_000
    assert (await hand.post("/invite", name="lan", code=first.code, password=PASSWORD))[0] == 401
    late = await office.invite("nam", "Nam", [], by=SYSTEM)
    place.clock.ahead_ms += 72 * 3_600_000 + 1
    assert (await hand.post("/invite", name="nam", code=late.code, password=PASSWORD))[0] == 401


async def test_a_flood_of_refusals_does_not_fill_the_log(place: Place, session: aiohttp.ClientSession) -> None:
    async def refused() -> None:
        async with session.get(f"{place.address}/api/v1/nodes") as answer:
            assert answer.status == 401

    for _ in range(200):
        await refused()
    number, _ = await place.people.store.audit_head()
    assert number <= 60, "at most two minutes' worth"
    place.clock.ahead_ms += 60_000
    await refused()
    assert any("more refusals that were not written" in each for each in await refusals(place))


async def test_another_origin_means_no_onlookers_and_its_name_only(
    pki: DevelopmentKeys, session: aiohttp.ClientSession
) -> None:
    world = DeskWorld(pki)
    world.begin()
    async with served_place(WorldConsole(world), origin="https://loa.example.vn") as place:
        for host, status in (("loa.example.vn", 303), ("localhost", 303), ("evil.example", 404)):
            async with session.get(place.address, headers={"Host": host}, allow_redirects=False) as answer:
                assert answer.status == status


@pytest.mark.parametrize(
    "path", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "", "/a\r\nb", "/x" * 300]
)
def test_nobody_is_sent_elsewhere_after_a_login(path: str) -> None:
    assert local_path(path) == "/"
    assert local_path("/emergency/confirm?reality=real&area=xa") == "/emergency/confirm?reality=real&area=xa"


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaa", "lan12345678", "x" * 201])
async def test_a_poor_password_is_refused(place: Place, password: str) -> None:
    code = (await place.people.office.invite("lan", "Lan", [], by=SYSTEM)).code
    visit = Visit(address="192.0.2.1", agent="", device_sha256=b"")
    with pytest.raises(RequestError, match="password"):
        await place.people.gate.accept_invite("lan", code, password, visit)
