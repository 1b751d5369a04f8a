"""Administers people and tokens: invite, roles, disable, reset; for the people page and for the command.

Rules kept: nobody changes their own roles or disables themselves on a page, so that the last administrator cannot be
lost there; whoever is reset loses password, second factors, sessions, known devices and tokens at once; a token's
secret and an invitation's code are shown once and kept as a hash. Whether the caller may do it in these areas was
decided by the rights. The command acts as the machine's owner and is bound by none of the rules about oneself.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from controller.adapters.people.second_factors import code_sha256, new_code, new_secret, secret_sha256
from controller.adapters.people.store import PeopleStore
from controller.errors import RequestCode, RequestError
from controller.people.audit import Act, Actor, Deed, act_of
from controller.people.model import (
    GRANTS_MAX,
    INVITE_MS,
    PEOPLE_MAX,
    TOKENS_MAX,
    ApiToken,
    DevicesForgotten,
    GrantsSet,
    PasskeysRemoved,
    PeopleChange,
    Person,
    PersonSet,
    PersonState,
    PersonView,
    RecoveryCodesSet,
    SessionsEnded,
    TokensRevoked,
    checked_name,
    checked_title,
)
from controller.people.rights import EVERYWHERE, Grant

_HANDLE_BYTES: Final = 32
_TOKEN_ID_BYTES: Final = 5
TOKEN_PREFIX: Final = "lx_"  # noqa: S105 - how a token begins, no secret
DAY_MS: Final = 86_400_000
TOKEN_DAYS_MAX: Final = 730


@dataclass(frozen=True, slots=True, kw_only=True)
class Invited:
    """A person, and the code with which they choose a password; it is shown once."""

    name: str
    code: str


class PeopleOffice:
    """Changes of other people. `by` is put on record."""

    def __init__(self, store: PeopleStore, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock

    async def known(self, name: str) -> PersonView:
        """A person; raises RequestError where there is none."""
        view = await self._store.person(name.strip().lower()[:40])
        if view is None:
            raise RequestError(RequestCode.NOT_FOUND, f"there is no account {name[:40]!r}")
        return view

    async def invite(self, name: str, title: str, grants: Iterable[Grant], *, by: Actor) -> Invited:
        """A new account, waiting for its person; raises RequestError, ConflictError."""
        code = new_code()
        person = self._new_person(name, title, invite_sha256=code_sha256(code))
        await self._add(person, grants, by, "invited")
        return Invited(name=person.name, code=code)

    async def add_with_password(
        self, name: str, title: str, grants: Iterable[Grant], password_hash: str, *, by: Actor
    ) -> None:
        """A new account that can log in at once: the first administrator's; raises RequestError, ConflictError."""
        person = self._new_person(name, title, password_hash=password_hash)
        await self._add(person, grants, by, "added")

    async def set_grants(self, view: PersonView, grants: Iterable[Grant], *, by: Actor) -> None:
        """All of a person's roles; raises RequestError."""
        wanted = _bounded(grants)
        self._not_oneself(view, by)
        said = f"{view.person.name}: roles {_listed(wanted)}"
        await self._store.commit([GrantsSet(person=view.person.name, grants=wanted), *self._acts(said, by, wanted)])

    async def disable(self, view: PersonView, *, by: Actor) -> None:
        """Nobody comes in by this account any more; raises RequestError."""
        self._not_oneself(view, by)
        name = view.person.name
        gone: list[PeopleChange] = [SessionsEnded(person=name), TokensRevoked(person=name)]
        off = PersonSet(name=name, state=PersonState.DISABLED, invite_until_ms=0)
        await self._store.commit([off, *gone, *self._acts(f"{name}: disabled", by, view.grants)])

    async def reset(self, view: PersonView, *, by: Actor) -> Invited:
        """Everything that the account could log in with is gone; gives a new invitation. Raises RequestError."""
        self._not_oneself(view, by)
        name, code = view.person.name, new_code()
        anew = PersonSet(
            name=name,
            state=PersonState.INVITED,
            password_hash="",
            totp_sealed=b"",
            invite_sha256=code_sha256(code),
            invite_until_ms=self._clock() + INVITE_MS,
        )
        gone: list[PeopleChange] = [
            PasskeysRemoved(person=name),
            RecoveryCodesSet(person=name, sha256s=()),
            SessionsEnded(person=name),
            DevicesForgotten(person=name),
            TokensRevoked(person=name),
        ]
        await self._store.commit([anew, *gone, *self._acts(f"{name}: reset", by, view.grants)])
        return Invited(name=name, code=code)

    async def add_token(
        self, title: str, grants: Iterable[Grant], *, days: int, acts_alone: bool, person: str, by: Actor
    ) -> str:
        """A program's token, shown once; raises RequestError."""
        wanted = _bounded(grants)
        if not 1 <= days <= TOKEN_DAYS_MAX:
            raise RequestError(RequestCode.BAD_REQUEST, f"{days} days; a token lives 1 to {TOKEN_DAYS_MAX}")
        if len(await self._store.tokens()) >= TOKENS_MAX:
            raise RequestError(RequestCode.TOO_MANY, f"there are {TOKENS_MAX} tokens; revoke some first")
        secret, now_ms = new_secret(), self._clock()
        token = ApiToken(
            id=secrets.token_hex(_TOKEN_ID_BYTES),
            secret_sha256=secret_sha256(secret),
            title=checked_title(title),
            person=person,
            grants=wanted,
            acts_alone=acts_alone,
            created_at_ms=now_ms,
            expires_at_ms=now_ms + days * DAY_MS,
        )
        alone = ", acts alone" if acts_alone else ""
        said = f"{token.id} {token.title}: {_listed(wanted)}, {days} days{alone}"
        await self._store.commit([token, act_of(Deed.TOKEN, by=by, at_ms=now_ms, detail=said)])
        return f"{TOKEN_PREFIX}{token.id}_{secret}"

    async def revoke_token(self, token_id: str, *, by: Actor) -> None:
        """A token is worth nothing any more; raises RequestError where there is none."""
        if await self._store.token(token_id[:16]) is None:
            raise RequestError(RequestCode.NOT_FOUND, f"there is no token {token_id[:16]!r}")
        act = act_of(Deed.TOKEN, by=by, at_ms=self._clock(), detail=f"{token_id} revoked")
        await self._store.commit([TokensRevoked(id=token_id), act])

    def _new_person(self, name: str, title: str, *, invite_sha256: bytes = b"", password_hash: str = "") -> Person:
        now_ms = self._clock()
        return Person(
            name=checked_name(name),
            title=checked_title(title),
            state=PersonState.ACTIVE if password_hash else PersonState.INVITED,
            handle=secrets.token_bytes(_HANDLE_BYTES),
            created_at_ms=now_ms,
            password_hash=password_hash,
            invite_sha256=invite_sha256,
            invite_until_ms=now_ms + INVITE_MS if invite_sha256 else 0,
        )

    async def _add(self, person: Person, grants: Iterable[Grant], by: Actor, what: str) -> None:
        wanted = _bounded(grants)
        if await self._store.count() >= PEOPLE_MAX:
            raise RequestError(RequestCode.TOO_MANY, f"there are {PEOPLE_MAX} accounts; that is the most")
        said = f"{person.name}: {what}, roles {_listed(wanted)}"
        granted = GrantsSet(person=person.name, grants=wanted)
        await self._store.commit([person, granted, *self._acts(said, by, wanted)])

    def _acts(self, said: str, by: Actor, grants: Iterable[Grant]) -> list[Act]:
        areas = {grant.area for grant in grants}
        place = areas.pop() if len(areas) == 1 else ""
        return [act_of(Deed.PEOPLE, by=by, at_ms=self._clock(), place=place.replace(EVERYWHERE, ""), detail=said)]

    @staticmethod
    def _not_oneself(view: PersonView, by: Actor) -> None:
        if by.who == view.person.name:
            what = "không tự đổi quyền của mình / nobody does this to their own account; ask another administrator"
            raise RequestError(RequestCode.FORBIDDEN, what)


def _bounded(grants: Iterable[Grant]) -> frozenset[Grant]:
    wanted = frozenset(grants)
    if len(wanted) > GRANTS_MAX:
        raise RequestError(RequestCode.BAD_REQUEST, f"{len(wanted)} roles; at most {GRANTS_MAX}")
    return wanted


def _listed(grants: Iterable[Grant]) -> str:
    return ", ".join(f"{grant.role.value}@{grant.area}" for grant in sorted(grants)) or "none"
