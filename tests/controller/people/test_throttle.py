"""Attempts: what a guesser can reach, what the owner is spared, and that memory is bounded."""

from __future__ import annotations

import pytest

from controller.people.throttle import (
    ACCOUNT_FROM_ANYWHERE,
    ACCOUNT_FROM_NETWORK,
    FORGET_MS,
    NETWORK,
    OWN_DEVICE,
    Attempt,
    Patience,
    Throttle,
    network_of,
)

DAY_MS = 86_400_000
OWNER = Attempt(account="lan", address="192.0.2.1", known_device="d1")


def stranger(address: str = "203.0.113.9", account: str = "lan") -> Attempt:
    return Attempt(account=account, address=address)


def guesses_in(throttle: Throttle, attempt: Attempt, length_ms: int, begin_ms: int = 0) -> int:
    """How many attempts somebody gets who tries again as soon as it is allowed."""
    at_ms, count = begin_ms, 0
    while at_ms < begin_ms + length_ms:
        wait_ms = throttle.begin(attempt, at_ms)
        if wait_ms:
            at_ms += wait_ms
        else:
            count += 1
    return count


@pytest.mark.parametrize("patience", [OWN_DEVICE, ACCOUNT_FROM_NETWORK, NETWORK, ACCOUNT_FROM_ANYWHERE])
def test_delays_double_up_to_their_cap(patience: Patience) -> None:
    delays = [patience.delay_ms(failures) for failures in range(200)]
    assert delays == sorted(delays)
    assert delays[patience.free - 1] == 0
    assert delays[patience.free : patience.free + 2] == [patience.first_ms, 2 * patience.first_ms]
    assert delays[-1] == patience.longest_ms


def test_a_stranger_gets_about_a_hundred_guesses_a_day() -> None:
    assert 90 <= guesses_in(Throttle(), stranger(), DAY_MS) <= 120


def test_strangers_everywhere_do_not_hold_up_the_owner_at_the_usual_desk() -> None:
    throttle = Throttle()
    for number in range(5_000):
        throttle.begin(stranger(f"198.51.{number % 250}.{number // 250}"), number)
    assert throttle.begin(OWNER, 5_000) == 0
    wait_ms = throttle.begin(stranger("192.0.2.77"), 5_001)
    assert 0 < wait_ms <= ACCOUNT_FROM_ANYWHERE.longest_ms


def test_many_at_once_are_not_one() -> None:
    throttle = Throttle()
    allowed = [throttle.begin(stranger(), 0) == 0 for _ in range(100)]
    assert sum(allowed) == ACCOUNT_FROM_NETWORK.free


def test_success_forgets_the_account_and_an_hour_forgets_everything() -> None:
    throttle = Throttle()
    for _ in range(3):
        throttle.begin(stranger(), 0)
    assert throttle.begin(stranger(), 1) > 0
    throttle.succeed(stranger())
    assert throttle.begin(stranger(), 2) == 0
    for at_ms in range(3, 6):
        throttle.begin(stranger(), at_ms)
    assert throttle.begin(stranger(), 10 + FORGET_MS + ACCOUNT_FROM_NETWORK.longest_ms) == 0


def test_ones_own_account_buys_no_guesses_at_others() -> None:
    throttle = Throttle()
    count = 0
    for number in range(400):
        if throttle.begin(stranger(account=f"p{number}"), 0) == 0:
            count += 1
        if throttle.begin(stranger(account="mine"), 0) == 0:
            throttle.succeed(stranger(account="mine"))
    assert count <= NETWORK.free + 1


def test_an_office_that_knows_its_passwords_never_waits_and_a_right_one_ends_the_networks_wait() -> None:
    throttle = Throttle()
    for number in range(3 * NETWORK.free):
        colleague = stranger(account=f"p{number}")
        assert throttle.begin(colleague, number) == 0
        throttle.succeed(colleague)
    for number in range(NETWORK.free):
        assert throttle.begin(stranger(account=f"q{number}"), 1_000) == 0
    wait_ms = throttle.begin(stranger(account="r"), 1_000)
    assert wait_ms > 0
    assert throttle.begin(stranger(account="r"), 1_000 + wait_ms) == 0
    throttle.succeed(stranger(account="r"))
    assert throttle.begin(stranger(account="s"), 1_000 + wait_ms) == 0


def test_memory_is_bounded() -> None:
    throttle = Throttle(counts_max=300)
    for number in range(10_000):
        throttle.begin(stranger(f"2001:db8:{number:x}::1", account=f"a{number}"), number)
    assert len(throttle) <= 300


def test_an_ipv6_household_is_one_network_and_an_address_that_is_none_is_bounded() -> None:
    assert network_of("2001:db8:1:2::1") == network_of("2001:db8:1:2:ffff::9") != network_of("2001:db8:1:3::1")
    assert network_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert network_of("fe80::1%eth0").startswith("fe80")
    assert len(network_of("x" * 1000)) == 64


def test_what_cannot_be_guessed_is_measured_by_its_network_alone() -> None:
    assert [key[0] for key, _ in Attempt(account="", address="192.0.2.1").counts()] == ["network"]
