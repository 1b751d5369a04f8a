"""A report as tables: headings in both languages and plain cells, the same for every file and page that shows them.

Pure. Cells are text, whole numbers, minutes or shares; how they look is decided by who prints, whether a cell could be
taken for a formula is guarded by who writes a file that spreadsheets open.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from controller.reporting import words
from controller.reporting.lines import KindLine, NodeLine, Report, Sums, Watched
from controller.reporting.summary import silent_nodes

Cell = str | int | float | None
"""None is not known, or of nothing."""


class As(StrEnum):
    """What a column's cells are."""

    TEXT = "text"
    COUNT = "count"
    MINUTES = "minutes"
    SHARE = "share"
    """From 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its heading in Vietnamese and English, what its cells are, its width in characters."""

    heading: str
    english: str
    cells: As = As.TEXT
    width: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A table with its name; `note` stands below it."""

    name: str
    title: str
    english: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


_SUMS: Final = (
    Column(heading="Lượt phát", english="items", cells=As.COUNT),
    Column(heading="Đã phát", english="aired", cells=As.COUNT),
    Column(heading="Bỏ lỡ", english="missed", cells=As.COUNT),
    Column(heading="Chưa có tin", english="no word yet", cells=As.COUNT),
    Column(heading="Tỷ lệ phát", english="aired share", cells=As.SHARE),
    Column(heading="Phát trọn vẹn", english="whole", cells=As.COUNT),
    Column(heading="Đúng giờ", english="started within 1 s", cells=As.SHARE),
    Column(heading="Số phút", english="minutes", cells=As.MINUTES),
    Column(heading="Nghe được", english="heard share", cells=As.SHARE),
)
_PROOF: Final = frozenset({"whole", "started within 1 s", "minutes", "heard share"})
"""Columns that only a wide table has."""
_NO_WORD: Final = "chưa có tin"
_NO_RECORDS: Final = "không có bản ghi nào trong kỳ"
_GONE: Final = "(không còn trong cấu hình)"
_WATCHED: Final = Column(heading="Sẵn sàng", english="available", cells=As.SHARE)


def shown(cell: Cell, kind: As) -> str:
    """A cell as people read it on a screen."""
    match cell:
        case None | "":
            return words.DASH
        case str():
            return cell
        case _ if kind is As.SHARE:
            return words.share_words(cell)
        case _:
            return words.number(cell, 1 if kind is As.MINUTES else 0)


def share_of(part: int, whole: int) -> float | None:
    """A part of a whole; None of nothing."""
    return part / whole if whole else None


def sheets_of(report: Report) -> tuple[Sheet, ...]:
    """All tables of a report but the long one."""
    return (
        kinds_sheet(report),
        feeds_sheet(report),
        reasons_sheet(report),
        areas_sheet(report),
        times_sheet(report),
        nodes_sheet(report),
        emergencies_sheet(report),
    )


def kinds_sheet(report: Report) -> Sheet:
    """By message class and source."""
    return Sheet(
        name="Loại tin",
        title="Theo loại tin và nguồn",
        english="by class and source",
        columns=(
            Column(heading="Loại tin", english="class", width=14),
            Column(heading="Nguồn", english="source", width=18),
            Column(heading="Thật / diễn tập", english="reality", width=12),
            *_SUMS,
        ),
        rows=tuple((*_kind(line), *_sums(line.sums)) for line in report.kinds),
    )


def feeds_sheet(report: Report) -> Sheet:
    """How long each station sounded, and live voices."""
    return Sheet(
        name="Nguồn tiếp âm",
        title="Theo đài tiếp âm và phát trực tiếp",
        english="by station, and live",
        columns=(
            Column(heading="Nguồn", english="station", width=30),
            Column(heading="Mã", english="id", width=16),
            Column(heading="Thật / diễn tập", english="reality", width=14),
            Column(heading="Lượt phát", english="items", cells=As.COUNT),
            Column(heading="Đã phát", english="aired", cells=As.COUNT),
            Column(heading="Số phút", english="minutes", cells=As.MINUTES),
            Column(heading="Số cụm loa", english="clusters", cells=As.COUNT),
        ),
        rows=tuple(
            (
                line.title or "Phát trực tiếp bằng micro",
                line.feed,
                words.words_of(line.reality)[0],
                line.items,
                line.aired,
                words.minutes(line.audible_ms),
                line.nodes,
            )
            for line in report.feeds
        ),
    )


def reasons_sheet(report: Report) -> Sheet:
    """Why items were missed."""
    rows = []
    for line in report.reasons:
        reason, reality = words.words_of(line.reason)[0], words.words_of(line.reality)[0]
        rows.append((reason, line.reason, reality, line.missed, line.nodes))
    return Sheet(
        name="Lý do",
        title="Lý do bỏ lỡ",
        english="why items were missed",
        columns=(
            Column(heading="Lý do", english="reason", width=44),
            Column(heading="Mã lý do", english="code", width=18),
            Column(heading="Thật / diễn tập", english="reality", width=14),
            Column(heading="Số lượt", english="items", cells=As.COUNT),
            Column(heading="Số cụm loa", english="clusters", cells=As.COUNT),
        ),
        rows=tuple(rows),
    )


def areas_sheet(report: Report) -> Sheet:
    """By the places directly below."""
    return Sheet(
        name="Địa bàn",
        title="Theo địa bàn",
        english="by area",
        columns=(
            Column(heading="Địa bàn", english="area", width=30),
            Column(heading="Cụm loa", english="clusters", cells=As.COUNT),
            Column(heading="Cụm phát thiếu", english="clusters that lack some", cells=As.COUNT),
            *_SUMS,
            _WATCHED,
        ),
        rows=tuple(
            (
                line.title or "(không còn trong cấu hình)",
                line.nodes,
                line.nodes_missing,
                *_sums(line.sums),
                _available(line.watched),
            )
            for line in report.areas
        ),
    )


def nodes_sheet(report: Report, nodes: Iterable[NodeLine] | None = None) -> Sheet:
    """By cluster, by name, with what each missed and why."""
    return Sheet(
        name="Cụm loa",
        title="Theo cụm loa",
        english="by cluster",
        columns=(
            Column(heading="Cụm loa", english="cluster", width=28),
            Column(heading="Mã", english="id", width=10),
            Column(heading="Địa bàn", english="area", width=24),
            *_SUMS,
            _WATCHED,
            Column(heading="Lý do bỏ lỡ", english="why missed", width=44),
        ),
        rows=tuple(
            (line.title, line.node, line.area_title, *_sums(line.sums), _available(line.watched), why_missed(line))
            for line in (report.nodes if nodes is None else nodes)
        ),
    )


def times_sheet(report: Report) -> Sheet:
    """By day, or by month where the period is long."""
    return Sheet(
        name="Thời gian",
        title="Theo thời gian",
        english="by day or month",
        columns=(Column(heading="Ngày, tháng", english="when", width=14), *_SUMS),
        rows=tuple((words.when_words(line.when), *_sums(line.sums)) for line in report.times),
    )


def missing_sheet(report: Report) -> Sheet:
    """Clusters that missed something real or are behind with their word, the worst first; those without any record."""
    unheard_of = silent_nodes(report)
    lines = [line for line in report.nodes if line.sums.missed or (line.sums.no_word and line.sums.items)]
    narrow = without(nodes_sheet(report, [*lines, *unheard_of]), _PROOF)
    return replace(
        narrow,
        title="Cụm loa bỏ lỡ, chưa có tin hoặc không có bản ghi",
        english="clusters that missed or are silent",
    )


def without(sheet: Sheet, english: Collection[str]) -> Sheet:
    """A table without some of its columns: paper and telephones are narrow."""
    kept = [index for index, column in enumerate(sheet.columns) if column.english not in english]
    columns = tuple(sheet.columns[index] for index in kept)
    return replace(sheet, columns=columns, rows=tuple(tuple(row[index] for index in kept) for row in sheet.rows))


def cut(sheet: Sheet, rows_max: int) -> Sheet:
    """A table that ends where nobody reads on, and says where the rest is."""
    rest = len(sheet.rows) - rows_max
    if rest <= 0:
        return sheet
    return replace(
        sheet, rows=sheet.rows[:rows_max], note=f"… và {words.number(rest)} dòng nữa, xem tệp XLSX hoặc CSV."
    )


def emergencies_sheet(report: Report) -> Sheet:
    """Emergencies and drills, and who did not sound, by name."""
    return Sheet(
        name="Khẩn cấp",
        title="Phát khẩn cấp và diễn tập",
        english="emergencies and drills",
        columns=(
            Column(heading="Lúc", english="at", width=17),
            Column(heading="Nội dung", english="what", width=28),
            Column(heading="Địa bàn", english="area", width=22),
            Column(heading="Thật / diễn tập", english="reality", width=12),
            Column(heading="Cụm loa", english="clusters", cells=As.COUNT),
            Column(heading="Đã phát", english="sounded", cells=As.COUNT),
            Column(heading="Không phát", english="did not sound", width=44),
        ),
        rows=tuple(
            (
                words.time_words(each.raised_at_ms, report.time_zone),
                each.title,
                each.area_title,
                words.words_of(each.reality)[0],
                each.expected,
                each.sounded,
                ", ".join(each.missing),
            )
            for each in report.emergencies
        ),
    )


def long_sheet(report: Report) -> Sheet:
    """One row for each cluster and kind: the table that other programs read."""
    return Sheet(
        name="Chi tiết",
        title="Chi tiết theo cụm loa và loại tin",
        english="by cluster and class",
        columns=(
            Column(heading="Địa bàn", english="area", width=24),
            Column(heading="Mã địa bàn", english="area id", width=14),
            Column(heading="Cụm loa", english="cluster", width=28),
            Column(heading="Mã", english="id"),
            Column(heading="Loại tin", english="class", width=14),
            Column(heading="Nguồn", english="source", width=18),
            Column(heading="Thật / diễn tập", english="reality"),
            *_SUMS,
            Column(heading="Đã nhận", english="delivered", cells=As.COUNT),
            Column(heading="Lượt đo nghe được", english="heard", cells=As.COUNT),
            Column(heading="Lượt đo không nghe được", english="not heard", cells=As.COUNT),
            Column(heading="Kết nối (phút)", english="connected minutes", cells=As.MINUTES),
            Column(heading="Mất kết nối (phút)", english="lost minutes", cells=As.MINUTES),
            Column(heading="Lý do bỏ lỡ", english="why missed", width=44),
        ),
        rows=tuple(row for line in report.nodes for row in _long_rows(line)),
    )


def why_missed(line: NodeLine) -> str:
    """The reasons of a cluster's misses, the most frequent first."""
    if not line.sums.items:
        return _NO_RECORDS
    unknown = [f"{_NO_WORD}: {words.number(line.sums.no_word)}"] if line.sums.no_word else []
    known = (f"{words.words_of(reason)[0]}: {words.number(count)}" for reason, count in line.reasons.items())
    return ", ".join([*known, *unknown])


