"""The API of enrolment: claims, approvals, refusals, revocations, and how every enrolment stands.

Bodies are `enrolment.office`'s requests; who may ask was settled by `access`. A claim's code is told here once, with
the file that a technician copies to the card; afterwards only its hash is known.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from controller.adapters.enrolment_service import EnrolmentService
from controller.enrolment.lifecycle import EnrolmentRecord
from controller.enrolment.office import ApproveRequest, ClaimRequest, EndRequest, boot_file
from controller.errors import RequestCode, RequestError
from controller.web.parts import VISITOR
from controller.web.rules import API

ENROLMENTS_SHOWN_MAX: Final = 20_000
"""As many as a configuration has nodes."""
T = TypeVar("T", bound=msgspec.Struct)
_SERVICE: Final = web.AppKey("enrolment", EnrolmentService)
_URL: Final = web.AppKey("enrolment_url", str)


def add_enrolment_api(application: web.Application, service: EnrolmentService, *, url: str) -> None:
    """Add the routes; `url` is where units come in."""
    application[_SERVICE] = service
    application[_URL] = url
    application.router.add_get(f"{API}/enrolments", _list)
    application.router.add_post(f"{API}/enrolments/claims", _claim)
    application.router.add_post(f"{API}/enrolments/approvals", _approve)
    application.router.add_post(f"{API}/enrolments/refusals", _refuse)
    application.router.add_post(f"{API}/enrolments/revocations", _revoke)


async def _list(request: web.Request) -> web.Response:
    records = request.app[_SERVICE].records[:ENROLMENTS_SHOWN_MAX]
    return _json({"enrolments": [_shown(record) for record in records]})


async def _claim(request: web.Request) -> web.Response:
    service = request.app[_SERVICE]
    record, code = await service.claim(await _body(request, ClaimRequest), by=request[VISITOR].actor)
    file = boot_file(record, code=code, url=request.app[_URL], ca_sha256=service.authority.ca_sha256)
    return _json({**_shown(record), "code": code, "boot_file": file}, status=201)


async def _approve(request: web.Request) -> web.Response:
    asked = await _body(request, ApproveRequest)
    return _json(_shown(await request.app[_SERVICE].approve(asked, by=request[VISITOR].actor)), status=201)


async def _refuse(request: web.Request) -> web.Response:
    asked = await _body(request, EndRequest)
    return _json(_shown(await request.app[_SERVICE].refuse(asked, by=request[VISITOR].actor)))


async def _revoke(request: web.Request) -> web.Response:
    asked = await _body(request, EndRequest)
    return _json(_shown(await request.app[_SERVICE].revoke(asked, by=request[VISITOR].actor)))


def _shown(record: EnrolmentRecord) -> dict[str, Any]:
    names = ("id", "state", "node", "fingerprint", "hardware", "address", "by", "reason", "may_replace")
    times = ("made_at_ms", "changed_at_ms", "expires_at_ms")
    ends_ms = max((each.not_after_ms for each in record.certificates), default=0)
    return {**{name: getattr(record, name) for name in (*names, *times)}, "certificate_ends_at_ms": ends_ms}


async def _body(request: web.Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.read() or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        fields = ", ".join(field.encode_name for field in msgspec.structs.fields(kind))
        raise RequestError(RequestCode.BAD_REQUEST, f"{error}; the body is JSON with {fields}") from error


def _json(value: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")
