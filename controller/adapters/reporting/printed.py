"""A report as a PDF that is printed, signed and sent up: in Vietnamese, on A4, with page numbers and a place to sign.

Rules kept: letters of Vietnamese come from a font that has them (Debian: fonts-dejavu-core); long lists are cut where
nobody reads a print any further, and say where the rest is; the same report gives the same bytes. What the figures mean
stands on the last page.
"""

from __future__ import annotations

import datetime as dt
import logging
import unicodedata
from pathlib import Path
from typing import Final

from fpdf import FPDF
from fpdf.enums import TableBordersLayout, XPos, YPos
from fpdf.errors import FPDFException
from fpdf.fonts import FontFace

from controller.errors import RequestCode, RequestError
from controller.reporting import words
from controller.reporting.lines import Report
from controller.reporting.sheets import (
    As,
    Cell,
    Sheet,
    areas_sheet,
    cut,
    emergencies_sheet,
    feeds_sheet,
    kinds_sheet,
    missing_sheet,
    reasons_sheet,
    times_sheet,
    without,
)
from controller.reporting.summary import summary_of

logging.getLogger("fontTools").setLevel(logging.WARNING)  # a line for each table of the font is no news

FONT_FOLDERS: Final = (
    Path("/usr/share/fonts/truetype/dejavu"),
    Path("/usr/share/fonts/dejavu"),
    Path("/usr/share/fonts/TTF"),
)
"""Where distributions put DejaVu Sans."""
NODES_MAX: Final = 150
"""Clusters that missed something, by name, the worst first: four pages."""
AREAS_MAX: Final = 300
TIMES_MAX: Final = 130
"""Ten years of months, or two months of days."""
NAMES_CHARACTERS_MAX: Final = 300
"""Of a list of names in one cell: a row must fit a page."""
_FAMILY: Final = "DejaVu"
_SMALL: Final = 7.5
_PLAIN: Final = 10
_MARGIN_MM: Final = 15
_SHADE: Final = (226, 231, 236)


class _Page(FPDF):
    """A4 with the font, and a foot on each page."""

    def __init__(self, foot: str) -> None:
        super().__init__(format="A4")
        self._foot = foot

    def footer(self) -> None:
        """Whose report, and which page."""
        self.set_y(-12)
        self.set_font(_FAMILY, size=_SMALL)
        self.cell(w=self.epw / 2, text=self._foot)
        self.cell(w=self.epw / 2, text=f"Trang {self.page_no()}/{{nb}}", align="R")


def pdf_of(report: Report) -> bytes:
    """The printed report; raises RequestError where the font is not installed."""
    page = _Page(f"{words.place_words(report)}, {words.date_words(report.first)} – {words.date_words(report.last)}")  # noqa: RUF001 - from ... to
    _add_fonts(page)
    page.set_margins(_MARGIN_MM, _MARGIN_MM)
    page.set_auto_page_break(auto=True, margin=18)
    page.set_title(_clean(f"{words.title_of(report)} – {words.place_words(report)}"))  # noqa: RUF001 - a dash
    page.set_creator("LoaXa")
    page.set_lang("vi")
    page.set_creation_date(dt.datetime.fromtimestamp(report.made_at_ms / 1000, tz=dt.UTC))
    page.add_page()
    _write_head(page, report)
    _write_summary(page, report)
    _write_sheet(page, "II", kinds_sheet(report), empty="Không có lượt phát nào trong kỳ.")
    by_station = without(feeds_sheet(report), {"id"})
    _write_sheet(page, "III", by_station, empty="Không có buổi tiếp âm hay phát trực tiếp nào.")
    _write_sheet(page, "IV", without(reasons_sheet(report), {"code"}), empty="Không có lượt phát nào bị bỏ lỡ.")
    _write_sheet(page, "V", cut(without(areas_sheet(report), {"whole"}), AREAS_MAX), empty="Không có cụm loa nào.")
    by_time = without(times_sheet(report), {"whole", "heard share"})
    _write_sheet(page, "VI", cut(by_time, TIMES_MAX), empty="Không có ngày nào.")
    missing = cut(missing_sheet(report), NODES_MAX)
    _write_sheet(page, "VII", missing, empty="Không có cụm loa nào bỏ lỡ hay chưa có tin.")
    _write_sheet(page, "VIII", emergencies_sheet(report), empty="Không có đợt phát khẩn cấp hay diễn tập nào trong kỳ.")
    _write_signatures(page)
    _write_meaning(page)
    return bytes(page.output())


def _add_fonts(page: FPDF) -> None:
    folder = next((each for each in FONT_FOLDERS if (each / "DejaVuSans.ttf").exists()), None)
    if folder is None or not (folder / "DejaVuSans-Bold.ttf").exists():
        what = "thiếu phông chữ DejaVu / the font DejaVu Sans is missing; install it: apt-get install fonts-dejavu-core"
        raise RequestError(RequestCode.NOT_READY, what)
    try:
        page.add_font(_FAMILY, fname=folder / "DejaVuSans.ttf")
        page.add_font(_FAMILY, style="B", fname=folder / "DejaVuSans-Bold.ttf")
    except (OSError, FPDFException) as error:
        raise RequestError(RequestCode.NOT_READY, f"{folder}: the font cannot be read: {error}") from error


