"""What docs/security.md tells people to do when something is stolen can be typed: verbs and options are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from controller.cli import main as controller
from edge.cli import main as edge

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "security.md"
SECTION = re.compile(r"<!-- procedures -->(.*?)<!-- end -->", re.DOTALL)
BLOCK = re.compile(r"^```\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PROGRAMS = {"loaxa-controller": controller, "loaxa-edge": edge}
SUBJECTS = ("box or a card", "operational key", "share of the root", "laptop", "controller", "broker's machine")


def commands() -> list[str]:
    (section,) = SECTION.findall(DOCUMENT.read_text())
    return [line for block in BLOCK.findall(section) for line in block.splitlines()]


def verbs_of(words: list[str]) -> list[str]:
    """The words before the first that is a name, a file or an option."""
    verbs: list[str] = []
    for word in words:
        if not re.fullmatch(r"[a-z]+(-[a-z]+)?", word) or len(verbs) == 3:
            break
        verbs.append(word)
    return verbs


def help_of(program: str, verbs: list[str], capsys: pytest.CaptureFixture[str]) -> str | None:
    with pytest.raises(SystemExit) as ended:
        PROGRAMS[program]([*verbs, "--help"])
    said = capsys.readouterr().out
    return said if ended.value.code == 0 else None


@pytest.mark.parametrize("command", commands())
def test_it_can_be_typed(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    program, *words = shlex.split(command)
    verbs = verbs_of(words)
    said = help_of(program, verbs, capsys)
    while said is None and verbs:  # the last word was no verb but a file
        verbs.pop()
        said = help_of(program, verbs, capsys)
    assert said is not None, command
    assert verbs, command
    assert "VERB ..." not in said, f"{command}: a verb is missing"
    missing = [word for word in words if word.startswith("--") and word not in said]
    assert missing == []


def test_every_subject_has_its_answer() -> None:
    (section,) = SECTION.findall(DOCUMENT.read_text())
    assert [subject for subject in SUBJECTS if subject not in section] == []
