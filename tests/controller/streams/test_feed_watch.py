"""The watch over a feed: each trouble by its name, once; failover in order; retries that slow down; probes."""

from __future__ import annotations

import pytest

from controller.streams.feed_watch import (
    HEALTHY_S,
    OPEN_S_MAX,
    PROBE_EVERY_S,
    PROVE_S,
    RETRY_S_MAX,
    TRANSITIONS,
    AlarmKind,
    CloseFeed,
    FeedWatch,
    OpenFeed,
    Outcome,
    TakeProbe,
    Trouble,
    WatchState,
    Well,
)
from protocol.units import MonotonicNs

ONE = "http://one/live"
TWO = "http://two/live"
FULL_MS = 5_000.0


def at(seconds: float) -> MonotonicNs:
    return MonotonicNs(int((100 + seconds) * 1e9))


def watch(*urls: str) -> FeedWatch:
    return FeedWatch(urls, stall_s_max=5.0, scatter=lambda: 1.0)


def playing(*urls: str) -> FeedWatch:
    made = watch(*urls)
    assert made.tick(at(0), stored_ms=0) == [OpenFeed(url=urls[0])]
    assert made.level(at(0.5)) == []
    return made


def opened(outcomes: list[Outcome]) -> list[str]:
    return [outcome.url for outcome in outcomes if isinstance(outcome, OpenFeed) and not outcome.is_probe]


@pytest.mark.parametrize("kind", list(AlarmKind))
def test_a_trouble_is_told_once_and_so_is_its_end(kind: AlarmKind) -> None:
    feed = playing(ONE)
    told = feed.failed(kind, "what was seen", at(20))
    assert [type(outcome) for outcome in told] == [Trouble, CloseFeed]
    trouble = told[0]
    assert isinstance(trouble, Trouble)
    assert (trouble.kind, trouble.url) == (kind, ONE)
    assert trouble.detail.startswith("what was seen; ")
    assert feed.tick(at(22), stored_ms=0) == [OpenFeed(url=ONE)]
    assert feed.failed(kind, "again", at(22.1)) == [CloseFeed()], "the same trouble is not news"
    feed.tick(at(60), stored_ms=0)
    told_well = [*feed.level(at(61)), *feed.level(at(61 + PROVE_S))]
    assert told_well == [Well(url=ONE)]
    assert feed.level(at(65)) == []


def test_the_next_address_is_tried_at_once_and_in_order() -> None:
    feed = playing(ONE, TWO)
    feed.failed(AlarmKind.STALLED, "", at(30))
    assert feed.tick(at(30.01), stored_ms=0) == [OpenFeed(url=TWO)]
    feed.failed(AlarmKind.HTTP_STATUS, "404", at(31))
    assert feed.tick(at(31.5), stored_ms=0) == [], "after a whole round there is a pause"
    assert feed.tick(at(32.5), stored_ms=0) == [OpenFeed(url=ONE)]


def test_retries_slow_down_to_a_bound() -> None:
    feed, now_s, last_s = watch(ONE), 0.0, 0.0
    waits: list[float] = []
    while len(waits) < 12:
        if opened(feed.tick(at(now_s), stored_ms=0)):
            waits.append(now_s - last_s)
            last_s = now_s
            feed.failed(AlarmKind.UNREACHABLE, "refused", at(now_s))
        now_s += 0.25
    assert waits[1:5] == [1.0, 2.0, 4.0, 8.0]
    assert max(waits) <= RETRY_S_MAX + 0.25
    assert waits[-1] >= RETRY_S_MAX


@pytest.mark.parametrize(("played_s", "wait_s"), [(HEALTHY_S - 1, 16.0), (HEALTHY_S + 1, 1.0)])
def test_a_feed_that_was_well_for_long_enough_is_retried_soon(played_s: float, wait_s: float) -> None:
    feed, now_s = watch(ONE), 0.0
    for _ in range(4):
        while not opened(feed.tick(at(now_s), stored_ms=0)):
            now_s += 0.25
        feed.failed(AlarmKind.UNREACHABLE, "refused", at(now_s))
    while not opened(feed.tick(at(now_s), stored_ms=0)):
        now_s += 0.25
    feed.level(at(now_s))
    healthy_tick(feed, now_s + played_s)
    feed.failed(AlarmKind.UNREACHABLE, "refused", at(now_s + played_s))
    assert opened(feed.tick(at(now_s + played_s + wait_s - 0.1), stored_ms=0)) == []
    assert opened(feed.tick(at(now_s + played_s + wait_s + 0.1), stored_ms=0)) == [ONE]


def test_an_address_that_gives_nothing_is_given_up() -> None:
    feed = watch(ONE, TWO)
    feed.tick(at(0), stored_ms=0)
    assert feed.tick(at(OPEN_S_MAX - 0.1), stored_ms=0) == []
    outcomes = feed.tick(at(OPEN_S_MAX + 0.1), stored_ms=0)
    assert isinstance(outcomes[0], Trouble)
    assert outcomes[0].kind is AlarmKind.STALLED
    assert opened(feed.tick(at(OPEN_S_MAX + 0.2), stored_ms=0)) == [TWO]


def test_a_feed_in_pieces_is_not_stalled_while_enough_is_stored() -> None:
    feed = playing(ONE)
    assert feed.tick(at(9), stored_ms=FULL_MS) == []
    outcomes = feed.tick(at(9.1), stored_ms=1_000)
    assert isinstance(outcomes[0], Trouble)
    assert outcomes[0].kind is AlarmKind.STALLED


