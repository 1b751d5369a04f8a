"""When a unit applies, waits, renews: the machine alone, with a clock that tests turn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.enrolment.identity import boot_settings, claim_sha256, without_claim
from edge.enrolment.lifecycle import (
    FIRST_RETRY_S,
    RETRY_S_MAX,
    TRANSITIONS,
    WAIT_S_MAX,
    Happening,
    Todo,
    Told,
    UnitEnrolment,
    UnitState,
    Validity,
    may_be_used,
    renewal_at_ms,
)
from edge.errors import ConfigurationError

DAY_MS = 24 * 3600 * 1000
NOW_MS = 1_795_000_000_000
VALID = Validity(not_before_ms=NOW_MS, not_after_ms=NOW_MS + 90 * DAY_MS)
BOOT = (
    "# of the commune\nnetwork: {ssid: loa}\nenrolment:\n  url: https://c.example.vn:8444\n"
    f"  ca_sha256: {'ab' * 32}\n  node: N001\n  claim: K7QM-2XHT-9B4C-0RWD  # once\n"
)


def fresh(*, has_keys: bool = False, validity: Validity | None = None) -> UnitEnrolment:
    return UnitEnrolment(has_keys=has_keys, validity=validity, name="box", now_ms=NOW_MS)


def state_of(unit: UnitEnrolment) -> UnitState:
    """As it is now; mypy takes an attribute for unchanged."""
    return unit.state


def test_a_new_unit_makes_keys_and_applies_at_once() -> None:
    unit = fresh()
    assert unit.next_step(NOW_MS) is Todo.MAKE_KEYS
    unit.told(Told(what=Happening.KEYS_MADE), NOW_MS)
    assert unit.next_step(NOW_MS) is Todo.APPLY
    unit.told(Told(what=Happening.ISSUED, validity=VALID), NOW_MS)
    assert (unit.state, unit.next_step(NOW_MS)) == (UnitState.ENROLLED, None)


def test_a_unit_without_network_tries_ever_more_seldom_but_for_ever() -> None:
    unit, now_ms = fresh(has_keys=True), NOW_MS
    waits = []
    for _ in range(30):
        assert unit.next_step(now_ms) is Todo.APPLY
        unit.told(Told(what=Happening.UNREACHABLE, chance=1.0), now_ms)
        assert unit.next_step(now_ms) is None
        waits.append(unit.wait_s(now_ms))
        now_ms += int(waits[-1] * 1000)
    assert waits[:3] == [FIRST_RETRY_S, 2 * FIRST_RETRY_S, 4 * FIRST_RETRY_S]
    assert waits[-1] == RETRY_S_MAX


def test_who_waits_for_approval_comes_when_told_and_within_bounds() -> None:
    unit = fresh(has_keys=True)
    unit.told(Told(what=Happening.WAIT, retry_after_s=20), NOW_MS)
    assert (state_of(unit), unit.wait_s(NOW_MS)) == (UnitState.PENDING, 20)
    unit.told(Told(what=Happening.WAIT, retry_after_s=10**9), NOW_MS)
    assert unit.wait_s(NOW_MS) == WAIT_S_MAX
    unit.told(Told(what=Happening.DENIED, retry_after_s=0), NOW_MS)
    assert state_of(unit) is UnitState.DENIED
    assert unit.wait_s(NOW_MS) > 0
    unit.told(Told(what=Happening.ISSUED, validity=VALID), NOW_MS)
    assert state_of(unit) is UnitState.ENROLLED, "somebody has put it right"


def test_renewal_at_two_thirds_of_life_goes_on_until_it_is_done_or_the_certificate_ends() -> None:
    unit = fresh(validity=VALID)
    due_ms = renewal_at_ms(VALID, "box")
    assert unit.next_step(due_ms - 1) is None
    assert unit.wait_s(due_ms - 5_000) == 5
    assert unit.wait_s(NOW_MS) == WAIT_S_MAX, "the clock may be set meanwhile"
    assert unit.next_step(due_ms) is Todo.RENEW
    unit.told(Told(what=Happening.DENIED, retry_after_s=300), due_ms)
    assert state_of(unit) is UnitState.RENEWING, "it plays on and asks again"
    assert unit.next_step(due_ms + 300_000) is Todo.RENEW
    assert unit.next_step(VALID.not_after_ms) is Todo.APPLY
    assert state_of(unit) is UnitState.EXPIRED
    unit.told(Told(what=Happening.UNREACHABLE), VALID.not_after_ms)
    assert state_of(unit) is UnitState.EXPIRED


@given(st.text(max_size=30), st.integers(min_value=1, max_value=397))
def test_a_fleet_renews_spread_out_and_always_in_time(name: str, days: int) -> None:
    validity = Validity(not_before_ms=NOW_MS, not_after_ms=NOW_MS + days * DAY_MS)
    part = (renewal_at_ms(validity, name) - NOW_MS) / (days * DAY_MS)
    assert 0.61 < part < 0.72


def test_neighbours_do_not_renew_together() -> None:
    assert len({renewal_at_ms(VALID, f"box{number}") // DAY_MS for number in range(100)}) >= 8


@given(st.lists(st.sampled_from(list(Happening)), max_size=30))
def test_no_order_of_answers_leaves_a_unit_with_nothing_to_do(happenings: list[Happening]) -> None:
    unit, now_ms = fresh(), NOW_MS
    for happening in happenings:
        if (unit.state, happening) in TRANSITIONS and happening not in {Happening.RENEWAL_DUE, Happening.ENDED}:
            unit.told(Told(what=happening, validity=VALID if happening is Happening.ISSUED else None), now_ms)
        now_ms += int(unit.wait_s(now_ms) * 1000)
    assert unit.next_step(now_ms) is not None or unit.wait_s(now_ms) > 0


@pytest.mark.parametrize(
    ("clock_days", "floor_days", "is_kept", "hint_days", "expected"),
    [
        (10, 0, True, None, True),
        (10, 0, False, None, True),
        (-20_000, -300, False, 10, True),  # no battery, the server's word
        (-20_000, -300, False, None, False),
        (-20_000, 10, False, None, True),  # the floor is enough
        (-20_000, 10, False, 5, True),
        (-20_000, 100, False, 10, False),  # the server would turn time back before the floor
        (100, 0, True, 10, False),  # a clock that is kept needs no word, and an expired certificate none either
        (20_000, 0, False, 10, True),  # a battery that says 2099
        (-1, -300, True, 10, False),
    ],
)
def test_a_servers_certificate_is_judged_by_floor_clock_and_hint(
    clock_days: int, floor_days: int, *, is_kept: bool, hint_days: int | None, expected: bool
) -> None:
    found = may_be_used(
        VALID,
        clock_ms=NOW_MS + clock_days * DAY_MS,
        floor_ms=NOW_MS + floor_days * DAY_MS,
        is_clock_kept=is_kept,
        hint_ms=None if hint_days is None else NOW_MS + hint_days * DAY_MS,
    )
    assert found is expected


def test_the_technicians_file_is_read_and_its_code_wiped() -> None:
    settings = boot_settings(BOOT.encode(), name="loaxa.yaml")
    assert (settings.node, settings.claim) == ("N001", "K7QM-2XHT-9B4C-0RWD")
    assert settings.claim
    wiped = without_claim(BOOT.encode(), settings.claim)
    assert wiped.decode() == BOOT.replace("K7QM-2XHT-9B4C-0RWD", "")
    assert not boot_settings(wiped, name="loaxa.yaml").claim
    flow = b'enrolment: {url: "https://c.vn", ca_sha256: ' + b"ab" * 32 + b', claim: "K7QM-2XHT-9B4C-0RWD"}'
    assert not boot_settings(without_claim(flow, settings.claim), name="x").claim
    assert boot_settings(b"\xef\xbb\xbf" + BOOT.encode(), name="x").node == "N001", "as Windows writes it"
    assert claim_sha256("") == ""


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "enrolment:",
        "enrolment: 5",
        BOOT.replace("https:", "http:"),
        BOOT.replace("https://c.example.vn:8444", "https://"),
        BOOT.replace("ab" * 32, "ab"),
        BOOT.replace("node: N001", "node: thôn-đông"),
        BOOT.replace("claim:", "clam:"),
        "enrolment: [",
        "\x00",
    ],
)
def test_a_wrong_file_is_told_in_words(broken: str) -> None:
    with pytest.raises(ConfigurationError, match="enrolment"):
        boot_settings(broken.encode(), name="loaxa.yaml")
