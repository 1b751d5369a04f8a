"""One delay for each group of poles: how long after its capture a sound is heard, chosen from the lateness they report.

Duty: a group is an area and what it is used for (relay or live voice). Each node says how late the packets of a stream
come; from that follows what delay the node needs; from all nodes' needs follows the delay that the group's next stream
gets. It leaves to the stamper (`controller.streams.stamping`) when a running stream takes it up, and to nobody which
pole gets it: all of a group have the same one, or they would be out of step.

Rules kept:
- A node needs the delay in force, plus its lateness at the 99.9th percentile (the 99th of few packets), plus what its
  player reads ahead. It is not asked when its clock may be wrong by CLOCK_ERROR_MS_MAX, or its figures are old.
- A commune does not wait for one sick pole: of the nodes, the worst SICK_SHARE (one at least) are left out if they need
  STANDS_OUT_MS more than all others. A single pole is always served. Whoever is late is named (`late`).
- Up at once, down only after CALM_MS of sound during which less was enough, in steps of STEP_MS, within the bounds.
- A delay that is chosen begins with the next stream, or where a running one pauses. Every stream that runs has one
  delay, so a report is understood by the epoch it names.
- A live voice comes nearer in play (`nearer`), down to what the nodes that hear it need at this moment, once all of
  them have said so of packets that had no more time to spare; poles that never say it keep it where it is. As soon as
  sound is lost it goes back, and its area is left alone for CALM_MS.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from msgspec import Struct

from controller.configuration.config import RelayConfig, VoiceConfig
from protocol.messages import StreamHeard, Telemetry
from protocol.units import FRAME_MS, SharedMs

SICK_SHARE: Final = 20
"""One in so many nodes may be left out."""
STANDS_OUT_MS: Final = 500
"""Wired and 4G poles of one commune differ by less; more is a bad antenna, a full line, a wrong clock."""
STEP_MS: Final = 100
"""Delays are whole steps, so that small changes change nothing."""
MARGIN_MS: Final = 60
"""On top of the need: one packet of the loop that decodes, one timer that is late."""
LOWER_BY_MS: Final = 200
"""Less than this is not worth a change."""
CALM_MS: Final = 20 * 60_000
"""So much sound without need before the delay comes down: the evening's busy cell has come and gone twice."""
JUDGE_EVERY_MS: Final = 10_000
"""Two statuses of a pole on air."""
FRESH_MS: Final = 30_000
"""Older figures are of a pole that has gone."""
PACKETS_MIN: Final = 100
"""Ten seconds of a relay; before that all reports are about the beginning."""
PACKETS_OF_A_TAIL: Final = 1_000
"""The 99.9th percentile of fewer packets is a single accident."""
NEAR_AFTER_MS: Final = 3_000
"""What is said of a voice counts from so long after it has settled: by then one packet in a hundred had no slack."""
NEAR_EVERY_MS: Final = 2_000
"""How often it is asked whether a voice can come nearer: a thousand poles say something within five seconds."""
NEAR_MARGIN_MS: Final = 30
"""On top of what the worst pole needs for 99 packets of 100: as much as shipped nodes have at the usual delay."""
CLOCK_ERROR_MS_MAX: Final = 250.0
"""A clock that may be this wrong tells its own error, not the network's."""
GROUPS_MAX: Final = 2_000
"""Groups that are remembered; an area has two at most."""


class Use(StrEnum):
    """What a delay is for."""

    RELAY = "relay"
    LIVE = "live"


class DelayBounds(Struct, frozen=True, kw_only=True):
    """The delay where nothing more is needed, the longest that is ever chosen, the shortest of a voice in play."""

    usual_ms: int
    most_ms: int
    near_ms: int | None = None


