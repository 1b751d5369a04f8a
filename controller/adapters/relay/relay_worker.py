"""One relay at work: a reader, an encoder, a key and a thread that keeps shared time.

Duty: carry one `Relay` on real connections and clocks: hand it what the readers give, do what it commands, sign its
packets with the stream's own key and hand them to `publish`. What happened goes to `on_event`. Leaves the stream's
signed start and end to the desk, which knows the key's public half before the first packet.
Rules kept: one pull, one encode, one signature and one publish for each packet, however many poles listen;
`publish` and `on_event` are called on the asyncio loop that started the worker; the signing key is
never stored and dies with the stream; a failure inside ends the relay with an event, never in silence.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller.adapters.relay.feed_reader import FeedReader
from controller.adapters.relay.opus_encoder import OpusEncoder
from controller.configuration.config import FeedConfig, RelayConfig
from controller.streams.feed_watch import PROBE_EVERY_S, CloseFeed, OpenFeed, TakeProbe
from controller.streams.relay import PROBE_FRAMES, Relay, RelayEnded, RelayEvent, RelayStep, SoundGauge
from protocol.stream import pack_audio
from protocol.topics import TopicName, topic
from protocol.units import FRAME_SAMPLES, NS_PER_S, Now

STOP_S_MAX: Final = 2.0
"""How long `stop` waits for the worker's thread: one packet's work and the readers' STOP_S_MAX."""
WAKE_S_MAX: Final = 0.5
"""Longest sleep, so that a shared clock that is set is noticed."""
_LOG: Final = logging.getLogger(__name__)


