"""The three benches of the sound card's contract: simulated, PortAudio into a FIFO, PortAudio into PulseAudio.

What is rendered says for which instant it was rendered (`Marks`), and each bench hears it at its far end, with the
time at which it came out. So a test can say how far sound is from where it should be, on any card.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest

from edge.adapters.sound_card import CardSettings, Pacing, PortAudioCard
from edge.events import CardFailed, CardStarted
from edge.player.ports import Frames, SoundCard
from protocol.units import NS_PER_MS, NS_PER_S, SAMPLES_PER_MS, MonotonicNs, Now, SharedNs, sample_of_shared_ns
from simulator.clock import ClockSettings, NodeClock
from simulator.pole.sound_card import SimulatedCard, SimulatedCardSettings
from simulator.world import World
from tests.support.waiting import until

PATIENCE_S = 15.0
_MARK_MS = 30_000
"""Marks repeat after 30 s, so that they fit int16; no test is off by that much."""


@dataclass(slots=True)
class Marks:
    """Renders milliseconds of shared time as sample values, and remembers what it was asked for."""

    asked: list[tuple[int, int]] = field(default_factory=list)
    is_upside_down: bool = False

    def render(self, frames: int, at_ns: SharedNs) -> Frames:
        first = sample_of_shared_ns(at_ns)
        self.asked.append((first, frames))
        places = np.arange(first, first + frames, dtype=np.int64) // SAMPLES_PER_MS % _MARK_MS + 1
        marks = places.astype(np.int16).reshape(-1, 1)
        return -marks if self.is_upside_down else marks


@dataclass(frozen=True, slots=True)
class Chunk:
    """Samples that came out, and when the first of them did."""

    at_shared_ns: int
    samples: Frames

    def deviation_ms(self) -> float | None:
        """How much later than marked its first sound came; None for silence."""
        sounding = np.flatnonzero(self.samples)
        if not sounding.size:
            return None
        came_ms = self.at_shared_ns / NS_PER_MS + float(sounding[0]) / SAMPLES_PER_MS
        off_ms = came_ms - float(abs(int(self.samples[sounding[0]])) - 1)
        return (off_ms + _MARK_MS / 2) % _MARK_MS - _MARK_MS / 2

    def upside_down_from_s(self) -> float | None:
        """When its first sample below zero came; None without."""
        below = np.flatnonzero(self.samples < 0)
        return self.at_shared_ns / NS_PER_S + float(below[0]) / SAMPLES_PER_MS / 1000 if below.size else None


class Bench(Protocol):
    """A card, what it told, what came out of it."""

    marks: Marks
    events: list[CardStarted | CardFailed]
    tolerance_ms: float
    settle_s: float
    order_s_max: float

    @property
    def card(self) -> SoundCard:
        """The card under test."""

    def heard(self) -> list[Chunk]:
        """Everything that came out so far."""

    def now_s(self) -> float:
        """The time of this bench; a busy machine lets more of it pass than was asked for."""

    async def elapse(self, seconds: float) -> None:
        """Let time pass."""

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something that must happen."""

    def hold_up(self, seconds: float) -> None:
        """Let the node's loop do something else for a while."""

    def stall(self) -> None:
        """Let the device stay, and take nothing."""

    def go_on(self) -> None:
        """Let a stalled device take sound again."""

    def unplug(self) -> None:
        """Take the device away."""

    def plug(self) -> None:
        """Bring it back."""