def bounds_of(relay: RelayConfig, voice: VoiceConfig) -> dict[Use, DelayBounds]:
    """The bounds of a configuration."""
    return {
        Use.RELAY: DelayBounds(usual_ms=relay.delay_ms, most_ms=relay.delay_ms_max),
        Use.LIVE: DelayBounds(
            usual_ms=voice.delay_ms, most_ms=max(voice.delay_ms, voice.delay_ms_max), near_ms=voice.near_ms
        ),
    }


class StreamDelay(Struct, frozen=True, kw_only=True):
    """What is shown of one stream: its delay, what its group would have now, and how its nodes fare.

    `worst_lateness_ms` is the 99th percentile of the node with the least to spare, reading ahead included: above zero
    it loses sound. `late` are the nodes that do, `left_out` those for which the group does not wait.
    """

    delay_ms: int
    wanted_ms: int
    nodes: int = 0
    worst_lateness_ms: float | None = None
    worst_node: str = ""
    late: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class _Told:
    """The last that a node said of a stream."""

    heard: StreamHeard
    at_ms: int
    is_clock_good: bool

    @property
    def spare_ms(self) -> float:
        """The 99th percentile against the moment when a packet is really wanted: above zero it is too late."""
        return self.heard.lateness_ms_p99 + self.heard.ahead_ms

    @property
    def tail_ms(self) -> float:
        """By how much the delay in force is too short (negative: longer than needed)."""
        heard = self.heard
        far = heard.lateness_ms_p999 if heard.packets >= PACKETS_OF_A_TAIL else heard.lateness_ms_p99
        return far + heard.ahead_ms


@dataclass(slots=True, kw_only=True)
class _Stream:
    """A stream that runs: the delay of its present epoch and who hears it how.

    `settled_ms` is since when its packets have no more time than that; `back_ms` what a voice that came nearer had.
    """

    group: tuple[str, Use]
    delay_ms: int
    members: frozenset[str]
    epoch: int | None = None
    told: dict[str, _Told] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    settled_ms: int | None = None
    back_ms: int | None = None
    is_moving: bool = False


@dataclass(slots=True, kw_only=True)
class _Group:
    """The delay that the next stream gets, and for how long less would have done; until when no voice comes nearer."""

    wanted_ms: int
    far_until_ms: int = 0
    calm_ms: int = 0
    calm_most_ms: int = 0


