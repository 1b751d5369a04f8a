"""Forms that no browser sends get a sentence and change nothing: no server error, no traceback in the log."""

from __future__ import annotations

import aiohttp
import pytest

from controller.adapters.people.second_factors import form_token
from controller.people.rights import Grant, Role
from tests.support.console_hand import Hand, added
from tests.support.controller_console import Place

URLENCODED = "application/x-www-form-urlencoded"
BROKEN = {
    "no UTF-8": (URLENCODED, b"name=\xff\xfe"),
    "a charset that is none": (f"{URLENCODED}; charset=no-such-thing", b"name=lan"),
    "a charset for bytes": (f"{URLENCODED}; charset=zlib_codec", b"name=lan"),
    "another charset": (f"{URLENCODED}; charset=utf-16", b"name=lan"),
    "too many fields": (URLENCODED, b"&".join(b"%d=" % number for number in range(3_000))),
    "parts without a boundary": ("multipart/form-data", b"--x\r\n\r\n--x--"),
    "parts cut short": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="n"\r\n\r\nla',
    ),
    "a file": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="name"; filename="../../etc/passwd"\r\n\r\nlan\r\n--x--\r\n',
    ),
    "half a percent": (URLENCODED, b"name=%&%zz=%u0000"),
}


@pytest.mark.parametrize("content_type", BROKEN)
@pytest.mark.parametrize("path", ["/login", "/invite"])
async def test_a_broken_form_is_refused_with_a_sentence(
    place: Place, session: aiohttp.ClientSession, path: str, content_type: str
) -> None:
    kind, body = BROKEN[content_type]
    device = "a-browser-of-my-own"
    headers = {"Content-Type": kind, "Cookie": f"__Host-loaxa-device={device}", "X-Form-Token": form_token(device)}
    async with session.post(place.address + path, data=body, headers=headers, allow_redirects=False) as answer:
        assert answer.status in {400, 401, 403}, await answer.text()


async def test_a_number_that_is_too_long_is_none(hand: Hand, place: Place) -> None:
    await added(place, "lan", Grant(role=Role.OPERATOR))
    await hand.log_in("lan")
    await hand.get("/emergency?reality=drill")
    drill = {"area": "dong", "clip": "test", "reality": "drill", "minutes": "00001" + "9" * 5_000}
    status, text = await hand.post("/emergency", **drill)
    assert status < 500, text
