"""The controller's two connections to its broker: one speaks, the other listens.

They are apart because a fleet speaks all at once: after a controller's restart the broker sends every node's retained
state, after its own every node says its birth. A broker keeps for one client what may be on its way (the client's
receive maximum) and a short queue, and drops the rest; so the listening connection may have a whole fleet on its way,
and what waits for a busy desk waits here. On the speaking one that would stand before the broker's answers to an
emergency. Its own name, not another certificate: a `-` cannot stand in a node's name, so no node can take its place.

Kept elsewhere: what is said and heard (the desk), reconnecting and subscriptions (`protocol.adapters.mqtt_link`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from controller.configuration.config import BrokerConfig, TrustConfig
from controller.errors import ConfigError
from controller.events import BrokerConnected, BrokerLost, Event, ListeningBegan, ListeningEnded, MessageReceived
from protocol.adapters.mqtt_link import LinkError, MqttLink, MqttSettings, Will
from protocol.codec import json_encode
from protocol.messages import ControllerState, Readiness
from protocol.topics import TOPICS, TopicName, topic

QUEUED_MAX: Final = 5_000
"""Messages waiting for the broker: everything that stands for 5,000 nodes comes in slices of 100."""
HERD_WINDOW_S: Final = 0.5
"""The controller comes back before its nodes do."""
RETRY_S_MAX: Final = 3.0
"""An emergency must not wait for a controller that counts to sixty beside a broker that is long back; three
connections a few times in ten seconds are no herd."""
FLEET_MESSAGES_MAX: Final = 20_000
"""One message of each node that a configuration may name: on its way from the broker, and waiting for the desk."""
LISTENER: Final = "-in"
"""What the listening connection's client id has after the controller's name."""


class BrokerLinks:
    """Both connections; made and used on the loop's thread, where `post` is called. Raises ConfigError."""

    def __init__(
        self, *, controller: str, broker: BrokerConfig, trust: TrustConfig, epoch: int, post: Callable[[Event], None]
    ) -> None:
        gone = ControllerState(controller=controller, state=Readiness.LOST, session_epoch=epoch)
        row = TOPICS[TopicName.CONTROLLER_STATE]
        own = topic(TopicName.CONTROLLER_STATE, controller=controller)
        try:
            self._speaking = MqttLink(
                link_settings(controller, broker, trust, queued_max=QUEUED_MAX),
                Will(topic=own, payload=json_encode(gone), qos=row.qos, retain=row.retain),
                on_connected=lambda present, _: post(BrokerConnected(is_session_present=present)),
                on_disconnected=lambda reason: post(BrokerLost(reason=reason)),
                on_message=lambda *_: None,
            )
            self._listening = MqttLink(
                link_settings(
                    controller + LISTENER,
                    broker,
                    trust,
                    receive_max=FLEET_MESSAGES_MAX,
                    inbox_max=FLEET_MESSAGES_MAX,
                ),
                on_connected=lambda *_: post(ListeningBegan()),
                on_disconnected=lambda reason: post(ListeningEnded(reason=reason)),
                on_message=lambda at, payload: post(MessageReceived(topic=at, payload=payload)),
            )
        except LinkError as error:
            raise ConfigError(f"trust: {error}") from error

    def start(self) -> None:
        """Begin to connect."""
        self._speaking.start()
        self._listening.start()

    def stop(self) -> None:
        """Send what is queued and take leave; waits some seconds at most."""
        self._listening.stop()
        self._speaking.stop()

    def publish(self, at: str, payload: bytes, qos: int, retain: bool, expiry_s: int | None) -> None:
        """Hand a message to the broker; raises LinkError for what may never be sent."""
        self._speaking.publish(at, payload, qos, retain, expiry_s)

    def subscribe(self, topics: Sequence[tuple[str, int]]) -> None:
        """Listen to these; what is retained there comes again."""
        self._listening.subscribe(topics)


def link_settings(client_id: str, broker: BrokerConfig, trust: TrustConfig, **more: int) -> MqttSettings:
    """A connection to the configured broker by the controller's certificate; `more` are bounds of the link."""
    return MqttSettings(
        host=broker.host,
        port=broker.port,
        client_id=client_id,
        ca_path=trust.ca,
        certificate_path=trust.certificate,
        private_key_path=trust.private_key,
        herd_window_s=HERD_WINDOW_S,
        retry_s_max=RETRY_S_MAX,
        **more,  # type: ignore[arg-type] # bounds are whole numbers; the one flag is not among them
    )
