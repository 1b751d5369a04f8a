"""A sound card with physics, in virtual time: own crystal, buffer, underruns, a plug; it remembers what was heard.

It pulls whole blocks whenever its buffer has room for one, as PortAudio does, through the same ring, clock and table
of states as the real adapter (`edge.adapters.sound_card`), so what differs is only the rim: `World` instead of
threads. A block that was not rendered in time is a gap; what lay in the buffer when the plug was pulled is never
heard. `heard` is the truth for checkers; the node knows only what the card says, jitter included.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from edge.events import CardFailed, CardStarted
from edge.player.card_clock import CardClock
from edge.player.card_states import CardAction, CardInput, CardLife, CardState
from edge.player.ports import CardStatistics, Frames, Render
from edge.player.ring import Ring, risen
from protocol.units import NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ, SAMPLES_PER_MS, MonotonicNs, Now
from simulator.clock import NodeClock
from simulator.world import Timer, World

_PARTS: Final = 1_000_000_000
OPENING_NS: Final = 50 * NS_PER_MS
"""PortAudio opens an ALSA card in 3 ms, and looks for devices in 40 to 130 ms."""
STOPPED_NS: Final = 1_500 * NS_PER_MS
"""After this long without a pull the real adapter's watchdog gives a card up."""
HEARD_BLOCKS_MAX: Final = 20_000
"""What is remembered: a quarter of an hour of 40 ms blocks; a checker empties it in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedCardSettings:
    """`drift_ppb` is how much faster the card's crystal runs; what it says of its delay errs by up to `jitter_ns`."""

    drift_ppb: int = 0
    block_frames: int = 40 * SAMPLES_PER_MS
    buffered_blocks: int = 2
    ahead_frames: int = 120 * SAMPLES_PER_MS
    voice_block_frames: int = 20 * SAMPLES_PER_MS
    voice_ahead_frames: int = 80 * SAMPLES_PER_MS
    jitter_ns: int = 200_000
    is_plugged: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A block as the horn gave it: the true instant of its first frame, int16[frame], whether it was a gap."""

    at_true_ns: int
    samples: Frames
    is_gap: bool


class SimulatedCard:
    """The port `SoundCard` on one simulated machine."""

    def __init__(
        self,
        world: World,
        clock: NodeClock,
        settings: SimulatedCardSettings,
        *,
        render: Render,
        on_event: Callable[[CardStarted | CardFailed], None],
        name: str = "simulated",
        read_now: Callable[[], Now] | None = None,
    ) -> None:
        """`read_now` is what the machine knows of the time, if that is not its system clock."""
        self.heard: deque[Heard] = deque(maxlen=HEARD_BLOCKS_MAX)
        self._world = world
        self._clock = clock
        self._read_now = read_now or clock.read_now
        self._settings: Final = settings
        self._render = render
        self._on_event = on_event
        self._name: Final = name
        self._life = CardLife()
        self._card_clock = CardClock()
        self._ring = Ring(settings.ahead_frames)
        self._block_frames = settings.block_frames
        self._is_near = False
        self._is_plugged = settings.is_plugged
        self._drift_ppb = settings.drift_ppb
        self._paced_from_ns = 0
        self._paced_from_frame = 0
        self._frame = 0
        self._past_frames = 0
        self._underruns = 0
        self._is_primed = False
        self._rendered_until = -1
        self._busy_until_ns = 0
        self._is_wake_pending = False
        self._path = ""
        self._timer: Timer | None = None

    def start(self, *, is_near: bool = False) -> None:
        """See `SoundCard.start`."""
        self._is_near = is_near
        self._happened(CardInput.START)

    def reach(self, *, is_near: bool) -> None:
        """See `SoundCard.reach`."""
        self._is_near = is_near

    def stop(self) -> None:
        """See `SoundCard.stop`."""
        self._happened(CardInput.STOP)

    @property
    def path(self) -> str:
        """See `SoundCard.path`."""
        return self._path

    @property
    def statistics(self) -> CardStatistics:
        """See `SoundCard.statistics`."""
        return CardStatistics(
            frames=self._past_frames + self._frame,
            underruns=self._underruns,
            failures=self._life.failures,
            latency_ms=self._buffered_frames / SAMPLES_PER_MS,
        )

    def unplug(self) -> None:
        """The cable is pulled: silence at once, and no more pulls."""
        self._is_plugged = False
        if self._life.state is CardState.RUNNING:
            self._cut()
            self._arm(STOPPED_NS, self._happened, CardInput.FAILED)

    def plug(self) -> None:
        """The card is there again; it is found when it is next looked for."""
        self._is_plugged = True

    def hold_up(self, duration_ns: int) -> None:
        """The node's loop is busy for a while and renders nothing."""
        self._busy_until_ns = self._world.now_ns + duration_ns

    def set_drift(self, drift_ppb: int) -> None:
        """The crystal's rate changes from here on; what lies in the buffer is written down already (16 us at most)."""
        rate = SAMPLE_RATE_HZ * (_PARTS + self._drift_ppb)
        frames = (self._world.now_ns - self._paced_from_ns) * rate // (NS_PER_S * _PARTS)
        self._paced_from_ns += frames * NS_PER_S * _PARTS // rate
        self._paced_from_frame += frames
        self._drift_ppb = drift_ppb

    @property
    def _buffered_frames(self) -> int:
        return self._block_frames * self._settings.buffered_blocks

    @property
    def _depth(self) -> int:
        """How many frames are to lie in the ring."""
        near = max(self._settings.voice_ahead_frames, self._block_frames + self._settings.voice_block_frames)
        return min(near, self._ring.capacity) if self._is_near else self._ring.capacity

    def _happened(self, happened: CardInput) -> None:
        for action in self._life.take(happened):
            match action:
                case CardAction.OPEN:
                    self._arm(OPENING_NS, self._open)
                case CardAction.CLOSE:
                    self._close()
                case CardAction.WAIT:
                    self._arm(self._life.retry_ms * NS_PER_MS, self._happened, CardInput.RETRY)
                case CardAction.REPORT_STARTED:
                    self._on_event(CardStarted(path=self._path))
                case CardAction.REPORT_FAILED:
                    self._on_event(CardFailed(detail=f"the sound card {self._name!r} is not there or stopped pulling"))

    def _arm(self, delay_ns: int, action: Callable[..., object], *arguments: object) -> None:
        """One thing is ahead of a card at any time: an answer, a pull, a retry."""
        self._world.cancel(self._timer)
        self._timer = self._world.after(delay_ns, action, *arguments)

    def _open(self) -> None:
        if not self._is_plugged:
            self._happened(CardInput.FAILED)
            return
        self._past_frames += self._frame
        self._frame, self._is_primed, self._rendered_until = 0, False, -1
        self._paced_from_ns, self._paced_from_frame = self._world.now_ns, 0
        self._block_frames = self._settings.voice_block_frames if self._is_near else self._settings.block_frames
        self._ring.reset()
        self._card_clock.reset()
        self._path = f"{self._name} paced by the device"
        self._happened(CardInput.OPENED)
        self._happened(CardInput.PULLED)
        if self._life.state is CardState.RUNNING:
            self._pull()

    def _close(self) -> None:
        self._world.cancel(self._timer)
        self._cut()

    def _cut(self) -> None:
        """What has not been heard yet never will be."""
        now_ns = self._world.now_ns
        while self.heard and self.heard[-1].at_true_ns >= now_ns:
            self.heard.pop()
        if self.heard:
            last = self.heard.pop()
            frames = (now_ns - last.at_true_ns) * SAMPLE_RATE_HZ // NS_PER_S
            self.heard.append(Heard(at_true_ns=last.at_true_ns, samples=last.samples[:frames], is_gap=last.is_gap))

    def _heard_at(self, frame: int) -> int:
        """The true instant at which a frame is heard, by the card's own crystal."""
        frames = frame + self._buffered_frames - self._paced_from_frame
        return self._paced_from_ns + frames * NS_PER_S * _PARTS // (SAMPLE_RATE_HZ * (_PARTS + self._drift_ppb))

    def _pull(self) -> None:
        """There is room for a block in the buffer."""
        block, first = self._block_frames, self._frame
        jitter = self._world.chance(f"card {self._name}").within(-self._settings.jitter_ns, self._settings.jitter_ns)
        said_ns = self._clock.monotonic_ns() + self._buffered_frames * NS_PER_S // SAMPLE_RATE_HZ + jitter
        self._card_clock.observe(first, MonotonicNs(said_ns))
        taken, missing = self._ring.take(block)
        self._underruns += 1 if missing and self._is_primed else 0
        self._frame = first + block
        self.heard.append(
            Heard(at_true_ns=self._heard_at(first), samples=np.frombuffer(taken, np.int16), is_gap=missing > 0)
        )
        if self._ring.held * 2 <= self._depth:
            self._wake()
        next_ns = self._heard_at(self._frame - self._buffered_frames)
        self._arm(max(0, next_ns - self._world.now_ns), self._pull)

    def _wake(self) -> None:
        """Ask the loop to render; it does when it has time."""
        if not self._is_wake_pending:
            self._is_wake_pending = True
            self._world.at(max(self._world.now_ns, self._busy_until_ns), self._refill)

    def _refill(self) -> None:
        self._is_wake_pending = False
        if self._life.state is not CardState.RUNNING:
            return
        now, first, wanted = self._read_now(), self._ring.next_frame, self._depth - self._ring.held
        if wanted > 0:
            rendered = self._render(wanted, now.shared_at(self._card_clock.heard_at(first)))
            self._ring.put(first, rendered if first == self._rendered_until else risen(rendered))
            self._rendered_until = first + len(rendered)
        self._is_primed = True
