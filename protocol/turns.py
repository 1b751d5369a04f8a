"""Turns: one zone after another sounds the same, where all at once would be an echo in which nobody understands a word.

Poles 60 to 500 m apart are heard 0.2 to 1.5 s one after the other however well their clocks agree. So an announcement
may be spoken by the zones in turn: a round has `count` turns of `length_ms` each, and a node of turn k sounds k lengths
after the round begins, on the same shared grid as everything else. Which node has which turn stands in its assignment.

Rules kept: a node whose turn lies beyond the round is taken into it again from the first turn on, so that nobody is
left out; what has no turns sounds everywhere at once.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

TURNS_MAX: Final = 16
"""Turns of one round: at a minute each the last zone hears a warning a quarter of an hour late; more is no warning."""
ROUND_MS_MAX: Final = 24 * 3600 * 1000
"""The bound of whatever a round is a part of."""

Turn = Annotated[int, Meta(ge=0, lt=TURNS_MAX, description="which turn of a round is a node's; 0 is the first")]


class Turns(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One round: how many turns it has, and how long each is, its pause at the end included."""

    count: Annotated[int, Meta(ge=2, le=TURNS_MAX)]
    length_ms: Annotated[int, Meta(gt=0, le=ROUND_MS_MAX, description="milliseconds")]

    def __post_init__(self) -> None:
        """Refuse a round that is longer than a day."""
        if self.round_ms > ROUND_MS_MAX:
            raise ValueError(f"a round of {self.count} turns of {self.length_ms} ms is longer than a day")

    @property
    def round_ms(self) -> int:
        """From the begin of a round to its end."""
        return self.count * self.length_ms


def shift_ms(turns: Turns | None, turn: int) -> int:
    """How much later than the round a node of a turn begins; 0 without turns."""
    return 0 if turns is None else turn % turns.count * turns.length_ms


def require_room(turns: Turns | None, *, sound_ms: int, round_ms: int, what: str) -> None:
    """Raise ValueError where a sound does not fit its turn, or the turns do not fit the time that they are given."""
    if turns is None:
        return
    if turns.length_ms < sound_ms:
        raise ValueError(f"{what}: a turn of {turns.length_ms} ms is shorter than its sound of {sound_ms} ms")
    if turns.round_ms > round_ms:
        raise ValueError(f"{what}: {turns.count} turns of {turns.length_ms} ms do not fit {round_ms} ms")
