"""The delay of a group follows what its nodes need: up at once, down slowly, not for one sick pole."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.streams.group_delay import (
    CALM_MS,
    JUDGE_EVERY_MS,
    MARGIN_MS,
    STANDS_OUT_MS,
    STEP_MS,
    DelayBounds,
    GroupDelays,
    Use,
)
from protocol.messages import StreamHeard, Telemetry
from protocol.units import SharedMs

STREAM = "0123456789abcdef"
EPOCH = 5
NOW = SharedMs(1_800_000_000_000)
BOUNDS = {Use.RELAY: DelayBounds(usual_ms=1_000, most_ms=4_000), Use.LIVE: DelayBounds(usual_ms=200, most_ms=1_500)}


class Evening:
    """A group whose nodes say something every judging interval; `lateness` by node, against the delay in force."""

    def __init__(self, nodes: int = 4, *, use: Use = Use.RELAY) -> None:
        self.delays = GroupDelays(BOUNDS)
        self.now = NOW
        self.use = use
        self.network_ms: dict[str, float] = {f"N{index:03}": 100.0 for index in range(1, nodes + 1)}
        self.bad_clocks: set[str] = set()
        self.changes: list[tuple[str, int]] = []
        self.beside = ""
        self.begin()

    def begin(self) -> None:
        """A new stream; it has its group's delay."""
        self.delays.begun(STREAM, "xa", self.use, self.network_ms)
        self.delay_ms = self.delays.wanted_ms("xa", self.use)
        self.delays.epoch_begun(STREAM, EPOCH, self.delay_ms)

    def begin_beside(self, stream: str) -> None:
        """A second stream of the group, heard by the same nodes."""
        self.beside = stream
        self.delays.begun(stream, "xa", self.use, self.network_ms)
        self.delays.epoch_begun(stream, EPOCH, self.delay_ms)

    def pass_by(self, intervals: int = 1) -> int:
        """Let time pass; returns the delay that the next stream gets."""
        for _ in range(intervals):
            for node in self.network_ms:
                self.delays.told(self.status(node), self.now)
            self.now = SharedMs(self.now + JUDGE_EVERY_MS)
            self.changes += self.delays.look(self.now)
        return self.delays.wanted_ms("xa", self.use)

    def status(self, node: str, *, epoch: int = EPOCH, packets: int = 3_000) -> Telemetry:
        late = self.network_ms[node] - self.delay_ms
        heard = StreamHeard(
            stream=STREAM,
            epoch=epoch,
            packets=packets,
            lateness_ms_p50=late - 50,
            lateness_ms_p99=late - 10,
            lateness_ms_p999=late,
            ahead_ms=140.0,
        )
        streams = (heard, msgspec.structs.replace(heard, stream=self.beside)) if self.beside else (heard,)
        error_ms = 400.0 if node in self.bad_clocks else 3.0
        return Telemetry(node=node, at_ms=self.now, clock_error_ms=error_ms, streams=streams)


