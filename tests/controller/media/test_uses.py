"""What needs a recording is found in the desk's own plans, small and large, and in what the site names."""

from __future__ import annotations

import hashlib

import pytest

from controller.events import MediaPrepared
from controller.media.uses import uses_of
from protocol.messages import MediaReference
from tests.support.controller_desk import DeskWorld
from tests.support.pki import DevelopmentKeys


def reference(name: str) -> MediaReference:
    return MediaReference(sha256=hashlib.sha256(name.encode()).hexdigest(), size_bytes=8_000, duration_ms=4_000)


@pytest.mark.parametrize("programmes", [1, 24])
def test_a_plan_that_names_it_is_found_and_no_other(pki: DevelopmentKeys, programmes: int) -> None:
    """Twenty-four programmes make a plan that travels in two parts."""
    media = [f"tin-{number}" for number in range(programmes)]
    plans = [
        {"id": name, "title": name, "area": "dong", "at": f"{number % 24:02}:15", "items": [{"media": _sha256(name)}]}
        for number, name in enumerate(media)
    ]
    world = DeskWorld(pki, programmes=plans)
    world.begin()
    for name in media:
        world.post(MediaPrepared(path=f"media:{_sha256(name)}", media=reference(name)))
    plan = world.desk.plan("dong")
    assert plan is not None
    assert (plan.body is not None) == (programmes > 1)
    assert all(world.desk.naming(_sha256(name)) == ["loaxa/1/area/dong/plan"] for name in media)
    assert world.desk.naming(_sha256("another")) == []


def _sha256(name: str) -> str:
    return reference(name).sha256


def test_what_the_site_names_needs_it(pki: DevelopmentKeys) -> None:
    world = DeskWorld(pki)
    site, song = world.desk.site, reference("song")
    path = next(item.file for item in site.programmes["xa"][0].items if item.file)
    ready = {path: song, site.clips["flood"].file: reference("flood")}
    found = uses_of(
        song.sha256, site=site, ready=ready, named_at=["loaxa/1/area/xa/plan", "loaxa/1/node/N001/assignment"]
    )
    assert found == {"programme morning (xa)", "plan xa", "assignment N001"}
    assert uses_of(_sha256("flood"), site=site, ready=ready, named_at=()) == {"clip flood", "clip fire"}
    assert uses_of(_sha256("else"), site=site, ready=ready, named_at=()) == frozenset()