class SimulatedBench:
    """The fake, with a crystal that is 40 ppm fast."""

    tolerance_ms = 1.5
    settle_s = 1.0
    order_s_max = 0.25

    def __init__(self, *, is_plugged: bool) -> None:
        self.world = World(seed=7)
        self.marks = Marks()
        self.events: list[CardStarted | CardFailed] = []
        self.card = SimulatedCard(
            self.world,
            NodeClock(self.world, "N001", ClockSettings(error_ns=0)),
            SimulatedCardSettings(drift_ppb=40_000, is_plugged=is_plugged),
            render=self.marks.render,
            on_event=self.events.append,
        )

    def heard(self) -> list[Chunk]:
        return [Chunk(each.at_true_ns, each.samples) for each in self.card.heard if each.at_true_ns < self.world.now_ns]

    def now_s(self) -> float:
        return self.world.now_ns / NS_PER_S

    async def elapse(self, seconds: float) -> None:
        self.world.run_for(round(seconds * NS_PER_S))

    async def until(self, condition: Callable[[], object], what: str) -> None:
        for _ in range(round(PATIENCE_S * 100)):
            if condition():
                return
            self.world.run_for(10 * NS_PER_MS)
        raise AssertionError(f"still not true after {PATIENCE_S} simulated seconds: {what}")

    def hold_up(self, seconds: float) -> None:
        self.card.hold_up(round(seconds * NS_PER_S))
        self.world.run_for(round(seconds * NS_PER_S))

    def stall(self) -> None:
        self.card.unplug()

    def go_on(self) -> None:
        self.card.plug()

    def unplug(self) -> None:
        self.card.unplug()

    def plug(self) -> None:
        self.card.plug()


