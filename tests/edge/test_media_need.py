"""Which file next: the most urgent first, one at a time, failures wait longer and longer."""

from __future__ import annotations

import pytest

from edge.errors import MediaFailure
from edge.media_need import HOPELESS_MS, RETRY_MS, RETRY_MS_MAX, MediaNeed
from protocol.units import NS_PER_MS, MonotonicNs, Now, SharedNs
from tests.support.issuer import media

A, B = media("a"), media("b")


def at(ms: float) -> Now:
    return Now(monotonic_ns=MonotonicNs(int(ms * NS_PER_MS)), shared_ns=SharedNs(10**18))


def asked(need: MediaNeed, ms: float = 0) -> str | None:
    fetch = need.next_fetch(at(ms))
    return None if fetch is None else fetch.reference.sha256


def test_asks_for_one_at_a_time_in_order_and_protects_all_that_is_needed() -> None:
    need = MediaNeed(node="N1")
    need.require([A, B, A])
    fetch = need.next_fetch(at(0))
    assert fetch is not None
    assert fetch.reference == A
    assert fetch.keep == {A.sha256, B.sha256}
    assert asked(need) is None
    need.fetched(A.sha256, ())
    assert asked(need) == B.sha256
    need.fetched(B.sha256, (A.sha256,))
    assert need.missing == 1
    assert asked(need) == A.sha256


def test_a_failed_file_waits_and_the_next_one_is_asked_for() -> None:
    need = MediaNeed(node="N1")
    need.require([A, B])
    assert asked(need) == A.sha256
    need.failed(A.sha256, MediaFailure.NOT_FOUND, at(0))
    assert asked(need) == B.sha256
    need.fetched(B.sha256, ())
    assert asked(need, RETRY_MS / 2 - 1) is None
    assert asked(need, RETRY_MS) == A.sha256
    assert need.troubled == {A.sha256: "not_found"}


def test_waits_double_up_to_their_bound_with_a_jitter_of_each_node() -> None:
    waits: dict[str, list[float]] = {}
    for node in ("N1", "N2"):
        need = MediaNeed(node=node)
        need.require([A])
        now_ms = 0.0
        for _ in range(14):
            assert asked(need, now_ms) == A.sha256
            need.failed(A.sha256, MediaFailure.UNREACHABLE, at(now_ms))
            deadline = need.next_deadline()
            assert deadline is not None
            waits.setdefault(node, []).append(deadline / NS_PER_MS - now_ms)
            now_ms = deadline / NS_PER_MS
    for node_waits in waits.values():
        for attempt, wait_ms in enumerate(node_waits):
            bound = min(RETRY_MS_MAX, RETRY_MS * 2**attempt)
            assert bound / 2 - 1 <= wait_ms <= bound
    assert waits["N1"] != waits["N2"]


@pytest.mark.parametrize("reason", [MediaFailure.DISK_FULL, MediaFailure.TOO_LARGE])
def test_what_only_a_person_can_help_waits_longest(reason: MediaFailure) -> None:
    need = MediaNeed(node="N1")
    need.require([A])
    asked(need)
    need.failed(A.sha256, reason, at(0))
    assert asked(need, HOPELESS_MS / 2 - 1) is None
    assert asked(need, HOPELESS_MS) == A.sha256


def test_a_new_connection_tries_what_was_unreachable_at_once_but_not_what_is_missing() -> None:
    need = MediaNeed(node="N1")
    need.require([A, B])
    asked(need)
    need.failed(A.sha256, MediaFailure.UNREACHABLE, at(0))
    asked(need)
    need.failed(B.sha256, MediaFailure.NOT_FOUND, at(0))
    need.hurry()
    assert asked(need) == A.sha256


def test_a_damaged_file_is_needed_again_later() -> None:
    need = MediaNeed(node="N1")
    need.restore([A.sha256])
    need.require([A])
    assert need.has(A.sha256)
    need.damaged(A.sha256, at(0))
    assert not need.has(A.sha256)
    assert asked(need) is None
    assert asked(need, RETRY_MS) == A.sha256


def test_what_is_no_longer_needed_is_no_longer_a_trouble() -> None:
    need = MediaNeed(node="N1")
    need.require([A])
    asked(need)
    need.failed(A.sha256, MediaFailure.NOT_FOUND, at(0))
    need.require([])
    assert need.troubled == {}
    assert need.next_deadline() is None
