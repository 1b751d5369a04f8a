"""What is said on the signer's socket: a request for one signature, and one answer.

Frames with a length before them (4 bytes, network order). A request is the key's id behind its length (1 byte), then
the bytes to be signed; an answer is one byte for its kind, then the signature or a sentence for people. The bytes to
be signed are the whole `Sig_structure` of COSE (RFC 9052, 4.4): key, topic and document stand in it, so that the
signer sees what it signs and is told nothing beside it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from controller.errors import SigningError
from protocol.envelope import SIGNATURE_BYTES
from protocol.messages import DOCUMENT_BYTES_MAX

HEAD: Final = struct.Struct("!I")
KEY_ID_BYTES_MAX: Final = 64
REQUEST_BYTES_MAX: Final = 1 + KEY_ID_BYTES_MAX + DOCUMENT_BYTES_MAX
ANSWER_BYTES_MAX: Final = 1 + 1_024
_SENTENCE_BYTES_MAX: Final = 1_000


class Verdict(IntEnum):
    """Kinds of answers."""

    SIGNED = 0
    REFUSED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningRequest:
    """One signature is asked for."""

    key_id: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningAnswer:
    """The signature, or why there is none."""

    signature: bytes = b""
    reason: str = ""


def request_frame(request: SigningRequest) -> bytes:
    """The bytes of a request; raises SigningError when it is too large to be answered."""
    key_id = request.key_id.encode("ascii")
    body = bytes([len(key_id)]) + key_id + request.data
    if len(key_id) > KEY_ID_BYTES_MAX or len(body) > REQUEST_BYTES_MAX:
        raise SigningError(f"{len(request.data)} bytes to sign; the signer takes {DOCUMENT_BYTES_MAX} at most")
    return HEAD.pack(len(body)) + body


def parse_request(body: bytes) -> SigningRequest:
    """A request without its length; raises SigningError for what is none."""
    if not body or len(body) > REQUEST_BYTES_MAX or not 0 < body[0] <= KEY_ID_BYTES_MAX or len(body) <= 1 + body[0]:
        raise SigningError("this is no request for a signature")
    try:
        key_id = body[1 : 1 + body[0]].decode("ascii")
    except UnicodeDecodeError as error:
        raise SigningError("the key's id is not ASCII") from error
    return SigningRequest(key_id=key_id, data=body[1 + body[0] :])


def answer_frame(answer: SigningAnswer) -> bytes:
    """The bytes of an answer."""
    if answer.signature:
        body = bytes([Verdict.SIGNED]) + answer.signature
    else:
        body = bytes([Verdict.REFUSED]) + answer.reason.encode()[:_SENTENCE_BYTES_MAX]
    return HEAD.pack(len(body)) + body


def parse_answer(body: bytes) -> SigningAnswer:
    """An answer without its length; raises SigningError for what is none."""
    match body[:1]:
        case b"\x00" if len(body) == 1 + SIGNATURE_BYTES:
            return SigningAnswer(signature=body[1:])
        case b"\x01" if len(body) <= ANSWER_BYTES_MAX:
            return SigningAnswer(reason=body[1:].decode(errors="replace") or "no reason given")
        case _:
            raise SigningError("the signer gave an answer that is none; is it of the same version?")
