"""The relay workers of one process, by stream: opened and closed as the desk says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from controller.adapters.keys.signing import FreshSecrets
from controller.adapters.relay.relay_worker import RelayWorker
from controller.configuration.config import RelayConfig
from controller.effects import OpenRelay
from controller.streams.relay import RelayEnded, RelayEvent
from protocol.adapters.system_clock import read_now

log = logging.getLogger(__name__)


class RelayPool:
    """`on_news` hears what a worker says, with its stream."""

    def __init__(
        self,
        *,
        config: RelayConfig,
        secrets: FreshSecrets,
        publish: Callable[[str, bytes], None],
        on_news: Callable[[str, RelayEvent], None],
    ) -> None:
        self._config = config
        self._secrets = secrets
        self._publish = publish
        self._on_news = on_news
        self._workers: dict[str, RelayWorker] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def reconfigure(self, config: RelayConfig) -> None:
        """Workers opened from now on follow another configuration."""
        self._config = config

    def open(self, effect: OpenRelay) -> None:
        """Begin to pull a feed."""
        relay = effect.relay
        try:
            worker = RelayWorker(
                config=msgspec.structs.replace(self._config, delay_ms=relay.delay_ms),
                feed=effect.feed,
                stream=relay.stream,
                starts_at_ms=relay.starts_at_ms,
                ends_at_ms=relay.ends_at_ms,
                publish=self._publish,
                read_now=read_now,
                on_event=lambda news: self._on_news(relay.stream, news),
                signing_key=self._secrets.take_key(relay.stream),
            )
        except Exception as error:
            log.exception("the worker of relay %s could not be made", relay.stream)
            self._on_news(relay.stream, RelayEnded(reason=f"not begun: {error}", at_ms=read_now().shared_ms))
            return
        self._workers[relay.stream] = worker
        self._run(worker.start())

    def close(self, stream: str) -> None:
        """End a worker without waiting for it."""
        worker = self._workers.pop(stream, None)
        if worker is not None:
            self._run(worker.stop())

    def delay(self, stream: str, delay_ms: int) -> None:
        """Tell a worker its group's new delay."""
        worker = self._workers.get(stream)
        if worker is not None:
            worker.want_delay(delay_ms)

    async def close_all(self) -> None:
        """End every worker and wait for them."""
        for stream in list(self._workers):
            self.close(stream)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a relay worker failed: %s", task.exception())