def test_a_feed_in_pieces_is_stalled_only_when_the_next_is_overdue() -> None:
    feed = playing(ONE)
    feed.pieces_s = 3.0
    assert feed.tick(at(8.4), stored_ms=0) == []
    outcomes = feed.tick(at(8.6), stored_ms=0)
    assert isinstance(outcomes[0], Trouble)
    assert outcomes[0].detail.startswith("no data for 8 s")


def test_the_last_seconds_before_a_stall_given_again_are_no_recovery() -> None:
    feed = playing(ONE)
    feed.failed(AlarmKind.STALLED, "no data", at(20))
    feed.tick(at(22), stored_ms=0)
    assert feed.level(at(22.2)) == []
    assert (feed.level(at(22.3)), feed.is_proving) == ([], True)
    feed.failed(AlarmKind.STALLED, "no data", at(30))
    feed.tick(at(35), stored_ms=0)
    assert feed.level(at(35.2)) == [], "it is judged anew"
    assert feed.level(at(35.2 + PROVE_S)) == [Well(url=ONE)], "it goes on sending"
    assert not feed.is_proving


def test_a_lone_silent_address_is_listened_to_until_it_sounds() -> None:
    feed = playing(ONE)
    told = feed.silence(20.0, at(30))
    assert [type(outcome) for outcome in told] == [Trouble]
    assert (feed.state, feed.is_silent) == (WatchState.SILENT, True)
    assert feed.silence(21.0, at(31)) == []
    assert feed.level(at(40)) == [Well(url=ONE)]
    assert (feed.state, feed.is_silent) == (WatchState.PLAYING, False)


def test_a_silent_address_is_left_for_the_next() -> None:
    feed = playing(ONE, TWO)
    assert [type(outcome) for outcome in feed.silence(20.0, at(30))] == [Trouble, CloseFeed]
    assert opened(feed.tick(at(30.1), stored_ms=FULL_MS)) == [TWO]
    assert feed.is_silent, "until something sounds"
    assert feed.level(at(31)) == [Well(url=TWO)]


def on_the_substitute() -> FeedWatch:
    feed = playing(ONE, TWO)
    feed.failed(AlarmKind.STALLED, "", at(10))
    feed.tick(at(10), stored_ms=0)
    feed.level(at(11))
    return feed


def healthy_tick(feed: FeedWatch, seconds: float) -> list[Outcome]:
    feed.data(at(seconds))
    return feed.tick(at(seconds), stored_ms=FULL_MS)


def test_the_first_address_is_probed_beside_a_substitute_and_taken_back() -> None:
    feed = on_the_substitute()
    assert healthy_tick(feed, 11 + PROBE_EVERY_S - 1) == []
    assert healthy_tick(feed, 12 + PROBE_EVERY_S) == [OpenFeed(url=ONE, is_probe=True)]
    assert feed.probe_level(at(15 + PROBE_EVERY_S)) == [TakeProbe()]
    assert feed.url == ONE
    assert healthy_tick(feed, 17 + 3 * PROBE_EVERY_S) == [], "nothing stands before the first address"


def test_a_probe_that_fails_is_tried_again_later_without_an_alarm() -> None:
    feed = on_the_substitute()
    healthy_tick(feed, 12 + PROBE_EVERY_S)
    assert feed.probe_failed(at(13 + PROBE_EVERY_S)) == [CloseFeed(is_probe=True)]
    assert healthy_tick(feed, 14 + PROBE_EVERY_S) == []
    assert healthy_tick(feed, 14 + 2 * PROBE_EVERY_S) == [OpenFeed(url=ONE, is_probe=True)]
    assert healthy_tick(feed, 15 + 2 * PROBE_EVERY_S + OPEN_S_MAX) == [CloseFeed(is_probe=True)], "a mute one ends"


def test_what_is_taken_back_is_not_blamed_for_the_quiet_of_its_substitute() -> None:
    feed = on_the_substitute()
    healthy_tick(feed, 12 + PROBE_EVERY_S)
    assert feed.probe_level(at(16.9 + PROBE_EVERY_S)) == [TakeProbe()]
    assert feed.tick(at(17.1 + PROBE_EVERY_S), stored_ms=0) == []
    assert opened(feed.tick(at(22 + PROBE_EVERY_S), stored_ms=0)) == []
    assert feed.state is WatchState.WAITING


def test_a_substitute_that_fails_while_the_first_is_probed_ends_both_and_the_round_goes_on() -> None:
    feed = on_the_substitute()
    healthy_tick(feed, 12 + PROBE_EVERY_S)
    told = feed.failed(AlarmKind.UNREACHABLE, "refused", at(13 + PROBE_EVERY_S))
    assert told[1:] == [CloseFeed(), CloseFeed(is_probe=True)]
    assert feed.probe_level(at(13.1 + PROBE_EVERY_S)) == [], "it was closed"
    assert opened(feed.tick(at(16 + PROBE_EVERY_S), stored_ms=0)) == [ONE]


def test_every_state_can_be_left() -> None:
    assert {state for state, _event in TRANSITIONS} == set(WatchState)
    assert set(TRANSITIONS.values()) == set(WatchState)
