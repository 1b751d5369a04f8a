"""The table of attacks, printed when the run ends."""

from __future__ import annotations

import pytest

from tests.support.attacks import TITLE, AttackTable

_TABLE = AttackTable()


@pytest.fixture(scope="session")
def table() -> AttackTable:
    """Where each attack that was made goes on record."""
    return _TABLE


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was tried, what stopped it, what was heard of it."""
    lines = _TABLE.lines()
    if lines:
        terminalreporter.write_sep("=", TITLE)
        for line in lines:
            terminalreporter.write_line(line)
