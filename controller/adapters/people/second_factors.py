"""Secrets of people: TOTP (RFC 6238), recovery codes, invitations, sessions and tokens, from the system's randomness.

Rules kept: a TOTP secret is stored sealed to its person (ChaCha20-Poly1305), so that a copy of the database alone
gives no codes; everything else is stored as the SHA-256 of at least 80 random bits. The key that seals lies in a file
of its own beside the database; who loses it resets people's second factors.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import secrets
from typing import Final

import pyotp
import segno
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from controller.errors import RequestCode, RequestError

ISSUER: Final = "LoaXa"
STEP_S: Final = 30
WINDOW_STEPS: Final = 1
"""A telephone's clock may be so many steps off, before and behind (RFC 6238, 5.2)."""
DIGITS: Final = 6
_NONCE_BYTES: Final = 12
_CODE_BYTES: Final = 10
"""80 bits: 16 characters that can be written down."""


class Sealer:
    """Seals secrets to a purpose and a person."""

    def __init__(self, key: bytes) -> None:
        self._cipher = ChaCha20Poly1305(key)

    def seal(self, secret: str, *, purpose: str, person: str) -> bytes:
        """Bytes that only this key opens, for this purpose and person."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), f"{purpose} {person}".encode())

    def open(self, sealed: bytes, *, purpose: str, person: str) -> str:
        """The secret; raises RequestError where this key did not seal it so."""
        try:
            nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            return self._cipher.decrypt(nonce, rest, f"{purpose} {person}".encode()).decode()
        except (InvalidTag, ValueError) as error:
            what = "this second factor cannot be read (another people.key_file?); ask an administrator for a reset"
            raise RequestError(RequestCode.CONFLICT, what) from error


def new_totp_secret() -> str:
    """160 random bits in base32."""
    return pyotp.random_base32()


def totp_uri(secret: str, person: str) -> str:
    """What the QR code says to the telephone's program."""
    return pyotp.TOTP(secret).provisioning_uri(name=person, issuer_name=ISSUER)


def qr_svg(text: str) -> str:
    """A QR code as an SVG element to stand in a page: no style, no script, as large as the page lets it be."""
    out = io.BytesIO()
    segno.make(text, error="m").save(out, kind="svg", xmldecl=False, svgns=True, omitsize=True, border=4, light="#fff")
    return out.getvalue().decode()


def matching_step(secret: str, code: str, now_ms: int) -> int | None:
    """The time step that a code belongs to, within the window; None where it is of none."""
    given = "".join(code.split())
    if len(given) != DIGITS or not given.isascii() or not given.isdecimal():
        return None
    totp = pyotp.TOTP(secret)
    step_now = now_ms // 1000 // STEP_S
    found = None
    for step in range(step_now - WINDOW_STEPS, step_now + WINDOW_STEPS + 1):
        if hmac.compare_digest(totp.at(step * STEP_S), given):
            found = step
    return found


def new_code() -> str:
    """A code to be written down: four groups of four."""
    text = base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode().lower()
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def code_sha256(code: str) -> bytes:
    """What is stored of a code; small slips of writing (spaces, capitals, missing dashes) change nothing."""
    plain = "".join(each for each in code.lower()[:100] if each.isascii() and each.isalnum())
    return hashlib.sha256(f"loaxa code {plain}".encode()).digest()


def new_secret() -> str:
    """256 random bits for a cookie or a token."""
    return secrets.token_urlsafe(32)


def secret_sha256(secret: str) -> bytes:
    """What is stored of a session's or a token's secret."""
    return hashlib.sha256(secret.encode()).digest()


def form_token(secret: str) -> str:
    """What each form carries: only a page of ours can know it, for it is made from the browser's own cookie."""
    return hmac.new(secret.encode(), b"loaxa form", hashlib.sha256).hexdigest()
