"""Log lines: one for each decision, quoted where needed, never more than one line, the node's id on each."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from edge.adapters.logging import VALUE_CHARACTERS_MAX, LoggedDecisions, one_line, set_up_logging
from edge.effects import LogDecision, LogLevel


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    set_up_logging(node="N001", level="info", stream=stream)
    yield stream
    root.handlers, root.level = handlers, level


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "x=plain"),
        ("Bản tin sáng", 'x="Bản tin sáng"'),
        ('say "hello"', 'x="say \\"hello\\""'),
        ("two\nlines", 'x="two?lines"'),
        ("", 'x=""'),
        (True, "x=yes"),
        (3.5, "x=3.5"),
        ("a" * 1000, "x=" + "a" * VALUE_CHARACTERS_MAX),
        ("\x1b[2J", 'x="?[2J"'),
    ],
)
def test_values_are_readable_and_harmless(value: str | float | bool, expected: str) -> None:
    assert one_line(LogDecision(decision="d", fields=(("x", value),))) == f"d {expected}"


def test_each_line_has_time_level_and_node(lines: io.StringIO) -> None:
    LoggedDecisions().write(LogDecision(decision="refused", fields=(("reason", "expired"),), level=LogLevel.WARNING))
    logging.getLogger("some.library").info("hello")
    LoggedDecisions().write(LogDecision(decision="quiet", level=LogLevel.DEBUG))
    first, second = lines.getvalue().splitlines()
    assert first.endswith(" WARNING N001 refused reason=expired")
    assert second.endswith(" INFO    N001 some.library: hello")
    assert first[:2] == "20"


def test_a_traceback_follows_its_line(lines: io.StringIO) -> None:
    try:
        int("broken")
    except ValueError:
        logging.getLogger("x").exception("it failed")
    assert "ValueError: invalid literal" in lines.getvalue()


def test_a_broker_that_stays_away_is_one_line_until_it_was_back(lines: io.StringIO) -> None:
    log = LoggedDecisions()
    away = LogDecision(decision="disconnected", fields=(("reason", "nothing listens"),), level=LogLevel.WARNING)
    for _ in range(3):
        log.write(away)
    assert lines.getvalue().count("nothing listens") == 1
    log.write(LogDecision(decision="connected"))
    log.write(away)
    assert lines.getvalue().count("nothing listens") == 2
