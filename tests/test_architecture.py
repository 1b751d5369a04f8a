"""How our code reads, counted: the style's scoreboard over the whole repository.

Every measure is also run on planted source that breaks its rule, so that a green line means something.
"""

from __future__ import annotations

import statistics
import tomllib
from pathlib import Path

import pytest

from tests.support.scoreboard import (
    PACKAGES,
    Finding,
    Source,
    forbidden_arrows,
    functions_of,
    import_circles,
    lines_of,
    logic_in_package_files,
    long_functions,
    mocks,
    percentile,
    rooms_without_subject,
    sources_below,
    without_docstring,
    without_return_type,
    world_touched,
)

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES_MAX = 400
FILE_LINES_MEDIAN_MAX = 200
FUNCTION_LINES_MAX = 70
FUNCTION_LINES_P95_MAX = 40
PURE = ("protocol", "edge", "controller")

product = sources_below(ROOT, PACKAGES)
tests = sources_below(ROOT, ("tests", "benchmarks"))
everything = product + tests


def planted(text: str, path: str = "edge/planted.py") -> list[Source]:
    return [Source(path=path, text=text)]


def listed(findings: list[Finding]) -> str:
    return "\n" + "\n".join(str(finding) for finding in findings)


def test_there_is_something_to_count() -> None:
    assert {source.package for source in product} == set(PACKAGES)
    assert len(product) > 20
    assert len(tests) > 10


def test_no_file_is_longer_than_its_subject() -> None:
    long = [f"{source.path}: {source.line_count} lines" for source in everything if source.line_count > FILE_LINES_MAX]
    assert not long, "split by subject:\n" + "\n".join(long)


def test_half_of_the_files_are_short() -> None:
    counts = [source.line_count for source in product if not source.path.endswith("__init__.py")]
    assert statistics.median(counts) <= FILE_LINES_MEDIAN_MAX


def test_every_function_fits_a_screen() -> None:
    found = long_functions(everything, FUNCTION_LINES_MAX)
    assert not found, listed(found)


def test_nearly_every_function_is_short() -> None:
    counts = [lines_of(function) for source in product for function in functions_of(source)]
    assert percentile(counts, 95) <= FUNCTION_LINES_P95_MAX


def test_every_module_says_its_duty() -> None:
    found = without_docstring(everything)
    assert not found, listed(found)


def test_every_function_says_what_it_returns() -> None:
    found = without_return_type(everything)
    assert not found, listed(found)


def test_package_files_hold_a_docstring_only() -> None:
    found = logic_in_package_files(product)
    assert not found, listed(found)


def test_every_room_has_a_subject() -> None:
    found = rooms_without_subject(everything)
    assert not found, listed(found)


def test_imports_go_one_way() -> None:
    found = forbidden_arrows(product)
    assert not found, listed(found)


def test_all_of_the_protocol_but_its_rim_is_held_to_be_pure() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    held = {name for contract in contracts for name in contract.get("source_modules", ())}
    assert held == {f"protocol.{path.stem}" for path in (ROOT / "protocol").glob("*.py")} - {"protocol.__init__"}


def test_no_module_imports_itself_by_way_of_others() -> None:
    found = import_circles(everything)
    assert not found, listed(found)


def test_only_the_rim_touches_the_world() -> None:
    found = world_touched([source for source in product if source.package in PURE])
    assert not found, listed(found)


def test_nothing_is_mocked_or_patched() -> None:
    found = mocks(tests)
    assert not found, listed(found)


@pytest.mark.parametrize(
    "text",
    [
        "import time",
        "import os.path",
        "from time import monotonic",
        "from urllib.request import urlopen",
        "from uuid import uuid4",
        "from protocol.adapters.system_clock import read_now",
        "import edge.adapters.store",
        "open('x')",
        "print('x')",
        "Path('x').read_text()",
        "datetime.now(UTC)",
        "datetime.date.today()",
        "def inner():\n    import threading",
    ],
)
def test_touching_the_world_outside_the_rim_is_seen(text: str) -> None:
    assert world_touched(planted(text))
    for path in ("edge/adapters/planted.py", "controller/web/planted.py", "edge/cli.py"):
        assert not world_touched(planted(text, path))


