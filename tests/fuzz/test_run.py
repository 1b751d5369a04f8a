"""What the fuzzing command says and returns; atheris itself is not needed for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.run import Outcome, main, report
from tests.fuzz.table import TARGETS

ROOT = Path(__file__).parent.parent.parent


def test_a_find_is_told_with_the_command_that_tries_it_again() -> None:
    find = Path("/somewhere/crash-1")
    good = Outcome(name="topic", runs=7, finds=(), tail="", is_broken=False)
    bad = Outcome(name="cbor", runs=9, finds=(find,), tail="ValueError: x", is_broken=True)
    lines = report([good, bad])
    assert "nothing found" in lines[0]
    assert "FOUND: /somewhere/crash-1" in lines[1]
    assert "ValueError: x" in lines
    assert lines[-1].endswith(f"-m tests.fuzz.one cbor {find}")


def test_what_cannot_run_is_no_success() -> None:
    assert "it could not run" in report([Outcome(name="cbor", runs=0, finds=(), tail="", is_broken=True)])[0]


@pytest.mark.parametrize("arguments", [["0"], ["10", "no-such-target"], ["soon"], []])
def test_a_wrong_command_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_the_command_installs_by_hash_what_it_needs() -> None:
    script = (ROOT / "scripts" / "test").read_text()
    assert "--require-hashes" in script
    assert "requirements/fuzz.txt" in script
    assert "atheris==" in (ROOT / "requirements" / "fuzz.txt").read_text()


def test_names_are_unique_and_files() -> None:
    assert all(name.replace("-", "").isalnum() for name in TARGETS)
    assert len(TARGETS) >= 35
