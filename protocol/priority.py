"""The one collision rule: of two broadcasts that are due at once, which one sounds.

An emergency before a priority message before a routine one (Circular 39/2020/TT-BTTTT); among emergencies the
real one before the drill; then the upper area before the lower, but priority against priority as the lower area has
ordered: what it puts before those above (`before_upper`) sounds before them; then the earlier start; then the name, so
that every pole and the controller's screen decide alike. Whether a broadcast may sound at all is not decided here.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from protocol.messages import BroadcastClass, Reality

_CLASS_ORDER: Final = {BroadcastClass.EMERGENCY: 0, BroadcastClass.PRIORITY: 1, BroadcastClass.ROUTINE: 2}


class Rank(NamedTuple):
    """A place in the order; the smallest sounds. A tuple, so that ranks compare and sort by themselves.

    `level` is the area's depth, negative for what goes before the areas above: of two of these the lower area's is
    first, and any of them is before all others. It is one number, so that no three can win in a ring.
    """

    class_order: int
    is_drill: bool
    level: int
    starts_at_ms: int
    id: str


def rank(
    broadcast_class: BroadcastClass,
    area_depth: int,
    starts_at_ms: int,
    id: str,  # noqa: A002 - the field is called so in every message
    *,
    reality: Reality = Reality.REAL,
    before_upper: bool = False,
) -> Rank:
    """Rank of one broadcast; `min()` of the ranks of those that are due sounds.

    `area_depth` counts from the root of the tree of places, which is 0. `before_upper` counts for priority messages.
    """
    is_ahead = before_upper and broadcast_class is BroadcastClass.PRIORITY
    return Rank(
        class_order=_CLASS_ORDER[broadcast_class],
        is_drill=reality is Reality.DRILL,
        level=-area_depth if is_ahead else area_depth,
        starts_at_ms=starts_at_ms,
        id=id,
    )
