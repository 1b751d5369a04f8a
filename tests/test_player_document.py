"""docs/player.md says what the code does: its constants, its commands, the cases and figures of its tables."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from benchmarks.sync.cases import CASES
from benchmarks.sync_virtual import PLOTTED, STARTED, parser

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "player.md").read_text(encoding="utf-8")
CONSTANT = re.compile(r"^\| [^|]+ \| (-?[\d.]+) ?([a-zA-Z]*) \| `([\w/]+)\.py` `(\w+)` \|$", re.MULTILINE)
PICTURE_BYTES_MAX = 150_000
LOST_UNDER_COVER_MS = 200.0
"""What a re-anchoring of each pole takes, as whole blocks; the line itself loses nothing in such cases."""
SCALES = {"NS": {"ms": 1_000_000}, "SAMPLES": {"ms": 48}, "MS": {"ms": 1}, "S": {"s": 1}}
"""By a name's last word: what one of the document's units is in the code's."""

constants = CONSTANT.findall(TEXT)


def table(name: str) -> list[list[str]]:
    """The cells of a generated table, without its head."""
    found = re.search(rf"<!-- table: {name} -->\n(.*?)<!-- end -->", TEXT, re.DOTALL)
    assert found is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found[1].splitlines()[2:]]


@pytest.mark.parametrize(("value", "unit", "module", "name"), constants, ids=[each[3] for each in constants])
def test_a_constant_is_what_the_code_says(value: str, unit: str, module: str, name: str) -> None:
    real = getattr(importlib.import_module(module.replace("/", ".")), name)
    words = name.removesuffix("_MAX").rsplit("_", 1)
    assert float(value) * SCALES.get(words[-1], {}).get(unit, 1) == real


def test_there_are_constants() -> None:
    assert len(constants) >= 12
    assert len(constants) == TEXT.partition("## Constants")[2].partition("\n## ")[0].count("\n| ") - 1


def test_the_command_that_made_the_tables_can_be_given() -> None:
    found = re.search(r"^    python -m benchmarks\.sync_virtual (.*)$", TEXT, re.MULTILINE)
    assert found is not None
    options = parser().parse_args(found[1].split())
    assert options.starts >= 10
    assert options.minutes == 10.0
    assert ROOT / options.document == ROOT / "docs" / "player.md"
    assert (ROOT / options.plot).stat().st_size < PICTURE_BYTES_MAX
    assert f"]({Path(options.plot).relative_to('docs')})" in TEXT


def test_the_benchmarks_that_are_named_exist() -> None:
    named = set(re.findall(r"`\./scripts/bench (\w+)`", TEXT))
    assert "sync_real" in named
    assert not {name for name in named if not (ROOT / "benchmarks" / f"{name}.py").exists()}


def test_every_case_has_its_two_rows() -> None:
    rows = table("sync_virtual")
    assert [row[0] for row in rows[::2]] == [case.name for case in CASES]
    assert {row[1] for row in rows[::2]} == {"LoaXa"}
    assert {row[1] for row in rows[1::2]} == {"Snapcast"}
    starts = table("sync_starts")
    assert {row[0] for row in starts} == set(STARTED) >= set(PLOTTED)


def test_the_figures_keep_what_the_text_says_of_them() -> None:
    ours = {row[0]: row for row in table("sync_virtual")[::2]}
    assert float(ours["wired, ±50 ppm"][3]) <= 0.1
    assert float(ours["4G, ±50 ppm"][3]) <= 1.0
    assert float(ours["wired and 4G, ±50 ppm"][3]) <= 5.0
    assert float(ours["wired, ±50 ppm"][5]) <= 0.1
    assert max(float(row[9]) for row in ours.values()) <= 500.0
    for case in CASES:
        lost_ms = float(ours[case.name][10].split(" ")[0])
        assert case.has_gaps or lost_ms <= LOST_UNDER_COVER_MS, case.name
        assert lost_ms == 0.0 or case.disturbances, case.name
