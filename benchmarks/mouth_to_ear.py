"""From a word at the microphone to the loudspeakers: live voice through the real command, controller, broker and nodes.

A microphone is played to `loaxa-controller speak` over a pipe: blocks of 20 ms, each written when its last sample has
been spoken, with a burst of tone twice a second. One listener stamps what leaves the nodes' sound paths; the n-th burst
heard is the n-th spoken, so a lost one shows. A voice begins late, because amplifiers are cold, and comes nearer in its
own pauses; told are the first burst and, once it has settled, all others. Beside the whole way: the delay that was
asked for, what lies in the card and before it, and what the controller computes for each block by itself. Two cases:
nodes as they are shipped, and nodes whose card holds less. Run: `./scripts/bench mouth_to_ear`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from benchmarks.commune import BenchmarkError, Changes, Commune, await_true, commune
from benchmarks.measure import print_table, quantile
from controller.adapters.relay.opus_encoder import OpusEncoder
from controller.configuration.config import VoiceConfig
from controller.streams.levelling import Leveller
from edge.config import SoundConfig
from protocol.stream import AudioPacket, pack_audio
from protocol.units import FRAME_SAMPLES, NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ, SAMPLES_PER_MS, SharedNs
from simulator.demo.capture import Capture
from simulator.demo.processes import Children
from simulator.demo.site import COMMUNE, NODES, DemoSite

BURST_EVERY: Final = SAMPLE_RATE_HZ // 2
BURST_MS: Final = 100
BURST: Final = BURST_MS * SAMPLES_PER_MS
TONE_HZ: Final = 1_000
AMPLITUDE: Final = 8_000
HEARD_LEVEL: Final = 1_000
"""Of 32,768: above what rounding and concealment leave in a pause, reached 0.1 ms after a burst begins."""
QUIET_SAMPLES: Final = SAMPLE_RATE_HZ // 8
"""So much quiet before a sample makes it the begin of a burst."""
LEAP_MS: Final = 300.0
"""No voice falls back or comes nearer by so much from one burst to the next; 500 are one that was lost, or torn."""
SETTLED_S: Final = 20.0
TARGET_MS: Final = 250.0
PARTS_REPEATED: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is set for one run."""

    name: str
    delay_ms: int = VoiceConfig().delay_ms
    frames_per_packet: int = 1
    sound: dict[str, int] = field(default_factory=dict)

    def apply(self, site: DemoSite, _children: Children) -> None:
        """Write it into the configurations."""
        path = site.controller_configuration
        settings = yaml.safe_load(path.read_text())
        settings["voice"] = {"delay_ms": self.delay_ms, "frames_per_packet": self.frames_per_packet}
        path.write_text(yaml.safe_dump(settings, allow_unicode=True, sort_keys=False))
        for node in site.nodes:
            path = site.node_folder(node.name) / "edge.yaml"
            settings = yaml.safe_load(path.read_text())
            settings["sound"] = {**settings["sound"], **self.sound}
            path.write_text(yaml.safe_dump(settings, allow_unicode=True, sort_keys=False))


CASES: Final = (
    Case(name="nodes as shipped"),
    Case(name="nodes with a short card path", delay_ms=160, sound={"latency_ms": 40, "ahead_ms": 60}),
)


