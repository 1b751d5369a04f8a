"""The life of one enrolment, as a table: from the claim or the application to the certificate's end.

One record is one unit at one place. A claim is an enrolment whose unit is not known yet, an application one whose
place is not known yet; both are approved before a certificate is issued, the claim by its code. Who may take which
step, and what belongs together in one, is decided in `desk`.

Rules kept: what has ended (revoked, replaced) never comes back: a unit that returns needs a new enrolment; a record
names each certificate of its unit that is still valid, so that all of them can be revoked at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct

from controller.errors import RequestCode, RequestError

DAY_MS: Final = 24 * 3600 * 1000
CERTIFICATES_MAX: Final = 16
"""Valid certificates of one unit: renewals whose answers were lost; more is a unit that has gone wild."""


class EnrolmentState(StrEnum):
    """Where an enrolment stands."""

    CLAIMED = "claimed"
    APPLIED = "applied"
    APPROVED = "approved"
    REFUSED = "refused"
    ISSUED = "issued"
    RENEWED = "renewed"
    REVOKED = "revoked"
    REPLACED = "replaced"


class Step(StrEnum):
    """What can happen to an enrolment."""

    BIND = "bind"
    """A unit came with the claim's code."""
    APPROVE = "approve"
    REFUSE = "refuse"
    ISSUE = "issue"
    """A certificate without one to show: the first, one whose answer was lost, one after the last had expired."""
    RENEW = "renew"
    LAPSE = "lapse"
    """It came back so late after its certificate had expired that a person has to look."""
    REVOKE = "revoke"
    REPLACE = "replace"


_S = EnrolmentState
TRANSITIONS: Final[dict[tuple[EnrolmentState, Step], EnrolmentState]] = {
    (_S.CLAIMED, Step.BIND): _S.APPROVED,
    (_S.CLAIMED, Step.REVOKE): _S.REVOKED,
    (_S.APPLIED, Step.APPROVE): _S.APPROVED,
    (_S.APPLIED, Step.REFUSE): _S.REFUSED,
    (_S.APPLIED, Step.REVOKE): _S.REVOKED,
    (_S.REFUSED, Step.APPROVE): _S.APPROVED,
    (_S.APPROVED, Step.BIND): _S.APPROVED,
    (_S.APPROVED, Step.REFUSE): _S.REFUSED,
    (_S.APPROVED, Step.ISSUE): _S.ISSUED,
    (_S.APPROVED, Step.REVOKE): _S.REVOKED,
    (_S.ISSUED, Step.ISSUE): _S.ISSUED,
    (_S.ISSUED, Step.RENEW): _S.RENEWED,
    (_S.ISSUED, Step.LAPSE): _S.APPLIED,
    (_S.ISSUED, Step.REVOKE): _S.REVOKED,
    (_S.ISSUED, Step.REPLACE): _S.REPLACED,
    (_S.RENEWED, Step.ISSUE): _S.ISSUED,
    (_S.RENEWED, Step.RENEW): _S.RENEWED,
    (_S.RENEWED, Step.LAPSE): _S.APPLIED,
    (_S.RENEWED, Step.REVOKE): _S.REVOKED,
    (_S.RENEWED, Step.REPLACE): _S.REPLACED,
}
LIVE: Final = frozenset({_S.ISSUED, _S.RENEWED})
"""A unit that holds its place with a certificate."""
ENDED: Final = frozenset({_S.REVOKED, _S.REPLACED})


class IssuedCertificate(Struct, frozen=True, kw_only=True):
    """A certificate that was issued: its serial number in hexadecimal, and its end."""

    serial: str
    not_after_ms: int


