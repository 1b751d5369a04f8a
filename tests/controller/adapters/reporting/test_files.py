"""The files of a report: read back by other programs, the same each time, and never a formula."""

from __future__ import annotations

import csv
import io

import msgspec
import openpyxl  # type: ignore[import-untyped]  # its types are a package of their own
import pypdf
import pytest

from controller.adapters.reporting.printed import pdf_of
from controller.adapters.reporting.spreadsheets import csv_of, guarded, xlsx_of
from controller.reporting.lines import NodeLine, Report, Sums, Watched
from controller.reporting.sheets import long_sheet
from tests.support.pki import DevelopmentKeys
from tests.support.report_world import commune, commune_report

EVIL = ("=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "  =1", "＝1+1")  # noqa: RUF001 - a wide one


@pytest.fixture(scope="module")
def report(pki: DevelopmentKeys) -> Report:
    return commune_report(commune(pki))


@pytest.fixture
def hostile(report: Report) -> Report:
    lines = tuple(
        NodeLine(
            node=f"N{index}",
            title=text,
            area="xa",
            area_title=text,
            sums=Sums(items=1, missed=1),
            watched=Watched(),
            reasons={"other": 1},
        )
        for index, text in enumerate(EVIL)
    )
    return msgspec.structs.replace(report, nodes=lines, area_title="=1+1")


def rows_of(data: bytes) -> list[list[str]]:
    assert data.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def test_a_csv_has_a_line_for_each_cluster_and_kind(report: Report) -> None:
    heading, *rows = rows_of(csv_of(report))
    sheet = long_sheet(report)
    assert len(rows) == len(sheet.rows) == 96
    assert heading[:4] == ["Địa bàn (area)", "Mã địa bàn (area id)", "Cụm loa (cluster)", "Mã (id)"]
    items = heading.index("Lượt phát (items)")
    assert sum(int(row[items]) for row in rows) == report.totals.items + report.drills.items
    minutes = heading.index("Kết nối (phút) (connected minutes)")
    assert sum(float(row[minutes] or 0) for row in rows) == pytest.approx(report.watched.up_ms / 60_000)


def test_no_cell_of_a_csv_is_a_formula(hostile: Report) -> None:
    for row in rows_of(csv_of(hostile))[1:]:
        for cell in row:
            assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "＝"))  # noqa: RUF001 - a wide one
    assert {row[2] for row in rows_of(csv_of(hostile))[1:]} == {f"'{text}" for text in EVIL}


@pytest.mark.parametrize("text", ["Thôn Đông", "N001", "", "5 = 5", "giờ yên lặng: 2"])
def test_what_is_no_formula_stays_as_it_is(text: str) -> None:
    assert guarded(text) == text


def test_a_workbook_is_read_back_with_numbers_as_numbers(report: Report) -> None:
    book = openpyxl.load_workbook(io.BytesIO(xlsx_of(report)))
    names = "Tổng hợp,Loại tin,Nguồn tiếp âm,Lý do,Địa bàn,Thời gian,Cụm loa,Khẩn cấp,Chi tiết"
    assert ",".join(book.sheetnames) == names
    areas = list(book["Địa bàn"].iter_rows(min_row=2, values_only=True))
    assert sum(int(row[3]) for row in areas) == report.totals.items
    assert areas[0][0] == "Thôn Đông"
    assert book["Địa bàn"]["D2"].number_format == "#,##0"
    summary = {row[0]: row[1] for row in book["Tổng hợp"].iter_rows(values_only=True) if row[0]}
    assert summary["Lượt phát (items)"] == "4.960"


def test_no_cell_of_a_workbook_is_a_formula(hostile: Report) -> None:
    book = openpyxl.load_workbook(io.BytesIO(xlsx_of(hostile)))
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert {cell.data_type for cell in cells} == {"s", "n"}
    titles = [row[0] for row in book["Cụm loa"].iter_rows(min_row=2)]
    assert [cell.quotePrefix for cell in titles] == [True] * len(EVIL)


def test_a_print_has_its_letters_and_names(report: Report) -> None:
    pages = pypdf.PdfReader(io.BytesIO(pdf_of(report))).pages
    text = " ".join(" ".join(page.extract_text().split()) for page in pages)
    for words in (
        "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM",
        "BÁO CÁO THÁNG 11 NĂM 2026",
        "Từ ngày 15/10/2026 đến ngày 14/11/2026",
        "Nghe được (nơi có micro hoặc cảm biến)",
        "thiếu tệp âm thanh",
        "Diễn tập phòng chống lũ quét",
        "THỦ TRƯỞNG ĐƠN VỊ",
        f"Trang {len(pages)}/{len(pages)}",
    ):
        assert words in text
    assert len(pages) == 3


def test_a_print_of_anything_is_bounded(hostile: Report, report: Report) -> None:
    odd = "\x00\u202e" + "Ắ" * 500
    lines = [msgspec.structs.replace(report.nodes[0], title=odd, sums=Sums(items=1, missed=1)) for _ in range(400)]
    pages = pypdf.PdfReader(
        io.BytesIO(pdf_of(msgspec.structs.replace(report, nodes=tuple(lines), area_title=odd)))
    ).pages
    assert len(pages) < 80
    assert "và 250 dòng nữa" in " ".join(" ".join(page.extract_text().split()) for page in pages)
    assert pdf_of(hostile).startswith(b"%PDF-")


def test_the_same_report_gives_the_same_bytes(report: Report) -> None:
    for make in (csv_of, xlsx_of, pdf_of):
        assert make(report) == make(report)


def test_figures_that_are_not_complete_say_so(report: Report) -> None:
    half = msgspec.structs.replace(report, counted_share=0.43)
    assert "đã xong 43,0 %" in pypdf.PdfReader(io.BytesIO(pdf_of(half))).pages[0].extract_text()
    book = openpyxl.load_workbook(io.BytesIO(xlsx_of(half)))
    assert any("đã xong 43,0 %" in str(row[1]) for row in book["Tổng hợp"].iter_rows(values_only=True))
