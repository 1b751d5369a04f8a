"""Public holidays: days of the solar and of the lunar year; data, with what is added or taken away each year; pure.

The law (Labour Code of 2019, article 112) says how many; which days of Tết and which neighbour of the second of
September they are, and what is made up for a weekend, is said each year by the government. So the site's configuration
may name single days, or other days altogether.

Rules kept: a single day that is named goes before the days of every year; a lunar holiday is never in a leap month.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from controller.programmes.lunar import lunar_date_of, tet_of

MonthDay = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holidays:
    """Holidays by (month, day) of the solar and of the lunar year, days before Tết, and single days that differ."""

    solar: Mapping[MonthDay, str] = field(default_factory=dict)
    lunar: Mapping[MonthDay, str] = field(default_factory=dict)
    before_tet: int = 0
    added: Mapping[dt.date, str] = field(default_factory=dict)
    taken: frozenset[dt.date] = frozenset()

    def has(self, day: dt.date) -> bool:
        """Whether a day is a holiday."""
        return self.name_of(day) is not None

    def name_of(self, day: dt.date) -> str | None:
        """What a holiday is called; None for another day."""
        if day in self.added:
            return self.added[day]
        if day in self.taken:
            return None
        return self.solar.get((day.month, day.day)) or self._lunar_name_of(day)

    def between(self, first: dt.date, last: dt.date) -> list[tuple[dt.date, str]]:
        """All holidays between two days, in order."""
        days = (first + dt.timedelta(days=number) for number in range((last - first).days + 1))
        return [(day, name) for day in days if (name := self.name_of(day)) is not None]

    def _lunar_name_of(self, day: dt.date) -> str | None:
        date = lunar_date_of(day)
        if date is None:
            return None
        if not date.is_leap and (date.month, date.day) in self.lunar:
            return self.lunar[date.month, date.day]
        tet = tet_of(date.year + 1)
        return TET if tet is not None and 0 < (tet - day).days <= self.before_tet else None


TET: Final = "Tết Nguyên đán"
VIET_NAM: Final = Holidays(
    solar={
        (1, 1): "Tết Dương lịch",
        (4, 30): "Ngày Giải phóng miền Nam, thống nhất đất nước",
        (5, 1): "Ngày Quốc tế Lao động",
        (9, 1): "Quốc khánh",
        (9, 2): "Quốc khánh",
        (11, 24): "Ngày Văn hóa Việt Nam",
    },
    lunar={(1, 1): TET, (1, 2): TET, (1, 3): TET, (1, 4): TET, (3, 10): "Giỗ Tổ Hùng Vương"},
    before_tet=1,
)
"""Tết as its eve and four days, the National Day with the day before it: how most recent years had them. The day of
culture is new since 2026 (resolution 80-NQ/TW)."""
