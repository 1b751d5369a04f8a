"""How a broadcast comes on the air: with an attention signal or without, replacing what sounds or over it, when aimed.

Plain types that documents are made of; everybody takes these names from `messages`. The signal itself is made on the
node (`edge.player.chime`): a document says only how long it lasts, and so from which sample on the content sounds on
every pole, whatever version it runs. Which signal it is follows from class and reality and from nothing else, so that
no key for announcements can sound an alarm, and no drill can sound as one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta

CHIME_MS_MAX: Final = 10_000
"""Longer than this a signal is a programme."""
NOTICE_CHIME_MS: Final = 2_500
"""Two strokes of a gong and a breath: as long as a person needs to look up."""
EMERGENCY_CHIME_MS: Final = 3_000
"""Five changes of an alarm's two tones and a breath; longer than any amplifier needs to become warm."""
AIMING_DELAY_US_MAX: Final = 500_000
"""170 m of air: farther away a second horn is no louder than the street."""

ChimeMs = Annotated[
    int, Meta(ge=0, le=CHIME_MS_MAX, description="milliseconds of attention signal before the content; 0 is none")
]
AimingDelayUs = Annotated[
    int, Meta(ge=0, le=AIMING_DELAY_US_MAX, description="microseconds by which a cluster sounds after the others")
]


class Over(StrEnum):
    """What an announcement does to the programme that it interrupts."""

    REPLACE = "replace"
    """The programme falls silent, and is joined in step afterwards."""
    DUCK = "duck"
    """The programme goes on below the announcement, much quieter."""
