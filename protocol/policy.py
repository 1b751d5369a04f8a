"""What a place lays down for its poles: when they are quiet.

Plain types that an assignment is made of, so that the policy arrives signed; everybody takes these names from
`messages`. The guard on the node keeps them (`edge.guard`): no plan and no order changes them.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class QuietHours(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Local times of day between which nothing but a real emergency sounds; may cross midnight."""

    begin_minute: Annotated[int, Meta(ge=0, lt=1440)] = 21 * 60
    end_minute: Annotated[int, Meta(ge=0, lt=1440)] = 5 * 60 + 30

    def __post_init__(self) -> None:
        """Refuse an empty span, which some would read as the whole day."""
        if self.begin_minute == self.end_minute:
            raise ValueError("quiet hours begin and end at the same minute; say none, or two different times")