class RelayWorker:
    """The worker of one stream; `start` once, `stop` as often as wanted.

    `publish` gets the topic and the signed bytes. Without a `signing_key` the worker makes one.
    """

    def __init__(
        self,
        *,
        config: RelayConfig,
        feed: FeedConfig,
        stream: str,
        starts_at_ms: int,
        ends_at_ms: int,
        publish: Callable[[str, bytes], None],
        read_now: Callable[[], Now],
        on_event: Callable[[RelayEvent], None],
        signing_key: Ed25519PrivateKey | None = None,
        probe_every_s: float = PROBE_EVERY_S,
    ) -> None:
        self._feed = feed
        self._stream = stream
        self._topic = topic(TopicName.AUDIO, stream=stream)
        self._publish = publish
        self._read_now = read_now
        self._on_event = on_event
        self._key = signing_key or Ed25519PrivateKey.generate()
        self._wanted_delay_ms = config.delay_ms
        self._encoder = OpusEncoder(config.bitrate_bps)
        self._relay = Relay(
            config=config,
            feed=feed,
            stream=stream,
            starts_at_ms=starts_at_ms,
            ends_at_ms=ends_at_ms,
            encode=self._encoder.encode,
            scatter=random.random,
            now=read_now(),
            probe_every_s=probe_every_s,
        )
        self._reader: FeedReader | None = None
        self._probe: FeedReader | None = None
        self._probe_gauge = SoundGauge()
        self._probe_frames = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = threading.Event()
        self._reason = "stopped"
        self._thread = threading.Thread(target=self._run, name=f"relay-{stream}", daemon=True)

    @property
    def stream(self) -> str:
        """The stream that is fed."""
        return self._stream

    @property
    def public_key(self) -> bytes:
        """The Ed25519 key that verifies the packets; for the stream's start document."""
        return self._key.public_key().public_bytes_raw()

    @property
    def url(self) -> str:
        """The address that is pulled now."""
        reader = self._reader
        return reader.url if reader is not None else ""

    @property
    def is_running(self) -> bool:
        """Whether packets may still come."""
        return self._thread.is_alive()

    def want_delay(self, delay_ms: int) -> None:
        """Take up the group's new delay at the feed's next pause; from any thread."""
        self._wanted_delay_ms = delay_ms

    async def start(self) -> None:
        """Begin to pull and, from the stream's start on, to publish."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self, reason: str = "stopped") -> None:
        """Publish no more; returns when the thread is gone, at the latest after STOP_S_MAX."""
        self._reason = reason
        self._stopping.set()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, STOP_S_MAX)

    def _run(self) -> None:
        try:
            self._carry()
        except Exception as error:  # noqa: BLE001 - a thread that dies unheard would be silence while all is green
            _LOG.exception("relay %s of feed %s broke off", self._stream, self._feed.id)
            self._reason = f"the controller could not go on: {type(error).__name__}: {error}"
        finally:
            for reader in (self._reader, self._probe):
                if reader is not None:
                    reader.stop()
            self._hand_over(self._relay.end(self._reason, self._read_now()))
            self._encoder.close()

    def _carry(self) -> None:
        wait_s = 0.0
        while not self._stopping.wait(wait_s):
            now = self._read_now()
            self._take_samples(now)
            self._watch_probe(now)
            self._relay.want_delay(self._wanted_delay_ms)
            step = self._relay.advance(now)
            self._obey(step)
            self._hand_over(step)
            if self._relay.is_over(now):
                self._reason = "the stream's time is over"
                return
            wait_s = (self._relay.next_due_ns - self._read_now().shared_ns) / NS_PER_S
            wait_s = min(WAKE_S_MAX, max(0.0, wait_s))

    def _take_samples(self, now: Now) -> None:
        reader = self._reader
        if reader is None:
            return
        while self._relay.wants_more:
            blocks = reader.take()
            if not blocks:
                break
            for block in blocks:
                self._relay.receive(block, now, pieces_s=reader.pieces_s)
        if reader.failure is not None:
            self._reader = None
            self._relay.fail(reader.failure.kind, reader.failure.detail, now)

    def _watch_probe(self, now: Now) -> None:
        probe = self._probe
        if probe is None:
            return
        for block in probe.take():
            if self._probe_gauge.note(block):
                self._probe_frames += len(block) / FRAME_SAMPLES
        if self._probe_frames >= PROBE_FRAMES:
            self._relay.probe_sounds(now)
        elif probe.failure is not None:
            self._relay.fail_probe(now)

    def _obey(self, step: RelayStep) -> None:
        for command in step.commands:
            match command:
                case OpenFeed(url=url, is_probe=False):
                    self._close_reader()
                    self._reader = self._opened(url)
                case OpenFeed(url=url):
                    self._close_probe()
                    self._probe = self._opened(url)
                case CloseFeed(is_probe=False):
                    self._close_reader()
                case CloseFeed():
                    self._close_probe()
                case TakeProbe():
                    self._close_reader()
                    self._reader, self._probe = self._probe, None
                case _:
                    pass  # findings are events already

    def _opened(self, url: str) -> FeedReader:
        reader = FeedReader(url, self._feed.headers)
        reader.start()
        return reader

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.stop()
            self._reader = None

    def _close_probe(self) -> None:
        self._probe_gauge.reset()
        self._probe_frames = 0.0
        if self._probe is not None:
            self._probe.stop()
            self._probe = None

    def _hand_over(self, step: RelayStep) -> None:
        packets = [pack_audio(packet, sign=self._key.sign, topic=self._topic) for packet in step.packets]
        for event in step.events:
            if not isinstance(event, RelayEnded):
                _LOG.info("relay %s of feed %s: %s", self._stream, self._feed.id, event)
        if self._loop is None or not (packets or step.events):
            return
        try:
            self._loop.call_soon_threadsafe(self._deliver, packets, step.events)
        except RuntimeError:  # the loop is closed: nobody is left who could publish
            self._stopping.set()

    def _deliver(self, packets: list[bytes], events: tuple[RelayEvent, ...]) -> None:
        for packet in packets:
            self._publish(self._topic, packet)
        for event in events:
            self._on_event(event)
