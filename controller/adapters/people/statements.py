"""What each change of people is in SQL. A step that must find its row unspent says so; nothing is run here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from controller.adapters.people import tables
from controller.people.model import (
    DEVICES_MAX,
    SESSIONS_MAX,
    ApiToken,
    DeviceKnown,
    DevicesForgotten,
    GrantsSet,
    InviteUsed,
    Passkey,
    PasskeysRemoved,
    PasskeyUsed,
    PeopleChange,
    Person,
    PersonSet,
    RecoveryCodesSet,
    RecoveryCodeUsed,
    Session,
    SessionSeen,
    SessionsEnded,
    TokensRevoked,
    TokenUsed,
    TotpStepUsed,
)

_SESSION_MS_MAX: Final = 31 * 86_400_000
"""Sessions older than any configuration allows are swept out when another begins."""


@dataclass(frozen=True, slots=True)
class Step:
    """A statement; with `must_find`, one that changes nothing spoils the commit."""

    statement: sa.Executable
    must_find: bool = False


def steps_of(change: PeopleChange) -> Iterator[Step]:
    """The statements of a change, in order."""
    match change:
        case Person() | PersonSet() | GrantsSet() | InviteUsed():
            yield from _person(change)
        case TotpStepUsed() | RecoveryCodesSet() | RecoveryCodeUsed() | Passkey() | PasskeyUsed() | PasskeysRemoved():
            yield from _factor(change)
        case Session() | SessionSeen() | SessionsEnded() | DeviceKnown() | DevicesForgotten():
            yield from _session(change)
        case ApiToken() | TokenUsed() | TokensRevoked():
            yield from _token(change)


def _person(change: Person | PersonSet | GrantsSet | InviteUsed) -> Iterator[Step]:
    people, grants = tables.PEOPLE, tables.GRANTS
    match change:
        case Person():
            yield Step(sa.insert(people).values(**{**_values(change), "state": change.state.value}))
        case PersonSet(name=name):
            values = {field: value for field, value in _values(change).items() if value is not None and field != "name"}
            yield Step(sa.update(people).where(people.c.name == name).values(**values), must_find=True)
        case GrantsSet(person=person):
            yield Step(sa.delete(grants).where(grants.c.person == person))
            for grant in sorted(change.grants):
                yield Step(sa.insert(grants).values(person=person, role=grant.role.value, area=grant.area))
        case InviteUsed(person=person, sha256=sha256):
            spent = sa.update(people).where(people.c.name == person, people.c.invite_sha256 == sha256)
            yield Step(spent.values(invite_sha256=b"", invite_until_ms=0), must_find=True)


def _factor(
    change: TotpStepUsed | RecoveryCodesSet | RecoveryCodeUsed | Passkey | PasskeyUsed | PasskeysRemoved,
) -> Iterator[Step]:
    people, codes, passkeys = tables.PEOPLE, tables.RECOVERY_CODES, tables.PASSKEYS
    match change:
        case TotpStepUsed(person=person, step=step):
            spent = sa.update(people).where(people.c.name == person, people.c.totp_step < step)
            yield Step(spent.values(totp_step=step), must_find=True)
        case RecoveryCodesSet(person=person):
            yield Step(sa.delete(codes).where(codes.c.person == person))
            for sha256 in change.sha256s:
                yield Step(sa.insert(codes).values(person=person, sha256=sha256))
        case RecoveryCodeUsed(person=person, sha256=sha256):
            yield Step(sa.delete(codes).where(codes.c.person == person, codes.c.sha256 == sha256), must_find=True)
        case Passkey():
            yield Step(sa.insert(passkeys).values(**_values(change)))
        case PasskeyUsed(credential_id=credential_id, sign_count=sign_count):
            stored = passkeys.c.sign_count
            rises = (stored == 0) if sign_count == 0 else (stored < sign_count)
            used = sa.update(passkeys).where(passkeys.c.credential_id == credential_id, rises)
            yield Step(used.values(sign_count=sign_count, used_at_ms=change.used_at_ms), must_find=True)
        case PasskeysRemoved(person=person, credential_id=one):
            gone = sa.delete(passkeys).where(passkeys.c.person == person)
            yield Step(gone if one is None else gone.where(passkeys.c.credential_id == one))


def _session(change: Session | SessionSeen | SessionsEnded | DeviceKnown | DevicesForgotten) -> Iterator[Step]:
    sessions, devices = tables.SESSIONS, tables.DEVICES
    match change:
        case Session(person=person):
            yield Step(sa.delete(sessions).where(sessions.c.seen_at_ms < change.begun_at_ms - _SESSION_MS_MAX))
            yield Step(sa.insert(sessions).values(**_values(change)))
            yield Step(_all_but_latest(sessions, "id_sha256", person, SESSIONS_MAX))
        case SessionSeen(id_sha256=one):
            yield Step(sa.update(sessions).where(sessions.c.id_sha256 == one).values(seen_at_ms=change.seen_at_ms))
        case SessionsEnded(person=person):
            ended = sa.delete(sessions).where(sessions.c.person == person)
            if change.only is not None:
                ended = ended.where(sessions.c.id_sha256 == change.only)
            if change.but is not None:
                ended = ended.where(sessions.c.id_sha256 != change.but)
            yield Step(ended)
        case DeviceKnown(person=person, device_sha256=device):
            yield Step(sa.delete(devices).where(devices.c.person == person, devices.c.device_sha256 == device))
            yield Step(sa.insert(devices).values(**_values(change)))
            yield Step(_all_but_latest(devices, "device_sha256", person, DEVICES_MAX))
        case DevicesForgotten(person=person):
            yield Step(sa.delete(devices).where(devices.c.person == person))


def _token(change: ApiToken | TokenUsed | TokensRevoked) -> Iterator[Step]:
    tokens = tables.TOKENS
    match change:
        case ApiToken():
            grants = msgspec.json.encode(sorted(change.grants)).decode()
            yield Step(sa.insert(tokens).values(**{**_values(change), "grants": grants}))
        case TokenUsed(id=one):
            yield Step(sa.update(tokens).where(tokens.c.id == one).values(used_at_ms=change.used_at_ms))
        case TokensRevoked(id=one, person=person) if person:
            yield Step(sa.delete(tokens).where(tokens.c.person == person, *([tokens.c.id == one] if one else [])))
        case TokensRevoked(id=one):
            yield Step(sa.delete(tokens).where(tokens.c.id == one), must_find=True)


def _all_but_latest(table: sa.Table, key: str, person: str, kept: int) -> sa.Executable:
    latest = (
        sa.select(table.c[key]).where(table.c.person == person).order_by(table.c.seen_at_ms.desc()).limit(kept)
    ).scalar_subquery()
    return sa.delete(table).where(table.c.person == person, table.c[key].not_in(latest))


def _values(change: Any) -> dict[str, Any]:  # noqa: ANN401 - any of the plain changes
    return {field.name: getattr(change, field.name) for field in fields(change)}
