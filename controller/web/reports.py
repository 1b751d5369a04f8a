"""Reports: the page with its filters, the files, and `/api/v1/reports`. Vietnamese first.

A report is asked of the store, put together and printed beside the loop, one at a time: a year of a province must not
hold up an emergency. What the figures mean stands on the page itself.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from controller.adapters.reporting.printed import pdf_of
from controller.adapters.reporting.spreadsheets import csv_of, xlsx_of
from controller.areas import Area, AreaTree
from controller.people.sight import seen_areas
from controller.reporting import words
from controller.reporting.lines import Report
from controller.reporting.periods import CLOSING_DAY
from controller.reporting.questions import Tallies
from controller.reporting.report import question_of, report_of
from controller.reporting.sheets import (
    areas_sheet,
    cut,
    emergencies_sheet,
    feeds_sheet,
    kinds_sheet,
    missing_sheet,
    reasons_sheet,
    shown,
    times_sheet,
    without,
)
from controller.reporting.summary import summary_of
from controller.web.one_at_a_time import OneAtATime
from controller.web.parts import CONSOLE, VISITOR
from controller.web.render import render
from controller.web.report_parts import Asked, Format, asked_in, format_in, today_at
from controller.web.rules import API
from protocol.messages import BroadcastClass, SourceKind

ResultT = TypeVar("ResultT")
TALLIES: Final[web.AppKey[Tallies]] = web.AppKey("tallies")
_ALONE: Final = web.AppKey("reports_alone", OneAtATime)
NODES_SHOWN: Final = 100
"""Clusters that missed something, on the page; the files have all."""
PICTURE_WIDTH: Final = 360.0
PICTURE_HEIGHT: Final = 100.0
LABELS_MAX: Final = 6
"""More would touch on a telephone."""
_TYPES: Final[Mapping[Format, str]] = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv; charset=utf-8",
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Format.PDF: "application/pdf",
}
_MAKERS: Final[Mapping[Format, Callable[[Report], bytes]]] = {
    Format.JSON: msgspec.json.encode,
    Format.CSV: csv_of,
    Format.XLSX: xlsx_of,
    Format.PDF: pdf_of,
}


def add_reports(application: web.Application, tallies: Tallies) -> None:
    """Add page, files and API."""
    application[TALLIES] = tallies
    application[_ALONE] = OneAtATime()
    application.router.add_get("/reports", _page)
    application.router.add_get("/reports/file", functools.partial(_file, default=Format.PDF))
    application.router.add_get(f"{API}/reports", functools.partial(_file, default=Format.JSON))


async def _file(request: web.Request, *, default: Format) -> web.Response:
    asked, wanted = asked_in(request), format_in(request, default)
    body = await _made(request, asked, _MAKERS[wanted])
    headers = {"Content-Type": _TYPES[wanted], "X-Content-Type-Options": "nosniff"}
    if wanted is not Format.JSON:
        place, period = asked.area or "all", asked.period
        headers["Content-Disposition"] = f'attachment; filename="loaxa-{place}-{period.first}-{period.last}.{wanted}"'
    return web.Response(body=body, headers=headers)


async def _page(request: web.Request) -> web.Response:
    asked = asked_in(request)
    report = await _made(request, asked, lambda made: made)
    tree = request.app[CONSOLE].desk.site.tree
    return render(
        request,
        "reports.html",
        report=report,
        place=words.place_words(report),
        title=words.title_of(report),
        summary=summary_of(report),
        still_counting=words.still_counting(report) if report.counted_share < 1 else "",
        kinds=kinds_sheet(report),
        feeds=without(feeds_sheet(report), {"id"}),
        reasons=without(reasons_sheet(report), {"code"}),
        areas=without(areas_sheet(report), {"whole", "started within 1 s", "heard share"}),
        times=without(times_sheet(report), {"whole", "started within 1 s", "heard share"}),
        bars=bars_of(report),
        area_ids=[line.area for line in report.areas],
        missing=cut(missing_sheet(report), NODES_SHOWN),
        emergencies=emergencies_sheet(report),
        meaning=words.MEANING,
        choices=_choices(request, tree, asked.area),
        classes=[each.value for each in BroadcastClass],
        sources=[each.value for each in SourceKind],
        quick=_quick(today_at(request, request.app[CONSOLE].desk.site)),
        link=functools.partial(_link, asked),
        shown=shown,
        report_words=words.words_of,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One day or month in the picture: where it stands and how high, in units of the picture; what it is called."""

    x: float
    width: float
    aired: float
    missed: float
    no_word: float
    label: str
    is_labelled: bool


