"""Drafts and what they change: text and keyset say the same; faults cannot be signed, risks are warned of."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import KeyFileError
from controller.keys.changes import Changes, changes_of
from controller.keys.draft import draft_text, parse_draft
from controller.keys.scopes import CLASS_WORDS, REALITY_WORDS, SIGNABLE_TYPES, TYPE_WORDS
from controller.keys.table import keyset_text
from protocol.messages import BroadcastClass, Keyset, OperationalKey, Reality
from tests.support.ceremony import DAY_MS, NOW_MS
from tests.support.issuer import Issuer, key_of

ISSUER = Issuer(NOW_MS)
ROOT = ISSUER.root
TEXT = """
version: 5
valid_from: "2026-11-01"
valid_until: "2027-10-31"
keys:
- key_id: op-1
  public_key: "{public}"
  valid_from: "2026-11-01"
  valid_until: "2027-01-31T12:00+07:00"
  areas: [xa-binh-minh]
  classes: [routine]
  realities: [real]
  document_types: [plan, assignment]
"""
GOOD = TEXT.format(public="ab" * 32)


def key(key_id: str = "op-1", **changes: Any) -> OperationalKey:
    fields = {"not_before_ms": NOW_MS - DAY_MS, "expires_at_ms": NOW_MS + 300 * DAY_MS}
    return ISSUER.operational(key_id, **{**fields, **changes})


def keyset(*keys: OperationalKey, version: int = 5, days: int = 300) -> Keyset:
    return Keyset(
        id=f"keyset.{version}",
        issuer="root",
        audience="everyone",
        counter=version,
        not_before_ms=NOW_MS - DAY_MS,
        expires_at_ms=NOW_MS + days * DAY_MS,
        keys=keys,
    )


def judged(new: Keyset, old: Keyset | None = None) -> Changes:
    return changes_of(new, in_force=old, root=ROOT, now_ms=NOW_MS)


def test_days_are_local_and_end_at_their_end() -> None:
    made = parse_draft(GOOD, name="d.yaml")
    assert made.counter == 5
    assert made.not_before_ms == 1_793_466_000_000  # 2026-10-31T17:00Z
    assert made.expires_at_ms == 1_825_002_000_000  # 2027-10-31T17:00Z
    assert made.keys[0].expires_at_ms == 1_801_371_600_000  # 2027-01-31T05:00Z
    assert made.keys[0].scope.document_types == ("assignment", "plan")


@given(
    st.integers(1, 2**50),
    st.lists(st.integers(0, 253_402_000_000_000), min_size=2, max_size=2),
    st.text(alphabet="abcáđ '\":#\n-{}", max_size=20),
)
def test_text_and_keyset_say_the_same(version: int, times: list[int], reason: str) -> None:
    one = key(not_before_ms=times[0], expires_at_ms=times[1], revoked=bool(reason), revoked_reason=reason)
    made = msgspec.structs.replace(keyset(one, key("op-2")), id=f"keyset.{version}", counter=version)
    expected = msgspec.structs.replace(
        made,
        keys=tuple(
            msgspec.structs.replace(
                each,
                scope=msgspec.structs.replace(each.scope, document_types=tuple(sorted(each.scope.document_types))),
            )
            for each in made.keys
        ),
    )
    assert parse_draft(draft_text(made), name="d.yaml") == expected


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("version: 5", "version: -5", "version"),
        ('valid_until: "2027-10-31"', "valid_until: 2027-10-31", "in quotes"),
        ('valid_until: "2027-10-31"', 'valid_until: "31/10/2027"', "is no date"),
        ('valid_until: "2027-10-31"', 'valid_until: "1969-10-31"', "before 1970"),
        ("[plan, assignment]", "[plan, keyset]", "keyset; there are"),
        ("[plan, assignment]", "[]", "document_types"),
        ("classes: [routine]", "classes: [loud]", "classes"),
        ("areas: [xa-binh-minh]", "areas: [Xa]", "areas"),
        ("realities: [real]", "reality: [real]", "did you mean realities"),
        ("ab" * 32, "zz" * 32, "public_key"),
        ("keys:", "keys:\nkeys:", "twice"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(old: str, new: str, why: str) -> None:
    assert old in GOOD
    with pytest.raises(KeyFileError, match=why):
        parse_draft(GOOD.replace(old, new, 1), name="d.yaml")


@given(st.text(max_size=100))
def test_any_text_is_named_as_no_draft(text: str) -> None:
    with pytest.raises(KeyFileError):
        parse_draft(text, name="d.yaml")


@pytest.mark.parametrize(
    ("new", "why"),
    [
        (keyset(key(), version=4), "does not follow 4"),
        (keyset(key(), version=3), "does not follow 4"),
        (keyset(key(), version=6), "does not follow 4"),
        (keyset(key(), days=-1), "no node would take it"),
        (keyset(key(public_key=bytes(32))), "another key than before"),
        (keyset(key(), key("gone")), "never comes back"),
        (keyset(key(), key()), "stands twice"),
        (keyset(key(), key("op-9", public_key=key().public_key)), "one key, one name"),
        (keyset(key("op-9", public_key=key_of("root-1").public_key().public_bytes_raw())), "key of the root"),
        (keyset(key("root-1")), "key of the root"),
        (keyset(key(expires_at_ms=NOW_MS - 2 * DAY_MS)), "end before it begins"),
        (keyset(*(key(f"k{number}", areas=("a" * 40,) * 9) for number in range(40))), "at most 16384"),
    ],
)
def test_what_must_not_be_signed_is_a_fault(new: Keyset, why: str) -> None:
    old = keyset(key(), key("gone", revoked=True, revoked_reason="lost"), version=4)
    assert why in " ".join(judged(new, old).faults)
    assert not judged(keyset(key()), old).faults


@pytest.mark.parametrize(
    ("new", "why"),
    [
        (keyset(), "no key of it may sign a real emergency"),
        (keyset(key()), "real emergencies everywhere"),
        (keyset(key(expires_at_ms=NOW_MS + 1_000 * DAY_MS)), "more than two years"),
        (keyset(key(), days=30), "good for longer than the keyset"),
        (keyset(key(expires_at_ms=NOW_MS + 10 * DAY_MS)), "keys keyset rotate"),
        (keyset(key("op-2")), "falls silent at once"),
        (keyset(key(revoked=True, revoked_reason="stolen")), "falls silent at once"),
    ],
)
def test_what_is_risky_is_a_warning(new: Keyset, why: str) -> None:
    assert why in " ".join(judged(new, keyset(key(), version=4)).warnings)


def test_a_key_for_drills_and_for_what_is_real_is_warned_of() -> None:
    both = key()
    both = msgspec.structs.replace(both, scope=msgspec.structs.replace(both.scope, realities=tuple(Reality)))
    assert "could mean it" in " ".join(judged(keyset(both)).warnings)


def test_every_difference_is_told() -> None:
    old = keyset(key(), key("op-2"), version=4)
    lines = "\n".join(judged(keyset(key(areas=("xa-binh-minh",)), key("op-3")), old).lines)
    for told in ("~ op-1", "-   areas *", "+   areas xa-binh-minh", "- op-2", "+ op-3", "4 (", "-> 5"):
        assert told in lines, told
    assert "không đổi" in "\n".join(judged(keyset(key()), keyset(key(), version=4)).lines)


def test_the_table_says_who_may_sign_what_until_when() -> None:
    drill = key("drill-1", reality=Reality.DRILL, areas=("xa-a", "xa-b"), document_types=("emergency", "all-clear"))
    lost = key("old-1", revoked=True, revoked_reason="mất máy")
    soon = key("op-9", expires_at_ms=NOW_MS + 3 * DAY_MS)
    text = keyset_text(keyset(key(document_types=SIGNABLE_TYPES), drill, lost, soon), verdict="v", now_ms=NOW_MS)
    for told in ("mọi nơi / everywhere", "xa-a, xa-b", "diễn tập / drill", "mất máy", "thu hồi / revoked", "báo yên"):
        assert told in text, told
    assert "! sắp hết hạn / op-9 ends" in text


def test_every_word_of_a_scope_has_its_vietnamese() -> None:
    assert set(TYPE_WORDS) == set(SIGNABLE_TYPES)
    assert set(CLASS_WORDS) == set(BroadcastClass)
    assert set(REALITY_WORDS) == set(Reality)
