"""What a question for a report says: place, period, filters; the same for page, file and API.

Raises RequestError with a sentence in both languages. Whose places somebody sees was settled by the rules; without a
place, whoever sees all gets all, and whoever sees one gets that one.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from aiohttp import web

from controller.configuration.site import Site
from controller.errors import RequestCode, RequestError
from controller.people.rights import Action, Question, areas_of
from controller.reporting.periods import Period, period_of
from controller.web.parts import CONSOLE, VISITOR
from protocol.messages import BroadcastClass, SourceKind

_TEXT_MAX: Final = 64


class Format(StrEnum):
    """What a report is handed out as."""

    JSON = "json"
    CSV = "csv"
    XLSX = "xlsx"
    PDF = "pdf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A checked question; `area` is empty where all of it is meant."""

    area: str
    period: Period
    broadcast_class: str
    source: str


async def area_of_report(request: web.Request, action: Action) -> Question:
    """The area that is named; without one the handler looks at what the caller sees."""
    area = request.query.get("area", "")
    return Question(action=action, areas=(area,) if area else ())


def asked_in(request: web.Request) -> Asked:
    """What is asked for."""
    site = request.app[CONSOLE].desk.site
    query = {name: request.query.get(name, "").strip()[:_TEXT_MAX] for name in _NAMES}
    return Asked(
        area=_area(request, site, query["area"]),
        period=period_of(
            first=query["from"],
            last=query["until"],
            month=query["month"],
            year=query["year"],
            today=today_at(request, site),
        ),
        broadcast_class=_one_of(BroadcastClass, query["class"], "loại tin / class"),
        source=_one_of(SourceKind, query["source"], "nguồn / source"),
    )


def format_in(request: web.Request, default: Format) -> Format:
    """As what it is wanted."""
    text = request.query.get("format", default.value)
    return Format(_one_of(Format, text[:_TEXT_MAX], "định dạng / format") or default.value)


def today_at(request: web.Request, site: Site) -> dt.date:
    """The day of the controller's clock, where it serves."""
    now_ms = request.app[CONSOLE].status().now_ms
    return dt.datetime.fromtimestamp(now_ms / 1000, tz=zoneinfo.ZoneInfo(site.time_zone)).date()


_NAMES: Final = ("area", "from", "until", "month", "year", "class", "source")


def _area(request: web.Request, site: Site, area: str) -> str:
    if area:
        if area not in site.tree:
            raise RequestError(
                RequestCode.UNKNOWN_AREA, f"không có địa bàn {area!r} / the area {area!r} is not known; see /areas"
            )
        return area
    top = areas_of(request[VISITOR].principal, Action.SEE)
    if top is None:
        return ""
    known = [each.id for each in site.tree.areas if each.id in top]
    if not known:
        raise RequestError(RequestCode.FORBIDDEN, "không có địa bàn nào của bạn / none of your areas exists any more")
    return known[0]


def _one_of(kinds: type[StrEnum], text: str, what: str) -> str:
    values = [each.value for each in kinds]
    if text and text not in values:
        raise RequestError(RequestCode.BAD_REQUEST, f"{what}: {text!r}; choose one of: {', '.join(values)}")
    return text
