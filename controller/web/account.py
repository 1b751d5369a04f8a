"""One's own account: password, second factors, recovery codes, sessions.

Everything is a form that works without scripts, passkeys aside. Recovery codes and a new TOTP secret are shown once.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from controller.adapters.people.passkeys import credential_id_of
from controller.adapters.people.second_factors import qr_svg, totp_uri
from controller.errors import RequestCode, RequestError
from controller.web.access import sent_to
from controller.web.parts import ACCOUNT, GATE, STORE, VISITOR, form_of, held
from controller.web.render import render
from controller.web.status_codes import STATUS_OF

DONE = {
    "password": ("Đã đổi mật khẩu; các phiên khác đã kết thúc.", "Password changed; other sessions have ended."),
    "sessions": ("Các phiên khác đã kết thúc.", "Other sessions have ended."),
    "totp": ("Đã bỏ ứng dụng mã.", "The code app was removed."),
    "passkey": ("Đã thay đổi khoá truy cập.", "Passkeys changed."),
}
"""What the page says after a change."""


def add_account(application: web.Application) -> None:
    """Add the routes."""
    router = application.router
    router.add_get("/account", _page)
    router.add_post("/account/password", _set_password)
    router.add_post("/account/sessions", _end_sessions)
    router.add_get("/account/totp", _totp_page)
    router.add_post("/account/totp", _confirm_totp)
    router.add_post("/account/totp/remove", _remove_totp)
    router.add_post("/account/recovery", _new_codes)
    router.add_post("/account/passkeys/ask", _ask_passkey)
    router.add_post("/account/passkeys", _add_passkey)
    router.add_post("/account/passkeys/remove", _remove_passkey)


async def _page(request: web.Request) -> web.Response:
    return await _shown(request)


async def _shown(request: web.Request, error: RequestError | None = None) -> web.Response:
    session, view = held(request)
    sessions = await request.app[STORE].sessions(view.person.name)
    live = [
        each for each in sessions if request.app[GATE].clock() - each.seen_at_ms <= request.app[GATE].limits.idle_ms
    ]
    return render(
        request,
        "account.html",
        status=STATUS_OF[error.code] if error else 200,
        error=error.message if error else "",
        view=view,
        session=session,
        sessions=live,
        message=DONE.get(request.query.get("done", ""), ""),
        needs_factor=request.query.get("need") == "factor" and not view.has_second_factor,
    )


async def _set_password(request: web.Request) -> web.Response:
    session, view = held(request)
    form = await form_of(request)
    try:
        await request.app[ACCOUNT].set_password(
            session, view, form.get("old", ""), form.get("new", ""), request[VISITOR].visit
        )
    except RequestError as error:
        return await _shown(request, error)
    return sent_to("/account?done=password")


async def _end_sessions(request: web.Request) -> web.Response:
    session, _ = held(request)
    await request.app[ACCOUNT].end_sessions(session, request[VISITOR].visit)
    return sent_to("/account?done=sessions")


async def _totp_page(request: web.Request) -> web.Response:
    _, view = held(request)
    secret, pending = request.app[ACCOUNT].new_totp(view)
    return _totp(request, secret, pending)


def _totp(request: web.Request, secret: str, pending: str, error: RequestError | None = None) -> web.Response:
    _, view = held(request)
    return render(
        request,
        "totp.html",
        status=STATUS_OF[error.code] if error else 200,
        error=error.message if error else "",
        view=view,
        qr=qr_svg(totp_uri(secret, view.person.name)),
        secret=" ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        pending=pending,
    )


async def _confirm_totp(request: web.Request) -> web.Response:
    session, view = held(request)
    account, form = request.app[ACCOUNT], await form_of(request)
    pending = form.get("pending", "")
    secret = account.pending_totp(view, pending)
    try:
        await _first_factor_needs_password(request, form.get("password", ""))
        codes = await account.confirm_totp(session, view, pending, form.get("code", ""), request[VISITOR].visit)
    except RequestError as error:
        return _totp(request, secret, pending, error)
    return render(request, "codes.html", codes=codes)


async def _remove_totp(request: web.Request) -> web.Response:
    session, view = held(request)
    await request.app[ACCOUNT].remove_totp(session, view, request[VISITOR].visit)
    return sent_to("/account?done=totp")


async def _new_codes(request: web.Request) -> web.Response:
    session, view = held(request)
    codes = await request.app[ACCOUNT].new_recovery_codes(session, view, request[VISITOR].visit)
    return render(request, "codes.html", codes=codes)


async def _ask_passkey(request: web.Request) -> web.Response:
    _, view = held(request)
    return web.Response(
        text=request.app[ACCOUNT].ask_passkey(view, request[VISITOR].visit), content_type="application/json"
    )


class _NewPasskey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    answer: msgspec.Raw
    title: str = ""
    password: str = ""


async def _add_passkey(request: web.Request) -> web.Response:
    session, view = held(request)
    try:
        body = msgspec.json.decode(await request.read(), type=_NewPasskey)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(
            RequestCode.BAD_REQUEST, f"{error}; the body is JSON with answer, title, password"
        ) from error
    await _first_factor_needs_password(request, body.password)
    answer = bytes(body.answer).decode("utf-8", "replace")
    codes = await request.app[ACCOUNT].add_passkey(session, view, answer, body.title, request[VISITOR].visit)
    return web.Response(
        body=msgspec.json.encode({"next": "/account?done=passkey", "codes": codes}), content_type="application/json"
    )


async def _remove_passkey(request: web.Request) -> web.Response:
    session, view = held(request)
    credential_id = credential_id_of((await form_of(request)).get("credential", ""))
    await request.app[ACCOUNT].remove_passkey(session, view, credential_id, request[VISITOR].visit)
    return sent_to("/account?done=passkey")


async def _first_factor_needs_password(request: web.Request, password: str) -> None:
    """Whoever finds a browser open cannot bind the account to a telephone of theirs."""
    _, view = held(request)
    if not view.has_second_factor:
        await request.app[GATE].check_password(view, password, request[VISITOR].visit)
