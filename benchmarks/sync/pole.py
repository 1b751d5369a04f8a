"""Our pole on an emulated machine: the product's own clock, buffer, mixer, drift loop and ring; only the rim is ours.

`protocol.clock_filter`, `edge.clock.time_exchange` and `edge.clock.shared_clock` make the time, `StreamSource` takes
the packets, `Mixer` and `Playout` render, and `simulator.pole.sound_card` pulls through the real ring and `CardClock`.
What is heard is read from the samples (`ruler`), never from what the player says of itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from benchmarks.sync.cases import Side
from benchmarks.sync.machine import Machine
from benchmarks.sync.ruler import place_of, wrapped
from benchmarks.sync.station import STREAM, Station
from benchmarks.sync.track import Track
from edge.adapters.sound_card import CardSettings
from edge.clock.shared_clock import REFRESH_S, ClockReading, SharedClock, SourceChoice
from edge.clock.time_exchange import (
    ActivityChanged,
    AskTime,
    Connected,
    Disconnected,
    ExchangeEvent,
    Learned,
    ReplyArrived,
    TimeExchange,
    Wake,
)
from edge.config import SoundConfig
from edge.player.mixer import Mixer
from edge.player.playout import Playout
from edge.player.ports import OpusDecoder
from edge.player.stream_source import StreamSource
from edge.studio import CARD_LEAD_MS
from protocol.clock_filter import ClockFilter
from protocol.clock_sync import NONCE_MAX
from protocol.stream import AudioPacket
from protocol.units import NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ, SAMPLES_PER_MS, Now, SharedNs, sample_of_shared_ns
from simulator.pole.sound_card import Heard, SimulatedCard, SimulatedCardSettings
from simulator.world import Timer

CARD: Final = CardSettings(latency_ms=SoundConfig().latency_ms, ahead_ms=SoundConfig().ahead_ms)
"""As a node opens its card when nothing else is configured."""
NODES: Final = {Side.LEFT.value: "N001", Side.RIGHT.value: "N002"}
CARD_BEGINS_NS: Final = CARD_LEAD_MS * NS_PER_MS
"""The card runs this long before the first sample."""
SOUNDED_BEFORE_NS: Final = 1_800 * NS_PER_S
SOUNDED_FOR_NS: Final = 60 * NS_PER_S
"""A pole that has been up for this long has sounded before, silence here, and so has learned its card's crystal."""
LISTEN_NS: Final = NS_PER_S
RECONNECTED_NS: Final = NS_PER_S // 2
"""How soon after a cut the connections stand again, and how late a break is noticed."""


class PoleClock:
    """What the sound card reads: `SharedClock` over this machine's clocks."""

    def __init__(self, machine: Machine, shared: SharedClock) -> None:
        self._machine = machine
        self._shared = shared

    def monotonic_ns(self) -> int:
        """The machine's monotonic clock."""
        return self._machine.clock.monotonic_ns()

    def read_now(self) -> Now:
        """Both clocks, as the node believes them."""
        return self._shared.read(self.reading())

    def reading(self) -> ClockReading:
        """All clocks of the machine."""
        system = self._machine.clock.read_now()
        return ClockReading(raw_ns=system.monotonic_ns, system=system)


