"""What a configuration may lay down for an area or a node: air time, volume caps, a fetch budget.

Only how it is written; whom each rule binds stands in `protocol.policy`, which area's rule a node has in `policies`.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from protocol.policy import MINUTES_A_DAY, VOLUME_CAPS_MAX

WallTime = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z", description="local time, HH:MM")]


class AirTimeConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of a day a place may be on air with what is routine or priority; what is not named has no limit."""

    session_minutes_max: Annotated[int, Meta(ge=1, le=MINUTES_A_DAY)] | None = None
    sessions_a_day_max: Annotated[int, Meta(ge=1, le=48)] | None = None
    minutes_a_day_max: Annotated[int, Meta(ge=1, le=MINUTES_A_DAY)] | None = None
    pause_minutes: Annotated[int, Meta(ge=1, le=180)] = 5

    def __post_init__(self) -> None:
        """Refuse one that limits nothing."""
        if (self.session_minutes_max, self.sessions_a_day_max, self.minutes_a_day_max) == (None, None, None):
            raise ValueError(
                "air_time limits nothing; write session_minutes_max, sessions_a_day_max or minutes_a_day_max, or `none`"
            )


class VolumeCapConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How loud it may be at most between two local times; the same time twice is the whole day."""

    gain_db_max: Annotated[float, Meta(ge=-120, le=24)]
    begin: WallTime = "00:00"
    end: WallTime = "00:00"


VolumeCapConfigs = Annotated[tuple[VolumeCapConfig, ...], Meta(max_length=VOLUME_CAPS_MAX)]
FetchBytesConfig = Annotated[int, Meta(ge=0, lt=2**50)]
