"""The one place where page and API ask who is calling and whether they may: a middleware over the table of rules.

Rules kept: a route without a rule is refused; programs come with a bearer token and to the API only, people with a
session's cookie and to pages only, so that no cookie alone ever reaches the API; whatever changes something is taken
only from a page of ours (origin, and the form's token); each refusal is on record and says what to do. Cookies are
`__Host-`, HttpOnly, SameSite=Strict.
"""

from __future__ import annotations

import hmac
import re
import urllib.parse
from dataclasses import replace
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from controller.adapters.gate import Visit
from controller.adapters.people.office import TOKEN_PREFIX
from controller.adapters.people.second_factors import form_token, new_secret, secret_sha256
from controller.configuration.config import ConsoleListenerConfig
from controller.errors import DatabaseError, RequestCode, RequestError
from controller.people.audit import Deed
from controller.people.model import PersonState, TokenUsed, principal_of
from controller.people.rights import NOBODY, ONLOOKER, Principal, Question, Verdict, decide, within
from controller.web.listeners import is_loopback
from controller.web.parts import CONSOLE, GATE, RECORDER, SETTINGS, STORE, VISITOR, Visitor, form_of
from controller.web.rules import RULES, Door, Rule

SESSION_COOKIE: Final = "__Host-loaxa"
DEVICE_COOKIE: Final = "__Host-loaxa-device"
DEVICE_S: Final = 400 * 86_400
"""Browsers keep no cookie longer."""
FORM_FIELD: Final = "form_token"
FORM_HEADER: Final = "X-Form-Token"
TOKEN_SEEN_EVERY_MS: Final = 3_600_000
TOKEN_CHARACTERS_MAX: Final = 200
_PATH: Final = re.compile(r"/[A-Za-z0-9/._~=&?%*-]{0,400}\Z")
_TOKEN: Final = re.compile(rf"{TOKEN_PREFIX}([0-9a-f]{{10}})_([A-Za-z0-9_-]{{43}})\Z")


@web.middleware
async def access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request through to its handler, or raise RequestError, or send somebody to prove who they are."""
    rule = _rule_of(request)
    if rule is None:
        return await handler(request)
    device = "" if rule.door is Door.PROGRAM else request.cookies.get(DEVICE_COOKIE, "")[:100]
    is_new_device = rule.door is not Door.PROGRAM and not device and not request.path.startswith("/static/")
    device = device or (new_secret() if is_new_device else "")
    visitor = request[VISITOR] = await _visitor(request, rule, device)
    if rule.door is not Door.PROGRAM and _plain_method(request) != "GET":
        await _require_own_page(request, visitor, has_device=not is_new_device)
    answer = await _checked(request, rule, visitor) or await handler(request)
    if is_new_device:
        set_cookie(answer, DEVICE_COOKIE, device, max_age_s=DEVICE_S)
    return answer


def set_cookie(answer: web.StreamResponse, name: str, value: str, *, max_age_s: int | None = None) -> None:
    """A cookie that no script reads, no other site sends and no other name gets; "" takes it away."""
    answer.set_cookie(
        name,
        value,
        path="/",
        secure=True,
        httponly=True,
        samesite="Strict",
        max_age=max_age_s if value else 0,
    )


def sent_to(path: str) -> web.Response:
    """A browser is sent to another page of ours."""
    return web.Response(status=303, headers={"Location": path})


def local_path(text: str) -> str:
    """Where to go on after a login: a path of ours, or the first page."""
    is_ours = _PATH.match(text) and not text.startswith("//") and "\\" not in text
    return text if is_ours else "/"


def origin_of(listener: ConsoleListenerConfig) -> str:
    """The console's address as browsers see it."""
    return listener.origin or f"http://localhost:{listener.port}"


def host_of(listener: ConsoleListenerConfig) -> str:
    """The name that passkeys are bound to."""
    return urllib.parse.urlsplit(origin_of(listener)).hostname or "localhost"


def _rule_of(request: web.Request) -> Rule | None:
    """None where there is no such route: the router's own answer follows. A route without a rule is refused."""
    resource = request.match_info.route.resource
    if resource is None:
        return None
    rule = RULES.get((_plain_method(request), resource.canonical))
    if rule is None:
        raise RequestError(RequestCode.FORBIDDEN, f"nothing says who may {request.method} {resource.canonical}")
    return rule


def _plain_method(request: web.Request) -> str:
    """HEAD is GET without its body."""
    return "GET" if request.method == "HEAD" else request.method


async def _visitor(request: web.Request, rule: Rule, device: str) -> Visitor:
    visit = Visit(
        address=request.remote or "",
        agent=request.headers.get("User-Agent", ""),
        device_sha256=secret_sha256(device) if device else b"",
    )
    if rule.door is Door.PROGRAM:
        return Visitor(principal=await _program(request), visit=visit)
    visitor = Visitor(principal=NOBODY, visit=visit, form_token=form_token(device) if device else "")
    secret = request.cookies.get(SESSION_COOKIE, "")
    found = await request.app[GATE].holder(secret) if secret else None
    if found is not None:
        session, view = found
        principal = NOBODY if session.is_partial else principal_of(view, session)
        return replace(visitor, principal=principal, session=session, view=view)
    listener = request.app[SETTINGS].listener
    if rule.door is Door.ONLOOKER and is_loopback(listener.host) and not listener.origin:
        return replace(visitor, principal=ONLOOKER)
    return visitor


