"""A hand on the console: a browser without scripts that keeps cookies and fills in forms, and people to be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import aiohttp
import pyotp

from controller.people.audit import Actor, Outcome
from controller.people.rights import Grant
from tests.support.controller_console import Place

PASSWORD = "một mật khẩu rất dài"
SYSTEM = Actor(who="system")


class Hand:
    """A browser without scripts: keeps cookies, fills in forms."""

    def __init__(self, place: Place, session: aiohttp.ClientSession) -> None:
        self.place, self._session = place, session
        self.cookies: dict[str, str] = {}
        self.token = ""

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        return await self._call("GET", path, None, headers)

    async def post(self, path: str, *, token: Any = None, headers: Any = None, **form: str) -> tuple[int, str]:
        fields = {"form_token": self.token if token is None else token, **form}
        return await self._call("POST", path, aiohttp.FormData(fields), headers or {})

    async def log_in(self, name: str, password: str = PASSWORD) -> tuple[int, str]:
        await self.get("/login")
        return await self.post("/login", name=name, password=password, next="/account")

    async def _call(self, method: str, path: str, data: Any, headers: Mapping[str, str]) -> tuple[int, str]:
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
