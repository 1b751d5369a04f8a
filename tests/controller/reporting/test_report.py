"""A report's figures: what is real and what a drill, by place and by cluster, and how they are said."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from controller.reporting import words
from controller.reporting.lines import Report, Sums
from controller.reporting.periods import period_of
from controller.reporting.questions import EmergencyAnswers, TallyAnswer, TimeRow
from controller.reporting.report import question_of, report_of
from controller.reporting.sheets import (
    areas_sheet,
    cut,
    emergencies_sheet,
    feeds_sheet,
    kinds_sheet,
    long_sheet,
    missing_sheet,
    sheets_of,
    times_sheet,
    without,
)
from controller.reporting.summary import BY_RULE, refused_by_rule, summary_of
from controller.reporting.text import text_of
from edge.player.arbiter import Reason
from tests.support.pki import DevelopmentKeys
from tests.support.report_world import MADE_AT_MS, NOVEMBER, answer_of, commune, commune_report, sums


@pytest.fixture(scope="module")
def report(pki: DevelopmentKeys) -> Report:
    return commune_report(commune(pki))


def test_what_is_real_is_never_added_to_drills(report: Report) -> None:
    assert (report.totals.items, report.drills.items) == (32 * 155, 32)
    assert report.totals.items == report.totals.aired + report.totals.missed
    assert report.totals.missed == sum(line.missed for line in report.reasons if line.reality == "real")
    assert [line.reality for line in report.kinds] == ["real", "real", "drill"]


def test_places_and_clusters_add_up_to_the_whole(report: Report) -> None:
    for name in ("items", "aired", "missed", "audible_ms"):
        assert sum(getattr(line.sums, name) for line in report.areas) == getattr(report.totals, name)
        assert sum(getattr(line.sums, name) for line in report.nodes) == getattr(report.totals, name)
    assert sum(line.nodes for line in report.areas) == len(report.nodes) == 32
    assert [line.title for line in report.areas][:2] == ["Thôn Đông", "Thôn Đoài"]


def test_a_month_is_shown_by_days_and_a_year_by_months(pki: DevelopmentKeys, report: Report) -> None:
    assert (len(report.times), report.times[0].when, report.times[-1].when) == (31, "2026-10-15", "2026-11-14")
    assert times_sheet(report).rows[4][:4] == ("19/10", 160, 148, 12)
    site = commune(pki)
    year = period_of(first="", last="", year="2026", today=NOVEMBER.last)
    rows = [TimeRow(key=key, counts=sums(items=1)) for key in year.series]
    answer = replace(answer_of(site), times=rows)
    question = question_of(site, area="xa", period=year)
    lines = report_of(site, area="xa", question=question, answer=answer, made_at_ms=MADE_AT_MS).times
    assert [line.when for line in lines] == ["2025-12", *(f"2026-{month:02}" for month in range(1, 13))]
    assert [line.sums.items for line in lines] == [17, *[1] * 11, 14]


def test_those_that_missed_are_named_the_worst_first(report: Report) -> None:
    rows = missing_sheet(report).rows
    assert len(rows) == sum(1 for line in report.nodes if line.sums.missed) == 8
    assert (rows[0][0], rows[0][-1]) == ("Cột loa 2 thôn Hạ", "thiếu tệp âm thanh: 12")


def test_a_cluster_without_records_is_named_where_others_have_some(report: Report) -> None:
    dead = msgspec.structs.replace(report.nodes[-1], sums=Sums(), title="Cột loa đã chết")
    half_dead = msgspec.structs.replace(report, nodes=(*report.nodes[:-1], dead))
    assert missing_sheet(half_dead).rows[-1][0] == "Cột loa đã chết"
    assert missing_sheet(half_dead).rows[-1][-1] == "không có bản ghi nào trong kỳ"
    assert {english: figure for _, english, figure in summary_of(half_dead)}["clusters without records"] == "1"
    nothing = msgspec.structs.replace(half_dead, totals=Sums())
    assert "Cột loa đã chết" not in [row[0] for row in missing_sheet(nothing).rows]


def test_what_a_rule_refused_is_told_from_faults(report: Report) -> None:
    assert refused_by_rule(report) == sum(line.missed for line in report.reasons if line.reason == "quiet_hours") > 0
    assert {str(reason) for reason in Reason} >= BY_RULE


def test_a_drill_names_who_did_not_sound(report: Report) -> None:
    [row] = emergencies_sheet(report).rows
    assert row == (
        "05:30 12/11/2026",
        "Diễn tập phòng chống lũ quét",
        "Xã Bình Minh",
        "diễn tập",
        32,
        31,
        "Cột loa 4 thôn Đông",
    )


def test_a_cluster_that_is_configured_no_more_is_in_the_report_of_everything_only(pki: DevelopmentKeys) -> None:
    site = commune(pki)
    answer = answer_of(site)
    with_gone = TallyAnswer(
        tallies=[*answer.tallies, replace(answer.tallies[0], node="GONE")],
        reasons=answer.reasons,
        nodes=answer.nodes,
        emergencies=[],
        lost_reports={},
        counted_share=1.0,
    )
    for area, is_in in (("", True), ("xa", False)):
        question = question_of(site, area=area, period=NOVEMBER)
        report = report_of(site, area=area, question=question, answer=with_gone, made_at_ms=MADE_AT_MS)
        assert ("GONE" in [line.node for line in report.nodes]) is is_in


def test_an_emergency_counts_only_the_clusters_that_were_asked_for(pki: DevelopmentKeys) -> None:
    site = commune(pki)
    answer = answer_of(site)
    question = question_of(site, area="thon-0", period=NOVEMBER)
    [drill] = answer.emergencies
    one = TallyAnswer(
        tallies=[],
        reasons=[],
        nodes=[],
        emergencies=[EmergencyAnswers(record=drill.record, sounded=drill.sounded)],
        lost_reports={},
        counted_share=1.0,
    )
    [line] = report_of(site, area="thon-0", question=question, answer=one, made_at_ms=0).emergencies
    assert (line.expected, line.sounded, line.missing) == (4, 3, ("Cột loa 4 thôn Đông",))


def test_nothing_is_a_dash_and_never_a_share(pki: DevelopmentKeys) -> None:
    site = commune(pki)
    nothing = TallyAnswer(tallies=[], reasons=[], nodes=[], emergencies=[], lost_reports={}, counted_share=1.0)
    question = question_of(site, area="xa", period=NOVEMBER)
    report = report_of(site, area="xa", question=question, answer=nothing, made_at_ms=MADE_AT_MS)
    figures = {english: figure for _, english, figure in summary_of(report)}
    assert (figures["items"], figures["aired"], figures["availability"]) == ("0", "0", words.DASH)
    assert "Không có lượt phát nào trong kỳ này" in text_of(report)
    assert len(areas_sheet(report).rows) == 8
    assert kinds_sheet(report).rows == ()
    assert len(long_sheet(report).rows) == 32


def test_every_table_has_as_many_cells_as_headings(report: Report) -> None:
    for sheet in (*sheets_of(report), missing_sheet(report), long_sheet(report)):
        assert {len(row) for row in sheet.rows} == {len(sheet.columns)}
    narrow = without(kinds_sheet(report), {"class", "minutes"})
    assert {len(row) for row in narrow.rows} == {len(narrow.columns)} == {len(kinds_sheet(report).columns) - 2}


def test_what_nobody_heard_of_is_counted_and_named(pki: DevelopmentKeys) -> None:
    """A cluster dies in the middle of the month: aired, missed and no word yet are what was due, everywhere."""
    site = commune(pki)
    answer = answer_of(site)
    dying = next(row for row in answer.tallies if row.node == "N002" and row.source == "media")
    silent = replace(dying, counts=sums(), no_word=24)
    drill = replace(dying, counts=sums(), no_word=1, reality="drill", source="emergency", broadcast_class="emergency")
    days = [TimeRow(key=20261101, counts=sums(), no_word=24)]
    answer = replace(answer, tallies=[*answer.tallies, silent, drill], times=[*answer.times, *days])
    question = question_of(site, area="xa", period=NOVEMBER)
    report = report_of(site, area="xa", question=question, answer=answer, made_at_ms=MADE_AT_MS)
    assert (report.totals.no_word, report.drills.no_word) == (24, 1)
    everywhere = [report.totals, report.drills, *(line.sums for line in report.nodes)]
    everywhere += [line.sums for line in report.areas] + [line.sums for line in report.kinds]
    for each in (*everywhere, *(line.sums for line in report.times)):
        assert each.aired + each.missed + each.no_word == each.expected
    assert report.totals.expected == 32 * 155 + 24
    assert {line.when: line.sums.no_word for line in report.times}["2026-11-01"] == 24
    assert (report.nodes[0].node, missing_sheet(report).rows[0][0]) == ("N002", "Cột loa 2 thôn Đông")
    assert missing_sheet(report).rows[0][-1] == "chưa có tin: 24"
    figures = {english: figure for _, english, figure in summary_of(report)}
    assert (figures["no word yet"], figures["items"]) == ("24 (0,5 %)", "4.984")
    assert report.areas[0].nodes_missing == 1


def test_a_place_where_everything_is_dead_says_so(pki: DevelopmentKeys) -> None:
    site = commune(pki)
    answer = answer_of(site)
    silent = [replace(row, counts=sums(), no_word=3) for row in answer.tallies if row.source == "media"]
    answer = replace(answer, tallies=silent, reasons=[], times=[])
    question = question_of(site, area="xa", period=NOVEMBER)
    report = report_of(site, area="xa", question=question, answer=answer, made_at_ms=MADE_AT_MS)
    figures = {english: figure for _, english, figure in summary_of(report)}
    assert (figures["aired"], figures["clusters without records"]) == ("0 (0,0 %)", "32")
    assert len(missing_sheet(report).rows) == 32


def test_stations_are_named_with_their_minutes(report: Report) -> None:
    assert feeds_sheet(report).rows == (
        ("VOV1", "vov1", "thật", 960, 960, 28_800.0, 32),
        ("Phát trực tiếp bằng micro", "", "thật", 32, 32, 960.0, 32),
    )


def test_what_is_cut_says_so(report: Report) -> None:
    whole = long_sheet(report)
    assert cut(whole, len(whole.rows)) == whole
    assert (len(cut(whole, 5).rows), cut(whole, 5).note) == (5, "… và 91 dòng nữa, xem tệp XLSX hoặc CSV.")


def test_the_text_has_all_that_matters(report: Report) -> None:
    text = text_of(report)
    for line in ("BÁO CÁO THÁNG 11 NĂM 2026: Xã Bình Minh, 15/10/2026 - 14/11/2026", "Cột loa 2 thôn Hạ", "98,2 %"):
        assert line in text
    assert "Chưa đủ số liệu" not in text
    assert "đã xong 43,0 %" in text_of(msgspec.structs.replace(report, counted_share=0.43))


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [(0, 0, words.DASH), (1, 1, "100,0 %"), (99_999, 100_000, "99,9 %"), (0, 5, "0,0 %"), (2, 3, "66,7 %")],
)
def test_not_all_is_never_a_hundred_percent(part: int, whole: int, expected: str) -> None:
    assert words.share(part, whole) == expected


@pytest.mark.parametrize(
    ("value", "decimals", "expected"), [(0, 0, "0"), (1234.5, 1, "1.234,5"), (10**7, 0, "10.000.000")]
)
def test_numbers_are_written_as_in_viet_nam(value: float, decimals: int, expected: str) -> None:
    assert words.number(value, decimals) == expected


@pytest.mark.parametrize(
    ("first", "last", "title"),
    [
        ("2025-12-15", "2026-12-14", "BÁO CÁO NĂM 2026"),
        ("2025-12-15", "2026-01-14", "BÁO CÁO THÁNG 1 NĂM 2026"),
        ("2026-02-15", "2026-03-14", "BÁO CÁO THÁNG 3 NĂM 2026"),
        ("2026-11-01", "2026-11-30", "BÁO CÁO"),
    ],
)
def test_a_report_is_called_by_its_period(report: Report, first: str, last: str, title: str) -> None:
    assert words.title_of(msgspec.structs.replace(report, first=first, last=last)) == title


def test_a_report_is_the_same_after_json(report: Report) -> None:
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(report)), type=Report) == report
    assert Sums() == msgspec.convert({}, type=Sums)
