"""Lets people in: passwords, second factors, sessions; and tells who holds a session or a token.

    (none) --password right, no second factor--> whole
    (none) --password right, second factor there--> partial --code | passkey--> whole, proven
    (none) --passkey with user verification--> whole, proven
    whole --code | passkey--> whole, proven anew (under a new session id)

Rules kept: every attempt is measured before it is looked at, and on record after; a wrong name, a wrong password and
a disabled account give one answer at one cost; what may be used once is spent in the commit that opens the session.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from controller.adapters.audit_recorder import AuditRecorder
from controller.adapters.people.passkeys import Passkeys
from controller.adapters.people.passwords import Passwords
from controller.adapters.people.second_factors import Sealer, code_sha256, matching_step, new_secret, secret_sha256
from controller.adapters.people.store import PeopleStore
from controller.errors import ConflictError, DatabaseError, RequestCode, RequestError
from controller.people.audit import Act, Actor, Deed, act_of
from controller.people.model import (
    SEEN_EVERY_MS,
    DeviceKnown,
    InviteUsed,
    Passkey,
    PasskeyUsed,
    PeopleChange,
    PersonSet,
    PersonState,
    PersonView,
    RecoveryCodeUsed,
    Session,
    SessionLimits,
    SessionSeen,
    SessionsEnded,
    TotpStepUsed,
    checked_password,
    is_live,
)
from controller.people.throttle import Attempt, Throttle

Change = PeopleChange | Act
TOTP_PURPOSE: Final = "totp"
WRONG: Final = "tên hoặc mật khẩu không đúng / the name or the password is wrong"
WRONG_CODE: Final = "mã không đúng hoặc đã dùng / the code is wrong or was used before"
WRONG_INVITE: Final = "lời mời không đúng hoặc đã hết hạn / the invitation is wrong or has run out"
AGENT_MAX: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """From where somebody comes: address, browser's own words, and the browser's cookie as a hash."""

    address: str
    agent: str
    device_sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A session was opened; `secret` is the cookie's value, and nobody else has it."""

    secret: str
    session: Session