class Microphone:
    """Speaks into a process's standard input for some seconds, sample by sample as time passes."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.begun_ns = 0
        self.late_ms_max = 0.0
        self._pipe = process.stdin
        self._blocks = int(seconds * SAMPLE_RATE_HZ) // FRAME_SAMPLES
        self._thread = threading.Thread(target=self._speak, name="microphone", daemon=True)

    def start(self) -> None:
        """Begin to speak."""
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait until everything was said and the microphone is off."""
        self._thread.join(seconds)

    def spoken_ns(self, burst: int) -> int:
        """When a burst began at the microphone."""
        return self.begun_ns + (burst * BURST_EVERY + BURST_EVERY // 2) * NS_PER_S // SAMPLE_RATE_HZ

    @property
    def bursts(self) -> int:
        """How many were spoken whole."""
        return (self._blocks * FRAME_SAMPLES - BURST_EVERY // 2 - BURST) // BURST_EVERY + 1

    def _speak(self) -> None:
        self.begun_ns = time.time_ns()
        begun_s = time.monotonic()
        for block in range(self._blocks):
            due_s = begun_s + (block + 1) * FRAME_SAMPLES / SAMPLE_RATE_HZ
            time.sleep(max(0.0, due_s - time.monotonic()))  # a microphone gives a block when it was spoken
            self.late_ms_max = max(self.late_ms_max, (time.monotonic() - due_s) * 1000)
            if self._pipe is None or self._pipe.closed:
                return
            self._pipe.write(_spoken(block * FRAME_SAMPLES).tobytes())
            self._pipe.flush()
        if self._pipe is not None:
            self._pipe.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One case on one node, milliseconds from the mouth."""

    first_ms: float
    settled_ms: list[float]
    lost: int
    concealed_ms: int
    missing_ms: int
    """Of the bursts' tone, what was not heard: lost, faded away, or not rendered in time."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the tables; exit status 1 where no case reaches the target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=90.0, help="how long is spoken in each case (default: 90)")
    parser.add_argument("--nodes", type=int, default=2, choices=range(1, len(NODES) + 1), help="nodes (default: 2)")
    options = parser.parse_args(arguments)
    rows, best = [], float("inf")
    for case in CASES:
        with commune(node_count=options.nodes, changes=Changes(before_start=case.apply)) as world:
            results, late_ms = measure(world, options.seconds)
        for node, result in results.items():
            rows.append(_row(case, node, result))
        settled = [each for result in results.values() for each in result.settled_ms]
        best = min(best, quantile(settled, 0.95))
        sys.stderr.write(f"{case.name}: the microphone itself was late by {late_ms:.1f} ms at most\n")
    print_table(
        "Mouth to ear, milliseconds",
        rows,
        note=f"lowest p95 of the settled: {best:.0f} ms (target <= {TARGET_MS:.0f})",
    )
    print_table("What the controller computes for each 20 ms, by itself", parts())
    return 0 if best <= TARGET_MS else 1


def measure(world: Commune, seconds: float) -> tuple[dict[str, Result], float]:
    """Speak once to all nodes; what each of them sounded, and how late the microphone's own thread was."""
    folder = Path(sys.executable).parent
    command = [str(folder / "loaxa-controller"), "speak", str(world.site.controller_configuration)]
    command += ["--area", COMMUNE, "--title", "Thông báo thử", "--file", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        waiting = process.stdout.readline() if process.stdout else b""
        if b"stream" not in waiting:
            raise BenchmarkError("the command `speak` was not let in; see the messages above")
        microphone = Microphone(process, seconds)
        microphone.start()
        microphone.join(seconds + 30)
        process.wait(30)
    names = [node.name for node in world.site.nodes]
    await_true(lambda: len(_finished(world)) == len(names), "the end of the voice on record")
    return {node: _judge(world, node, microphone) for node in names}, microphone.late_ms_max


def parts() -> list[dict[str, str]]:
    """Levelling, coding and signing by themselves, in this process."""
    leveller, encoder, key = Leveller(-20.0), OpusEncoder(VoiceConfig().bitrate_bps), Ed25519PrivateKey.generate()
    scale = np.float32(1 / 32_768)
    frames = [_spoken(index * FRAME_SAMPLES).astype(np.float32) * scale for index in range(PARTS_REPEATED)]
    rows, took = [], {"level": 0.0, "encode": 0.0, "sign and pack": 0.0}
    for index, frame in enumerate(frames):
        begun = time.process_time_ns()
        levelled = leveller.process(frame)
        level = time.process_time_ns()
        coded = encoder.encode(levelled)
        encode = time.process_time_ns()
        packet = AudioPacket(
            stream="0" * 16, epoch=1, sequence=index, first_sample=0, play_at_ns=SharedNs(0), frames=(coded,)
        )
        pack_audio(packet, sign=key.sign, topic="loaxa/1/stream/0/opus")
        signed = time.process_time_ns()
        for name, spent in zip(took, (level - begun, encode - level, signed - encode), strict=True):
            took[name] += spent / 1000
    for name, total in took.items():
        rows.append({"part": name, "CPU time, microseconds": f"{total / PARTS_REPEATED:.0f}"})
    return rows


def _spoken(first: int) -> NDArray[np.int16]:
    """The microphone's samples from one on: tone in bursts, a breath of noise between them."""
    places = np.arange(first, first + FRAME_SAMPLES)
    phase = (places - BURST_EVERY // 2) % BURST_EVERY
    tone = np.sin(2 * np.pi * TONE_HZ * phase / SAMPLE_RATE_HZ) * AMPLITUDE
    sound: NDArray[np.int16] = np.where(phase < BURST, tone, 0.0).astype("<i2")
    return sound


def _finished(world: Commune) -> dict[str, dict[str, object]]:
    """The record of the voice's end on each node."""
    ended = [each for each in world.console.airings() if each.get("source") == "stream" and each["state"] == "finished"]
    return {str(each["node"]): each for each in ended}


def _judge(world: Commune, node: str, microphone: Microphone) -> Result:
    heard = _begins(world.listener.capture(node), microphone.begun_ns)
    if not heard:
        raise BenchmarkError(f"{node} has sounded nothing of what was spoken")
    ways_ms = _ways_ms(heard, microphone)
    record = _finished(world)[node]
    settled = [way for burst, way in ways_ms.items() if burst * BURST_EVERY / SAMPLE_RATE_HZ >= SETTLED_S]
    return Result(
        first_ms=ways_ms[min(ways_ms)],
        settled_ms=settled or list(ways_ms.values()),
        lost=microphone.bursts - len(ways_ms),
        concealed_ms=int(str(record["concealed_ms"])),
        missing_ms=microphone.bursts * BURST_MS - _tone_ms(world.listener.capture(node)) + len(ways_ms),
    )


def _tone_ms(capture: Capture) -> int:
    """In how many milliseconds a node gave tone; a burst touches one more than it fills."""
    whole = capture.samples[: len(capture.samples) // SAMPLES_PER_MS * SAMPLES_PER_MS]
    peaks = np.abs(whole.astype(np.int32)).reshape(-1, SAMPLES_PER_MS).max(axis=1)
    return int((peaks > HEARD_LEVEL).sum())


def _ways_ms(heard: Sequence[int], microphone: Microphone) -> dict[int, float]:
    """How long each burst was on its way: the next heard is the next spoken.

    Unless one between them was lost, or a gap has torn one in two: both would show as a leap by their distance.
    """
    ways_ms: dict[int, float] = {}
    burst = 0
    before_ms: float | None = None
    for at_ns in heard:
        way_ms = (at_ns - microphone.spoken_ns(burst)) / NS_PER_MS
        before_ms = way_ms if before_ms is None else before_ms
        if before_ms - way_ms > LEAP_MS:
            continue
        while way_ms - before_ms > LEAP_MS:
            burst += 1
            way_ms = (at_ns - microphone.spoken_ns(burst)) / NS_PER_MS
        if burst >= microphone.bursts:
            break
        ways_ms[burst] = before_ms = way_ms
        burst += 1
    return ways_ms


def _begins(capture: Capture, since_ns: int) -> list[int]:
    """When each burst began to leave a node's sound path."""
    found: list[int] = []
    for segment in capture.segments():
        samples = np.abs(capture.samples[segment.first : segment.last].astype(np.int32))
        loud = np.flatnonzero(samples > HEARD_LEVEL)
        before = np.concatenate(([-QUIET_SAMPLES - 1], loud[:-1]))
        for place in loud[loud - before > QUIET_SAMPLES]:
            at_ns = int(capture.time_of(segment.first + int(place), segment))
            if at_ns >= since_ns:
                found.append(at_ns)
    return found


def _row(case: Case, node: str, result: Result) -> dict[str, str]:
    sound = {"latency_ms": SoundConfig().latency_ms, "ahead_ms": SoundConfig().ahead_ms, **case.sound}
    settled = result.settled_ms
    return {
        "case": case.name,
        "node": node,
        "delay asked for": str(case.delay_ms),
        "card + ahead": f"{sound['latency_ms']} + {sound['ahead_ms']}",
        "first": f"{result.first_ms:.0f}",
        "p50": f"{quantile(settled, 0.5):.0f}",
        "p95": f"{quantile(settled, 0.95):.0f}",
        "p99": f"{quantile(settled, 0.99):.0f}",
        "bursts": str(len(settled)),
        "lost": str(result.lost),
        "concealed": str(result.concealed_ms),
        "missing": str(result.missing_ms),
    }


if __name__ == "__main__":
    sys.exit(main())
