"""Which place's rules a node has: its own, the nearest area's, and every volume cap above it."""

from __future__ import annotations

from typing import Any

import pytest

from controller.configuration.policies import NO_POLICY
from controller.configuration.site import site_of
from controller.errors import ConfigError
from protocol.messages import AirTime, Assignment, VolumeCap
from protocol.policy import VOLUME_CAPS_MAX
from protocol.topics import TopicName, topic
from tests.support.controller_desk import DeskWorld, config_of, document, plain_config, published
from tests.support.pki import DevelopmentKeys


def laid_down(pki: DevelopmentKeys, *, top: Any = (), village: Any = (), node: Any = ()) -> DeskWorld:
    """The site where these keys stand at the commune, at N001's village and at N001."""
    plain = plain_config(pki)
    areas = {area["id"]: area for area in plain["areas"]}
    areas["xa"].update(top)
    areas["dong"].update(village)
    plain["nodes"][0].update(node)
    world = DeskWorld(pki, areas=plain["areas"], nodes=plain["nodes"])
    world.begin()
    return world


def assigned(world: DeskWorld, node: str = "N001") -> Assignment:
    return document(published(world.effects, topic(TopicName.ASSIGNMENT, node=node))[-1], Assignment)


def test_an_assignment_carries_what_the_nearest_place_lays_down(pki: DevelopmentKeys) -> None:
    world = laid_down(
        pki,
        top={"air_time": {"session_minutes_max": 60, "sessions_a_day_max": 2}, "fetch_bytes_a_day_max": 50_000_000},
        node={"fetch_bytes_a_day_max": 10_000_000},
    )
    said, other = assigned(world), assigned(world, "N002")
    assert said.air_time == other.air_time == AirTime(session_minutes_max=60, sessions_a_day_max=2)
    assert (said.fetch_bytes_a_day_max, other.fetch_bytes_a_day_max) == (10_000_000, 50_000_000)


def test_none_lifts_what_an_area_above_lays_down(pki: DevelopmentKeys) -> None:
    world = laid_down(
        pki,
        top={"air_time": {"minutes_a_day_max": 60}, "fetch_bytes_a_day_max": 50_000_000},
        village={"air_time": "none"},
        node={"fetch_bytes_a_day_max": "none"},
    )
    assert (assigned(world).air_time, assigned(world).fetch_bytes_a_day_max) == (None, None)


def test_every_volume_cap_above_a_node_holds_and_the_quietest_are_carried(pki: DevelopmentKeys) -> None:
    school = {"gain_db_max": -9, "begin": "07:00", "end": "11:30"}
    world = laid_down(pki, top={"volume_caps": [{"gain_db_max": 3}]}, node={"volume_caps": [school]})
    assert assigned(world).volume_caps == (
        VolumeCap(gain_db_max=-9.0, begin_minute=420, end_minute=690),
        VolumeCap(gain_db_max=3.0),
    )
    many = [{"gain_db_max": -index, "begin": "07:00", "end": "08:00"} for index in range(VOLUME_CAPS_MAX)]
    caps = assigned(laid_down(pki, top={"volume_caps": many}, node={"volume_caps": [school]})).volume_caps
    assert len(caps) == VOLUME_CAPS_MAX
    assert min(cap.gain_db_max for cap in caps) == -9.0


def test_where_nothing_is_laid_down_nothing_is_said(pki: DevelopmentKeys) -> None:
    assert site_of(config_of(pki)).policies.of("N001") is NO_POLICY


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"air_time": {}}, "limits nothing"),
        ({"air_time": {"sessions_a_day_max": 0}}, "sessions_a_day_max"),
        ({"volume_caps": [{"gain_db_max": -3, "begin": "25:00"}]}, "begin"),
        ({"fetch_bytes_a_day_max": -1}, "fetch_bytes_a_day_max"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_key(pki: DevelopmentKeys, keys: dict[str, Any], told: str) -> None:
    plain = plain_config(pki)
    plain["areas"][0] |= keys
    with pytest.raises(ConfigError, match=told):
        config_of(pki, areas=plain["areas"])
