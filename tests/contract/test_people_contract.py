"""One suite for the people's store and the audit log in it: on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller.adapters.database import SqlDatabase, open_database
from controller.adapters.people import tables
from controller.adapters.people.store import PeopleStore
from controller.errors import ConflictError, DatabaseError
from controller.people.audit import Act, Actor, ChainCheck, Checkpoint, Deed, act_of, sign
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
    PersonState,
    RecoveryCodesSet,
    RecoveryCodeUsed,
    Session,
    SessionSeen,
    SessionsEnded,
    TokensRevoked,
    TokenUsed,
    TotpStepUsed,
)
from controller.people.rights import Grant, Role
from controller.records import CounterUsed, StandingDocument

LAN = Person(
    name="lan",
    title="Cô Lan",
    state=PersonState.ACTIVE,
    handle=b"h" * 32,
    created_at_ms=2**45,
    password_hash="$argon2id$",
    totp_sealed=b"\x00sealed",
    invite_sha256=b"i" * 32,
    invite_until_ms=9,
)
PASSKEY = Passkey(
    credential_id=b"\x00\x01id",
    person="lan",
    public_key=b"\xa5",
    sign_count=4,
    title="Điện thoại",
    created_at_ms=1,
    used_at_ms=1,
)
SESSION = Session(
    id_sha256=b"s" * 32,
    person="lan",
    begun_at_ms=1_000,
    seen_at_ms=1_000,
    proven_at_ms=None,
    is_partial=True,
    address="192.0.2.1",
    agent="Chromium",
)
TOKEN = ApiToken(
    id="0123456789",
    secret_sha256=b"t" * 32,
    title="bảng tin",
    person="lan",
    grants=frozenset({Grant(role=Role.VIEWER, area="xa"), Grant(role=Role.OPERATOR)}),
    acts_alone=True,
    created_at_ms=1,
    expires_at_ms=2,
)


def act(number: int = 1) -> Act:
    return act_of(Deed.LOGIN, by=Actor(who="lan", address="192.0.2.1"), at_ms=number, place="xa", detail=f"{number}")


@pytest_asyncio.fixture
async def store(database: SqlDatabase) -> AsyncIterator[PeopleStore]:
    made = PeopleStore(database)
    await made.commit([LAN])
    yield made


async def log_faults(store: PeopleStore, *checkpoints: Checkpoint) -> list[str]:
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    check = ChainCheck([sign(each, key) for each in checkpoints], key.public_key())
    for stored in await store.audit_page(0):
        check.take(stored)
    return check.end(*await store.audit_head())


async def test_a_person_comes_back_whole(store: PeopleStore) -> None:
    grants = frozenset({Grant(role=Role.OPERATOR, area="xa"), Grant(role=Role.AUDITOR)})
    await store.commit([GrantsSet(person="lan", grants=grants), PASSKEY])
    await store.commit([RecoveryCodesSet(person="lan", sha256s=(b"a" * 32, b"b" * 32))])
    view = await store.person("lan")
    assert view is not None
    assert (view.person, view.grants, view.passkeys, view.recovery_codes_left) == (LAN, grants, (PASSKEY,), 2)
    assert await store.people() == [view]
    assert (await store.person_row("lan"), await store.person_row("nobody"), await store.count()) == (LAN, None, 1)
    assert await store.passkey(PASSKEY.credential_id) == PASSKEY
    await store.commit([GrantsSet(person="lan", grants=frozenset()), PersonSet(name="lan", title="Lan")])
    changed = await store.person("lan")
    assert changed is not None
    assert (changed.grants, changed.person) == (frozenset(), replace(LAN, title="Lan"))


async def test_a_name_is_taken_once(store: PeopleStore) -> None:
    with pytest.raises(ConflictError):
        await store.commit([replace(LAN, handle=b"x" * 32), act()])
    assert await store.audit_head() == (0, bytes(32))


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (TotpStepUsed(person="lan", step=7), TotpStepUsed(person="lan", step=7)),
        (TotpStepUsed(person="lan", step=7), TotpStepUsed(person="lan", step=6)),
        (InviteUsed(person="lan", sha256=b"i" * 32), InviteUsed(person="lan", sha256=b"i" * 32)),
        (RecoveryCodeUsed(person="lan", sha256=b"a" * 32), RecoveryCodeUsed(person="lan", sha256=b"a" * 32)),
        (
            PasskeyUsed(credential_id=PASSKEY.credential_id, sign_count=5, used_at_ms=2),
            PasskeyUsed(credential_id=PASSKEY.credential_id, sign_count=5, used_at_ms=3),
        ),
        (
            PasskeyUsed(credential_id=PASSKEY.credential_id, sign_count=5, used_at_ms=2),
            PasskeyUsed(credential_id=PASSKEY.credential_id, sign_count=0, used_at_ms=3),
        ),
    ],
)
async def test_what_may_be_used_once_is_used_once(store: PeopleStore, first: PeopleChange, again: PeopleChange) -> None:
    await store.commit([PASSKEY, RecoveryCodesSet(person="lan", sha256s=(b"a" * 32,))])
    await store.commit([first])
    with pytest.raises(ConflictError, match="used before"):
        await store.commit([SESSION, again])
    assert await store.sessions("lan") == [], "nothing of the commit is kept"


async def test_of_many_at_once_one_is_right(store: PeopleStore) -> None:
    async def spend(number: int) -> bool:
        try:
            session = replace(SESSION, id_sha256=bytes([number]) * 32)
            await store.commit([TotpStepUsed(person="lan", step=7), session, act()])
        except ConflictError:
            return False
        return True

    assert sum(await asyncio.gather(*(spend(number) for number in range(8)))) == 1
    assert len(await store.sessions("lan")) == 1
    assert (await store.audit_head())[0] == 1


async def test_sessions_and_devices_are_bounded_and_end(store: PeopleStore) -> None:
    for number in range(SESSIONS_MAX + 5):
        at_ms = 1_000 + number
        session = replace(SESSION, id_sha256=bytes([number]) * 32, begun_at_ms=at_ms, seen_at_ms=at_ms)
        await store.commit([session])
    sessions = await store.sessions("lan")
    assert [each.seen_at_ms for each in sessions] == sorted((each.seen_at_ms for each in sessions), reverse=True)
    assert (len(sessions), sessions[0].seen_at_ms) == (SESSIONS_MAX, 1_000 + SESSIONS_MAX + 4)
    kept = sessions[3].id_sha256
    await store.commit([SessionSeen(id_sha256=kept, seen_at_ms=99_999), SessionsEnded(person="lan", but=kept)])
    found = await store.session(kept)
    assert found is not None
    assert (found[0].seen_at_ms, found[1].person.name) == (99_999, "lan")
    await store.commit([SessionsEnded(person="lan", only=kept)])
    assert await store.session(kept) is None
    for number in range(DEVICES_MAX + 3):
        await store.commit([DeviceKnown(person="lan", device_sha256=bytes([number]) * 32, seen_at_ms=number)])
    known = [await store.is_known_device("lan", bytes([number]) * 32) for number in range(DEVICES_MAX + 3)]
    assert known == [False] * 3 + [True] * DEVICES_MAX
    await store.commit([DevicesForgotten(person="lan")])
    assert not await store.is_known_device("lan", bytes([5]) * 32)


async def test_tokens_and_passkeys_go(store: PeopleStore) -> None:
    await store.commit([TOKEN, replace(TOKEN, id="ffffffffff", person=""), PASSKEY])
    await store.commit([TokenUsed(id=TOKEN.id, used_at_ms=8)])
    assert await store.token(TOKEN.id) == replace(TOKEN, used_at_ms=8)
    await store.commit([TokensRevoked(person="lan"), PasskeysRemoved(person="lan")])
    assert [each.id for each in await store.tokens()] == ["ffffffffff"]
    await store.commit([TokensRevoked(id="ffffffffff")])
    with pytest.raises(ConflictError):
        await store.commit([TokensRevoked(id="ffffffffff")])
    assert await store.passkey(PASSKEY.credential_id) is None


async def test_an_act_is_kept_with_its_consequence_or_not_at_all(database: SqlDatabase, store: PeopleStore) -> None:
    document = StandingDocument(topic="t", key_id="k", counter=1, payload=b"", expires_at_ms=1)
    await database.commit([document, act(1)])
    with pytest.raises(DatabaseError):
        await database.commit([act(2), CounterUsed(key_id="k", topic="t", counter=2**70)])
    await database.commit([act(3)])
    assert [stored.entry.act.at_ms for stored in await store.audit_page(0)] == [1, 3]
    assert await log_faults(store) == []


async def test_two_processes_append_one_after_the_other(url: str) -> None:
    opened = [await open_database(url) for _ in range(2)]
    stores = [PeopleStore(each) for each in opened]
    await asyncio.gather(*(stores[number % 2].commit([act(number)]) for number in range(40)))
    assert (await stores[0].audit_head())[0] == 40
    assert await log_faults(stores[1]) == []
    for each in opened:
        await each.close()


async def test_the_log_is_read_by_name_and_place_and_in_pages(store: PeopleStore) -> None:
    other = act_of(Deed.LOGOUT, by=Actor(who="nam"), at_ms=9)
    await store.commit([act(1), other, act(3)])
    assert [each.entry.number for each in await store.audit_latest(limit=2)] == [3, 2]
    assert [each.entry.number for each in await store.audit_latest(limit=2, before=3)] == [2, 1]
    assert [each.entry.number for each in await store.audit_latest(limit=9, who="nam")] == [2]
    assert [each.entry.number for each in await store.audit_latest(limit=9, places=["xa"])] == [3, 1]
    assert await store.audit_latest(limit=9, places=[]) == []


async def test_what_is_done_to_the_tables_by_hand_is_found(database: SqlDatabase, store: PeopleStore) -> None:
    await store.commit([act(number) for number in range(1, 8)])
    number, sha256 = await store.audit_head()
    good = Checkpoint(number=number, sha256=sha256, at_ms=1)
    assert await log_faults(store, good) == []
    await store.keep_checkpoint(good)
    await store.keep_checkpoint(good)
    assert (await store.audit_checkpoints(), await store.audit_signed_up_to()) == ([good], 7)
    audit, head = tables.AUDIT, tables.AUDIT_HEAD
    for damage, named in (
        (sa.update(audit).where(audit.c.number == 3).values(who="nobody"), "entry 3 was altered"),
        (sa.delete(audit).where(audit.c.number == 5), "entry 5 is missing"),
        (sa.delete(audit).where(audit.c.number > 5), "removed from the end"),
        (sa.update(head).values(number=4), "does not fit its last entry"),
    ):
        async with database.connection() as connection, connection.begin():
            await connection.execute(damage)
        assert any(named in fault for fault in await log_faults(store, good)), named
