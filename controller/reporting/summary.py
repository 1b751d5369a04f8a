"""What stands first in a report: its figures in words, and which clusters and misses are worth a look; pure."""

from __future__ import annotations

from typing import Final

from controller.reporting import words
from controller.reporting.lines import NodeLine, Report, Sums
from protocol.messages import Reality

BY_RULE: Final = frozenset(
    {
        *("quiet_hours", "air_time_session", "air_time_sessions", "air_time_day"),
        *("silenced", "stop_button", "stale", "pre_empted"),
    }
)
"""Reasons of a miss that are no fault of a cluster (`edge.player.arbiter.Reason`)."""


def summary_of(report: Report) -> tuple[tuple[str, str, str], ...]:
    """The figures that stand first: Vietnamese, English, the figure in words."""
    sums, watched = report.totals, report.watched
    clusters = len(report.nodes)
    missing = sum(1 for line in report.nodes if line.sums.missed)
    unknown = sum(1 for line in report.nodes if line.sums.no_word)
    tests = watched.tests_passed + watched.tests_failed
    return (
        ("Số cụm loa", "clusters", words.number(clusters)),
        ("Lượt phát", "items", words.number(sums.expected)),
        ("Đã phát", "aired", _part(sums.aired, sums.expected)),
        ("Bỏ lỡ", "missed", _part(sums.missed, sums.expected)),
        ("Trong đó bị chặn theo quy định", "of these refused by rule", words.number(refused_by_rule(report))),
        ("Chưa có tin báo về", "no word yet", _part(sums.no_word, sums.expected)),
        ("Cụm loa có bỏ lỡ", "clusters that missed", words.number(missing)),
        ("Cụm loa còn lượt chưa có tin", "clusters with no word of something", words.number(unknown)),
        ("Cụm loa không có bản ghi nào", "clusters without records", words.number(len(silent_nodes(report)))),
        ("Đã nhận đủ nội dung", "delivered", _part(sums.delivered, sums.items)),
        ("Phát trọn vẹn", "whole", _part(sums.whole, sums.aired)),
        ("Bắt đầu đúng giờ (lệch ≤ 1 giây)", "started within 1 s", words.share(sums.punctual, sums.timed)),
        ("Tổng thời lượng phát của các cụm", "sound, all clusters", words.duration(sums.audible_ms)),
        ("Mất tiếng trong khi phát", "silent while on air", words.duration(sums.lost_ms)),
        ("Nghe được (nơi có micro hoặc cảm biến)", "heard, where a sensor judged", _heard(sums)),
        ("Tỷ lệ sẵn sàng (kết nối)", "availability", words.availability(watched)),
        ("Tự kiểm tra âm thanh đạt", "self-tests passed", words.share(watched.tests_passed, tests)),
        ("Diễn tập: lượt phát / đã phát", "drills: items / aired", _of_drills(report.drills)),
        ("Bản ghi không về được", "records that never came", words.number(report.lost_reports)),
    )


def refused_by_rule(report: Report) -> int:
    """Real items that were meant not to sound: quiet hours, air time, an order; the rest of the missed are faults."""
    return sum(line.missed for line in report.reasons if line.reason in BY_RULE and line.reality != Reality.DRILL)


def silent_nodes(report: Report) -> list[NodeLine]:
    """Clusters of which nothing is on record while something was due: dead, cut off, or never installed."""
    return [line for line in report.nodes if not line.sums.items] if report.totals.expected else []


def _part(part: int, whole: int) -> str:
    return f"{words.number(part)} ({words.share(part, whole)})" if whole else words.number(part)


def _heard(sums: Sums) -> str:
    judged = sums.heard + sums.unheard
    return (
        f"{words.heard_share(sums)} ({words.number(sums.heard)}/{words.number(judged)} lượt)" if judged else words.DASH
    )


def _of_drills(sums: Sums) -> str:
    return f"{words.number(sums.expected)} / {words.number(sums.aired)}"
