"""One live voice at work: an encoder, a key and a thread between a speaker's connection and the broker.

Duty: carry one `LiveVoice` on real clocks: hand it what the connection gives, sign its packets with the stream's own
key and hand them to `publish`; tell `on_event` and whoever holds the microphone (`news`) what happened. Leaves the
stream's signed start and end to the desk, and the connection to `web.voice`.
Rules kept: `take`, `hang_up` and all that is called back run on the asyncio loop that made the worker; a block is
stamped when it is taken, so that a busy thread delays nobody's timeline; what waits is bounded; the signing key is
never stored and dies with the stream; a failure inside ends the voice with an event, never in silence.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller.adapters.relay.opus_encoder import OpusEncoder
from controller.configuration.config import VoiceConfig
from controller.records import RelayRecord
from controller.streams.live_voice import Happening, LiveVoice, VoiceState
from controller.streams.relay import RelayEnded, RelayEvent, RelayStep
from protocol.stream import pack_audio
from protocol.topics import TopicName, topic
from protocol.units import Now

BLOCKS_MAX: Final = 200
"""Blocks that wait for the thread: two seconds of the shortest, and nobody's voice should wait that long."""
NEWS_MAX: Final = 16
"""What a voice has to tell in its whole life: begun, on the air, ended, and some room."""
TICK_S: Final = 0.1
STOP_S_MAX: Final = 2.0
_LOG: Final = logging.getLogger(__name__)


class VoiceWorker:
    """The worker of one voice; `start` once, `hang_up` as often as wanted."""

    def __init__(
        self,
        *,
        config: VoiceConfig,
        voice: RelayRecord,
        publish: Callable[[str, bytes], None],
        read_now: Callable[[], Now],
        on_event: Callable[[RelayEvent], None],
        signing_key: Ed25519PrivateKey | None = None,
    ) -> None:
        self.news: Final[asyncio.Queue[RelayEvent]] = asyncio.Queue(NEWS_MAX)
        self._stream = voice.stream
        self._topic = topic(TopicName.AUDIO, stream=voice.stream)
        self._publish = publish
        self._read_now = read_now
        self._on_event = on_event
        self._key = signing_key or Ed25519PrivateKey.generate()
        self._encoder = OpusEncoder(config.bitrate_bps)
        self._voice = LiveVoice(
            config=config,
            voice=voice,
            encode=self._encoder.encode,
            now=read_now(),
        )
        self._blocks: queue.Queue[tuple[bytes, Now] | str | int] = queue.Queue(BLOCKS_MAX)
        self._loop = asyncio.get_running_loop()
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name=f"voice-{voice.stream}", daemon=True)

    @property
    def stream(self) -> str:
        """The stream that is fed."""
        return self._stream

    @property
    def public_key(self) -> bytes:
        """The Ed25519 key that verifies the packets."""
        return self._key.public_key().public_bytes_raw()

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def take(self, block: bytes) -> None:
        """What the microphone gave: int16, little-endian, mono at 48 kHz."""
        try:
            self._blocks.put_nowait((block, self._read_now()))
        except queue.Full:
            self.hang_up("sound comes faster than it is spoken; send 48 kHz mono, as the microphone gives it")

    def want_delay(self, delay_ms: int) -> None:
        """How near the voice is to come; one that cannot even take in what is said stays where it is."""
        if not self._is_over and not self._blocks.full():
            self._blocks.put_nowait(delay_ms)

    def hang_up(self, reason: str) -> None:
        """It is over; what waits still goes out."""
        if self._is_over:
            return
        self._is_over = True
        if self._blocks.full():
            self._blocks.get_nowait()
        self._blocks.put_nowait(reason)

    async def stop(self, reason: str = "stopped") -> None:
        """Hang up, and return when the thread is gone, at the latest after STOP_S_MAX."""
        self.hang_up(reason)
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, STOP_S_MAX)

    def _run(self) -> None:
        reason = "hung up"
        try:
            reason = self._carry()
        except Exception as error:  # noqa: BLE001 - a thread that dies unheard would be silence while all is green
            _LOG.exception("voice %s broke off", self._stream)
            reason = f"the controller could not go on: {type(error).__name__}: {error}"
        finally:
            self._hand_over(self._voice.end(Happening.HUNG_UP, reason, self._read_now()))
            self._encoder.close()

    def _carry(self) -> str:
        """Until it is over, for a reason; one that the voice has told itself does not count again."""
        while self._voice.state is not VoiceState.ENDED:
            try:
                given = self._blocks.get(timeout=TICK_S)
            except queue.Empty:
                self._hand_over(self._voice.tick(self._read_now()))
                continue
            if isinstance(given, str):
                return given
            if isinstance(given, int):
                self._voice.want_delay(given)
                continue
            block, at = given
            self._hand_over(self._voice.receive(np.frombuffer(block, "<i2").astype(np.int16), at))
        return ""

    def _hand_over(self, step: RelayStep) -> None:
        packets = [pack_audio(packet, sign=self._key.sign, topic=self._topic) for packet in step.packets]
        if packets or step.events:
            try:
                self._loop.call_soon_threadsafe(self._deliver, packets, step.events)
            except RuntimeError:  # the loop is closed: nobody is left who could publish
                self._is_over = True

    def _deliver(self, packets: list[bytes], events: tuple[RelayEvent, ...]) -> None:
        for packet in packets:
            self._publish(self._topic, packet)
        for event in events:
            if isinstance(event, RelayEnded):
                self._is_over = True
            if not self.news.full():
                self.news.put_nowait(event)
            self._on_event(event)
