"""The errors of the agreement itself.

`ProtocolError` is the root. What a peer sent that cannot be obeyed is a `Refusal`: it carries one
`RefusalReason`, which a node counts and reports. A mistake of our own (a message too large to send,
an identity that is not one) is a `LocalProtocolError`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class RefusalReason(StrEnum):
    """Why a message from outside changes nothing; the names of the node's counters."""

    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown_key"
    REVOKED_KEY = "revoked_key"
    BAD_SIGNATURE = "bad_signature"
    WRONG_AUDIENCE = "wrong_audience"
    WRONG_SCOPE = "wrong_scope"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    REPLAYED = "replayed"
    UNKNOWN_TOPIC = "unknown_topic"
    UNEXPECTED_TYPE = "unexpected_type"
    UNKNOWN_STREAM = "unknown_stream"
    TOO_OFTEN = "too_often"


class ProtocolError(Exception):
    """Root of this package's errors."""


class LocalProtocolError(ProtocolError):
    """We were about to do what the agreement forbids; a bug or a bad setting on our side."""


class Refusal(ProtocolError):  # noqa: N818 - the field's word; a refusal is an answer, not a failure of ours
    """Bytes from outside that must change nothing."""

    def __init__(self, reason: RefusalReason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason: Final = reason
        self.detail: Final = detail
