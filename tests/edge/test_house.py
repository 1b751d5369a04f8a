"""The rules of the place as a node keeps them: air time over restarts, power cuts and clocks that are set."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.effects import KeepNote, LogDecision
from edge.events import Restored, StoredNote
from edge.house import NOTE, RESERVED_AHEAD_MS, RESERVED_MS, House
from edge.player.arbiter import Reason
from protocol.air_time import Aired
from protocol.candidate import Candidate
from protocol.codec import cbor_decode
from protocol.house_rules import HouseRules
from protocol.messages import AirTime, BroadcastClass, QuietHours, Reality, SourceKind
from protocol.units import NS_PER_MS, MonotonicNs, Now, SharedMs, SharedNs, TimeSource

MINUTE_MS = 60_000
ZONES = ("Asia/Ho_Chi_Minh", "Europe/Berlin", "America/Santiago")
NIGHTS = ("2026-11-22", "2026-10-24", "2026-03-28", "2026-04-04", "2026-09-05")
"""An usual one, and those in which Berlin and Santiago change their clocks."""


def item(key: str, starts_at_ms: int, *, broadcast_class: BroadcastClass = BroadcastClass.ROUTINE) -> Candidate:
    return Candidate(
        key=key,
        source=SourceKind.MEDIA,
        source_id=key,
        title="Bản tin",
        broadcast_class=broadcast_class,
        reality=Reality.REAL,
        depth=0,
        starts_at_ms=SharedMs(starts_at_ms),
        ends_at_ms=SharedMs(starts_at_ms + 1440 * MINUTE_MS),
    )


class Pole:
    """A node that sounds whatever it may; what came of it stands in `sound`, by true time."""

    def __init__(self, rules: HouseRules, start_ms: int) -> None:
        self.rules, self.now_ms, self.set_by_ms = rules, start_ms, 0
        self.sound: list[list[int]] = []
        self.note = b""
        self.writes = 0
        self.boot()

    def boot(self) -> None:
        self.house = House()
        self.house.use(self.rules)
        self.house.restore(Restored(notes=(StoredNote(name=NOTE, payload=self.note),)))
        self.playing: Candidate | None = None
        self.since_ms = 0

    @property
    def now(self) -> Now:
        """By the pole's clock."""
        shared_ms = self.now_ms + self.set_by_ms
        return Now(monotonic_ns=MonotonicNs(self.now_ms * NS_PER_MS), shared_ns=SharedNs(shared_ms * NS_PER_MS))

    def turn(self, due: Candidate | None) -> None:
        """Settle the air, as the studio does."""
        now = self.now
        self.house.notice(now)
        allowed = due if due is not None and self.house.blocks(due, now.shared_ms) is None else None
        if allowed is None or self.playing is None or allowed.key != self.playing.key:
            self.playing, self.since_ms = allowed, now.shared_ms
            if allowed is not None:
                self.sound.append([self.now_ms, self.now_ms])
        on_air = () if self.playing is None else ((self.playing, SharedMs(self.since_ms)),)
        for effect in self.house.heard(on_air, now):
            assert isinstance(effect, KeepNote)
            self.note = effect.payload
            self.writes += 1

    def run(self, due: Candidate | None, until_ms: int) -> None:
        """Let time pass, with a turn at each deadline."""
        self.turn(due)
        while self.now_ms < until_ms:
            candidates = () if due is None else (due,)
            change_ms = self.house.next_change_ms(candidates, self.now.shared_ms)
            deadline = self.house.next_deadline()
            waits = [until_ms, *([] if deadline is None else [deadline // NS_PER_MS])]
            waits += [] if change_ms is None else [change_ms - self.set_by_ms]
            self.now_ms = max(self.now_ms + 1, min(waits))
            if self.playing is not None:
                self.sound[-1][1] = self.now_ms
            self.turn(due)


@given(
    rule=st.builds(
        AirTime,
        session_minutes_max=st.integers(1, 60),
        sessions_a_day_max=st.integers(1, 3),
        minutes_a_day_max=st.integers(1, 90),
        pause_minutes=st.integers(1, 10),
    ),
    steps=st.lists(
        st.tuples(
            st.integers(0, 120 * 60),
            st.integers(1, 90 * 60),
            st.sampled_from(["", "", "stop", "cut"]),
            st.integers(0, 90),
        ),
        min_size=1,
        max_size=16,
    ),
    zone=st.sampled_from(ZONES),
    night=st.sampled_from(NIGHTS),
)
def test_no_night_second_and_no_more_air_time_than_there_is_whatever_is_cut_off(
    rule: AirTime, steps: list[tuple[int, int, str, int]], zone: str, night: str
) -> None:
    rules = HouseRules(time_zone=zone, quiet_hours=QuietHours(), air_time=rule)
    start = datetime.fromisoformat(f"{night} 18:00").replace(tzinfo=ZoneInfo(zone))
    pole = Pole(rules, round(start.timestamp() * 1000))
    for number, (pause_s, length_s, how, down_s) in enumerate(steps):
        pole.run(None, pole.now_ms + pause_s * 1000)
        begins = pole.now_ms
        due = item(f"i{number}", begins)
        pole.run(due, begins + length_s * 500)
        if how:
            if how == "stop":
                pole.house.heard((), pole.now)
            pole.now_ms += down_s * 1000
            pole.boot()
        pole.run(due, pole.now_ms + length_s * 500)
    _check(pole.sound, rule, zone)


def _check(sound: list[list[int]], rule: AirTime, zone: str) -> None:
    assert rule.session_minutes_max is not None
    assert rule.sessions_a_day_max is not None
    assert rule.minutes_a_day_max is not None
    sessions: list[list[int]] = []
    minutes: dict[object, int] = {}
    for begins, ends in sound:
        for at_ms in range(begins, ends, MINUTE_MS):
            local = datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone))
            shown = local.hour * 60 + local.minute
            assert 330 <= shown < 21 * 60, f"sounds at {local}"
            minutes[local.date()] = minutes.get(local.date(), 0) + min(MINUTE_MS, ends - at_ms)
        if sessions and begins - sessions[-1][1] < rule.pause_minutes * MINUTE_MS:
            sessions[-1][1] = ends
        elif ends > begins:
            sessions.append([begins, ends])
    assert all(counted <= rule.minutes_a_day_max * MINUTE_MS for counted in minutes.values())
    assert all(ends - begins <= rule.session_minutes_max * MINUTE_MS for begins, ends in sessions)


RULE = AirTime(minutes_a_day_max=30)
NOON_MS = 1_795_323_600_000
RULES = HouseRules(time_zone=ZONES[0], air_time=RULE)


@pytest.mark.parametrize("set_by_ms", [-90 * MINUTE_MS, -5 * MINUTE_MS, 5 * MINUTE_MS, 90 * MINUTE_MS])
@pytest.mark.parametrize("in_item", [True, False])
def test_a_clock_that_is_set_makes_the_count_neither_longer_nor_shorter(set_by_ms: int, *, in_item: bool) -> None:
    pole = Pole(RULES, NOON_MS)
    due = item("a", NOON_MS - 4 * 3_600_000)
    pole.run(due, NOON_MS + 10 * MINUTE_MS)
    if not in_item:
        pole.run(None, NOON_MS + 12 * MINUTE_MS)
    pole.set_by_ms = set_by_ms
    pole.run(due, pole.now_ms + 5 * MINUTE_MS)
    pole.run(None, pole.now_ms + MINUTE_MS)
    assert pole.house.used(pole.now.shared_ms) == (1, 15 * MINUTE_MS)
    again = House()
    again.use(RULES)
    again.restore(Restored(notes=(StoredNote(name=NOTE, payload=pole.note),)))
    assert again.used(pole.now.shared_ms) == (1, 15 * MINUTE_MS), "and so it stands on the disk"


def test_while_nobody_knows_the_time_what_sounded_until_then_counts_by_the_nodes_own_clock() -> None:
    pole = Pole(RULES, NOON_MS)
    pole.run(item("a", NOON_MS), NOON_MS + 5 * MINUTE_MS)
    lost = Now(monotonic_ns=MonotonicNs(pole.now.monotonic_ns), shared_ns=SharedNs(0), source=TimeSource.UNKNOWN)
    pole.house.heard((), lost)
    assert pole.house.used(SharedMs(NOON_MS)) == (1, 5 * MINUTE_MS)


def test_reserves_a_minute_at_a_time_and_writes_the_true_end() -> None:
    pole = Pole(RULES, NOON_MS)
    pole.run(item("a", NOON_MS), NOON_MS + 1)
    kept = cbor_decode(pole.note, Aired).spans
    assert kept[-1].ends_ms - NOON_MS == RESERVED_MS + RESERVED_AHEAD_MS
    pole.run(item("a", NOON_MS), NOON_MS + 10 * MINUTE_MS)
    assert pole.writes == 11, "one a minute"
    pole.run(None, NOON_MS + 11 * MINUTE_MS)
    assert pole.writes == 12
    assert cbor_decode(pole.note, Aired).spans[-1].ends_ms == NOON_MS + 10 * MINUTE_MS


def test_a_count_that_cannot_be_read_is_begun_anew_and_said() -> None:
    house = House()
    effects = house.restore(Restored(notes=(StoredNote(name=NOTE, payload=b"\xff"),)))
    assert [type(effect) for effect in effects] == [LogDecision]
    assert house.used(SharedMs(NOON_MS)) == (0, 0)


def test_a_limit_that_comes_in_the_middle_of_a_day_finds_what_has_sounded() -> None:
    pole = Pole(HouseRules(time_zone=ZONES[0]), NOON_MS)
    pole.run(item("a", NOON_MS), NOON_MS + 40 * MINUTE_MS)
    assert pole.writes == 0
    pole.house.use(RULES)
    assert pole.house.blocks(item("a", NOON_MS), pole.now.shared_ms) is Reason.AIR_TIME_DAY
    assert pole.house.blocks(item("b", NOON_MS, broadcast_class=BroadcastClass.EMERGENCY), pole.now.shared_ms) is None
