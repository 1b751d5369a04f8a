"""Who is admitted to which cluster's place: every decision on enrolments, without keys, clock or database.

`apply` and `renew` judge a unit whose proofs of possession were verified; `issued` puts a certificate on record and,
for a replacement, ends the unit before it in the same step. What changed is in `unkept` until `kept` says that it
is durable; whoever answers a unit waits for that, so a certificate that somebody has is always one we know of.

Rules kept: a claim's code serves one unit, which may come again with it if the answer was lost; a place has one
unit; nobody takes a place over unless the claim or the approval says so; units that wait for approval are bounded
and cost no durable write, for anybody may send them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from controller.enrolment.claims import GuessLimits, claim_hash
from controller.enrolment.lifecycle import (
    CERTIFICATES_MAX,
    DAY_MS,
    ENDED,
    LIVE,
    Admitted,
    Again,
    Application,
    Decision,
    Denial,
    Denied,
    EnrolmentRecord,
    EnrolmentState,
    IssuedCertificate,
    RevokedCertificate,
    Step,
    Waiting,
)
from controller.enrolment.registry import Registry

RETRY_S: Final = 20
"""How soon a unit that waits for approval asks again: the technician stands beside it."""
DENIED_RETRY_S: Final = 300
"""How soon one that was denied does: something has to be put right first."""
LATE_MS: Final = 90 * DAY_MS
"""How long after its certificate's end a unit still gets the next one by its report key alone."""
WAITING_MAX: Final = 500
WAITING_KEPT_MS: Final = DAY_MS
"""A unit that has not asked for so long waits no more."""


