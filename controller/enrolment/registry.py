"""All enrolments and revoked certificates in memory, found by what a question knows of them.

A plain collection: it keeps its indexes true and remembers what is not durable yet; it decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from controller.enrolment.lifecycle import LIVE, EnrolmentRecord, EnrolmentState, RevokedCertificate
from controller.errors import RequestCode, RequestError

Unkept = tuple[tuple[EnrolmentRecord, ...], tuple[RevokedCertificate, ...]]
REVOKED_KEPT_MS: Final = 24 * 3600 * 1000
"""A revoked certificate stays listed so long after its end, for clocks that differ."""


class Registry:
    """Every enrolment by id; of one report key, the latest record speaks."""

    def __init__(
        self,
        *,
        places: Iterable[str],
        records: Iterable[EnrolmentRecord] = (),
        revoked: Iterable[RevokedCertificate] = (),
    ) -> None:
        self._places = frozenset(places)
        self._records: dict[str, EnrolmentRecord] = {}
        self._by_claim: dict[str, str] = {}
        self._by_key: dict[str, str] = {}
        self._holders: dict[str, str] = {}
        self._held_by: dict[str, set[str]] = {}
        """Live enrolments of one report key: two only while a unit moves."""
        self._waiting: set[str] = set()
        self._open: set[str] = set()
        """Approvals without a certificate yet."""
        self._revoked: dict[str, RevokedCertificate] = {}
        self._unkept_records: dict[str, EnrolmentRecord] = {}
        self._unkept_revoked: dict[str, RevokedCertificate] = {}
        for record in sorted(records, key=lambda each: each.made_at_ms):
            self.put(record, is_kept=True)
        self.revoke(revoked)
        self._unkept_revoked.clear()

    @property
    def records(self) -> tuple[EnrolmentRecord, ...]:
        """Every enrolment, the latest change first."""
        return tuple(sorted(self._records.values(), key=lambda each: (-each.changed_at_ms, each.id)))

    @property
    def waiting_count(self) -> int:
        """Units that wait for approval."""
        return len(self._waiting)

    @property
    def open_claims(self) -> int:
        """Claims and approvals that no unit has used."""
        return sum(
            not each.report_key and each.state in {EnrolmentState.CLAIMED, EnrolmentState.APPROVED}
            for each in self._records.values()
        )

    def set_places(self, places: Iterable[str]) -> None:
        """The configuration was read again."""
        self._places = frozenset(places)

    def has_place(self, node: str) -> bool:
        """Whether a node of the configuration takes its key from enrolment."""
        return node in self._places

    def record(self, record_id: str) -> EnrolmentRecord:
        """One enrolment; raises RequestError."""
        record = self._records.get(record_id)
        if record is None:
            raise RequestError(RequestCode.NOT_FOUND, f"there is no enrolment {record_id[:64]!r}; see: enrol list")
        return record

    def of_claim(self, claim_sha256: str) -> EnrolmentRecord | None:
        """The enrolment that a claim's code began."""
        return self._records.get(self._by_claim.get(claim_sha256, ""))

    def of_key(self, report_key: str) -> EnrolmentRecord | None:
        """The latest enrolment of a unit."""
        return self._records.get(self._by_key.get(report_key, ""))

    def holder(self, node: str) -> EnrolmentRecord | None:
        """The unit that holds a place."""
        return self._records.get(self._holders.get(node, ""))

    def places_of(self, report_key: str) -> tuple[EnrolmentRecord, ...]:
        """The live enrolments of a unit."""
        return tuple(self._records[each] for each in self._held_by.get(report_key, ()))

    def report_keys(self) -> dict[str, str]:
        """The report key of each node that holds its place by enrolment."""
        return {node: self._records[held].report_key for node, held in self._holders.items()}

    def approval_for(self, fingerprint: str, now_ms: int) -> EnrolmentRecord | None:
        """An approval of this label that was made before its unit asked."""
        approved = (self._records[each] for each in self._open)
        found = [each for each in approved if each.fingerprint == fingerprint and not each.report_key]
        return next((each for each in found if not each.expires_at_ms or now_ms < each.expires_at_ms), None)

    def with_fingerprint(self, fingerprint: str) -> EnrolmentRecord | None:
        """The latest enrolment of a label."""
        return next((each for each in self.records if each.fingerprint == fingerprint), None)

    def is_revoked(self, serial: str) -> bool:
        """Whether a certificate must not be taken."""
        return serial in self._revoked

    @property
    def revoked(self) -> tuple[RevokedCertificate, ...]:
        """Every certificate that must not be taken."""
        return tuple(self._revoked.values())

    def put(self, record: EnrolmentRecord, *, is_kept: bool = False) -> None:
        """Take in a record that is new or has changed."""
        self._records[record.id] = record
        if record.claim_sha256:
            self._by_claim[record.claim_sha256] = record.id
        if record.report_key:
            latest = self.of_key(record.report_key)
            if latest is None or (record.made_at_ms, record.id) >= (latest.made_at_ms, latest.id):
                self._by_key[record.report_key] = record.id
        if record.state in LIVE:
            self._holders[record.node] = record.id
            self._held_by.setdefault(record.report_key, set()).add(record.id)
        elif self._holders.get(record.node) == record.id:
            del self._holders[record.node]
        if record.state not in LIVE:
            self._held_by.get(record.report_key, set()).discard(record.id)
        _keep_in(self._waiting, record.id, when=record.state is EnrolmentState.APPLIED)
        _keep_in(self._open, record.id, when=record.state is EnrolmentState.APPROVED)
        if not is_kept:
            self._unkept_records[record.id] = record

    def forget_waiting(self, report_key: str) -> None:
        """A unit that waited came with a claim: its application is moot."""
        record = self.of_key(report_key)
        if record is not None and record.state is EnrolmentState.APPLIED and not record.certificates:
            self._forget(record)

    def forget_waiting_before(self, seen_ms: int) -> None:
        """Drop applications of units that have not asked since."""
        stale = [self._records[each] for each in self._waiting if self._records[each].changed_at_ms < seen_ms]
        for record in stale:
            if not record.certificates:
                self._forget(record)

    def revoke(self, certificates: Iterable[RevokedCertificate]) -> None:
        """List certificates that must not be taken any more."""
        for each in certificates:
            self._revoked[each.serial] = each
            self._unkept_revoked[each.serial] = each

    def forget_expired(self, now_ms: int) -> None:
        """Revoked certificates that nobody would take anyway are listed no more."""
        gone = [each.serial for each in self._revoked.values() if each.not_after_ms + REVOKED_KEPT_MS < now_ms]
        for serial in gone:
            del self._revoked[serial]

    def unkept(self) -> Unkept:
        """What is not durable yet."""
        return tuple(self._unkept_records.values()), tuple(self._unkept_revoked.values())

    def kept(self, unkept: Unkept) -> None:
        """What `unkept` gave is durable now; what changed meanwhile is not."""
        for record in unkept[0]:
            if self._unkept_records.get(record.id) == record:
                del self._unkept_records[record.id]
        for each in unkept[1]:
            self._unkept_revoked.pop(each.serial, None)

    def _forget(self, record: EnrolmentRecord) -> None:
        del self._records[record.id]
        self._waiting.discard(record.id)
        if self._by_key.get(record.report_key) == record.id:
            del self._by_key[record.report_key]


def _keep_in(names: set[str], name: str, *, when: bool) -> None:
    if when:
        names.add(name)
    else:
        names.discard(name)
