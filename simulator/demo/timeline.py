"""What the demo does, and when: one list of steps, stretched to the time that it may take.

Pure: seconds from the beginning, no clock. The order is the main job: relay a station, play the playlist,
relay another feed, cut in with an emergency, end it, go on with the relay, be silent.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import Final

PLAYLIST_S: Final = 11.0
"""The two files of `clips` end to end."""
TAIL_S: Final = 5.0
"""From the last order to the end: audio in flight (1 s), hold (2 s), and time to look at the relays."""
SECONDS_MIN: Final = 45
"""Below it a relay of HLS, whose first sound takes several seconds, would have no time to sound."""
CYCLE_S: Final = 120
"""Length of one round when the demo runs until it is stopped."""


class Act(StrEnum):
    """What is done at a step; the names appear in the JSON as stages."""

    RELAY = "relay"
    RELAY_STOP = "relay_stop"
    PLAYLIST = "playlist"
    RELAY_HLS = "relay_hls"
    EMERGENCY = "emergency"
    ALL_CLEAR = "all_clear"
    RELAY_HLS_STOP = "relay_hls_stop"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One act, `at_s` after the beginning, and how it is announced."""

    act: Act
    at_s: float
    title: str
    title_english: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Phase:
    """An act, how long until the next one in a demo of a minute, and its part of any time beyond."""

    act: Act
    seconds: float
    part: float
    title: str
    title_english: str


_BASE_S: Final = 60.0
_PHASES: Final = (
    _Phase(act=Act.RELAY, seconds=13.5, part=0.3, title="Tiếp âm đài (Icecast)", title_english="relay of the station"),
    _Phase(act=Act.RELAY_STOP, seconds=2.5, part=0, title="Dừng tiếp âm", title_english="relay ends"),
    _Phase(
        act=Act.PLAYLIST,
        seconds=PLAYLIST_S + 1,
        part=0,
        title="Chương trình theo lịch",
        title_english="planned playlist",
    ),
    _Phase(act=Act.RELAY_HLS, seconds=10, part=0.3, title="Tiếp âm đài (HLS)", title_english="relay of the HLS feed"),
    _Phase(act=Act.EMERGENCY, seconds=11, part=0.1, title="PHÁT KHẨN CẤP", title_english="emergency cuts in"),
    _Phase(
        act=Act.ALL_CLEAR,
        seconds=6,
        part=0.3,
        title="Báo yên, tiếp âm tiếp tục",
        title_english="all-clear, relay goes on",
    ),
    _Phase(act=Act.RELAY_HLS_STOP, seconds=TAIL_S, part=0, title="Dừng tiếp âm", title_english="relay ends, silence"),
    _Phase(act=Act.END, seconds=0, part=0, title="Kết thúc", title_english="end"),
)


def timeline_for(seconds: float) -> list[Step]:
    """The steps of a demo of so many seconds; raises ValueError below SECONDS_MIN."""
    if seconds < SECONDS_MIN:
        message = f"the main job needs at least {SECONDS_MIN} s; {seconds:g} were given"
        raise ValueError(message)
    lengths = [phase.seconds + phase.part * (seconds - _BASE_S) for phase in _PHASES]
    begins = accumulate(lengths[:-1], initial=0.0)
    return [
        Step(act=phase.act, at_s=round(at, 3), title=phase.title, title_english=phase.title_english)
        for phase, at in zip(_PHASES, begins, strict=True)
    ]


def at_of(steps: list[Step], act: Act) -> float:
    """When an act is due, in seconds from the beginning."""
    return next(step.at_s for step in steps if step.act is act)