class EnrolmentDesk:
    """All enrolments of one controller. `places` are the nodes of the configuration that take their key from here."""

    def __init__(self, *, registry: Registry, limits: GuessLimits | None = None) -> None:
        self._all = registry
        self._limits = limits or GuessLimits()

    def apply(self, asked: Application, *, record_id: str, now_ms: int) -> Decision:
        """Judge a unit that shows no certificate; `record_id` names its application if it is a new one."""
        if asked.claim:
            return self._claimed(asked, now_ms)
        approved = self._all.approval_for(asked.fingerprint, now_ms)
        if approved is not None and not approved.report_key:
            return self._bind(approved, asked, now_ms)
        known = self._all.of_key(asked.report_key)
        if known is not None:
            return self._known(known, asked, now_ms)
        return self._wait(asked, record_id, now_ms)

    def renew(self, asked: Application, *, node: str, serial: str, now_ms: int) -> Decision:
        """Judge a unit that shows the certificate `serial` of `node`."""
        holder = self._all.holder(node)
        if self._all.is_revoked(serial):
            return _denied(Denial.REVOKED)
        if holder is None or serial not in {each.serial for each in holder.certificates}:
            return _denied(Denial.WRONG_KEY)
        if asked.node not in {"", node}:
            return _denied(Denial.WRONG_NODE)
        if asked.report_key != holder.report_key:
            return _denied(Denial.WRONG_KEY)
        return self._issue_to(holder, asked, Step.RENEW, now_ms)

    def issued(
        self, record_id: str, certificate: IssuedCertificate, *, pem: str, asked: Application, step: Step, now_ms: int
    ) -> EnrolmentRecord:
        """Put a certificate on record, and end whoever held the place, or whatever place this unit held, before.

        Raises RequestError when the enrolment was ended while the certificate was being made.
        """
        record = self._all.record(record_id)
        before = self._all.holder(record.node)
        issued = record.stepped(
            step,
            now_ms,
            certificates=(*record.valid_certificates(now_ms), certificate),
            certificate_pem=pem,
            tls_key_sha256=asked.tls_key_sha256,
            address=asked.address,
            expires_at_ms=0,
        )
        if before is not None and before.id != issued.id:
            self.end(before, Step.REPLACE, by=record.by, reason=f"replaced by {issued.fingerprint}", now_ms=now_ms)
        for other in self._all.places_of(issued.report_key):
            if other.id != issued.id:
                self.end(other, Step.REPLACE, by=record.by, reason=f"moved to {issued.node}", now_ms=now_ms)
        self._all.put(issued)
        return issued

    def end(self, record: EnrolmentRecord, step: Step, *, by: str, reason: str, now_ms: int) -> EnrolmentRecord:
        """Revoke or replace a unit, and with it every certificate of it that is still valid."""
        ended = record.stepped(step, now_ms, by=by, reason=reason)
        self._all.put(ended)
        self._all.revoke(
            RevokedCertificate(
                serial=each.serial, node=record.node, revoked_at_ms=now_ms, not_after_ms=each.not_after_ms
            )
            for each in record.valid_certificates(now_ms)
        )
        return ended

    def _claimed(self, asked: Application, now_ms: int) -> Decision:
        hashed = claim_hash(asked.claim)
        record = self._all.of_claim(hashed) if hashed else None
        if record is not None and record.report_key == asked.report_key:
            return self._known(record, asked, now_ms)  # it comes again: the first answer was lost
        wait_ms = self._limits.wait_ms(asked.address, now_ms)
        if wait_ms:
            return Denied(reason=Denial.TOO_MANY_GUESSES, retry_after_s=-(-wait_ms // 1000))
        if record is None:
            self._limits.wrong(asked.address, now_ms)
            return _denied(Denial.WRONG_CLAIM)
        if record.state is not EnrolmentState.CLAIMED:
            return _denied(Denial.REVOKED if record.state in ENDED and not record.report_key else Denial.CLAIM_USED)
        if now_ms >= record.expires_at_ms:
            return _denied(Denial.CLAIM_EXPIRED)
        return self._bind(record, asked, now_ms)

    def _bind(self, record: EnrolmentRecord, asked: Application, now_ms: int) -> Decision:
        """A unit for a claim or an approval that was made ahead of it."""
        if asked.node not in {"", record.node} or not self._all.has_place(record.node):
            return _denied(Denial.WRONG_NODE)
        holder = self._all.holder(record.node)
        if holder is not None and not record.may_replace and holder.report_key != asked.report_key:
            return _denied(Denial.PLACE_TAKEN)
        self._all.forget_waiting(asked.report_key)
        bound = record.stepped(
            Step.BIND,
            now_ms,
            report_key=asked.report_key,
            fingerprint=asked.fingerprint,
            hardware=asked.hardware,
            address=asked.address,
            expires_at_ms=0,
        )
        self._all.put(bound)
        return Admitted(record=bound, step=Step.ISSUE)

    def _known(self, record: EnrolmentRecord, asked: Application, now_ms: int) -> Decision:
        """A unit that was here before, by its report key."""
        match record.state:
            case EnrolmentState.REFUSED:
                return _denied(Denial.REFUSED)
            case EnrolmentState.REVOKED:
                return _denied(Denial.REVOKED)
            case EnrolmentState.REPLACED:
                return _denied(Denial.REPLACED)
            case EnrolmentState.APPLIED:
                seen = msgspec.structs.replace(record, changed_at_ms=now_ms, address=asked.address)
                self._all.put(seen, is_kept=True)  # when it last asked is not worth a write
                return Waiting(fingerprint=record.fingerprint, retry_after_s=RETRY_S)
            case _:
                pass
        if asked.node not in {"", record.node} or not self._all.has_place(record.node):
            return _denied(Denial.WRONG_NODE)
        if 0 < record.expires_at_ms <= now_ms:
            return _denied(Denial.CLAIM_EXPIRED)
        ends_ms = max((each.not_after_ms for each in record.certificates), default=now_ms)
        if record.state in LIVE and now_ms > ends_ms + LATE_MS:
            self._all.put(record.stepped(Step.LAPSE, now_ms, address=asked.address))
            return Waiting(fingerprint=record.fingerprint, retry_after_s=RETRY_S)
        return self._issue_to(record, asked, Step.ISSUE, now_ms)

    def _issue_to(self, record: EnrolmentRecord, asked: Application, step: Step, now_ms: int) -> Decision:
        if record.hardware != asked.hardware:
            return _denied(Denial.OTHER_BOX)
        valid = record.valid_certificates(now_ms)
        is_newest_valid = bool(valid) and valid[-1] == record.certificates[-1]
        if is_newest_valid and record.tls_key_sha256 == asked.tls_key_sha256:
            return Again(record=record)
        if len(valid) >= CERTIFICATES_MAX:
            return _denied(Denial.TOO_OFTEN)
        return Admitted(record=record, step=step)

    def _wait(self, asked: Application, record_id: str, now_ms: int) -> Decision:
        self._all.forget_waiting_before(now_ms - WAITING_KEPT_MS)
        if self._all.waiting_count >= WAITING_MAX:
            return _denied(Denial.TOO_MANY_WAIT)
        self._all.put(
            EnrolmentRecord(
                id=record_id,
                state=EnrolmentState.APPLIED,
                made_at_ms=now_ms,
                changed_at_ms=now_ms,
                node=asked.node,
                fingerprint=asked.fingerprint,
                report_key=asked.report_key,
                hardware=asked.hardware,
                address=asked.address,
            ),
            is_kept=True,
        )
        return Waiting(fingerprint=asked.fingerprint, retry_after_s=RETRY_S)


def _denied(reason: Denial) -> Denied:
    return Denied(reason=reason, retry_after_s=DENIED_RETRY_S)
