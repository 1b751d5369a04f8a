"""The flight recorder: each turn of the agent, written to a bounded row of files in the state folder.

It stands around the agent as a node of its own (`Recorded`): the turn is the agent's, and what happened is put into
a bounded queue; all else (what is left out, packing, the disk) is done on a thread of its own, so that a slow SD card
holds up neither decisions nor sound. What must be known to replay from the middle of a run stands at the beginning
of each file.

Rules kept:
- at most `bytes_max` on the disk and `bytes_a_day_max` written a day; packets of sound are the first to be left out;
- nothing is synced: the system writes in its own time, and a power cut costs the last ten seconds, or a
  minute in which nothing happened;
- a disk that fails costs the recording, never the node.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.agent import Agent, AgentSettings
from edge.effects import Effect
from edge.events import Booted, Event, Measured, Wake
from edge.flight import log as flight_log
from edge.flight.keyframe import Keyframe
from edge.flight.log import Begin, Entry, Gap
from edge.player.ports import ClipReader, OpusDecoder
from edge.ports import Workshop
from edge.streams import OpenPacket
from protocol.errors import Refusal
from protocol.stream import AudioPacket, unpack_audio
from protocol.units import NS_PER_S, MonotonicNs, Now

log = logging.getLogger(__name__)

TURNS_WAITING_MAX: Final = 2_048
"""Turns between the agent and the recorder's thread: minutes of a stream, should the card stand still."""
BLOCK_TURNS_MAX: Final = 512
"""A block is written when so many turns are in it ..."""
BLOCK_S_MAX: Final = 10.0
"""... or it is this old, ..."""
QUIET_BLOCK_S_MAX: Final = 60.0
"""... or this, where nothing has happened but the hands of the clock: one small write a minute spares an SD card."""
FILES: Final = 4
"""The room is shared by this many files, so that the oldest quarter goes when a new one begins."""
OPENINGS_MAX: Final = 16
AUDIO_SHARE: Final = 0.5
"""Of a day's bytes, packets of sound take no more than the first half."""
GATHER_S: Final = 0.5
"""Turns gather for so long before the thread looks at them: thirty wake-ups a second would cost 1 ms of each."""
CLOSE_S_MAX: Final = 3.0
DAY_NS: Final = 24 * 3_600 * 10**9

