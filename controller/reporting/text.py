"""A report for a terminal: the summary, then each table that has something in it. Pure: a report in, text out."""

from __future__ import annotations

import functools
import zoneinfo
from typing import Final

from controller.reporting import words
from controller.reporting.lines import Report
from controller.reporting.sheets import (
    Column,
    Sheet,
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
from controller.tables import Row, table_of

ROWS_SHOWN: Final = 60
"""Lines of one table; the files have all."""


def text_of(report: Report) -> str:
    """The report as people read it at a terminal."""
    labels = [f"{vietnamese} ({english})" for vietnamese, english, _ in summary_of(report)]
    width = max(len(label) for label in labels)
    period = f"{words.date_words(report.first)} - {words.date_words(report.last)}"
    lines = [
        f"{words.title_of(report)}: {words.place_words(report)}, {period}",
        *([words.still_counting(report)] if report.counted_share < 1 else []),
        "",
        *(f"{label:<{width}}  {figure}" for label, (_, _, figure) in zip(labels, summary_of(report), strict=True)),
    ]
    sheets = (
        *(missing_sheet(report), reasons_sheet(report), kinds_sheet(report), feeds_sheet(report)),
        areas_sheet(report),
        without(times_sheet(report), {"whole", "heard share"}),
    )
    for sheet in (*sheets, emergencies_sheet(report)):
        if sheet.rows:
            lines += ["", f"{sheet.title} ({sheet.english})", *_table(cut(sheet, ROWS_SHOWN), report.time_zone)]
    if not report.totals.items and not report.drills.items:
        lines += ["", "Không có lượt phát nào trong kỳ này · nothing was due in this period; ask for another"]
    return "\n".join(lines)


def _table(sheet: Sheet, time_zone: str) -> list[str]:
    columns = [(column.heading, functools.partial(_shown, index, column)) for index, column in enumerate(sheet.columns)]
    table = table_of([{"cells": row} for row in sheet.rows], columns, time_zone=time_zone)
    return [table, *([sheet.note] if sheet.note else [])]


def _shown(index: int, column: Column, row: Row, _zone: zoneinfo.ZoneInfo) -> str:
    return shown(row["cells"][index], column.cells)