def _long_rows(line: NodeLine) -> Iterable[tuple[Cell, ...]]:
    """Presence and reasons stand in a cluster's first row only, so that a column can be added up."""
    nothing = KindLine(broadcast_class="", source="", reality="", sums=Sums())
    for index, kind in enumerate(line.kinds or (nothing,)):
        known: Sequence[Cell] = (None, None, "")
        if index == 0:
            known = (words.minutes(line.watched.up_ms), words.minutes(line.watched.down_ms), why_missed(line))
        yield (
            *(line.area_title, line.area, line.title, line.node),
            *_kind(kind),
            *_sums(kind.sums),
            *(kind.sums.delivered, kind.sums.heard, kind.sums.unheard),
            *known,
        )


def _kind(line: KindLine) -> tuple[str, str, str]:
    parts = (line.broadcast_class, line.source, line.reality)
    named = [words.words_of(each)[0] if each else words.DASH for each in parts]
    return named[0], named[1], named[2]


def _sums(sums: Sums) -> tuple[Cell, ...]:
    return (
        sums.expected,
        sums.aired,
        sums.missed,
        sums.no_word,
        share_of(sums.aired, sums.expected),
        sums.whole,
        share_of(sums.punctual, sums.timed),
        words.minutes(sums.audible_ms),
        share_of(sums.heard, sums.heard + sums.unheard),
    )


def _available(watched: Watched) -> float | None:
    return share_of(watched.up_ms, watched.up_ms + watched.down_ms)
