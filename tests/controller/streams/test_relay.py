"""A relay in virtual time: what is published, when, and what is told, with a feed made of arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from controller.configuration.config import FeedConfig, RelayConfig
from controller.streams.feed_watch import AlarmKind, CloseFeed, OpenFeed, Outcome
from controller.streams.levelling import LOOKAHEAD_SAMPLES, Samples, level_dbfs
from controller.streams.relay import Relay, RelayAlarm, RelayEnded, RelayEvent, RelayRecovered, RelayStarted, RelayTimed
from controller.streams.stamping import CODEC_DELAY_SAMPLES
from protocol.stream import AudioPacket
from protocol.units import MonotonicNs, Now, SharedNs, sample_of_shared_ns
from tests.support.recordings import noise

BEGIN_MS = 1_800_000_000_000
FEED = FeedConfig(id="vov1", title="VOV1", urls=("http://one/live",))
CONFIG = RelayConfig(delay_ms=1000, silence_s_max=5, stall_s_max=3)
STEP_MS = 100


class Studio:
    """A station and a listener around one relay: every step is 100 ms of shared time."""

    def __init__(self, *, feed: FeedConfig = FEED, starts_after_ms: int = 0, lasts_ms: int = 3_600_000) -> None:
        self.now_ms = 0
        self.frames: list[Samples] = []
        self.packets: list[AudioPacket] = []
        self.events: list[RelayEvent] = []
        self.commands: list[Outcome] = []
        self.relay = Relay(
            config=CONFIG,
            feed=feed,
            stream="00" * 8,
            starts_at_ms=BEGIN_MS + starts_after_ms,
            ends_at_ms=BEGIN_MS + lasts_ms,
            encode=self._encode,
            scatter=lambda: 1.0,
            now=self.now,
        )

    @property
    def now(self) -> Now:
        ns = self.now_ms * 1_000_000
        return Now(monotonic_ns=MonotonicNs(ns + 10**12), shared_ns=SharedNs(BEGIN_MS * 1_000_000 + ns))

    def run(self, seconds: float, sound: Callable[[float], np.ndarray] | None, *, burst_s: float = 0.0) -> None:
        """Let time pass; `sound(seconds)` is what the station sends, None is nothing."""
        if sound is not None and burst_s:
            self.relay.receive(as_int16(sound(burst_s)), self.now)
        for _ in range(round(seconds * 1000 / STEP_MS)):
            self.now_ms += STEP_MS
            if sound is not None:
                self.relay.receive(as_int16(sound(STEP_MS / 1000)), self.now)
            made = self.relay.advance(self.now)
            self.packets += made.packets
            self.events += made.events
            self.commands += made.commands

    def told(self, kind: type[RelayEvent]) -> list[RelayEvent]:
        return [event for event in self.events if isinstance(event, kind)]

    def _encode(self, frame: Samples) -> bytes:
        self.frames.append(frame)
        return len(self.frames).to_bytes(4, "big")


def as_int16(samples: np.ndarray) -> np.ndarray:
    return np.asarray((samples * 32767).astype(np.int16))


def music(seconds: float) -> np.ndarray:
    return noise(seconds, -26.0)


def silence(seconds: float) -> np.ndarray:
    return noise(seconds, -80.0)


def test_a_feed_is_published_levelled_and_stamped() -> None:
    studio = Studio()
    studio.run(20, music)
    assert studio.commands == [OpenFeed(url=FEED.urls[0])]
    started = studio.told(RelayStarted)
    assert len(started) == 1
    first = studio.packets[0]
    play_after = 1000 * 48 - LOOKAHEAD_SAMPLES - CODEC_DELAY_SAMPLES
    assert sample_of_shared_ns(first.play_at_ns) == BEGIN_MS * 48 + first.first_sample + play_after
    assert level_dbfs(np.concatenate(studio.frames[-100:])) == pytest.approx(-20.0, abs=0.5)
    assert [packet.first_sample for packet in studio.packets] == [
        first.first_sample + 4800 * index for index in range(len(studio.packets))
    ]


def test_a_burst_does_not_run_ahead() -> None:
    studio = Studio()
    studio.run(10, music, burst_s=30)
    assert len(studio.packets) <= 100
    assert not studio.relay.wants_more


def test_hls_that_has_just_begun_is_relayed_without_a_gap_or_an_alarm() -> None:
    studio = Studio()
    studio.run(0.1, None)
    for wait_s in (2.9, 1.1) * 5:
        studio.relay.receive(as_int16(music(2.0)), studio.now, pieces_s=3.0)
        studio.run(wait_s, None)
    assert studio.told(RelayAlarm) == []
    assert len(studio.packets) >= 165
    samples = [packet.first_sample for packet in studio.packets]
    assert samples == list(range(samples[0], samples[0] + 4_800 * len(samples), 4_800))


def test_hls_that_ends_before_there_is_enough_to_begin_is_told() -> None:
    studio = Studio()
    studio.run(0.1, None)
    studio.relay.receive(as_int16(music(3.0)), studio.now, pieces_s=3.0)
    studio.run(CONFIG.stall_s_max + 3.2, None)
    assert studio.packets == []
    assert [event.kind for event in studio.told(RelayAlarm) if isinstance(event, RelayAlarm)] == [AlarmKind.STALLED]


def test_a_feed_that_stops_leaves_a_gap_and_comes_back_in_step() -> None:
    studio = Studio()
    studio.run(10, music)
    studio.run(10, None)
    published = len(studio.packets)
    studio.run(5, None)
    assert len(studio.packets) == published, "nothing is published while the feed is down"
    alarms = [event for event in studio.told(RelayAlarm) if isinstance(event, RelayAlarm)]
    assert [alarm.kind for alarm in alarms] == [AlarmKind.STALLED]
    assert FEED.urls[0] in alarms[0].url
    studio.run(10, music)
    assert len(studio.told(RelayRecovered)) == 1
    last = studio.packets[-1]
    assert studio.now_ms * 48 - (last.first_sample + 4800) < 4800, "the index has run on through the gap"
    assert len({p.play_at_ns - p.first_sample * 62_500 // 3 for p in studio.packets}) <= 3, "one timeline (rounding)"


def test_the_last_seconds_before_a_stall_are_not_heard_again() -> None:
    studio = Studio()
    studio.run(10, music)
    studio.run(8, None)
    published = len(studio.packets)
    for _ in range(3):
        studio.run(0.1, music, burst_s=3)
        studio.run(20, None)
    assert len(studio.packets) == published
    assert studio.told(RelayRecovered) == []


def test_a_silent_feed_is_told_and_not_published_until_it_sounds() -> None:
    studio = Studio()
    studio.run(5, music)
    studio.run(8, silence)
    published = len(studio.packets)
    studio.run(10, silence)
    alarms = [event for event in studio.told(RelayAlarm) if isinstance(event, RelayAlarm)]
    assert [alarm.kind for alarm in alarms] == [AlarmKind.SILENT]
    assert len(studio.packets) == published
    studio.run(2, music)
    assert len(studio.told(RelayRecovered)) == 1
    assert len(studio.packets) > published


def test_a_click_does_not_end_a_silence() -> None:
    studio = Studio()
    studio.run(2, music)
    for _ in range(8):
        studio.run(1.9, silence)
        studio.run(0.1, music)
    assert len(studio.told(RelayAlarm)) == 1


def test_a_failure_turns_to_the_next_address() -> None:
    studio = Studio(feed=FeedConfig(id="vov1", title="VOV1", urls=("http://one/live", "http://two/live")))
    studio.run(1, None)
    studio.relay.fail(AlarmKind.HTTP_STATUS, "http://one/live answers 404 Not Found", studio.now)
    studio.run(0.2, None)
    assert studio.commands == [OpenFeed(url="http://one/live"), CloseFeed(), OpenFeed(url="http://two/live")]
    studio.run(3, music)
    assert [event.url for event in studio.told(RelayStarted) if isinstance(event, RelayStarted)] == ["http://two/live"]


def test_nothing_sounds_before_the_start_or_after_the_end() -> None:
    studio = Studio(starts_after_ms=4_000, lasts_ms=9_000)
    studio.run(12, music)
    first, last = studio.packets[0], studio.packets[-1]
    begin_ns = BEGIN_MS * 1_000_000
    assert 4_000 <= (first.play_at_ns - begin_ns) / 1e6 <= 4_020
    assert 8_960 <= (last.play_at_ns - begin_ns) / 1e6 + 20 * len(last.frames) <= 9_020
    assert studio.relay.is_over(studio.now)
    assert studio.relay.end("the stream's time is over", studio.now).events == (
        RelayEnded(reason="the stream's time is over", at_ms=studio.now.shared_ms),
    )


def test_another_delay_is_taken_up_where_the_feed_pauses_and_is_told_with_its_epoch() -> None:
    studio = Studio()
    studio.run(20, music)
    [first] = studio.told(RelayTimed)
    assert isinstance(first, RelayTimed)
    assert first.delay_ms == 1_000
    studio.relay.want_delay(1_700)
    studio.run(5, music)
    assert len(studio.told(RelayTimed)) == 1
    studio.run(30, silence)
    studio.run(20, music)
    [_, second] = studio.told(RelayTimed)
    assert isinstance(second, RelayTimed)
    assert (second.epoch, second.delay_ms) == (first.epoch + 1, 1_700)
    after = [packet for packet in studio.packets if packet.epoch == second.epoch]
    assert (after[0].first_sample // 960 * 20) % 20 == 0
    assert [packet.sequence for packet in after] == list(range(len(after)))
    assert after[-1].play_at_ns // 1_000_000 - (BEGIN_MS + studio.now_ms) == pytest.approx(1_700 - 100, abs=30)
