"""Public holidays: days of the solar and of the lunar year; data, and what is added or taken away by decree; pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Holidays:
    """Holidays of each year as (month, day), and single days that are or are not."""

    solar: frozenset[tuple[int, int]] = frozenset()
    added: frozenset[dt.date] = frozenset()
    taken: frozenset[dt.date] = frozenset()

    def has(self, day: dt.date) -> bool:
        """Whether a day is a holiday."""
        return day in self.added or (day not in self.taken and (day.month, day.day) in self.solar)


VIET_NAM: Final = Holidays(solar=frozenset({(1, 1), (4, 30), (5, 1), (9, 1), (9, 2)}))
