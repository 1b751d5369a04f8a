"""A relay: one feed on its way to the poles of an area, once for all who listen.

Duty: join the watch over the feed, the elastic buffer, levelling, the encoder and the timeline; say to the desk
what happened (`RelayEvent`). Leaves connections, threads, signing and publishing to `adapters.relay_worker`, the
signed start and end of the stream to the desk.
Rules kept: while the feed is down or silent nothing is published and the timeline runs on, so that poles come
back in step; nothing is published before the stream's start or after its end; silence is judged on what was decoded,
before any gain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from controller.configuration.config import FeedConfig, RelayConfig
from controller.streams.elastic_buffer import ENOUGH_MS, ElasticBuffer
from controller.streams.feed_watch import (
    PROBE_EVERY_S,
    AlarmKind,
    FeedWatch,
    OpenFeed,
    Outcome,
    TakeProbe,
    Trouble,
    Well,
)
from controller.streams.levelling import Leveller, Samples, level_dbfs
from controller.streams.packing import Slot
from controller.streams.stamping import Stamper
from protocol.stream import AudioPacket
from protocol.units import FRAME_SAMPLES, SAMPLE_RATE_HZ, SAMPLES_PER_MS, Now, SharedMs, SharedNs

SOUND_DBFS: Final = -60.0
"""A block above this has level: below it lie dead studios and the noise of converters."""
SOUND_FRAMES: Final = 10
"""Blocks with level that end a silence: a click is no programme."""
PROBE_FRAMES: Final = 50
"""Blocks with level (one second) that prove a probed address."""

Encode = Callable[[Samples], bytes]
"""One frame, float32[960], to one Opus frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayStarted:
    """The first packet is on its way; poles sound it at `play_at_ms`."""

    url: str
    play_at_ms: SharedMs


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayAlarm:
    """The feed is not well: how, where, and in `detail` what to do."""

    kind: AlarmKind
    url: str
    detail: str
    at_ms: SharedMs


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayRecovered:
    """After one or more alarms the feed has sound again, from `url`."""

    url: str
    at_ms: SharedMs


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayEnded:
    """Nothing more will be published; what was is heard until `heard_until_ms`, if that is known."""

    reason: str
    at_ms: SharedMs
    heard_until_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayTimed:
    """An epoch of the stream begins with its first packet: what is captured is heard `delay_ms` later.

    A voice says it again when it has come to that delay: until it is `is_settled`, it has more time to spare.
    """

    epoch: int
    delay_ms: int
    is_settled: bool = True


RelayEvent = RelayStarted | RelayTimed | RelayAlarm | RelayRecovered | RelayEnded


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayStep:
    """What follows from a step: packets to publish, news for the desk, commands for the reader."""

    packets: tuple[AudioPacket, ...] = ()
    events: tuple[RelayEvent, ...] = ()
    commands: tuple[Outcome, ...] = ()


class SoundGauge:
    """Tells sound from silence over blocks of any length."""

    def __init__(self) -> None:
        self._loud_frames = 0.0
        self._silent_samples = 0

    @property
    def silent_s(self) -> float:
        """How long there has been no sound."""
        return self._silent_samples / SAMPLE_RATE_HZ

    def note(self, samples: NDArray[np.int16]) -> bool:
        """Whether these samples end (or continue) a time of sound."""
        if level_dbfs(samples.astype(np.float32) / np.float32(32768.0)) > SOUND_DBFS:
            self._loud_frames += len(samples) / FRAME_SAMPLES
        else:
            self._loud_frames = max(0.0, self._loud_frames - len(samples) / FRAME_SAMPLES)
        self._silent_samples += len(samples)
        if self._loud_frames < SOUND_FRAMES:
            return False
        self._loud_frames = min(self._loud_frames, 2.0 * SOUND_FRAMES)
        self._silent_samples = 0
        return True

    def reset(self) -> None:
        """A new connection is judged anew."""
        self._loud_frames, self._silent_samples = 0.0, 0


