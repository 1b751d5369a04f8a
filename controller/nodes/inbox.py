"""What nodes say to the controller: read, held against the name that the topic gives, handed to the room it is for.

A message that does not fit changes nothing, is counted by its reason and noted. Reports are verified in their own room;
state and telemetry are unsigned, the broker alone vouches for the name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from controller.effects import Effect, Level, Note, Publish, Subscribe
from controller.enrolment.clones import CloneWatch
from controller.events import MessageReceived
from controller.nodes.airing import ReportDesk
from controller.nodes.fleet import Fleet
from controller.streams.group_delay import GroupDelays
from protocol.codec import json_decode, json_encode
from protocol.errors import Refusal, RefusalReason
from protocol.messages import ControllerState, NodeState, Readiness, Telemetry
from protocol.topics import TOPICS, TopicName, parse_topic, topic
from protocol.units import Now

HEARD: Final = (TopicName.NODE_STATE, TopicName.TELEMETRY, TopicName.REPORT)
"""What nodes say to the desk; what they ask the time service is not its business."""


class Inbox:
    """Every message from outside. `refused` counts what did not fit."""

    def __init__(self, *, fleet: Fleet, reports: ReportDesk, clones: CloneWatch, delays: GroupDelays) -> None:
        self._fleet = fleet
        self._delays = delays
        self._clones = clones
        self._reports = reports
        self.refused: dict[str, int] = {}

    def take(self, event: MessageReceived, now: Now) -> Sequence[Effect]:
        """One message."""
        try:
            parsed = parse_topic(event.topic)
            node = parsed.fields.get("node", "")
            match parsed.name:
                case TopicName.REPORT:
                    return self._reports.received(node, event.payload, now)
                case TopicName.TELEMETRY:
                    telemetry = json_decode(event.payload, Telemetry)
                    _require_own_name(node, telemetry.node)
                    if telemetry.streams:
                        self._delays.told(telemetry, now.shared_ms)
                    return [
                        *self._fleet.told_telemetry(telemetry, now),
                        *self._clones.told_telemetry(telemetry, now),
                    ]
                case TopicName.NODE_STATE if event.payload:
                    state = json_decode(event.payload, NodeState)
                    _require_own_name(node, state.node)
                    return [*self._fleet.told_state(state, now), *self._clones.told_state(state, now)]
                case _:
                    return ()
        except Refusal as refusal:
            self.refused[refusal.reason.value] = self.refused.get(refusal.reason.value, 0) + 1
            return [
                Note(level=Level.WARNING, what="message_refused", reason=str(refusal), facts={"topic": event.topic})
            ]


def subscriptions() -> Subscribe:
    """What to ask the broker for."""
    return Subscribe(topics=tuple((topic(name, node="+"), TOPICS[name].qos) for name in HEARD))


def _require_own_name(node: str, claimed: str) -> None:
    if claimed != node:
        raise Refusal(RefusalReason.WRONG_AUDIENCE, f"{node} speaks in the name of {claimed}")


def own_state(controller: str, state: Readiness, epoch: int) -> Publish:
    """What everybody may know of this controller."""
    row = TOPICS[TopicName.CONTROLLER_STATE]
    return Publish(
        topic=topic(TopicName.CONTROLLER_STATE, controller=controller),
        payload=json_encode(ControllerState(controller=controller, state=state, session_epoch=epoch)),
        qos=row.qos,
        retain=row.retain,
    )