async def _program(request: web.Request) -> Principal:
    """Whom a bearer token speaks for; nobody where it is none."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    given = given.strip()[:TOKEN_CHARACTERS_MAX]
    if scheme.lower() != "bearer" or not given:
        return NOBODY
    settings = request.app[SETTINGS]
    if hmac.compare_digest(given.encode(), settings.token.encode()):
        return settings.file_token
    match = _TOKEN.match(given)
    token = await request.app[STORE].token(match[1]) if match else None
    now_ms = request.app[GATE].clock()
    if match is None or token is None or now_ms >= token.expires_at_ms:
        return NOBODY
    if not hmac.compare_digest(token.secret_sha256, secret_sha256(match[2])):
        return NOBODY
    grants = token.grants
    if token.person:
        owner = await request.app[STORE].person(token.person)
        if owner is None or owner.person.state is not PersonState.ACTIVE:
            return NOBODY
        grants = within(grants, owner.grants, request.app[CONSOLE].desk.site.tree.chain)
    if now_ms - token.used_at_ms >= TOKEN_SEEN_EVERY_MS:
        await _seen(request, token.id, now_ms)
    name = f"{token.person or 'service'}/{token.id}"
    return Principal(name=name, grants=grants, acts_alone=token.acts_alone)


async def _seen(request: web.Request, token: str, now_ms: int) -> None:
    try:
        await request.app[STORE].commit([TokenUsed(id=token, used_at_ms=now_ms)])
    except DatabaseError:  # a full disk keeps no program from ending an emergency
        return


async def _require_own_page(request: web.Request, visitor: Visitor, *, has_device: bool) -> None:
    """What changes something comes from a form or a script of ours."""
    listener = request.app[SETTINGS].listener
    expected = {origin_of(listener)} if listener.origin else {f"http://{request.host}", f"https://{request.host}"}
    origin = request.headers.get("Origin")
    is_ours = (origin is None or origin in expected) and request.headers.get("Sec-Fetch-Site", "same-origin") in {
        "same-origin",
        "none",
    }
    given = request.headers.get(FORM_HEADER) or (await form_of(request)).get(FORM_FIELD, "")
    if is_ours and has_device and hmac.compare_digest(given.encode(), visitor.form_token.encode()):
        return
    await request.app[RECORDER].refused(
        visitor.actor, Deed.REFUSED, at_ms=request.app[GATE].clock(), detail=f"{request.path}: not from a page of ours"
    )
    what = "trang đã cũ, hãy tải lại / this form is not one of this page, or is too old; load the page again"
    raise RequestError(RequestCode.FORBIDDEN, what)


async def _checked(request: web.Request, rule: Rule, visitor: Visitor) -> web.StreamResponse | None:
    """None where it may go on."""
    if rule.door is Door.OPEN:
        return None
    if rule.door is Door.HELD:
        return None if visitor.session is not None else _sent_to("/login", request)
    if visitor.session is not None and visitor.session.is_partial:
        return _sent_to("/prove", request)
    question = Question(action=rule.action)
    if visitor.principal.name:
        question = await rule.subject(request, rule.action)
    verdict = decide(
        visitor.principal,
        question,
        chain=request.app[CONSOLE].desk.site.tree.chain,
        now_ms=request.app[GATE].clock(),
        step_up_ms=request.app[SETTINGS].step_up_ms,
    )
    if verdict is Verdict.ALLOWED:
        return None
    return await _refused(request, rule, visitor, question, verdict)


async def _refused(
    request: web.Request, rule: Rule, visitor: Visitor, question: Question, verdict: Verdict
) -> web.StreamResponse:
    is_page = rule.door is not Door.PROGRAM
    if verdict is Verdict.STEP_UP and is_page:
        return _sent_to("/account?need=factor" if not visitor.principal.has_second_factor else "/prove", request)
    if verdict is Verdict.LOGIN and is_page:
        return _sent_to("/login", request)
    areas = ", ".join(question.areas)
    await request.app[RECORDER].refused(
        visitor.actor,
        Deed.REFUSED,
        at_ms=request.app[GATE].clock(),
        place=question.areas[0] if question.areas else "",
        detail=f"{request.method} {request.path[:200]}: {question.action.value} in {areas or 'any area'}",
    )
    if verdict is Verdict.LOGIN:
        what = "send the header Authorization: Bearer TOKEN, with a token of the controller (http.console.token_file)"
        raise RequestError(RequestCode.NOT_ALLOWED, what)
    if is_page:
        where = f" ({areas})" if areas else ""
        what = f"bạn không có quyền này{where} / your roles do not allow {question.action.value}{where}"
        raise RequestError(RequestCode.FORBIDDEN, f"{what}; ask an administrator")
    what = f"this token may not {question.action.value} in {areas or 'any area'}"
    raise RequestError(
        RequestCode.FORBIDDEN, f"{what}; give it the role, or --alone where a second factor is asked for"
    )


def _sent_to(where: str, request: web.Request) -> web.StreamResponse:
    """To where it can be proven who one is, and back to the page; what a form carried comes back as its query."""
    path = request.path_qs if _plain_method(request) == "GET" else _form_page(request)
    if request.headers.get(FORM_HEADER):
        raise RequestError(RequestCode.STEP_UP_NEEDED, "hãy đăng nhập lại / prove who you are again, then repeat")
    sign = "&" if "?" in where else "?"
    query = urllib.parse.urlencode({"next": local_path(path)})
    return sent_to(f"{where}{sign}{query}")


def _form_page(request: web.Request) -> str:
    """The page on which a form stands."""
    return "/" + request.path.split("/")[1]
