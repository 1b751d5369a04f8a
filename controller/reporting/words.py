"""How figures and values of a report are said: Vietnamese first, numbers as they are written in Việt Nam.

`1.234,5` is one thousand two hundred thirty-four and a half. What is not known is a dash and never a zero.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Final

from controller.reporting.lines import Report, Sums, Watched
from controller.reporting.periods import CLOSING_DAY
from controller.words import WORDS, reason_words

DASH: Final = "\N{EN DASH}"
EVERYWHERE: Final = ("Tất cả địa bàn", "all areas")
_MORE: Final[dict[str, tuple[str, str]]] = {
    # what the node says more than the words of a screen: why something was missed
    "pre_empted": ("nhường nội dung ưu tiên hơn", "outranked"),
    "other": ("lý do khác", "other reason"),
    "media": ("chương trình", "programme"),
    "stream": ("tiếp âm, trực tiếp", "relay, live"),
}

MEANING: Final = (
    "Lượt phát: một nội dung đến hạn trên một cụm loa; mỗi lượt chỉ tính một lần, dù có nhiều bản ghi.",
    "Đã nhận đủ nội dung: tệp hoặc luồng đã có trên cụm loa khi đến hạn, dù sau đó có phát hay không.",
    "Đã phát: đã bắt đầu phát ra loa, dù muộn hay ngắn. Bỏ lỡ: không phát được, kèm lý do.",
    "Chưa có tin: đã đến hạn theo lịch nhưng chưa nhận được bản ghi nào, thường do cụm loa hỏng hoặc mất kết nối.",
    "Lượt phát = đã phát + bỏ lỡ + chưa có tin. Khi bản ghi về muộn, lượt chưa có tin thành đã phát hoặc bỏ lỡ.",
    "Bị chặn theo quy định: giờ yên lặng, trần thời lượng, lệnh im lặng, nút dừng, nội dung hết hạn hoặc phải nhường.",
    "Phát trọn vẹn: phát liền một mạch đến hết, hoặc đến khi được lệnh dừng. Số phút: thời gian thực có tiếng.",
    "Đúng giờ: bắt đầu lệch không quá 1 giây; chỉ tính lượt mà đồng hồ của cụm loa đáng tin.",
    "Nghe được: micro, cảm biến hoặc dòng điện tăng âm xác nhận có tiếng; nơi không có cảm biến thì không tính.",
    "Sẵn sàng: phần thời gian cụm loa giữ kết nối, trong thời gian máy chủ theo dõi được.",
    "Mất kết nối không có nghĩa là im lặng: cụm loa vẫn phát theo lịch, bản ghi về muộn được cộng vào đúng ngày.",
    "Diễn tập không tính vào các số liệu phát thật.",
)
"""What the figures mean, for whoever reads a printed report."""


def words_of(value: str) -> tuple[str, str]:
    """A class, a kind of source, a reality, a reason: Vietnamese, English; itself where there is no word for it."""
    known = _MORE.get(value) or WORDS.get(value) or reason_words(value)
    return known if known[0] != value else (value.replace("_", " "), value.replace("_", " "))


def number(value: float, decimals: int = 0) -> str:
    """A number as it is written in Việt Nam."""
    return f"{value:,.{decimals}f}".translate(str.maketrans(",.", ".,"))


def share(part: int, whole: int) -> str:
    """A part of a whole in percent; a dash of nothing. What is not all is never 100 %."""
    if not whole:
        return DASH
    percent = 100 * part / whole
    shown = f"{percent:.1f}"
    if part < whole and shown == "100.0":
        shown = "99.9"
    return shown.replace(".", ",") + " %"


def share_words(part: float) -> str:
    """A share from 0 to 1 in percent."""
    return share(round(part * 10**9), 10**9)


def minutes(ms: int) -> float:
    """Milliseconds as minutes, to a tenth."""
    return round(ms / 60_000, 1)


def duration(ms: int) -> str:
    """Hours and minutes."""
    total = round(ms / 60_000)
    hours, rest = divmod(total, 60)
    return f"{number(hours)} giờ {rest:02} phút" if hours else f"{rest} phút"


def date_words(text: str) -> str:
    """2026-11-22 as 22/11/2026."""
    return dt.date.fromisoformat(text).strftime("%d/%m/%Y")


def when_words(text: str) -> str:
    """2026-11-22 as 22/11, 2026-11 as 11/2026."""
    year, month, *day = text.split("-")
    return f"{day[0]}/{month}" if day else f"{month}/{year}"


def time_words(at_ms: int, time_zone: str) -> str:
    """An instant as 05:30 22/11/2026."""
    return dt.datetime.fromtimestamp(at_ms / 1000, tz=zoneinfo.ZoneInfo(time_zone)).strftime("%H:%M %d/%m/%Y")


def title_of(report: Report) -> str:
    """What a report is called: of a year or a month where its days are those of one."""
    first, last = dt.date.fromisoformat(report.first), dt.date.fromisoformat(report.last)
    if (first, last) == (dt.date(last.year - 1, 12, CLOSING_DAY + 1), dt.date(last.year, 12, CLOSING_DAY)):
        return f"BÁO CÁO NĂM {last.year}"
    before = last.replace(day=1) - dt.timedelta(days=1)
    if last.day == CLOSING_DAY and first == before.replace(day=CLOSING_DAY + 1):
        return f"BÁO CÁO THÁNG {last.month} NĂM {last.year}"
    return "BÁO CÁO"


def day_of(at_ms: int, time_zone: str) -> str:
    """The local day of an instant as 2026-11-22."""
    return dt.datetime.fromtimestamp(at_ms / 1000, tz=zoneinfo.ZoneInfo(time_zone)).date().isoformat()


def place_words(report: Report) -> str:
    """The place that a report is about."""
    return report.area_title or EVERYWHERE[0]


def availability(watched: Watched) -> str:
    """The share of the watched time in which clusters were connected."""
    return share(watched.up_ms, watched.up_ms + watched.down_ms)


def heard_share(sums: Sums) -> str:
    """Of the items that a sensor could judge, those that were heard."""
    return share(sums.heard, sums.heard + sums.unheard)


def still_counting(report: Report) -> str:
    """That figures are not complete, because reports of an earlier version are still being counted."""
    percent = share(round(1000 * report.counted_share), 1000)
    return f"Chưa đủ số liệu: đang tổng hợp bản ghi cũ, đã xong {percent} · incomplete, old records are still counted"
