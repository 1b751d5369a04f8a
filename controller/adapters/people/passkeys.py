"""WebAuthn: what the browser is asked, and whether what it answers is right. User verification is always required.

A challenge is made here, remembered for a few minutes and used once; memory is bounded, for each purpose apart, so that
strangers who ask to log in push out nobody who is logged in. Library errors leave as RequestError. Which passkeys
somebody has, and that a counter rises, is the store's matter.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes, parse_authentication_credential_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from controller.errors import RequestCode, RequestError
from controller.people.model import Passkey, PersonView

CHALLENGES_MAX: Final = 2_000
CHALLENGE_MS: Final = 300_000
CHALLENGE_BYTES: Final = 32
ANSWER_CHARACTERS_MAX: Final = 12_000
FOREIGN: Final = (WebAuthnException, ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What the library was seen to raise at answers from outside."""


class _Purpose(StrEnum):
    """What a challenge is for; it counts for nothing else."""

    REGISTER = "register"
    LOGIN = "login"
    PROVE = "prove"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCredential:
    """What a registration gave."""

    credential_id: bytes
    public_key: bytes
    sign_count: int


class Passkeys:
    """The relying party: one origin, its host name the id."""

    def __init__(self, *, origin: str, host: str) -> None:
        self._origin = origin
        self._host = host
        self._challenges: dict[_Purpose, OrderedDict[bytes, tuple[bytes, int]]] = {
            purpose: OrderedDict() for purpose in _Purpose
        }

    def ask_registration(self, view: PersonView, browser: bytes, now_ms: int) -> str:
        """Options for `navigator.credentials.create`, as JSON; `browser` is whose answer will count."""
        options = generate_registration_options(
            rp_id=self._host,
            rp_name="LoaXa",
            user_id=view.person.handle,
            user_name=view.person.name,
            user_display_name=view.person.title,
            challenge=self._new_challenge(_Purpose.REGISTER, browser, now_ms),
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=_descriptors(view.passkeys),
        )
        return options_to_json(options)

    def registered(self, answer: str, browser: bytes, now_ms: int) -> NewCredential:
        """The credential that the browser made; raises RequestError."""
        challenge = self._take_challenge(_Purpose.REGISTER, browser, now_ms)
        try:
            verified = verify_registration_response(
                credential=answer[:ANSWER_CHARACTERS_MAX],
                expected_challenge=challenge,
                expected_rp_id=self._host,
                expected_origin=self._origin,
                require_user_verification=True,
            )
        except FOREIGN as error:
            raise RequestError(RequestCode.BAD_REQUEST, f"the passkey was not taken: {_plain(error)}") from error
        return NewCredential(
            credential_id=verified.credential_id,
            public_key=verified.credential_public_key,
            sign_count=verified.sign_count,
        )

    def ask_proof(self, browser: bytes, now_ms: int, passkeys: Sequence[Passkey]) -> str:
        """Options for `navigator.credentials.get`, as JSON, for somebody who is known by a session."""
        return self._asked(self._new_challenge(_Purpose.PROVE, browser, now_ms), passkeys)

    def ask_login(self, browser: bytes, now_ms: int) -> str:
        """The same for nobody in particular: the person chooses the passkey."""
        return self._asked(self._new_challenge(_Purpose.LOGIN, browser, now_ms), ())

    def _asked(self, challenge: bytes, passkeys: Sequence[Passkey]) -> str:
        options = generate_authentication_options(
            rp_id=self._host,
            challenge=challenge,
            allow_credentials=_descriptors(passkeys) or None,
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return options_to_json(options)

    def credential_id(self, answer: str) -> bytes:
        """Which passkey an answer claims to be of; raises RequestError."""
        try:
            return parse_authentication_credential_json(answer[:ANSWER_CHARACTERS_MAX]).raw_id
        except FOREIGN as error:
            raise RequestError(RequestCode.BAD_REQUEST, f"this is no passkey's answer: {_plain(error)}") from error

    def proven(self, answer: str, passkey: Passkey, browser: bytes, now_ms: int, *, is_login: bool) -> int:
        """The passkey's new counter; raises RequestError where the proof is wrong."""
        challenge = self._take_challenge(_Purpose.LOGIN if is_login else _Purpose.PROVE, browser, now_ms)
        try:
            verified = verify_authentication_response(
                credential=answer[:ANSWER_CHARACTERS_MAX],
                expected_challenge=challenge,
                expected_rp_id=self._host,
                expected_origin=self._origin,
                credential_public_key=passkey.public_key,
                credential_current_sign_count=passkey.sign_count,
                require_user_verification=True,
            )
        except FOREIGN as error:
            raise RequestError(RequestCode.NOT_ALLOWED, f"the passkey's proof was refused: {_plain(error)}") from error
        return verified.new_sign_count

    def _new_challenge(self, purpose: _Purpose, browser: bytes, now_ms: int) -> bytes:
        challenge, asked = secrets.token_bytes(CHALLENGE_BYTES), self._challenges[purpose]
        asked[browser] = challenge, now_ms
        asked.move_to_end(browser)
        while len(asked) > CHALLENGES_MAX:
            asked.popitem(last=False)
        return challenge

    def _take_challenge(self, purpose: _Purpose, browser: bytes, now_ms: int) -> bytes:
        challenge, at_ms = self._challenges[purpose].pop(browser, (b"", 0))
        if not challenge or not 0 <= now_ms - at_ms <= CHALLENGE_MS:
            raise RequestError(RequestCode.NOT_ALLOWED, "the question has run out; press the button again")
        return challenge


def credential_id_of(text: str) -> bytes:
    """An id as forms carry it; raises RequestError."""
    try:
        return base64url_to_bytes(text[:2000])
    except ValueError as error:
        raise RequestError(RequestCode.BAD_REQUEST, "this is no passkey's id") from error


def _descriptors(passkeys: Sequence[Passkey]) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(id=each.credential_id) for each in passkeys]


def _plain(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
