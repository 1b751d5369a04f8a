"""The sound card: PortAudio pulls, the node renders ahead, a watchdog opens anew what has stopped.

Three threads meet here. PortAudio's own calls `CardFeed.serve`, which only copies. A worker of ours makes the
calls that may block (open, close). Everything else, rendering too, happens on the asyncio loop's thread, so the
player needs no lock. The card runs only between `start` and `stop`, and which of both is wanted is remembered
through every failure (`player.card_states`). A failure never leaves this file as an exception: it is an event.

Callback, not blocking writes: docs/decisions/0003-blocking-write-or-callback.md.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from edge.adapters.card_feed import CardFeed
from edge.adapters.port_audio import OpenedDevice, PortAudioOutput
from edge.errors import SoundError
from edge.events import CardFailed, CardStarted
from edge.player.card_clock import CardClock
from edge.player.card_states import CardAction, CardInput, CardLife, CardState
from edge.player.ports import CardStatistics, Render
from edge.player.ring import Ring, risen
from protocol.units import NS_PER_MS, NS_PER_US, SAMPLES_PER_MS, MonotonicNs, Now

_LOG: Final = logging.getLogger(__name__)
WATCH_S: Final = 0.75
"""A card that has pulled nothing for twice this long has stopped; PulseAudio starts with gaps of up to a second."""
PROOF_S: Final = 0.3
"""A device that failed and opens again fills its buffer at once; what it takes later than this it has played."""
ANSWER_S_MAX: Final = 5.0
"""How long opening may take; PulseAudio, started on demand, takes two seconds."""
JOBS_WAITING_MAX: Final = 4
"""Orders to a worker that hangs in a driver; more of them would change nothing."""
ROOM_FRAMES: Final = 20 * SAMPLES_PER_MS
"""What lies in the ring beyond the next pull at least: a loop that is late by so much leaves no gap."""
NEAR_GAPS_MAX: Final = 25
"""So many blocks that were not there in time (half a second) within one opening: the machine cannot render so late."""
PATH_CHARACTERS_MAX: Final = 80
"""What telemetry carries of the sound path."""


class Pacing(StrEnum):
    """Whose clock moves the frames."""

    DEVICE = "device"
    CLOCK = "clock"


@dataclass(frozen=True, slots=True, kw_only=True)
class CardSettings:
    """How to open the card. `latency_ms` lies in the device, `ahead_ms` is rendered before it.

    Both together are what an order at once waits for at most (200 ms), and what the loop may be late without a gap
    (40 ms at worst). Shorter blocks cost load: 60 and 60 ms took 3.3 % of a core where these take 1.9 %. While a live
    voice sounds, `voice_latency_ms` and `voice_ahead_ms` stand for them where they are less. `delay_us` is what the
    driver does not know of: sound is heard that much later than it says.
    """

    device: str | None = None
    fallback_device: str | None = None
    paced: Pacing = Pacing.DEVICE
    latency_ms: int = 80
    ahead_ms: int = 120
    voice_latency_ms: int = 40
    voice_ahead_ms: int = 80
    delay_us: int = 0

    @property
    def block_frames(self) -> int:
        """Frames of one pull: PortAudio's ALSA side keeps two or three of them in the device."""
        return max(10, self.latency_ms // 2) * SAMPLES_PER_MS

    @property
    def voice_block_frames(self) -> int:
        """The same of a device that was opened for a live voice."""
        return min(self.block_frames, max(10, self.voice_latency_ms // 2) * SAMPLES_PER_MS)

    def ring_frames(self, block_frames: int) -> int:
        """What is rendered ahead as a rule of a device that takes such blocks."""
        return max(self.ahead_ms * SAMPLES_PER_MS, 2 * block_frames)

    def voice_frames(self, block_frames: int) -> int:
        """The same while a live voice sounds: what the next pull takes, and time to render it."""
        return max(self.voice_ahead_ms * SAMPLES_PER_MS, block_frames + ROOM_FRAMES)


class PortAudioCard:
    """The real sound card behind the port `SoundCard`; all methods are called on the loop's thread."""

    def __init__(
        self,
        settings: CardSettings,
        *,
        render: Render,
        read_now: Callable[[], Now],
        on_event: Callable[[CardStarted | CardFailed], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._settings: Final = settings
        self._render = render
        self._read_now = read_now
        self._on_event = on_event
        self._loop = loop
        self._life = CardLife()
        self._clock = CardClock()
        self._worker = _Worker(loop)
        self._is_near = False
        self._is_near_fit = True
        self._feed = self._new_feed()
        self._opening = 0
        self._path = ""
        self._detail = ""
        self._rendered_until = -1
        self._past_underruns = 0
        self._past_frames = 0

    def start(self, *, is_near: bool = False) -> None:
        """See `SoundCard.start`."""
        self._is_near = is_near
        self._happened(CardInput.START)

    def reach(self, *, is_near: bool) -> None:
        """See `SoundCard.reach`."""
        self._is_near = is_near
        self._reach(self._feed)

    def stop(self) -> None:
        """See `SoundCard.stop`."""
        self._happened(CardInput.STOP)

    def close(self) -> None:
        """Stop for good and let the worker end; the node's last act."""
        self.stop()
        self._worker.end()

    @property
    def is_thread_alive(self) -> bool:
        """Whether the worker still runs; after `close` it ends as soon as PortAudio lets it."""
        return self._worker.is_alive

    @property
    def path(self) -> str:
        """See `SoundCard.path`."""
        return self._path

    @property
    def statistics(self) -> CardStatistics:
        """See `SoundCard.statistics`."""
        return CardStatistics(
            frames=self._past_frames + self._feed.frame,
            underruns=self._past_underruns + self._feed.underruns,
            failures=self._life.failures,
            latency_ms=self._feed.latency_ns / NS_PER_MS,
        )

    def _happened(self, happened: CardInput, detail: str = "") -> None:
        self._detail = detail or self._detail
        for action in self._life.take(happened):
            _ACTIONS[action](self)

    def _reach(self, feed: CardFeed) -> None:
        is_near = self._is_near and self._is_near_fit
        feed.reach(self._settings.voice_frames(feed.block_frames) if is_near else None)

    def _open(self) -> None:
        self._opening += 1
        opening = self._opening
        self._past_underruns += self._feed.underruns
        self._past_frames += self._feed.frame
        feed = self._feed = self._new_feed()
        self._clock.reset()
        self._rendered_until = -1
        if self._worker.waiting >= JOBS_WAITING_MAX:
            self._loop.call_soon(self._failed, opening, "the sound device still does not answer")
            return
        self._loop.call_later(ANSWER_S_MAX, self._overdue, opening)
        self._worker.open(
            self._settings,
            feed,
            done=lambda device: self._opened(opening, feed, device),
            failed=lambda detail: self._failed(opening, detail),
        )

    def _close(self) -> None:
        is_broken = self._life.state is CardState.BROKEN
        if self._worker.waiting < JOBS_WAITING_MAX:
            self._worker.close(is_broken=is_broken)

    def _wait(self) -> None:
        self._loop.call_later(self._life.retry_ms / 1000, self._retry, self._opening)

    def _report_started(self) -> None:
        _LOG.info("sound card started: %s", self._path)
        self._on_event(CardStarted(path=self._path))

    def _report_failed(self) -> None:
        _LOG.warning("sound card failed: %s", self._detail)
        self._on_event(CardFailed(detail=self._detail))

    def _opened(self, opening: int, feed: CardFeed, device: OpenedDevice) -> None:
        if opening != self._opening or not self._life.is_opening:
            return
        words = [device.name, "(fallback)"] if device.is_fallback else [device.name]
        self._path = " ".join([*words, "paced by the clock" if feed.is_paced else "paced by the device"])
        self._path = self._path[:PATH_CHARACTERS_MAX]
        self._happened(CardInput.OPENED)
        self._loop.call_later(WATCH_S, self._watch, feed, -1, False)
        if self._life.state is CardState.PROVING:
            self._loop.call_later(PROOF_S, self._prove, feed, -1)

    def _failed(self, opening: int, detail: str) -> None:
        if opening == self._opening:
            self._happened(CardInput.FAILED, detail)

    def _overdue(self, opening: int) -> None:
        if opening == self._opening and self._life.is_opening:
            self._failed(opening, f"the sound device did not answer within {ANSWER_S_MAX:.0f} s of being opened")

    def _retry(self, opening: int) -> None:
        if opening == self._opening:
            self._happened(CardInput.RETRY)

    def _watch(self, feed: CardFeed, seen_frame: int, is_suspect: bool) -> None:
        """Every WATCH_S while open: a card that pulled nothing twice in a row, or was given up, is opened anew."""
        if feed is not self._feed or not self._life.is_open:
            return
        is_still = feed.frame == seen_frame
        if self._worker.is_stream_ended:
            self._failed(self._opening, f"the sound device is gone ({self._path})")
            return
        if is_still and is_suspect:
            self._failed(self._opening, f"the sound card stopped pulling ({self._path})")
            return
        self._loop.call_later(WATCH_S, self._watch, feed, feed.frame, is_still)

    def _prove(self, feed: CardFeed, seen_frame: int) -> None:
        """Every PROOF_S until it has pulled between two looks; if it does not, `_watch` will see that too."""
        if feed is not self._feed or self._life.state is not CardState.PROVING:
            return
        if -1 < seen_frame < feed.frame:
            self._happened(CardInput.PULLED)
        else:
            self._loop.call_later(PROOF_S, self._prove, feed, feed.frame)

    def _new_feed(self) -> CardFeed:
        settings = self._settings
        is_near = self._is_near and self._is_near_fit
        block_frames = settings.voice_block_frames if is_near else settings.block_frames
        feed = CardFeed(
            ring=Ring(settings.ring_frames(block_frames)),
            wake=self._wake,
            is_paced=settings.paced is Pacing.CLOCK,
            block_frames=block_frames,
        )
        self._reach(feed)
        return feed

    def _wake(self, feed: CardFeed) -> None:
        """Called on the card's thread."""
        try:
            self._loop.call_soon_threadsafe(self._refill, feed)
        except RuntimeError:
            _LOG.debug("the loop has ended before the sound card")

    def _refill(self, feed: CardFeed) -> None:
        """Render as much as there is room for, each block for the instant at which it will be heard."""
        feed.is_wake_pending = False
        if feed is not self._feed or not self._life.is_open:
            return
        while feed.observations:
            self._clock.observe(*feed.observations.popleft())
        now, first, free = self._read_now(), feed.ring.next_frame, feed.wanted
        if free > 0:
            heard_at_ns = MonotonicNs(self._clock.heard_at(first) + self._settings.delay_us * NS_PER_US)
            frames = self._render(free, now.shared_at(heard_at_ns))
            feed.ring.put(first, frames if first == self._rendered_until else risen(frames))
            self._rendered_until = first + free
        feed.is_primed = True
        if self._is_near and self._is_near_fit and feed.underruns > NEAR_GAPS_MAX:
            self._is_near_fit = False
            self._reach(feed)
            _LOG.warning("%d gaps in a live voice: this machine renders it as far ahead as all else", feed.underruns)


_ACTIONS: Final[dict[CardAction, Callable[[PortAudioCard], None]]] = {
    CardAction.OPEN: PortAudioCard._open,  # noqa: SLF001 - the class's own table
    CardAction.CLOSE: PortAudioCard._close,  # noqa: SLF001 - as above
    CardAction.WAIT: PortAudioCard._wait,  # noqa: SLF001 - as above
    CardAction.REPORT_STARTED: PortAudioCard._report_started,  # noqa: SLF001 - as above
    CardAction.REPORT_FAILED: PortAudioCard._report_failed,  # noqa: SLF001 - as above
}


class _Worker:
    """The thread that may hang in a driver; it owns PortAudio."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._output = PortAudioOutput()
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """Orders that the thread has not taken up yet."""
        return self._jobs.qsize()

    @property
    def is_stream_ended(self) -> bool:
        """Whether PortAudio has given up what was opened; to be asked only while nothing is to be closed."""
        return self._output.is_ended

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def open(
        self,
        settings: CardSettings,
        feed: CardFeed,
        *,
        done: Callable[[OpenedDevice], None],
        failed: Callable[[str], None],
    ) -> None:
        """Open the device; one of the two is called on the loop."""

        def job() -> None:
            try:
                device = self._output.open(
                    device=settings.device,
                    fallback=settings.fallback_device,
                    block_frames=feed.block_frames,
                    callback=feed.serve,
                )
            except SoundError as error:
                self._answer(failed, str(error))
            else:
                self._answer(done, device)

        self._put(job)

    def close(self, *, is_broken: bool) -> None:
        """Close the device, whatever state it is in."""
        self._put(lambda: self._output.close(is_broken=is_broken))

    def end(self) -> None:
        """Let the thread end after what it was told so far."""
        self._jobs.put(None)

    def _put(self, job: Callable[[], None]) -> None:
        if self._thread is None:
            # a daemon: a driver that hangs must not keep the process from ending
            self._thread = threading.Thread(target=self._work, name="sound card", daemon=True)
            self._thread.start()
        self._jobs.put(job)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
        self._output.close(is_broken=True)

    def _answer(self, callback: Callable[..., None], argument: OpenedDevice | str) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, argument)
        except RuntimeError:
            _LOG.debug("the loop has ended before the sound card answered")
