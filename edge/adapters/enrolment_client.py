"""Asks a controller for a certificate: EST (RFC 7030) over HTTPS, with a trust anchor known by its fingerprint alone.

The first answer, the authority's certificates, is asked of anybody and believed only as far as it holds the one that
the technician's file pins; everything else is asked over a connection that this one vouches for, so a wrong server
learns that somebody came by, and nothing more. All waits and answers are bounded; every failure is an EnrolmentError.

The times in the server's certificate are judged by `enrolment.may_be_used`, not by TLS, for a unit without a clock
of its own would refuse every server.
"""

from __future__ import annotations

import base64
import email.utils
import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from cryptography import x509

from edge.adapters import enrolment_keys as keys
from edge.adapters.enrolment_keys import Certified, KeyRequest
from edge.adapters.tls import node_context, server_checked_context
from edge.enrolment.lifecycle import may_be_used
from edge.errors import EnrolmentError
from protocol.adapters.system_clock import read_discipline, read_now
from protocol.enrolment import (
    ANSWER_BYTES_MAX,
    CACERTS_PATH,
    DOCUMENTS_PATH,
    ENROLL_PATH,
    PROOF_HEADER,
    REENROLL_PATH,
    SITE_PATH,
    EnrolmentDocuments,
    EnrolmentSite,
)

_Told = TypeVar("_Told", EnrolmentSite, EnrolmentDocuments)
SILENCE_S_MAX: Final = 15.0
"""How long a server may say nothing: a village's 4G link stalls for ten seconds and comes back."""
_REFUSALS: Final = frozenset({http.client.FORBIDDEN, http.client.TOO_MANY_REQUESTS, http.client.BAD_REQUEST})
_REASON_CHARACTERS_MAX: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The authority's certificates, of which the pinned one has vouched for the server that gave them."""

    chain: tuple[x509.Certificate, ...]

    @property
    def roots_pem(self) -> bytes:
        """What is trusted from now on; two roots ahead of a rotation."""
        return keys.pem_of(keys.roots_of(self.chain))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A person has to approve; or no, with the reason's code."""

    retry_after_s: float | None
    message: str
    code: str = ""


