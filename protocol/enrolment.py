"""What a unit that joins and a controller that admits it must agree on.

The verbs are those of EST (RFC 7030); this names what EST leaves open: where a unit's report key stands in its
request, how that key binds itself to the request, how a fingerprint and a claim code are written, and the JSON
that a node fetches besides its certificate. No key is made, no certificate read here.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Final

from msgspec import Meta, Struct

EST_PATH: Final = "/.well-known/est"
CACERTS_PATH: Final = f"{EST_PATH}/cacerts"
ENROLL_PATH: Final = f"{EST_PATH}/simpleenroll"
REENROLL_PATH: Final = f"{EST_PATH}/simplereenroll"
SITE_PATH: Final = "/enrolment/v1/site"
"""Where broker and media are; public."""
DOCUMENTS_PATH: Final = "/enrolment/v1/documents"
"""Keyset and assignment, for whoever shows a node's certificate."""
PROOF_HEADER: Final = "LoaXa-Report-Proof"
"""The report key's signature over the request, in base64."""

REPORT_KEY_OID: Final = "2.25.215870860447130136325427905613728242164"
"""The extension that holds the unit's public report key, 32 bytes: in its request, and in its certificate."""
PROOF_CONTEXT: Final = b"loaxa enrolment 1\0"
"""Before the request's bytes in what the report key signs, so that no report can ever be taken for a proof."""

TIME_PORT: Final = 8885
"""Where a broker takes in the nodes' connections for the time, unless a node was told another port."""

REQUEST_BYTES_MAX: Final = 4 * 1024
"""A P-256 request in base64 is some 700 bytes."""
ANSWER_BYTES_MAX: Final = 64 * 1024
"""Certificates of two authorities, or a keyset and an assignment in base64."""
HARDWARE_CHARACTERS_MAX: Final = 64

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O or U, which people take for others."""
GROUP_CHARACTERS: Final = 4
CODE_CHARACTERS: Final = 16
"""80 bits, as four groups of four."""
_LOOKALIKES: Final = str.maketrans("ILO", "110")
_CODE: Final = re.compile(rf"[{ALPHABET}]{{{CODE_CHARACTERS}}}\Z")
_BITS: Final = 5


class EnrolmentSite(Struct, frozen=True, kw_only=True):
    """Where a node finds what it works with; the node's own enrolment listener is the one that it asked."""

    controller: Annotated[str, Meta(max_length=23)]
    broker_host: Annotated[str, Meta(min_length=1, max_length=253)]
    broker_port: Annotated[int, Meta(ge=1, le=65_535)]
    nodes_url: Annotated[str, Meta(min_length=1, max_length=1024)]
    """Media, renewal and documents: HTTPS with the node's certificate."""
    broker_time_port: Annotated[int, Meta(ge=1, le=65_535)] = TIME_PORT
    """Controllers of before it was told listen there."""


class EnrolmentDocuments(Struct, frozen=True, kw_only=True):
    """Signed documents as they stand on their topics; empty where there is none yet. They prove themselves."""

    keyset: bytes = b""
    assignment: bytes = b""


def grouped(data: bytes) -> str:
    """The first 80 bits as people read them out: `K7QM-2XHT-9B4C-0RWD`."""
    number = int.from_bytes(data[: CODE_CHARACTERS * _BITS // 8])
    text = "".join(ALPHABET[number >> shift & 31] for shift in range((CODE_CHARACTERS - 1) * _BITS, -1, -_BITS))
    return "-".join(text[at : at + GROUP_CHARACTERS] for at in range(0, CODE_CHARACTERS, GROUP_CHARACTERS))


def read_grouped(text: str) -> str | None:
    """A code or fingerprint as it was typed, written as `grouped` does; None for what can be neither."""
    plain = text.strip().upper().replace("-", "").replace(" ", "").translate(_LOOKALIKES)
    if not _CODE.match(plain):
        return None
    return "-".join(plain[at : at + GROUP_CHARACTERS] for at in range(0, CODE_CHARACTERS, GROUP_CHARACTERS))


def unit_fingerprint(report_key: bytes) -> str:
    """What the label on a unit's box says of its public report key."""
    return grouped(hashlib.sha256(report_key).digest())


def proof_bytes(request: bytes) -> bytes:
    """What the report key signs: that it belongs to this request (PKCS#10, DER)."""
    return PROOF_CONTEXT + request
