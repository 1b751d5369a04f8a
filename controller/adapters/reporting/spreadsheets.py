"""A report as files that spreadsheets open: CSV of its long table, XLSX of all of them.

Rules kept: no text of ours or of others is ever run as a formula. Titles come from configurations and people; in a CSV
a cell that begins like a formula gets an apostrophe before it (OWASP, "CSV Injection"), in an XLSX texts are written as
texts and marked as such, so that they stay texts when somebody edits them. The same report gives the same bytes.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import Any, Final

import xlsxwriter  # type: ignore[import-untyped]  # it ships no types

from controller.reporting import words
from controller.reporting.lines import Report
from controller.reporting.sheets import As, Cell, Sheet, long_sheet, sheets_of
from controller.reporting.summary import summary_of

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")  # noqa: RUF001 - wide ones count too
CELL_CHARACTERS_MAX: Final = 32_000
"""A cell of Excel holds 32,767."""
_BOM: Final = "\ufeff"
"""Without it Excel reads UTF-8 as something else."""
_NUMBER_FORMATS: Final = {As.COUNT: "#,##0", As.MINUTES: "#,##0.0", As.SHARE: "0.0%"}
_LABEL_WIDTH: Final = 44


def csv_of(report: Report) -> bytes:
    """The long table: a heading line, then a line for each cluster and kind; numbers with a point."""
    sheet = long_sheet(report)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([f"{column.heading} ({column.english})" for column in sheet.columns])
    for row in sheet.rows:
        writer.writerow([_plain(cell) for cell in row])
    return (_BOM + out.getvalue()).encode()


def guarded(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_STARTS) else text


def xlsx_of(report: Report) -> bytes:
    """A workbook: the summary first, then each table, at last the long one."""
    out = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(out, options) as book:
        made = dt.datetime.fromtimestamp(report.made_at_ms / 1000, tz=dt.UTC).replace(tzinfo=None)
        book.set_properties({"title": words.title_of(report), "author": "LoaXa", "created": made})
        styles = _Styles(book)
        _write_summary(book, styles, report)
        for sheet in (*sheets_of(report), long_sheet(report)):
            _write_sheet(book, styles, sheet)
    return out.getvalue()


class _Styles:
    """The formats of one workbook; a format belongs to its book."""

    def __init__(self, book: xlsxwriter.Workbook) -> None:
        self.text = book.add_format({"text_wrap": True, "valign": "top", "quote_prefix": True})
        self.heading = book.add_format(
            {"bold": True, "text_wrap": True, "valign": "top", "bg_color": "#D5DCE3", "border": 1}
        )
        self.title = book.add_format({"bold": True, "font_size": 14})
        self.label = book.add_format({"bold": True, "text_wrap": True, "valign": "top"})
        self.numbers = {
            kind: book.add_format({"num_format": form, "valign": "top"}) for kind, form in _NUMBER_FORMATS.items()
        }


def _write_summary(book: xlsxwriter.Workbook, styles: _Styles, report: Report) -> None:
    page = book.add_worksheet("Tổng hợp")
    page.set_column(0, 0, _LABEL_WIDTH)
    page.set_column(1, 1, _LABEL_WIDTH)
    page.write_string(0, 0, words.title_of(report), styles.title)
    head = (
        ("Địa bàn (area)", words.place_words(report)),
        ("Từ ngày (from)", words.date_words(report.first)),
        ("Đến ngày (until)", words.date_words(report.last)),
        ("Lập lúc (made at)", words.time_words(report.made_at_ms, report.time_zone)),
        *((("Lưu ý (note)", words.still_counting(report)),) if report.counted_share < 1 else ()),
    )
    lines = (*head, *((f"{vietnamese} ({english})", figure) for vietnamese, english, figure in summary_of(report)))
    for row, (label, figure) in enumerate(lines, start=2):
        page.write_string(row, 0, label, styles.label)
        page.write_string(row, 1, figure[:CELL_CHARACTERS_MAX], styles.text)


def _write_sheet(book: xlsxwriter.Workbook, styles: _Styles, sheet: Sheet) -> None:
    page = book.add_worksheet(sheet.name)
    page.freeze_panes(1, 0)
    for index, column in enumerate(sheet.columns):
        page.set_column(index, index, column.width)
        page.write_string(0, index, f"{column.heading}\n({column.english})", styles.heading)
    for number, row in enumerate(sheet.rows, start=1):
        for index, (cell, column) in enumerate(zip(row, sheet.columns, strict=True)):
            _write_cell(page, styles, number, index, cell, column.cells)
    if sheet.rows:
        page.autofilter(0, 0, len(sheet.rows), len(sheet.columns) - 1)


def _write_cell(page: Any, styles: _Styles, row: int, column: int, cell: Cell, kind: As) -> None:  # noqa: ANN401 - the library keeps its type to itself
    match cell:
        case None | "":
            page.write_blank(row, column, None, styles.text)
        case str():
            page.write_string(row, column, cell[:CELL_CHARACTERS_MAX], styles.text)
        case _:
            page.write_number(row, column, cell, styles.numbers[kind])


def _plain(cell: Cell) -> str:
    match cell:
        case None:
            return ""
        case str():
            return guarded(cell)
        case int():
            return str(cell)
        case _:
            return f"{cell:.4f}".rstrip("0").rstrip(".")
