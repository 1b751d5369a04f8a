"""Targets of the passkeys: what a browser answers, as text, and the parts inside an answer that fits its question.

Whoever logs in knows the question that he was asked; so the text around the bytes that are tried is right.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence

import cbor2

from controller.adapters.people.passkeys import Passkeys, credential_id_of
from controller.errors import RequestError
from controller.people.model import Passkey, Person, PersonState, PersonView
from tests.fuzz.target import Target

HOST, ORIGIN, BROWSER, NOW_MS = "a.example", "https://a.example", b"browser", 1_800_000_000_000
CREDENTIAL = b"credential-1"
PRESENT_AND_VERIFIED, WITH_CREDENTIAL = 0x05, 0x45
COSE_KEY = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: b"x" * 32, -3: b"y" * 32})


def text(data: bytes) -> object:
    """Any text as an answer, with nothing right about it."""
    answer, passkeys, found = data.decode("utf-8", "replace"), Passkeys(origin=ORIGIN, host=HOST), []
    passkeys.ask_registration(_person(), BROWSER, NOW_MS)
    for ask in (
        lambda: passkeys.credential_id(answer),
        lambda: credential_id_of(answer),
        lambda: passkeys.registered(answer, BROWSER, NOW_MS),
    ):
        try:
            found.append(ask())
        except RequestError:
            continue
    return found


def registration(data: bytes) -> object:
    """Any bytes as the attestation in an answer that is right otherwise."""
    passkeys = Passkeys(origin=ORIGIN, host=HOST)
    asked = passkeys.ask_registration(_person(), BROWSER, NOW_MS)
    answer = _answer(asked, "webauthn.create", attestationObject=data)
    return passkeys.registered(answer, BROWSER, NOW_MS)


def proof(data: bytes) -> object:
    """Any bytes as what the authenticator says, and as its signature."""
    passkeys = Passkeys(origin=ORIGIN, host=HOST)
    asked = passkeys.ask_login(BROWSER, NOW_MS)
    answer = _answer(asked, "webauthn.get", authenticatorData=data[:37], signature=data[37:])
    return passkeys.proven(answer, _passkey(COSE_KEY), BROWSER, NOW_MS, is_login=True)


def stored_key(data: bytes) -> object:
    """A public key that was taken once, whatever its bytes are."""
    passkeys = Passkeys(origin=ORIGIN, host=HOST)
    asked = passkeys.ask_login(BROWSER, NOW_MS)
    said = _authenticator_data(PRESENT_AND_VERIFIED)
    answer = _answer(asked, "webauthn.get", authenticatorData=said, signature=b"s" * 70)
    return passkeys.proven(answer, _passkey(data), BROWSER, NOW_MS, is_login=True)


def _answer(asked: str, kind: str, **parts: bytes) -> str:
    client = {"type": kind, "challenge": json.loads(asked)["challenge"], "origin": ORIGIN, "crossOrigin": False}
    response = {"clientDataJSON": _text(json.dumps(client).encode())}
    response |= {name: _text(part) for name, part in parts.items()}
    identity = _text(CREDENTIAL)
    return json.dumps({"id": identity, "rawId": identity, "type": "public-key", "response": response})


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _authenticator_data(flags: int) -> bytes:
    return hashlib.sha256(HOST.encode()).digest() + bytes([flags]) + bytes(4)


def _attestation() -> bytes:
    attested = bytes(16) + len(CREDENTIAL).to_bytes(2) + CREDENTIAL + COSE_KEY
    said = _authenticator_data(WITH_CREDENTIAL) + attested
    return cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": said})


def _attestations() -> Sequence[bytes]:
    plain = _attestation()
    said = cbor2.loads(plain)
    statements = {
        "packed": {"alg": -7, "sig": b"s" * 70, "x5c": [b"certificate"]},
        "fido-u2f": {"sig": b"s" * 70, "x5c": [b"certificate"]},
        "tpm": {"ver": "2.0", "alg": -7, "sig": b"s", "x5c": [b"c"], "certInfo": b"i", "pubArea": b"p"},
        "android-key": {"alg": -7, "sig": b"s", "x5c": [b"certificate"]},
        "android-safetynet": {"ver": "1", "response": b"a.b.c"},
        "apple": {"x5c": [b"certificate"]},
    }
    return [plain, *(cbor2.dumps({**said, "fmt": name, "attStmt": each}) for name, each in statements.items())]


def _passkey(public_key: bytes) -> Passkey:
    return Passkey(
        credential_id=CREDENTIAL,
        person="lan",
        public_key=public_key,
        sign_count=0,
        title="khoá",
        created_at_ms=NOW_MS,
        used_at_ms=NOW_MS,
    )


def _person() -> PersonView:
    person = Person(name="lan", title="Lan", state=PersonState.ACTIVE, handle=b"h" * 16, created_at_ms=NOW_MS)
    return PersonView(person=person, grants=frozenset(), passkeys=(), recovery_codes_left=0)


PASSKEYS = (
    Target(
        name="passkey",
        decode=text,
        declared=(),
        seeds=lambda: [
            _answer('{"challenge": "AAAA"}', "webauthn.create", attestationObject=_attestation()).encode(),
            _answer('{"challenge": "AAAA"}', "webauthn.get", authenticatorData=b"x", signature=b"y").encode(),
        ],
    ),
    Target(name="passkey-registration", decode=registration, declared=(RequestError,), seeds=_attestations),
    Target(
        name="passkey-proof",
        decode=proof,
        declared=(RequestError,),
        seeds=lambda: [_authenticator_data(PRESENT_AND_VERIFIED) + b"s" * 70],
    ),
    Target(name="passkey-stored-key", decode=stored_key, declared=(RequestError,), seeds=lambda: [COSE_KEY]),
)
