"""People, their sessions, keys and tokens as plain values, and the rules that these keep.

Secrets are never here: a password is its argon2id hash, a code or a session is the SHA-256 of its random bits, a
TOTP secret is sealed. Each change is one value; the store makes all changes of a commit durable or none, and refuses
a commit whole where a thing that may be used once was used before (`ConflictError`). Names are lower case and stay
for ever, for the audit log names people by them: a person is disabled, never deleted.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from controller.errors import RequestCode, RequestError
from controller.people.rights import EVERYWHERE, Grant, Principal, Role

NAME_PATTERN: Final = re.compile(r"[a-z][a-z0-9._-]{1,39}\Z")
PASSWORD_CHARACTERS_MIN: Final = 10
"""NIST SP 800-63B asks for 8 beside a second factor; a commune's first weeks have none."""
PASSWORD_CHARACTERS_MAX: Final = 200
PASSWORD_DIFFERENT_MIN: Final = 5
"""Fewer different characters are a row of keys."""
GRANTS_MAX: Final = 64
PASSKEYS_MAX: Final = 10
SESSIONS_MAX: Final = 20
"""Of one person; the one that was seen longest ago ends."""
DEVICES_MAX: Final = 20
TOKENS_MAX: Final = 200
PEOPLE_MAX: Final = 10_000
RECOVERY_CODES: Final = 10
INVITE_MS: Final = 72 * 3_600_000
"""A long weekend."""
PARTIAL_SESSION_MS: Final = 300_000
"""Between password and second factor."""
SEEN_EVERY_MS: Final = 60_000
"""A session's last sight is written down at most so often: an SD card is not worn by a page that refreshes."""
TITLE_MAX: Final = 80


class PersonState(StrEnum):
    """The life of an account."""

    INVITED = "invited"
    ACTIVE = "active"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One person; `handle` is what authenticators know them by."""

    name: str
    title: str
    state: PersonState
    handle: bytes
    created_at_ms: int
    password_hash: str = ""
    totp_sealed: bytes = b""
    totp_step: int = 0
    invite_sha256: bytes = b""
    invite_until_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonSet:
    """Some fields of a person are exchanged; None leaves one as it is."""

    name: str
    title: str | None = None
    state: PersonState | None = None
    password_hash: str | None = None
    totp_sealed: bytes | None = None
    invite_sha256: bytes | None = None
    invite_until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantsSet:
    """A person's grants, all of them."""

    person: str
    grants: frozenset[Grant]


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteUsed:
    """An invitation is spent; once."""

    person: str
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TotpStepUsed:
    """The code of a time step is spent; none of this step or an earlier one is taken again."""

    person: str
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryCodesSet:
    """A person's recovery codes, all of them, as SHA-256."""

    person: str
    sha256s: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryCodeUsed:
    """A recovery code is spent; once."""

    person: str
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Passkey:
    """A WebAuthn credential."""

    credential_id: bytes
    person: str
    public_key: bytes
    sign_count: int
    title: str
    created_at_ms: int
    used_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyUsed:
    """A passkey's counter rises, or stays 0 where it has none; a counter that does not rise is a copy's."""

    credential_id: bytes
    sign_count: int
    used_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeysRemoved:
    """A person's passkey is gone; None is all of them."""

    person: str
    credential_id: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One browser that is logged in; `is_partial` until the second factor that the person has is proven."""

    id_sha256: bytes
    person: str
    begun_at_ms: int
    seen_at_ms: int
    proven_at_ms: int | None
    is_partial: bool
    address: str
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSeen:
    """A session was used."""

    id_sha256: bytes
    seen_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsEnded:
    """One session of a person is over, or all, or all but one."""

    person: str
    only: bytes | None = None
    but: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceKnown:
    """A person has logged in on a device, which is known by its cookie; `forget` all others first."""

    person: str
    device_sha256: bytes
    seen_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicesForgotten:
    """None of a person's devices is known any more."""

    person: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A program's key to the API: for a person (never more than they may) or a service; `person` is "" for one."""

    id: str
    secret_sha256: bytes
    title: str
    person: str
    grants: frozenset[Grant]
    acts_alone: bool
    created_at_ms: int
    expires_at_ms: int
    used_at_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsed:
    """A token was used."""

    id: str
    used_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensRevoked:
    """A token is gone, or all of a person's."""

    id: str = ""
    person: str = ""


