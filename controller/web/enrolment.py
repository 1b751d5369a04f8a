"""EST (RFC 7030) for nodes, on two doors, and the JSON that a node needs besides its certificate.

The enrolment door asks for no certificate: `cacerts`, `simpleenroll`, where broker and media are, the list of what
is revoked. The nodes' door asks for one and refuses revoked ones at each request: `simplereenroll`, documents. A unit
that waits gets 202 with Retry-After, as the RFC says; one that is denied gets a code and a sentence.

Rules kept: bodies are small and come in time; requests of one address, and requests at one time once they are whole,
are bounded: whoever says half of one and waits takes no unit's place.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from controller.adapters.certificate_authority import certificate_pkcs7
from controller.adapters.enrolment_request import claim_of, read_request
from controller.adapters.enrolment_service import Answer, Delivered, EnrolmentService
from controller.enrolment.claims import address_group
from controller.enrolment.lifecycle import DENIAL_WORDS, Denial, Denied, Waiting
from controller.errors import DatabaseError, RequestCode, RequestError
from protocol.enrolment import (
    CACERTS_PATH,
    DOCUMENTS_PATH,
    ENROLL_PATH,
    PROOF_HEADER,
    REENROLL_PATH,
    REQUEST_BYTES_MAX,
    SITE_PATH,
    EnrolmentDocuments,
    EnrolmentSite,
)

REVOKED_PATH: Final = "/enrolment/v1/revoked.crl"
AT_ONCE_MAX: Final = 64
"""Requests under way on the enrolment door; a fleet that comes at once waits a second, and is told so."""
REQUESTS_PER_MINUTE: Final = 120
"""Of one address: a commune's boxes behind one router, each asking every 20 s while it waits."""
ADDRESSES_MAX: Final = 4_096
BODY_S_MAX: Final = 10.0
"""A request fits into one packet; a 4G link that stalls takes seconds."""
BUSY_RETRY_S: Final = 5
_MINUTE_S: Final = 60.0
_SOON: Final = frozenset({Denial.TOO_MANY_GUESSES, Denial.TOO_MANY_WAIT, Denial.TOO_OFTEN})

Documents = Callable[[str], EnrolmentDocuments]
"""What stands for a node."""


@dataclass(slots=True)
class _Door:
    """How much is under way, and how often each address came in this minute."""

    requests_per_minute: int
    under_way: int = 0
    minute: int = 0
    came: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def lets_in(self, address: str, at_s: float) -> bool:
        minute = int(at_s / _MINUTE_S)
        if minute != self.minute:
            self.minute = minute
            self.came.clear()
        group = address_group(address)
        if group not in self.came and len(self.came) >= ADDRESSES_MAX:
            self.came.popitem(last=False)
        self.came[group] = self.came.get(group, 0) + 1
        return self.came[group] <= self.requests_per_minute


SERVICE: Final = web.AppKey("service", EnrolmentService)
SITE: Final = web.AppKey("site", EnrolmentSite)
DOCUMENTS: Final[web.AppKey[Documents]] = web.AppKey("documents", Callable)  # type: ignore[arg-type] # no class
_DOOR: Final = web.AppKey("door", _Door)


def enrolment_application(
    service: EnrolmentService, site: EnrolmentSite, *, requests_per_minute: int = REQUESTS_PER_MINUTE
) -> web.Application:
    """The enrolment door: for units that have no certificate yet."""
    application = web.Application(client_max_size=REQUEST_BYTES_MAX, middlewares=[_guarded, _answered])
    application[SERVICE] = service
    application[SITE] = site
    application[_DOOR] = _Door(requests_per_minute=requests_per_minute)
    application.router.add_get(CACERTS_PATH, _cacerts)
    application.router.add_post(ENROLL_PATH, _enroll)
    application.router.add_get(SITE_PATH, _site)
    application.router.add_get(REVOKED_PATH, _revoked)
    return application


def add_renewal(
    application: web.Application, service: EnrolmentService, site: EnrolmentSite, documents: Documents
) -> None:
    """Add to the nodes' door: revoked certificates are refused there, renewal and documents are given."""
    application[SERVICE] = service
    application[SITE] = site
    application[DOCUMENTS] = documents
    application.middlewares.append(_refuse_revoked)
    application.middlewares.append(_answered)
    application.router.add_get(CACERTS_PATH, _cacerts)
    application.router.add_post(REENROLL_PATH, _reenroll)
    application.router.add_get(SITE_PATH, _site)
    application.router.add_get(DOCUMENTS_PATH, _documents)


