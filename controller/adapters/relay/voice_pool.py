"""The voices of one process, by stream: opened and closed as the desk says, fed by their speakers' connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from controller.adapters.keys.signing import FreshSecrets
from controller.adapters.relay.voice_worker import VoiceWorker
from controller.configuration.config import VoiceConfig
from controller.effects import OpenVoice
from controller.streams.relay import RelayEnded, RelayEvent
from protocol.adapters.system_clock import read_now

log = logging.getLogger(__name__)


class VoicePool:
    """`on_news` hears what a worker says, with its stream."""

    def __init__(
        self,
        *,
        config: VoiceConfig,
        secrets: FreshSecrets,
        publish: Callable[[str, bytes], None],
        on_news: Callable[[str, RelayEvent], None],
    ) -> None:
        self._config = config
        self._secrets = secrets
        self._publish = publish
        self._on_news = on_news
        self._workers: dict[str, VoiceWorker] = {}

    def reconfigure(self, config: VoiceConfig) -> None:
        """Voices opened from now on follow another configuration."""
        self._config = config

    def open(self, effect: OpenVoice) -> None:
        """Be ready for a speaker's sound."""
        voice = effect.voice
        try:
            worker = VoiceWorker(
                config=self._config,
                voice=voice,
                publish=self._publish,
                read_now=read_now,
                on_event=lambda news: self._told(voice.stream, news),
                signing_key=self._secrets.take_key(voice.stream),
            )
        except Exception as error:
            log.exception("the worker of voice %s could not be made", voice.stream)
            self._on_news(voice.stream, RelayEnded(reason=f"not begun: {error}", at_ms=read_now().shared_ms))
            return
        self._workers[voice.stream] = worker
        worker.start()

    def inlet(self, stream: str) -> VoiceWorker | None:
        """Where a speaker's sound goes; None where it is over already."""
        return self._workers.get(stream)

    def close(self, stream: str) -> None:
        """End a voice without waiting for it."""
        worker = self._workers.pop(stream, None)
        if worker is not None:
            worker.hang_up("stopped")

    def delay(self, stream: str, delay_ms: int) -> None:
        """Let a voice come nearer, or go back."""
        worker = self._workers.get(stream)
        if worker is not None:
            worker.want_delay(delay_ms)

    async def close_all(self) -> None:
        """End every voice and wait for them."""
        workers = list(self._workers.values())
        await asyncio.gather(*(worker.stop("the controller stops") for worker in workers), return_exceptions=True)

    def _told(self, stream: str, news: RelayEvent) -> None:
        if isinstance(news, RelayEnded):
            self._workers.pop(stream, None)
        self._on_news(stream, news)
