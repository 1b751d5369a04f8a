"""What a person changes about their own account: password, TOTP, passkeys, recovery codes, sessions.

Rules kept: the password is asked for again before it is changed or a first second factor is added; a TOTP secret
counts only once a code of it was given; taking away or adding a second factor ends all other sessions; every change is
on record. Whether a second factor must be proven first was decided by the rights.
"""

from __future__ import annotations

from typing import Final

from controller.adapters.gate import TOTP_PURPOSE, WRONG_CODE, Change, Gate, Visit
from controller.adapters.people.passkeys import Passkeys
from controller.adapters.people.passwords import Passwords
from controller.adapters.people.second_factors import Sealer, code_sha256, matching_step, new_code, new_totp_secret
from controller.adapters.people.store import PeopleStore
from controller.errors import RequestCode, RequestError
from controller.people.audit import Actor, Deed, act_of
from controller.people.model import (
    PASSKEYS_MAX,
    RECOVERY_CODES,
    Passkey,
    PasskeysRemoved,
    PersonSet,
    PersonView,
    RecoveryCodesSet,
    Session,
    SessionsEnded,
    TotpStepUsed,
    checked_password,
    checked_title,
)

_PENDING: Final = "totp to be confirmed"


class OwnAccount:
    """Changes of one's own account; `view` is whoever is logged in."""

    def __init__(
        self, *, store: PeopleStore, gate: Gate, passwords: Passwords, passkeys: Passkeys, sealer: Sealer
    ) -> None:
        self._store = store
        self._gate = gate
        self._passwords = passwords
        self._passkeys = passkeys
        self._sealer = sealer

    async def set_password(self, held: Session, view: PersonView, old: str, new: str, visit: Visit) -> None:
        """Another password; other sessions end. Raises RequestError."""
        await self._gate.check_password(view, old, visit)
        chosen = await self._passwords.hash(checked_password(new, name=view.person.name))
        changed = PersonSet(name=view.person.name, password_hash=chosen)
        await self._keep(held, visit, "password changed", changed, ends_others=True)

    def new_totp(self, view: PersonView) -> tuple[str, str]:
        """A secret for the telephone, and the same sealed for the form that confirms it."""
        secret = new_totp_secret()
        return secret, self._sealer.seal(secret, purpose=_PENDING, person=view.person.name).hex()

    def pending_totp(self, view: PersonView, pending: str) -> str:
        """The secret that a form carried; raises RequestError."""
        try:
            sealed = bytes.fromhex(pending[:512])
        except ValueError as error:
            raise RequestError(RequestCode.BAD_REQUEST, "this form is damaged; begin again") from error
        return self._sealer.open(sealed, purpose=_PENDING, person=view.person.name)

    async def confirm_totp(self, held: Session, view: PersonView, pending: str, code: str, visit: Visit) -> list[str]:
        """The telephone's first code is right: the secret counts; gives new recovery codes. Raises RequestError."""
        name = view.person.name
        secret = self.pending_totp(view, pending)
        step = matching_step(secret, code, self._gate.clock())
        if step is None:
            raise RequestError(RequestCode.BAD_REQUEST, WRONG_CODE)
        sealed = self._sealer.seal(secret, purpose=TOTP_PURPOSE, person=name)
        codes, stored = _new_codes(name)
        changes: list[Change] = [PersonSet(name=name, totp_sealed=sealed), TotpStepUsed(person=name, step=step), stored]
        await self._keep(held, visit, "TOTP set up", *changes, ends_others=True)
        return codes

    async def remove_totp(self, held: Session, view: PersonView, visit: Visit) -> None:
        """No TOTP any more."""
        gone = PersonSet(name=view.person.name, totp_sealed=b"")
        await self._keep(held, visit, "TOTP removed", gone, ends_others=True)

    async def new_recovery_codes(self, held: Session, view: PersonView, visit: Visit) -> list[str]:
        """Other recovery codes; the old ones are worth nothing. Raises RequestError."""
        if not view.has_second_factor:
            what = "cần có yếu tố thứ hai trước / recovery codes stand in for a second factor; set one up first"
            raise RequestError(RequestCode.BAD_REQUEST, what)
        codes, stored = _new_codes(view.person.name)
        await self._keep(held, visit, "recovery codes made anew", stored)
        return codes

    def ask_passkey(self, view: PersonView, visit: Visit) -> str:
        """What the browser is to ask its authenticator for a new passkey, as JSON; raises RequestError."""
        if len(view.passkeys) >= PASSKEYS_MAX:
            raise RequestError(RequestCode.TOO_MANY, f"{PASSKEYS_MAX} passkeys are enough; remove one first")
        return self._passkeys.ask_registration(view, visit.device_sha256, self._gate.clock())

    async def add_passkey(self, held: Session, view: PersonView, answer: str, title: str, visit: Visit) -> list[str]:
        """A new passkey; gives recovery codes where there were none. Raises RequestError."""
        made = self._passkeys.registered(answer, visit.device_sha256, self._gate.clock())
        name, now_ms = view.person.name, self._gate.clock()
        passkey = Passkey(
            credential_id=made.credential_id,
            person=name,
            public_key=made.public_key,
            sign_count=made.sign_count,
            title=checked_title(title or "Passkey"),
            created_at_ms=now_ms,
            used_at_ms=now_ms,
        )
        codes, stored = _new_codes(name)
        changes: list[Change] = [passkey]
        if view.recovery_codes_left:
            codes = []
        else:
            changes.append(stored)
        await self._keep(held, visit, f"passkey added: {passkey.title}", *changes, ends_others=True)
        return codes

    async def remove_passkey(self, held: Session, view: PersonView, credential_id: bytes, visit: Visit) -> None:
        """A passkey is gone; raises RequestError."""
        if credential_id not in [each.credential_id for each in view.passkeys]:
            raise RequestError(RequestCode.NOT_FOUND, "this passkey is not one of yours")
        gone = PasskeysRemoved(person=view.person.name, credential_id=credential_id)
        await self._keep(held, visit, "passkey removed", gone, ends_others=True)

    async def end_sessions(self, held: Session, visit: Visit) -> None:
        """Log out everywhere else."""
        await self._keep(held, visit, "other sessions ended", ends_others=True)

    async def _keep(self, held: Session, visit: Visit, what: str, *changes: Change, ends_others: bool = False) -> None:
        name = held.person
        act = act_of(Deed.ACCOUNT, by=Actor(who=name, address=visit.address), at_ms=self._gate.clock(), detail=what)
        ended = [SessionsEnded(person=name, but=held.id_sha256)] if ends_others else []
        await self._store.commit([*changes, *ended, act])


def _new_codes(person: str) -> tuple[list[str], RecoveryCodesSet]:
    codes = [new_code() for _ in range(RECOVERY_CODES)]
    return codes, RecoveryCodesSet(person=person, sha256s=tuple(code_sha256(code) for code in codes))