@web.middleware
async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    door = request.app[_DOOR]
    is_let_in = door.lets_in(request.remote or "", time.monotonic())
    if is_let_in:
        try:
            await asyncio.wait_for(request.read(), BODY_S_MAX)
        except TimeoutError:
            return _refusal(408, "too_slow", "yêu cầu đến quá chậm · the request came too slowly", BUSY_RETRY_S)
    if door.under_way >= AT_ONCE_MAX or not is_let_in:
        return _refusal(429, "too_many", "quá nhiều yêu cầu, hãy chờ · too many requests; wait", BUSY_RETRY_S)
    door.under_way += 1
    try:
        return await handler(request)
    finally:
        door.under_way -= 1


@web.middleware
async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RequestError as error:
        return _refusal(400, error.code.value, error.message)
    except DatabaseError:
        what = "cơ sở dữ liệu đang bận, hãy chờ · the controller cannot keep anything now; wait"
        return _refusal(503, RequestCode.NOT_STORED.value, what, BUSY_RETRY_S)


@web.middleware
async def _refuse_revoked(request: web.Request, handler: Handler) -> web.StreamResponse:
    _, serial = _shown_certificate(request)
    if request.app[SERVICE].is_revoked(serial):
        return _denied(Denied(reason=Denial.REVOKED, retry_after_s=BUSY_RETRY_S))
    return await handler(request)


async def _cacerts(request: web.Request) -> web.Response:
    return _pkcs7(request.app[SERVICE].authority.chain_pkcs7, "application/pkcs7-mime")


async def _site(request: web.Request) -> web.Response:
    return web.Response(body=msgspec.json.encode(request.app[SITE]), content_type="application/json")


async def _revoked(request: web.Request) -> web.Response:
    return web.Response(body=request.app[SERVICE].revoked_list(), content_type="application/x-pem-file")


async def _enroll(request: web.Request) -> web.Response:
    unit = read_request(
        await request.read(),
        proof=request.headers.get(PROOF_HEADER, ""),
        claim=claim_of(request.headers.get("Authorization", "")),
        address=request.remote or "",
    )
    return _told(await request.app[SERVICE].enroll(unit))


async def _reenroll(request: web.Request) -> web.Response:
    node, serial = _shown_certificate(request)
    unit = read_request(
        await request.read(), proof=request.headers.get(PROOF_HEADER, ""), claim="", address=request.remote or ""
    )
    return _told(await request.app[SERVICE].renew(unit, node=node, serial=serial))


async def _documents(request: web.Request) -> web.Response:
    node, _ = _shown_certificate(request)
    return web.Response(body=msgspec.json.encode(request.app[DOCUMENTS](node)), content_type="application/json")


def _shown_certificate(request: web.Request) -> tuple[str, str]:
    """The name and serial number of the certificate that the other side has shown and TLS has verified."""
    connection = None if request.transport is None else request.transport.get_extra_info("ssl_object")
    shown = connection.getpeercert() if isinstance(connection, (ssl.SSLObject, ssl.SSLSocket)) else None
    if not shown:
        raise RequestError(RequestCode.NOT_ALLOWED, "no certificate was shown")
    subject: Any = shown.get("subject", ())
    names = [str(value) for part in subject for name, value in part if name == "commonName"]
    return (names[0] if names else ""), str(shown.get("serialNumber", ""))


def _told(answer: Answer) -> web.Response:
    match answer:
        case Delivered(record=record):
            return _pkcs7(certificate_pkcs7(record.certificate_pem), "application/pkcs7-mime; smime-type=certs-only")
        case Waiting(fingerprint=fingerprint, retry_after_s=retry_after_s):
            text = f"chờ người quản trị duyệt hộp {fingerprint} · unit {fingerprint} waits for approval\n"
            return web.Response(status=202, text=text, headers={"Retry-After": str(retry_after_s)})
        case Denied():
            return _denied(answer)


def _denied(denied: Denied) -> web.Response:
    vietnamese, english = DENIAL_WORDS[denied.reason]
    status = 429 if denied.reason in _SOON else 403
    return _refusal(status, denied.reason.value, f"{vietnamese} · {english}", denied.retry_after_s)


def _refusal(status: int, code: str, message: str, retry_after_s: int | None = None) -> web.Response:
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    body = msgspec.json.encode({"error": {"code": code, "message": message}})
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


def _pkcs7(der: bytes, content_type: str) -> web.Response:
    headers = {"Content-Type": content_type, "Content-Transfer-Encoding": "base64"}
    return web.Response(body=base64.encodebytes(der), headers=headers)
