"""The way in: passwords, second factors, sessions, invitations, and how long a guesser waits."""

from __future__ import annotations

import re
import time

import aiohttp
import pytest

from controller.adapters.gate import Visit
from controller.adapters.people.passwords import PasswordCost, Passwords
from controller.errors import RequestError
from controller.people.model import PersonSet, PersonState
from controller.people.rights import Grant, Role
from tests.support.console_hand import PASSWORD, SYSTEM, Hand, added, prove, refusals, with_totp
from tests.support.controller_console import LIMITS, Place


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


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaa", "lan12345678", "x" * 201])
async def test_a_poor_password_is_refused(place: Place, password: str) -> None:
    code = (await place.people.office.invite("lan", "Lan", [], by=SYSTEM)).code
    visit = Visit(address="192.0.2.1", agent="", device_sha256=b"")
    with pytest.raises(RequestError, match="password"):
        await place.people.gate.accept_invite("lan", code, password, visit)