class EnrolmentClient:
    """Questions to one controller. `floor_ms` is a time that has certainly passed."""

    def __init__(self, *, floor_ms: int) -> None:
        self._floor_ms = floor_ms
        self._hint_ms: int | None = None

    def bootstrap(self, url: str, ca_sha256: str) -> tuple[Trust, EnrolmentSite]:
        """Find the pinned authority and ask over it for the rest; raises EnrolmentError."""
        stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        stranger.minimum_version = ssl.TLSVersion.TLSv1_3
        stranger.check_hostname = False
        stranger.verify_mode = ssl.CERT_NONE
        shown = keys.read_certificates(self._ask(url, stranger, "GET", CACERTS_PATH, is_trusted=False).body)
        pinned = keys.pinned_of(shown, ca_sha256)
        context = _context(keys.pem_of([pinned]))
        site = self._read(self._ask(url, context, "GET", SITE_PATH), EnrolmentSite)
        chain = keys.read_certificates(self._ask(url, context, "GET", CACERTS_PATH).body)
        return Trust(chain=tuple(chain)), site

    def enroll(
        self, url: str, trust: Trust, request: KeyRequest, *, tls_key_pem: bytes, node: str, claim: str
    ) -> Certified | Wait:
        """Ask for a certificate, with a claim or without; raises EnrolmentError."""
        headers = {PROOF_HEADER: request.proof, "Content-Type": "application/pkcs10"}
        if claim:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{node}:{claim}".encode()).decode()
        answer = self._ask(url, _context(trust.roots_pem), "POST", ENROLL_PATH, body=request.body, headers=headers)
        return self._certified(answer, trust, tls_key_pem)

    def renew(
        self, nodes_url: str, own: ssl.SSLContext, request: KeyRequest, *, tls_key_pem: bytes
    ) -> tuple[Certified, Trust, EnrolmentSite] | Wait:
        """Ask with the present certificate for the next, and for what has changed meanwhile; raises EnrolmentError."""
        shown = self._ask(nodes_url, own, "GET", CACERTS_PATH)
        if shown.status in _REFUSALS:  # a revoked certificate gets nothing at all
            return _refusal(shown)
        trust = Trust(chain=tuple(keys.read_certificates(shown.body)))
        site = self._read(self._ask(nodes_url, own, "GET", SITE_PATH), EnrolmentSite)
        headers = {PROOF_HEADER: request.proof, "Content-Type": "application/pkcs10"}
        answer = self._ask(nodes_url, own, "POST", REENROLL_PATH, body=request.body, headers=headers)
        made = self._certified(answer, trust, tls_key_pem)
        return made if isinstance(made, Wait) else (made, trust, site)

    def documents(self, nodes_url: str, own: ssl.SSLContext) -> EnrolmentDocuments:
        """Keyset and assignment; raises EnrolmentError."""
        return self._read(self._ask(nodes_url, own, "GET", DOCUMENTS_PATH), EnrolmentDocuments)

    def _certified(self, answer: _Answer, trust: Trust, tls_key_pem: bytes) -> Certified | Wait:
        if answer.status == http.client.OK:
            return keys.certified(keys.read_certificates(answer.body), chain=trust.chain, tls_key_pem=tls_key_pem)
        if answer.status == http.client.ACCEPTED:
            return Wait(retry_after_s=answer.retry_after_s, message=_plain(answer.body))
        if answer.status in _REFUSALS:
            return _refusal(answer)
        raise EnrolmentError(f"{answer.at} answered with status {answer.status}: {_plain(answer.body)}")

    def _read(self, answer: _Answer, kind: type[_Told]) -> _Told:
        if answer.status != http.client.OK:
            raise EnrolmentError(f"{answer.at} answered with status {answer.status}: {_plain(answer.body)}")
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise EnrolmentError(f"{answer.at} does not answer as a LoaXa controller does: {error}") from error

    def _ask(
        self,
        url: str,
        context: ssl.SSLContext,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        is_trusted: bool = True,
    ) -> _Answer:
        parts = urlsplit(url)
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=SILENCE_S_MAX, context=context
        )
        at = f"{parts.hostname}:{parts.port or 443}"
        try:
            connection.connect()
            if is_trusted and body is not None:
                self._require_time(connection.sock, at)
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            data = answer.read(ANSWER_BYTES_MAX + 1)
            if is_trusted:
                self._hint_ms = _date_ms(answer.headers.get("Date"))
                if body is None:
                    self._require_time(connection.sock, at)
        except ssl.SSLCertVerificationError as error:
            raise EnrolmentError(
                f"máy chủ {at} không đáng tin · {at} shows a certificate that is not to be trusted: "
                f"{error.verify_message}"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise EnrolmentError(f"không liên lạc được {at} · {at} cannot be reached: {error}") from error
        finally:
            connection.close()
        if len(data) > ANSWER_BYTES_MAX:
            raise EnrolmentError(f"{at} answers with more than {ANSWER_BYTES_MAX} bytes; is it a LoaXa controller?")
        retry = answer.headers.get("Retry-After", "")
        return _Answer(
            status=answer.status, body=data, at=at, retry_after_s=float(retry) if retry.isdecimal() else None
        )

    def _require_time(self, sock: object, at: str) -> None:
        """Nothing secret was sent yet. The date that a server gave vouches only for its own certificate's times."""
        shown = sock.getpeercert(binary_form=True) if isinstance(sock, ssl.SSLSocket) else None
        if shown is None:
            return  # the server has closed already; what it said was read over a verified connection
        clock_ms = read_now().shared_ms
        is_kept = read_discipline().is_synchronised
        validity = keys.validity_of(x509.load_der_x509_certificate(shown))
        if not may_be_used(
            validity, clock_ms=clock_ms, floor_ms=self._floor_ms, is_clock_kept=is_kept, hint_ms=self._hint_ms
        ):
            raise EnrolmentError(
                f"chứng chỉ của máy chủ {at} đã hết hạn hoặc đồng hồ của hộp sai · the certificate of {at} is out "
                "of its time, or the clock is wrong"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    body: bytes
    at: str
    retry_after_s: float | None


def own_context(ca: str, certificate: str) -> ssl.SSLContext:
    """TLS with a node's own certificate; the server's times are judged by us. Raises EnrolmentError."""
    try:
        return node_context(ca=ca, certificate=certificate)
    except (OSError, ValueError) as error:
        raise EnrolmentError(f"the certificate {certificate} cannot be used: {error}") from error


def _context(roots_pem: bytes) -> ssl.SSLContext:
    context = server_checked_context()
    try:
        context.load_verify_locations(cadata=roots_pem.decode())
    except (ssl.SSLError, ValueError) as error:
        raise EnrolmentError(f"the server's authority cannot be used: {error}") from error
    return context


def _date_ms(text: str | None) -> int | None:
    if not text:
        return None
    try:
        return int(email.utils.parsedate_to_datetime(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _refusal(answer: _Answer) -> Wait:
    code, message = _error(answer.body)
    return Wait(retry_after_s=answer.retry_after_s, message=message, code=code or "refused")


def _error(body: bytes) -> tuple[str, str]:
    try:
        error = json.loads(body)["error"]
        return str(error["code"])[:64], _plain(str(error["message"]).encode())
    except (ValueError, KeyError, TypeError):
        return "", _plain(body)


def _plain(body: bytes) -> str:
    text = body.decode("utf-8", "replace")[:_REASON_CHARACTERS_MAX].strip()
    return "".join(character if character.isprintable() else " " for character in text)
