"""Replays what a pole has recorded through the agent of this version, and says where it decides otherwise.

Every turn of the log is given to a fresh `edge.agent.Agent` with the clocks that it had; ports answer as the log says
that they did. What the agent decides is compared with what was decided on the pole, step by step. There is no sound
here: packets come with header and verdict, clips with their length, and what only sound can tell is not compared.

A log may begin in the middle of a run (its first file was written over): the agent is booted from what stood in the
store then, and its first minute is not judged, for what it had in hand is not known.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.adapters.flight_recorder import flight_files
from edge.agent import Agent, AgentSettings
from edge.effects import Effect, LogDecision
from edge.errors import ClipError
from edge.events import CardStarted, Connected, Event
from edge.flight.log import AUDIO, FORMAT, Begin, Entry, Gap, Step, decision_of, event_of, read_blocks
from edge.gpio.amplifier import AmplifierSettings
from edge.gpio.inputs import StopButtonSettings
from edge.player.ports import Samples
from edge.telemetry import Machine, TelemetrySettings
from protocol.envelope import signer_from_private_key
from protocol.errors import Refusal, RefusalReason
from protocol.stream import AudioPacket
from protocol.units import NS_PER_S, Now, SharedNs

SETTLING_S: Final = 60
"""How long an agent that begins in the middle is not judged."""
DIFFERENCES_KEPT: Final = 200
TIMELINE_KEPT: Final = 10_000
FILE_BYTES_MAX: Final = 64 * 1024 * 1024
TIME_ZONE: Final = "Asia/Ho_Chi_Minh"
_HEADER: Final = struct.Struct("!2sBB8sIIQQ")
_QUIET_FRAME: Final = b"\xf8\xff\xfe"
"""An Opus frame of silence (RFC 6716): what a packet is replayed with."""


class ReplayError(Exception):
    """The log cannot be read at all; the text says which file and why."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One turn in which this version decides otherwise."""

    at: str
    event: str
    recorded: list[Any]
    replayed: list[Any]


@dataclass(slots=True, kw_only=True)
class Replayed:
    """What a replay found. `turns` were compared; `settling` were replayed and not judged."""

    node: str = ""
    version: str = ""
    runs: int = 0
    turns: int = 0
    settling: int = 0
    packets: int = 0
    differing: int = 0
    differences: list[Difference] = field(default_factory=list)
    timeline: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)


def read_log(path: Path) -> Iterator[Entry]:
    """The entries of a file, or of a folder's files in order. Raises ReplayError."""
    files = flight_files(path) if path.is_dir() else [path]
    if not files:
        raise ReplayError(f"{path} holds no flight log (flight-*.lxf); on a pole it is the folder state_dir/flight")
    is_readable = False
    for file in files:
        try:
            with file.open("rb") as opened:
                data = opened.read(FILE_BYTES_MAX)
        except OSError as error:
            raise ReplayError(f"{file} cannot be read: {error.strerror}") from error
        for entry in read_blocks(data):
            is_readable = is_readable or not isinstance(entry, Gap)
            yield entry
    if not is_readable:
        raise ReplayError(
            f"{path} is no flight log, or nothing of it can be read: give a flight-*.lxf, or the folder "
            "state_dir/flight of a pole"
        )


def replay(entries: Iterable[Entry]) -> Replayed:
    """Replay a log from each beginning in it. Raises ReplayError for a log of another format."""
    found = Replayed()
    run: _Run | None = None
    for entry in entries:
        match entry:
            case Begin():
                if entry.format != FORMAT:
                    raise ReplayError(f"the log has format {entry.format}, this version reads {FORMAT}")
                run = _Run(entry, found)
            case Gap():
                found.gaps.append(f"{entry.left_out} turns left out: {entry.why}" if entry.left_out else entry.why)
            case Step() if run is not None:
                run.take(entry)
            case Step():
                continue
    return found


