"""Makes pages from templates: one environment, what every page shows, and the error page. Vietnamese first."""

from __future__ import annotations

import datetime as dt
import functools
import zoneinfo
from pathlib import Path
from typing import Any, Final

import jinja2
from aiohttp import web
from webauthn.helpers import bytes_to_base64url

from controller.people.rights import ONLOOKER, PERMITTED, Action
from controller.web.parts import CONSOLE, ENVIRONMENT, VISITOR, Visitor
from controller.words import WORDS, alarm_words, fault_words, packet_fault_words, reason_words, with_detail

FOLDER: Final = Path(__file__).parent
_DAY_S: Final = 86_400
_PAGES: Final = (
    ("/", "Trang chính", "Overview", Action.SEE),
    ("/measures", "Số đo", "Measures", Action.SEE),
    ("/reports", "Báo cáo", "Reports", Action.SEE),
    ("/emergency", "Khẩn cấp", "Emergency", Action.RAISE_DRILL),
    ("/silence", "Im lặng", "Silence", Action.SILENCE),
    ("/people", "Người dùng", "People", Action.MANAGE_PEOPLE),
    ("/audit", "Nhật ký", "Audit", Action.READ_AUDIT),
)
"""What the top of each page leads to, and which right shows it; rights themselves are checked at the route."""


def add_templates(application: web.Application) -> None:
    """Prepare the environment."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["words"] = words_of
    environment.filters["reason_words"] = reason_words
    environment.filters["fault_told"] = functools.partial(with_detail, fault_words)
    environment.filters["alarm_told"] = functools.partial(with_detail, alarm_words)
    environment.filters["packet_fault_words"] = packet_fault_words
    environment.filters["deed_words"] = _deed_words
    environment.filters["base64url"] = bytes_to_base64url
    application[ENVIRONMENT] = environment


def render(request: web.Request, template: str, *, status: int = 200, **facts: Any) -> web.Response:  # noqa: ANN401 - what a template shows
    """A page."""
    visitor = request.get(VISITOR)
    site = request.app[CONSOLE].desk.site
    zone = zoneinfo.ZoneInfo(site.time_zone)
    now_ms = facts.pop("now_ms", None) or request.app[CONSOLE].status().now_ms
    shown = {
        "controller": site.controller,
        "visitor": visitor,
        "person": visitor.view.person if visitor and visitor.view and visitor.principal.name else None,
        "is_onlooker": visitor is not None and visitor.principal == ONLOOKER,
        "form_token": visitor.form_token if visitor else "",
        "pages": _pages_for(visitor),
        "path": request.path,
        "time": lambda at_ms: time_words(at_ms, now_ms, zone),
        "ago": lambda at_ms: ago_words(at_ms, now_ms),
        "area_title": lambda area: "khắp nơi / everywhere" if area == "*" else site.tree.title(area),
        "message": "",
        "error": "",
        **facts,
    }
    text = request.app[ENVIRONMENT].get_template(template).render(shown)
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8")


def error_page(request: web.Request, message: str, status: int) -> web.Response:
    """What went wrong and what to do, for a person."""
    return render(request, "error.html", status=status, error=message)


def words_of(value: object) -> tuple[str, str]:
    """A value in Vietnamese and English; itself where there is no word for it."""
    text = str(getattr(value, "value", value))
    return WORDS.get(text, (text, text))


def _deed_words(what: str) -> tuple[str, str]:
    """What an audit entry is about; a word of another room as it is."""
    return WORDS.get(f"deed_{what}", (what, what))


def time_words(at_ms: int | None, now_ms: int, zone: zoneinfo.ZoneInfo) -> str:
    """A time of today, or a day and a time."""
    if not at_ms:
        return "-"
    at = dt.datetime.fromtimestamp(at_ms / 1000, tz=zone)
    is_near = (
        abs(now_ms - at_ms) < _DAY_S * 500 and at.date() == dt.datetime.fromtimestamp(now_ms / 1000, tz=zone).date()
    )
    return at.strftime("%H:%M:%S") if is_near else at.strftime("%d/%m %H:%M")


def ago_words(at_ms: int | None, now_ms: int) -> tuple[str, str]:
    """How long ago, in both languages."""
    if not at_ms:
        return "chưa thấy", "never"
    seconds = max(0, now_ms - at_ms) // 1000
    for size, vietnamese, english in ((_DAY_S, "ngày", "d"), (3600, "giờ", "h"), (60, "phút", "min")):
        if seconds >= size:
            return f"{seconds // size} {vietnamese} trước", f"{seconds // size} {english} ago"
    return f"{seconds} giây trước", f"{seconds} s ago"


def _pages_for(visitor: Visitor | None) -> list[tuple[str, str, str]]:
    if visitor is None or not visitor.principal.is_person:
        return []
    may = {action for grant in visitor.principal.grants for action in PERMITTED[grant.role]}
    return [(path, vietnamese, english) for path, vietnamese, english, action in _PAGES if action in may]
