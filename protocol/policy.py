"""What a place lays down for its poles: when they are quiet, how long they may be on air, how loud they may be.

Plain types that an assignment is made of, so that the policy arrives signed; everybody takes these names from
`messages`. The guard on the node keeps them (`edge.guard`): no plan and no order changes them. What they mean at an
instant stands in `quiet`, `air_time` and `house_rules`, for the node and for the desk that plans ahead alike.

Whom they bind: quiet hours and volume caps everything but a real emergency, so a drill too; air time what is routine
or priority. An emergency or a drill uses no air time of the place and is never cut short by it.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

MINUTES_A_DAY: Final = 24 * 60
VOLUME_CAPS_MAX: Final = 8
"""A day has its mornings, lessons, noon rest and evenings; more spans than this nobody keeps in mind."""
MinuteOfDay = Annotated[int, Meta(ge=0, lt=MINUTES_A_DAY, description="local minute of the day")]
FetchBytes = Annotated[int, Meta(ge=0, lt=2**50, description="bytes of media fetched in a local day")]


class QuietHours(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Local times of day between which nothing but a real emergency sounds; may cross midnight."""

    begin_minute: MinuteOfDay = 21 * 60
    end_minute: MinuteOfDay = 5 * 60 + 30

    def __post_init__(self) -> None:
        """Refuse an empty span, which some would read as the whole day."""
        if self.begin_minute == self.end_minute:
            raise ValueError("quiet hours begin and end at the same minute; say none, or two different times")


class AirTime(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How much of a day a place may be on air with what is routine or priority; None is no limit.

    A session is sound with pauses shorter than `pause_minutes`; its length counts from its first to its last sample,
    pauses included. The minutes of a day are those of sound, in the place's local day; a session belongs to the day in
    which it began.
    """

    session_minutes_max: Annotated[int, Meta(ge=1, le=MINUTES_A_DAY)] | None = None
    sessions_a_day_max: Annotated[int, Meta(ge=1, le=48)] | None = None
    minutes_a_day_max: Annotated[int, Meta(ge=1, le=MINUTES_A_DAY)] | None = None
    pause_minutes: Annotated[int, Meta(ge=1, le=180)] = 5

    def __post_init__(self) -> None:
        """Refuse one that limits nothing, which somebody meant otherwise."""
        if (self.session_minutes_max, self.sessions_a_day_max, self.minutes_a_day_max) == (None, None, None):
            raise ValueError("air time without any limit; name one, or leave the air time out")


class VolumeCap(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """No louder than this (dB above the calibrated level) between two local times of day; the same time is all day."""

    gain_db_max: Annotated[float, Meta(ge=-120.0, le=24.0)]
    begin_minute: MinuteOfDay = 0
    end_minute: MinuteOfDay = 0