class _Run:
    """One agent from a beginning on."""

    def __init__(self, begin: Begin, found: Replayed) -> None:
        found.node, found.version = begin.node, begin.version
        found.runs += 1
        self._begin = begin
        self._found = found
        self._ports = _Answers()
        self._since_ns: int | None = None
        self._is_first = True
        self._agent = Agent(
            settings=AgentSettings(
                node=begin.node,
                root=begin.root,
                version=begin.version,
                session_epoch=begin.session_epoch,
                amplifier=AmplifierSettings(warm_up_ms=begin.warm_up_ms, hold_ms=begin.hold_ms),
                telemetry=TelemetrySettings(
                    idle_interval_s=begin.idle_interval_s, on_air_interval_s=begin.on_air_interval_s
                ),
                button=StopButtonSettings(bounce_ms=begin.bounce_ms, silent_minutes=begin.silent_minutes),
                machine=Machine(box=begin.box, boot=begin.boot),
                sensors=begin.sensors,
            ),
            # Whose signature stands under a report is not compared: the pole's key stays on the pole.
            signer=signer_from_private_key("replay", Ed25519PrivateKey.generate()),
            workshop=self._ports,
            open_packet=self._ports.open_packet,
        )

    def take(self, step: Step) -> None:
        """Replay one turn and compare."""
        now = step.now
        if self._since_ns is None:
            self._since_ns = step.monotonic_ns
        self._ports.openings = list(step.openings)
        try:
            event = event_of(step)
        except ValueError as error:
            raise ReplayError(str(error)) from error
        effects = self._agent.handle(event, now)
        self._found.packets += step.event == AUDIO
        self._tell(effects, now)
        if self._is_first and not self._begin.is_boot:
            self._catch_up(now)
        elif not self._begin.is_boot and step.monotonic_ns - self._since_ns < SETTLING_S * NS_PER_S:
            self._found.settling += 1
        else:
            self._compare(step, effects)
        self._is_first = False

    def _catch_up(self, now: Now) -> None:
        """Tell a fresh agent what the recorded one knew at the beginning of the file."""
        told: list[Event] = []
        if self._begin.is_connected:
            told.append(Connected(session_present=True, incarnation=1))
        if self._begin.card:
            told.append(CardStarted(path=self._begin.card))
        for event in told:
            self._agent.handle(event, now)
        self._found.settling += 1

    def _compare(self, step: Step, effects: list[Effect]) -> None:
        found = self._found
        found.turns += 1
        replayed = _plain([decision_of(effect) for effect in effects])
        if replayed == step.decisions:
            return
        found.differing += 1
        if len(found.differences) < DIFFERENCES_KEPT:
            recorded_only = [each for each in step.decisions if each not in replayed]
            replayed_only = [each for each in replayed if each not in step.decisions]
            found.differences.append(
                Difference(
                    at=_clock(step.now),
                    event=step.event,
                    recorded=recorded_only or (step.decisions if not replayed_only else []),
                    replayed=replayed_only or (replayed if not recorded_only else []),
                )
            )

    def _tell(self, effects: list[Effect], now: Now) -> None:
        for effect in effects:
            if isinstance(effect, LogDecision) and len(self._found.timeline) < TIMELINE_KEPT:
                told = " ".join(f"{key}={value}" for key, value in effect.fields)
                self._found.timeline.append(f"{_clock(now)}  {effect.decision}  {told}".rstrip())


class _Answers:
    """The ports that answer at once, as the log says that they did (`Workshop`, and the opener of packets)."""

    def __init__(self) -> None:
        self.openings: list[list[Any]] = []

    def new_decoder(self) -> _NoDecoder:
        """See `Workshop.new_decoder`."""
        return _NoDecoder()

    def open_clip(self, sha256: str) -> _SilentClip:
        """See `Workshop.open_clip`."""
        answer = next((each for each in self.openings if each[:2] == ["clip", sha256]), None)
        if answer is None:
            raise ClipError(f"the pole did not open media/{sha256} here")
        self.openings.remove(answer)
        _, _, samples, failure = answer
        if failure:
            raise ClipError(failure)
        return _SilentClip(samples)

    def open_packet(self, data: bytes, *, public_key: bytes, topic: str, stream: str) -> AudioPacket:
        """A packet by its header; raises what the pole's verification did."""
        del public_key, topic
        answer = next((each for each in self.openings if each[0] == "packet"), None)
        if answer is None:
            raise Refusal(RefusalReason.UNKNOWN_STREAM, "the pole did not open this packet")
        self.openings.remove(answer)
        if answer[1]:
            raise Refusal(RefusalReason(answer[1]), "as on the pole")
        _, _, count, _, epoch, sequence, first_sample, play_at_ns = _HEADER.unpack_from(data)
        return AudioPacket(
            stream=stream,
            epoch=epoch,
            sequence=sequence,
            first_sample=first_sample,
            play_at_ns=SharedNs(play_at_ns),
            frames=(_QUIET_FRAME,) * count,
        )


class _NoDecoder:
    def decode(self, frame: bytes, into: Samples) -> None:
        del frame
        into.fill(0.0)

    def conceal(self, into: Samples) -> None:
        into.fill(0.0)

    def reset(self) -> None:
        return


class _SilentClip:
    def __init__(self, samples: int) -> None:
        self.samples = samples

    def read(self, first: int, into: Samples) -> None:
        del first
        into.fill(0.0)

    def close(self) -> None:
        return


def _plain(decisions: list[list[Any]]) -> list[list[Any]]:
    """As they would read from the log."""
    read: list[list[Any]] = msgspec.msgpack.decode(msgspec.msgpack.encode(decisions))
    return read


def _clock(now: Now) -> str:
    """Local time, for a person; a star where the pole did not know it."""
    at = datetime.fromtimestamp(now.shared_ns / NS_PER_S, ZoneInfo(TIME_ZONE))
    return f"{at:%Y-%m-%d %H:%M:%S.%f}"[:-3] + ("" if now.is_time_known else "*")