Turn = tuple[Event, Now, Sequence[Effect], list[list[Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderSettings:
    """Where and how much; see docs/configuration.md."""

    folder: Path
    bytes_max: int
    bytes_a_day_max: int
    gather_s: float = GATHER_S


class Openings:
    """What ports answered at once during a turn: packets that were verified, clips that were opened."""

    def __init__(self, open_packet: OpenPacket = unpack_audio) -> None:
        self._open_packet = open_packet
        self._noted: list[list[Any]] = []

    def open_packet(self, data: bytes, *, public_key: bytes, topic: str, stream: str) -> AudioPacket:
        """As `unpack_audio`; the verdict is noted."""
        try:
            packet = self._open_packet(data, public_key=public_key, topic=topic, stream=stream)
        except Refusal as refusal:
            self.note("packet", refusal.reason.value)
            raise
        self.note("packet", "")
        return packet

    def note(self, kind: str, *facts: object) -> None:
        """Note one answer."""
        if len(self._noted) < OPENINGS_MAX:
            self._noted.append([kind, *facts])

    def take(self) -> list[list[Any]]:
        """The answers since the last turn."""
        if not self._noted:
            return []
        taken, self._noted = self._noted, []
        return taken


class NotingWorkshop:
    """A workshop whose clips are noted as they are opened."""

    def __init__(self, workshop: Workshop, openings: Openings) -> None:
        self._workshop = workshop
        self._openings = openings

    def new_decoder(self) -> OpusDecoder:
        """See `Workshop.new_decoder`."""
        return self._workshop.new_decoder()

    def open_clip(self, sha256: str) -> ClipReader:
        """See `Workshop.open_clip`."""
        try:
            reader = self._workshop.open_clip(sha256)
        except Exception as error:
            self._openings.note("clip", sha256, -1, str(error))
            raise
        self._openings.note("clip", sha256, reader.samples, "")
        return reader


class Recorded:
    """The agent, with every turn of it given to a recorder."""

    def __init__(self, agent: Agent, recorder: FlightRecorder, openings: Openings) -> None:
        self._agent = agent
        self._recorder = recorder
        self._openings = openings

    def handle(self, event: Event, now: Now) -> list[Effect]:
        """See `Agent.handle`."""
        effects = self._agent.handle(event, now)
        self._recorder.take(event, now, effects, self._openings.take())
        return effects

    def next_deadline(self) -> MonotonicNs | None:
        """See `Agent.next_deadline`."""
        return self._agent.next_deadline()


class FlightRecorder:
    """Writes turns until it is closed."""

    def __init__(self, settings: RecorderSettings, agent: AgentSettings) -> None:
        self._settings = settings
        self._agent = agent
        self._turns: queue.Queue[Turn | None] = queue.Queue(TURNS_WAITING_MAX)
        self._closing = threading.Event()
        self._missed = 0
        self._tape = _Tape(settings)
        self._keyframe = Keyframe()
        self._block_since_ns = 0
        self._block_s_max = BLOCK_S_MAX
        self._thread = threading.Thread(target=self._work, name="flight-recorder", daemon=True)
        self._thread.start()

    def take(self, event: Event, now: Now, effects: Sequence[Effect], openings: list[list[Any]]) -> None:
        """Take in a turn; never waits. A queue that is full loses it, and the log says so."""
        try:
            self._turns.put_nowait((event, now, effects, openings))
        except queue.Full:
            self._missed += 1

    @property
    def waiting(self) -> int:
        """Turns that the thread has not taken yet."""
        return self._turns.qsize()

    def close(self) -> None:
        """Write what is waiting, in bounded time."""
        self._closing.set()
        with contextlib.suppress(queue.Full):
            self._turns.put(None, timeout=CLOSE_S_MAX)
        self._thread.join(CLOSE_S_MAX)

    def _work(self) -> None:
        block: list[Entry] = []
        begun_s = 0.0
        is_open = True
        while is_open:
            turn: Turn | None = None
            if self._turns.empty():
                self._closing.wait(self._settings.gather_s)
            wait_s = max(0.0, begun_s + self._block_s_max - time.monotonic()) if block else None
            with contextlib.suppress(queue.Empty):
                turn = self._turns.get(timeout=wait_s)
                is_open = turn is not None
            if turn is not None:
                begun_s = begun_s if block else time.monotonic()
                self._write_down(block, *turn)
            is_old = time.monotonic() - begun_s >= self._block_s_max
            if block and (is_old or not is_open or len(block) >= BLOCK_TURNS_MAX):
                self._tape.write(block)
                block = []

    def _write_down(
        self, block: list[Entry], event: Event, now: Now, effects: Sequence[Effect], openings: list[list[Any]]
    ) -> None:
        """Add a turn to the block, or leave it out; begin a new file where the old one is full or was broken off."""
        if block and now.monotonic_ns - self._block_since_ns >= self._block_s_max * NS_PER_S:
            self._tape.write(block)
            block.clear()
        if not block:
            self._block_since_ns, self._block_s_max = now.monotonic_ns, QUIET_BLOCK_S_MAX
        if not isinstance(event, (Wake, Measured)):
            self._block_s_max = BLOCK_S_MAX
        missed, self._missed = self._missed, 0
        if missed:
            block.append(Gap(left_out=missed, why="the recorder could not follow"))
            self._tape.must_begin = True
        if not self._tape.has_room(now.shared_ns, is_audio=flight_log.is_audio(event)):
            self._keyframe.follow(event, effects)
            return
        if isinstance(event, Booted):
            self._tape.write(block)
            block.clear()
            self._tape.begin()
            block.append(self._begin(is_boot=True))
        elif self._tape.must_begin:
            self._tape.write(block)
            block.clear()
            self._tape.begin()
            block.append(self._begin(is_boot=False))
            block.append(flight_log.step_of(Booted(restored=self._keyframe.restored()), now, (), []))
        block.append(flight_log.step_of(event, now, effects, openings))
        self._keyframe.follow(event, effects)

    def _begin(self, *, is_boot: bool) -> Begin:
        agent = self._agent
        return Begin(
            node=agent.node,
            version=agent.version,
            session_epoch=agent.session_epoch,
            root=agent.root,
            warm_up_ms=agent.amplifier.warm_up_ms,
            hold_ms=agent.amplifier.hold_ms,
            idle_interval_s=agent.telemetry.idle_interval_s,
            on_air_interval_s=agent.telemetry.on_air_interval_s,
            is_boot=is_boot,
            is_connected=not is_boot and self._keyframe.is_connected,
            card="" if is_boot else self._keyframe.card,
            bounce_ms=agent.button.bounce_ms,
            silent_minutes=agent.button.silent_minutes,
            box=agent.machine.box,
            boot=agent.machine.boot,
            sensors=agent.sensors,
        )


class _Tape:
    """The row of files; belongs to the recorder's thread. `must_begin`: what comes next needs a file of its own."""

    def __init__(self, settings: RecorderSettings) -> None:
        self._settings = settings
        self._path: Path | None = None
        self._file_bytes = 0
        self._day = -1
        self._day_bytes = 0
        self._left_out = 0
        self.must_begin = False

    def has_room(self, shared_ns: int, *, is_audio: bool) -> bool:
        """Whether the day still has room for a turn; one that is left out breaks the recording off."""
        day = shared_ns // DAY_NS
        if day != self._day:
            self._day, self._day_bytes = day, 0
        share = AUDIO_SHARE if is_audio else 1.0
        if self._day_bytes < share * self._settings.bytes_a_day_max:
            return True
        self._left_out += 1
        self.must_begin = self.must_begin or not is_audio
        return False

    def begin(self) -> None:
        """Begin a new file; the oldest goes when there are too many."""
        self.must_begin = False
        folder = self._settings.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            files = flight_files(folder)
            number = 1 + (int(files[-1].stem.rpartition("-")[2]) if files else 0)
            self._path = folder / f"flight-{number:06d}.lxf"
            self._path.write_bytes(b"")
            self._file_bytes = 0
            self._drop_oldest(files)
        except OSError as error:
            self._path = None
            log.warning("the flight recorder cannot write in %s: %s", folder, error.strerror)

    def write(self, entries: list[Entry]) -> None:
        """Append a block; a disk that refuses it costs the block."""
        if not entries or self._path is None:
            return
        if self._left_out:
            entries = [Gap(left_out=self._left_out, why="the day's room is used up"), *entries]
            self._left_out = 0
        data = flight_log.pack_block(entries)
        try:
            with self._path.open("ab") as file:
                file.write(data)
        except OSError as error:
            log.warning("the flight recorder cannot write %s: %s", self._path, error.strerror)
            self._path, self.must_begin = None, True
            return
        self._file_bytes += len(data)
        self._day_bytes += len(data)
        if self._file_bytes >= self._settings.bytes_max // FILES:
            self.must_begin = True

    def _drop_oldest(self, files: list[Path]) -> None:
        """Make room for one more file."""
        room = self._settings.bytes_max - self._settings.bytes_max // FILES
        used = sum(path.stat().st_size for path in files)
        for path in files:
            if used <= room:
                return
            used -= path.stat().st_size
            path.unlink(missing_ok=True)


def flight_files(folder: Path) -> list[Path]:
    """The recorder's files in a folder, oldest first."""
    return sorted(folder.glob("flight-*.lxf"))
