"""What names, passwords, roles and sessions may be."""

from __future__ import annotations

import pytest

from controller.errors import RequestError
from controller.people.model import (
    PARTIAL_SESSION_MS,
    Session,
    SessionLimits,
    checked_name,
    checked_password,
    checked_title,
    grant_of,
    is_live,
)
from controller.people.rights import EVERYWHERE, Grant, Role

AREAS = frozenset({"xa", "dong"})
LIMITS = SessionLimits(idle_ms=1_000_000, absolute_ms=5_000_000)


def session(*, begun_at_ms: int = 0, seen_at_ms: int = 0, is_partial: bool = False) -> Session:
    return Session(
        id_sha256=bytes(32),
        person="lan",
        begun_at_ms=begun_at_ms,
        seen_at_ms=seen_at_ms,
        proven_at_ms=None,
        is_partial=is_partial,
        address="192.0.2.1",
        agent="",
    )


@pytest.mark.parametrize(
    ("text", "area"), [("operator@xa", "xa"), ("operator@*", EVERYWHERE), ("operator", EVERYWHERE)]
)
def test_a_role_holds_where_it_is_said_to(text: str, area: str) -> None:
    assert grant_of(text, AREAS) == Grant(role=Role.OPERATOR, area=area)


@pytest.mark.parametrize(
    "text", ["operator@", "operator@ ", "operator@tinh", "operator@xa@dong", "chief@xa", "@xa", ""]
)
def test_a_role_that_was_half_written_is_none(text: str) -> None:
    """`operator@$AREA` with nothing in AREA must not be a role everywhere."""
    with pytest.raises(RequestError):
        grant_of(text, AREAS)


@pytest.mark.parametrize(
    ("known", "at_ms", "is_expected"),
    [
        (session(), 1_000_000, True),
        (session(), 1_000_001, False),
        (session(seen_at_ms=4_500_000), 5_000_000, True),
        (session(seen_at_ms=4_500_000), 5_000_001, False),
        (session(is_partial=True), PARTIAL_SESSION_MS, True),
        (session(is_partial=True, seen_at_ms=PARTIAL_SESSION_MS), PARTIAL_SESSION_MS + 1, False),
    ],
)
def test_a_session_ends_when_idle_when_old_and_soon_without_its_second_factor(
    known: Session, at_ms: int, *, is_expected: bool
) -> None:
    assert is_live(known, LIMITS, at_ms) is is_expected


@pytest.mark.parametrize("password", ["ngắn quá", "aaaaaaaaaaaaaaaa", "abababababab", "LAN-xa-binh-minh", "dài " * 51])
def test_a_password_that_is_soon_guessed_is_refused(password: str) -> None:
    with pytest.raises(RequestError):
        checked_password(password, name="lan")


def test_a_password_is_the_same_from_every_keyboard() -> None:
    composed, decomposed = "trời m\u01b0a t\u1ea7m tã", "tr\u01a1\u0300i mu\u031ba ta\u0302\u0300m ta\u0303"
    assert checked_password(composed, name="lan") == checked_password(decomposed, name="lan")


@pytest.mark.parametrize("name", ["l", "1an", "lan!", "la n", "-lan", "x" * 41, "làn"])
def test_a_name_to_log_in_with_is_plain(name: str) -> None:
    assert checked_name(" Lan.2\n") == "lan.2"
    with pytest.raises(RequestError):
        checked_name(name)


@pytest.mark.parametrize("title", ["", "  ", "x" * 81, "Lan\u202e"])
def test_what_a_person_is_called_can_be_read(title: str) -> None:
    with pytest.raises(RequestError):
        checked_title(title)
    assert checked_title("  Chị \n Lan ") == "Chị Lan"
