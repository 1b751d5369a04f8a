"""Two connections to a real broker: a fleet's births all arrive, however short the broker's queue and busy the desk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from controller.adapters.broker_links import BrokerLinks
from controller.configuration.config import BrokerConfig, TrustConfig
from controller.errors import ConfigError
from controller.events import BrokerConnected, BrokerLost, Event, ListeningBegan, ListeningEnded, MessageReceived
from protocol.topics import TopicName, topic
from simulator.load.crowd import Crowd, CrowdSettings
from simulator.load.identities import load_authority, make_identities
from simulator.load.light_node import LightSettings
from tests.support.broker import RealBroker
from tests.support.pki import CONTROLLER, DevelopmentKeys
from tests.support.waiting import until

NODES = 150
QUEUED_MAX = 5
CONNECTED_S_MAX = 20.0
STATES = topic(TopicName.NODE_STATE, node="+")


def trust(pki: DevelopmentKeys, **changes: str) -> TrustConfig:
    at = pki.folder
    files = {"ca": "ca.pem", "certificate": "controller.pem", "private_key": "controller.key"}
    paths = {field: str(at / name) for field, name in files.items()}
    return TrustConfig(**{**paths, "keyset": "unused", "root_keys": "unused", "signing_keys": ()} | changes)  # type: ignore[arg-type]


@contextmanager
def linked(pki: DevelopmentKeys, broker: RealBroker, post: Callable[[Event], None]) -> Iterator[BrokerLinks]:
    links = BrokerLinks(
        controller=CONTROLLER,
        broker=BrokerConfig(port=broker.services_port),
        trust=trust(pki),
        epoch=1,
        post=post,
    )
    links.start()
    try:
        yield links
    finally:
        links.stop()


def crowd_of(pki: DevelopmentKeys, broker: RealBroker, folder: Path) -> Crowd:
    made = make_identities(load_authority(pki.folder), [f"L{n:05d}" for n in range(NODES)], folder)
    return Crowd(
        CrowdSettings(
            host="127.0.0.1",
            port=broker.port,
            ca_path=str(pki.folder / "ca.pem"),
            nodes=[LightSettings(identity=each) for each in made],
        )
    )


def connect(crowd: Crowd) -> None:
    deadline_s = time.monotonic() + CONNECTED_S_MAX
    while not crowd.is_complete:
        assert time.monotonic() < deadline_s, crowd.counts
        crowd.serve(0.1)


def heard(events: list[Event]) -> set[str]:
    return {each.topic for each in events if isinstance(each, MessageReceived)}


@pytest.fixture
def narrow_broker(broker: RealBroker) -> RealBroker:
    broker.stop()
    broker.start(queued_max=QUEUED_MAX)
    return broker


async def test_births_before_and_during_the_connection_all_arrive(
    narrow_broker: RealBroker, pki: DevelopmentKeys, tmp_path: Path
) -> None:
    """A controller that is started late finds every retained birth; births while its desk is busy wait for it."""
    early = crowd_of(pki, narrow_broker, tmp_path / "light")
    events: list[Event] = []
    try:
        connect(early)
        with linked(pki, narrow_broker, events.append) as links:
            links.subscribe([(STATES, 1)])
            await until(lambda: len(heard(events)) == NODES, what="retained births")
            early.close()
            events.clear()
            again = crowd_of(pki, narrow_broker, tmp_path / "light")
            try:
                connect(again)  # the event loop has no turn meanwhile, as when ten thousand assignments are signed
                assert not heard(events)
                await until(lambda: len(heard(events)) == NODES, what="births")
            finally:
                again.close()
    finally:
        early.close()


async def test_each_connection_tells_of_itself_and_a_loss_ends_both(broker: RealBroker, pki: DevelopmentKeys) -> None:
    events: list[Event] = []

    def kinds() -> set[type[Event]]:
        return {type(each) for each in events}

    with linked(pki, broker, events.append) as links:
        await until(lambda: kinds() == {BrokerConnected, ListeningBegan})
        links.subscribe([(topic(TopicName.ASSIGNMENT, node="N001"), 1)])
        # Retained, for it may overtake the subscription on the other connection.
        links.publish(topic(TopicName.ASSIGNMENT, node="N001"), b"yours", 1, True, None)
        await until(lambda: heard(events))
        events.clear()
        broker.stop()
        await until(lambda: kinds() >= {BrokerLost, ListeningEnded})


async def test_a_certificate_that_is_not_there_is_named(pki: DevelopmentKeys) -> None:
    with pytest.raises(ConfigError, match=r"trust: the CA .*none\.pem cannot be used"):
        BrokerLinks(
            controller=CONTROLLER,
            broker=BrokerConfig(),
            trust=trust(pki, ca="none.pem"),
            epoch=1,
            post=lambda _: None,
        )
