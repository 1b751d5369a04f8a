"""What a dry run says, in words: Vietnamese first, English beside; data and plain functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

VERDICTS: Final[Mapping[str, str]] = {
    "sounds": "phát · sounds",
    "partly": "phát một phần · partly",
    "silent": "không phát · silent",
}
WHYS: Final[Mapping[str, str]] = {
    "class": "loại bản tin cao hơn · a higher class goes first",
    "reality": "thật trước diễn tập · real before drill",
    "order": "theo thứ tự xã đã chọn · as the lower area has ordered",
    "level": "cấp trên trước · the upper area goes first",
    "first": "bắt đầu trước · it began first",
    "name": "ngang nhau, theo tên · equal, so by name",
}
REASONS: Final[Mapping[str, str]] = {
    "quiet_hours": "giờ yên lặng · quiet hours",
    "stale": "bản tin hết hạn · the item has expired",
    "air_time_session": "hết thời lượng của buổi phát · the session is as long as it may be",
    "air_time_sessions": "hết số buổi phát trong ngày · no more sessions on this day",
    "air_time_day": "hết thời lượng trong ngày · no more air time on this day",
}
CHANGES: Final[Mapping[str, str]] = {
    "new": "thêm · new",
    "gone": "bỏ · gone",
    "moved": "dời giờ · moved",
    "changed": "đổi nội dung · changed",
    "otherwise": "phát khác đi · sounds otherwise",
}
WEEKDAYS: Final = ("Thứ hai", "Thứ ba", "Thứ tư", "Thứ năm", "Thứ sáu", "Thứ bảy", "Chủ nhật")
"""As `date.weekday` counts them."""


def said(words: Mapping[str, str], name: str) -> str:
    """A name in words; itself where a newer controller has said something that is not known here."""
    return words.get(name, name)