class Relay:
    """One stream from one feed, sans IO: tell it what was read, ask it what is due."""

    def __init__(
        self,
        *,
        config: RelayConfig,
        feed: FeedConfig,
        stream: str,
        starts_at_ms: int,
        ends_at_ms: int,
        encode: Encode,
        scatter: Callable[[], float],
        now: Now,
        probe_every_s: float = PROBE_EVERY_S,
    ) -> None:
        self._config = config
        self._starts_at_ms, self._ends_at_ms = starts_at_ms, ends_at_ms
        self._encode = encode
        self._watch = FeedWatch(feed.urls, stall_s_max=config.stall_s_max, scatter=scatter, probe_every_s=probe_every_s)
        self._gauge = SoundGauge()
        self._buffer = ElasticBuffer()
        self._held: list[NDArray[np.int16]] = []
        self._held_samples = 0
        self._leveller: Leveller | None = None
        self._stamper = Stamper(
            stream=stream,
            epoch=now.shared_ns // 1_000_000_000,  # rises with every start of any sender
            delay_ms=config.delay_ms,
            delay_samples=Leveller.delay_samples,
            frames_per_packet=config.frames_per_packet,
            now=now,
        )
        self._commands: list[Outcome] = []
        self._events: list[RelayEvent] = []
        self._is_started = False
        self._told_epoch = -1

    @property
    def next_due_ns(self) -> SharedNs:
        """The shared instant at which `advance` should be called next."""
        return self._stamper.next_due_ns

    @property
    def wants_more(self) -> bool:
        """Whether the reader's samples are welcome; else they should wait where they are."""
        return self._buffer.wants_more and self._held_samples < ENOUGH_MS * SAMPLES_PER_MS

    @property
    def buffer(self) -> ElasticBuffer:
        """The store, for figures."""
        return self._buffer

    def receive(self, samples: NDArray[np.int16], now: Now, *, pieces_s: float = 0.0) -> None:
        """The feed gave samples (int16, mono 48 kHz); the next may be `pieces_s` away where it comes in pieces."""
        self._watch.pieces_s, self._buffer.pieces_ms = pieces_s, pieces_s * 1000
        self._watch.data(now.monotonic_ns)
        if self._gauge.note(samples):
            self._take(self._watch.level(now.monotonic_ns), now)
        elif self._gauge.silent_s > self._config.silence_s_max:
            self._take(self._watch.silence(self._gauge.silent_s, now.monotonic_ns), now)
        self._held.append(samples)
        self._held_samples += len(samples)
        if not self._watch.is_proving:
            self._release()

    def fail(self, kind: AlarmKind, detail: str, now: Now) -> None:
        """The connection to the feed came to its end."""
        self._take(self._watch.failed(kind, detail, now.monotonic_ns), now)

    def probe_sounds(self, now: Now) -> None:
        """The probed address has had level for long enough."""
        self._take(self._watch.probe_level(now.monotonic_ns), now)

    def fail_probe(self, now: Now) -> None:
        """The probed address gives nothing."""
        self._take(self._watch.probe_failed(now.monotonic_ns), now)

    def advance(self, now: Now) -> RelayStep:
        """All that is due by now."""
        # What waits in a store that is not filled enough to begin is heard by nobody.
        stored_ms = self._buffer.fill_ms if self._buffer.is_flowing else 0.0
        self._take(self._watch.tick(now.monotonic_ns, stored_ms=stored_ms), now)
        packets: list[AudioPacket] = []
        for slot in self._stamper.due(now):
            packets += self._stamper.place(slot, self._frame(slot))
        if packets and not self._is_started:
            self._is_started = True
            play_at_ms = SharedMs(packets[0].play_at_ns // 1_000_000)
            self._events.append(RelayStarted(url=self._watch.url, play_at_ms=play_at_ms))
        if packets and packets[-1].epoch > self._told_epoch:
            self._told_epoch = packets[-1].epoch
            self._events.append(RelayTimed(epoch=self._told_epoch, delay_ms=self._stamper.delay_ms))
        return self._step(packets)

    def is_over(self, now: Now) -> bool:
        """Whether all that sounds before the end has been published."""
        return now.shared_ms + self._stamper.delay_ms > self._ends_at_ms

    def want_delay(self, delay_ms: int) -> None:
        """Take up the group's new delay at the next pause."""
        self._stamper.want_delay(delay_ms)

    def end(self, reason: str, now: Now) -> RelayStep:
        """Publish what is left and say that it is over."""
        self._events.append(RelayEnded(reason=reason, at_ms=now.shared_ms))
        return self._step(self._stamper.flush())

    def _frame(self, slot: Slot) -> bytes | None:
        if self._leveller is None and self._buffer.is_filled:
            self._leveller = Leveller(self._config.level_dbfs)
            self._leveller.prime(self._buffer.peek())
        samples = self._buffer.pull()
        is_heard = self._starts_at_ms <= slot.play_at_ms < self._ends_at_ms
        if samples is None or self._leveller is None or not is_heard or self._watch.is_silent:
            return None
        return self._encode(self._leveller.process(samples))

    def _release(self) -> None:
        for samples in self._held:
            self._buffer.push(samples)
        self._held, self._held_samples = [], 0

    def _take(self, outcomes: list[Outcome], now: Now) -> None:
        for outcome in outcomes:
            match outcome:
                case Trouble(kind=kind, url=url, detail=detail):
                    self._events.append(RelayAlarm(kind=kind, url=url, detail=detail, at_ms=now.shared_ms))
                case Well(url=url):
                    self._events.append(RelayRecovered(url=url, at_ms=now.shared_ms))
                case OpenFeed(is_probe=False) | TakeProbe():
                    self._gauge.reset()
                    self._held, self._held_samples = [], 0
                    self._commands.append(outcome)
                case _:
                    self._commands.append(outcome)

    def _step(self, packets: list[AudioPacket]) -> RelayStep:
        step = RelayStep(packets=tuple(packets), events=tuple(self._events), commands=tuple(self._commands))
        self._events.clear()
        self._commands.clear()
        return step