PeopleChange = (
    Person
    | PersonSet
    | GrantsSet
    | InviteUsed
    | TotpStepUsed
    | RecoveryCodesSet
    | RecoveryCodeUsed
    | Passkey
    | PasskeyUsed
    | PasskeysRemoved
    | Session
    | SessionSeen
    | SessionsEnded
    | DeviceKnown
    | DevicesForgotten
    | ApiToken
    | TokenUsed
    | TokensRevoked
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonView:
    """A person with what belongs to them."""

    person: Person
    grants: frozenset[Grant]
    passkeys: tuple[Passkey, ...]
    recovery_codes_left: int

    @property
    def has_second_factor(self) -> bool:
        """Whether there is a second factor to prove; recovery codes stand in for one and are none."""
        return bool(self.person.totp_sealed or self.passkeys)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """How long a session lives."""

    idle_ms: int
    absolute_ms: int


def is_live(session: Session, limits: SessionLimits, now_ms: int) -> bool:
    """Whether a session still counts."""
    if session.is_partial and now_ms - session.begun_at_ms > PARTIAL_SESSION_MS:
        return False
    return now_ms - session.begun_at_ms <= limits.absolute_ms and now_ms - session.seen_at_ms <= limits.idle_ms


def principal_of(view: PersonView, session: Session) -> Principal:
    """Who a whole session speaks for."""
    return Principal(
        name=view.person.name,
        grants=view.grants,
        is_person=True,
        has_second_factor=view.has_second_factor,
        proven_at_ms=session.proven_at_ms,
    )


def checked_name(text: str) -> str:
    """A login name; raises RequestError."""
    name = text.strip().lower()
    if not NAME_PATTERN.match(name):
        what = f"{text[:40]!r} is no name to log in with: 2 to 40 of a-z, 0-9, . _ and -, beginning with a letter"
        raise RequestError(RequestCode.BAD_REQUEST, what)
    return name


def checked_title(text: str) -> str:
    """What people call a person or a thing; raises RequestError."""
    title = " ".join(unicodedata.normalize("NFC", text).split())
    if not title or len(title) > TITLE_MAX or not title.isprintable():
        raise RequestError(RequestCode.BAD_REQUEST, f"write a name of 1 to {TITLE_MAX} characters")
    return title


def plain_password(text: str) -> str:
    """A password as it is hashed: the same letters from every keyboard (Vietnamese ones compose them differently)."""
    return unicodedata.normalize("NFKC", text)


def checked_password(text: str, *, name: str) -> str:
    """A new password that may be used; raises RequestError that says what is missing."""
    password = plain_password(text)
    if not PASSWORD_CHARACTERS_MIN <= len(password) <= PASSWORD_CHARACTERS_MAX:
        what = f"mật khẩu cần từ {PASSWORD_CHARACTERS_MIN} ký tự / a password has at least {PASSWORD_CHARACTERS_MIN}"
        raise RequestError(RequestCode.BAD_REQUEST, f"{what} characters (and at most {PASSWORD_CHARACTERS_MAX})")
    if len(set(password)) < PASSWORD_DIFFERENT_MIN:
        what = "mật khẩu quá đơn giản / too few different characters in the password"
        raise RequestError(RequestCode.BAD_REQUEST, what)
    if name in password.lower():
        what = "mật khẩu không được chứa tên đăng nhập / the password must not contain the name"
        raise RequestError(RequestCode.BAD_REQUEST, what)
    return password


def grant_of(text: str, known_areas: frozenset[str]) -> Grant:
    """A grant from `role`, `role@area` or `role@*`; raises RequestError, also where an area was begun and not named."""
    role, at, area = text.partition("@")
    area = area if at else EVERYWHERE
    if role not in [each.value for each in Role]:
        what = f"{role[:40]!r} is no role; roles: {', '.join(each.value for each in Role)}"
        raise RequestError(RequestCode.BAD_REQUEST, what)
    if area != EVERYWHERE and area not in known_areas:
        listed = ", ".join(sorted(known_areas)[:20])
        what = f"the area {area[:40]!r} is not known; known areas: {listed} (or * for everywhere)"
        raise RequestError(RequestCode.UNKNOWN_AREA, what)
    return Grant(role=Role(role), area=area)
