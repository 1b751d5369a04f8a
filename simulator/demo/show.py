"""The demo from beginning to end: brings the commune up, runs the main job on a timeline, judges what was heard.

It presses buttons through the controller's API and draws; what ought to happen is `timeline`'s, what did
happen is found out by `findings` and judged by `verdict`. One thread; every wait has a bound.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from protocol.units import NS_PER_S, SharedNs
from simulator.demo.clips import make_clips, read_wav
from simulator.demo.console import ConsoleError
from simulator.demo.disturbance import heard_at, in_words
from simulator.demo.findings import Expected, findings_on, spread_over, stages_of
from simulator.demo.listener import read_pin_trace
from simulator.demo.site import COMMUNE, CONSOLE_PORT, VILLAGES, PlannedPlaylist, next_whole_second
from simulator.demo.table import Display, Row, Snapshot
from simulator.demo.timeline import CYCLE_S, Act, Step, at_of, timeline_for
from simulator.demo.town import Town, TownError
from simulator.demo.verdict import Verdict, judge

START_ALLOWANCE_S: Final = 6.0
"""From writing the plan to nodes that have it; a slower machine is given more at the next try."""
PLAN_TRIES: Final = 3
PRESS_S_MAX: Final = 10.0
"""A press is tried again this long, past a controller that was just killed."""
ROUNDS_PLANNED: Final = 20
"""Playlists planned ahead of a demo without an end; more would not fit one plan."""
_LOOP_S: Final = 0.2
_POLL_S: Final = 1.0
_RELAY_MINUTES: Final = 60
_FRAME_MS: Final = 20
_EVENTS_ASKED: Final = 30


@dataclass(slots=True, kw_only=True)
class Round:
    """One run through the timeline, from its zero on; `presses` says what was really done when."""

    steps: Sequence[Step]
    begin_ns: SharedNs
    presses: dict[Act, SharedNs] = field(default_factory=dict)

    def due(self, step: Step) -> SharedNs:
        """When a step is to be done."""
        return SharedNs(self.begin_ns + round(step.at_s * NS_PER_S))


class Show:
    """One demo over one town. `seconds` None goes on, round after round, until it is stopped from outside."""

    def __init__(self, town: Town, *, seconds: float | None, display: Display) -> None:
        self._town = town
        self._seconds = seconds
        self._length_s = seconds if seconds is not None else float(CYCLE_S)
        self._steps = timeline_for(self._length_s)
        self._display = display
        self._troubles: list[str] = []
        self._emergency = ""
        self._seen: dict[str, dict[str, Any]] = {}
        self._last_events: dict[str, str] = {}
        self._polled_at = 0.0
        self._acts: Final[dict[Act, Callable[[], None]]] = {
            Act.RELAY: lambda: self._start_relay("icecast"),
            Act.RELAY_STOP: self._stop_relay,
            Act.RELAY_HLS: lambda: self._start_relay("hls"),
            Act.EMERGENCY: self._start_emergency,
            Act.ALL_CLEAR: self._all_clear,
            Act.RELAY_HLS_STOP: self._stop_relay,
        }

    def run(self) -> Verdict:
        """Bring the town up and run the main job; the verdict on the last round. Raises what the town raises."""
        self._town.prepare()
        begin_ns = self._come_up()
        rounds_left = ROUNDS_PLANNED
        while True:
            verdict = self._run_round(Round(steps=self._steps, begin_ns=begin_ns))
            if self._seconds is not None:
                return verdict
            self._display.say(_summary(verdict))
            rounds_left -= 1
            begin_ns = SharedNs(begin_ns + int(self._length_s * NS_PER_S))
            if not rounds_left:
                begin_ns, rounds_left = self._plan(self._town.plan_anew, START_ALLOWANCE_S), ROUNDS_PLANNED
                self._town.await_ready()

    def _come_up(self) -> SharedNs:
        """Start all; the zero of the first round lies so that its playlist is due when the plan says."""
        act, allowance_s = self._town.start, START_ALLOWANCE_S
        for _ in range(PLAN_TRIES):
            begin_ns = self._plan(act, allowance_s)
            self._town.await_ready()
            if time.time_ns() <= begin_ns + NS_PER_S:
                self._display.say(f"Ready. The page: {self.address}")
                return begin_ns
            act, allowance_s = self._town.plan_anew, allowance_s * 2
            self._display.say("This machine took longer than the plan allowed for: planning anew")
        raise TownError("the nodes were not ready in time for their plan; is this machine very busy?")

    def _plan(self, act: Callable[[Sequence[PlannedPlaylist]], None], allowance_s: float) -> SharedNs:
        offset_s = at_of(list(self._steps), Act.PLAYLIST)
        first_ns = next_whole_second(time.time_ns(), in_s=allowance_s + offset_s)
        rounds = 1 if self._seconds is not None else ROUNDS_PLANNED
        length_ns = int(self._length_s * NS_PER_S)
        act([PlannedPlaylist(at_ns=SharedNs(first_ns + number * length_ns)) for number in range(rounds)])
        return SharedNs(first_ns - int(offset_s * NS_PER_S))

    @property
    def address(self) -> str:
        """The page's address."""
        return f"http://127.0.0.1:{self._town.site.ports.console}/"

    def _run_round(self, this: Round) -> Verdict:
        for number, step in enumerate(this.steps):
            while time.time_ns() < this.due(step):
                self._look(this, number)
                time.sleep(max(0.0, min(_LOOP_S, (this.due(step) - time.time_ns()) / NS_PER_S)))
            this.presses[step.act] = this.due(step) if step.act is Act.PLAYLIST else SharedNs(time.time_ns())
            if step.act is not Act.END:
                self._display.say(f"{step.at_s:6.1f} s  {step.title} · {step.title_english}")
            act = self._acts.get(step.act)
            if act is not None:
                self._press(this, number, act)
        return self._judge(this)

    def _press(self, this: Round, number: int, act: Callable[[], None]) -> None:
        deadline = time.monotonic() + PRESS_S_MAX
        while True:
            try:
                act()
            except ConsoleError as error:
                if time.monotonic() > deadline:
                    self._troubles.append(str(error))
                    self._display.say(f"Not done: {error}")
                    return
                self._look(this, number + 1)
                time.sleep(_LOOP_S)
            else:
                return

    def _look(self, this: Round, number: int) -> None:
        """Watch the processes, ask the controller now and then, draw."""
        for ended in self._town.watch():
            self._display.say(f"{ended.name} {ended.how}; starting it again")
        if time.monotonic() - self._polled_at >= _POLL_S:
            self._polled_at = time.monotonic()
            self._seen = self._town.nodes()
            self._last_events.update(self._newest_events())
        elapsed_s = (time.time_ns() - this.begin_ns) / NS_PER_S
        now = this.steps[number - 1].title if number else "Chuẩn bị"
        coming = this.steps[min(number, len(this.steps) - 1)]
        self._display.show(
            Snapshot(
                elapsed_s=elapsed_s,
                now=now,
                next=f"{coming.title} ({max(0.0, coming.at_s - elapsed_s):.0f} s)",
                address=self.address,
                rows=tuple(self._rows()),
            )
        )

    def _rows(self) -> list[Row]:
        rows = []
        for node in self._town.site.nodes:
            seen = self._seen.get(node.name, {})
            trace = read_pin_trace(self._town.site.pin_trace(node.name))
            is_up = self._town.children[node.name].pid is not None
            rows.append(
                Row(
                    node=node.name,
                    title=node.title,
                    village=VILLAGES[node.village],
                    state=str(seen.get("state", "?")) if is_up else "down",
                    sounding=str((seen.get("sounding") or {}).get("title", "")),
                    level_dbfs=self._town.listener.level_dbfs(node.name),
                    is_powered=bool(trace and trace[-1].is_on) if trace is not None else None,
                    faults=", ".join(seen.get("faults") or ()),
                    last_event=self._last_events.get(node.name, ""),
                )
            )
        return rows

    def _newest_events(self) -> dict[str, str]:
        """The newest record of each node, in words; nothing while the controller cannot be asked."""
        found: dict[str, str] = {}
        with contextlib.suppress(ConsoleError):
            for airing in self._town.console.airings(limit=_EVENTS_ASKED):
                if "state" in airing:
                    found.setdefault(str(airing["node"]), f"{airing['state']}: {airing['title']}")
        return found

    def _start_relay(self, feed: str) -> None:
        self._town.console.start_relay(area=COMMUNE, feed=feed, minutes=_RELAY_MINUTES)

    def _stop_relay(self) -> None:
        self._town.console.stop_relays()

    def _start_emergency(self) -> None:
        self._emergency = self._town.console.start_emergency(area=COMMUNE, clip="flood", minutes=_RELAY_MINUTES)

    def _all_clear(self) -> None:
        self._town.console.all_clear(self._emergency, reason="Hết diễn tập của bản trình diễn")

    def _judge(self, this: Round) -> Verdict:
        town, until_ns = self._town, SharedNs(time.time_ns())
        clips = make_clips(town.site.folder / "clips")
        expected = Expected(
            programme=read_wav(town.station.programme),
            playlist=np.concatenate([read_wav(path) for path in clips.playlist]),
            emergency=read_wav(clips.flood),
        )
        stages = stages_of(this.presses, expected)
        captures = town.listener.captures()
        concealed = self._concealed_frames(this)
        disturbances = town.machine.between(this.begin_ns, until_ns)
        found = [
            findings_on(
                node=node.name,
                village=node.village,
                capture=captures[node.name],
                trace=read_pin_trace(town.site.pin_trace(node.name)),
                stages=stages,
                expected=expected,
                concealed_frames=concealed.get(node.name),
                until_ns=until_ns,
                disturbances=heard_at(node.name, disturbances),
            )
            for node in town.site.nodes
        ]
        return judge(
            nodes=found,
            spread=spread_over(captures, stages),
            seconds=self._length_s,
            restarts=town.children.restarts(),
            troubles=self._troubles,
            disturbed=in_words(disturbances),
        )

    def _concealed_frames(self, this: Round) -> dict[str, int]:
        """What the nodes put on record of this round, by node; only the decoder knows it."""
        try:
            airings = self._town.console.airings()
        except ConsoleError as error:
            self._troubles.append(f"no records: {error}")
            return {}
        begin_ms = this.begin_ns // 1_000_000
        found: dict[str, int] = {}
        for airing in airings:
            if int(airing.get("at_ms", 0)) >= begin_ms:
                node = str(airing.get("node"))
                found[node] = found.get(node, 0) + int(airing.get("concealed_ms", 0)) // _FRAME_MS
        return found


def run_show(folder: Path, *, seconds: float | None, display: Display, keep: bool = False) -> Verdict:
    """One demo in one folder; whatever happens, nothing is left running."""
    length_s = seconds if seconds is not None else float(CYCLE_S)
    town = Town(folder, keep_s=length_s + 60.0, say=display.say, keep_state=keep, console_port=CONSOLE_PORT)
    try:
        return Show(town, seconds=seconds, display=display).run()
    finally:
        display.close()
        display.say("Stopping")
        if keep:
            town.listener.save(town.site.folder / "captures")
        town.stop()


def _summary(verdict: Verdict) -> str:
    if verdict.ok:
        return f"Round well: spread {verdict.spread_ms.p50} ms (p50), {verdict.spread_ms.max} ms (max)"
    return "Round with faults: " + "; ".join(verdict.reasons)
