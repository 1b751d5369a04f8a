"""A bulletin: a text, a recording, or both, written by one person and approved by another before it sounds; pure.

    (nothing) --add--> written --approve--> approved
                       written --refuse---> refused
    written, approved, refused --edit--> written
    approved --refuse--> refused: it stops
    any --remove--> withdrawn: it stops
    withdrawn --undo--> written

Rules kept: nothing is approved by default; a decision is about the very version that was read; nobody decides on what
they wrote themselves, in this version or in one before it that nobody approved; only people decide, programs never.
While a newer version waits, what was approved before goes on sounding; what was withdrawn, or whose approval was taken
back, sounds again only when it is approved anew. After `valid_until` it does not sound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from msgspec import Struct

from controller.errors import RequestCode, RequestError
from controller.people.audit import Actor
from controller.programmes.programme import (
    Language,
    LocalInstant,
    Name,
    Text,
    Title,
    local_end_of,
    require_planned_class,
)
from controller.programmes.speech_text import VIETNAMESE
from protocol.identity import AreaId, MediaHash
from protocol.messages import BroadcastClass

REASON_CHARACTERS_MAX: Final = 200
NO_PERSON: Final = ("service", "")
"""What a program's name begins with when no person stands behind it."""


class Bulletin(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is to be heard, and until when it is true. Where there is a recording, that is what sounds."""

    id: Name
    title: Title
    area: AreaId
    valid_until: LocalInstant
    text: Text | None = None
    audio: MediaHash | None = None
    language: Language = VIETNAMESE
    broadcast_class: BroadcastClass = BroadcastClass.ROUTINE

    def __post_init__(self) -> None:
        """Refuse a bulletin of nothing, and a day that does not exist."""
        if self.text is None and self.audio is None:
            raise ValueError("a bulletin has a text, a recording (audio), or both")
        require_planned_class(self.broadcast_class)
        local_end_of(self.valid_until)


class BulletinState(StrEnum):
    """The life of the latest version."""

    WRITTEN = "written"
    APPROVED = "approved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class Verdict(StrEnum):
    """What was decided on a version; only the last word on it counts."""

    APPROVED = "approved"
    REFUSED = "refused"
    TAKEN_BACK = "taken_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Somebody's word on one version."""

    number: int
    who: str
    at_ms: int
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What must be known of a version to decide on it; `restores` is the number of the one that it says again."""

    number: int
    who: str
    is_archived: bool = False
    restores: int = 0


_VERDICTS: Final[Mapping[tuple[BulletinState, bool], Verdict]] = {
    (BulletinState.WRITTEN, True): Verdict.APPROVED,
    (BulletinState.WRITTEN, False): Verdict.REFUSED,
    (BulletinState.APPROVED, False): Verdict.TAKEN_BACK,
    (BulletinState.REFUSED, True): Verdict.APPROVED,
}
"""The state and whether somebody says yes; what is not here is refused."""


def state_of(drafts: Sequence[Draft], decisions: Sequence[Decision]) -> BulletinState:
    """The state of the latest version."""
    head = drafts[-1]
    if head.is_archived:
        return BulletinState.WITHDRAWN
    said = next((each for each in decisions if each.number == head.number), None)
    if said is None:
        return BulletinState.WRITTEN
    return BulletinState.APPROVED if said.verdict is Verdict.APPROVED else BulletinState.REFUSED


def airing_number(drafts: Sequence[Draft], decisions: Sequence[Decision]) -> int | None:
    """The version that may sound: the last one that was ever approved, unless that was taken back or withdrawn."""
    withdrawn = max((each.number for each in drafts if each.is_archived), default=0)
    said = [each for each in decisions if each.verdict is not Verdict.REFUSED and each.number > withdrawn]
    last = max(said, key=lambda each: each.number, default=None)
    return last.number if last is not None and last.verdict is Verdict.APPROVED else None


def authors_of(drafts: Sequence[Draft], decisions: Sequence[Decision]) -> frozenset[str]:
    """Whoever wrote anything since the last version that somebody approved, and what is said again."""
    seen = max((each.number for each in decisions if each.verdict is not Verdict.REFUSED), default=0)
    since = [each for each in drafts if each.number > seen] or list(drafts[-1:])
    again = {each.restores for each in since}
    return frozenset(person_of(each.who) for each in drafts if each in since or each.number in again)


def decided(
    drafts: Sequence[Draft],
    decisions: Sequence[Decision],
    *,
    read: int,
    is_approved: bool,
    reason: str,
    by: Actor,
    at_ms: int,
) -> Decision:
    """Somebody's decision on the version that they have read; raises RequestError."""
    head = drafts[-1]
    if head.number != read:
        what = f"bản tin đã được sửa, hãy đọc phiên bản {head.number} / it was changed: read version {head.number}"
        raise RequestError(RequestCode.CONFLICT, what)
    if person_of(by.who) in NO_PERSON:
        what = "chỉ người có tài khoản mới được duyệt / only a person decides: use a token of your own account"
        raise RequestError(RequestCode.FORBIDDEN, f"{what} (people token), or log in")
    if person_of(by.who) in authors_of(drafts, decisions):
        what = "người viết không tự duyệt, hãy nhờ người khác / nobody decides on what they wrote: ask somebody else"
        raise RequestError(RequestCode.FORBIDDEN, what)
    state = state_of(drafts, decisions)
    verdict = _VERDICTS.get((state, is_approved))
    if verdict is None:
        what = f"bản tin đang ở trạng thái {state.value} / the bulletin is {state.value}: this changes nothing"
        raise RequestError(RequestCode.CONFLICT, what)
    if not is_approved and not reason.strip():
        raise RequestError(RequestCode.BAD_REQUEST, "hãy ghi lý do / say why (reason), so that it can be made better")
    return Decision(
        number=head.number, who=by.who, at_ms=at_ms, verdict=verdict, reason=reason.strip()[:REASON_CHARACTERS_MAX]
    )


def person_of(who: str) -> str:
    """The person behind a name of the log: `an/3f…` is a program of an's."""
    return who.partition("/")[0]
