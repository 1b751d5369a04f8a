"""What a draft changes on one pole: two dry runs compared, item by item; pure.

An item is the same as long as its programme, date and number are (`programmes.occurrences`), so one that begins later
is moved and not another; one that is as it was may still sound differently, because of what changed around it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from controller.planning.dry_run import DryRun, Fate
from protocol.candidate import Candidate


class Change(StrEnum):
    """What becomes of an item by a draft."""

    NEW = "new"
    GONE = "gone"
    MOVED = "moved"
    """It begins at another instant."""
    CHANGED = "changed"
    """Its title, sound, length, class or order is another."""
    OTHERWISE = "otherwise"
    """It is as it was, but sounds otherwise: more, less, or not any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One item that changes; `before` None: it is new, `after` None: it is gone."""

    key: str
    change: Change
    before: Fate | None
    after: Fate | None


def differences(before: DryRun, after: DryRun) -> tuple[Difference, ...]:
    """What changes from one run to the other, by the instant at which it begins now, or else began."""
    known = {fate.candidate.key: fate for fate in before.fates}
    coming = {fate.candidate.key: fate for fate in after.fates}
    found = []
    for key in known.keys() | coming.keys():
        change = _change(known.get(key), coming.get(key))
        if change is not None:
            found.append(Difference(key=key, change=change, before=known.get(key), after=coming.get(key)))
    return tuple(sorted(found, key=_by_begin))


def _change(before: Fate | None, after: Fate | None) -> Change | None:
    if before is None or after is None:
        return Change.NEW if before is None else Change.GONE
    if before.candidate.starts_at_ms != after.candidate.starts_at_ms:
        return Change.MOVED
    if _content(before.candidate) != _content(after.candidate):
        return Change.CHANGED
    return Change.OTHERWISE if before.sounds != after.sounds else None


def _content(candidate: Candidate) -> tuple[object, ...]:
    """What an item is, whichever plan it stands in; what that plan's own end does to it shows in how it sounds."""
    return (
        candidate.title,
        candidate.broadcast_class,
        candidate.reality,
        candidate.media,
        candidate.feed,
        candidate.ends_at_ms,
        candidate.chime_ms,
        candidate.over,
        candidate.before_upper,
        candidate.round_ends_ms,
    )


def _by_begin(difference: Difference) -> tuple[int, str]:
    fate = difference.after or difference.before
    return (0 if fate is None else fate.candidate.starts_at_ms), difference.key