def _write_head(page: FPDF, report: Report) -> None:
    half = page.epw / 2
    made = dt.datetime.fromisoformat(words.day_of(report.made_at_ms, report.time_zone))
    page.set_font(_FAMILY, "B", _PLAIN)
    top = page.get_y()
    page.multi_cell(half, 5, _clean(words.place_words(report)).upper() + "\nĐÀI TRUYỀN THANH", align="C")
    page.set_xy(_MARGIN_MM + half, top)
    page.multi_cell(half, 5, "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM\nĐộc lập - Tự do - Hạnh phúc", align="C")
    page.ln(3)
    page.set_font(_FAMILY, "", _PLAIN)
    page.cell(
        0,
        6,
        f"Ngày {made.day:02} tháng {made.month:02} năm {made.year}",
        align="R",
        new_x=XPos.LMARGIN,
        new_y=YPos.NEXT,
    )
    page.ln(4)
    page.set_font(_FAMILY, "B", 14)
    page.multi_cell(
        0,
        7,
        f"{words.title_of(report)}\nKết quả hoạt động truyền thanh cơ sở",
        align="C",
        new_x=XPos.LMARGIN,
        new_y=YPos.NEXT,
    )
    page.set_font(_FAMILY, "", _PLAIN)
    period = f"Từ ngày {words.date_words(report.first)} đến ngày {words.date_words(report.last)}"
    page.multi_cell(0, 6, period + _filters(report), align="C", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    page.ln(3)


def _filters(report: Report) -> str:
    asked = [words.words_of(each)[0] for each in (report.broadcast_class, report.source) if each]
    return f"\nChỉ tính: {', '.join(asked)}" if asked else ""


def _write_summary(page: FPDF, report: Report) -> None:
    _heading(page, "I. Kết quả chung")
    if report.counted_share < 1:
        page.set_font(_FAMILY, "B", _PLAIN)
        page.multi_cell(0, 5, _clean(words.still_counting(report)), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    page.set_font(_FAMILY, "", 9)
    with page.table(
        col_widths=(60, 40),
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        first_row_as_headings=False,
        line_height=5.5,
        padding=0.6,
    ) as table:
        for vietnamese, _, figure in summary_of(report):
            row = table.row()
            row.cell(vietnamese)
            row.cell(figure, align="R")


def _write_sheet(page: FPDF, number: str, sheet: Sheet, *, empty: str) -> None:
    _heading(page, f"{number}. {sheet.title}")
    if not sheet.rows:
        page.set_font(_FAMILY, "", _PLAIN)
        page.multi_cell(0, 6, empty, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        return
    page.set_font(_FAMILY, "", _SMALL)
    widths = [max(column.width, 10) if column.cells is As.TEXT else 10 for column in sheet.columns]
    aligns = ["LEFT" if column.cells is As.TEXT else "RIGHT" for column in sheet.columns]
    style = FontFace(emphasis="BOLD", fill_color=_SHADE)
    with page.table(
        col_widths=widths, text_align=aligns, headings_style=style, repeat_headings=1, line_height=3.8, padding=0.7
    ) as table:
        heading = table.row()
        for column in sheet.columns:
            heading.cell(column.heading, align="C")
        for cells in sheet.rows:
            row = table.row()
            for cell, column in zip(cells, sheet.columns, strict=True):
                row.cell(_shown(cell, column.cells))
    if sheet.note:
        page.multi_cell(0, 5, sheet.note, new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _write_signatures(page: FPDF) -> None:
    if page.will_page_break(45):
        page.add_page()
    page.ln(8)
    half = page.epw / 2
    page.set_font(_FAMILY, "B", _PLAIN)
    page.cell(half, 6, "NGƯỜI LẬP BÁO CÁO", align="C")
    page.cell(half, 6, "THỦ TRƯỞNG ĐƠN VỊ", align="C", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    page.set_font(_FAMILY, "", 9)
    page.cell(half, 5, "(Ký, ghi rõ họ tên)", align="C")
    page.cell(half, 5, "(Ký tên, đóng dấu)", align="C", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    page.ln(24)


def _write_meaning(page: FPDF) -> None:
    _heading(page, "Cách tính")
    page.set_font(_FAMILY, "", 8)
    for sentence in words.MEANING:
        page.multi_cell(0, 4.2, f"• {sentence}", new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _heading(page: FPDF, text: str) -> None:
    if page.will_page_break(22):
        page.add_page()
    page.ln(3)
    page.set_font(_FAMILY, "B", 11)
    page.multi_cell(0, 7, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _shown(cell: Cell, kind: As) -> str:
    match cell:
        case None:
            return words.DASH
        case str():
            text = _clean(cell)
            return text if len(text) <= NAMES_CHARACTERS_MAX else text[: NAMES_CHARACTERS_MAX - 1] + "…"
        case _ if kind is As.SHARE:
            return words.share_words(cell)
        case _:
            return words.number(cell)


def _clean(text: str) -> str:
    """Whole letters (NFC) without control characters: titles come from people."""
    return "".join(each if each.isprintable() else " " for each in unicodedata.normalize("NFC", text))
