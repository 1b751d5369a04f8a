"""The pole's sensors on a thread of their own: a sound input with a microphone or tap on its channels, and a current.

Listens only while the card is open, for a microphone on a pole is nobody's business otherwise; nothing is recorded. The
input is a process of its own (`microphone_process`), begun and ended with the card: whatever hangs there, the horn does
not wait for it. What is wrong is logged once each time and costs nothing but the proof.

The input's frames are placed on the grid by the earliest of their arrivals, so that a late thread moves nothing; that
it is a constant late is found by the correlation, and is part of the reference.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from edge.adapters.current_meter import CurrentMeter
from edge.config import HearingConfig
from edge.errors import HearingError
from edge.events import Event, SelfTestMeasured
from edge.player.ports import Frames
from edge.proof.ears import Ears, Swept
from protocol.messages import Heard, HeardBy
from protocol.units import NS_PER_S, SAMPLE_RATE_HZ, Now, SharedNs, sample_of_shared_ns

log = logging.getLogger("edge.ear")

BLOCK_FRAMES: Final = 4_800
"""Read from the input in pieces of 0.1 s."""
READ_S: Final = 0.1
"""Ten readings of the current a second."""
ITEMS_MAX: Final = 512
"""Pieces that wait for the thread; some ten seconds of both signals. What finds no room is lost, and is silence."""
SETTLED_NS: Final = 500_000_000
"""An arrival that is so much earlier than those before was no late thread: the input has leapt, and begins anew."""
END_S_MAX: Final = 2.0
DETAIL_BYTES_MAX: Final = 400


@dataclass(frozen=True, slots=True)
class _Sent:
    first_sample: int
    frames: Frames


@dataclass(frozen=True, slots=True)
class _Came:
    opening: int
    frames: bytes
    at_ns: int


@dataclass(frozen=True, slots=True)
class _Order:
    run: Callable[[], None]


class SensorEars:
    """See `ports.EarPort`; `is_driven` says whether the amplifier is on, `post` takes an event in from any thread."""

    def __init__(
        self,
        config: HearingConfig,
        *,
        read_now: Callable[[], Now],
        is_driven: Callable[[], bool],
        post: Callable[[Event], None],
    ) -> None:
        self.sensors: Final = sensors_of(config)
        self._config = config
        self._read_now = read_now
        self._is_driven = is_driven
        self._post = post
        self._channels = tuple(HeardBy(channel) for channel in config.channels)
        self._ears = Ears(sensors=self.sensors, amperes_min=config.amperes_min)
        self._meter: CurrentMeter | None = None
        if config.current is not None:
            self._meter = CurrentMeter(Path(config.current), amperes_per_volt=config.amperes_per_volt)
        self._items: queue.Queue[_Sent | _Came | _Order | None] = queue.Queue(ITEMS_MAX)
        self._thread: threading.Thread | None = None
        self._input: subprocess.Popen[bytes] | None = None
        self._opening = 0
        self._is_open = False
        self._read_at = 0.0
        self._first_ns: int | None = None
        self._frames = 0
        self._is_meter_well = True

    def start(self) -> None:
        """See `EarPort.start`."""
        if not self.sensors:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="ears", daemon=True)
            self._thread.start()
        self._order(self._open)

    def stop(self) -> None:
        """See `EarPort.stop`."""
        if self._thread is not None:
            self._order(self._close)

    def sent(self, frames: Frames, at_ns: SharedNs) -> None:
        """See `EarPort.sent`; called for every block that is rendered."""
        if self._is_open:
            with contextlib.suppress(queue.Full):
                self._items.put_nowait(_Sent(sample_of_shared_ns(at_ns), frames.copy()))

    def heard(self, first_sample: int, samples: int, near_ms: Mapping[HeardBy, float]) -> Heard | None:
        """See `EarPort.heard`."""
        return self._ears.heard(first_sample, samples, near_ms)

    def measure(self, first_sample: int) -> None:
        """See `EarPort.measure`."""
        if self._thread is None:
            self._post(SelfTestMeasured(swept=Swept(sent_share=0.0)))
        else:
            self._order(lambda: self._post(SelfTestMeasured(swept=self._ears.swept(first_sample))))

    def close(self) -> None:
        """Let go of the sensors, in bounded time."""
        if self._thread is None:
            return
        self._order(self._close)
        with contextlib.suppress(queue.Full):
            self._items.put(None, timeout=END_S_MAX)
        self._thread.join(END_S_MAX)
        self._thread = None

    def _order(self, run: Callable[[], None]) -> None:
        try:
            self._items.put_nowait(_Order(run))
        except queue.Full:
            log.warning("the ears are busy: an order to them is lost")

    def _work(self) -> None:
        while True:
            try:
                item = self._items.get(timeout=READ_S if self._is_open and self._meter is not None else None)
            except queue.Empty:
                self._take_current()
                continue
            match item:
                case None:
                    return
                case _Order():
                    item.run()
                case _Sent():
                    self._ears.sent(item.first_sample, item.frames)
                case _Came():
                    self._came(item)
            self._take_current()

    def _open(self) -> None:
        self._close()
        self._is_open = True
        if self._config.device is None:
            return
        self._opening += 1
        self._first_ns, self._frames = None, 0
        command = [sys.executable, "-m", "edge.adapters.microphone_process"]
        try:
            process = subprocess.Popen(  # noqa: S603 - our own module; the device's name is the technician's, no shell
                [*command, self._config.device, str(len(self._channels))],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            log.warning("the microphone's process cannot be started: %s", error)
            return
        self._input = process
        reader = threading.Thread(target=self._read, args=(process, self._opening), name="microphone", daemon=True)
        reader.start()

    def _close(self) -> None:
        self._is_open = False
        process, self._input = self._input, None
        if process is not None:
            process.kill()

    def _read(self, process: subprocess.Popen[bytes], opening: int) -> None:
        """On a thread of its own: the input's frames, until there are no more."""
        size = BLOCK_FRAMES * len(self._channels) * 2
        output, errors = process.stdout, process.stderr
        if output is None or errors is None:
            return
        while len(block := output.read(size)) == size:
            with contextlib.suppress(queue.Full):
                self._items.put_nowait(_Came(opening, block, time.monotonic_ns()))
        self._say_why(errors, opening)
        process.wait()
        for file in (output, errors):
            file.close()

    def _say_why(self, errors: IO[bytes], opening: int) -> None:
        detail = errors.read(DETAIL_BYTES_MAX).decode("utf-8", "replace").strip()
        if self._is_open and opening == self._opening:
            log.warning("the sound input has ended: %s", detail or "it said nothing; see hearing.device")

    def _came(self, item: _Came) -> None:
        if item.opening != self._opening or not self._is_open:
            return
        frames: NDArray[np.int16] = np.frombuffer(item.frames, np.int16).reshape(-1, len(self._channels))
        self._frames += len(frames)
        began_ns = item.at_ns - self._frames * NS_PER_S // SAMPLE_RATE_HZ
        if self._first_ns is None or abs(began_ns - self._first_ns) > SETTLED_NS or began_ns < self._first_ns:
            self._first_ns = began_ns
        now = self._read_now()
        if not now.is_time_known:
            return
        first_ns = self._first_ns + (self._frames - len(frames)) * NS_PER_S // SAMPLE_RATE_HZ
        first_sample = sample_of_shared_ns(SharedNs(now.shared_ns + first_ns - now.monotonic_ns))
        for place, by in enumerate(self._channels):
            self._ears.came(by, first_sample, np.ascontiguousarray(frames[:, place]))

    def _take_current(self) -> None:
        if self._meter is None or not self._is_open or time.monotonic() < self._read_at:
            return
        self._read_at = time.monotonic() + READ_S
        now = self._read_now()
        if not now.is_time_known or not self._is_driven():
            return
        try:
            amperes = self._meter.read()
        except HearingError as error:
            if self._is_meter_well:
                log.warning("%s", error)
            self._is_meter_well = False
            return
        self._is_meter_well = True
        self._ears.took(sample_of_shared_ns(now.shared_ns), amperes)


def sensors_of(config: HearingConfig) -> tuple[HeardBy, ...]:
    """What listens by a configuration."""
    by_sound = tuple(HeardBy(channel) for channel in config.channels) if config.device is not None else ()
    return (*by_sound, *((HeardBy.CURRENT,) if config.current is not None else ()))
