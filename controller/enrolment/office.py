"""What people decide about enrolments: claims, approvals, refusals, revocations, replacements.

Each is a request that is judged here and, when it is wrong, answered with what to do. Units are named as people
name them: by the enrolment's id, by the label's fingerprint, or by the cluster.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec

from controller.enrolment.desk import EnrolmentDesk
from controller.enrolment.lifecycle import DAY_MS, LIVE, EnrolmentRecord, EnrolmentState, Step
from controller.enrolment.registry import Registry
from controller.errors import RequestCode, RequestError
from protocol.enrolment import read_grouped

VALID_DAYS_DEFAULT: Final = 7
"""From the desk to the pole takes days, not months."""
VALID_DAYS_MAX: Final = 90
OPEN_CLAIMS_MAX: Final = 20_000
"""Claims and approvals waiting for their unit: as many as a configuration has nodes."""


class ClaimRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code for one cluster's place; `replace` lets its unit take the place from another."""

    node: str
    replace: bool = False
    days: int = VALID_DAYS_DEFAULT


class ApproveRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which unit (label or id) gets which place."""

    unit: str
    node: str
    replace: bool = False
    days: int = VALID_DAYS_DEFAULT


class EndRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which unit (cluster, label or id) is refused or revoked, and why."""

    unit: str
    reason: str = ""


def boot_file(record: EnrolmentRecord, *, code: str, url: str, ca_sha256: str) -> str:
    """What a technician copies to the card's boot partition."""
    until = datetime.fromtimestamp(record.expires_at_ms / 1000, UTC)
    return (
        "# LoaXa: chép tệp này vào phân vùng khởi động của thẻ nhớ, với tên loaxa.yaml\n"
        "# copy this file to the card's boot partition, as loaxa.yaml\n"
        "enrolment:\n"
        f"  url: {url}\n"
        f"  ca_sha256: {ca_sha256}\n"
        f"  node: {record.node}\n"
        f"  claim: {code}  # dùng một lần, đến {until:%d/%m/%Y} · once, until {until:%Y-%m-%d}\n"
    )


class EnrolmentOffice:
    """The operator's side; `desk` keeps what follows from an end."""

    def __init__(self, *, registry: Registry, desk: EnrolmentDesk) -> None:
        self._all = registry
        self._desk = desk

    def claim(self, asked: ClaimRequest, *, record_id: str, claim_sha256: str, by: str, now_ms: int) -> EnrolmentRecord:
        """Keep a claim whose code the caller has made; raises RequestError."""
        self._require_place(asked.node, may_replace=asked.replace)
        self._require_room(asked.days)
        record = EnrolmentRecord(
            id=record_id,
            state=EnrolmentState.CLAIMED,
            made_at_ms=now_ms,
            changed_at_ms=now_ms,
            node=asked.node,
            by=by,
            may_replace=asked.replace,
            claim_sha256=claim_sha256,
            expires_at_ms=now_ms + asked.days * DAY_MS,
        )
        self._all.put(record)
        return record

    def approve(self, asked: ApproveRequest, *, record_id: str, by: str, now_ms: int) -> EnrolmentRecord:
        """Give a unit its place, also one that has not asked yet, by its label; raises RequestError."""
        fingerprint = read_grouped(asked.unit)
        found = self._all.with_fingerprint(fingerprint) if fingerprint else self._all.record(asked.unit)
        holds = found is not None and found.state in LIVE and found.node == asked.node
        self._require_place(asked.node, may_replace=asked.replace or holds)
        self._require_room(asked.days)
        until_ms = now_ms + asked.days * DAY_MS
        if found is not None and found.state in {EnrolmentState.APPLIED, EnrolmentState.REFUSED}:
            approved = found.stepped(
                Step.APPROVE,
                now_ms,
                node=asked.node,
                by=by,
                reason="",
                may_replace=asked.replace,
                expires_at_ms=until_ms,
            )
        elif fingerprint is None:
            raise RequestError(RequestCode.ALREADY_OVER, f"{asked.unit} is {found.state.value if found else 'unknown'}")
        else:
            approved = EnrolmentRecord(
                id=record_id,
                state=EnrolmentState.APPROVED,
                made_at_ms=now_ms,
                changed_at_ms=now_ms,
                node=asked.node,
                by=by,
                may_replace=asked.replace,
                fingerprint=fingerprint,
                expires_at_ms=until_ms,
            )
        self._all.put(approved)
        return approved

    def refuse(self, asked: EndRequest, *, by: str, now_ms: int) -> EnrolmentRecord:
        """Let a unit wait no longer; raises RequestError."""
        record = self._named(asked.unit)
        refused = record.stepped(Step.REFUSE, now_ms, by=by, reason=asked.reason[:200])
        self._all.put(refused)
        return refused

    def revoke(self, asked: EndRequest, *, by: str, now_ms: int) -> EnrolmentRecord:
        """End a unit's certificates, or withdraw a claim; raises RequestError."""
        record = self._named(asked.unit)
        return self._desk.end(record, Step.REVOKE, by=by, reason=asked.reason[:200], now_ms=now_ms)

    def _named(self, unit: str) -> EnrolmentRecord:
        holder = self._all.holder(unit)
        if holder is not None:
            return holder
        fingerprint = read_grouped(unit)
        found = self._all.with_fingerprint(fingerprint) if fingerprint else None
        return found or self._all.record(unit)

    def _require_place(self, node: str, *, may_replace: bool) -> None:
        if not self._all.has_place(node):
            what = (
                f"{node[:40]!r} is no cluster that enrols: it must stand under nodes: in the configuration, "
                "without report_key"
            )
            raise RequestError(RequestCode.NOT_FOUND, what)
        holder = self._all.holder(node)
        if holder is not None and not may_replace:
            what = (
                f"{node} has a unit ({holder.fingerprint}, {holder.state.value}); to put another in its place, say so: "
                f"enrol replace {node}"
            )
            raise RequestError(RequestCode.ALREADY_OVER, what)

    def _require_room(self, days: int) -> None:
        if not 1 <= days <= VALID_DAYS_MAX:
            raise RequestError(RequestCode.BAD_REQUEST, f"days: {days}; write 1 to {VALID_DAYS_MAX}")
        if self._all.open_claims >= OPEN_CLAIMS_MAX:
            what = f"{OPEN_CLAIMS_MAX} claims and approvals are unused; revoke some: enrol list"
            raise RequestError(RequestCode.TOO_MANY, what)
