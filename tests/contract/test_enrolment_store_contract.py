"""Enrolments on SQLite and on a real PostgreSQL: what is kept comes back the same, all of it or nothing."""

from __future__ import annotations

import pytest

from controller.adapters.database import SqlDatabase
from controller.adapters.enrolment_store import EnrolmentStore
from controller.enrolment.lifecycle import EnrolmentRecord, EnrolmentState, IssuedCertificate, RevokedCertificate
from controller.errors import DatabaseError
from controller.people.audit import Actor, act_of

RECORD = EnrolmentRecord(
    id="u1",
    state=EnrolmentState.ISSUED,
    made_at_ms=1_795_000_000_000,
    changed_at_ms=1_795_000_000_001,
    node="N001",
    by="service/file",
    reason="thay hộp",
    fingerprint="K7QM-2XHT-9B4C-0RWD",
    report_key="ab" * 32,
    certificates=(IssuedCertificate(serial="0A" * 20, not_after_ms=2**50),),
    certificate_pem="-----BEGIN CERTIFICATE-----\n",
)
REVOKED = RevokedCertificate(serial="0B" * 20, node="N001", revoked_at_ms=5, not_after_ms=1_000)


async def test_what_is_kept_comes_back_and_the_latest_counts(database: SqlDatabase) -> None:
    store = EnrolmentStore(database)
    assert await store.load() == ((), ())
    waiting = EnrolmentRecord(id="u1", state=EnrolmentState.CLAIMED, made_at_ms=1, changed_at_ms=1)
    await store.commit(((waiting,), (REVOKED,)), [act_of("enrol_claim", by=Actor(who="op"), at_ms=1)])
    await store.commit(((RECORD,), (REVOKED,)))
    assert await EnrolmentStore(database).load() == ((RECORD,), (REVOKED,))


async def test_a_takeover_is_kept_whole_or_not_at_all(database: SqlDatabase) -> None:
    store = EnrolmentStore(database)
    broken = RevokedCertificate(serial="0C" * 20, node="N001", revoked_at_ms=2**70, not_after_ms=1)
    with pytest.raises(DatabaseError):
        await store.commit(((RECORD,), (REVOKED, broken)))
    assert await store.load() == ((), ())


async def test_revoked_certificates_that_ended_long_ago_are_forgotten(database: SqlDatabase) -> None:
    store = EnrolmentStore(database)
    await store.commit(((), (REVOKED,)))
    await store.forget_revoked(ended_before_ms=1_000)
    assert (await store.load())[1] == (REVOKED,)
    await store.forget_revoked(ended_before_ms=1_001)
    assert (await store.load())[1] == ()