@pytest.mark.parametrize("text", ["import json", "clock.now()", "from datetime import timedelta", "store.open()"])
def test_what_touches_nothing_is_not_blamed(text: str) -> None:
    assert not world_touched(planted(text))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("edge/planted.py", "import controller.provision"),
        ("controller/planted.py", "from edge import agent"),
        ("protocol/planted.py", "from edge.player import level"),
        ("edge/adapters/planted.py", "import simulator"),
        ("simulator/planted.py", "from tests.support import pki"),
        ("edge/planted.py", "from . import agent"),
    ],
)
def test_an_import_against_the_arrows_is_seen(path: str, text: str) -> None:
    assert forbidden_arrows(planted(text, path))


def test_imports_along_the_arrows_are_not_blamed() -> None:
    for path in ("edge/planted.py", "controller/planted.py", "simulator/planted.py"):
        assert not forbidden_arrows(planted("from protocol import units\nimport json", path))
    assert not forbidden_arrows(planted("import edge.agent, controller.provision", "simulator/planted.py"))


def modules(**imports: str) -> list[Source]:
    return [Source(path=f"edge/{name}.py", text=text) for name, text in imports.items()]


@pytest.mark.parametrize(
    "imports",
    [
        {"a": "from edge.b import B", "b": "import edge.a"},
        {"a": "from edge import b", "b": "if TYPE_CHECKING:\n    from edge.a import A"},
        {"a": "import edge.b", "b": "import edge.c", "c": "def late() -> None:\n    from edge.a import A"},
        {"a": "import edge.a"},
        {"__init__": "import edge.a", "a": "import edge"},
    ],
)
def test_a_circle_of_imports_is_seen_once(imports: dict[str, str]) -> None:
    assert len(import_circles(modules(d="import edge.a", **imports))) == 1


def test_every_circle_is_told_and_what_goes_one_way_is_not_blamed() -> None:
    two = modules(a="import edge.b", b="import edge.a", c="import edge.d", d="import edge.c, edge.a")
    assert len(import_circles(two)) == 2
    assert not import_circles(modules(__init__="", a="import edge.b, edge.c", b="import edge.c", c="import json"))


@pytest.mark.parametrize(
    "text",
    [
        "from unittest.mock import Mock",
        "from unittest import mock",
        "import unittest.mock",
        "def test_x(monkeypatch): ...",
        "async def test_x(*, mocker): ...",
    ],
)
def test_a_mock_is_seen(text: str) -> None:
    assert mocks(planted(text, "tests/test_planted.py"))


def test_missing_docstrings_and_return_types_are_seen() -> None:
    bare = planted("class A:\n    def f(self):\n        async def g(): ...\n")
    assert len(without_docstring(bare)) == 1
    assert [finding.line for finding in without_return_type(bare)] == [2, 3]
    assert not without_docstring(planted('"""Says its duty."""'))
    assert not without_return_type(planted("def f() -> None: ..."))


def test_length_is_seen() -> None:
    body = "    x = 1\n" * FUNCTION_LINES_MAX
    assert long_functions(planted(f"def f() -> None:\n{body}"), FUNCTION_LINES_MAX)
    assert not long_functions(planted(f"def f() -> None:\n{body[10:]}"), FUNCTION_LINES_MAX)
    assert planted("x\n" * 401)[0].line_count == 401
    assert percentile(range(1, 101), 95) == 95
    assert percentile([1] * 94 + [99] * 6, 95) == 99


def test_package_files_with_logic_and_nameless_rooms_are_seen() -> None:
    assert logic_in_package_files(planted('"""Docstring."""\nimport json', "edge/__init__.py"))
    assert not logic_in_package_files(planted('"""Docstring."""', "edge/__init__.py"))
    assert rooms_without_subject(planted("", "edge/utils.py"))