def enough(network_ms: float) -> int:
    return -int(-(network_ms + 140 + MARGIN_MS) // STEP_MS) * STEP_MS


def test_good_nodes_have_the_usual_delay_and_live_voice_a_shorter_one() -> None:
    assert Evening().pass_by(10) == 1_000
    assert Evening(use=Use.LIVE).pass_by(10) == enough(100) == 300


def test_it_rises_at_once_and_the_running_stream_is_told() -> None:
    evening = Evening()
    evening.network_ms = dict.fromkeys(evening.network_ms, 1_300.0)
    assert evening.pass_by() == enough(1_300) == 1_500
    assert evening.changes == [(STREAM, 1_500)]
    evening.pass_by(5)
    assert evening.changes == [(STREAM, 1_500)], "it is told once"


def test_it_comes_down_only_after_a_long_calm_and_not_below_the_usual() -> None:
    evening = Evening()
    evening.network_ms = dict.fromkeys(evening.network_ms, 2_400.0)
    assert evening.pass_by() == 2_600
    evening.network_ms = dict.fromkeys(evening.network_ms, 1_200.0)
    calm = CALM_MS // JUDGE_EVERY_MS
    assert evening.pass_by(calm - 1) == 2_600
    assert evening.pass_by() == enough(1_200) == 1_400
    evening.network_ms = dict.fromkeys(evening.network_ms, 10.0)
    assert evening.pass_by(calm) == 1_000


def test_one_bad_minute_in_the_calm_begins_it_anew() -> None:
    evening, calm = Evening(), CALM_MS // JUDGE_EVERY_MS
    evening.network_ms = dict.fromkeys(evening.network_ms, 2_400.0)
    evening.pass_by()
    evening.network_ms = dict.fromkeys(evening.network_ms, 300.0)
    evening.pass_by(calm - 5)
    evening.network_ms["N002"] = evening.network_ms["N003"] = 2_350.0
    evening.pass_by()
    evening.network_ms = dict.fromkeys(evening.network_ms, 300.0)
    assert evening.pass_by(calm - 1) == 2_600
    assert evening.pass_by() == 1_000


@pytest.mark.parametrize(
    ("nodes", "sick", "waits"), [(4, 1, False), (4, 2, True), (40, 2, False), (40, 3, True), (1, 1, True)]
)
def test_a_commune_does_not_wait_for_a_sick_pole_but_names_it(nodes: int, sick: int, waits: bool) -> None:
    evening = Evening(nodes)
    ill = [f"N{index:03}" for index in range(1, sick + 1)]
    for node in ill:
        evening.network_ms[node] = 2_500.0
    assert evening.pass_by() == (enough(2_500) if waits else 1_000)
    shown = evening.delays.view(STREAM, evening.now)
    assert shown is not None
    assert shown.late == tuple(ill)
    assert shown.left_out == (() if waits else tuple(ill))
    assert (shown.worst_node, shown.worst_lateness_ms) == (ill[0], 2_500.0 - 10 - 1_000 + 140)
    assert (shown.delay_ms, shown.nodes) == (1_000, nodes)


def test_a_node_that_needs_only_a_little_more_than_the_others_is_waited_for() -> None:
    evening = Evening()
    evening.network_ms = dict.fromkeys(evening.network_ms, 900.0)
    evening.network_ms["N004"] = 900.0 + STANDS_OUT_MS
    assert evening.pass_by() == enough(900 + STANDS_OUT_MS)


def test_whose_clock_may_be_wrong_is_not_asked_but_shown() -> None:
    evening = Evening(1)  # alone it would be served
    evening.network_ms["N001"], evening.bad_clocks = 3_000.0, {"N001"}
    assert evening.pass_by() == 1_000
    shown = evening.delays.view(STREAM, evening.now)
    assert shown is not None
    assert shown.late == ("N001",)


def test_what_is_said_of_another_epoch_by_a_stranger_or_too_soon_is_not_believed() -> None:
    evening = Evening(1)
    evening.network_ms["N001"] = 3_000.0
    said = (
        evening.status("N001", epoch=EPOCH - 1),
        evening.status("N001", packets=10),
    )
    for each in said:
        evening.delays.told(each, evening.now)
    evening.network_ms["N999"] = 3_000.0
    evening.delays.told(evening.status("N999"), evening.now)
    assert evening.delays.look(SharedMs(evening.now + JUDGE_EVERY_MS)) == []
    assert evening.delays.wanted_ms("xa", Use.RELAY) == 1_000


def test_figures_of_a_pole_that_is_gone_do_not_count() -> None:
    evening = Evening(2)
    evening.network_ms = dict.fromkeys(evening.network_ms, 2_000.0)
    for node in evening.network_ms:
        evening.delays.told(evening.status(node), evening.now)
    assert evening.delays.look(SharedMs(evening.now + 60_000)) == []
    shown = evening.delays.view(STREAM, SharedMs(evening.now + 60_000))
    assert shown is not None
    assert (shown.nodes, shown.worst_lateness_ms, shown.late) == (0, None, ())


def test_what_a_group_learned_stays_for_the_next_stream_and_over_a_restart_within_the_bounds() -> None:
    evening = Evening()
    evening.network_ms = dict.fromkeys(evening.network_ms, 1_800.0)
    evening.pass_by()
    evening.delays.ended(STREAM)
    assert evening.delays.next_at_ms is None
    evening.begin()
    assert evening.delay_ms == 2_000
    assert evening.pass_by(3) == 2_000
    anew = GroupDelays(BOUNDS)
    anew.restore("xa", Use.RELAY, 2_000)
    anew.restore("old", Use.RELAY, 0)
    assert (anew.wanted_ms("xa", Use.RELAY), anew.wanted_ms("old", Use.RELAY)) == (2_000, 1_000)
    anew.rebound({**BOUNDS, Use.RELAY: DelayBounds(usual_ms=500, most_ms=1_500)})
    assert anew.wanted_ms("xa", Use.RELAY) == 1_500


@given(
    st.lists(st.lists(st.floats(-60_000, 60_000), min_size=1, max_size=30), min_size=1, max_size=20),
)
def test_whatever_nodes_say_the_delay_is_a_whole_step_within_the_bounds(evenings: list[list[float]]) -> None:
    delays, now = GroupDelays(BOUNDS), NOW
    delays.begun(STREAM, "xa", Use.RELAY, [f"N{index}" for index in range(30)])
    delays.epoch_begun(STREAM, EPOCH, 1_000)
    for lateness in evenings:
        for index, late in enumerate(lateness):
            heard = StreamHeard(
                stream=STREAM, epoch=EPOCH, packets=3_000, lateness_ms_p99=late, lateness_ms_p999=late, ahead_ms=100.0
            )
            said = Telemetry(node=f"N{index}", at_ms=now, clock_error_ms=1.0, streams=(heard,))
            delays.told(said, now)
        was_ms = delays.wanted_ms("xa", Use.RELAY)
        now = SharedMs(now + JUDGE_EVERY_MS)
        delays.look(now)
        chosen_ms = delays.wanted_ms("xa", Use.RELAY)
        assert 1_000 <= chosen_ms <= 4_000
        assert chosen_ms % STEP_MS == 0
        assert chosen_ms >= was_ms, "nothing comes down within so short a time"


def test_two_streams_of_a_group_do_not_make_its_calm_pass_twice_as_fast() -> None:
    evening, calm = Evening(), CALM_MS // JUDGE_EVERY_MS
    evening.network_ms = dict.fromkeys(evening.network_ms, 2_400.0)
    assert evening.pass_by() == 2_600
    evening.network_ms = dict.fromkeys(evening.network_ms, 1_200.0)
    evening.begin_beside("another")
    assert evening.pass_by(calm - 1) == 2_600
    assert evening.pass_by() == enough(1_200)