class Gate:
    """One process's door. `clock` gives milliseconds."""

    def __init__(
        self,
        *,
        store: PeopleStore,
        passwords: Passwords,
        passkeys: Passkeys,
        sealer: Sealer,
        recorder: AuditRecorder,
        limits: SessionLimits,
        clock: Callable[[], int],
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._passkeys = passkeys
        self._sealer = sealer
        self._recorder = recorder
        self._throttle = Throttle()
        self.limits: Final = limits
        self.clock: Final = clock

    async def login(self, name: str, password: str, visit: Visit) -> Opened:
        """Name and password; raises RequestError."""
        now_ms = self.clock()
        name = name.strip().lower()[:40]
        attempt = await self._begin(name, visit, Deed.LOGIN)
        person = await self._store.person_row(name)
        is_active = person is not None and person.state is PersonState.ACTIVE
        stored = person.password_hash if person and is_active else ""
        is_right, better = await self._passwords.check(password, stored)
        view = await self._store.person(name) if is_right else None
        if view is None:
            await self._recorder.refused(_actor(name, visit), Deed.LOGIN, at_ms=now_ms, detail="password")
            raise RequestError(RequestCode.NOT_ALLOWED, WRONG)
        is_partial = view.has_second_factor
        changes: list[Change] = [PersonSet(name=name, password_hash=better)] if better else []
        opened = self._new_session(name, visit, is_partial=is_partial)
        changes.append(opened.session)
        if not is_partial:
            self._throttle.succeed(attempt)
            changes += self._known(name, visit)
        detail = "password right, the second factor is asked for" if is_partial else "password"
        await self._store.commit([*changes, self._act(Deed.LOGIN, name, visit, detail)])
        return opened

    async def prove_code(self, held: Session, view: PersonView, code: str, visit: Visit) -> Opened:
        """A TOTP code or a recovery code makes a session whole, or proves it anew; raises RequestError."""
        name = view.person.name
        deed = Deed.SECOND_FACTOR if held.is_partial else Deed.STEP_UP
        attempt = await self._begin(name, visit, deed)
        spent, what = self._spent_by(view, code)
        if spent is None:
            await self._recorder.refused(_actor(name, visit), deed, at_ms=self.clock(), detail=what)
            raise RequestError(RequestCode.NOT_ALLOWED, WRONG_CODE)
        try:
            return await self._prove(held, visit, attempt, [spent], deed, what)
        except ConflictError as error:
            await self._recorder.refused(_actor(name, visit), deed, at_ms=self.clock(), detail=f"{what} used before")
            raise RequestError(RequestCode.NOT_ALLOWED, WRONG_CODE) from error

    async def prove_passkey(self, held: Session, view: PersonView, answer: str, visit: Visit) -> Opened:
        """A passkey of the person makes a session whole, or proves it anew; raises RequestError."""
        deed = Deed.SECOND_FACTOR if held.is_partial else Deed.STEP_UP
        attempt = await self._begin(view.person.name, visit, deed)
        used = await self._passkey_used(view, answer, visit, deed)
        return await self._prove(held, visit, attempt, [used], deed, "passkey")

    async def login_passkey(self, answer: str, visit: Visit) -> Opened:
        """A passkey alone, which is two factors: the device, and what unlocks it; raises RequestError."""
        attempt = await self._begin("", visit, Deed.LOGIN)
        passkey = await self._store.passkey(self._passkeys.credential_id(answer))
        view = await self._store.person(passkey.person) if passkey else None
        if view is None or view.person.state is not PersonState.ACTIVE:
            await self._recorder.refused(_actor("", visit), Deed.LOGIN, at_ms=self.clock(), detail="unknown passkey")
            raise RequestError(
                RequestCode.NOT_ALLOWED, "khoá truy cập không dùng được / this passkey is not known here"
            )
        name = view.person.name
        used = await self._passkey_used(view, answer, visit, Deed.LOGIN)
        opened = self._new_session(name, visit, proven_at_ms=self.clock())
        act = self._act(Deed.LOGIN, name, visit, "passkey")
        await self._spend([used, opened.session, *self._known(name, visit), act], name, visit)
        self._throttle.succeed(attempt)
        return opened

    def ask_passkey(self, visit: Visit, view: PersonView | None = None) -> str:
        """What the browser is to ask its authenticator, as JSON."""
        if view is None:
            return self._passkeys.ask_login(visit.device_sha256, self.clock())
        return self._passkeys.ask_proof(visit.device_sha256, self.clock(), view.passkeys)

    async def accept_invite(self, name: str, code: str, password: str, visit: Visit) -> Opened:
        """Whoever was invited, or reset, chooses a password; raises RequestError."""
        name = name.strip().lower()[:40]
        attempt = await self._begin(name, visit, Deed.ACCOUNT)
        person = await self._store.person_row(name)
        given = code_sha256(code)
        is_right = person is not None and hmac.compare_digest(person.invite_sha256, given)
        is_open = person is not None and person.state is not PersonState.DISABLED
        if person is None or not is_right or not is_open or self.clock() > person.invite_until_ms:
            await self._recorder.refused(_actor(name, visit), Deed.ACCOUNT, at_ms=self.clock(), detail="invitation")
            raise RequestError(RequestCode.NOT_ALLOWED, WRONG_INVITE)
        chosen = await self._passwords.hash(checked_password(password, name=name))
        opened = self._new_session(name, visit)
        active = PersonSet(name=name, state=PersonState.ACTIVE, password_hash=chosen)
        act = self._act(Deed.ACCOUNT, name, visit, "invitation accepted, password set")
        spent = InviteUsed(person=name, sha256=given)
        await self._spend([spent, active, opened.session, *self._known(name, visit), act], name, visit)
        self._throttle.succeed(attempt)
        return opened

    async def logout(self, held: Session, visit: Visit, *, everywhere: bool = False) -> None:
        """This session is over, or all of the person's."""
        ended = SessionsEnded(person=held.person, only=None if everywhere else held.id_sha256)
        await self._store.commit(
            [ended, self._act(Deed.LOGOUT, held.person, visit, "everywhere" if everywhere else "")]
        )

    async def holder(self, secret: str) -> tuple[Session, PersonView] | None:
        """Whose a session's cookie is, while it lives and the person may come in; raises DatabaseError."""
        found = await self._store.session(secret_sha256(secret[:100]))
        if found is None:
            return None
        session, view = found
        now_ms = self.clock()
        if view.person.state is not PersonState.ACTIVE or not is_live(session, self.limits, now_ms):
            return None
        if now_ms - session.seen_at_ms >= SEEN_EVERY_MS:
            try:
                await self._store.commit([SessionSeen(id_sha256=session.id_sha256, seen_at_ms=now_ms)])
            except DatabaseError:  # a disk that is full keeps nobody from ending an emergency
                return session, view
        return session, view

    async def check_password(self, view: PersonView, password: str, visit: Visit) -> None:
        """The password once more, before something that outlasts the session; raises RequestError."""
        name = view.person.name
        attempt = await self._begin(name, visit, Deed.ACCOUNT)
        is_right, _ = await self._passwords.check(password, view.person.password_hash)
        if not is_right:
            await self._recorder.refused(_actor(name, visit), Deed.ACCOUNT, at_ms=self.clock(), detail="password")
            raise RequestError(RequestCode.NOT_ALLOWED, "mật khẩu không đúng / the password is wrong")
        self._throttle.succeed(attempt)

    async def _begin(self, name: str, visit: Visit, deed: Deed) -> Attempt:
        is_known = bool(visit.device_sha256) and await self._store.is_known_device(name, visit.device_sha256)
        device = visit.device_sha256.hex() if is_known else None
        attempt = Attempt(account=name, address=visit.address, known_device=device)
        wait_ms = self._throttle.begin(attempt, self.clock())
        if wait_ms:
            seconds = -(-wait_ms // 1000)
            await self._recorder.refused(_actor(name, visit), deed, at_ms=self.clock(), detail=f"too soon, {seconds} s")
            what = f"thử lại sau {seconds} giây / too many attempts; try again in {seconds} s"
            raise RequestError(RequestCode.TRY_LATER, what)
        return attempt

    def _spent_by(self, view: PersonView, code: str) -> tuple[TotpStepUsed | RecoveryCodeUsed | None, str]:
        name = view.person.name
        if view.person.totp_sealed:
            secret = self._sealer.open(view.person.totp_sealed, purpose=TOTP_PURPOSE, person=name)
            step = matching_step(secret, code, self.clock())
            if step is not None:
                return TotpStepUsed(person=name, step=step), "code"
        if sum(each.isalnum() for each in code) > 8:  # noqa: PLR2004 - longer than any time code
            return RecoveryCodeUsed(person=name, sha256=code_sha256(code)), "recovery code"
        return None, "code"

    async def _passkey_used(self, view: PersonView, answer: str, visit: Visit, deed: Deed) -> PasskeyUsed:
        """A passkey's proof; a wrong one, and a counter that does not rise, are on record."""
        try:
            wanted = self._passkeys.credential_id(answer)
            passkey = _one_of(view, wanted)
            is_login = deed is Deed.LOGIN
            count = self._passkeys.proven(answer, passkey, visit.device_sha256, self.clock(), is_login=is_login)
        except RequestError as error:
            who = _actor(view.person.name, visit)
            await self._recorder.refused(who, deed, at_ms=self.clock(), detail=f"passkey: {error.message}")
            raise
        return PasskeyUsed(credential_id=passkey.credential_id, sign_count=count, used_at_ms=self.clock())

    async def _prove(
        self, held: Session, visit: Visit, attempt: Attempt, spent: Sequence[Change], deed: Deed, what: str
    ) -> Opened:
        name = held.person
        fresh = self._new_session(name, visit, proven_at_ms=self.clock())
        opened = replace(fresh, session=replace(fresh.session, begun_at_ms=held.begun_at_ms))
        ended = SessionsEnded(person=name, only=held.id_sha256)
        act = self._act(deed, name, visit, what)
        await self._store.commit([*spent, ended, opened.session, *self._known(name, visit), act])
        self._throttle.succeed(attempt)
        return opened

    async def _spend(self, changes: Sequence[Change], name: str, visit: Visit) -> None:
        try:
            await self._store.commit(changes)
        except ConflictError as error:
            await self._recorder.refused(_actor(name, visit), Deed.LOGIN, at_ms=self.clock(), detail="used before")
            raise RequestError(RequestCode.NOT_ALLOWED, "đã được dùng trước đó / it was used before") from error

    def _new_session(
        self, name: str, visit: Visit, *, is_partial: bool = False, proven_at_ms: int | None = None
    ) -> Opened:
        secret, now_ms = new_secret(), self.clock()
        session = Session(
            id_sha256=secret_sha256(secret),
            person=name,
            begun_at_ms=now_ms,
            seen_at_ms=now_ms,
            proven_at_ms=proven_at_ms,
            is_partial=is_partial,
            address=visit.address[:64],
            agent=visit.agent[:AGENT_MAX],
        )
        return Opened(secret=secret, session=session)

    def _known(self, name: str, visit: Visit) -> list[Change]:
        if not visit.device_sha256:
            return []
        return [DeviceKnown(person=name, device_sha256=visit.device_sha256, seen_at_ms=self.clock())]

    def _act(self, deed: Deed, name: str, visit: Visit, detail: str) -> Act:
        return act_of(deed, by=_actor(name, visit), at_ms=self.clock(), detail=detail)


def _one_of(view: PersonView, credential_id: bytes) -> Passkey:
    for passkey in view.passkeys:
        if passkey.credential_id == credential_id:
            return passkey
    raise RequestError(RequestCode.NOT_ALLOWED, "this passkey is not one of this account")


def _actor(name: str, visit: Visit) -> Actor:
    return Actor(who=name, address=visit.address)
