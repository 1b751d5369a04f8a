"""A commune's report with everything in it: villages, misses, a drill, an emergency, clusters that are gone."""

from __future__ import annotations

import datetime as dt
from typing import Any

from controller.configuration.site import Site, site_of
from controller.records import EmergencyRecord, EmergencyState
from controller.reporting.lines import Report
from controller.reporting.outcome import COUNTS
from controller.reporting.periods import Period
from controller.reporting.questions import (
    EmergencyAnswers,
    FeedRow,
    NodeRow,
    ReasonRow,
    TallyAnswer,
    TallyQuestion,
    TallyRow,
    TimeRow,
)
from controller.reporting.report import question_of, report_of
from protocol.messages import MediaReference, Reality
from tests.support.controller_desk import config_of
from tests.support.pki import DevelopmentKeys

MADE_AT_MS = 1_795_300_200_000
"""2026-11-22 05:30 in Hà Nội."""
NOVEMBER = Period(first=dt.date(2026, 10, 15), last=dt.date(2026, 11, 14))
VILLAGES = ("Đông", "Đoài", "Trung", "Hạ", "Thượng", "Nguyễn Xá", "Lũng Phìn", "Ngọc Trạo")


def commune_places(*, nodes_each: int = 4) -> dict[str, Any]:
    """Areas and nodes of a commune of eight villages, as a configuration says them."""
    villages = [
        {"id": f"thon-{number}", "title": f"Thôn {name}", "parent": "xa"} for number, name in enumerate(VILLAGES)
    ]
    nodes = [
        {
            "id": f"N{number + 1:03}",
            "title": f"Cột loa {number % nodes_each + 1} thôn {VILLAGES[number // nodes_each]}",
            "area": f"thon-{number // nodes_each}",
            "report_key": f"{number + 1:064x}",
        }
        for number in range(nodes_each * len(VILLAGES))
    ]
    return {"areas": [{"id": "xa", "title": "Xã Bình Minh", "level": "commune"}, *villages], "nodes": nodes}


def commune(pki: DevelopmentKeys, *, nodes_each: int = 4) -> Site:
    """The site of that configuration."""
    return site_of(config_of(pki, **commune_places(nodes_each=nodes_each)))


def sums(**counts: int) -> tuple[int, ...]:
    """Counts as the store gives them."""
    return tuple(counts.get(name, 0) for name in COUNTS)


def answer_of(site: Site, *, counted_share: float = 1.0) -> TallyAnswer:
    """A month in which every seventh cluster missed something."""
    tallies, reasons, nodes = [], [], []
    for index, node in enumerate(site.nodes):
        missed = index % 7 * 2 if index % 7 > 4 else 0
        routine = {
            "items": 124,
            "aired": 124 - missed,
            "missed": missed,
            "whole": 120 - missed,
            "timed": 118,
            "punctual": 117,
        }
        sound = {
            "audible_ms": 124 * 900_000,
            "lost_ms": 4_000,
            "delivered": 120,
            "heard": 30 * (index % 2),
            "unheard": index % 3,
        }
        tallies += [
            _row(node, "routine", "media", "real", **routine, **sound),
            _row(
                node,
                "priority",
                "stream",
                "real",
                items=31,
                aired=31,
                whole=29,
                timed=31,
                punctual=31,
                audible_ms=31 * 1_800_000,
            ),
            _row(
                node,
                "emergency",
                "emergency",
                "drill",
                items=1,
                aired=int(index != 3),
                missed=int(index == 3),
                audible_ms=60_000,
            ),
        ]
        if missed:
            reasons.append(_reason(node, "media_missing" if index % 2 else "quiet_hours", "real", missed))
        if index == 3:
            reasons.append(_reason(node, "stop_button", "drill", 1))
        nodes.append(_watched(node, index))
    sounded = frozenset(name for index, name in enumerate(site.nodes) if index != 3)
    return TallyAnswer(
        tallies=tallies,
        reasons=reasons,
        nodes=nodes,
        emergencies=[EmergencyAnswers(record=drill_of(site), sounded=sounded)],
        lost_reports={"N002": 3},
        counted_share=counted_share,
        feeds=_feeds(site),
        times=[_day_row(key, number) for number, key in enumerate(NOVEMBER.series)],
    )


def _watched(node: str, index: int) -> NodeRow:
    """A cluster that was away an hour longer than the one before."""
    return NodeRow(
        node=node,
        up_ms=30 * 86_400_000 - index * 3_600_000,
        down_ms=index * 3_600_000,
        tests_passed=29,
        tests_failed=index % 2,
        tests_undecided=1,
    )


def _feeds(site: Site) -> list[FeedRow]:
    """A station every day, and one live voice."""
    return [
        FeedRow(node=node, feed=feed, reality="real", items=items, aired=items, audible_ms=items * 1_800_000)
        for node in site.nodes
        for feed, items in (("vov1", 30), ("", 1))
    ]


def _day_row(key: int, number: int) -> TimeRow:
    """One day of the month; on some something was missed."""
    missed = 12 if number % 9 == 4 else 0
    return TimeRow(key=key, counts=sums(items=160, aired=160 - missed, missed=missed, audible_ms=160 * 900_000))


def drill_of(site: Site) -> EmergencyRecord:
    """A drill that was meant for every cluster."""
    return EmergencyRecord(
        id="e1",
        area="xa",
        title="Diễn tập phòng chống lũ quét",
        clip_id="drill",
        clip=MediaReference(sha256="a" * 64, size_bytes=1, duration_ms=1),
        reality=Reality.DRILL,
        state=EmergencyState.ALL_CLEAR,
        raised_at_ms=MADE_AT_MS - 10 * 86_400_000,
        play_at_ms=0,
        repeat_every_ms=1,
        sounds_until_ms=1,
        expected=tuple(site.nodes),
    )


def commune_report(site: Site, *, area: str = "xa", counted_share: float = 1.0) -> Report:
    """The month's report on the commune."""
    question: TallyQuestion = question_of(site, area=area, period=NOVEMBER)
    answer = answer_of(site, counted_share=counted_share)
    return report_of(site, area=area, question=question, answer=answer, made_at_ms=MADE_AT_MS)


def _row(node: str, broadcast_class: str, source: str, reality: str, **counts: int) -> TallyRow:
    return TallyRow(node=node, broadcast_class=broadcast_class, source=source, reality=reality, counts=sums(**counts))


def _reason(node: str, reason: str, reality: str, missed: int) -> ReasonRow:
    kind = ("routine", "media") if reality == "real" else ("emergency", "emergency")
    return ReasonRow(node=node, broadcast_class=kind[0], source=kind[1], reality=reality, reason=reason, missed=missed)