class GroupDelays:
    """The delays of all groups of one controller."""

    def __init__(self, bounds: Mapping[Use, DelayBounds]) -> None:
        self._bounds = bounds
        self._groups: dict[tuple[str, Use], _Group] = {}
        self._streams: dict[str, _Stream] = {}
        self._judge_at_ms: SharedMs | None = None
        self._near_at_ms: SharedMs | None = None

    def rebound(self, bounds: Mapping[Use, DelayBounds]) -> None:
        """The configuration was read again; what was learned stays within the new bounds."""
        self._bounds = bounds
        for (_, use), group in self._groups.items():
            group.wanted_ms = self._within(use, group.wanted_ms)

    def restore(self, area: str, use: Use, wanted_ms: int) -> None:
        """What a group had when the last process stopped."""
        self._groups[area, use] = _Group(wanted_ms=self._within(use, wanted_ms))
        while len(self._groups) > GROUPS_MAX:
            del self._groups[next(iter(self._groups))]

    def wanted_ms(self, area: str, use: Use) -> int:
        """The delay of a stream that begins now."""
        group = self._groups.get((area, use))
        return self._bounds[use].usual_ms if group is None else group.wanted_ms

    def begun(self, stream: str, area: str, use: Use, nodes: Iterable[str]) -> None:
        """A stream begins for these nodes, with its group's delay."""
        if (area, use) not in self._groups:
            self.restore(area, use, 0)
        delay_ms = self.wanted_ms(area, use)
        self._streams[stream] = _Stream(group=(area, use), delay_ms=delay_ms, members=frozenset(nodes))

    def epoch_begun(self, stream: str, epoch: int, delay_ms: int, *, settled_ms: int | None = None) -> None:
        """The sender of a stream says which epoch it has begun and with which delay; what was told before is void.

        `settled_ms` is since when a voice has no more than that delay; until then it has more time to spare.
        """
        known = self._streams.get(stream)
        if known is not None:
            known.epoch, known.delay_ms = epoch, delay_ms
            known.told, known.left_out = {}, ()
            known.settled_ms, known.is_moving = settled_ms, known.is_moving and settled_ms is None

    def ended(self, stream: str) -> None:
        """A stream is over; what its group has learned stays."""
        self._streams.pop(stream, None)
        if not self._streams:
            self._judge_at_ms = self._near_at_ms = None

    def told(self, telemetry: Telemetry, now_ms: SharedMs) -> None:
        """What a node says of the streams that it hears."""
        for heard in telemetry.streams:
            stream = self._streams.get(heard.stream)
            if stream is None or telemetry.node not in stream.members or stream.epoch != heard.epoch:
                continue
            error_ms = telemetry.clock_error_ms
            stream.told[telemetry.node] = _Told(
                heard=heard, at_ms=now_ms, is_clock_good=error_ms is not None and error_ms < CLOCK_ERROR_MS_MAX
            )
            if self._judge_at_ms is None:
                self._judge_at_ms = SharedMs(now_ms + JUDGE_EVERY_MS)
            if self._near_at_ms is None and self._bounds[stream.group[1]].near_ms is not None:
                self._near_at_ms = SharedMs(now_ms + NEAR_EVERY_MS)

    @property
    def next_at_ms(self) -> SharedMs | None:
        """When the figures are to be looked at again."""
        return self._judge_at_ms

    def look(self, now_ms: SharedMs) -> list[tuple[str, int]]:
        """Judge what is due; the streams whose group's delay is another than before, with it."""
        if self._judge_at_ms is None or now_ms < self._judge_at_ms:
            return []
        self._judge_at_ms = SharedMs(now_ms + JUDGE_EVERY_MS) if self._streams else None
        enough_ms: dict[tuple[str, Use], int] = {}
        for stream in self._streams.values():
            found_ms = self._enough_ms(stream, now_ms)
            if found_ms is not None:
                enough_ms[stream.group] = max(found_ms, enough_ms.get(stream.group, 0))
        changed = {group for group, found_ms in enough_ms.items() if _move(self._groups[group], found_ms)}
        return [
            (name, self._groups[stream.group].wanted_ms)
            for name, stream in self._streams.items()
            if stream.group in changed
        ]

    @property
    def near_at_ms(self) -> SharedMs | None:
        """When it is to be asked whether voices can come nearer."""
        return self._near_at_ms

    def nearer(self, now_ms: SharedMs) -> list[tuple[str, int]]:
        """The voices that are to come nearer now, or to go back, each with the delay that it is to have in play."""
        if self._near_at_ms is None or now_ms < self._near_at_ms:
            return []
        self._near_at_ms = None
        moved = []
        for name, stream in self._streams.items():
            delay_ms = self._moved_ms(stream, now_ms)
            if delay_ms is not None:
                stream.told, stream.settled_ms, stream.is_moving = {}, None, True
                moved.append((name, delay_ms))
        return moved

    def view(self, stream: str, now_ms: SharedMs) -> StreamDelay | None:
        """What is shown of a stream that runs."""
        known = self._streams.get(stream)
        if known is None:
            return None
        fresh = {node: told for node, told in known.told.items() if now_ms - told.at_ms <= FRESH_MS}
        worst = max(fresh, key=lambda node: fresh[node].spare_ms, default="")
        return StreamDelay(
            delay_ms=known.delay_ms,
            wanted_ms=self.wanted_ms(*known.group),
            nodes=len(fresh),
            worst_lateness_ms=fresh[worst].spare_ms if worst else None,
            worst_node=worst,
            late=tuple(sorted(node for node, told in fresh.items() if told.spare_ms > 0)),
            left_out=tuple(node for node in known.left_out if node in fresh),
        )

    def _moved_ms(self, stream: _Stream, now_ms: SharedMs) -> int | None:
        """The delay that a voice is to have from now on; None where it stays as it is."""
        near_ms, usual_ms = self._bounds[stream.group[1]].near_ms, self._bounds[stream.group[1]].usual_ms
        telling, group = _telling(stream, now_ms), self._groups[stream.group]
        if near_ms is None or not telling:
            return None
        needs = sorted((stream.delay_ms + told.spare_ms, node) for node, told in telling.items())
        need_ms = needs[_served(needs) - 1][0]
        if stream.back_ms is not None:
            if need_ms <= stream.delay_ms:
                return None
            back_ms, stream.back_ms = stream.back_ms, None
            group.far_until_ms = now_ms + CALM_MS
            return back_ms
        counts_ms = None if stream.settled_ms is None else stream.settled_ms + NEAR_AFTER_MS
        if counts_ms is None or any(told.at_ms < counts_ms for told in telling.values()):
            return None
        wanted_ms = max(near_ms, -int(-(need_ms + NEAR_MARGIN_MS) // FRAME_MS) * FRAME_MS)
        # one step above the usual is what poles of before ask for; more is a line that has shown what it can do
        is_far = group.wanted_ms > usual_ms + STEP_MS or now_ms < group.far_until_ms
        if is_far or wanted_ms > stream.delay_ms - 2 * FRAME_MS:
            return None
        stream.back_ms = stream.delay_ms
        return wanted_ms

    def _enough_ms(self, stream: _Stream, now_ms: SharedMs) -> int | None:
        """The delay that a stream's figures ask for; None when they say nothing, or it is on its way to another."""
        telling = {} if stream.is_moving else _telling(stream, now_ms)
        needs = sorted((stream.delay_ms + told.tail_ms, node) for node, told in telling.items())
        if not needs:
            return None
        served = _served(needs)
        stream.left_out = tuple(sorted(node for _, node in needs[served:]))
        need_ms = needs[served - 1][0] + MARGIN_MS
        return self._within(stream.group[1], -int(-need_ms // STEP_MS) * STEP_MS)

    def _within(self, use: Use, delay_ms: int) -> int:
        bounds = self._bounds[use]
        return max(bounds.usual_ms, min(bounds.most_ms, delay_ms))


def _telling(stream: _Stream, now_ms: SharedMs) -> dict[str, _Told]:
    """The nodes whose figures of a stream count."""
    return {
        node: told
        for node, told in stream.told.items()
        if told.is_clock_good and told.heard.packets >= PACKETS_MIN and now_ms - told.at_ms <= FRESH_MS
    }


def _served(needs: list[tuple[float, str]]) -> int:
    """How many of the nodes (the least needy first) a group waits for."""
    sick_max = max(1, len(needs) // SICK_SHARE)
    least = max(1, len(needs) - sick_max)
    reach_ms = needs[least - 1][0] + STANDS_OUT_MS
    return sum(need_ms <= reach_ms for need_ms, _ in needs)


def _move(group: _Group, enough_ms: int) -> bool:
    """Up at once, down after a long calm; whether the delay has changed."""
    was_ms = group.wanted_ms
    if enough_ms > was_ms:
        group.wanted_ms = enough_ms
    if enough_ms > was_ms - LOWER_BY_MS:
        group.calm_ms = group.calm_most_ms = 0
        return group.wanted_ms != was_ms
    group.calm_ms += JUDGE_EVERY_MS
    group.calm_most_ms = max(group.calm_most_ms, enough_ms)
    if group.calm_ms >= CALM_MS:
        group.wanted_ms = group.calm_most_ms
        group.calm_ms = group.calm_most_ms = 0
    return group.wanted_ms != was_ms
