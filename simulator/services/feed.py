"""Stations' feeds and the relay worker in virtual time.

The worker carries the controller's own `Relay` (watch, elastic buffer, levelling, timeline) and signs real packets
with the stream's own key. A station sends plain samples; what its packets carry is swapped for synthetic frames that
say which stream they are and at which sample of shared time they sound (`workshop`), or encoded by libopus.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from controller.configuration.config import FeedConfig, RelayConfig
from controller.streams.feed_watch import AlarmKind, CloseFeed, OpenFeed, TakeProbe
from controller.streams.levelling import Samples
from controller.streams.relay import PROBE_FRAMES, Relay, RelayEvent, RelayStep, SoundGauge
from protocol.envelope import Sign
from protocol.stream import AudioPacket, pack_audio
from protocol.topics import TopicName, topic
from protocol.units import FRAME_SAMPLES, NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ, sample_of_shared_ns
from simulator.clock import ClockTimer, NodeClock
from simulator.pole.workshop import synthetic_frame
from simulator.world import World

OPENING_NS: Final = 300 * NS_PER_MS
"""Name, connection and headers of an Icecast mount."""
TONE_HZ: Final = 440
_WAKE_NS_MAX: Final = NS_PER_S // 2
_BURST_NS: Final = NS_PER_S
"""What Icecast sends at once to a new listener."""


class FeedState(StrEnum):
    """How a station is."""

    PLAYING = "playing"
    SILENT = "silent"
    STALLED = "stalled"
    DOWN = "down"
    NOT_AUDIO = "not_audio"


@dataclass(slots=True, kw_only=True)
class Station:
    """What stands behind one address; set `state` at will."""

    url: str
    state: FeedState = FeedState.PLAYING


class Stations:
    """Every address of a province; one that was never named plays."""

    def __init__(self) -> None:
        self._stations: dict[str, Station] = {}
        places = np.arange(SAMPLE_RATE_HZ, dtype=np.float64)
        self.tone: Final = (0.1 * 32767 * np.sin(2 * np.pi * TONE_HZ * places / SAMPLE_RATE_HZ)).astype(np.int16)
        self.silence: Final = np.zeros(SAMPLE_RATE_HZ, np.int16)

    def station(self, url: str) -> Station:
        """The station behind an address."""
        return self._stations.setdefault(url, Station(url=url))


class _Reader:
    """One connection to a station: what has come since it was last asked."""

    def __init__(self, stations: Stations, url: str, now_ns: int) -> None:
        self._stations = stations
        self._station = stations.station(url)
        self._opens_ns = now_ns + OPENING_NS
        self._taken_ns = now_ns + OPENING_NS - _BURST_NS

    def take(self, now_ns: int) -> NDArray[np.int16]:
        """The samples that have come; nothing while it opens or nothing is sent."""
        state = self._station.state
        if now_ns < self._opens_ns or state not in {FeedState.PLAYING, FeedState.SILENT}:
            self._taken_ns = max(self._taken_ns, now_ns if now_ns >= self._opens_ns else self._taken_ns)
            return self._stations.silence[:0]
        count = min(SAMPLE_RATE_HZ, (now_ns - self._taken_ns) * SAMPLE_RATE_HZ // NS_PER_S)
        self._taken_ns += count * NS_PER_S // SAMPLE_RATE_HZ
        source = self._stations.tone if state is FeedState.PLAYING else self._stations.silence
        return source[:count]

    def failure(self, now_ns: int) -> AlarmKind | None:
        """What is wrong with the connection."""
        if now_ns < self._opens_ns:
            return None
        return {FeedState.DOWN: AlarmKind.UNREACHABLE, FeedState.NOT_AUDIO: AlarmKind.NOT_AUDIO}.get(
            self._station.state
        )


class SimulatedRelayWorker:
    """The worker of one stream, as `controller.adapters.relay.relay_worker` is one."""

    def __init__(
        self,
        world: World,
        clock: NodeClock,
        stations: Stations,
        *,
        config: RelayConfig,
        feed: FeedConfig,
        stream: str,
        starts_at_ms: int,
        ends_at_ms: int,
        publish: Callable[[str, bytes], None],
        on_event: Callable[[RelayEvent], None],
        sign: Sign,
        tag: int,
        encode: Callable[[Samples], bytes] | None = None,
    ) -> None:
        self._world = world
        self._clock = clock
        self._stations = stations
        self._topic: Final = topic(TopicName.AUDIO, stream=stream)
        self._publish = publish
        self._on_event = on_event
        self._sign = sign
        self._tag = tag
        self._is_synthetic = encode is None
        chance = world.chance(f"relay/{stream}")
        self._relay = Relay(
            config=config,
            feed=feed,
            stream=stream,
            starts_at_ms=starts_at_ms,
            ends_at_ms=ends_at_ms,
            encode=encode or (lambda _: b"\0"),
            scatter=chance.random,
            now=clock.read_now(),
        )
        self._reader: _Reader | None = None
        self._probe: _Reader | None = None
        self._probe_gauge = SoundGauge()
        self._probe_frames = 0.0
        self._timer: ClockTimer | None = clock.call_after(0, self._carry)

    def want_delay(self, delay_ms: int) -> None:
        """Take up the group's new delay at the feed's next pause."""
        self._relay.want_delay(delay_ms)

    def stop(self, reason: str = "stopped") -> None:
        """Publish what is left and no more."""
        if self._timer is not None:
            self._abandon()
            self._hand_over(self._relay.end(reason, self._clock.read_now()))

    def kill(self) -> None:
        """The process is gone."""
        self._abandon()

    def _abandon(self) -> None:
        self._clock.cancel(self._timer)
        self._timer = None

    def _carry(self) -> None:
        now, true_ns = self._clock.read_now(), self._world.now_ns
        self._timer = None
        if self._reader is not None:
            samples = self._reader.take(true_ns)
            if len(samples) and self._relay.wants_more:
                self._relay.receive(samples, now)
            failure = self._reader.failure(true_ns)
            if failure is not None:
                self._reader = None
                self._relay.fail(failure, "the simulated station says so", now)
        self._watch_probe(true_ns)
        step = self._relay.advance(now)
        self._obey(step, true_ns)
        if self._relay.is_over(now):
            self._hand_over(step)
            self._hand_over(self._relay.end("the stream's time is over", now))
            return
        wait_ns = min(_WAKE_NS_MAX, max(NS_PER_MS, self._relay.next_due_ns - now.shared_ns))
        self._timer = self._clock.call_after(wait_ns, self._carry)
        self._hand_over(step)

    def _watch_probe(self, true_ns: int) -> None:
        probe = self._probe
        if probe is None:
            return
        samples = probe.take(true_ns)
        if len(samples) and self._probe_gauge.note(samples):
            self._probe_frames += len(samples) / FRAME_SAMPLES
        if self._probe_frames >= PROBE_FRAMES:
            self._relay.probe_sounds(self._clock.read_now())
        elif probe.failure(true_ns) is not None:
            self._relay.fail_probe(self._clock.read_now())

    def _obey(self, step: RelayStep, true_ns: int) -> None:
        for command in step.commands:
            match command:
                case OpenFeed(url=url, is_probe=False):
                    self._reader = _Reader(self._stations, url, true_ns)
                case OpenFeed(url=url):
                    self._begin_probe(_Reader(self._stations, url, true_ns))
                case CloseFeed(is_probe=False):
                    self._reader = None
                case CloseFeed():
                    self._begin_probe(None)
                case TakeProbe():
                    self._reader, self._probe = self._probe, None
                case _:
                    pass  # findings are events already

    def _begin_probe(self, probe: _Reader | None) -> None:
        self._probe = probe
        self._probe_gauge.reset()
        self._probe_frames = 0.0

    def _hand_over(self, step: RelayStep) -> None:
        for packet in step.packets:
            self._publish(self._topic, pack_audio(self._carrying(packet), sign=self._sign, topic=self._topic))
        for event in step.events:
            self._on_event(event)

    def _carrying(self, packet: AudioPacket) -> AudioPacket:
        """The packet with frames that say where on the grid of shared time they belong."""
        if not self._is_synthetic:
            return packet
        first = sample_of_shared_ns(packet.play_at_ns)
        frames = tuple(synthetic_frame(self._tag, first + index * FRAME_SAMPLES) for index in range(len(packet.frames)))
        return replace(packet, frames=frames)
