"""Versions of what people write: nothing is overwritten, nothing is deleted; pure.

Each change makes the next version, which names who made it and when; what is removed is a version that is archived, and
undoing is a version that says again what an earlier one said. So every step can be taken back, that one too.

Rules kept: a change names the version that its author has read, and is refused where another has come since; what is
archived is changed by restoring it only; a change that changes nothing makes no version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, TypeVar

from controller.errors import RequestCode, RequestError
from controller.people.audit import Actor
from controller.programmes.bulletin import Bulletin
from controller.programmes.programme import Programme

VERSIONS_SHOWN_MAX: Final = 200
"""The newest ones; older ones are asked for by number."""
PaperT = TypeVar("PaperT", Programme, Bulletin)


class Change(StrEnum):
    """How a version came about."""

    ADDED = "added"
    EDITED = "edited"
    REMOVED = "removed"
    RESTORED = "restored"
    IMPORTED = "imported"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(Generic[PaperT]):
    """One state of a programme or a bulletin; `restores` is the number of the version that it says again."""

    number: int
    at_ms: int
    who: str
    change: Change
    paper: PaperT
    is_archived: bool = False
    restores: int = 0


def added(
    head: Version[PaperT] | None, paper: PaperT, *, by: Actor, at_ms: int, change: Change = Change.ADDED
) -> Version[PaperT]:
    """The first version; raises RequestError where the id is in use."""
    if head is None:
        return Version(number=1, at_ms=at_ms, who=by.who, change=change, paper=paper)
    what = "đã lưu trữ, hãy khôi phục nó / is archived: undo its removal" if head.is_archived else "đã có / exists"
    raise RequestError(RequestCode.CONFLICT, f"{paper.id!r} {what}, hoặc chọn mã khác / or choose another id")


def edited(
    head: Version[PaperT] | None,
    paper: PaperT,
    *,
    read: int,
    by: Actor,
    at_ms: int,
    change: Change = Change.EDITED,
) -> Version[PaperT] | None:
    """The next version, None where it says what the standing one says; raises RequestError."""
    standing = _standing(head, paper.id, read)
    if standing.paper == paper:
        return None
    return Version(number=standing.number + 1, at_ms=at_ms, who=by.who, change=change, paper=paper)


def removed(head: Version[PaperT] | None, name: str, *, read: int, by: Actor, at_ms: int) -> Version[PaperT]:
    """The next version, archived; raises RequestError."""
    standing = _standing(head, name, read)
    return Version(
        number=standing.number + 1,
        at_ms=at_ms,
        who=by.who,
        change=Change.REMOVED,
        paper=standing.paper,
        is_archived=True,
    )


def restored(
    versions: Sequence[Version[PaperT]], name: str, *, to: int | None, by: Actor, at_ms: int
) -> Version[PaperT]:
    """What an earlier version said, the one before the last where none is named; raises RequestError."""
    if not versions:
        raise unknown(name)
    head = versions[-1]
    if to is None and head.number == 1:
        what = "mới có một phiên bản, không có gì để hoàn tác / has one version: there is nothing to undo"
        raise RequestError(RequestCode.CONFLICT, f"{name!r} {what}; remove it, if it should not be")
    wanted = head.number - 1 if to is None else to
    found = next((each for each in versions if each.number == wanted), None)
    if found is None or found.number == head.number:
        known = f"1 - {head.number - 1}" if head.number > 1 else "none"
        what = f"không có phiên bản trước số {wanted} / has no earlier version {wanted}"
        raise RequestError(RequestCode.NOT_FOUND, f"{name!r} {what}; earlier ones: {known}")
    return Version(
        number=head.number + 1,
        at_ms=at_ms,
        who=by.who,
        change=Change.RESTORED,
        paper=found.paper,
        is_archived=found.is_archived,
        restores=found.number,
    )


def unknown(name: str) -> RequestError:
    """There is none of this name."""
    return RequestError(RequestCode.NOT_FOUND, f"không có {name!r} / {name!r} is not known; list what there is")


def _standing(head: Version[PaperT] | None, name: str, read: int) -> Version[PaperT]:
    """The version that somebody has read and that still stands."""
    if head is None:
        raise unknown(name)
    if head.is_archived:
        what = "đã lưu trữ, hãy khôi phục trước / is archived; undo its removal first"
        raise RequestError(RequestCode.CONFLICT, f"{name!r} {what}")
    if head.number != read:
        what = f"đã được {head.who} sửa / was changed by {head.who}: it is version {head.number}"
        raise RequestError(RequestCode.CONFLICT, f"{name!r} {what}, not {read}; read it again, then repeat")
    return head
