"""Which file next: the most urgent first, one at a time, failures wait longer and longer."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.assignment import Place
from edge.effects import FetchMedia, KeepNote
from edge.errors import MediaFailure
from edge.events import MediaFailed, MediaFetched, Restored, StoredNote
from edge.fetch_budget import NOTE, Fetched
from edge.media_need import HOPELESS_MS, RETRY_MS, RETRY_MS_MAX, SLICE_BYTES, MediaNeed
from edge.player.arbiter import Reason
from protocol.codec import cbor_decode
from protocol.messages import MediaReference
from protocol.units import NS_PER_MS, MonotonicNs, Now, SharedNs, TimeSource
from tests.support.issuer import media

A, B = media("a"), media("b")
LARGE = msgspec.structs.replace(media("large"), size_bytes=5 * SLICE_BYTES // 2)
PLACE = Place(node="N1")
NOON_MS = 1_795_323_600_000
"""23 November 2026, 12:00 in Vietnam."""
HOUR_MS = 3_600_000


def at(ms: float, source: TimeSource = TimeSource.SYSTEM) -> Now:
    shared_ns = SharedNs((NOON_MS + int(ms)) * NS_PER_MS)
    return Now(monotonic_ns=MonotonicNs(int(ms * NS_PER_MS)), shared_ns=shared_ns, source=source)


def fetch_of(need: MediaNeed, ms: float = 0) -> FetchMedia | None:
    return next((effect for effect in need.next_fetch(at(ms)) if isinstance(effect, FetchMedia)), None)


def asked(need: MediaNeed, ms: float = 0) -> str | None:
    fetch = fetch_of(need, ms)
    return None if fetch is None else fetch.reference.sha256


def requires(
    need: MediaNeed, planned: Sequence[MediaReference], *, urgent: Sequence[MediaReference] = (), place: Place = PLACE
) -> None:
    need.require(urgent, planned, place)


def fails(need: MediaNeed, sha256: str, reason: MediaFailure, ms: float = 0, received_bytes: int = 0) -> None:
    need.failed(MediaFailed(sha256=sha256, reason=reason, detail="x", received_bytes=received_bytes), at(ms))


def comes(need: MediaNeed, sha256: str, *evicted: str, received_bytes: int = 0) -> None:
    need.fetched(MediaFetched(sha256=sha256, evicted=evicted, received_bytes=received_bytes))


def test_asks_for_one_at_a_time_in_order_and_protects_all_that_is_needed() -> None:
    need = MediaNeed(node="N1")
    requires(need, [A, B, A])
    fetch = fetch_of(need)
    assert fetch is not None
    assert fetch.reference == A
    assert fetch.keep == {A.sha256, B.sha256}
    assert asked(need) is None
    comes(need, A.sha256)
    assert asked(need) == B.sha256
    comes(need, B.sha256, A.sha256)
    assert need.missing == 1
    assert asked(need) == A.sha256


def test_a_failed_file_waits_and_the_next_one_is_asked_for() -> None:
    need = MediaNeed(node="N1")
    requires(need, [A, B])
    assert asked(need) == A.sha256
    fails(need, A.sha256, MediaFailure.NOT_FOUND, 0)
    assert asked(need) == B.sha256
    comes(need, B.sha256)
    assert asked(need, RETRY_MS / 2 - 1) is None
    assert asked(need, RETRY_MS) == A.sha256
    assert need.troubled == {A.sha256: "not_found"}


def test_waits_double_up_to_their_bound_with_a_jitter_of_each_node() -> None:
    waits: dict[str, list[float]] = {}
    for node in ("N1", "N2"):
        need = MediaNeed(node=node)
        requires(need, [A])
        now_ms = 0.0
        for _ in range(14):
            assert asked(need, now_ms) == A.sha256
            fails(need, A.sha256, MediaFailure.UNREACHABLE, now_ms)
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
    requires(need, [A])
    asked(need)
    fails(need, A.sha256, reason, 0)
    assert asked(need, HOPELESS_MS / 2 - 1) is None
    assert asked(need, HOPELESS_MS) == A.sha256


def test_a_new_connection_tries_what_was_unreachable_at_once_but_not_what_is_missing() -> None:
    need = MediaNeed(node="N1")
    requires(need, [A, B])
    asked(need)
    fails(need, A.sha256, MediaFailure.UNREACHABLE, 0)
    asked(need)
    fails(need, B.sha256, MediaFailure.NOT_FOUND, 0)
    need.hurry()
    assert asked(need) == A.sha256


def test_a_damaged_file_is_needed_again_later() -> None:
    need = MediaNeed(node="N1")
    need.restore(Restored(media=frozenset({A.sha256})))
    requires(need, [A])
    assert need.has(A.sha256)
    need.damaged(A.sha256, at(0))
    assert not need.has(A.sha256)
    assert asked(need) is None
    assert asked(need, RETRY_MS) == A.sha256


def test_what_is_no_longer_needed_is_no_longer_a_trouble() -> None:
    need = MediaNeed(node="N1")
    requires(need, [A])
    asked(need)
    fails(need, A.sha256, MediaFailure.NOT_FOUND, 0)
    requires(need, [])
    assert need.troubled == {}
    assert need.next_deadline() is None


def test_for_what_is_urgent_the_plan_makes_room_and_never_the_other_way_round() -> None:
    need = MediaNeed(node="N1")
    clip, week = media("clip"), media("week")
    requires(need, [A, B, week], urgent=[clip])
    fetch = fetch_of(need)
    assert fetch is not None
    assert (fetch.reference, fetch.keep, fetch.bytes_max) == (clip, frozenset({clip.sha256}), None)
    assert fetch.spare == (week.sha256, B.sha256, A.sha256), "the last that the plan needs goes first"
    comes(need, clip.sha256, week.sha256)
    fetch = fetch_of(need)
    assert fetch is not None
    assert (fetch.keep, fetch.spare) == (frozenset({clip.sha256, A.sha256, B.sha256, week.sha256}), ())


def test_a_large_file_of_the_plan_lets_what_is_urgent_go_between_its_slices() -> None:
    need = MediaNeed(node="N1")
    requires(need, [LARGE])
    fetch = fetch_of(need)
    assert fetch is not None
    assert fetch.bytes_max == SLICE_BYTES
    requires(need, [LARGE], urgent=[A])
    fails(need, LARGE.sha256, MediaFailure.PARTLY, received_bytes=SLICE_BYTES)
    assert need.troubled == {}, "a slice is no fault"
    assert asked(need) == A.sha256
    comes(need, A.sha256)
    assert asked(need) == LARGE.sha256


def test_a_file_that_has_rotted_on_the_card_is_fetched_again() -> None:
    need = MediaNeed(node="N1")
    need.restore(Restored(media=frozenset({A.sha256})))
    requires(need, [], urgent=[A])
    assert asked(need) is None
    fails(need, A.sha256, MediaFailure.WRONG_HASH)
    assert not need.has(A.sha256)
    assert asked(need, RETRY_MS) == A.sha256


class Node:
    """A node whose fetches come as they are asked for; `note` is what its disk has."""

    def __init__(self, limit_bytes: int, note: bytes = b"") -> None:
        self.place = Place(node="N1", fetch_bytes_a_day_max=limit_bytes)
        self.note = note
        self.came = 0
        self.boot()

    def boot(self) -> None:
        self.need = MediaNeed(node="N1")
        notes = (StoredNote(name=NOTE, payload=self.note),) if self.note else ()
        self.need.restore(Restored(notes=notes))

    @property
    def noted(self) -> int:
        return cbor_decode(self.note, Fetched).bytes

    def ask(self, now: Now) -> FetchMedia | None:
        found = None
        for effect in self.need.next_fetch(now):
            if isinstance(effect, KeepNote):
                self.note = effect.payload
            elif isinstance(effect, FetchMedia):
                found = effect
        return found

    def fetch(self, references: Sequence[MediaReference], now: Now) -> list[str]:
        """Fetch until nothing is asked for any more."""
        done: list[str] = []
        requires(self.need, references, place=self.place)
        while (effect := self.ask(now)) is not None:
            size_bytes = effect.reference.size_bytes
            received = size_bytes if effect.bytes_max is None else min(size_bytes, effect.bytes_max)
            self.came += received
            if received == size_bytes:
                comes(self.need, effect.reference.sha256, received_bytes=received)
                done.append(effect.reference.sha256)
            else:
                fails(self.need, effect.reference.sha256, MediaFailure.PARTLY, received_bytes=received)
        return done


def test_a_budget_holds_what_the_plan_needs_until_the_next_day_and_says_so() -> None:
    node = Node(A.size_bytes + 100)
    assert node.fetch([A, B], at(0)) == [A.sha256]
    assert node.came == node.noted == A.size_bytes + 100, "the rest of the budget brings a part of the next"
    assert node.need.lacks(B.sha256) is Reason.FETCH_BUDGET
    assert node.need.lacks("00" * 32) is Reason.MEDIA_MISSING
    assert node.need.lacks(A.sha256) is None
    assert node.need.troubled == {B.sha256: "fetch_budget"}
    assert node.need.fetched_today == (A.size_bytes + 100,) * 2
    deadline = node.need.next_deadline()
    assert deadline is not None
    assert deadline == 12 * HOUR_MS * NS_PER_MS, "midnight in Vietnam"
    assert node.fetch([A, B], at(12 * HOUR_MS)) == [B.sha256]
    assert node.need.troubled == {}


def test_what_is_urgent_needs_no_budget_and_takes_none() -> None:
    node = Node(0)
    node.need.require([A], [B], node.place)
    effect = node.ask(at(0))
    assert effect is not None
    assert effect.reference == A
    comes(node.need, A.sha256, received_bytes=A.size_bytes)
    assert node.ask(at(0)) is None
    assert node.need.fetched_today == (0, 0)


def test_the_count_outlives_a_power_cut_and_a_cut_in_the_middle_gives_nothing() -> None:
    node = Node(3 * A.size_bytes)
    assert node.fetch([A], at(0)) == [A.sha256]
    requires(node.need, [A, B], place=node.place)
    assert node.ask(at(1)) is not None
    assert node.noted == 2 * A.size_bytes, "reserved before it comes"
    node.boot()
    assert node.fetch([A, B], at(2)) == [A.sha256]
    assert node.noted == 3 * A.size_bytes


def test_while_the_time_is_unknown_the_day_goes_on() -> None:
    node = Node(A.size_bytes)
    assert node.fetch([A], at(0)) == [A.sha256]
    requires(node.need, [A, B], place=node.place)
    unknown = at(48 * HOUR_MS, TimeSource.UNKNOWN)
    assert node.ask(unknown) is None
    assert node.need.next_deadline() is None, "nobody knows when the next day begins"
    assert node.need.lacks(B.sha256) is Reason.FETCH_BUDGET
    assert node.ask(at(48 * HOUR_MS)) is not None


def test_without_a_budget_nothing_is_written_and_a_note_that_is_damaged_is_begun_anew() -> None:
    node = Node(0)
    node.place = PLACE
    assert node.fetch([A, B], at(0)) == [A.sha256, B.sha256]
    assert (node.note, node.need.fetched_today) == (b"", None)
    assert Node(10**6, note=b"\xff\xff").fetch([A], at(0)) == [A.sha256]


@given(
    limit=st.integers(0, 200_000),
    sizes=st.lists(st.integers(1, 120_000), min_size=1, max_size=8),
    steps=st.lists(
        st.tuples(st.integers(1, 30 * 60), st.sampled_from(["all", "cut", "broken", "reboot"])), max_size=20
    ),
)
def test_no_day_brings_more_than_its_budget_whatever_breaks(
    limit: int, sizes: list[int], steps: list[tuple[int, str]]
) -> None:
    files = [msgspec.structs.replace(media(f"f{index}"), size_bytes=size) for index, size in enumerate(sizes)]
    node, days, minute = Node(limit), dict[int, int](), 0
    for minutes, how in steps:
        minute += minutes
        now = at(minute * 60_000)
        before = node.came
        if how == "all":
            node.fetch(files, now)
        else:
            requires(node.need, files, place=node.place)
            effect = node.ask(now)
            if effect is not None:
                bound = effect.reference.size_bytes if effect.bytes_max is None else effect.bytes_max
                node.came += bound // 2
                if how == "broken":
                    sha256 = effect.reference.sha256
                    fails(node.need, sha256, MediaFailure.UNREACHABLE, minute * 60_000, received_bytes=bound // 2)
            if how != "broken":
                node.boot()
        day = (minute + 12 * 60) // 1440
        days[day] = days.get(day, 0) + node.came - before
    assert all(came <= limit for came in days.values())