class RealBench:
    """PortAudio over ALSA; what is below it, and how it is heard, is the subclass's."""

    tolerance_ms = 6.0
    settle_s = 0.3
    order_s_max = 0.3

    def __init__(self, folder: Path, settings: CardSettings) -> None:
        self.folder = folder
        self.marks = Marks()
        self.events: list[CardStarted | CardFailed] = []
        self.chunks: list[Chunk] = []
        self.descriptor: int | None = None
        self.card = PortAudioCard(
            settings,
            render=self.marks.render,
            read_now=read_now,
            on_event=self.events.append,
            loop=asyncio.get_running_loop(),
        )

    def heard(self) -> list[Chunk]:
        return list(self.chunks)

    def now_s(self) -> float:
        return time.monotonic()

    async def elapse(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def until(self, condition: Callable[[], object], what: str) -> None:
        await until(condition, seconds=PATIENCE_S, what=what)

    def hold_up(self, seconds: float) -> None:
        time.sleep(seconds)

    def listen(self, descriptor: int) -> None:
        self.descriptor = descriptor
        asyncio.get_running_loop().add_reader(descriptor, self._take)

    def stop_listening(self) -> None:
        if self.descriptor is not None:
            asyncio.get_running_loop().remove_reader(self.descriptor)
            os.close(self.descriptor)
            self.descriptor = None

    def _take(self) -> None:
        assert self.descriptor is not None
        data = os.read(self.descriptor, 1 << 20)
        if data:
            self.chunks.append(Chunk(read_now().shared_ns, np.frombuffer(data, np.int16)))
        else:
            self.stop_listening()


class FifoBench(RealBench):
    """ALSA's `file` over `null` into a FIFO, paced by our clock; the FIFO's reader is the plug."""

    def __init__(self, folder: Path, device: str, delay_us: int = 0) -> None:
        super().__init__(folder, CardSettings(device=device, paced=Pacing.CLOCK, delay_us=delay_us))
        os.mkfifo(folder / "sound")

    def stall(self) -> None:
        assert self.descriptor is not None
        asyncio.get_running_loop().remove_reader(self.descriptor)  # its pipe is full after 0.7 s

    def go_on(self) -> None:
        assert self.descriptor is not None
        os.read(self.descriptor, 1 << 20)  # what was written meanwhile has no time
        asyncio.get_running_loop().add_reader(self.descriptor, self._take)

    def unplug(self) -> None:
        self.stop_listening()

    def plug(self) -> None:
        # read and write, so that the FIFO has no end of file while the card is closed
        self.listen(os.open(self.folder / "sound", os.O_RDWR | os.O_NONBLOCK))

    def close(self) -> None:
        self.stop_listening()


class PulseBench(RealBench):
    """A PulseAudio null sink with a clock of its own, which stutters for a second; the server is the plug."""

    settle_s = 1.2

    def __init__(self, folder: Path, device: str) -> None:
        super().__init__(folder, CardSettings(device=device))
        self.server: subprocess.Popen[bytes] | None = None
        self.recorder: subprocess.Popen[bytes] | None = None
        if shutil.which("pulseaudio") is None or shutil.which("parec") is None:
            pytest.fail("pulseaudio or parec is missing: install pulseaudio and pulseaudio-utils, this test is needed")

    def stall(self) -> None:
        self._control("suspend-sink", "horn", "1")

    def go_on(self) -> None:
        self._control("suspend-sink", "horn", "0")

    def _control(self, *words: str) -> None:
        subprocess.run(["pactl", "-s", f"unix:{self.folder}/native", *words], check=True, timeout=PATIENCE_S)

    def unplug(self) -> None:
        self.stop_listening()
        for process in (self.recorder, self.server):
            if process is not None:
                process.kill()
                process.wait()
        self.recorder = self.server = None
        (self.folder / "native").unlink(missing_ok=True)

    def plug(self) -> None:
        socket = self.folder / "native"
        environment = {**os.environ, "PULSE_RUNTIME_PATH": str(self.folder), "HOME": str(self.folder)}
        self.server = subprocess.Popen(
            [
                *("pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1"),
                *("--disable-shm=yes", "-L", "module-null-sink sink_name=horn rate=48000 channels=1"),
                *("-L", f"module-native-protocol-unix socket={socket} auth-anonymous=1"),
            ],
            env=environment,
            stderr=subprocess.DEVNULL,
        )
        deadline_s = time.monotonic() + PATIENCE_S
        while subprocess.run(
            ["pactl", "-s", f"unix:{socket}", "info"], env=environment, capture_output=True, check=False
        ).returncode:
            assert time.monotonic() < deadline_s, "pulseaudio does not come up"
        self.recorder = subprocess.Popen(
            [
                *("parec", "-s", f"unix:{socket}", "-d", "horn.monitor", "--format=s16le", "--rate=48000"),
                *("--channels=1", "--latency-msec=10", "--raw"),
            ],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.recorder.stdout is not None
        self.listen(os.dup(self.recorder.stdout.fileno()))
        self.recorder.stdout.close()

    def close(self) -> None:
        self.unplug()


def read_now() -> Now:
    """Shared time that is monotonic time: the contract is about the card's clock, not the node's."""
    now_ns = time.monotonic_ns()
    return Now(monotonic_ns=MonotonicNs(now_ns), shared_ns=SharedNs(now_ns))


@asynccontextmanager
async def card_bench(
    kind: str, folder: Path, *, is_plugged: bool = True, device: str = "horn", delay_us: int = 0
) -> AsyncIterator[Bench]:
    """A bench with a card that is not started yet; only the FIFO's has a delay that its driver does not tell."""
    if kind == "simulated":
        yield SimulatedBench(is_plugged=is_plugged)
        return
    with _alsa(folder, kind):
        bench = FifoBench(folder, device, delay_us) if kind == "fifo" else PulseBench(folder, device)
        if is_plugged:
            bench.plug()
        try:
            yield bench
        finally:
            if bench.descriptor is None and kind == "fifo":
                bench.plug()  # a FIFO without a reader would hold the card's thread in open()
            bench.card.close()
            await until(lambda: not bench.card.is_thread_alive, seconds=PATIENCE_S, what="the card's thread ends")
            bench.close()


@contextmanager
def _alsa(folder: Path, kind: str) -> Iterator[None]:
    """An ALSA configuration of our own; PortAudio 19.6 needs a `default`, and opens all it finds."""
    device = (
        f'type file slave.pcm {{ type null }} file "{folder}/sound" format raw'
        if kind == "fifo"
        else f'type pulse server "unix:{folder}/native" device "horn"'
    )
    configuration = folder / "asound.conf"
    configuration.write_text(f"pcm.horn {{ {device} }}\npcm.default {{ type null }}\n")
    before = os.environ.get("ALSA_CONFIG_PATH")
    os.environ["ALSA_CONFIG_PATH"] = str(configuration)
    try:
        yield
    finally:
        if before is None:
            del os.environ["ALSA_CONFIG_PATH"]
        else:
            os.environ["ALSA_CONFIG_PATH"] = before