def bars_of(report: Report) -> list[Bar]:
    """The picture of what was aired, missed and not heard of yet, as high as its fullest day."""
    most = max((line.sums.expected for line in report.times), default=0)
    if not most:
        return []
    width = PICTURE_WIDTH / len(report.times)
    every = -(-len(report.times) // LABELS_MAX)
    return [
        Bar(
            x=round(index * width, 2),
            width=round(width * 0.8, 2),
            aired=round(PICTURE_HEIGHT * line.sums.aired / most, 2),
            missed=round(PICTURE_HEIGHT * line.sums.missed / most, 2),
            no_word=round(PICTURE_HEIGHT * line.sums.no_word / most, 2),
            label=words.when_words(line.when),
            is_labelled=index % every == 0,
        )
        for index, line in enumerate(report.times)
    ]


async def _made(request: web.Request, asked: Asked, make: Callable[[Report], ResultT]) -> ResultT:
    site = request.app[CONSOLE].desk.site
    made_at_ms = request.app[CONSOLE].status().now_ms
    question = question_of(
        site, area=asked.area, period=asked.period, broadcast_class=asked.broadcast_class, source=asked.source
    )
    async with request.app[_ALONE].turn(request[VISITOR].principal.name):
        answer = await request.app[TALLIES].answer(question)

        def put_together() -> ResultT:
            return make(report_of(site, area=asked.area, question=question, answer=answer, made_at_ms=made_at_ms))

        return await asyncio.to_thread(put_together)


def _choices(request: web.Request, tree: AreaTree, area: str) -> list[tuple[Area, int]]:
    """Where to go from here: the places above, this one, and those directly in it; and how deep each lies."""
    seen = seen_areas(request[VISITOR].principal, tree)
    above = set(tree.chain(area))
    chosen = [each for each in tree.areas if each.id in above or each.parent == (area or None)]
    return [(each, tree.depth(each.id)) for each in chosen if seen is None or each.id in seen]


def _quick(today: dt.date) -> list[tuple[str, str, dict[str, str]]]:
    """Periods that are asked for most: Vietnamese, English, what they are in a question."""
    month = today if today.day <= CLOSING_DAY else today.replace(day=28) + dt.timedelta(days=7)
    before = month.replace(day=1) - dt.timedelta(days=1)
    year = month.year
    return [
        ("30 ngày qua", "last 30 days", {}),
        (f"Kỳ tháng {month:%m/%Y}", "this month of report", {"month": f"{month:%Y-%m}"}),
        (f"Kỳ tháng {before:%m/%Y}", "the month before", {"month": f"{before:%Y-%m}"}),
        (f"Năm {year}", "year of report", {"year": f"{year}"}),
        (f"Năm {year - 1}", "the year before", {"year": f"{year - 1}"}),
    ]


def _link(asked: Asked, path: str = "/reports", **changes: Any) -> str:  # noqa: ANN401 - what a template gives
    """The same question with something else in it; a month or year takes the place of the days."""
    kept = {"area": asked.area, "class": asked.broadcast_class, "source": asked.source}
    if "days" not in changes:
        kept |= {"from": asked.period.first.isoformat(), "until": asked.period.last.isoformat()}
    changed = {**kept, **changes.pop("days", {}), **changes}
    return f"{path}?{urllib.parse.urlencode({name: each for name, each in changed.items() if each})}"
