"""The way in: name and password, passkey, second factor, invitation; and the way out.

What is decided about a login is the gate's; here are its forms and cookies. The same page proves a second factor at
login and again later (step-up); a person goes on to the page that they wanted.
"""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from controller.adapters.gate import Opened
from controller.errors import RequestError
from controller.web.access import SESSION_COOKIE, local_path, sent_to, set_cookie
from controller.web.parts import GATE, VISITOR, form_of, held
from controller.web.render import render
from controller.web.status_codes import STATUS_OF


def add_login(application: web.Application) -> None:
    """Add the routes."""
    router = application.router
    router.add_get("/login", _login_page)
    router.add_post("/login", _login)
    router.add_post("/login/passkey/ask", _ask_passkey)
    router.add_post("/login/passkey", _login_passkey)
    router.add_get("/invite", _invite_page)
    router.add_post("/invite", _invite)
    router.add_get("/prove", _prove_page)
    router.add_post("/prove", _prove)
    router.add_post("/prove/passkey/ask", _ask_proof)
    router.add_post("/prove/passkey", _prove_passkey)
    router.add_post("/logout", _logout)
    router.add_post("/logout/everywhere", _logout_everywhere)


async def _login_page(request: web.Request) -> web.Response:
    return render(request, "login.html", next=_next(request), name="")


async def _login(request: web.Request) -> web.Response:
    form, visit = await form_of(request), request[VISITOR].visit
    name, onward = form.get("name", ""), local_path(form.get("next", "/"))
    try:
        opened = await request.app[GATE].login(name, form.get("password", ""), visit)
    except RequestError as error:
        return _again(request, "login.html", error, next=onward, name=name[:40])
    if opened.session.is_partial:
        return _opened(opened, f"/prove?next={onward}")
    return _opened(opened, onward)


async def _ask_passkey(request: web.Request) -> web.Response:
    return _options(request.app[GATE].ask_passkey(request[VISITOR].visit))


async def _login_passkey(request: web.Request) -> web.Response:
    answer = (await request.read()).decode("utf-8", "replace")
    opened = await request.app[GATE].login_passkey(answer, request[VISITOR].visit)
    return _opened_by_script(opened, _next(request))


async def _invite_page(request: web.Request) -> web.Response:
    return render(request, "invite.html", name=request.query.get("name", "")[:40])


async def _invite(request: web.Request) -> web.Response:
    form, visit = await form_of(request), request[VISITOR].visit
    name = form.get("name", "")
    try:
        opened = await request.app[GATE].accept_invite(name, form.get("code", ""), form.get("password", ""), visit)
    except RequestError as error:
        return _again(request, "invite.html", error, name=name[:40])
    return _opened(opened, "/account?need=factor")


async def _prove_page(request: web.Request) -> web.Response:
    session, view = held(request)
    if not view.has_second_factor:
        return sent_to("/account?need=factor")
    return render(request, "prove.html", next=_next(request), view=view, is_login=session.is_partial)


async def _prove(request: web.Request) -> web.Response:
    session, view = held(request)
    form = await form_of(request)
    onward = local_path(form.get("next", "/"))
    try:
        opened = await request.app[GATE].prove_code(session, view, form.get("code", ""), request[VISITOR].visit)
    except RequestError as error:
        return _again(request, "prove.html", error, next=onward, view=view, is_login=session.is_partial)
    return _opened(opened, onward)


async def _ask_proof(request: web.Request) -> web.Response:
    _, view = held(request)
    return _options(request.app[GATE].ask_passkey(request[VISITOR].visit, view))


async def _prove_passkey(request: web.Request) -> web.Response:
    session, view = held(request)
    answer = (await request.read()).decode("utf-8", "replace")
    opened = await request.app[GATE].prove_passkey(session, view, answer, request[VISITOR].visit)
    return _opened_by_script(opened, _next(request))


async def _logout(request: web.Request) -> web.Response:
    return await _left(request, everywhere=False)


async def _logout_everywhere(request: web.Request) -> web.Response:
    return await _left(request, everywhere=True)


async def _left(request: web.Request, *, everywhere: bool) -> web.Response:
    session, _ = held(request)
    await request.app[GATE].logout(session, request[VISITOR].visit, everywhere=everywhere)
    answer = sent_to("/login")
    set_cookie(answer, SESSION_COOKIE, "")
    return answer


def _next(request: web.Request) -> str:
    return local_path(request.query.get("next", "/"))


def _again(request: web.Request, template: str, error: RequestError, **facts: Any) -> web.Response:  # noqa: ANN401 - what it shows
    return render(request, template, status=STATUS_OF[error.code], error=error.message, **facts)


def _opened(opened: Opened, onward: str) -> web.Response:
    answer = sent_to(onward)
    set_cookie(answer, SESSION_COOKIE, opened.secret)
    return answer


def _opened_by_script(opened: Opened, onward: str) -> web.Response:
    answer = web.Response(body=msgspec.json.encode({"next": onward}), content_type="application/json")
    set_cookie(answer, SESSION_COOKIE, opened.secret)
    return answer


def _options(text: str) -> web.Response:
    return web.Response(text=text, content_type="application/json")
