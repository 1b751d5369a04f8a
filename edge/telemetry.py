"""The node's health on the wire: birth, farewell, periodic status.

Decides when a status goes out: at its interval, and at once when what sounds or what is wrong changes. It
leaves to the agent what the status says.

Rules kept:
- birth and will stand on one retained topic with one session epoch;
- a status is never kept for later: while the broker is away none is made;
- the machine is measured with each status, and while the broker is away at turns that come anyway: a card that was
  full meanwhile is on record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from edge.effects import Effect, Measure, Publish
from protocol.candidate import Candidate
from protocol.codec import json_encode
from protocol.messages import NodeState, NowSounding, Readiness, Telemetry
from protocol.topics import TOPICS, TopicName, topic
from protocol.units import NS_PER_MS, MonotonicNs, Now, SharedMs

AT_ONCE_GAP_MS: Final = 200
"""Changes within this time share one status, so that a flapping fault does not flood the broker."""
MS_PER_S: Final = 1_000
ALONE_MEASURE_MS: Final = 600_000
"""How often a node without a broker looks at its card, if it is awake anyway: a full card stays full for a while."""
SOUND_PATH_CHARACTERS_MAX: Final = 80
"""The bound of the field on the wire."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """How often a status goes out when nothing changes."""

    idle_interval_s: int = 30
    on_air_interval_s: int = 5


class StatusReporter:
    """The state topic and the telemetry topic of one node."""

    def __init__(self, *, birth: NodeState, settings: TelemetrySettings) -> None:
        self._birth = birth
        self._node = node = birth.node
        self._topic = topic(TopicName.TELEMETRY, node=node)
        self._settings = settings
        self._is_connected = False
        self._readiness: Readiness | None = None
        self._shown: tuple[object, ...] = ()
        self._due_at: MonotonicNs | None = None
        self._earliest_at: MonotonicNs | None = None
        self._measured_at = MonotonicNs(0)

    def connected(self, now: Now) -> None:
        """The broker is there: say so, and how we are."""
        self._is_connected = True
        self._readiness = None
        self._due_at = now.monotonic_ns

    def disconnected(self) -> None:
        """The broker is gone."""
        self._is_connected = False
        self._due_at = None

    def next_deadline(self) -> MonotonicNs | None:
        """When the next status is due."""
        return self._due_at

    def birth(self, readiness: Readiness) -> tuple[Effect, ...]:
        """Say that the node is there and whether it can work, if that has changed."""
        if not self._is_connected or readiness is self._readiness:
            return ()
        self._readiness = readiness
        row = TOPICS[TopicName.NODE_STATE]
        state = msgspec.structs.replace(self._birth, state=readiness)
        return (
            Publish(
                topic=topic(TopicName.NODE_STATE, node=self._node),
                payload=json_encode(state),
                qos=row.qos,
                retain=row.retain,
            ),
        )

    def status(
        self, shown: tuple[object, ...], make: Callable[[], Telemetry], now: Now, *, is_on_air: bool
    ) -> tuple[Effect, ...]:
        """A status if one is due; `shown` is what a change of makes it due at once."""
        if not self._is_connected:
            return self._measure_alone(now)
        if shown != self._shown:
            at = max(now.monotonic_ns, self._earliest_at or 0)
            self._due_at = MonotonicNs(at if self._due_at is None else min(at, self._due_at))
        if self._due_at is None or now.monotonic_ns < self._due_at:
            return ()
        self._shown = shown
        interval_s = self._settings.on_air_interval_s if is_on_air else self._settings.idle_interval_s
        self._due_at = MonotonicNs(now.monotonic_ns + interval_s * MS_PER_S * NS_PER_MS)
        self._earliest_at = MonotonicNs(now.monotonic_ns + AT_ONCE_GAP_MS * NS_PER_MS)
        self._measured_at = now.monotonic_ns
        return (
            Publish(
                topic=self._topic,
                payload=json_encode(make()),
                qos=TOPICS[TopicName.TELEMETRY].qos,
            ),
            Measure(),
        )

    def _measure_alone(self, now: Now) -> tuple[Effect, ...]:
        if now.monotonic_ns - self._measured_at < ALONE_MEASURE_MS * NS_PER_MS:
            return ()
        self._measured_at = now.monotonic_ns
        return (Measure(),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Which box this is and which of its lives, for whoever must tell two with one name apart.

    `box` is `box_digest` of its serial number, `boot` what the kernel calls its present life.
    """

    box: str = ""
    boot: str = ""


NO_MACHINE: Final = Machine()


def make_state(
    node: str, readiness: Readiness, session_epoch: int, version: str, machine: Machine = NO_MACHINE
) -> NodeState:
    """Birth, farewell or will: the three differ only in their readiness."""
    return NodeState(
        node=node,
        state=readiness,
        session_epoch=session_epoch,
        version=version,
        box=machine.box,
        boot=machine.boot,
    )


def sounding_of(candidate: Candidate, since_ms: SharedMs) -> NowSounding:
    """What is on air, as the status shows it."""
    return NowSounding(
        source=candidate.source,
        source_id=candidate.source_id,
        title=candidate.title,
        broadcast_class=candidate.broadcast_class,
        since_ms=since_ms,
    )
