"""The one collision rule: of two broadcasts that are due at once, which one sounds.

An emergency before a priority message before a routine one (Circular 39/2020/TT-BTTTT); among emergencies the
real one before the drill; then the upper area before the lower; then the earlier start; then the name, so that
every pole and the controller's screen decide alike. Whether a broadcast may sound at all is not decided here.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from protocol.messages import BroadcastClass, Reality

_CLASS_ORDER: Final = {BroadcastClass.EMERGENCY: 0, BroadcastClass.PRIORITY: 1, BroadcastClass.ROUTINE: 2}


class Rank(NamedTuple):
    """A place in the order; the smallest sounds. A tuple, so that ranks compare and sort by themselves."""

    class_order: int
    is_drill: bool
    area_depth: int
    starts_at_ms: int
    id: str


def rank(
    broadcast_class: BroadcastClass,
    area_depth: int,
    starts_at_ms: int,
    id: str,  # noqa: A002 - the field is called so in every message
    *,
    reality: Reality = Reality.REAL,
) -> Rank:
    """Rank of one broadcast; `min()` of the ranks of those that are due sounds.

    `area_depth` counts from the root of the tree of places, which is 0.
    """
    return Rank(
        class_order=_CLASS_ORDER[broadcast_class],
        is_drill=reality is Reality.DRILL,
        area_depth=area_depth,
        starts_at_ms=starts_at_ms,
        id=id,
    )