class Pole:
    """One pole; it runs by the world's events. Filter and playout are the product's unless a test plants others."""

    def __init__(
        self,
        machine: Machine,
        station: Station,
        *,
        make_decoder: Callable[[], OpusDecoder],
        lasts_ns: int,
        clock_filter: ClockFilter | None = None,
        make_playout: Callable[[Mixer], Playout] = Playout,
        choice: SourceChoice = SourceChoice.AUTO,
    ) -> None:
        self.track: Final = Track()
        self._machine = machine
        self._station = station
        self._world = world = machine.world
        self._exchange = TimeExchange(
            node=NODES[machine.name],
            keyring=station.keyring,
            draw=lambda: world.chance(f"{machine.name} nonces").within(0, NONCE_MAX),
            clock_filter=clock_filter,
        )
        self._shared = SharedClock(choice=choice, clock_filter=self._exchange.filter)
        self._clock = PoleClock(machine, self._shared)
        self._time_line = machine.line("time")
        self._mixer = Mixer()
        self.playout: Final = make_playout(self._mixer)
        self._starts = sample_of_shared_ns(SharedNs(station.starts_ns))
        self._source = StreamSource(stream=STREAM, decoder=make_decoder(), starts_at=self._starts)
        self.card: Final = SimulatedCard(
            world,
            self._clock,  # type: ignore[arg-type]  # it asks a clock for these two readings only
            SimulatedCardSettings(
                drift_ppb=round(machine.model.card_ppm * 1_000),
                jitter_ns=machine.model.card.jitter_ns,
                block_frames=CARD.block_frames,
                ahead_frames=max(CARD.ahead_ms * SAMPLES_PER_MS, 2 * CARD.block_frames),
            ),
            render=self.playout.render,
            on_event=lambda _event: None,
            name=machine.name,
        )
        machine.on_busy = self.card.hold_up
        self._timer: Timer | None = None
        self._is_playing = False
        self._place = 0.0
        self._frame = 0
        self._lasts_ns = lasts_ns
        sound_line = machine.line("sound")
        station.send(lasts_ns, lambda packet: sound_line.down.send(machine.when_free, self._push, packet))
        world.after(0, self._tell, Connected())
        for begins_ns, ends_ns in machine.cuts():
            world.at(begins_ns + RECONNECTED_NS, self._tell, Disconnected())
            world.at(ends_ns + RECONNECTED_NS, self._tell, Connected())
        if station.starts_ns - world.now_ns > SOUNDED_BEFORE_NS:
            world.at(station.starts_ns - SOUNDED_BEFORE_NS, self.card.start)
            world.at(station.starts_ns - SOUNDED_BEFORE_NS + SOUNDED_FOR_NS, self.card.stop)
        world.at(max(world.now_ns, station.starts_ns - CARD_BEGINS_NS), self._play)
        world.after(0, self._refresh)
        world.at(station.starts_ns, self._listen)

    def _tell(self, event: ExchangeEvent) -> None:
        """Feed the exchange, do what it wants, and arm its deadline."""
        for effect in self._exchange.handle(event, self._machine.clock.read_now()):
            match effect:
                case AskTime(topic=topic, payload=payload):
                    self._time_line.up.send(self._station.answer, topic, payload, self._reply)
                case Learned():
                    self._shared.refresh(self._clock.reading(), is_sounding=self._is_playing)
        due = self._exchange.next_deadline()
        self._world.cancel(self._timer)
        self._timer = None
        if due is not None:
            self._timer = self._world.at(self._machine.clock.true_at(due), self._machine.when_free, self._tell, Wake())

    def _reply(self, topic: str, payload: bytes) -> None:
        arrived = ReplyArrived(topic=topic, payload=payload)
        self._time_line.down.send(self._machine.when_free, self._tell, arrived)

    def _refresh(self) -> None:
        self._shared.refresh(self._clock.reading(), is_sounding=self._is_playing)
        self._world.after(round(REFRESH_S * NS_PER_S), self._refresh)

    def _play(self) -> None:
        """The order came: begin as soon as the time is known."""
        if not self._clock.read_now().is_time_known:
            self._world.after(NS_PER_S // 10, self._play)
            return
        self._tell(ActivityChanged(is_active=True))
        self._mixer.start("relay", self._source, from_sample=self._starts)
        self.card.start()
        self._is_playing = True

    def _push(self, packet: AudioPacket) -> None:
        now = self._clock.read_now()
        if now.is_time_known:
            self._source.push(packet, arrived_at_ns=now.shared_ns)

    def _listen(self) -> None:
        """Read what the horn gave in the last second, and what the clock said."""
        now_ns = self._world.now_ns
        ends_ns = self._station.starts_ns + self._lasts_ns
        clock = self._clock.read_now()
        error_ns = clock.shared_ns - self._station.shared_ns(now_ns)
        while self.card.heard and self.card.heard[0].at_true_ns < now_ns - LISTEN_NS:
            self._hear(self.card.heard.popleft(), ends_ns, error_ns)
        if clock.is_time_known:
            self.track.clock_times_ns.append(now_ns)
            self.track.clock_errors_ms.append(error_ns / 1e6)
        if now_ns < ends_ns + 2 * LISTEN_NS:
            self._world.after(LISTEN_NS, self._listen)
        self.track.underruns = self.card.statistics.underruns
        self.track.restarts = self.playout.reanchors

    def _hear(self, block: Heard, ends_ns: int, clock_error_ns: int) -> None:
        """Put a block on the track; the sound repeats, so which of its periods it is follows from the clock's error."""
        frames = len(block.samples)
        middle = self._frame + (frames - 1) / 2
        frame_ns = NS_PER_S / (SAMPLE_RATE_HZ * (1 + self._machine.model.card_ppm * 1e-6))
        at_ns = block.at_true_ns + (frames - 1) / 2 * frame_ns
        self._frame += frames
        if not self._station.starts_ns <= block.at_true_ns < ends_ns - frames * frame_ns:
            return
        place = None if block.is_gap else place_of(block.samples.reshape(-1))
        if place is None:
            self.track.lost(frames)
            return
        self._place += frames + wrapped(place - self._place - frames)
        about = clock_error_ns * SAMPLE_RATE_HZ / NS_PER_S
        error = about + wrapped(place - self._station.grid_place(at_ns) - about)
        self.track.heard(at_ns, error, frame=middle, place=self._place)
