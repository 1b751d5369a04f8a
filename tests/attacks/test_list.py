"""The attacks that docs/security.md lists are the attacks that are tried, each with what stops it."""

from __future__ import annotations

import re
from pathlib import Path

from protocol.errors import RefusalReason
from tests.support.attacks import OTHERS
from tests.support.attacks_in_silence import IN_SILENCE
from tests.support.attacks_on_air import ON_AIR

ROOT = Path(__file__).parent.parent.parent
TABLE = re.compile(r"<!-- attacks -->(.*?)<!-- end -->", re.DOTALL)
ROW = re.compile(r"^\| (?P<name>[^|]+) \| [^|]+ \| (?P<counted>[^|]+) \|$", re.MULTILINE)
HEAD = "Attack"


def documented() -> dict[str, set[str]]:
    (table,) = TABLE.findall((ROOT / "docs" / "security.md").read_text())
    rows = {match["name"].strip(): match["counted"] for match in ROW.finditer(table)}
    rows.pop(HEAD)
    return {name: set(re.findall(r"`(\w+)`", counted)) for name, counted in rows.items()}


def tried() -> dict[str, set[str]]:
    counted = {attack.name: set(attack.counted) for attack in (*IN_SILENCE, *ON_AIR)}
    words = {name: set(re.findall(r"\b[a-z]+_[a-z_]+\b|\bmalformed\b|\breplayed\b", by)) for name, by in OTHERS.items()}
    return {**counted, **words}


def test_the_documented_list_is_the_tested_list() -> None:
    assert documented() == tried()


def test_every_attack_of_more_than_one_act_is_in_a_test() -> None:
    source = (Path(__file__).parent / "test_processes.py").read_text()
    assert [name for name in OTHERS if name.partition(", by ")[0] not in source] == []


def test_every_reason_is_met_by_an_attack() -> None:
    met = set().union(*tried().values())
    assert {reason.value for reason in RefusalReason} - met == set()


def test_a_counter_shows_each() -> None:
    assert [attack.name for attack in (*IN_SILENCE, *ON_AIR) if not attack.counted] == []
