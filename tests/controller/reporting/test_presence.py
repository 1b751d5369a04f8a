"""Availability: only what was watched counts, nothing twice, in slices, and no clock that is set makes a week."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from controller.records import PresenceSpan
from controller.reporting.presence import KEPT_EVERY_MS, SLICE_MAX, Presence
from protocol.units import SharedMs

NODES = ("N001", "N002", "N003")


def sums(spans: list[PresenceSpan]) -> dict[tuple[str, bool], int]:
    found: Counter[tuple[str, bool]] = Counter()
    for span in spans:
        assert span.end_ms > span.begin_ms
        found[span.node, span.is_up] += span.end_ms - span.begin_ms
    return dict(found)


def driven(presence: Presence, from_ms: int, until_ms: int) -> list[PresenceSpan]:
    """Look whenever it asks to."""
    spans = []
    while (due := presence.next_at_ms) is not None and due <= until_ms:
        spans += presence.look(SharedMs(max(due, from_ms)))
    return spans


def test_a_day_is_handed_on_as_it_goes_by() -> None:
    presence = Presence()
    presence.begin(["N001"], ["N002"], SharedMs(0))
    spans = driven(presence, 0, 24 * 3600 * 1000)
    assert sums(spans) == {("N001", True): 24 * 3600 * 1000, ("N002", False): 24 * 3600 * 1000}
    assert max(span.end_ms - span.begin_ms for span in spans) <= KEPT_EVERY_MS


def test_what_was_not_watched_is_neither() -> None:
    presence = Presence()
    presence.begin(["N001"], [], SharedMs(0))
    assert sums(presence.end(SharedMs(60_000))) == {("N001", True): 60_000}
    assert presence.next_at_ms is None
    presence.begin(["N001"], [], SharedMs(600_000))
    assert sums(presence.end(SharedMs(601_000))) == {("N001", True): 1_000}


def test_a_clock_that_is_set_makes_no_span() -> None:
    presence = Presence()
    presence.begin(["N001"], [], SharedMs(10**9))
    presence.changed("N001", is_up=False, now_ms=SharedMs(5))
    presence.changed("N001", is_up=True, now_ms=SharedMs(10**12))
    assert presence.end(SharedMs(10**12)) == []


def test_many_are_handed_on_in_slices() -> None:
    presence = Presence()
    nodes = [f"N{number:05}" for number in range(3 * SLICE_MAX - 1)]
    presence.begin(nodes, [], SharedMs(0))
    slices: list[list[PresenceSpan]] = []
    while len(slices) < 3:
        due = presence.next_at_ms
        assert due is not None
        slices.append(presence.look(due))
    assert [len(each) for each in slices] == [SLICE_MAX, SLICE_MAX, SLICE_MAX - 1]
    due = presence.next_at_ms
    assert due is not None
    assert due >= 2 * KEPT_EVERY_MS


def test_a_node_that_is_gone_is_watched_no_more() -> None:
    presence = Presence()
    presence.begin(NODES, [], SharedMs(0))
    presence.keep_only({"N002"})
    assert sums(presence.end(SharedMs(1_000))) == {("N002", True): 1_000}


@given(
    st.lists(
        st.tuples(st.sampled_from(NODES), st.booleans(), st.integers(min_value=0, max_value=KEPT_EVERY_MS)), max_size=40
    )
)
def test_every_watched_millisecond_counts_once(steps: list[tuple[str, bool, int]]) -> None:
    presence, now_ms = Presence(), 0
    presence.begin([], [], SharedMs(0))
    first: dict[str, int] = {}
    spans: list[PresenceSpan] = []
    for node, is_up, wait_ms in steps:
        spans += driven(presence, now_ms, now_ms + wait_ms)
        now_ms += wait_ms
        presence.changed(node, is_up=is_up, now_ms=SharedMs(now_ms))
        first.setdefault(node, now_ms)
    spans += presence.end(SharedMs(now_ms))
    watched: Counter[str] = Counter()
    for (node, _), ms in sums(spans).items():
        watched[node] += ms
    assert watched == Counter({node: now_ms - since for node, since in first.items() if now_ms > since})
    for node in NODES:
        mine = sorted((each.begin_ms, each.end_ms) for each in spans if each.node == node)
        assert all(one[1] <= other[0] for one, other in pairwise(mine))