class EnrolmentRecord(Struct, frozen=True, kw_only=True):
    """One enrolment as it is kept. Empty texts: not known (yet); `expires_at_ms` is of a claim or an approval."""

    id: str
    state: EnrolmentState
    made_at_ms: int
    changed_at_ms: int
    node: str = ""
    by: str = ""
    reason: str = ""
    may_replace: bool = False
    expires_at_ms: int = 0
    claim_sha256: str = ""
    fingerprint: str = ""
    report_key: str = ""
    hardware: str = ""
    address: str = ""
    tls_key_sha256: str = ""
    certificate_pem: str = ""
    certificates: tuple[IssuedCertificate, ...] = ()

    def stepped(self, step: Step, now_ms: int, **changes: object) -> EnrolmentRecord:
        """The record after a step; raises RequestError for one that its state does not allow."""
        state = TRANSITIONS.get((self.state, step))
        if state is None:
            what = f"{self.id} is {self.state.value}: it cannot {step.value}"
            raise RequestError(RequestCode.ALREADY_OVER, what)
        return msgspec.structs.replace(self, state=state, changed_at_ms=now_ms, **changes)

    def valid_certificates(self, now_ms: int) -> tuple[IssuedCertificate, ...]:
        """Those that have not expired."""
        return tuple(each for each in self.certificates if each.not_after_ms > now_ms)


class RevokedCertificate(Struct, frozen=True, kw_only=True):
    """A certificate that must not be taken any more, until it would have expired anyway."""

    serial: str
    node: str
    revoked_at_ms: int
    not_after_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What a unit asks for, its two proofs of possession verified by whoever made this."""

    node: str
    report_key: str
    fingerprint: str
    tls_key_sha256: str
    hardware: str
    address: str
    claim: str = ""


class Denial(StrEnum):
    """Why a unit gets no certificate; stable names, which a unit acts on."""

    WRONG_CLAIM = "wrong_claim"
    CLAIM_USED = "claim_used"
    CLAIM_EXPIRED = "claim_expired"
    TOO_MANY_GUESSES = "too_many_guesses"
    TOO_MANY_WAIT = "too_many_wait"
    WRONG_NODE = "wrong_node"
    PLACE_TAKEN = "place_taken"
    OTHER_BOX = "other_box"
    REFUSED = "refused"
    REVOKED = "revoked"
    REPLACED = "replaced"
    WRONG_KEY = "wrong_key"
    TOO_OFTEN = "too_often"


DENIAL_WORDS: Final[dict[Denial, tuple[str, str]]] = {
    Denial.WRONG_CLAIM: ("mã đăng ký không đúng", "the claim code is wrong"),
    Denial.CLAIM_USED: ("mã đăng ký đã được hộp khác dùng", "the claim code was used by another unit"),
    Denial.CLAIM_EXPIRED: ("mã đăng ký đã hết hạn, hãy xin mã mới", "the claim code has expired; ask for a new one"),
    Denial.TOO_MANY_GUESSES: ("quá nhiều mã sai, hãy chờ", "too many wrong codes; wait"),
    Denial.TOO_MANY_WAIT: ("quá nhiều hộp đang chờ duyệt, hãy chờ", "too many units wait for approval; wait"),
    Denial.WRONG_NODE: ("hộp này không được đăng ký cho cụm loa đó", "this unit is not meant for that cluster"),
    Denial.PLACE_TAKEN: (
        "cụm loa này đang có hộp khác; nếu thay hộp, hãy xin mã thay thế",
        "another unit holds this cluster's place; to replace it, ask for a code made by `enrol replace`",
    ),
    Denial.OTHER_BOX: ("thẻ nhớ này thuộc về hộp khác", "this SD card belongs to another box"),
    Denial.REFUSED: ("người quản trị đã từ chối hộp này", "the operator refused this unit"),
    Denial.REVOKED: ("chứng chỉ của hộp này đã bị thu hồi", "this unit's certificate was revoked"),
    Denial.REPLACED: ("hộp này đã được thay bằng hộp khác", "this unit was replaced by another"),
    Denial.WRONG_KEY: ("khoá không khớp với hộp đã đăng ký", "the key is not that of the enrolled unit"),
    Denial.TOO_OFTEN: ("xin chứng chỉ quá nhiều lần, hãy chờ", "too many certificates were asked for; wait"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A certificate may be issued to the unit of this record."""

    record: EnrolmentRecord
    step: Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """It has its certificate already: the answer was lost."""

    record: EnrolmentRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A person has to approve; ask again after a while."""

    fingerprint: str
    retry_after_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """No certificate; a unit may ask again after `retry_after_s`."""

    reason: Denial
    retry_after_s: int


Decision = Admitted | Again | Waiting | Denied
