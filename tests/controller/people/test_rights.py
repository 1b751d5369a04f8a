"""Who may do what, where: the table, its twin in the documents, and every rule of the decision."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from controller.areas import Area, AreaTree
from controller.people.rights import (
    EVERYWHERE,
    FUTURE_MS_MAX,
    NOBODY,
    OF_EVERYBODY,
    ONLOOKER,
    PERMITTED,
    STEP_UP,
    Action,
    Grant,
    Principal,
    Question,
    Role,
    Verdict,
    areas_of,
    decide,
    within,
)
from controller.web.rules import RULES

TREE = AreaTree(
    [
        Area(id="tinh", title="Tỉnh", level=""),
        Area(id="xa", title="Xã", level="", parent="tinh"),
        Area(id="thon", title="Thôn", level="", parent="xa"),
        Area(id="xa2", title="Xã khác", level="", parent="tinh"),
    ]
)
NOW_MS = 1_000_000_000
STEP_UP_MS = 600_000


def person(*grants: Grant, proven_at_ms: int | None = None, has_second_factor: bool = True) -> Principal:
    return Principal(
        name="lan",
        grants=frozenset(grants),
        is_person=True,
        has_second_factor=has_second_factor,
        proven_at_ms=proven_at_ms,
    )


def asked(principal: Principal, action: Action, *areas: str) -> Verdict:
    question = Question(action=action, areas=areas)
    return decide(principal, question, chain=TREE.chain, now_ms=NOW_MS, step_up_ms=STEP_UP_MS)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("action", [each for each in Action if each not in OF_EVERYBODY])
def test_each_role_may_do_its_row_and_nothing_else(role: Role, action: Action) -> None:
    who = person(Grant(role=role, area="xa"), proven_at_ms=NOW_MS)
    expected = Verdict.ALLOWED if action in PERMITTED[role] else Verdict.FORBIDDEN
    assert asked(who, action, "xa") is expected
    assert asked(who, action, "thon") is expected
    for beyond in ("tinh", "xa2", EVERYWHERE, "nowhere", ""):
        assert asked(who, action, beyond) is Verdict.FORBIDDEN
    assert asked(who, action, "thon", "xa2") is Verdict.FORBIDDEN


def test_a_role_everywhere_covers_even_areas_to_come() -> None:
    who = person(Grant(role=Role.VIEWER))
    for area in ("tinh", "thon", EVERYWHERE, "not-yet-there"):
        assert asked(who, Action.SEE, area) is Verdict.ALLOWED
    assert areas_of(who, Action.SEE) is None
    assert areas_of(person(Grant(role=Role.VIEWER, area="xa")), Action.SEE) == frozenset({"xa"})


@pytest.mark.parametrize("action", sorted(STEP_UP - OF_EVERYBODY))
def test_a_second_factor_must_be_fresh(action: Action) -> None:
    roles = [Grant(role=role) for role in Role]
    for proven_at_ms, expected in (
        (NOW_MS, Verdict.ALLOWED),
        (NOW_MS - STEP_UP_MS, Verdict.ALLOWED),
        (NOW_MS - STEP_UP_MS - 1, Verdict.STEP_UP),
        (NOW_MS + FUTURE_MS_MAX, Verdict.ALLOWED),
        (NOW_MS + FUTURE_MS_MAX + 1, Verdict.STEP_UP),
        (None, Verdict.STEP_UP),
    ):
        assert asked(person(*roles, proven_at_ms=proven_at_ms), action) is expected
    assert asked(person(*roles, has_second_factor=False), action) is Verdict.STEP_UP
    program = Principal(name="service/1", grants=frozenset(roles))
    assert asked(program, action) is Verdict.FORBIDDEN
    alone = Principal(name="service/1", grants=frozenset(roles), acts_alone=True)
    assert asked(alone, action) is Verdict.ALLOWED


def test_the_way_out_of_an_emergency_never_asks_for_more() -> None:
    assert not STEP_UP & {Action.END_EMERGENCY, Action.RAISE_DRILL, Action.SEE, Action.RELAY, Action.READ_AUDIT}


def test_nobody_and_onlookers_are_asked_to_log_in() -> None:
    assert asked(NOBODY, Action.SEE) is Verdict.LOGIN
    assert asked(ONLOOKER, Action.SEE) is Verdict.ALLOWED
    for action in set(Action) - {Action.SEE}:
        assert asked(ONLOOKER, action) is Verdict.LOGIN


def test_everybody_has_an_account_and_its_first_second_factor_needs_none() -> None:
    assert asked(person(), Action.USE_ACCOUNT) is Verdict.ALLOWED
    assert asked(person(has_second_factor=False), Action.SECURE_ACCOUNT) is Verdict.ALLOWED
    assert asked(person(), Action.SECURE_ACCOUNT) is Verdict.STEP_UP


def test_a_token_never_does_more_than_its_owner() -> None:
    owner = [Grant(role=Role.OPERATOR, area="xa")]
    wanted = [Grant(role=Role.OPERATOR, area="thon"), Grant(role=Role.OPERATOR), Grant(role=Role.AUDITOR, area="xa")]
    assert within(wanted, owner, TREE.chain) == {Grant(role=Role.OPERATOR, area="thon")}


def test_the_documents_show_this_table() -> None:
    text = (Path(__file__).parents[3] / "docs" / "security.md").read_text()
    section = re.search(r"<!-- rights -->(.*?)<!-- end -->", text, re.DOTALL)
    assert section
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", section[1], re.MULTILINE)
    shown = {
        action: ({each.strip(" `") for each in roles.split(",")}, factor.strip()) for action, roles, factor in rows
    }
    real = {
        action.value: (
            {"everybody"} if action in OF_EVERYBODY else {role.value for role in Role if action in PERMITTED[role]},
            "yes" if action in STEP_UP else "no",
        )
        for action in Action
    }
    assert shown == real


def test_what_no_route_does_yet_is_known() -> None:
    used = {rule.action for rule in RULES.values()} | {Action.RAISE_DRILL}
    assert set(Action) - used == {Action.MANAGE_KEYS}
