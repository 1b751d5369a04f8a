"""Who may do what, where: roles, the actions of each, and what needs a fresh second factor.

A grant is a role in an area and everything in it, or everywhere. Rules kept: what no grant permits is refused; an
action that reaches people or devices for good needs a second factor that was proven a short while ago; the way out of
an emergency never does. A program cannot prove a second factor: its token does such things only where it was made to
act alone. Where a question comes from, and how the second factor is proven, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

EVERYWHERE: Final = "*"
"""The area of a grant that holds in every area, those to come included."""
Chain = Callable[[str], tuple[str, ...]]
"""From an area up to its root, itself first; empty where the area is unknown (`AreaTree.chain`)."""


class Role(StrEnum):
    """What a person is to an area."""

    VIEWER = "viewer"
    AUTHOR = "author"
    APPROVER = "approver"
    OPERATOR = "operator"
    TECHNICIAN = "technician"
    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"


class Action(StrEnum):
    """What rights are asked for."""

    SEE = "see"
    USE_ACCOUNT = "use_account"
    SECURE_ACCOUNT = "secure_account"
    WRITE_BULLETINS = "write_bulletins"
    APPROVE_BULLETINS = "approve_bulletins"
    WRITE_PROGRAMMES = "write_programmes"
    MANAGE_MEDIA = "manage_media"
    RELAY = "relay"
    SPEAK = "speak"
    RAISE_DRILL = "raise_drill"
    RAISE_EMERGENCY = "raise_emergency"
    END_EMERGENCY = "end_emergency"
    SILENCE = "silence"
    ENROL_NODES = "enrol_nodes"
    MANAGE_KEYS = "manage_keys"
    MANAGE_PEOPLE = "manage_people"
    READ_AUDIT = "read_audit"


PERMITTED: Final[Mapping[Role, frozenset[Action]]] = {
    Role.VIEWER: frozenset({Action.SEE}),
    Role.AUTHOR: frozenset({Action.SEE, Action.WRITE_BULLETINS, Action.MANAGE_MEDIA}),
    Role.APPROVER: frozenset({Action.SEE, Action.APPROVE_BULLETINS}),
    Role.OPERATOR: frozenset(
        {
            Action.SEE,
            Action.WRITE_BULLETINS,
            Action.WRITE_PROGRAMMES,
            Action.MANAGE_MEDIA,
            Action.RELAY,
            Action.SPEAK,
            Action.RAISE_DRILL,
            Action.RAISE_EMERGENCY,
            Action.END_EMERGENCY,
            Action.SILENCE,
        }
    ),
    Role.TECHNICIAN: frozenset({Action.SEE, Action.ENROL_NODES}),
    Role.ADMINISTRATOR: frozenset(
        {Action.SEE, Action.SILENCE, Action.ENROL_NODES, Action.MANAGE_KEYS, Action.MANAGE_PEOPLE}
    ),
    Role.AUDITOR: frozenset({Action.SEE, Action.READ_AUDIT}),
}
"""The table; docs/security.md shows the same one."""
OF_EVERYBODY: Final = frozenset({Action.USE_ACCOUNT, Action.SECURE_ACCOUNT})
"""What each person may do for themselves without any role."""
STEP_UP: Final = frozenset(
    {
        Action.RAISE_EMERGENCY,
        Action.SILENCE,
        Action.ENROL_NODES,
        Action.MANAGE_KEYS,
        Action.MANAGE_PEOPLE,
        Action.SECURE_ACCOUNT,
    }
)
"""What needs a second factor that was proven lately."""
FUTURE_MS_MAX: Final = 1_000
"""A proof that lies further ahead than this was made under a clock that has been set back, and counts no more."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Grant:
    """A role in an area and everything in it."""

    role: Role
    area: str = EVERYWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks, as far as it is known. `has_second_factor` says whether there is one that could be proven."""

    name: str
    grants: frozenset[Grant] = frozenset()
    is_person: bool = False
    acts_alone: bool = False
    has_second_factor: bool = False
    proven_at_ms: int | None = None


NOBODY: Final = Principal(name="")
ONLOOKER: Final = Principal(name="onlooker", grants=frozenset({Grant(role=Role.VIEWER)}))
"""Who looks at the page on the machine itself, and did not log in."""


class Verdict(StrEnum):
    """The answer to a question of rights."""

    ALLOWED = "allowed"
    LOGIN = "login"
    FORBIDDEN = "forbidden"
    STEP_UP = "step_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """May this be done in these areas? No area at all asks whether it may be done anywhere."""

    action: Action
    areas: tuple[str, ...] = ()


def decide(principal: Principal, question: Question, *, chain: Chain, now_ms: int, step_up_ms: int) -> Verdict:
    """The one place where rights are decided."""
    if not _is_permitted(principal, question, chain):
        return Verdict.FORBIDDEN if principal.name and principal != ONLOOKER else Verdict.LOGIN
    if question.action not in STEP_UP or principal.acts_alone:
        return Verdict.ALLOWED
    if not principal.is_person:
        return Verdict.FORBIDDEN
    if not principal.has_second_factor and question.action is Action.SECURE_ACCOUNT:
        return (
            Verdict.ALLOWED
        )  # the first second factor is added with the password alone, which the form asks for again
    return Verdict.ALLOWED if is_fresh(principal.proven_at_ms, now_ms, step_up_ms) else Verdict.STEP_UP


def is_fresh(proven_at_ms: int | None, now_ms: int, step_up_ms: int) -> bool:
    """Whether a second factor was proven lately."""
    return proven_at_ms is not None and -FUTURE_MS_MAX <= now_ms - proven_at_ms <= step_up_ms


def covers(grant_area: str, area: str, chain: Chain) -> bool:
    """Whether what holds in one area holds in another; an unknown area is covered from everywhere only."""
    return grant_area == EVERYWHERE or (area != EVERYWHERE and grant_area in chain(area))


def areas_of(principal: Principal, action: Action) -> frozenset[str] | None:
    """The topmost areas in which an action is permitted; None where it is permitted everywhere."""
    areas = frozenset(grant.area for grant in principal.grants if action in PERMITTED[grant.role])
    return None if EVERYWHERE in areas else areas


def within(grants: Iterable[Grant], owner: Iterable[Grant], chain: Chain) -> frozenset[Grant]:
    """Those grants that the owner's own grants carry: a token never does more than whom it stands for."""
    held = tuple(owner)
    return frozenset(
        grant
        for grant in grants
        if any(each.role is grant.role and covers(each.area, grant.area, chain) for each in held)
    )


def _is_permitted(principal: Principal, question: Question, chain: Chain) -> bool:
    if principal.is_person and question.action in OF_EVERYBODY:
        return True
    held = [grant.area for grant in principal.grants if question.action in PERMITTED[grant.role]]
    if not question.areas:
        return bool(held)
    return all(any(covers(each, area, chain) for each in held) for area in question.areas)
