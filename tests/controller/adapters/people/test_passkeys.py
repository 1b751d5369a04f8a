"""Questions that passkeys answer: remembered for whom they were asked, once, and not pushed out by strangers."""

from __future__ import annotations

import hashlib
import json

import pytest
from webauthn.helpers import bytes_to_base64url

from controller.adapters.people.passkeys import CHALLENGE_MS, CHALLENGES_MAX, Passkeys
from controller.errors import RequestError
from controller.people.model import Passkey

NOW_MS = 1_795_000_000_000
OWN = Passkey(
    credential_id=b"own", person="lan", public_key=b"", sign_count=0, title="khoá", created_at_ms=0, used_at_ms=0
)
RUN_OUT = "the question has run out"


@pytest.fixture
def passkeys() -> Passkeys:
    return Passkeys(origin="https://loa.example", host="loa.example")


def why_refused(passkeys: Passkeys, browser: bytes, *, is_login: bool, now_ms: int = NOW_MS) -> str:
    with pytest.raises(RequestError) as refused:
        passkeys.proven("{}", OWN, browser, now_ms, is_login=is_login)
    return refused.value.message


def test_strangers_at_the_door_push_out_nobodys_step_up(passkeys: Passkeys) -> None:
    passkeys.ask_proof(b"lan's browser", NOW_MS, (OWN,))
    for number in range(CHALLENGES_MAX + 1):
        passkeys.ask_login(number.to_bytes(4, "big"), NOW_MS)
    assert RUN_OUT not in why_refused(passkeys, b"lan's browser", is_login=False)


def test_a_question_of_the_door_is_none_of_the_step_up_and_the_other_way_round(passkeys: Passkeys) -> None:
    passkeys.ask_login(b"browser", NOW_MS)
    assert RUN_OUT in why_refused(passkeys, b"browser", is_login=False)
    passkeys.ask_proof(b"other", NOW_MS, (OWN,))
    assert RUN_OUT in why_refused(passkeys, b"other", is_login=True)


def test_a_question_counts_once_and_not_for_long(passkeys: Passkeys) -> None:
    passkeys.ask_login(b"browser", NOW_MS)
    assert RUN_OUT not in why_refused(passkeys, b"browser", is_login=True)
    assert RUN_OUT in why_refused(passkeys, b"browser", is_login=True)
    passkeys.ask_login(b"browser", NOW_MS)
    assert RUN_OUT in why_refused(passkeys, b"browser", is_login=True, now_ms=NOW_MS + CHALLENGE_MS + 1)


def test_an_answer_that_is_nested_without_end_is_refused(passkeys: Passkeys) -> None:
    with pytest.raises(RequestError):
        passkeys.credential_id("[" * 8_000)


def test_an_answer_for_a_key_that_is_empty_is_refused(passkeys: Passkeys) -> None:
    options = json.loads(passkeys.ask_login(b"browser", NOW_MS))
    client = {"type": "webauthn.get", "challenge": options["challenge"], "origin": "https://loa.example"}
    proof = {
        "clientDataJSON": bytes_to_base64url(json.dumps(client).encode()),
        "authenticatorData": bytes_to_base64url(hashlib.sha256(b"loa.example").digest() + b"\x05" + bytes(4)),
        "signature": "AA",
    }
    answer = {"id": "b3du", "rawId": "b3du", "type": "public-key", "response": proof}
    with pytest.raises(RequestError):
        passkeys.proven(json.dumps(answer), OWN, b"browser", NOW_MS, is_login=True)
