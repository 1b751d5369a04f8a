"""Enrolment in the running controller: reads requests, asks the desk, issues, keeps, and only then answers.

Decisions are `enrolment.desk`'s and `enrolment.office`'s. Everything up to the database is done in one turn of the
loop, so two requests never see half of one another; what waits for the database is written together. Whoever was
revoked is refused by our own listeners at once, and the broker is told through the `RevocationSink`, again and again
until it has taken the list.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from controller.adapters.certificate_authority import CertificateAuthority, utc_now
from controller.adapters.enrolment_request import UnitRequest
from controller.adapters.enrolment_store import EnrolmentStore
from controller.enrolment.claims import CODE_BYTES
from controller.enrolment.desk import EnrolmentDesk
from controller.enrolment.lifecycle import (
    Admitted,
    Again,
    Decision,
    Denied,
    EnrolmentRecord,
    RevokedCertificate,
    Waiting,
)
from controller.enrolment.office import ApproveRequest, ClaimRequest, EndRequest, EnrolmentOffice
from controller.enrolment.registry import REVOKED_KEPT_MS, Registry
from controller.errors import ControllerError
from controller.people.audit import Act, Actor, act_of
from protocol.adapters.system_clock import read_now
from protocol.enrolment import grouped
from protocol.silence import box_digest

log = logging.getLogger("controller.enrolment")

LIST_EVERY_S: Final = 12 * 3600.0
"""The list of revoked certificates is signed anew this often: sixty times in its life."""
LIST_FRESH: Final = timedelta(minutes=10)
"""Anybody may ask for it, and a long one takes 25 ms to sign."""
RETRY_S: Final = 20.0
"""A broker that could not be told is told again this soon: well within a minute."""
_ID_BYTES: Final = 6


class RevocationSink(Protocol):
    """Whoever keeps revoked nodes out of the broker."""

    async def revoke(self, revoked: bytes, nodes: Sequence[str]) -> None:
        """Put the list (PEM) in force and end the sessions of these nodes; raises ControllerError to be asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """A certificate, in PEM; `is_new` is False when the answer before was lost."""

    record: EnrolmentRecord
    is_new: bool


Answer = Delivered | Waiting | Denied
OnKeys = Callable[[Mapping[str, str]], None]


