"""What the desk writes of clusters that come and go: connected, lost, and nothing of what it could not hear."""

from __future__ import annotations

from collections import Counter

import pytest

from controller.events import ListeningBegan, ListeningEnded, Stopping
from controller.records import PresenceSpan
from protocol.messages import Readiness
from tests.support.controller_desk import DeskWorld
from tests.support.pki import DevelopmentKeys

MINUTE_MS = 60_000


@pytest.fixture
def world(pki: DevelopmentKeys) -> DeskWorld:
    made = DeskWorld(pki)
    made.begin()
    return made


def watched(world: DeskWorld) -> dict[tuple[str, bool], int]:
    """Minutes by node and whether it was connected, as the database has them."""
    found: Counter[tuple[str, bool]] = Counter()
    for span in world.memory.of(PresenceSpan):
        found[span.node, span.is_up] += span.end_ms - span.begin_ms
    return {key: round(ms / MINUTE_MS) for key, ms in found.items()}


def test_who_comes_and_goes_is_counted_and_who_never_came_is_not(world: DeskWorld) -> None:
    world.birth("N001")
    world.birth("N002", state=Readiness.DISCONNECTED)
    world.advance(1 * MINUTE_MS)
    world.birth("N001", state=Readiness.LOST)
    world.advance(4 * MINUTE_MS)
    world.post(Stopping())
    assert watched(world) == {("N001", True): 1, ("N001", False): 4, ("N002", False): 5}


def test_what_the_desk_could_not_hear_is_neither(world: DeskWorld) -> None:
    world.birth("N001", state=Readiness.DISCONNECTED)
    world.advance(3 * MINUTE_MS)
    world.post(ListeningEnded(reason="broker away"))
    world.advance(60 * MINUTE_MS)
    world.post(ListeningBegan())
    world.advance(2 * MINUTE_MS)
    world.post(Stopping())
    assert watched(world) == {("N001", False): 5}


def test_a_node_that_falls_silent_is_up_until_it_is_lost(world: DeskWorld) -> None:
    world.birth("N001")
    world.advance(10 * MINUTE_MS)
    world.post(Stopping())
    assert watched(world) == {("N001", True): 2, ("N001", False): 8}


def test_a_day_goes_to_the_database_as_it_goes_by(world: DeskWorld) -> None:
    world.birth("N001", state=Readiness.DISCONNECTED)
    world.advance(95 * MINUTE_MS)
    assert watched(world) == {("N001", False): 90}
