"""The configuration: typos by path, references that exist, everything wrong told at once."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from controller.areas import Area, AreaTree
from controller.configuration.parsing import parse_config
from controller.errors import ConfigError
from tests.support.controller_desk import plain_config
from tests.support.pki import DevelopmentKeys

Spoil = Callable[[dict[str, Any]], Any]


def parsed(plain: dict[str, Any]) -> Any:
    return parse_config(yaml.safe_dump(plain), folder=Path("/site"), name="c.yaml")


def test_relative_paths_start_at_the_file(pki: DevelopmentKeys) -> None:
    config = parsed(plain_config(pki))
    assert config.trust.keyset == "/site/keyset.cose"
    assert config.database == "sqlite:////site/state/c.sqlite"
    assert config.programmes[0].items[0].file == "/site/song.mp3"
    absolute = parsed(plain_config(pki, state_dir="/var/lib/loaxa", database="sqlite:////var/lib/c.sqlite"))
    assert (absolute.state_dir, absolute.database) == ("/var/lib/loaxa", "sqlite:////var/lib/c.sqlite")


WRONG: dict[str, tuple[Spoil, str]] = {
    "a typo": (lambda c: c.update(brokr={}), "unknown key brokr (did you mean broker?). Allowed here: controller, "),
    "a typo below": (lambda c: c["nodes"][1].update(titel="x"), "unknown key nodes[1].titel (did you mean title?)"),
    "a missing key": (lambda c: c["trust"].pop("keyset"), "trust: Object missing required field `keyset`"),
    "a wrong type": (lambda c: c["feeds"][0].update(urls="http://x"), "feeds[0].urls: Expected `array`, got `str`"),
    "a time": (lambda c: c["programmes"][0].update(at=19800), "write times of day in quotes"),
    "a weekday": (lambda c: c["programmes"][0].update(days=["monday"]), "programmes[0].days[0]"),
    "an area": (
        lambda c: c["nodes"][0].update(area="tay"),
        "nodes.N001.area: 'tay' is not known; known: doai, dong, xa",
    ),
    "a node with the controller's name": (
        lambda c: c["nodes"][0].update(id=c["controller"]),
        "such a node would have its rights at the broker",
    ),
    "a parent": (lambda c: c["areas"][1].update(parent="tay"), "'dong' lies in 'tay', which does not exist"),
    "a cycle": (lambda c: c["areas"][0].update(parent="dong"), "an area cannot lie in itself"),
    "an id twice": (lambda c: c["clips"][1].update(id="flood"), "clips: 'flood' is given 2 times"),
    "a report key twice": (
        lambda c: c["nodes"][1].update(report_key=c["nodes"][0]["report_key"]),
        "nodes report_key",
    ),
    "a feed": (lambda c: c["programmes"][0]["items"][1].update(feed="vov2"), "feed: 'vov2' is not known; known: vov1"),
    "a feed without end": (
        lambda c: c["programmes"][0]["items"][1].pop("duration_s"),
        "a feed needs it, nothing else has it",
    ),
    "file and feed": (
        lambda c: c["programmes"][0]["items"][0].update(feed="vov1"),
        "an item is one of file, media, text, feed or bulletin",
    ),
    "a file with a length": (lambda c: c["programmes"][0]["items"][0].update(duration_s=5), "nothing else has it"),
    "an address": (lambda c: c["feeds"][0].update(urls=["ftp://x/y"]), "'ftp://x/y' is no http or https address"),
    "a host to pull from": (lambda c: c.update(media={"pull_hosts": ["http://nas/"]}), "'http://nas/' is no host name"),
    "a network to pull from": (lambda c: c.update(media={"pull_hosts": ["10.0.0.0/99"]}), "is no host name, address"),
    "a zone": (lambda c: c.update(time_zone="Asia/Hanoi2"), "'Asia/Hanoi2' is no time zone"),
    "a database": (lambda c: c.update(database="mysql://x"), "must begin with sqlite:/// or postgresql://"),
    "the nodes' door": (
        lambda c: c.update(
            broker={"port": 8883, "server": {"folder": "b", "certificate": "c.pem", "private_key": "c.key"}}
        ),
        "8883 is the nodes' door",
    ),
    "the door of the time": (
        lambda c: c.update(
            broker={"port": 8885, "server": {"folder": "b", "certificate": "c.pem", "private_key": "c.key"}}
        ),
        "8885 is the nodes' door",
    ),
    "a day that is not": (
        lambda c: c["programmes"][0].update(valid_until="2026-02-30"),
        "2026-02-30: no such day",
    ),
    "a day without quotes": (
        lambda c: c["programmes"][0].update(valid_until=dt.date(2026, 2, 3)),
        "write dates and times in quotes",
    ),
    "a rule": (
        lambda c: c["programmes"][0].update(at=None, recurrence={"rules": "DTSTART:20260101T053000\nRRULE:FREQ=OFTEN"}),
        "programmes[0].recurrence: ",
    ),
    "a time and a rule": (
        lambda c: c["programmes"][0].update(recurrence={"rules": "DTSTART:20260101T053000\nRRULE:FREQ=DAILY"}),
        "programmes.morning: write either at (a time of day) or recurrence",
    ),
    "neither": (lambda c: c["programmes"][0].pop("at"), "write either at (a time of day) or recurrence"),
    "an emergency programme": (
        lambda c: c["programmes"][0].update(broadcast_class="emergency"),
        "an emergency is raised, never planned",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named_with_its_place(pki: DevelopmentKeys, case: str) -> None:
    spoil, expected = WRONG[case]
    plain = copy.deepcopy(plain_config(pki))
    spoil(plain)
    with pytest.raises(ConfigError) as refused:
        parsed(plain)
    assert expected in str(refused.value)
    assert str(refused.value).startswith("c.yaml: ")


def test_all_faults_are_told_at_once(pki: DevelopmentKeys) -> None:
    plain = plain_config(pki, time_zone="x", database="y")
    with pytest.raises(ConfigError) as refused:
        parsed(plain)
    assert len(str(refused.value).splitlines()) == 2


@given(text=st.text(max_size=200))
def test_any_text_is_a_configuration_or_a_named_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^c\.yaml: "):
        parse_config(text, folder=Path("/site"), name="c.yaml")


@given(parents=st.lists(st.integers(0, 11), min_size=1, max_size=12))
def test_a_tree_of_any_shape_knows_above_and_below(parents: list[int]) -> None:
    areas = [
        Area(id=f"a{index}", title="", level="", parent=f"a{parent % index}" if index else None)
        for index, parent in enumerate(parents)
    ]
    try:
        tree = AreaTree(areas)
    except ConfigError as error:
        assert "levels; at most 8" in str(error)
        return
    for area in areas:
        chain = tree.chain(area.id)
        assert chain[0] == area.id
        assert tree.depth(area.id) == len(chain) - 1
        assert all(area.id in tree.below(above) for above in chain)
        assert tree.below(area.id) == {each.id for each in areas if area.id in tree.chain(each.id)}