class EnrolmentService:
    """One controller's enrolments. `on_keys` hears which node now reports with which key ("" for none)."""

    def __init__(
        self,
        *,
        authority: CertificateAuthority,
        registry: Registry,
        store: EnrolmentStore,
        sink: RevocationSink,
        on_keys: OnKeys,
    ) -> None:
        self.authority: Final = authority
        self._registry = registry
        self._desk = EnrolmentDesk(registry=registry)
        self._office = EnrolmentOffice(registry=registry, desk=self._desk)
        self._store, self._sink, self._on_keys = store, sink, on_keys
        self._keeping = asyncio.Lock()
        self._to_tell = asyncio.Event()
        self._ended: set[str] = set()
        self._acts: list[Act] = []
        """What people did, not on record yet."""
        self._listed: tuple[tuple[RevokedCertificate, ...], datetime, bytes] | None = None

    @property
    def records(self) -> tuple[EnrolmentRecord, ...]:
        """Every enrolment, the latest change first."""
        return self._registry.records

    def is_revoked(self, serial: str) -> bool:
        """Whether a certificate must not be taken."""
        return self._registry.is_revoked(serial)

    def box_of(self, node: str) -> str:
        """The digest of the box that holds a place; empty where none does, or it has no serial number."""
        holder = self._registry.holder(node)
        return "" if holder is None else box_digest(holder.hardware)

    def set_places(self, places: frozenset[str]) -> None:
        """The configuration was read again."""
        self._registry.set_places(places)

    def revoked_list(self) -> bytes:
        """The list of revoked certificates, in PEM: signed anew when it has changed, or after LIST_FRESH."""
        revoked, now = self._registry.revoked, utc_now()
        if self._listed is not None:
            listed, at, data = self._listed
            if listed == revoked and timedelta(0) <= now - at < LIST_FRESH:
                return data
        data = self.authority.revoked_list(revoked, now=now)
        self._listed = revoked, now, data
        return data

    async def enroll(self, unit: UnitRequest) -> Answer:
        """Judge a unit that shows no certificate; raises DatabaseError."""
        now_ms = read_now().shared_ms
        return await self._answer(unit, self._desk.apply(unit.application, record_id=_fresh_id(), now_ms=now_ms))

    async def renew(self, unit: UnitRequest, *, node: str, serial: str) -> Answer:
        """Judge a unit that shows a certificate; raises DatabaseError."""
        now_ms = read_now().shared_ms
        return await self._answer(unit, self._desk.renew(unit.application, node=node, serial=serial, now_ms=now_ms))

    async def claim(self, asked: ClaimRequest, *, by: Actor) -> tuple[EnrolmentRecord, str]:
        """A new claim and its code, which is told once; raises RequestError, DatabaseError."""
        code = grouped(secrets.token_bytes(CODE_BYTES))
        record = self._office.claim(
            asked,
            record_id=_fresh_id(),
            claim_sha256=hashlib.sha256(code.encode()).hexdigest(),
            by=by.who,
            now_ms=read_now().shared_ms,
        )
        await self._keep(_act("enrol_claim", record, by))
        return record, code

    async def approve(self, asked: ApproveRequest, *, by: Actor) -> EnrolmentRecord:
        """Give a unit its place; raises RequestError, DatabaseError."""
        record = self._office.approve(asked, record_id=_fresh_id(), by=by.who, now_ms=read_now().shared_ms)
        await self._keep(_act("enrol_approve", record, by))
        return record

    async def refuse(self, asked: EndRequest, *, by: Actor) -> EnrolmentRecord:
        """Let a unit wait no longer; raises RequestError, DatabaseError."""
        record = self._office.refuse(asked, by=by.who, now_ms=read_now().shared_ms)
        await self._keep(_act("enrol_refuse", record, by))
        return record

    async def revoke(self, asked: EndRequest, *, by: Actor) -> EnrolmentRecord:
        """End a unit's certificates; raises RequestError, DatabaseError."""
        record = self._office.revoke(asked, by=by.who, now_ms=read_now().shared_ms)
        if record.certificates:
            self._end_sessions(record.node)
            self._on_keys({record.node: self._registry.report_keys().get(record.node, "")})
        await self._keep(_act("enrol_revoke", record, by))
        return record

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the broker's list in force until left."""
        task = asyncio.create_task(self._tell_broker(), name="revoked certificates")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _answer(self, unit: UnitRequest, decision: Decision) -> Answer:
        asked = unit.application
        match decision:
            case Admitted(record=record, step=step):
                now = utc_now()
                made = self.authority.issue(unit.tls_key, node=record.node, report_key=unit.report_key, now=now)
                before = self._registry.holder(record.node)
                issued = self._desk.issued(
                    record.id,
                    made.certificate,
                    pem=made.pem,
                    asked=asked,
                    step=step,
                    now_ms=read_now().shared_ms,
                )
                act: Act | None = None
                if before is None or before.report_key != issued.report_key:
                    self._moved(issued, before)
                    act = _act("enrol_issue", issued, Actor(who="unit", address=asked.address))
                await self._keep(act)
                log.info(
                    "certificate %s for %s (%s, unit %s, box %s, from %s)",
                    made.certificate.serial,
                    issued.node,
                    issued.state.value,
                    issued.fingerprint,
                    asked.hardware or "unknown",
                    asked.address,
                )
                return Delivered(record=issued, is_new=True)
            case Again(record=record):
                await self._keep()  # an answer that was lost may be one whose commit had failed
                return Delivered(record=record, is_new=False)
            case Waiting():
                return decision
            case Denied(reason=reason):
                log.warning(
                    "unit %s at %s (for %r) denied: %s", asked.fingerprint, asked.address, asked.node, reason.value
                )
                return decision

    def _moved(self, issued: EnrolmentRecord, before: EnrolmentRecord | None) -> None:
        """A place has another unit now; the reports of the one before stay as they are."""
        keys = self._registry.report_keys()
        self._on_keys({issued.node: issued.report_key})
        left = [each.node for each in self._registry.records if each.report_key == issued.report_key]
        self._on_keys({node: keys.get(node, "") for node in left if node != issued.node})
        if before is not None:
            log.warning("%s: unit %s takes the place of %s", issued.node, issued.fingerprint, before.fingerprint)
            self._end_sessions(issued.node)

    def _end_sessions(self, node: str) -> None:
        self._ended.add(node)
        self._to_tell.set()

    async def _keep(self, act: Act | None = None) -> None:
        """Return when nothing that happened so far is undurable; requests that wait together share a commit."""
        if act is not None:
            self._acts.append(act)
            log.info("%s %s by %s: %s", act.what, act.place or "-", act.who, act.detail)
        async with self._keeping:
            unkept, acts = self._registry.unkept(), tuple(self._acts)
            if any(unkept) or acts:
                await self._store.commit(unkept, acts)
                self._registry.kept(unkept)
                del self._acts[: len(acts)]

    async def _tell_broker(self) -> None:
        while True:
            now_ms = read_now().shared_ms
            self._registry.forget_expired(now_ms)
            self._to_tell.clear()
            nodes, self._ended = sorted(self._ended), set()
            wait_s = LIST_EVERY_S
            try:
                await self._store.forget_revoked(ended_before_ms=now_ms - REVOKED_KEPT_MS)
                await self._sink.revoke(self.revoked_list(), nodes)
            except ControllerError as error:
                self._ended.update(nodes)
                wait_s = RETRY_S
                log.error("the broker was not told of revoked certificates, again in %.0f s: %s", wait_s, error)  # noqa: TRY400 - a sentence
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._to_tell.wait(), wait_s)


def _act(what: str, record: EnrolmentRecord, by: Actor) -> Act:
    said = " ".join(each for each in (record.id, record.fingerprint, record.reason) if each)
    return act_of(what, by=by, at_ms=record.changed_at_ms, place=record.node, detail=said)


def _fresh_id() -> str:
    return f"u{secrets.token_hex(_ID_BYTES)}"
