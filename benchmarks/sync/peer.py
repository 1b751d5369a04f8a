"""The peer's client on an emulated machine: `snapcast`'s method on the same crystals, lines and cards.

Time is asked on the connection that carries the sound, as it does. Its ALSA side keeps 80 ms in four periods and
writes a period whenever there is room. The delay that the card tells it errs as much as the one that ours is told.
Where in the timeline each block is follows from the frames that it took, for they keep their place and their number.
"""

from __future__ import annotations

from typing import Final

from benchmarks.sync.machine import Machine
from benchmarks.sync.ruler import wrapped
from benchmarks.sync.snapcast import FIRST_QUESTIONS, QUESTION_NS, Block, MedianClock, MedianPlayer
from benchmarks.sync.station import GROUP_DELAY_NS, PACKET_NS, Station
from benchmarks.sync.track import Track
from protocol.stream import AudioPacket
from protocol.units import NS_PER_S, SAMPLE_RATE_HZ, SharedNs, sample_of_shared_ns

BLOCK_FRAMES: Final = 960
BUFFERED_FRAMES: Final = 4 * BLOCK_FRAMES
QUICK_PAUSE_NS: Final = 100_000
LISTEN_NS: Final = NS_PER_S
RECONNECTED_NS: Final = NS_PER_S // 2


class Peer:
    """One client."""

    def __init__(self, machine: Machine, station: Station, *, lasts_ns: int) -> None:
        self.track: Final = Track()
        self._machine = machine
        self._station = station
        self._world = world = machine.world
        self._line = machine.line("media")
        self._clock = MedianClock()
        self._player = MedianPlayer()
        self._quick_left = FIRST_QUESTIONS
        self._connection = 0
        self._ends_ns = station.starts_ns + lasts_ns
        self._frame_ns = NS_PER_S / (SAMPLE_RATE_HZ * (1 + machine.model.card_ppm * 1e-6))
        self._card_from_ns = 0
        self._frame = 0
        self._next_place = -1
        station.send(lasts_ns, lambda packet: self._line.down.send(machine.when_free, self._push, packet))
        world.after(0, self._ask, 0)
        world.at(station.starts_ns - NS_PER_S // 2, self._begin)
        world.at(station.starts_ns, self._listen)
        for begins_ns, ends_ns in machine.cuts():
            world.at(begins_ns, self._lose)
            world.at(ends_ns + RECONNECTED_NS, self._reconnect)

    def _lose(self) -> None:
        self._connection += 1

    def _reconnect(self) -> None:
        self._quick_left = FIRST_QUESTIONS
        self._ask(self._connection)

    def _ask(self, connection: int) -> None:
        if connection == self._connection:
            self._line.up.send(self._answer, connection, self._machine.clock.monotonic_ns())

    def _answer(self, connection: int, sent_ns: int) -> None:
        received_ns = self._station.shared_ns(self._world.now_ns)
        self._line.down.send(self._machine.when_free, self._learn, connection, sent_ns, received_ns)

    def _learn(self, connection: int, sent_ns: int, received_ns: int) -> None:
        now_ns = self._machine.clock.monotonic_ns()
        self._clock.observe(((received_ns - sent_ns) - (now_ns - received_ns)) // 2, now_ns)
        self._quick_left = max(0, self._quick_left - 1)
        self._world.after(QUICK_PAUSE_NS if self._quick_left else QUESTION_NS, self._ask, connection)

    def _push(self, packet: AudioPacket) -> None:
        samples = PACKET_NS * SAMPLE_RATE_HZ // NS_PER_S
        # its server stamps a chunk when it is recorded; ours when it is to sound: the buffer lies between the two
        self._player.put(sample_of_shared_ns(SharedNs(packet.play_at_ns - GROUP_DELAY_NS)), samples)

    def _begin(self) -> None:
        self._card_from_ns = self._world.now_ns
        self._pull()

    def _heard_at(self, frame: float) -> float:
        return self._card_from_ns + (frame + BUFFERED_FRAMES) * self._frame_ns

    def _pull(self) -> None:
        """There is room for a block: ask the player, and remember what will be heard."""
        jitter_ns = self._machine.model.card.jitter_ns
        said_ns = self._world.chance(f"{self._machine.name} card").within(-jitter_ns, jitter_ns)
        delay_us = round(self._heard_at(self._frame) - self._world.now_ns + said_ns) // 1_000
        server_ns = self._machine.clock.monotonic_ns() + self._clock.offset_ns
        block = self._player.pull(BLOCK_FRAMES, server_ns=server_ns, delay_us=delay_us)
        self._hear(block)
        self._frame += BLOCK_FRAMES
        if self._world.now_ns < self._ends_ns:
            due_ns = round(self._heard_at(self._frame - BUFFERED_FRAMES))
            self._world.at(max(due_ns, self._world.now_ns), self._machine.when_free, self._pull)

    def _hear(self, block: Block) -> None:
        """As in `pole`; where a whole block was given, its middle is heard in the middle."""
        first, self.track.restarts = self._frame, self._player.restarts
        at_ns = self._heard_at(first + BLOCK_FRAMES / 2)
        if not self._station.starts_ns <= self._heard_at(first) < self._ends_ns - BLOCK_FRAMES * self._frame_ns:
            return
        if block.silent:
            self.track.lost(block.silent)
            return
        if block.place != self._next_place:
            self.track.spliced()
        self._next_place = block.place + block.covered
        sounding = block.place + block.covered / 2 + GROUP_DELAY_NS * SAMPLE_RATE_HZ // NS_PER_S
        self.track.heard(
            at_ns,
            wrapped(sounding - self._station.grid_place(at_ns)),
            frame=first + BLOCK_FRAMES / 2,
            place=sounding,
        )

    def _listen(self) -> None:
        """Note what the clock says, each second."""
        now_ns = self._world.now_ns
        said_ns = self._machine.clock.monotonic_ns() + self._clock.offset_ns
        self.track.clock_times_ns.append(now_ns)
        self.track.clock_errors_ms.append((said_ns - self._station.shared_ns(now_ns)) / 1e6)
        if now_ns < self._ends_ns:
            self._world.after(LISTEN_NS, self._listen)
