"""Who is let through to which route: the table against the routes, tokens, forms, places, and the gate behind it."""

from __future__ import annotations

from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from controller.adapters.enrolment_service import EnrolmentService
from controller.adapters.media.library import MediaLibrary
from controller.adapters.programme_office import BulletinDesk, ProgrammeDesk
from controller.adapters.speech import SpokenMedia
from controller.configuration.config import ConsoleListenerConfig
from controller.people.audit import Deed
from controller.people.model import PersonSet, PersonState
from controller.people.rights import Grant, Role
from controller.reporting.questions import Tallies
from controller.web.access import local_path
from controller.web.bulletins_api import add_bulletins_api
from controller.web.console_start import full_console
from controller.web.enrolment_api import add_enrolment_api
from controller.web.exchange_api import add_exchange_api
from controller.web.media_api import add_media_api
from controller.web.parts import Console, ConsoleSettings
from controller.web.programmes_api import add_programmes_api
from controller.web.reports import add_reports
from controller.web.rules import RULES
from tests.support.console_hand import SYSTEM, Hand, added, prove, refusals, with_totp
from tests.support.controller_console import FILE_TOKEN, TOKEN, Place, WorldConsole, served_place
from tests.support.controller_desk import DeskWorld
from tests.support.pki import DevelopmentKeys

FLOOD = {"area": "dong", "clip": "flood", "minutes": "5", "reality": "real"}


def application_of(place: Place) -> web.Application:
    """The console with every room that hangs routes on it."""
    console: Console = WorldConsole(place.world)
    listener = ConsoleListenerConfig(token_file="x")
    settings = ConsoleSettings(listener=listener, file_token=FILE_TOKEN, token=TOKEN, step_up_ms=1)
    application = full_console(console, settings=settings, people=place.people)
    add_enrolment_api(application, cast("EnrolmentService", None), url="")
    add_media_api(application, cast("MediaLibrary", None))
    add_exchange_api(application)
    add_programmes_api(application, cast("ProgrammeDesk", None))
    add_bulletins_api(application, cast("BulletinDesk", None), cast("SpokenMedia", None))
    add_reports(application, cast("Tallies", None))
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


async def test_a_form_from_elsewhere_changes_nothing(hand: Hand, place: Place) -> None:
    await added(place, "lan", Grant(role=Role.OPERATOR))
    await hand.log_in("lan")
    await hand.get("/emergency?reality=drill")
    drill = {**FLOOD, "clip": "drill", "reality": "drill"}
    no_headers: dict[str, str] = {}
    for token, headers in (
        ("", no_headers),
        ("0" * 64, no_headers),
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
    assert (view.grants, view.person.state) == (frozenset({Grant(role=Role.VIEWER, area="dong")}), PersonState.INVITED)


async def test_an_account_without_roles_belongs_to_whoever_administers_everywhere(hand: Hand, place: Place) -> None:
    await added(place, "mai", Grant(role=Role.ADMINISTRATOR, area="dong"))
    await added(place, "huy")
    await hand.log_in("mai")
    await prove(hand, await with_totp(hand))
    _, page = await hand.get("/people")
    assert "/people/huy" not in page
    assert (await hand.get("/people/huy"))[0] == 403
    for path in ("disable", "reset"):
        assert (await hand.post(f"/people/huy/{path}"))[0] == 403, "he may be somebody's tomorrow"
    assert (await hand.post("/people/huy/roles", grant="viewer@dong"))[0] == 403
    assert (await hand.post("/people", name="new", title="New"))[0] == 403


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


@pytest.mark.parametrize(
    ("area", "question", "status"),
    [
        ("dong", {}, 101),
        ("dong", {"broadcast_class": "priority"}, 101),
        ("dong", {"broadcast_class": "emergency"}, 403),
        ("dong", {"broadcast_class": "emergency", "reality": "drill"}, 101),
        ("xa", {}, 403),
        ("doai", {}, 403),
        ("tay", {}, 403),
        ("dong", {"area": "doai"}, 400),
    ],
)
async def test_a_voice_needs_the_right_of_its_class_in_its_area(
    place: Place, session: aiohttp.ClientSession, area: str, question: dict[str, str], status: int
) -> None:
    local = [Grant(role=Role.OPERATOR, area="dong")]
    token = await place.people.office.add_token("mic", local, days=1, acts_alone=False, person="", by=SYSTEM)
    asked = [("area", area), ("title", "x"), *question.items()]
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with session.ws_connect(f"{place.address}/api/v1/voice", params=asked, headers=headers) as socket:
            assert (await socket.receive_json())["state"] == "waiting"
            found = 101
    except aiohttp.WSServerHandshakeError as refused:
        found = refused.status
    assert found == status


async def test_a_cookie_opens_no_api_and_a_token_no_page(hand: Hand, place: Place) -> None:
    await added(place, "lan", Grant(role=Role.OPERATOR))
    await hand.log_in("lan")
    assert (await hand.get("/api/v1/nodes"))[0] == 401
    hand.cookies.clear()
    assert (await hand.get("/account", Authorization=f"Bearer {TOKEN}"))[0] == 303


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
